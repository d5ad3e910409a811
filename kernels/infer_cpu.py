"""Forward passes without stored activations: predictions, and losses with metrics for evaluation."""

from __future__ import annotations

from . import codes
from .activation_cpu import activation_forward, softmax
from .dense_cpu import COLUMNS, dense_forward, round_block, share
from .intrinsics import FLUSH_SUBNORMALS, at, float_mode, set_float_mode
from .jit import LANES
from .loss_cpu import loss_row, metric_row
from .sparse_cpu import STARTS, pointers, row_count, sparse_forward
from .team import barrier
from .vectors import load_row

BLOCK_ROWS = 96  # rows that go through the whole network together, a multiple of every tile's rows


def forward_block(ops, done, count, factors, params, rows, ping, pong, row):
    """Carry ``rows`` rows through the operations ``done`` .. count - 1.

    ``ping`` and ``pong`` are buffers of (BLOCK_ROWS, row); the input is in ``pong`` if one operation is done, else in
    ``ping``. Returns 1 if the result is in ``pong``, else 0.
    """
    source, in_pong = pong if done else ping, done
    for index in range(done, count):
        op, alpha = at(ops, index * COLUMNS), factors[index, codes.ALPHA]
        columns, vectors = op[codes.OUTPUTS], op[codes.PANELS]
        if op[codes.KIND] == codes.DENSE:
            in_pong = 1 - in_pong
            target = pong if in_pong else ping
            round_block(op, source, row, rows)
            # z is not kept: it is given the place of y
            dense_forward(op, params, source, row, target, row, target, 0, rows, 0, vectors, alpha)
            if op[codes.FUNCTION] == codes.SOFTMAX:
                softmax(target, row, rows, columns, vectors)
            source = target
        elif op[codes.KIND] != codes.DROPOUT:
            activation_forward(op[codes.FUNCTION], source, row, rows, columns, vectors, alpha)
    return in_pong


def infer_rows(rank, size, sync, run, ops, factors, scaling, x, features, y, weights, params, buffers, stats, outputs):
    """Predict or evaluate a member's share of the rows, block by block.

    Parameters
    ----------
    run : int64, as in ``train_steps``; LOSS = NO_LOSS for predictions
    scaling : (2,), factor and summand of every input
    x : (n, inputs), of the parameters' type or uint8, or ``features``, see ``sparse_cpu.py``
    y : (n, TARGETS), weights : (n,) or (0,)
    buffers : (size, 2 * BLOCK_ROWS * row + outputs), one row of buffers a member
    stats : float64 (n, 1 + metrics), written where there is a loss: weighted loss and metrics of each row
    outputs : (n, C), written where there is none
    """
    if not barrier(sync, size):
        return
    mode = float_mode()
    set_float_mode(mode | FLUSH_SUBNORMALS)
    count, code, metrics = ops.shape[0], run[codes.LOSS], run[codes.METRICS_COUNT]
    operations, inputs, parameters = at(ops, 0), at(x, 0), at(params, 0)
    last_op = at(ops, (count - 1) * COLUMNS)
    columns, vectors = last_op[codes.OUTPUTS], last_op[codes.PANELS]
    own = at(buffers, rank * buffers.shape[1])
    row = (buffers.shape[1] - vectors * LANES) // (2 * BLOCK_ROWS)
    ping, pong = own, at(own, BLOCK_ROWS * row)
    gradient = at(own, 2 * BLOCK_ROWS * row)  # not used, but loss_row writes it
    n, width = x.shape[0], operations[codes.INPUTS]
    entries, sparse = pointers(features), row_count(features) >= 0
    if sparse:
        n = row_count(features)
    blocks = (n + BLOCK_ROWS - 1) // BLOCK_ROWS
    start, stop = share(rank, size, blocks)
    for block in range(start, stop):
        first = block * BLOCK_ROWS
        rows = min(BLOCK_ROWS, n - first)
        if sparse:
            # z is not kept: it is given the place of y
            alpha = factors[0, codes.ALPHA]
            sparse_forward(
                operations, parameters, entries, entries[STARTS], 0, first, first + rows, pong, row, pong, alpha
            )
            if operations[codes.FUNCTION] == codes.SOFTMAX:
                softmax(pong, row, rows, operations[codes.OUTPUTS], operations[codes.PANELS])
        else:
            for r in range(rows):
                load_row(width, at(ping, r * row), at(inputs, (first + r) * width), scaling[0], scaling[1])
        in_pong = forward_block(operations, int(sparse), count, factors, parameters, rows, ping, pong, row)
        result = pong if in_pong else ping
        for r in range(rows):
            values = at(result, r * row)
            if code == codes.NO_LOSS:
                for j in range(columns):
                    outputs[first + r, j] = values[j]
            else:
                target = at(y, (first + r) * run[codes.TARGETS])
                weight = weights[first + r] if run[codes.WEIGHTED] else 1.0
                stats[first + r, 0] = weight * loss_row(code, values, target, gradient, columns, vectors, 1.0)
                for m in range(metrics):
                    stats[first + r, 1 + m] = metric_row(run[codes.METRICS_START + m], values, target, columns)
    set_float_mode(mode)
