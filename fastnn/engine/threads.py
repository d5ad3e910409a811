"""How many threads fits and predictions use."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import weakref
from collections.abc import Iterator
from numbers import Integral
from typing import Any

from fastnn.common.user_warnings import warn
from fastnn.engine import cores

FEW = 64  # threads that may be asked for on any machine
DIGITS = 9  # of a number of threads that are looked at
_num_threads: int | None = None
_told: set[str] = set()
_computing: weakref.WeakSet[_Computation] = weakref.WeakSet()  # runs and predictions of this process, right now
_lock = threading.RLock()  # a handler of a signal may compute while its thread has it


def most_threads() -> int:
    """Most threads that a computation gets, whatever is asked for: 4 for each core of the machine, and at least 64.

    Members of a team wait for each other many times a step, so more than the cores only take time.
    """
    return max(FEW, 4 * (os.cpu_count() or 1))


def positive_threads(value: Any, name: str) -> int:
    """Return a number of threads, at most `most_threads`, or raise ValueError that names the argument it came from."""
    number = _whole(value) if isinstance(value, str) else value
    if isinstance(number, bool) or not isinstance(number, Integral) or number < 1:
        raise ValueError(f"{name} must be a positive whole number of threads; got {value!r}")
    number = int(number)
    if number > FEW and number > (most := most_threads()):
        _tell_once(name, f"{name} asks for more than {most}, all that this machine has use for: {most} are used")
        return most
    return number


def _whole(text: str) -> int | None:
    """The number in a text of digits, None if there is something else; of very many digits the first will do."""
    digits = text.strip()
    return int(digits.lstrip("0")[:DIGITS] or 0) if digits.isdecimal() else None


def _tell_once(what: str, message: str) -> None:
    if what not in _told:
        _told.add(what)
        warn(message, RuntimeWarning)


def tell_fewer(worked: int, asked: int) -> None:
    """Say once that a team could not have as many members as were asked for."""
    if worked < asked:
        _tell_once(
            "fewer",
            f"only {worked} of {asked} threads could be started, for want of memory, by a limit of the system or at "
            "the end of the process: it takes longer, the result is the same",
        )


class TeamSize:
    """How many threads the next slice of a run gets on a machine that others use too.

    Members of a team wait for each other many times a step, so a team that gets less than its cores can be slower than
    one thread. The result does not depend on the size of a team: a run may change it between slices.

    Parameters
    ----------
    full : int
        Size on a machine that is free.
    """

    BUSY = 0.9  # fraction of its cores' time that a team must get to be left alone
    STARVED = 2  # slices without, one after the other, until one thread works on
    SLICES = 10  # of one size before the other one is tried again
    SHORTEST = 0.005  # seconds of a slice that tell anything

    def __init__(self, full: int) -> None:
        self.full = full
        self.size = full
        self._pace: dict[int, float] = {}
        self._starved = 0  # such slices, one after the other, until now
        self._left = 0  # slices until the size is questioned again

    def report(self, steps: int, seconds: float, processor_seconds: float) -> None:
        """Learn from a slice: its steps, and the time and processor time that it took."""
        if self.full == 1 or seconds < self.SHORTEST:
            return
        self._pace[self.size] = seconds / steps
        self._left -= 1
        if self.size < self.full:
            slower = self._pace[self.size] > self._pace[self.full]
            if slower or self._left <= 0:
                self.size, self._left = self.full, self.SLICES if slower else 0
            return
        self._starved = self._starved + 1 if processor_seconds < self.BUSY * seconds * self.size else 0
        suffers = self._starved >= self.STARVED or (self._starved and cores.available_cores() < self.size)
        if suffers and self._left <= 0:
            self.size, self._left, self._starved = 1, self.SLICES, self.STARVED - 1


def set_num_threads(threads: int | None) -> None:
    """Set the most threads that fits and predictions may use; None goes back to the default.

    More than 4 for each core of the machine, and more than 64, are cut to that, with a warning: they would take time
    and give nothing, and the result does not depend on their number. Where the system allows no such number, as many
    are used as it allows, with a warning.

    Raises
    ------
    ValueError
        If ``threads`` is not a positive whole number.
    """
    global _num_threads
    _num_threads = None if threads is None else positive_threads(threads, "threads")


def get_num_threads() -> int:
    """Most threads that fits and predictions may use.

    What ``set_num_threads`` said, else the environment variable ``FASTNN_NUM_THREADS``, else the cores that
    affinity and the control group's quota allow, at most ``OMP_NUM_THREADS``: joblib's and Dask's workers find what
    they may use there. Small work uses fewer, and so does what runs beside other work of the same process.
    """
    if _num_threads is not None:
        return _num_threads
    from_environment = os.environ.get("FASTNN_NUM_THREADS")
    if from_environment:
        return positive_threads(from_environment, "FASTNN_NUM_THREADS")
    return min(cores.available_cores(), _openmp_threads() or sys.maxsize)


def _openmp_threads() -> int | None:
    """Threads of the outermost level in ``OMP_NUM_THREADS``; None if it says nothing of use."""
    return _whole(os.environ.get("OMP_NUM_THREADS", "").partition(",")[0]) or None


class _Computation:
    """Stands for one run or prediction at work."""


def _after_fork() -> None:
    """Forget the computations of threads that a forked child does not have."""
    global _lock
    _lock = threading.RLock()
    _computing.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


@contextlib.contextmanager
def sharing(size: int) -> Iterator[int]:
    """Give a computation that could use ``size`` threads as many as it may have while others compute."""
    computation = _Computation()  # not a count: wherever an interrupt strikes, what is not held any more is not counted
    with _lock:
        _computing.add(computation)
        allowed = max(1, get_num_threads() // len(_computing)) if size > 1 else 1
    try:
        yield min(size, allowed)
    finally:
        with _lock:
            _computing.discard(computation)


def team_size(threads: int | None, flops: float, flops_worth_a_thread: float) -> int:
    """Members of a team: as many as asked for, else as many as the work is worth."""
    if threads is not None:
        return positive_threads(threads, "threads")
    worth = int(flops / flops_worth_a_thread)
    return 1 if worth < 2 else min(get_num_threads(), worth)
