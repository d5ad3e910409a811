"""What keeps readers of weights from seeing half a training step while another thread trains."""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Callable
from contextlib import ExitStack
from typing import TypeVar

T = TypeVar("T")
SHORT_SLICE_SECONDS = 0.005  # longest compiled call while others want to read
POLITENESS_SECONDS = 0.05  # that a run waits at most for readers to take their turn

# Not a WeakSet: the callbacks of its references are Python code, and an interrupt that strikes there is swallowed.
_gates: list[weakref.ref[Gate]] = []
_gates_lock = threading.Lock()  # held while the list changes, and by a thread that forks


class Gate:
    """Stands before the weights of one network.

    A run holds the lock while its compiled code works, from one whole step to another. Readers work without a lock and
    look afterwards whether a run began meanwhile; only then they read again, between two calls of the run.

    Attributes
    ----------
    lock : threading.Lock
        Held by a run in compiled code, and by readers that have to wait.
    version : int
        Counts the calls of runs.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.version = 0
        self._guests: set[object] = set()
        self._last_guest = -1e9
        with _gates_lock:
            if len(_gates) % 64 == 63:
                _gates[:] = [reference for reference in _gates if reference() is not None]
            _gates.append(weakref.ref(self))

    def read(self, look: Callable[[], T]) -> T:
        """Return what `look` returns for weights of a whole step. It should be quick, and may be called twice."""
        version = self.version
        if not self.lock.locked():
            value = look()
            if self.version == version:
                return value
        return self.read_between_calls(look)

    def read_between_calls(self, look: Callable[[], T]) -> T:
        """Do the same, between two calls of a run, and once."""
        guest = object()
        self._guests.add(guest)
        self._last_guest = time.perf_counter()
        try:
            with self.lock:
                return look()
        finally:
            self._guests.discard(guest)

    def let_guests_in(self) -> bool:
        """Give waiting readers time to take the lock; True if there were some lately."""
        now = time.perf_counter()
        if self._guests:
            while self._guests and time.perf_counter() < now + POLITENESS_SECONDS:
                time.sleep(0.0002)
            self._guests.clear()  # none is left but those whose thread was stopped on its way
        return now - self._last_guest < 1.0


_forking = ExitStack()


def _before_fork() -> None:
    """Wait until every network has the weights of a whole step: the child gets a copy of them as they are."""
    _gates_lock.acquire()
    for gate in [gate for reference in list(_gates) if (gate := reference()) is not None]:
        gate._guests.add(_gates_lock)
        _forking.enter_context(gate.lock)
        gate._guests.discard(_gates_lock)


def _after_fork() -> None:
    _forking.close()
    _gates_lock.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork)
