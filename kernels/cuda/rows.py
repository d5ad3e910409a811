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


def softmax_rows(thread, threads, op, work, rows):
    """Softmax of an operation's outputs, a row to a thread."""
    apart()
    r = thread
    while r < rows:
        softmax(at(work, op[codes.Y] + r * op[codes.Y_ROW]), 0, 1, op[codes.OUTPUTS], op[codes.PANELS])
        r += threads


def derivatives_of_rows(thread, threads, ops, index, factors, work, rows):
    """Take the gradient of whole rows back through the elementwise operations below operation ``index``."""
    r = thread
    while r < rows:
        derivatives(ops, index, factors, work, r, 1, 0, ops[(index - 1) * COLUMNS + codes.PANELS])
        r += threads


def gather(thread, threads, x, width, scaling, order, rows, target, row):
    """Scale rows order[0] .. order[rows - 1] of x (n, width) into the workspace."""
    apart()
    i = thread
    while i < rows * width:
        r = i // width
        k = i - r * width
        target[r * row + k] = NUMBER(x[order[r] * width + k]) * scaling[0] + scaling[1]
        i += threads


def loss_of_row(run, z, target, gradient, columns, weight, scale, limit, factors, stats):
    """Weighted loss and metrics of one row, its gradient, and outputs in the place of logits z."""
    code, share = run[codes.LOSS], weight if run[codes.WEIGHTED_MEAN] else NUMBER(1.0)
    if run[codes.METRICS_FIRST]:
        row_metrics(run, z, target, columns, share, factors, at(stats, 1))
    value = loss_row(code, z, target, gradient, columns, columns, weight * scale, factors)
    if limit > 0.0:
        if code == codes.SPARSE_CE_LOGITS and value > limit:
            value = NUMBER(limit)
        elif code == codes.BINARY_CE_LOGITS:
            value = limited_crossentropy(z, target, columns, NUMBER(limit))
    stats[0] = weight * value
    if not run[codes.METRICS_FIRST]:
        row_metrics(run, z, target, columns, share, factors, at(stats, 1))


def losses(thread, threads, run, ops, count, factors, work, y, weights, order, rows, scale, limit, loss_factors, stats):
    """Losses of the batch, a row to a thread, and the gradient before the last elementwise operations."""
    apart()
    op = at(ops, (count - 1) * COLUMNS)
    row, columns = op[codes.Y_ROW], 1 + run[codes.METRICS_COUNT]
    r = thread
    while r < rows:
        weight = weights[order[r]] if run[codes.WEIGHTED] else NUMBER(1.0)
        loss_of_row(
            run, at(work, op[codes.Y] + r * row), at(y, order[r] * run[codes.TARGETS]),
            at(work, op[codes.DY] + r * row), op[codes.OUTPUTS], weight, scale, limit, loss_factors,
            at(stats, r * columns),
        )  # fmt: skip
        derivatives(ops, count, factors, work, r, 1, 0, op[codes.PANELS])
        r += threads


def penalty_share(thread, threads, ops, count, factors, params):
    """A thread's share of the sum of l2 * w**2 over all kernels, in float64."""
    apart()
    total = float(0)
    for index in range(count):
        op, l2 = at(ops, index * COLUMNS), factors[index * FACTORS + codes.L2]
        if l2 != 0.0:
            kernel = at(params, op[codes.WEIGHTS] + op[codes.BIAS] * op[codes.PANELS])
            i = thread
            while i < op[codes.INPUTS] * op[codes.PANELS]:
                total += l2 * kernel[i] * kernel[i]
                i += threads
    return total
