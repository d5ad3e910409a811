"""Dense layers and single elements of a network on a GPU: functions that the threads of a block share.

A thread takes elements ``thread``, ``thread + threads``, ... of what is to be computed. Weights stand row by row, the
bias as row 0; the column before the inputs of a layer holds ones.
"""

from __future__ import annotations

from ... import codes
from ...codes import COLUMNS, FACTORS
from ...element_types import NUMBER
from ...formulas.activations import (
    elu,
    elu_grad,
    exponential_grad,
    gelu,
    gelu_grad,
    leaky_relu,
    leaky_relu_grad,
    relu,
    relu_grad,
    selu,
    selu_grad,
    sigmoid_grad,
    silu,
    silu_grad,
    softplus,
    softplus_grad,
    step,
    tanh_grad,
)
from ...formulas.elementary import exp, sigmoid, tanh
from ...formulas.optimizers import l2_grad
from ...llvm.instructions import at
from ...operations.activations import softmax
from ...operations.elementwise import derivatives
from ...operations.optimizers import adagrad, adam, adamax, lion, nadam, nesterov, rmsprop, sgd
from ..jit import apart


def operand(x):
    """A number as a product takes it: itself; its twin of mixed precision is in ``cuda/variants.py``."""
    return x


def activate(function, z, alpha):
    """Activation of one number; softmax needs whole rows, so it is left out."""
    if function == codes.RELU:
        return relu(z)
    if function == codes.SIGMOID:
        return sigmoid(z)
    if function == codes.TANH:
        return tanh(z)
    if function == codes.LEAKY_RELU:
        return leaky_relu(z, alpha)
    if function == codes.ELU:
        return elu(z, alpha)
    if function == codes.SELU:
        return selu(z)
    if function == codes.GELU:
        return gelu(z)
    if function == codes.SILU:
        return silu(z)
    if function == codes.SOFTPLUS:
        return softplus(z)
    if function == codes.STEP:
        return step(z)
    if function == codes.EXPONENTIAL:
        return exp(z)
    return z


def derivative(function, y, z, alpha):
    """What the gradient of an activation's output y is multiplied by; softmax needs whole rows, so it is left out.

    z is what was before gelu and silu, and not looked at for others.
    """
    if function == codes.RELU:
        return relu_grad(y)
    if function == codes.SIGMOID:
        return sigmoid_grad(y)
    if function == codes.TANH:
        return tanh_grad(y)
    if function == codes.LEAKY_RELU:
        return leaky_relu_grad(y, alpha)
    if function == codes.ELU:
        return elu_grad(y, alpha)
    if function == codes.SELU:
        return selu_grad(y)
    if function == codes.GELU:
        return gelu_grad(z)
    if function == codes.SILU:
        return silu_grad(z)
    if function == codes.SOFTPLUS:
        return softplus_grad(y)
    if function == codes.EXPONENTIAL:
        return exponential_grad(y)
    return NUMBER(1.0)


def descend(optimizer, w, m, v, place, g, rate, momentum, share_1, share_2, epsilon, decay, with_nesterov):
    """The optimizer's step on the weight at ``place`` of w, whose moments stand there in m and v; see ``update``."""
    rate, momentum, share_1, share_2 = NUMBER(rate), NUMBER(momentum), NUMBER(share_1), NUMBER(share_2)
    epsilon, decay = NUMBER(epsilon), NUMBER(decay)
    old, moment, other = w[place], m[place], v[place]
    if optimizer == codes.ADAM or optimizer == codes.ADAMW:
        w[place], m[place], v[place] = adam(old, moment, other, g, rate, share_1, share_2, epsilon, decay)
    elif optimizer == codes.RMSPROP:
        w[place], m[place], v[place] = rmsprop(old, moment, other, g, rate, momentum, share_2, epsilon, decay)
    elif optimizer == codes.SGD:
        if with_nesterov:
            w[place], m[place] = nesterov(old, moment, g, momentum, rate, decay)
        else:
            w[place], m[place] = sgd(old, moment, g, momentum, rate, decay)
    elif optimizer == codes.ADAMAX:
        w[place], m[place], v[place] = adamax(old, moment, other, g, rate, share_1, share_2, epsilon, decay)
    elif optimizer == codes.LION:
        w[place], m[place] = lion(old, moment, g, rate, share_1, share_2, decay)
    elif optimizer == codes.NADAM:
        w[place], m[place], v[place] = nadam(old, moment, other, g, rate, momentum, share_1, share_2, epsilon, decay)
    elif optimizer == codes.ADAGRAD:
        w[place], m[place] = adagrad(old, moment, g, rate, epsilon, decay)
    elif optimizer == codes.GRADIENT:
        m[place] = g


