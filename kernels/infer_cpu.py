"""Forward passes without stored activations: predictions, and losses with metrics for evaluation."""

from __future__ import annotations

from .activation_cpu import activation_forward, copy_vectors, softmax
from .codes import (
    ALPHA, DENSE, DROPOUT, FUNCTION, INPUTS, KIND, LOSS, METRICS_COUNT, METRICS_START, OUTPUTS, PANELS, SOFTMAX, TARGETS,
    WEIGHTED,
)  # fmt: skip
from .dense_cpu import COLUMNS, dense_forward, share
from .intrinsics import FLUSH_SUBNORMALS, at, float_mode, set_float_mode
from .jit import LANES
from .loss_cpu import loss_row, metric_row
from .team import barrier

BLOCK_ROWS = 96  # rows that go through the whole network together, a multiple of every tile's rows
NO_LOSS = -1


def forward_block(ops, count, factors, params, x, rows, ping, pong, row):
    """Carry ``rows`` rows of x (rows, INPUTS of the first operation) through all operations.

    ``ping`` and ``pong`` are buffers of (BLOCK_ROWS, row). Returns 1 if the result is in ``pong``, else 0.
    """
    source, source_row = x, ops[INPUTS]
    if ops[KIND] != DENSE:  # only dense operations read rows that are not whole vectors
        for r in range(rows):
            for j in range(source_row):
                ping[r * row + j] = x[r * source_row + j]
        source, source_row = ping, row
    in_pong = 0
    for index in range(count):
        op = at(ops, index * COLUMNS)
        if op[KIND] == DENSE:
            in_pong = 1 - in_pong
            target = pong if in_pong else ping
            # z is not kept: it is given the place of y
            dense_forward(
                op, params, source, source_row, target, row, target, 0, rows, 0, op[PANELS], factors[index, ALPHA]
            )
            if op[FUNCTION] == SOFTMAX:
                softmax(target, row, rows, op[OUTPUTS], op[PANELS])
            source, source_row = target, row
        elif op[KIND] != DROPOUT:
            activation_forward(op[FUNCTION], source, row, rows, op[OUTPUTS], op[PANELS], factors[index, ALPHA])
    return in_pong


def infer_rows(rank, size, sync, run, ops, factors, x, y, weights, params, buffers, stats, outputs):
    """Predict or evaluate a member's share of the rows, block by block.

    Parameters
    ----------
    run : int64, as in ``train_steps``; LOSS = NO_LOSS for predictions
    x : (n * inputs,), y : (n * TARGETS,), weights : (n,) or (0,)
    buffers : (size, 2 * BLOCK_ROWS * row + outputs), one row of buffers a member
    stats : float64 (n, 1 + metrics), written where there is a loss: weighted loss and metrics of each row
    outputs : (n, C), written where there is none
    """
    if not barrier(sync, size):
        return
    mode = float_mode()
    set_float_mode(mode | FLUSH_SUBNORMALS)
    count, code, metrics = ops.shape[0], run[LOSS], run[METRICS_COUNT]
    operations, inputs, parameters = at(ops, 0), at(x, 0), at(params, 0)
    last_op = at(ops, (count - 1) * COLUMNS)
    columns, vectors = last_op[OUTPUTS], last_op[PANELS]
    own = at(buffers, rank * buffers.shape[1])
    row = (buffers.shape[1] - vectors * LANES) // (2 * BLOCK_ROWS)
    ping, pong = own, at(own, BLOCK_ROWS * row)
    gradient = at(own, 2 * BLOCK_ROWS * row)  # not used, but loss_row writes it
    n = x.size // operations[INPUTS]
    blocks = (n + BLOCK_ROWS - 1) // BLOCK_ROWS
    start, stop = share(rank, size, blocks)
    for block in range(start, stop):
        first = block * BLOCK_ROWS
        rows = min(BLOCK_ROWS, n - first)
        in_pong = forward_block(
            operations, count, factors, parameters, at(inputs, first * operations[INPUTS]), rows, ping, pong, row
        )
        result = pong if in_pong else ping
        for r in range(rows):
            values = at(result, r * row)
            if code == NO_LOSS:
                for j in range(columns):
                    outputs[first + r, j] = values[j]
            else:
                target = at(y, (first + r) * run[TARGETS])
                weight = weights[first + r] if run[WEIGHTED] else 1.0
                stats[first + r, 0] = weight * loss_row(code, values, target, gradient, columns, vectors, 1.0)
                for m in range(metrics):
                    stats[first + r, 1 + m] = metric_row(run[METRICS_START + m], values, target, columns)
    set_float_mode(mode)
