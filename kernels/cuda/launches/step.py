"""One training step of a large network on a GPU, as launches in a row: all but products and normalizations.

The step is that of ``cpu/step.py``. What changes from step to step lies on the device, in ``clock`` and ``pace``
(``codes.CLOCK_COLUMNS``, ``codes.PACE_COLUMNS``): ``begin_step`` moves them on, and every launch of a step has the same
arguments as in the step before. All tables and arrays are flat. The order of sums depends on shapes alone.
"""

from __future__ import annotations

from ... import codes
from ...codes import COLUMNS, FACTORS
from ...element_types import NUMBER
from ...operations.clipping import limited
from ...operations.losses import factor_in_mean
from ...operations.optimizers import constants, update
from ...operations.random import FIRST_DROPOUT_STREAM, dropout_block, dropout_threshold
from ...records import Descent, Network
from ..elements import activate
from ..jit import at, cuda, entry
from ..records import Threads
from ..rows import derivatives_of_rows, gather, losses, penalty, softmax_rows
from ..sums import DOUBLE, MOST_THREADS, block_sum


@entry("Iii")
def set_clock(clock, start, hyper_rows):
    """Let the next step be ``start``, which takes the first row of hyper-parameters. One thread."""
    clock[codes.NEXT_STEP], clock[codes.FIRST_STEP], clock[codes.HYPER_ROWS] = start, start, hyper_rows


@entry("IDDNJID")
def begin_step(run, hyper, progress, sample_weights, order, clock, pace):
    """Move clock, pace and the optimizer's state on to the next step. One thread."""
    n, batch, step = run[codes.ROWS], run[codes.BATCH], clock[codes.NEXT_STEP]
    steps_per_epoch = (n + batch - 1) // batch
    epoch = step // steps_per_epoch
    batch_start = (step - epoch * steps_per_epoch) * batch
    rows = min(batch, n - batch_start)
    clock[codes.NEXT_STEP], clock[codes.NOW_STEP] = step + 1, int(progress[0])
    clock[codes.NOW_EPOCH], clock[codes.NOW_START], clock[codes.NOW_ROWS] = epoch, batch_start, rows
    hyper_row = step - clock[codes.FIRST_STEP] if clock[codes.HYPER_ROWS] > 1 else 0
    now = at(hyper, hyper_row * codes.HYPER_COLUMNS)
    progress[0] += 1.0
    progress[1] *= now[codes.BETA_1]
    progress[2] *= now[codes.BETA_2]
    row_factor = factor_in_mean(run, sample_weights, at(order, batch_start), rows)
    pace[codes.NOW_ROW_FACTOR], pace[codes.NOW_SCALE] = row_factor, row_factor * now[codes.LOSS_SCALE]
    pace[codes.NOW_LOSS_SCALE], pace[codes.NOW_LIMIT] = now[codes.LOSS_SCALE], now[codes.LOSS_LIMIT]
    pace[codes.NOW_RATE], pace[codes.NOW_MOMENTUM], pace[codes.NOW_EPSILON], progress[1] = constants(
        run[codes.OPTIMIZER], now, progress[0], progress[1], progress[2]
    )
    pace[codes.NOW_ONE_MINUS_BETA_1] = 1.0 - now[codes.BETA_1]
    pace[codes.NOW_ONE_MINUS_BETA_2] = 1.0 - now[codes.BETA_2]
    pace[codes.NOW_DECAY] = now[codes.LEARNING_RATE] * now[codes.WEIGHT_DECAY]
    pace[codes.NOW_NESTEROV] = now[codes.NESTEROV]
    pace[codes.NOW_CLIPVALUE], pace[codes.NOW_CLIPNORM] = now[codes.CLIPVALUE], now[codes.CLIPNORM]
    pace[codes.NOW_GLOBAL_CLIPNORM] = now[codes.GLOBAL_CLIPNORM]


@entry("INXJNI")
def gather_batch(ops, scaling, x, order, work, clock):
    """Rows of the batch, scaled, into the workspace."""
    gather(
        Threads(cuda.grid(1), cuda.gridsize(1)), at(ops, 0), at(x, 0), at(scaling, 0),
        at(order, clock[codes.NOW_START]), clock[codes.NOW_ROWS], at(work, 0),
    )  # fmt: skip


@entry("IIiNNI")
def simple_forward_quads(run, ops, index, factors, work, clock):
    """Activation or dropout operation on the batch, four neighbors to a thread."""
    op, alpha = at(ops, index * COLUMNS), factors[index * FACTORS + codes.ALPHA]
    rate = factors[index * FACTORS + codes.RATE]
    columns, stride = op[codes.OUTPUTS], op[codes.Y_STRIDE]
    quads, threshold, kept = (columns + 3) // 4, dropout_threshold(rate), 1.0 / (1.0 - rate)
    item, items = cuda.grid(1), clock[codes.NOW_ROWS] * quads
    while item < items:
        r = item // quads
        block = item - r * quads
        left, offset = columns - 4 * block, r * stride + 4 * block
        x, y = at(work, op[codes.X] + offset), at(work, op[codes.Y] + offset)
        if op[codes.KIND] == codes.DROPOUT:
            mask = at(work, op[codes.MASK] + offset)
            dropout_block(
                mask, left, block, r, clock[codes.NOW_STEP], FIRST_DROPOUT_STREAM + index, threshold, kept,
                run[codes.SEED_LOW], run[codes.SEED_HIGH],
            )  # fmt: skip
            for j in range(min(4, left)):
                y[j] = x[j] * mask[j]
        else:
            for j in range(min(4, left)):
                y[j] = activate(op[codes.FUNCTION], x[j], alpha) if op[codes.FUNCTION] != codes.SOFTMAX else x[j]
        item += cuda.gridsize(1)


