"""Whole epochs of training of small networks on a GPU in one launch: a block of threads for each model.

The steps are those of ``cpu/step.py``. The threads of a block share the elements of every matrix; weights, moments
and the batch lie in the block's shared memory if they fit there, else in that of the device. Several models, which
differ in seed and first weights, are trained on the same rows at once, each by a block of its own.
"""

from __future__ import annotations

from ... import codes
from ...codes import COLUMNS, FACTORS
from ...element_types import NUMBER
from ...llvm.instructions import at
from ...operations.elementwise import simple_forward
from ...operations.losses import factor_in_mean
from ...operations.normalization import normalize_backward_share, normalize_forward_share
from ...operations.optimizers import constants
from ...operations.random import FIRST_DROPOUT_STREAM, shuffle
from ...operations.teamwork import share
from ...records import Data, Descent, Network
from ..jit import ELEMENT, apart, cuda, entry
from ..records import Memory, Threads
from ..rows import derivatives_of_rows, gather, losses, penalty, softmax_rows
from .clipping import clip
from .dense import dense_backward_input, dense_forward, dense_update

# What the vector ``sizes`` tells of the arrays of a model.
SIZES = ("OPERATIONS", "HYPER", "HYPER_STRIDE", "PROGRESS", "MEMORY", "PARAMETERS", "WORK", "STATS", "SHARED")
OPERATIONS, HYPER, HYPER_STRIDE, PROGRESS, MEMORY, PARAMETERS, WORK, STATS, SHARED = range(len(SIZES))


def copy(threads, target, source, count):
    """Copy ``count`` numbers."""
    i = threads.rank
    while i < count:
        target[i] = source[i]
        i += threads.size


def prepare_work(threads, ops, count, work, size, rows):
    """Zeros, and a column of ones before the input of each layer that has a bias."""
    apart()
    i = threads.rank
    while i < size:
        work[i] = 0.0
        i += threads.size
    cuda.syncthreads()
    for index in range(count):
        op = at(ops, index * COLUMNS)
        if op[codes.KIND] == codes.DENSE and op[codes.BIAS]:
            r = threads.rank
            while r < rows:
                work[op[codes.X] - 1 + r * op[codes.X_STRIDE]] = 1.0
                r += threads.size


def forward(threads, network, work, rows, step, key_0, key_1):
    """All operations on the batch in the workspace."""
    params = network.params
    for index in range(network.count):
        op, factor = at(network.ops, index * COLUMNS), at(network.factors, index * FACTORS)
        if op[codes.KIND] == codes.DENSE:
            dense_forward(threads, op, params, work, rows, factor[codes.ALPHA])
            if op[codes.FUNCTION] == codes.SOFTMAX:
                cuda.syncthreads()
                softmax_rows(threads, op, work, rows)
        elif op[codes.KIND] >= codes.STANDARDIZE:
            normalize_forward_share(threads.rank, threads.size, 0, op, factor, params, work, rows)
        else:
            first, last = share(threads.rank, threads.size, rows)
            simple_forward(
                op, factor[codes.ALPHA], factor[codes.RATE], work, first, last, 0, step,
                FIRST_DROPOUT_STREAM + index, key_0, key_1,
            )  # fmt: skip
        cuda.syncthreads()


def report(threads, run, hyper, stats, parts, rows, row_factor, results):
    """Add the sums over the batch to ``results``, the loss or a metric to a thread; ``parts`` are of the penalty."""
    apart()
    columns = 1 + run[codes.METRICS_COUNT]
    m = threads.rank
    while m < columns:
        mean = float(rows) * row_factor if run[codes.WEIGHTED_MEAN] else 1.0
        total = 0.0
        for r in range(rows):
            total += stats[r * columns + m]
        if m > 0:
            results[m] += mean * total
        else:
            total_penalty = 0.0
            for i in range(threads.size):
                total_penalty += parts[i]
            results[0] += mean * hyper[codes.LOSS_SCALE] * total
            results[0] += (mean if run[codes.L2_PER_ROW] else float(rows)) * total_penalty
        m += threads.size


