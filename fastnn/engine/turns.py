"""Taking turns."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator

from fastnn.engine.weights_lock import is_within_one


class Turns:
    """Lets one thread in at a time, again and again; ``with turns() as again:`` says whether it was in before.

    A forked child has a lock of its own, as no thread of the child can free one that another thread of its parent held.

    Parameters
    ----------
    brief : bool, default=False
        Whether nobody who is in waits for others: a handler of a signal may then wait, whatever it interrupts.
    """

    def __init__(self, brief: bool = False) -> None:
        self._locks: dict[int, threading.RLock] = {}  # by process
        self._brief = brief

    @contextlib.contextmanager
    def __call__(self) -> Iterator[bool]:
        lock = self._locks.setdefault(os.getpid(), threading.RLock())
        again = lock._is_owned()  # type: ignore[attr-defined]
        if not (again or self._brief or _is_free(lock)) and is_within_one():
            raise RuntimeError(
                "another thread trains this model, and may wait for the weights that this one has in its hands: a "
                "handler of a signal that strikes here cannot wait for the end of that training"
            )
        with lock:
            yield again


def _is_free(lock: threading.RLock) -> bool:
    free = lock.acquire(blocking=False)
    if free:
        lock.release()
    return free
