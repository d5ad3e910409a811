"""Forward passes without stored activations: predictions, and losses with metrics for evaluation."""

from __future__ import annotations

from .. import codes
from ..codes import COLUMNS, FACTORS
from ..element_types import LANES, NUMBER
from ..llvm.instructions import PROGRAM_MODE, as_float64, at, float_mode, pointers, set_float_mode
from ..llvm.vectors import load_row, zero_if_finite
from ..operations.activations import activation_forward, softmax
from ..operations.losses import loss_row, row_metrics
from ..operations.teamwork import barrier, share
from .dense import begin_products, dense_forward, end_products, round_block
from .output_links import finish_rows
from .row_per_lane import forward_groups, load_groups, unload_column, unload_groups
from .sparse import STARTS, sparse_forward
from .step import behind_pictures

BLOCK_ROWS = 96  # rows that go through the whole network together, a multiple of every tile's rows


def normalize(op, factor, params, x, row_stride, rows, spare):
    """Normalize rows: nothing, as this program is for networks that do not."""


def input_width(ops):
    """Elements of a row of inputs."""
    return ops[codes.INPUTS]


def load_rows(run, network, data, first, rows, target, stride, work):
    """Bring ``rows`` rows from ``first`` to the input of the first operation on rows; ``work`` is for pictures."""
    width = network.ops[codes.INPUTS]
    for r in range(rows):
        load_row(width, at(target, r * stride), at(data.x, (first + r) * width), data.scaling[0], data.scaling[1])


def forward_block(network, done, rows, ping, pong, row_stride):
    """Carry ``rows`` rows through the operations from ``done`` on.

    ``ping`` and ``pong`` are buffers of (BLOCK_ROWS, row_stride); the input is in ``pong`` if one operation is done,
    else in ``ping``. Returns 1 if the result is in ``pong``, else 0.
    """
    source, in_pong = pong if done else ping, done
    for index in range(done, network.count):
        op, factor = at(network.ops, index * COLUMNS), at(network.factors, index * FACTORS)
        alpha = factor[codes.ALPHA]
        columns, vectors = op[codes.OUTPUTS], op[codes.PANELS]
        if op[codes.KIND] == codes.DENSE:
            in_pong = 1 - in_pong
            target = pong if in_pong else ping
            round_block(op, source, row_stride, rows)
            # z is not kept: y is passed for both
            dense_forward(
                op, network.params, source, row_stride, target, row_stride, target, 0, rows, 0, vectors, alpha
            )
            if op[codes.FUNCTION] == codes.SOFTMAX:
                softmax(target, row_stride, rows, columns, vectors)
            source = target
        elif op[codes.KIND] >= codes.STANDARDIZE:
            spare = ping if in_pong else pong
            normalize(op, factor, network.params, source, row_stride, rows, spare)
        elif op[codes.KIND] == codes.ACTIVATION:
            activation_forward(op[codes.FUNCTION], source, row_stride, rows, columns, vectors, alpha)
    return in_pong


