"""Activations and dropout between layers with weights: forward, and the gradient backward."""

from __future__ import annotations

from .. import codes
from ..codes import COLUMNS, FACTORS
from ..llvm.instructions import at
from .activations import activation_backward, activation_forward
from .arithmetic import copy_vectors, multiply_vectors, product_vectors
from .random import dropout_row


def simple_forward(op, alpha, rate, work, first, last, first_row, step, stream, key_0, key_1):
    """Activation or dropout operation on rows first .. last of the workspace, rows of the batch from ``first_row``."""
    stride, vectors = op[codes.Y_STRIDE], op[codes.PANELS]
    for r in range(first, last):
        x, y = at(work, op[codes.X] + r * stride), at(work, op[codes.Y] + r * stride)
        if op[codes.KIND] == codes.DROPOUT:
            mask = at(work, op[codes.MASK] + r * stride)
            dropout_row(mask, op[codes.OUTPUTS], first_row + r, step, stream, rate, key_0, key_1)
            product_vectors(1, 0, vectors, y, x, mask)
        else:
            copy_vectors(1, 0, vectors, y, x)
            activation_forward(op[codes.FUNCTION], y, stride, 1, op[codes.OUTPUTS], vectors, alpha)


def derivatives(ops, count, factors, work, first, rows, column, vectors):
    """Take the gradient of a region back through the elementwise operations below operation ``count``.

    The gradient with respect to the output of operation ``count`` - 1 becomes, in place, the one before
    the activation of the next layer below that has weights.
    """
    for index in range(count - 1, -1, -1):
        op = at(ops, index * COLUMNS)
        stride = op[codes.Y_STRIDE]
        dy = at(work, op[codes.DY] + first * stride + column)
        if op[codes.KIND] == codes.DROPOUT:
            multiply_vectors(rows, stride, vectors, dy, at(work, op[codes.MASK] + first * stride + column))
        else:
            y = at(work, op[codes.Y] + first * stride + column)
            z = at(work, op[codes.Z] + first * stride + column)
            activation_backward(
                op[codes.FUNCTION], dy, y, z, stride, rows, op[codes.OUTPUTS], vectors,
                factors[index * FACTORS + codes.ALPHA],
            )  # fmt: skip
            if op[codes.KIND] != codes.ACTIVATION:
                break
