"""A team of threads inside compiled code, and the Python side that starts it.

Every member is an ordinary Python thread that runs the same ``nogil`` program with its own rank; they meet at
an atomic barrier. There is no pool and no threading layer: nothing spins when idle, nothing breaks after a
fork, and any number of teams may run at once.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import math
import os
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np

from .intrinsics import atomic_add, atomic_load, atomic_store, pause, yield_core

# Places in the int64 vector that members share, each on its own cache line.
ARRIVED, GENERATION, ABORTED, STOP, LAST = 0, 16, 32, 48, 64
SYNC_SIZE = 80
SPINS = 2000  # about 20 to 60 us; then the core is offered to others at each turn


def barrier(sync, size):
    """Wait until all ``size`` members are here; False if the team was called off before it was complete."""
    if size == 1:
        return True
    generation = atomic_load(sync, GENERATION)
    if atomic_add(sync, ARRIVED, 1) == size - 1:
        atomic_store(sync, ARRIVED, 0)
        atomic_store(sync, GENERATION, generation + 1)
        return True
    turns = 0
    while atomic_load(sync, GENERATION) == generation:
        if atomic_load(sync, ABORTED) != 0:
            return False
        turns += 1
        if turns < SPINS:
            pause()
        else:
            yield_core()
    return True


def heed_stop(rank, size, sync, step):
    """At the beginning of a step, look whether it is to be the last; at least one barrier follows in the step."""
    if size > 1 and rank == 0 and atomic_load(sync, STOP) != 0:
        atomic_store(sync, LAST, step + 1)


def is_last(size, sync, step):
    """Whether all members leave after this step."""
    return size > 1 and atomic_load(sync, LAST) == step + 1


class _Leader:
    """Rank 0 of a watched team: it runs, or is called off before it does, but never both."""

    def __init__(self, program: Callable, arguments: tuple) -> None:
        self.finished = threading.Event()
        self.error: BaseException | None = None
        self._work = program, arguments
        self._lock = threading.Lock()
        self._entered = self._cancelled = False

    def run(self) -> None:
        with self._lock:
            self._entered = not self._cancelled
        try:
            if self._entered:
                program, arguments = self._work
                program(*arguments)
        except BaseException as error:
            self.error = error
        finally:
            self.finished.set()

    def cancel(self) -> bool:
        """Call it off; False if it is too late."""
        with self._lock:
            self._cancelled = True
        return not self._entered


@functools.cache
def _current_core() -> Callable[[], int] | None:
    """The C library's ``sched_getcpu``; None where there is none, or where threads cannot be moved."""
    return getattr(ctypes.CDLL(None), "sched_getcpu", None) if hasattr(os, "sched_setaffinity") else None


def _take_core(taken: set[int]) -> None:
    """Take the core that the calling thread is on, or another one if a member of its team has that.

    Some systems start new threads on one core and part them only after milliseconds.
    """
    current_core = _current_core()
    if current_core is None:
        return
    core = current_core()
    with contextlib.suppress(OSError):  # it may be forbidden, or the cores have just become fewer
        if core in taken:
            allowed = os.sched_getaffinity(0)
            core = min(allowed - taken, default=core)  # they share cores if members outnumber them
            os.sched_setaffinity(0, {core})
            os.sched_setaffinity(0, allowed)
    taken.add(core)


def _member(taken: set[int], target: Callable, *arguments) -> threading.Thread:
    def work() -> None:
        _take_core(taken)
        target(*arguments)

    return threading.Thread(target=work, name="fastnn-team")


def run_watched_team(program: Callable, size: int, seconds: float, *arguments) -> None:
    """Call ``program`` on ``size`` threads beside the caller, who waits, and after ``seconds`` asks them to stop.

    On a busy machine members wait long for one that got no core. An exception that strikes the caller stops them too.
    They stop after the step that they are in, if ``program`` calls `heed_stop` and `is_last` in each.
    """
    sync = np.zeros(SYNC_SIZE, np.int64)
    leader = _Leader(program, (0, size, sync, *arguments))
    targets = [(program, (rank, size, sync, *arguments)) for rank in range(1, size)]
    taken: set[int] = set()
    members = [_member(taken, target, *rest) for target, rest in [*targets, (leader.run, ())]]
    started = []
    try:
        for member in members:
            member.start()
            started.append(member)
        leader.finished.wait(seconds)
    except BaseException:
        if leader.cancel():
            sync[ABORTED] = 1  # they leave at their first barrier
            leader.finished.set()
        raise
    finally:
        sync[STOP] = 1
        leader.finished.wait()
        for member in started:
            member.join()
    if leader.error is not None:
        raise leader.error


def run_team(program: Callable, size: int, *arguments) -> None:
    """Call ``program(rank, size, sync, *arguments)`` on ``size`` threads at once, the caller being rank 0.

    ``program`` must pass its first barrier before it changes anything: if a member cannot be started, or the
    caller is interrupted while starting them, the others leave there and nothing has happened.
    """
    sync = np.zeros(SYNC_SIZE, np.int64)
    if size == 1:
        program(0, 1, sync, *arguments)
        return
    taken: set[int] = set()
    members = [_member(taken, program, rank, size, sync, *arguments) for rank in range(1, size)]
    started = []
    try:
        _take_core(taken)
        for member in members:
            member.start()
            started.append(member)
        program(0, size, sync, *arguments)
    except BaseException:
        sync[ABORTED] = 1
        raise
    finally:
        for member in started:
            member.join()


def quota_cores(root: Path = Path("/sys/fs/cgroup")) -> int | None:
    """Whole cores that a Linux control group allows this process (version 2, else 1), or None if unlimited."""
    try:
        quota, period = (root / "cpu.max").read_text().split()[:2]
    except (OSError, ValueError):
        try:
            quota = (root / "cpu" / "cpu.cfs_quota_us").read_text()
            period = (root / "cpu" / "cpu.cfs_period_us").read_text()
        except OSError:
            return None
    try:
        cores = int(quota) / int(period)
    except (ValueError, ZeroDivisionError):  # "max"
        return None
    return max(1, math.floor(cores)) if cores > 0 else None


def available_cores() -> int:
    """Cores this process may use: affinity mask, reduced to the control group's quota."""
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS and Windows
        cores = os.cpu_count() or 1
    return min(cores, quota_cores() or cores)