def dense_forward(thread, threads, op, params, work, rows, alpha):
    """y = activation(x @ W + b) of all rows; a distinct z keeps x @ W + b. A softmax is left to the caller."""
    apart()
    columns, stride, bias = op[codes.OUTPUTS], op[codes.PANELS], op[codes.BIAS]
    weights, count = at(params, op[codes.WEIGHTS]), op[codes.INPUTS]
    index = thread
    while index < rows * columns:
        r = index // columns
        j = index - r * columns
        x = at(work, op[codes.X] + r * op[codes.X_ROW])
        z = weights[j] if bias else NUMBER(0.0)
        column = at(weights, bias * stride + j)
        for k in range(count):
            z += operand(x[k]) * operand(column[k * stride])
        place = r * op[codes.Y_ROW] + j
        if op[codes.Z] != op[codes.Y]:
            work[op[codes.Z] + place] = z
        work[op[codes.Y] + place] = activate(op[codes.FUNCTION], z, alpha)
        index += threads


def softmax_rows(thread, threads, op, work, rows):
    """Softmax of an operation's outputs, a row to a thread."""
    apart()
    r = thread
    while r < rows:
        softmax(at(work, op[codes.Y] + r * op[codes.Y_ROW]), 0, 1, op[codes.OUTPUTS], op[codes.PANELS])
        r += threads


def dense_backward_input(thread, threads, ops, index, factors, params, work, rows):
    """dx = dy @ W.T, taken back through the elementwise operations that made x, unless those need whole rows."""
    apart()
    op, below = at(ops, index * COLUMNS), at(ops, (index - 1) * COLUMNS)
    function, alpha = below[codes.FUNCTION], factors[(index - 1) * FACTORS + codes.ALPHA]
    simple = op[codes.BY_ROWS] == 0 and below[codes.KIND] == codes.DENSE
    inputs, stride = op[codes.INPUTS], op[codes.PANELS]
    weights = at(params, op[codes.WEIGHTS] + op[codes.BIAS] * stride)
    item = thread
    while item < rows * inputs:  # rows first: threads side by side read one weight
        k = item // rows
        r = item - k * rows
        dy, row = at(work, op[codes.DY] + r * op[codes.Y_ROW]), at(weights, k * stride)
        total = NUMBER(0.0)
        for j in range(op[codes.OUTPUTS]):
            total += operand(dy[j]) * operand(row[j])
        place = r * op[codes.X_ROW] + k
        if simple:
            total *= derivative(function, work[op[codes.X] + place], work[below[codes.Z] + place], alpha)
        work[op[codes.DX] + place] = total
        if not simple and op[codes.BY_ROWS] == 0:
            derivatives(ops, index, factors, work, r, 1, k, 1)
        item += threads


def derivatives_of_rows(thread, threads, ops, index, factors, work, rows):
    """Take the gradient of whole rows back through the elementwise operations below operation ``index``."""
    r = thread
    while r < rows:
        derivatives(ops, index, factors, work, r, 1, 0, ops[(index - 1) * COLUMNS + codes.PANELS])
        r += threads


def dense_update(
    thread, threads, op, work, params, slot_0, slot_1, rows, optimizer, l2,
    rate, momentum, share_1, share_2, epsilon, decay, with_nesterov,
):  # fmt: skip
    """The optimizer's step on all weights, whose gradients are x.T @ dy; the ones before x give that of the bias."""
    apart()
    columns, bias = op[codes.OUTPUTS], op[codes.BIAS]
    item = thread
    while item < op[codes.PANEL] * columns:
        k = item // columns
        j = item - k * columns
        x, dy = at(work, op[codes.X] - bias + k), at(work, op[codes.DY] + j)
        g = NUMBER(0.0)
        for r in range(rows):
            g += operand(x[r * op[codes.X_ROW]]) * operand(dy[r * op[codes.Y_ROW]])
        place = op[codes.WEIGHTS] + k * op[codes.PANELS] + j
        if l2 != 0.0 and k >= bias:  # the bias is not penalised
            g += l2_grad(params[place], NUMBER(l2))
        descend(
            optimizer, params, slot_0, slot_1, place, g, rate, momentum, share_1, share_2, epsilon, decay, with_nesterov
        )
        item += threads
