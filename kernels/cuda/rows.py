"""Rows of a batch on a GPU, and what is added up over them: functions that threads share, each one item at a time."""

from __future__ import annotations

from .. import codes
from ..codes import COLUMNS, FACTORS
from ..element_types import NUMBER
from ..llvm.instructions import at
from ..operations.activations import softmax
from ..operations.elementwise import derivatives
from ..operations.losses import limited_crossentropy, loss_row, row_metrics
from .jit import apart


def softmax_rows(threads, op, work, rows):
    """Softmax of an operation's outputs, a row to a thread."""
    apart()
    r = threads.rank
    while r < rows:
        softmax(at(work, op[codes.Y] + r * op[codes.Y_STRIDE]), 0, 1, op[codes.OUTPUTS], op[codes.PANELS])
        r += threads.size


def derivatives_of_rows(threads, ops, index, factors, work, rows):
    """Take the gradient of whole rows back through the elementwise operations below operation ``index``."""
    r = threads.rank
    while r < rows:
        derivatives(ops, index, factors, work, r, 1, 0, ops[(index - 1) * COLUMNS + codes.PANELS])
        r += threads.size


def gather(threads, op, x, scaling, order, rows, work):
    """Scale rows order[0] .. order[rows - 1] of x into the workspace, the inputs of the first operation."""
    apart()
    width, stride, target = op[codes.INPUTS], op[codes.X_STRIDE], at(work, op[codes.X])
    i = threads.rank
    while i < rows * width:
        r = i // width
        k = i - r * width
        target[r * stride + k] = NUMBER(x[order[r] * width + k]) * scaling[0] + scaling[1]
        i += threads.size


def loss_of_row(run, z, target, gradient, columns, weight, scale, limit, factors, stats):
    """Weighted loss and metrics of one row, its gradient, and outputs instead of logits in z."""
    code, metric_weight = run[codes.LOSS], weight if run[codes.WEIGHTED_MEAN] else NUMBER(1.0)
    if run[codes.METRICS_FIRST]:
        row_metrics(run, z, target, columns, metric_weight, factors, at(stats, 1))
    value = loss_row(code, z, target, gradient, columns, columns, weight * scale, factors)
    if limit > 0.0:
        if code == codes.SPARSE_CE_LOGITS and value > limit:
            value = NUMBER(limit)
        elif code == codes.BINARY_CE_LOGITS:
            value = limited_crossentropy(z, target, columns, NUMBER(limit))
    stats[0] = weight * value
    if not run[codes.METRICS_FIRST]:
        row_metrics(run, z, target, columns, metric_weight, factors, at(stats, 1))


def losses(threads, run, op, work, y, sample_weights, order, rows, scale, limit, factors, stats):
    """Loss, metrics and gradient of the outputs of the last operation, a row to a thread."""
    apart()
    stride, columns = op[codes.Y_STRIDE], 1 + run[codes.METRICS_COUNT]
    r = threads.rank
    while r < rows:
        weight = sample_weights[order[r]] if run[codes.WEIGHTED] else NUMBER(1.0)
        loss_of_row(
            run, at(work, op[codes.Y] + r * stride), at(y, order[r] * run[codes.TARGETS]),
            at(work, op[codes.DY] + r * stride), op[codes.OUTPUTS], weight, scale, limit, factors,
            at(stats, r * columns),
        )  # fmt: skip
        r += threads.size


def penalty(threads, network):
    """A thread's part of the sum of l2 * w**2 over all kernels, in float64."""
    apart()
    total = float(0)
    for index in range(network.count):
        op, l2 = at(network.ops, index * COLUMNS), network.factors[index * FACTORS + codes.L2]
        if l2 != 0.0:
            kernel = at(network.params, op[codes.WEIGHTS] + op[codes.BIAS] * op[codes.PANELS])
            i = threads.rank
            while i < op[codes.INPUTS] * op[codes.PANELS]:
                total += l2 * kernel[i] * kernel[i]
                i += threads.size
    return total
