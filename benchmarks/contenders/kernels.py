"""fastnn's kernels one by one: the three products of a dense layer and the optimizer step, on one core.

Weights lie in panels, as a network keeps them; operands that a network copies in every step are copied here too.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from fastnn.kernels import codes
from fastnn.kernels.compiler import jit
from fastnn.kernels.cpu.dense import pack, product_by_transposing
from fastnn.kernels.cpu.gemm import product
from fastnn.kernels.element_types import LANES
from fastnn.kernels.host import cpu
from fastnn.kernels.llvm.instructions import at
from fastnn.kernels.llvm.register_tiles import MODE_ZERO
from fastnn.kernels.operations.optimizers import update
from fastnn.kernels.records import Descent

from benchmarks.contenders.base import Work
from benchmarks.problems import ADAM
from fastnn.common.aligned_memory import aligned_zeros

Array = np.ndarray
FLOAT32 = np.dtype(np.float32)


def _program(function: Callable) -> Any:
    """Compiled form of a function of this module, kept in memory only: the disk cache knows no files but kernels'."""
    from numba.core.caching import NullCache

    program = jit.program(function, FLOAT32)
    program._cache = NullCache()
    return program


def _panels(columns: int) -> int:
    return -(-columns // cpu.lanes(FLOAT32))


def _padded(matrix: Array) -> Array:
    """Copy with rows of whole vectors and one more, as in a network's workspace; flat."""
    rows, columns = matrix.shape
    stride = (_panels(columns) + 1) * cpu.lanes(FLOAT32)
    flat = aligned_zeros(rows * stride, FLOAT32)
    flat.reshape(rows, stride)[:, :columns] = matrix
    return flat


def _in_panels(matrix: Array) -> Array:
    """Copy in panels of LANES columns, (panels, rows, LANES); flat."""
    rows, columns = matrix.shape
    panels, lanes = _panels(columns), cpu.lanes(FLOAT32)
    flat = aligned_zeros(panels * rows * lanes, FLOAT32)
    padded = np.zeros((rows, panels * lanes), np.float32)
    padded[:, :columns] = matrix
    flat.reshape(panels, rows, lanes)[...] = padded.reshape(rows, panels, lanes).transpose(1, 0, 2)
    return flat


def _from_panels(flat: Array, rows: int, columns: int) -> Array:
    return flat.reshape(_panels(columns), rows, -1).transpose(1, 0, 2).reshape(rows, -1)[:, :columns]


def forward_product(x, x_row, weights, inputs, y, y_row, rows, panels):
    """y = x @ W, two panels of columns at a time."""
    panel = inputs * LANES
    for p in range(0, panels, 2):
        product(
            at(x, 0), x_row, 1, at(weights, p * panel), panel, at(y, p * LANES), y_row, LANES, min(2, panels - p), rows,
            inputs, at(y, 0), 0, MODE_ZERO, 0,
        )  # fmt: skip


def weight_gradient_product(x, x_row, dy, dy_row, packed, gradient, rows, inputs, panels):
    """dW = x.T @ dy in panels, two at a time, those of dy packed first."""
    for p in range(0, panels, 2):
        count = min(2, panels - p)
        pack(at(packed, 0), at(dy, p * LANES), dy_row, rows, count)
        product(
            at(x, 0), 1, x_row, at(packed, 0), rows * LANES, at(gradient, p * inputs * LANES), LANES, inputs * LANES,
            count, inputs, rows, at(gradient, 0), 0, MODE_ZERO, 0,
        )  # fmt: skip


def input_gradient_product(dy, dy_row, weights, inputs, dx, dx_row, scratch, rows, outputs):
    """dx = dy @ W.T, a block of columns at a time."""
    width = 2 * LANES
    for column in range(0, inputs, width):
        product_by_transposing(
            at(dy, 0), dy_row, at(weights, column * LANES), inputs * LANES, outputs, at(dx, column), dx_row,
            at(scratch, 0), rows, min(width, inputs - column),
        )  # fmt: skip


def adam_step(w, m, v, g, vectors, rate, one_minus_beta_1, one_minus_beta_2, epsilon):
    """One step of Adam over flat vectors."""
    descent = Descent(codes.ADAM, rate, 0.0, one_minus_beta_1, one_minus_beta_2, epsilon, 0.0, False)
    update(descent, at(w, 0), at(m, 0), at(v, 0), at(g, 0), vectors)


def forward(x: Array, weights: Array) -> Work:
    """Product of inputs (rows, inputs) and weights (inputs, outputs)."""
    (rows, inputs), outputs = x.shape, weights.shape[1]
    left, right, y = _padded(x), _in_panels(weights), _padded(np.zeros((rows, outputs), np.float32))
    program, panels = _program(forward_product), _panels(outputs)
    return Work(
        lambda: program(left, left.size // rows, right, inputs, y, y.size // rows, rows, panels),
        lambda: y.reshape(rows, -1)[:, :outputs],
    )


def weight_gradient(x: Array, dy: Array) -> Work:
    """Product of inputs (rows, inputs), transposed, and gradients (rows, outputs)."""
    (rows, inputs), outputs = x.shape, dy.shape[1]
    left, right, panels = _padded(x), _padded(dy), _panels(outputs)
    packed = aligned_zeros(2 * rows * cpu.lanes(FLOAT32), FLOAT32)
    gradient = aligned_zeros(panels * inputs * cpu.lanes(FLOAT32), FLOAT32)
    program, x_row, dy_row = _program(weight_gradient_product), left.size // rows, right.size // rows
    return Work(
        lambda: program(left, x_row, right, dy_row, packed, gradient, rows, inputs, panels),
        lambda: _from_panels(gradient, inputs, outputs),
    )


def input_gradient(dy: Array, weights: Array) -> Work:
    """Product of gradients (rows, outputs) and weights (inputs, outputs), transposed."""
    (rows, outputs), inputs = dy.shape, weights.shape[0]
    left, right, dx = _padded(dy), _in_panels(weights), _padded(np.zeros((rows, inputs), np.float32))
    program, lanes = _program(input_gradient_product), cpu.lanes(FLOAT32)
    scratch = aligned_zeros(2 * _panels(outputs) * lanes * lanes, FLOAT32)
    return Work(
        lambda: program(left, left.size // rows, right, inputs, dx, dx.size // rows, scratch, rows, outputs),
        lambda: dx.reshape(rows, -1)[:, :inputs],
    )


def adam(weights: Sequence[Array], gradients: Sequence[Array]) -> Work:
    """Step on all weights as one flat vector."""

    def flat(arrays: Sequence[Array]) -> Array:
        joined = np.concatenate([array.ravel() for array in arrays])
        vector = aligned_zeros(_panels(joined.size) * cpu.lanes(FLOAT32), FLOAT32)
        vector[: joined.size] = joined
        return vector

    w, g = flat(weights), flat(gradients)
    m, v = (aligned_zeros(w.size, FLOAT32) for _ in range(2))
    steps, size = [0], sum(array.size for array in weights)
    program, vectors = _program(adam_step), w.size // cpu.lanes(FLOAT32)

    def run() -> None:
        steps[0] += 1
        rate = ADAM.learning_rate * math.sqrt(1 - ADAM.beta_2 ** steps[0]) / (1 - ADAM.beta_1 ** steps[0])
        program(w, m, v, g, vectors, rate, 1 - ADAM.beta_1, 1 - ADAM.beta_2, ADAM.epsilon)

    return Work(run, lambda: [w[:size]])
