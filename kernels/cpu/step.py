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
from ..operations.losses import factor_in_mean, limited_crossentropy, loss_row, row_metrics
from ..operations.optimizers import constants
from ..operations.random import FIRST_DROPOUT_STREAM
from ..operations.teamwork import barrier, share
from ..records import Descent, Team
from ..sizes import PART_ROWS
from .dense import dense_backward_input_share, dense_forward_share, dense_update_share
from .loss_columns import column_losses
from .row_segments import gradients_of_rows, update_by_segments
from .sparse import sparse_forward, transpose_batch


def gather(x, width, scaling, order, first, last, target, stride):
    """Scale rows order[first] .. order[last - 1] of x (n, width) into rows first .. last - 1 of ``target``."""
    for i in range(first, last):
        load_row(width, at(target, i * stride), at(x, order[i] * width), scaling[0], scaling[1])


def normalize_forward(rank, size, sync, op, factor, params, work, rows):
    """Normalize a batch: nothing, as this program is for networks that do not."""


def behind_pictures(run, network):
    """The operations on rows: all of them, as this program is for networks without pictures."""
    return network


def load_batch(team, run, network, data, features, memory, order, first_row, rows, step):
    """Bring ``rows`` rows of the batch from ``first_row`` to the input of the first operation on rows."""
    ops = network.ops
    first, last = share(team.rank, team.size, rows)
    if features is None:
        gather(
            data.x, ops[codes.INPUTS], data.scaling, order, first, last, at(memory.work, ops[codes.X]),
            ops[codes.X_STRIDE],
        )  # fmt: skip
    elif team.rank == 0:
        transpose_batch(features, order, rows, ops[codes.INPUTS])
    barrier(team.sync, team.size)


def picture_backward(team, run, descent, l2_scale, network, moments, memory, rows):
    """Gradients and update of operations on pictures: nothing, as this program is for networks without."""


def forward(team, run, network, features, work, order, first_row, rows, step):
    """All operations on ``rows`` rows of the batch from ``first_row``, a barrier after each.

    They are in the workspace or, if sparse, in ``features``.
    """
    params = network.params
    for index in range(network.count):
        op, factor = at(network.ops, index * COLUMNS), at(network.factors, index * FACTORS)
        first, last = share(team.rank, team.size, rows)
        if features is not None and index == 0:
            y = at(work, op[codes.Y] + first * op[codes.Y_STRIDE])
            z = at(work, op[codes.Z] + first * op[codes.Y_STRIDE])
            sparse_forward(
                op, params, features, order, 1, first, last, y, op[codes.Y_STRIDE], z, factor[codes.ALPHA]
            )
            if op[codes.FUNCTION] == codes.SOFTMAX:
                softmax(y, op[codes.Y_STRIDE], last - first, op[codes.OUTPUTS], op[codes.PANELS])
        elif op[codes.KIND] == codes.DENSE:
            dense_forward_share(team, op, params, work, rows, factor[codes.ALPHA])
        elif op[codes.KIND] >= codes.STANDARDIZE:
            normalize_forward(team.rank, team.size, team.sync, op, factor, params, work, rows)
        else:
            simple_forward(
                op, factor[codes.ALPHA], factor[codes.RATE], work, first, last, first_row, step,
                FIRST_DROPOUT_STREAM + op[codes.STREAM], run[codes.SEED_LOW], run[codes.SEED_HIGH],
            )  # fmt: skip
        barrier(team.sync, team.size)


def losses(run, op, work, data, order, first, last, scale, limit, factors, stats, scratch):
    """Loss, gradient and metrics of rows first .. last of the workspace, with which ``order`` and ``stats`` start.

    ``scale`` is the factor of the gradients, ``limit`` the largest loss of an output, or 0. ``factors`` are the
    parameters of the loss, then of each metric.
    """
    metrics, columns, stride = run[codes.METRICS_COUNT], op[codes.OUTPUTS], op[codes.Y_STRIDE]
    y, sample_weights, weighted, rows = data.y, data.sample_weights, run[codes.WEIGHTED], last - first
    outputs, gradients = at(work, op[codes.Y] + first * stride), at(work, op[codes.DY] + first * stride)
    chosen, row_stats = at(order, first), at(stats, first * (1 + metrics))
    if run[codes.METRICS_FIRST]:
        metrics_of_rows(run, outputs, stride, y, sample_weights, chosen, rows, columns, factors, row_stats)
    if columns == 1:
        column_losses(
            run, data, chosen, rows, outputs, gradients, stride, scale, factors, row_stats, scratch
        )
    for r in range(rows if columns > 1 or limit > 0.0 else 0):
        target, output = at(y, chosen[r] * run[codes.TARGETS]), at(outputs, r * stride)
        weight = sample_weights[chosen[r]] if weighted else 1.0
        if columns > 1:
            gradient = at(gradients, r * stride)
            value = loss_row(
                run[codes.LOSS], output, target, gradient, columns, op[codes.PANELS], weight * scale, factors
            )
            row_stats[r * (1 + metrics)] = weight * value
            if limit > 0.0 and run[codes.LOSS] == codes.SPARSE_CE_LOGITS and value > limit:
                row_stats[r * (1 + metrics)] = weight * limit
        if limit > 0.0 and run[codes.LOSS] == codes.BINARY_CE_LOGITS:
            row_stats[r * (1 + metrics)] = weight * limited_crossentropy(output, target, columns, limit)
    if metrics > 0 and not run[codes.METRICS_FIRST]:
        metrics_of_rows(run, outputs, stride, y, sample_weights, chosen, rows, columns, factors, row_stats)


