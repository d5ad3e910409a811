"""The memory of one batch: where activations and gradients lie in one workspace."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np

from fastnn.common.aligned_memory import aligned_zeros
from fastnn.kernels import codes
from fastnn.kernels.host import cpu
from fastnn.kernels.sizes import BLOCK_ROWS, TILE_ROWS, half, whole
from fastnn.lowering.kinds import KINDS, kind_of
from fastnn.lowering.pictures import place_gradients, place_pictures
from fastnn.lowering.weight_places import vectors

PAIR_OF_ONES = np.array([0x3F803F80], np.uint32).view(np.float32)[0]  # two bfloat16 in the memory of a float32


@dataclass(frozen=True)
class Layout:
    """The plan's operation table with the offsets of one batch's activations and gradients.

    Attributes
    ----------
    ops : int64 (operations, OPERATION_COLUMNS)
    size : elements of the workspace
    scratch_size : elements of scratch memory of each member of a team
    """

    ops: np.ndarray
    size: int
    scratch_size: int

    def workspace(self, batch_size: int, dtype: np.dtype) -> np.ndarray:
        """Return zeroed memory with a column of ones before the input of each layer that has a bias."""
        work = aligned_zeros(self.size, dtype)
        for op in self.ops:
            if kind_of(op).has_matrix and op[codes.BIAS] and not op[codes.HEIGHT]:
                start, row, rows, one = op[codes.X] - 1, op[codes.X_STRIDE], batch_size, 1.0
                if op[codes.BATCH_PAIRS]:
                    start, rows, one = op[codes.BATCH_PAIRS] - 1, half(batch_size), PAIR_OF_ONES
                    work[start + 1 - cpu.lanes(dtype) : start] = one  # tiles read a vector of them
                work[start : start + rows * row : row] = one
        return work

    def scratch(self, members: int, dtype: np.dtype) -> np.ndarray:
        """Return scratch memory for a team, a row for each member."""
        return np.zeros((members, self.scratch_size), dtype)


def layout(
    ops: np.ndarray, batch_size: int, dtype: np.dtype, lanes: int, room: int, mixed: bool, sparse: bool
) -> Layout:
    """Give every operation of ``ops`` its offsets in a workspace; the arguments are those of ``Plan.layout``."""
    used = 0

    def stride(panels: int) -> int:
        # rows a multiple of 1 kB apart would lie in few cache sets
        row = panels * lanes + room
        return row + room if row * dtype.itemsize % 1024 == 0 else row

    def buffer(row: int, rows: int = batch_size) -> int:
        nonlocal used
        start = used + room
        used += rows * row
        return start

    ops = ops.copy()
    n_pictures = np.count_nonzero(ops[:, codes.HEIGHT])
    pictures, on_rows = ops[:n_pictures], ops[n_pictures:]
    kinds = [KINDS[code] for code in ops[:, codes.KIND].tolist()]
    trained = [kind.is_trained for kind in kinds]
    ops[:, codes.NEEDS_DX] = [is_trained and True in trained[:index] for index, is_trained in enumerate(trained)]
    outputs, gradient = lanes * int(on_rows[:, codes.PANELS].max()), 0
    scratch_size = 2 * lanes * max(TILE_ROWS + batch_size, outputs)  # outputs of a transposed block of weights
    row = stride(0 if sparse else vectors(int(on_rows[0, codes.INPUTS]), lanes))
    x = buffer(row)
    if len(pictures):
        gradient = buffer(row)
        place_pictures(pictures, buffer, batch_size, room, lanes)
        pictures[-1, [codes.Y, codes.Y_STRIDE]] = x, row
        scratch_size = place_gradients(pictures, gradient, row, scratch_size + room, room)
    for index, op in enumerate(on_rows):
        op[codes.X], op[codes.X_STRIDE] = x, row
        below, kind = on_rows[:index], kinds[n_pictures + index]
        if kind.has_matrix:
            op[codes.DX] = gradient
            row = stride(op[codes.PANELS])
        if kind.has_matrix or not gradient:  # other operations overwrite the gradient in place
            gradient = buffer(row)
        op[codes.Y], op[codes.Y_STRIDE], op[codes.DY] = buffer(row), row, gradient
        keeps_input = op[codes.FUNCTION] in codes.OF_INPUT
        op[codes.Z] = x if not kind.is_trained else buffer(row) if keeps_input else op[codes.Y]
        for column, rows, of_rows in kind.buffers:
            longest = max(row, stride(vectors(batch_size, lanes))) if of_rows else row
            op[column] = buffer(longest, rows or batch_size)
        x = op[codes.Y]
        op[codes.BY_ROWS] = kind.is_trained and _softmax_on_top(below)
    if not mixed:
        return Layout(ops, used + room, scratch_size)
    # left operands are read in tiles of up to 16 rows
    ops[:, codes.ROW_PAIRS] = buffer(ops[:, [codes.X_STRIDE, codes.Y_STRIDE]].max(), batch_size + lanes - 1)
    for op in ops:
        if kind_of(op).has_matrix:
            op[codes.BATCH_PAIRS] = buffer(op[codes.X_STRIDE], whole(batch_size, lanes))
    return Layout(ops, used + lanes, 2 * lanes * (BLOCK_ROWS + whole(batch_size, lanes)))


def _softmax_on_top(ops: np.ndarray) -> bool:
    """Whether a softmax is among the operations down to and with the last one that has weights."""
    for op in ops[::-1]:
        if op[codes.FUNCTION] == codes.SOFTMAX:
            return True
        if kind_of(op).is_trained:
            break
    return False


def writable(array: np.ndarray) -> np.ndarray:
    """The same memory flagged writable: programs have one signature, and only read it."""
    if array.flags.writeable:
        return array
    address, _ = array.__array_interface__["data"]
    interface = {**array.__array_interface__, "data": (address, False)}
    return np.asarray(SimpleNamespace(base=array, __array_interface__=interface))