def backward(threads, descent, l2_scale, network, moments, memory, rows):
    """Gradients from the last operation to the first, then the optimizer's step on the weights of all dense layers.

    moments : the first ones, or where gradients go if they are clipped
    """
    ops, count, factors, params = network.ops, network.count, network.factors, network.params
    work, slot_1 = memory.work, memory.slot_1
    for index in range(count - 1, -1, -1):
        op = at(ops, index * COLUMNS)
        if op[codes.KIND] >= codes.BATCH_NORM:
            normalize_backward_share(
                threads.rank, threads.size, 0, ops, index, factors, params, moments, slot_1, work, rows, descent
            )
        elif op[codes.KIND] == codes.DENSE and op[codes.NEEDS_DX]:
            dense_backward_input(threads, network, index, work, rows)
            cuda.syncthreads()
            if op[codes.BY_ROWS]:
                derivatives_of_rows(threads, ops, index, factors, work, rows)
                cuda.syncthreads()
    for index in range(count):
        op = at(ops, index * COLUMNS)
        if op[codes.KIND] == codes.DENSE:
            dense_update(
                threads, op, work, params, moments, slot_1, rows, l2_scale * factors[index * FACTORS + codes.L2],
                descent,
            )  # fmt: skip
    cuda.syncthreads()


def do_steps(threads, run, hyper, hyper_stride, state, network, data, memory, start, stop):
    """Steps ``start`` .. ``stop`` - 1 of one model's run."""
    n, batch, columns = run[codes.ROWS], run[codes.BATCH], 1 + run[codes.METRICS_COUNT]
    ops, count, factors = network.ops, network.count, network.factors
    work, stats = memory.work, memory.stats
    steps_per_epoch = (n + batch - 1) // batch
    t, power_1, power_2 = state[0], state[1], state[2]
    epoch = start // steps_per_epoch
    batch_start = (start - epoch * steps_per_epoch) * batch
    parts = at(stats, batch * columns)
    clipped = hyper[codes.CLIPVALUE] + hyper[codes.CLIPNORM] + hyper[codes.GLOBAL_CLIPNORM] > 0.0
    for _ in range(start, stop):
        rows = min(batch, n - batch_start)
        if batch_start == 0 and run[codes.SHUFFLE]:
            if threads.rank == 0:
                shuffle(data.order, n, run[codes.FIRST_EPOCH] + epoch, run[codes.SEED_LOW], run[codes.SEED_HIGH])
            cuda.syncthreads()
        chosen = at(data.order, batch_start)
        row_factor = factor_in_mean(run, data.sample_weights, chosen, rows)
        gather(threads, ops, data.x, data.scaling, chosen, rows, work)
        cuda.syncthreads()
        forward(threads, network, work, rows, int(t), run[codes.SEED_LOW], run[codes.SEED_HIGH])
        losses(
            threads, run, at(ops, (count - 1) * COLUMNS), work, data.y, data.sample_weights, chosen, rows,
            NUMBER(row_factor * hyper[codes.LOSS_SCALE]), hyper[codes.LOSS_LIMIT], network.loss_factors, stats,
        )  # fmt: skip
        derivatives_of_rows(threads, ops, count, factors, work, rows)
        parts[threads.rank] = penalty(threads, network)
        cuda.syncthreads()
        report(threads, run, hyper, stats, parts, rows, row_factor, at(memory.results, epoch * columns))
        t, power_1, power_2 = t + 1.0, power_1 * hyper[codes.BETA_1], power_2 * hyper[codes.BETA_2]
        rate, momentum, epsilon, power_1 = constants(run[codes.OPTIMIZER], hyper, t, power_1, power_2)
        one_minus_beta_1, one_minus_beta_2 = 1.0 - hyper[codes.BETA_1], 1.0 - hyper[codes.BETA_2]
        decay, nesterov = hyper[codes.LEARNING_RATE] * hyper[codes.WEIGHT_DECAY], hyper[codes.NESTEROV] != 0.0
        l2_scale = row_factor if run[codes.L2_PER_ROW] else 1.0
        optimizer, moments = run[codes.OPTIMIZER], memory.slot_0
        if clipped:
            optimizer, moments = codes.GRADIENT, memory.gradients
        backward(
            threads,
            Descent(optimizer, rate, momentum, one_minus_beta_1, one_minus_beta_2, epsilon, decay, nesterov),
            l2_scale, network, moments, memory, rows,
        )  # fmt: skip
        if clipped:
            clip(
                threads, hyper,
                Descent(
                    run[codes.OPTIMIZER], rate, momentum, one_minus_beta_1, one_minus_beta_2, epsilon, decay, nesterov
                ),
                network, memory, at(parts, threads.size), parts,
            )  # fmt: skip
        batch_start += batch
        if batch_start >= n:
            epoch, batch_start = epoch + 1, 0
        hyper = at(hyper, hyper_stride)
    if threads.rank == 0:
        state[0], state[1], state[2] = t, power_1, power_2


