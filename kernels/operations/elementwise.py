"""Activations and dropout between layers with weights: the way forward, and the gradient's way back."""

from __future__ import annotations

from .. import codes
from ..codes import COLUMNS, FACTORS
from ..llvm.instructions import at
from .activations import activation_backward, activation_forward
from .arithmetic import copy_vectors, multiply_vectors, product_vectors
from .random import dropout_row


def simple_forward(op, alpha, rate, work, first, last, place, step, stream, key_0, key_1):
    """Activation or dropout operation on rows first .. last of the workspace, rows of the batch from ``place``."""
    row, vectors = op[codes.Y_ROW], op[codes.PANELS]
    for r in range(first, last):
        x, y = at(work, op[codes.X] + r * row), at(work, op[codes.Y] + r * row)
        if op[codes.KIND] == codes.DROPOUT:
            mask = at(work, op[codes.MASK] + r * row)
            dropout_row(mask, op[codes.OUTPUTS], place + r, step, stream, rate, key_0, key_1)
            product_vectors(1, 0, vectors, y, x, mask)
        else:
            copy_vectors(1, 0, vectors, y, x)
            activation_forward(op[codes.FUNCTION], y, row, 1, op[codes.OUTPUTS], vectors, alpha)


def derivatives(ops, count, factors, work, first, rows, column, vectors):
    """Take the gradient of a region back through the elementwise operations below operation ``count``.

    The gradient with respect to the output of operation ``count`` - 1 becomes, in place, the one before
    the activation of the next layer below that has weights.
    """
    for index in range(count - 1, -1, -1):
        op = at(ops, index * COLUMNS)
        row = op[codes.Y_ROW]
        dy = at(work, op[codes.DY] + first * row + column)
        if op[codes.KIND] == codes.DROPOUT:
            multiply_vectors(rows, row, vectors, dy, at(work, op[codes.MASK] + first * row + column))
        else:
            y = at(work, op[codes.Y] + first * row + column)
            z = at(work, op[codes.Z] + first * row + column)
            activation_backward(
                op[codes.FUNCTION], dy, y, z, row, rows, op[codes.OUTPUTS], vectors,
                factors[index * FACTORS + codes.ALPHA],
            )  # fmt: skip
            if op[codes.KIND] != codes.ACTIVATION:
                break