def metrics_of_rows(run, outputs, stride, y, sample_weights, chosen, rows, columns, factors, stats):
    """Metrics of ``rows`` rows, found through ``chosen``; they are weighted where the mean is."""
    for r in range(rows):
        weight = sample_weights[chosen[r]] if run[codes.WEIGHTED_MEAN] else 1.0
        row_metrics(
            run, at(outputs, r * stride), at(y, chosen[r] * run[codes.TARGETS]), columns, weight, factors,
            at(stats, r * (1 + run[codes.METRICS_COUNT]) + 1),
        )  # fmt: skip


def penalty(network):
    """Sum of l2 * w**2 over all kernels; biases are not penalized."""
    total = 0.0
    for index in range(network.count):
        op, factor = at(network.ops, index * COLUMNS), at(network.factors, index * FACTORS)
        if factor[codes.L2] != 0.0:
            for panel in range(op[codes.PANELS]):
                offset = op[codes.WEIGHTS] + panel * op[codes.PANEL] + op[codes.BIAS] * LANES
                total += factor[codes.L2] * sum_of_squares(op[codes.INPUTS], at(network.params, offset))
    return total


def gradient_use(run, memory):
    """What an update does with the gradient of a tile, a code of an optimizer, and its first moments."""
    return run[codes.OPTIMIZER], memory.slot_0


def finish_step(team, run, hyper, descent, network, memory):
    """What is left of a step when all gradients are known: nothing."""


def normalize_backward(
    rank, size, sync, ops, index, factors, params, slot_0, slot_1, work, rows, descent
):
    """Gradients and update of a normalization: nothing, as this program is for networks without."""


def backward(team, descent, l2_scale, network, features, moments, memory, rows):
    """Gradients and optimizer steps from the last operation to the first; weights are read before they change."""
    for index in range(network.count - 1, -1, -1):
        op, factor = at(network.ops, index * COLUMNS), at(network.factors, index * FACTORS)
        if op[codes.KIND] != codes.DENSE:
            if op[codes.KIND] >= codes.BATCH_NORM:
                normalize_backward(
                    team.rank, team.size, team.sync, network.ops, index, network.factors, network.params, moments,
                    memory.slot_1, memory.work, rows, descent,
                )  # fmt: skip
            continue
        if op[codes.NEEDS_DX]:
            dense_backward_input_share(
                team, network.ops, index, network.factors, network.params, memory.work, memory.scratch, rows
            )
        dense_update_share(
            team, op, index, memory.work, features, network.params, moments, memory.slot_1, memory.scratch, rows,
            l2_scale * factor[codes.L2], descent,
        )  # fmt: skip
    barrier(team.sync, team.size)


def differentiate(
    team, run, hyper, network, data, features, memory, chosen, first_row, rows, row_factor, step
):
    """Forward pass of ``rows`` rows of the batch from ``first_row``, losses, and the gradient of the last dense layer.

    ``chosen`` is the order of the rows of the batch.
    """
    order, stats = at(chosen, first_row), at(memory.stats, first_row * (1 + run[codes.METRICS_COUNT]))
    load_batch(team, run, network, data, features, memory, order, first_row, rows, step)
    network = behind_pictures(run, network)
    ops, count, work = network.ops, network.count, memory.work
    first, last = share(team.rank, team.size, rows)
    forward(team, run, network, features, work, order, first_row, rows, step)
    scale, limit = NUMBER(row_factor * hyper[codes.LOSS_SCALE]), hyper[codes.LOSS_LIMIT]
    op = at(ops, (count - 1) * COLUMNS)
    losses(run, op, work, data, order, first, last, scale, limit, network.loss_factors, stats, memory.scratch)
    derivatives(ops, count, network.factors, work, first, last - first, 0, op[codes.PANELS])
    barrier(team.sync, team.size)


