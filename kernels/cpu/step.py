"""One step of training: gather the batch, forward, loss, backward with the optimizer inside.

There are barriers between where a team works on it. Sums over rows and over the batch have one order, so the result
does not depend on the size of the team.
"""

from __future__ import annotations

from .. import codes
from ..codes import COLUMNS, FACTORS
from ..element_types import LANES, NUMBER
from ..llvm.instructions import at
from ..llvm.vectors import load_row, sum_of_squares
from ..operations.activations import softmax
from ..operations.elementwise import derivatives, simple_forward
from ..operations.losses import limited_crossentropy, loss_row, row_metrics, unit_share
from ..operations.optimizers import constants
from ..operations.random import FIRST_DROPOUT_STREAM
from ..operations.teamwork import barrier, share
from ..records import Descent
from ..sizes import PART_ROWS
from .dense import dense_backward_input_share, dense_forward_share, dense_update_share
from .loss_columns import column_losses
from .row_segments import gradients_of_rows, update_by_rows
from .sparse import sparse_forward, transpose_batch


def gather(x, width, scaling, order, first, last, target, row):
    """Scale rows order[first] .. order[last - 1] of x (n, width) into rows first .. last - 1 of ``target``."""
    for i in range(first, last):
        load_row(width, at(target, i * row), at(x, order[i] * width), scaling[0], scaling[1])


def normalise_forward(rank, size, sync, op, factor, params, work, rows):
    """Normalize a batch: nothing, as this program is for networks that do not."""


def forward(
    rank, size, sync, ops, count, factors, params, work, features, order, place, rows, step, key_0, key_1
):
    """All operations on ``rows`` rows of the batch from ``place``, a barrier after each.

    They are in the workspace or, if sparse, in ``features``.
    """
    for index in range(count):
        op, factor = at(ops, index * COLUMNS), at(factors, index * FACTORS)
        first, last = share(rank, size, rows)
        if features is not None and index == 0:
            y, z = at(work, op[codes.Y] + first * op[codes.Y_ROW]), at(work, op[codes.Z] + first * op[codes.Y_ROW])
            sparse_forward(
                op, params, features, order, 1, first, last, y, op[codes.Y_ROW], z, factor[codes.ALPHA]
            )
            if op[codes.FUNCTION] == codes.SOFTMAX:
                softmax(y, op[codes.Y_ROW], last - first, op[codes.OUTPUTS], op[codes.PANELS])
        elif op[codes.KIND] == codes.DENSE:
            dense_forward_share(rank, size, sync, op, params, work, rows, factor[codes.ALPHA])
        elif op[codes.KIND] >= codes.STANDARDIZE:
            normalise_forward(rank, size, sync, op, factor, params, work, rows)
        else:
            simple_forward(
                op, factor[codes.ALPHA], factor[codes.RATE], work, first, last, place, step,
                FIRST_DROPOUT_STREAM + index, key_0, key_1,
            )  # fmt: skip
        barrier(sync, size)


def losses(run, op, work, y, weights, order, first, last, scale, limit, factors, stats, scratch):
    """Loss, gradient and metrics of rows first .. last of the batch; ``order`` starts at the batch.

    ``scale`` is the factor of the gradients, ``limit`` the largest loss of an output, or 0. ``factors`` are the
    parameters of the loss, then of each metric.
    """
    metrics, columns, row = run[codes.METRICS_COUNT], op[codes.OUTPUTS], op[codes.Y_ROW]
    weighted, rows = run[codes.WEIGHTED], last - first
    outputs, gradients = at(work, op[codes.Y] + first * row), at(work, op[codes.DY] + first * row)
    chosen, row_stats = at(order, first), at(stats, first * (1 + metrics))
    if run[codes.METRICS_FIRST]:
        metrics_of_rows(run, outputs, row, y, weights, chosen, rows, columns, factors, row_stats)
    if columns == 1:
        column_losses(
            run[codes.LOSS], outputs, row, gradients, y, weights, weighted, chosen, rows, scale, factors,
            row_stats, 1 + metrics, scratch,
        )  # fmt: skip
    for r in range(rows if columns > 1 or limit > 0.0 else 0):
        target, output = at(y, chosen[r] * run[codes.TARGETS]), at(outputs, r * row)
        weight = weights[chosen[r]] if weighted else 1.0
        if columns > 1:
            gradient = at(gradients, r * row)
            value = loss_row(
                run[codes.LOSS], output, target, gradient, columns, op[codes.PANELS], weight * scale, factors
            )
            row_stats[r * (1 + metrics)] = weight * value
            if limit > 0.0 and run[codes.LOSS] == codes.SPARSE_CE_LOGITS and value > limit:
                row_stats[r * (1 + metrics)] = weight * limit
        if limit > 0.0 and run[codes.LOSS] == codes.BINARY_CE_LOGITS:
            row_stats[r * (1 + metrics)] = weight * limited_crossentropy(output, target, columns, limit)
    if metrics > 0 and not run[codes.METRICS_FIRST]:
        metrics_of_rows(run, outputs, row, y, weights, chosen, rows, columns, factors, row_stats)