def do_blocks(
    run, network, data, features, buffer, row_stride, stats, outputs, finished, start, stop, n
):
    """``infer_rows`` for blocks start .. stop - 1 of ``n`` rows, on pointers.

    Rows in ``buffer`` are ``row_stride`` elements apart. Returns 0, or NaN if there are NaN or infinities in x.
    """
    trace = NUMBER(0.0)
    whole, network = network, behind_pictures(run, network)
    ops, params, loss_factors, x, scaling = network.ops, network.params, network.loss_factors, data.x, data.scaling
    code, metrics, width = run[codes.LOSS], run[codes.METRICS_COUNT], input_width(whole.ops)
    link = run[codes.LINK]
    last_op = at(ops, (network.count - 1) * COLUMNS)
    columns, vectors = last_op[codes.OUTPUTS], last_op[codes.PANELS]
    ping, pong = buffer, at(buffer, BLOCK_ROWS * row_stride)
    gradient = at(buffer, 2 * BLOCK_ROWS * row_stride)  # not used, but loss_row writes it
    work = at(gradient, vectors * LANES)
    in_lanes = features is None and run[codes.IN_LANES] != 0 and n > LANES
    group_stride = (row_stride - LANES + 1) * LANES
    for block in range(start, stop):
        first = block * BLOCK_ROWS
        rows = min(BLOCK_ROWS, n - first)
        if features is None:
            trace += NUMBER(zero_if_finite(rows * width, at(x, first * width)))
        if in_lanes:
            groups = (rows + LANES - 1) // LANES
            load_groups(rows, width, ping, group_stride, at(x, first * width), scaling)
            in_pong = forward_groups(network, groups, ping, pong, group_stride)
            source, result = (pong, ping) if in_pong else (ping, pong)
            if columns == 1 and code == codes.NO_LOSS:
                if link < codes.IDENTITY:
                    unload_column(rows, at(outputs, first), source, group_stride)
                else:
                    unload_column(rows, result, source, group_stride)
                    finish_rows(link, result, 1, first, rows, 1, finished, as_float64(source))
                continue
            unload_groups(rows, vectors, result, row_stride, source, group_stride)
            if last_op[codes.FUNCTION] == codes.SOFTMAX:
                softmax(result, row_stride, rows, columns, vectors)
        else:
            if features is None:
                load_rows(run, whole, data, first, rows, ping, row_stride, work)
            else:
                # z is not kept: y is passed for both
                alpha = network.factors[codes.ALPHA]
                sparse_forward(
                    ops, params, features, features[STARTS], 0, first, first + rows, pong, row_stride, pong, alpha
                )
                if ops[codes.FUNCTION] == codes.SOFTMAX:
                    softmax(pong, row_stride, rows, ops[codes.OUTPUTS], ops[codes.PANELS])
            in_pong = forward_block(network, int(features is not None), rows, ping, pong, row_stride)
            source, result = (ping, pong) if in_pong else (pong, ping)
        if code == codes.NO_LOSS and link >= codes.IDENTITY:
            finish_rows(link, result, row_stride, first, rows, columns, finished, as_float64(source))
            continue
        for r in range(rows):
            values = at(result, r * row_stride)
            if code == codes.NO_LOSS:
                for j in range(columns):
                    outputs[(first + r) * columns + j] = values[j]
            else:
                target = at(data.y, (first + r) * run[codes.TARGETS])
                weight = data.sample_weights[first + r] if run[codes.WEIGHTED] else 1.0
                row_stats = at(stats, (first + r) * (1 + metrics))
                if run[codes.METRICS_FIRST]:
                    row_metrics(run, values, target, columns, 1.0, loss_factors, at(row_stats, 1))
                row_stats[0] = weight * loss_row(code, values, target, gradient, columns, vectors, 1.0, loss_factors)
                if not run[codes.METRICS_FIRST]:
                    row_metrics(run, values, target, columns, 1.0, loss_factors, at(row_stats, 1))
    return trace


def infer_rows(rank, size, sync, run, network, data, features, buffers, stats, outputs, finished):
    """Predict or evaluate a member's share of the rows, block by block.

    Parameters
    ----------
    sync : as in ``train_steps``
    run : int64, as in ``train_steps``; LOSS = NO_LOSS for predictions
    network, data : records of arrays; the order of the rows is not looked at
    features : None, or sparse rows instead of ``data.x``, see ``cpu/sparse.py``
    buffers : (size, 2 * BLOCK_ROWS * row_stride + outputs + PICTURE_WORK), one row of buffers a member, the last part
        zeros; its first element becomes 0, or NaN if there are NaN or infinities in the rows of x that are the member's
    stats : float64 (n, 1 + metrics), written where there is a loss: weighted loss and metrics of each row
    outputs : (n, C), written where there is none and LINK is no link of ``cpu/output_links.py``,
    finished : float64 (n, C), or (n, 2) of a pair, written where it is one; the last operation has no activation then
    """
    if not barrier(at(sync, 0), size):
        return
    mode = float_mode()
    set_float_mode(PROGRAM_MODE)
    begin_products()
    row_stride = (
        buffers.shape[1] - network.ops[network.count - 1, codes.PANELS] * LANES - run[codes.PICTURE_WORK]
    ) // (2 * BLOCK_ROWS)
    n = data.x.shape[0] if features is None else features[STARTS].size - 1
    start, stop = share(rank, size, (n + BLOCK_ROWS - 1) // BLOCK_ROWS)
    buffers[rank, 0] = do_blocks(
        at(run, 0), pointers(network), pointers(data), pointers(features), at(buffers, rank * buffers.shape[1]),
        row_stride, at(stats, 0), at(outputs, 0), at(finished, 0), start, stop, n,
    )  # fmt: skip
    end_products()
    set_float_mode(mode)