@entry("IIDDINNNXNNJNNNDii", mixed=True)
def train_models(
    sizes, run, hyper, progress, ops, factors, loss_factors, scaling, x, y, sample_weights, order, params, slots, work,
    stats, start, stop,
):  # fmt: skip
    """Do steps ``start`` .. ``stop`` - 1 of a run, for as many models as there are blocks.

    All arrays are flat; where they hold something for each model, those follow each other.

    Parameters
    ----------
    sizes : int64, the columns ``SIZES``: operations; elements of a model in hyper, and from one step to the next; in
        progress; params; half of slots; work; stats; and whether they fit in shared memory, which then has room for
        params, slots and work of a model
    run, hyper : as in ``training.train_steps``
    ops, factors, loss_factors, scaling, x, y, sample_weights : as in ``kernels/records.py``
    progress : float64, for each model the optimizer's state (3,), then results (epochs, 1 + metrics)
    order : int32 (n,) for each model
    params, slots, work : for each model; where gradients are clipped, work ends with room for them
    stats : float64 (BATCH * (1 + metrics) + threads + 2 * operations,) for each model
    """
    threads, model = Threads(cuda.threadIdx.x, cuda.blockDim.x), cuda.blockIdx.x
    shared = cuda.shared.array(0, ELEMENT)
    size, trained, work_size = sizes[MEMORY], sizes[PARAMETERS], sizes[WORK]
    run = at(run, model * (codes.METRICS_START + codes.METRIC_NUMBERS * run[codes.METRIC_KERNELS]))
    own_params, own_slots = at(params, model * size), at(slots, model * 2 * trained)
    in_shared = sizes[SHARED] != 0
    fast_params = at(shared, 0) if in_shared else own_params
    fast_slots = at(shared, size) if in_shared else own_slots
    fast_work = at(shared, size + 2 * trained) if in_shared else at(work, model * work_size)
    own_progress = at(progress, model * sizes[PROGRESS])
    network = Network(at(ops, 0), sizes[OPERATIONS], at(factors, 0), at(loss_factors, 0), fast_params)
    data = Data(at(x, 0), at(y, 0), at(sample_weights, 0), at(order, model * run[codes.ROWS]), at(scaling, 0))
    memory = Memory(
        fast_slots, at(fast_slots, trained), fast_work, at(fast_work, work_size - trained),
        at(stats, model * sizes[STATS]), at(own_progress, 3),
    )  # fmt: skip
    if in_shared:
        copy(threads, fast_params, own_params, size)
        copy(threads, fast_slots, own_slots, 2 * trained)
    prepare_work(threads, network.ops, network.count, fast_work, work_size, run[codes.BATCH])
    cuda.syncthreads()
    own_hyper = at(hyper, model * sizes[HYPER])
    do_steps(threads, run, own_hyper, sizes[HYPER_STRIDE], own_progress, network, data, memory, start, stop)
    if in_shared:
        copy(threads, own_params, fast_params, size)
        copy(threads, own_slots, fast_slots, 2 * trained)