def add_rows(stats, rows, columns):
    """Add up ``rows`` rows of loss and metrics; the sums replace the first row."""
    for m in range(columns):
        total = 0.0
        for r in range(rows):
            total += stats[r * columns + m]
        stats[m] = total


def report(run, hyper, network, stats, segments, rows, row_factor, results):
    """Add to ``results`` the penalty and the sums that ``add_rows`` has left where each segment of the batch starts."""
    columns = 1 + run[codes.METRICS_COUNT]
    mean = float(rows) * row_factor if run[codes.WEIGHTED_MEAN] else 1.0
    results[0] += (mean if run[codes.L2_PER_ROW] else float(rows)) * penalty(network)
    for segment in range(segments):
        first, _ = share(segment, segments, rows)
        for m in range(columns):
            factor = mean * hyper[codes.LOSS_SCALE] if m == 0 else mean
            results[m] += factor * stats[first * columns + m]


def do_step(team, run, hyper, network, data, features, memory, epoch, batch_start, rows, counters):
    """One step on a batch: ``rows`` rows from ``batch_start`` in the order.

    ``counters`` are t, power_1 and power_2, whose new values are returned.
    """
    columns = 1 + run[codes.METRICS_COUNT]
    t, power_1, power_2 = counters
    chosen = at(data.order, batch_start)
    row_factor = factor_in_mean(run, data.sample_weights, chosen, rows)
    by_rows = run[codes.SEGMENTS] > 0
    segments = min(run[codes.SEGMENTS], rows) if by_rows else 0
    first_segment, last_segment = share(team.rank, team.size, segments) if by_rows else (0, 1)
    rank, size = (0, 1) if by_rows else (team.rank, team.size)
    members = Team(rank, size, team.sync)  # who work on the same rows
    for segment in range(first_segment, last_segment):
        first, last = share(segment, max(1, segments), rows)
        parts = (last - first + PART_ROWS - 1) // PART_ROWS if by_rows else 1
        for part in range(parts):
            begin, end = share(part, parts, last - first)
            part_rows = end - begin
            differentiate(
                members, run, hyper, network, data, features, memory, chosen, first + begin, part_rows, row_factor,
                int(t),
            )  # fmt: skip
            if by_rows:
                gradients = at(memory.gradients, segment * run[codes.PARAMETERS])
                gradients_of_rows(members, network, memory, part_rows, gradients, part > 0)
        if by_rows or team.rank == 0:
            add_rows(at(memory.stats, first * columns), last - first, columns)
    t, power_1, power_2 = t + 1.0, power_1 * hyper[codes.BETA_1], power_2 * hyper[codes.BETA_2]
    rate, momentum, epsilon, power_1 = constants(run[codes.OPTIMIZER], hyper, t, power_1, power_2)
    if by_rows:
        barrier(team.sync, team.size)
    if team.rank == 0:
        sums = at(memory.results, epoch * columns)
        report(run, hyper, network, memory.stats, max(1, segments), rows, row_factor, sums)
    barrier(team.sync, team.size)  # the penalty is read before the weights change
    l2_scale = row_factor if run[codes.L2_PER_ROW] else 1.0
    optimizer, moments = gradient_use(run, memory)
    one_minus_beta_1, one_minus_beta_2 = 1.0 - hyper[codes.BETA_1], 1.0 - hyper[codes.BETA_2]
    decay, nesterov = hyper[codes.LEARNING_RATE] * hyper[codes.WEIGHT_DECAY], hyper[codes.NESTEROV] != 0.0
    descent = Descent(optimizer, rate, momentum, one_minus_beta_1, one_minus_beta_2, epsilon, decay, nesterov)
    if by_rows:
        update_by_segments(
            team, descent, l2_scale, network, moments, memory, memory.gradients, run[codes.PARAMETERS], segments
        )
        barrier(team.sync, team.size)
    else:
        backward(team, descent, l2_scale, behind_pictures(run, network), features, moments, memory, rows)
        picture_backward(team, run, descent, l2_scale, network, moments, memory, rows)
    descent = Descent(
        run[codes.OPTIMIZER], rate, momentum, one_minus_beta_1, one_minus_beta_2, epsilon, decay, nesterov
    )
    finish_step(team, run, hyper, descent, network, memory)
    return t, power_1, power_2