def metrics_of_rows(run, outputs, row, y, weights, chosen, rows, columns, factors, stats):
    """Metrics of ``rows`` rows, found through ``chosen``; they are weighted where the mean is."""
    for r in range(rows):
        weight = weights[chosen[r]] if run[codes.WEIGHTED_MEAN] else 1.0
        row_metrics(
            run, at(outputs, r * row), at(y, chosen[r] * run[codes.TARGETS]), columns, weight, factors,
            at(stats, r * (1 + run[codes.METRICS_COUNT]) + 1),
        )  # fmt: skip


def penalty(ops, count, factors, params):
    """Sum of l2 * w**2 over all kernels; biases are not penalised."""
    total = 0.0
    for index in range(count):
        op, factor = at(ops, index * COLUMNS), at(factors, index * FACTORS)
        if factor[codes.L2] != 0.0:
            for panel in range(op[codes.PANELS]):
                place = op[codes.WEIGHTS] + panel * op[codes.PANEL] + op[codes.BIAS] * LANES
                total += factor[codes.L2] * sum_of_squares(op[codes.INPUTS], at(params, place))
    return total


def gradient_use(run, slot_0, gradients):
    """What an update does with the gradient of a tile, a code of an optimizer, and its first moments."""
    return run[codes.OPTIMIZER], slot_0


def finish_step(
    rank, size, sync, run, hyper, descent, ops, count, params, slot_0, slot_1, gradients, sums, scratch
):
    """What is left of a step when all gradients are known: nothing."""


def normalise_backward(
    rank, size, sync, ops, index, factors, params, slot_0, slot_1, work, rows, descent
):
    """Gradients and update of a normalization: nothing, as this program is for networks without."""


def backward(
    rank, size, sync, descent, l2_scale, ops, count, factors, params, slot_0, slot_1, work, features, scratch, rows,
):  # fmt: skip
    """Gradients and optimizer steps from the last operation to the first; weights are read before they change."""
    for index in range(count - 1, -1, -1):
        op, factor = at(ops, index * COLUMNS), at(factors, index * FACTORS)
        if op[codes.KIND] != codes.DENSE:
            if op[codes.KIND] >= codes.BATCH_NORM:
                normalise_backward(
                    rank, size, sync, ops, index, factors, params, slot_0, slot_1, work, rows, descent,
                )  # fmt: skip
            continue
        if op[codes.NEEDS_DX]:
            dense_backward_input_share(rank, size, sync, ops, index, factors, params, work, scratch, rows)
        dense_update_share(
            rank, size, op, index, work, features, params, slot_0, slot_1, scratch, rows,
            l2_scale * factor[codes.L2], descent,
        )  # fmt: skip
    barrier(sync, size)


def differentiate(
    rank, size, sync, run, hyper, ops, count, factors, loss_factors, scaling, x, features, y, weights, params, work,
    scratch, order, place, rows, unit, step, stats,
):  # fmt: skip
    """Way forward of ``rows`` rows of the batch from ``place``, their losses, and the gradient of the last dense layer.

    ``order`` and ``stats`` start at ``place``.
    """
    first, last = share(rank, size, rows)
    if features is None:
        gather(at(x, 0), ops[codes.INPUTS], scaling, order, first, last, at(work, ops[codes.X]), ops[codes.X_ROW])
    elif rank == 0:
        transpose_batch(features, order, rows, ops[codes.INPUTS])
    barrier(sync, size)
    forward(
        rank, size, sync, ops, count, factors, params, work, features, order, place, rows, step,
        run[codes.SEED_LOW], run[codes.SEED_HIGH],
    )  # fmt: skip
    scale, limit = NUMBER(unit * hyper[codes.LOSS_SCALE]), hyper[codes.LOSS_LIMIT]
    output_op = at(ops, (count - 1) * COLUMNS)
    losses(run, output_op, work, y, weights, order, first, last, scale, limit, loss_factors, stats, scratch)
    derivatives(ops, count, factors, work, first, last - first, 0, output_op[codes.PANELS])
    barrier(sync, size)


