"""What keeps readers of weights from seeing half a training step while another thread trains, or the same one.

A handler of a signal runs in the main thread between any two steps of Python code: while that thread waits for a team,
copies weights, or holds a lock. So every lock here is one that its holder gets through again, and what is found inside
is settled first: a team at work ends its step, and what was looked at or prepared meanwhile is done once more.
"""

from __future__ import annotations

import collections
import itertools
import operator
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any, TypeVar

from fastnn.kernels.host import forking

T = TypeVar("T")
SHORT_SLICE_SECONDS = 0.005  # longest compiled call while others want to read
POLITENESS_SECONDS = 0.05  # that a run waits at most for readers to take their turn
PAUSE_SECONDS = 0.0002  # between two looks

# Not a WeakSet: the callbacks of its references are Python code, and an interrupt that strikes there is swallowed.
_gates: dict[int, weakref.ref[Gate]] = {}  # by number, so that none is lost, whoever strikes whom
_numbers = itertools.count()
_gates_lock = threading.RLock()  # held while one is added, and by a thread that forks


class Gate:
    """Stands before the weights of one network.

    A run holds the lock while its compiled code works, from one whole step to another. Readers work without a lock and
    look afterwards whether a run began meanwhile; only then they read again, between two calls of the run.

    Attributes
    ----------
    lock : threading.RLock
        Held by a run in compiled code, by who writes weights, and by readers that have to wait.
    shut : bool
        Whether weights are being changed, by who holds the lock. It is set before `version` is.
    version : int
        Counts the calls of runs, and the other changes of weights.
    call_off : callable or None
        Ends the call of a run that is at work, after a whole step; for the thread that holds the lock.
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.shut = False
        self.version = 0
        self.call_off: Callable[[], None] | None = None
        self._guests: set[object] = set()
        self._last_guest = -1e9
        with _gates_lock:
            number = next(_numbers)
            if number % 64 == 63:
                for old, reference in list(_gates.items()):
                    if reference() is None:
                        _gates.pop(old, None)
            _gates[number] = weakref.ref(self)

    def read(self, look: Callable[[], T]) -> T:
        """Return what `look` returns for weights of a whole step. It should be quick, and may be called twice."""
        version = self.version
        if not self.shut:
            value = look()
            if self.version == version:
                return value
        return self.read_between_calls(look)

    def read_between_calls(self, look: Callable[[], T]) -> T:
        """Do the same, between two calls of a run."""
        guest = object()
        self.announce(guest)
        try:
            with self.lock:
                self.settle()
                while True:
                    version = self.version
                    value = look()
                    if self.version == version:  # else a handler of a signal has written meanwhile
                        return value
        finally:
            self.leave(guest)

    def write(self, prepare: Callable[[], T], change: Callable[[T], None]) -> None:
        """Call `change`, which is one operation on an array, with what `prepare` returns, between two calls of a run.

        A handler of a signal finds what was before or what is after, and what it writes is prepared upon.
        """
        with self.lock:
            self.settle()
            while True:
                version = self.version
                value = prepare()
                if self.version == version:
                    break
            shut, self.shut = self.shut, True
            self.version += 1
            try:
                change(value)
            finally:
                self.shut = shut

    def settle(self) -> None:
        """End a call that is at work, after a whole step; for the thread that holds the lock, and interrupts itself."""
        if self.call_off is not None:
            self.call_off()

    def announce(self, guest: object) -> None:
        """Let a run know that somebody waits for the lock."""
        self._guests.add(guest)
        self._last_guest = time.perf_counter()

    def leave(self, guest: object) -> None:
        self._guests.discard(guest)

    def let_guests_in(self) -> bool:
        """Give waiting readers time to take the lock; True if there were some lately."""
        now = time.perf_counter()
        if self._guests:
            while self._guests and time.perf_counter() < now + POLITENESS_SECONDS:
                time.sleep(PAUSE_SECONDS)
            self._guests.clear()  # none is left but those whose thread was stopped before it left
        return now - self._last_guest < 1.0


def _all_gates() -> list[Gate]:
    return [gate for reference in list(_gates.values()) if (gate := reference()) is not None]


def is_within_one() -> bool:
    """Whether this thread holds the lock of a gate, so that others may have to wait for it."""
    return any(gate.lock._is_owned() for gate in _all_gates())  # type: ignore[attr-defined]


_take, _release = operator.methodcaller("acquire", False), operator.methodcaller("release")


class _Fork:
    """A fork that begins: its thread holds all gates, as the child gets a copy of the weights as they are."""

    def __init__(self) -> None:
        self._locks: list[Any] = []
        self._held: list[bool] = []
        self.struck: BaseException | None = None

    def hold_all(self) -> None:
        """Hold all gates between two calls of runs, whatever strikes meanwhile."""
        while True:
            try:
                while not self._holds_all():
                    self.release()  # it waits with empty hands, as others may wait for one of the locks
                    time.sleep(PAUSE_SECONDS)
                return
            except BaseException as error:
                self.struck = error

    def _holds_all(self) -> bool:
        self.release()
        gates = _all_gates()
        for gate in gates:
            gate.announce(self)
        self._locks = [_gates_lock, *(gate.lock for gate in gates)]
        self._held.extend(itertools.takewhile(bool, map(_take, self._locks)))  # one step: no handler comes between
        if len(self._held) < len(self._locks) or len(_all_gates()) > len(gates):
            return False
        for gate in gates:
            gate.leave(self)
            gate.settle()
        return True

    def release(self) -> None:
        """Let go of all that are held."""
        releases = map(_release, self._locks[: len(self._held)])
        self._held = []
        collections.deque(releases, 0)


_forks: list[_Fork] = []  # those in progress: a handler of a signal may fork while a fork begins


def _before_fork() -> None:
    _forks.append(_Fork())
    _forks[-1].hold_all()


def _after_fork() -> None:
    _forks.pop().release()


forking.hold(_before_fork, _after_fork)
