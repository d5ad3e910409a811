"""Taking turns."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator


class Turns:
    """Lets one thread in at a time, again and again; ``with turns():``.

    A forked child has a lock of its own, as no thread of the child can free one that another thread of its parent held.
    """

    def __init__(self) -> None:
        self._locks: dict[int, threading.RLock] = {}  # by process

    @contextlib.contextmanager
    def __call__(self) -> Iterator[None]:
        with self._locks.setdefault(os.getpid(), threading.RLock()):
            yield