def add_rows(stats, rows, columns):
    """Add up ``rows`` rows of loss and metrics; the sums take the place of the first."""
    for m in range(columns):
        total = 0.0
        for r in range(rows):
            total += stats[r * columns + m]
        stats[m] = total


def report(run, hyper, ops, count, factors, params, stats, segments, rows, unit, results):
    """Add to ``results`` the penalty and the sums that ``add_rows`` has left where each segment of the batch starts."""
    columns = 1 + run[codes.METRICS_COUNT]
    mean = float(rows) * unit if run[codes.WEIGHTED_MEAN] else 1.0
    results[0] += (mean if run[codes.L2_PER_ROW] else float(rows)) * penalty(ops, count, factors, params)
    for segment in range(segments):
        first, _ = share(segment, segments, rows)
        for m in range(columns):
            factor = mean * hyper[codes.LOSS_SCALE] if m == 0 else mean
            results[m] += factor * stats[first * columns + m]


def do_step(
    rank, size, sync, run, hyper, ops, count, factors, loss_factors, scaling, x, features, y, weights, order, params,
    slot_0, slot_1, work, gradients, scratch, stats, results, epoch, place, rows, t, power_1, power_2,
):  # fmt: skip
    """One step on ``rows`` rows of the batch from ``place``; return the new t, power_1 and power_2."""
    columns = 1 + run[codes.METRICS_COUNT]
    chosen = at(order, place)
    unit = unit_share(run, weights, chosen, rows)
    by_rows = run[codes.SEGMENTS] > 0
    segments = min(run[codes.SEGMENTS], rows) if by_rows else 0
    first_segment, last_segment = share(rank, size, segments) if by_rows else (0, 1)
    for segment in range(first_segment, last_segment):
        first, last = share(segment, max(1, segments), rows)
        member, members = (0, 1) if by_rows else (rank, size)
        parts = (last - first + PART_ROWS - 1) // PART_ROWS if by_rows else 1
        for part in range(parts):
            begin, end = share(part, parts, last - first)
            row, part_rows = first + begin, end - begin
            differentiate(
                member, members, sync, run, hyper, ops, count, factors, loss_factors, scaling, x, features, y,
                weights, params, work, scratch, at(chosen, row), row, part_rows, unit, int(t),
                at(stats, row * columns),
            )  # fmt: skip
            if by_rows:
                gradients_of_rows(
                    sync, ops, count, factors, params, work, scratch, part_rows,
                    at(gradients, segment * run[codes.PARAMETERS]), part > 0,
                )  # fmt: skip
        if by_rows or rank == 0:
            add_rows(at(stats, first * columns), last - first, columns)
    t, power_1, power_2 = t + 1.0, power_1 * hyper[codes.BETA_1], power_2 * hyper[codes.BETA_2]
    rate, momentum, epsilon, power_1 = constants(run[codes.OPTIMIZER], hyper, t, power_1, power_2)
    if by_rows:
        barrier(sync, size)
    if rank == 0:
        sums = at(results, epoch * columns)
        report(run, hyper, ops, count, factors, params, stats, max(1, segments), rows, unit, sums)
    barrier(sync, size)  # the penalty is read before the weights change
    l2_scale = unit if run[codes.L2_PER_ROW] else 1.0
    optimizer, moments = gradient_use(run, slot_0, gradients)
    share_1, share_2 = 1.0 - hyper[codes.BETA_1], 1.0 - hyper[codes.BETA_2]
    decay, nesterov = hyper[codes.LEARNING_RATE] * hyper[codes.WEIGHT_DECAY], hyper[codes.NESTEROV] != 0.0
    descent = Descent(optimizer, rate, momentum, share_1, share_2, epsilon, decay, nesterov)
    if by_rows:
        update_by_rows(
            rank, size, run, descent, l2_scale, ops, count, factors, params, moments, slot_1, gradients, segments,
        )  # fmt: skip
        barrier(sync, size)
    else:
        backward(
            rank, size, sync, descent, l2_scale, ops, count, factors, params, moments, slot_1, work, features, scratch,
            rows,
        )  # fmt: skip
    finish_step(
        rank, size, sync, run, hyper,
        Descent(run[codes.OPTIMIZER], rate, momentum, share_1, share_2, epsilon, decay, nesterov), ops, count, params,
        slot_0, slot_1, gradients, at(stats, run[codes.BATCH] * columns), scratch,
    )  # fmt: skip
    return t, power_1, power_2
