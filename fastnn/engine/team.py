"""Threads of a team, which run one compiled program together, and who watches over them.

What they share inside it is in ``kernels/operations/teamwork.py``.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from fastnn.kernels.host.starting import CannotStart, start
from fastnn.kernels.operations.teamwork import ABORTED, STOP, SYNC_SIZE


class Watch:
    """Watches over one run of a team: asks it to stop after some seconds, and can call it off.

    Rank 0 enters the program or the team is called off before, but never both. Here is no lock: a handler of a signal
    strikes the thread that starts the team and waits for it, wherever that is.

    Parameters
    ----------
    seconds : float or None
        After which the team is asked to stop.
    """

    def __init__(self, seconds: float | None) -> None:
        self.seconds = seconds
        self.called_off = False
        self.begin(0)

    def begin(self, size: int) -> None:
        """Watch over a team of this size that has not begun."""
        self.size = size
        self.sync = np.zeros(SYNC_SIZE, np.int64)
        self.finished = threading.Event()  # rank 0 has left the program, or will never enter it
        self.left: list[None] = []  # one for each member that is through
        self._decision: dict[str, bool] = {}  # whether rank 0 enters: the first to say so decides

    def lead(self, program: Callable, *arguments) -> None:
        """Be rank 0."""
        if self._decision.setdefault("enters", True):
            program(*arguments)

    def leave(self) -> None:
        """Note that a member is through."""
        self.left.append(None)

    def end(self) -> None:
        """Note that rank 0 is through."""
        self.leave()
        self.finished.set()

    def abandon(self) -> None:
        """Call the team off if rank 0 will not be there."""
        if self.cancel():
            self.finished.set()

    def cancel(self) -> bool:
        """Call the team off before it has done anything; False if it is too late."""
        enters = self._decision.setdefault("enters", False)
        if not enters:
            self.sync[ABORTED] = 1  # they leave at their first barrier
        return not enters

    def call_off(self) -> None:
        """Let all members stop before their first step, or after the one that they are in; wait for that.

        For handlers of signals; the run of the team then returns early.
        """
        self.called_off = True
        self.sync[STOP] = 1
        if not self.cancel():
            while len(self.left) < self.size:
                time.sleep(0.0002)

    def wait(self, members: list[threading.Thread]) -> None:
        """Wait until all of these members are gone, whatever strikes meanwhile; the last error of a handler is raised.

        Who left before would find weights in the midst of a step.
        """
        struck: BaseException | None = None
        while True:
            try:
                self.sync[STOP] = 1
                self.finished.wait()
                for member in members:
                    member.join()
                break
            except BaseException as error:
                struck = error
        if struck is not None:
            raise struck


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


class _Members:
    """Threads of one team. Whoever fails before the program began calls the team off, and the caller gets the error.

    None passes its first barrier then, and nothing has changed. Who fails later, when it returns, keeps nobody from
    ending the program.
    """

    def __init__(self, sync: np.ndarray) -> None:
        self.taken: set[int] = set()
        self.started: list[threading.Thread] = []
        self.errors: list[BaseException] = []
        self._sync = sync

    def start(self, at_end: Callable[[], Any], target: Callable, *arguments) -> None:
        """Start one more."""

        def work() -> None:
            try:
                _take_core(self.taken)
                target(*arguments)
            except BaseException as error:
                self._sync[ABORTED] = 1
                self.errors.append(error)
            finally:
                at_end()

        # a daemon, as Python's list of the others has a lock that no handler of a signal gets past; all are waited for
        member = threading.Thread(target=work, name="fastnn-team", daemon=True)
        start(member)
        self.started.append(member)

    def check(self) -> None:
        """Raise what a member raised."""
        if self.errors:
            raise self.errors[0]


def run_watched_team(program: Callable, size: int, watch: Watch, *arguments) -> int:
    """Call ``program`` on ``size`` threads beside the caller, who waits, until the watch asks them to stop.

    On a busy machine members wait long for one that got no core. An exception that strikes the caller stops them too.
    They stop after the step that they are in, if ``program`` calls `heed_stop` and `is_last` in each.
    Returns on how many threads it ran, as `run_team`. If it is called off before, nothing has been done.
    """
    while size > 1 and not watch.called_off:
        watch.begin(size)
        members = _Members(watch.sync)
        try:
            for rank in range(1, size):
                members.start(watch.leave, program, rank, size, watch.sync, *arguments)
            members.start(watch.end, watch.lead, program, 0, size, watch.sync, *arguments)
            watch.finished.wait(watch.seconds)
        except CannotStart:
            watch.abandon()
        except BaseException:
            watch.abandon()
            raise
        finally:
            watch.wait(members.started)
        members.check()
        if len(members.started) == size:
            return size
        size = len(members.started)
    return size if watch.called_off else run_team(program, 1, *arguments)


def run_team(program: Callable, size: int, *arguments) -> int:
    """Call ``program(rank, size, sync, *arguments)`` on ``size`` threads at once, the caller being rank 0.

    ``program`` must pass its first barrier before it changes anything: if a member fails before that, or the caller is
    interrupted while starting them, the others leave there and nothing has happened. Where the system allows no such
    number of threads, there are as many as it allows, at least the caller alone.

    Returns
    -------
    int
        On how many threads it ran.
    """
    process = os.getpid()
    while size > 1:
        sync = np.zeros(SYNC_SIZE, np.int64)
        members = _Members(sync)
        try:
            _take_core(members.taken)
            for rank in range(1, size):
                members.start(_nothing, program, rank, size, sync, *arguments)
            if os.getpid() == process:
                program(0, size, sync, *arguments)
        except CannotStart:
            sync[ABORTED] = 1
        except BaseException:
            sync[ABORTED] = 1
            raise
        finally:
            for member in members.started:
                member.join()
        if os.getpid() != process:  # a handler of a signal has forked: the members are the parent's
            return run_team(program, size, *arguments)
        members.check()
        if len(members.started) == size - 1:
            return size
        size = 1 + len(members.started)
    program(0, 1, np.zeros(SYNC_SIZE, np.int64), *arguments)
    return 1


def _nothing() -> None: ...
