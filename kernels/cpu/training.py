"""Whole epochs of training in one compiled call, which allocates nothing and raises nothing."""

from __future__ import annotations

from .. import codes
from ..llvm.instructions import PROGRAM_MODE, at, float_mode, pointers, set_float_mode
from ..operations.random import shuffle
from ..operations.teamwork import barrier, heed_stop, is_last
from ..records import Memory, Team
from .dense import begin_products, end_products
from .step import do_step


def do_steps(team, run, hyper, hyper_stride, state, network, data, features, memory, start, stop):
    """``train_steps`` on pointers; from one step's hyper-parameters to the next's are ``hyper_stride`` elements."""
    n, batch = run[codes.ROWS], run[codes.BATCH]
    steps_per_epoch = (n + batch - 1) // batch
    counters = state[0], state[1], state[2]
    epoch, batch_start = start // steps_per_epoch, start % steps_per_epoch * batch
    for step in range(start, stop):
        heed_stop(team.rank, team.size, team.sync, step)
        rows = min(batch, n - batch_start)
        if batch_start == 0 and run[codes.SHUFFLE]:
            if team.rank == 0:
                shuffle(data.order, n, run[codes.FIRST_EPOCH] + epoch, run[codes.SEED_LOW], run[codes.SEED_HIGH])
            barrier(team.sync, team.size)
        for whole in (True, False):  # programs for one network know the rows of a whole batch
            if whole == (rows == batch):
                counters = do_step(
                    team, run, hyper, network, data, features, memory, epoch, batch_start, batch if whole else rows,
                    counters,
                )  # fmt: skip
        batch_start += batch
        if batch_start >= n:
            epoch, batch_start = epoch + 1, 0
        hyper = at(hyper, hyper_stride)
        if is_last(team.size, team.sync, step):
            break
    if team.rank == 0:
        state[0], state[1], state[2] = counters


def train_steps(rank, size, sync, run, hyper, state, network, data, features, memory, start, stop):
    """Do steps ``start`` .. ``stop`` - 1 of a run as member ``rank`` of a team of ``size``.

    Parameters
    ----------
    sync : int64 (SYNC_SIZE,), see ``operations/teamwork.py``
    run : int64 (RUN_COLUMNS + metrics,), hyper : float64 (1, HYPER_COLUMNS), or a row for each step
    state : float64 (3,), updated: optimizer steps t, beta_1**t (of Nadam the product of its momenta), beta_2**t
    network, data, memory : records of arrays
    features : None, or sparse rows instead of ``data.x``, see ``cpu/sparse.py``
    """
    if not barrier(at(sync, 0), size):
        return
    mode = float_mode()
    set_float_mode(PROGRAM_MODE)
    begin_products()
    hyper_stride = hyper.shape[1] if hyper.shape[0] > 1 else 0
    all_memory = pointers(memory)
    own_memory = Memory(
        all_memory.slot_0, all_memory.slot_1,
        at(all_memory.work, rank * memory.work.shape[1] if run[codes.SEGMENTS] else 0), all_memory.gradients,
        at(all_memory.scratch, rank * memory.scratch.shape[1]), all_memory.stats, all_memory.results,
    )  # fmt: skip
    do_steps(
        Team(rank, size, at(sync, 0)), at(run, 0), at(hyper, 0), hyper_stride, at(state, 0), pointers(network),
        pointers(data), pointers(features), own_memory, start, stop,
    )  # fmt: skip
    end_products()
    set_float_mode(mode)