@entry("IiNI")
def softmax_of_rows(ops, index, work, clock):
    """Softmax of the outputs of operation ``index``, a row to a thread."""
    threads = Threads(cuda.grid(1), cuda.gridsize(1))
    softmax_rows(threads, at(ops, index * COLUMNS), at(work, 0), clock[codes.NOW_ROWS])


@entry("IiNNI")
def derive_rows(ops, index, factors, work, clock):
    """Gradients of whole rows back through the elementwise operations below operation ``index``, a row to a thread."""
    threads = Threads(cuda.grid(1), cuda.gridsize(1))
    derivatives_of_rows(threads, at(ops, 0), index, at(factors, 0), at(work, 0), clock[codes.NOW_ROWS])


@entry("IIiNNNNJNDID")
def losses_of_rows(run, ops, count, factors, work, y, sample_weights, order, loss_factors, stats, clock, pace):
    """Loss, metrics and gradient of every row, and that before the last elementwise operations; a row to a thread."""
    threads, rows = Threads(cuda.grid(1), cuda.gridsize(1)), clock[codes.NOW_ROWS]
    losses(
        threads, at(run, 0), at(ops, (count - 1) * COLUMNS), at(work, 0), at(y, 0), at(sample_weights, 0),
        at(order, clock[codes.NOW_START]), rows, NUMBER(pace[codes.NOW_SCALE]), pace[codes.NOW_LIMIT],
        at(loss_factors, 0), at(stats, 0),
    )  # fmt: skip
    derivatives_of_rows(threads, at(ops, 0), count, at(factors, 0), at(work, 0), rows)


@entry("IiNND")
def penalty_parts(ops, count, factors, params, parts):
    """Penalties of all kernels, cut into one part for each block."""
    memory = cuda.shared.array(MOST_THREADS, DOUBLE)
    network = Network(at(ops, 0), count, at(factors, 0), None, at(params, 0))
    total = block_sum(penalty(Threads(cuda.grid(1), cuda.gridsize(1)), network), memory)
    if cuda.threadIdx.x == 0:
        parts[cuda.blockIdx.x] = total


@entry("IDDDID")
def report_step(run, stats, parts, progress, clock, pace):
    """Add the sums of the batch to the epoch's results. One block."""
    thread, threads, rows = cuda.threadIdx.x, cuda.blockDim.x, clock[codes.NOW_ROWS]
    memory = cuda.shared.array(MOST_THREADS, DOUBLE)
    columns = 1 + run[codes.METRICS_COUNT]
    results = at(progress, 3 + clock[codes.NOW_EPOCH] * columns)
    mean = float(rows) * pace[codes.NOW_ROW_FACTOR] if run[codes.WEIGHTED_MEAN] else 1.0
    for m in range(columns):
        part = DOUBLE(0.0)
        r = thread
        while r < rows:
            part += stats[r * columns + m]
            r += threads
        total = block_sum(part, memory)
        if thread == 0:
            results[m] += mean * (pace[codes.NOW_LOSS_SCALE] if m == 0 else 1.0) * total
    if thread == 0:
        total_penalty = DOUBLE(0.0)
        for i in range(parts.size):
            total_penalty += parts[i]
        results[0] += (mean if run[codes.L2_PER_ROW] else float(rows)) * total_penalty


@entry("INNNiD")
def descend_all(run, params, slots, gradients, slices, pace):
    """The optimizer's step on all weights, whose gradients are sums of ``slices`` vectors, clipped by element."""
    count = run[codes.PARAMETERS]
    w, m, v, limit = at(params, 0), at(slots, 0), at(slots, count), NUMBER(pace[codes.NOW_CLIPVALUE])
    descent = Descent(
        run[codes.OPTIMIZER], pace[codes.NOW_RATE], pace[codes.NOW_MOMENTUM], pace[codes.NOW_ONE_MINUS_BETA_1],
        pace[codes.NOW_ONE_MINUS_BETA_2], pace[codes.NOW_EPSILON], pace[codes.NOW_DECAY],
        pace[codes.NOW_NESTEROV] != 0.0,
    )  # fmt: skip
    i = cuda.grid(1)
    while i < count:
        for s in range(1, slices):
            gradients[i] += gradients[s * count + i]
        if limit > 0.0:
            gradients[i] = limited(gradients[i], limit)
        update(descent, at(w, i), at(m, i), at(v, i), at(gradients, i), 1)
        i += cuda.gridsize(1)
