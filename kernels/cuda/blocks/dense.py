"""Dense layers and single elements of a network on a GPU: functions that the threads of a block share.

A thread takes elements ``rank``, ``rank + size``, ... of what is to be computed. Weights stand row by row, the
bias as row 0; the column before the inputs of a layer holds ones.
"""

from __future__ import annotations

from ... import codes
from ...codes import COLUMNS, FACTORS
from ...element_types import NUMBER
from ...formulas.optimizers import l2_grad
from ...llvm.instructions import at
from ...operations.elementwise import derivatives
from ..elements import activate, derivative, descend, operand
from ..jit import apart


def dense_forward(threads, op, params, work, rows, alpha):
    """y = activation(x @ W + b) of all rows; a distinct z keeps x @ W + b. A softmax is left to the caller."""
    apart()
    columns, stride, bias = op[codes.OUTPUTS], op[codes.PANELS], op[codes.BIAS]
    weights, count = at(params, op[codes.WEIGHTS]), op[codes.INPUTS]
    index = threads.rank
    while index < rows * columns:
        r = index // columns
        j = index - r * columns
        x = at(work, op[codes.X] + r * op[codes.X_STRIDE])
        z = weights[j] if bias else NUMBER(0.0)
        column = at(weights, bias * stride + j)
        for k in range(count):
            z += operand(x[k]) * operand(column[k * stride])
        offset = r * op[codes.Y_STRIDE] + j
        if op[codes.Z] != op[codes.Y]:
            work[op[codes.Z] + offset] = z
        work[op[codes.Y] + offset] = activate(op[codes.FUNCTION], z, alpha)
        index += threads.size


def dense_backward_input(threads, network, index, work, rows):
    """dx = dy @ W.T, taken back through the elementwise operations that made x, unless those need whole rows."""
    apart()
    ops, factors = network.ops, network.factors
    op, below = at(ops, index * COLUMNS), at(ops, (index - 1) * COLUMNS)
    function, alpha = below[codes.FUNCTION], factors[(index - 1) * FACTORS + codes.ALPHA]
    simple = op[codes.BY_ROWS] == 0 and below[codes.KIND] == codes.DENSE
    inputs, stride = op[codes.INPUTS], op[codes.PANELS]
    weights = at(network.params, op[codes.WEIGHTS] + op[codes.BIAS] * stride)
    item = threads.rank
    while item < rows * inputs:  # rows first: threads side by side read one weight
        k = item // rows
        r = item - k * rows
        dy, row = at(work, op[codes.DY] + r * op[codes.Y_STRIDE]), at(weights, k * stride)
        total = NUMBER(0.0)
        for j in range(op[codes.OUTPUTS]):
            total += operand(dy[j]) * operand(row[j])
        offset = r * op[codes.X_STRIDE] + k
        if simple:
            total *= derivative(function, work[op[codes.X] + offset], work[below[codes.Z] + offset], alpha)
        work[op[codes.DX] + offset] = total
        if not simple and op[codes.BY_ROWS] == 0:
            derivatives(ops, index, factors, work, r, 1, k, 1)
        item += threads.size


def dense_update(threads, op, work, params, slot_0, slot_1, rows, l2, descent):
    """The optimizer's step on all weights, whose gradients are x.T @ dy; the ones before x give that of the bias."""
    apart()
    columns, bias = op[codes.OUTPUTS], op[codes.BIAS]
    item = threads.rank
    while item < op[codes.PANEL] * columns:
        k = item // columns
        j = item - k * columns
        x, dy = at(work, op[codes.X] - bias + k), at(work, op[codes.DY] + j)
        g = NUMBER(0.0)
        for r in range(rows):
            g += operand(x[r * op[codes.X_STRIDE]]) * operand(dy[r * op[codes.Y_STRIDE]])
        offset = op[codes.WEIGHTS] + k * op[codes.PANELS] + j
        if l2 != 0.0 and k >= bias:  # the bias is not penalized
            g += l2_grad(params[offset], NUMBER(l2))
        descend(descent, params, slot_0, slot_1, offset, g)
        item += threads.size
