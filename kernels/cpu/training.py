"""Whole epochs of training in one compiled call, which allocates nothing and raises nothing."""

from __future__ import annotations

from .. import codes
from ..llvm.instructions import PROGRAM_MODE, at, float_mode, pointers, set_float_mode
from ..operations.random import shuffle
from ..operations.teamwork import barrier, heed_stop, is_last
from .dense import begin_products, end_products
from .step import do_step


def do_steps(
    rank, size, sync, run, hyper, hyper_row, state, ops, count, factors, loss_factors, scaling, x, features, y, weights,
    order, params, slot_0, slot_1, work, gradients, scratch, stats, results, start, stop,
):  # fmt: skip
    """``train_steps`` on pointers; ``hyper_row`` elements from the hyper-parameters of a step to those of the next."""
    n, batch = run[codes.ROWS], run[codes.BATCH]
    steps_per_epoch = (n + batch - 1) // batch
    t, power_1, power_2 = state[0], state[1], state[2]
    epoch, place = start // steps_per_epoch, start % steps_per_epoch * batch
    for step in range(start, stop):
        heed_stop(rank, size, sync, step)
        rows = min(batch, n - place)
        if place == 0 and run[codes.SHUFFLE]:
            if rank == 0:
                shuffle(order, n, run[codes.FIRST_EPOCH] + epoch, run[codes.SEED_LOW], run[codes.SEED_HIGH])
            barrier(sync, size)
        for whole in (True, False):  # programs for one network know the rows of a whole batch
            if whole == (rows == batch):
                t, power_1, power_2 = do_step(
                    rank, size, sync, run, hyper, ops, count, factors, loss_factors, scaling, x, features, y, weights,
                    order, params, slot_0, slot_1, work, gradients, scratch, stats, results, epoch, place,
                    batch if whole else rows, t, power_1, power_2,
                )  # fmt: skip
        place += batch
        if place >= n:
            epoch, place = epoch + 1, 0
        hyper = at(hyper, hyper_row)
        if is_last(size, sync, step):
            break
    if rank == 0:
        state[0], state[1], state[2] = t, power_1, power_2


def train_steps(
    rank, size, sync, run, hyper, state, ops, factors, loss_factors, scaling, x, features, y, weights, order, params,
    slots, work, gradients, scratch, stats, results, start, stop,
):  # fmt: skip
    """Do steps ``start`` .. ``stop`` - 1 of a run as member ``rank`` of a team of ``size``.

    Parameters
    ----------
    sync : int64 (SYNC_SIZE,), see ``operations/teamwork.py``
    run : int64 (RUN_COLUMNS + metrics,), hyper : float64 (1, HYPER_COLUMNS), or a row for each step
    state : float64 (3,), updated: optimizer steps t, beta_1**t (of Nadam the product of its momenta), beta_2**t
    ops : int64 (operations, OPERATION_COLUMNS), factors : (operations, FACTOR_COLUMNS)
    loss_factors : (1 + metrics, LOSS_COLUMNS + C), parameters of the loss and of each metric
    scaling : (2,), factor and summand of every input
    x : (n, inputs), of the parameters' type or uint8; features : None, or sparse rows, see ``cpu/sparse.py``
    y : (n, TARGETS), weights : (n,) or (0,)
    order : int64 (n,), updated: the order of the rows in the present epoch
    params : (P + operands,), slots : (2 * P,), updated: weights, with what mixed precision keeps of them, and moments
    work : (1 or size, ...), workspaces laid out by the plan, of the team or, where it shares rows, of each member
    gradients : (SEGMENTS * PARAMETERS,), or (PARAMETERS,) if they are clipped and there are no segments
    scratch : (size, ...), one row a member
    stats : float64 (BATCH * (1 + metrics) + 2 * units,), loss and metrics of each row of the batch; the rest is for
        ``cpu/clipping.py``
    results : float64 (epochs, 1 + metrics), updated: sums over rows of the loss and the metrics
    """
    if not barrier(at(sync, 0), size):
        return
    mode = float_mode()
    set_float_mode(PROGRAM_MODE)
    begin_products()
    hyper_row = hyper.shape[1] if hyper.shape[0] > 1 else 0
    # pointers: using an array counts a reference, an atomic operation each time
    do_steps(
        rank, size, at(sync, 0), at(run, 0), at(hyper, 0), hyper_row, at(state, 0), at(ops, 0), ops.shape[0],
        at(factors, 0), at(loss_factors, 0), at(scaling, 0), at(x, 0), pointers(features), at(y, 0), at(weights, 0),
        at(order, 0), at(params, 0), at(slots, 0), at(slots, slots.size // 2),
        at(work, rank * work.shape[1] if run[codes.SEGMENTS] else 0), at(gradients, 0),
        at(scratch, rank * scratch.shape[1]), at(stats, 0), at(results, 0), start, stop,
    )  # fmt: skip
    end_products()
    set_float_mode(mode)
