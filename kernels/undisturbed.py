"""What must not be cut in two: compilations and imports, by an interrupt or by a fork in another thread."""

from __future__ import annotations

import _imp
import functools
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from importlib import _bootstrap  # type: ignore[attr-defined]

IMPORT_SECONDS = 10.0  # longest wait of a fork for the imports of other threads

_making = threading.RLock()  # held by the one thread that compiles


def undisturbed(function: Callable) -> Callable:
    """Let ``function`` run to its end whatever happens, and one such function at a time.

    Ctrl-C and handlers of other signals strike the main thread, between any two steps; in the midst of Numba they would
    leave its tables half filled, and nothing could be compiled any more. So the main thread lets another one
    work. An interrupt ends its waiting, not the work, whose result the next call finds.
    """

    @functools.wraps(function)
    def call(*arguments, **options):
        if threading.current_thread() is not threading.main_thread():
            with _making:
                return function(*arguments, **options)
        outcome: Future = Future()

        def work() -> None:
            try:
                with _making:
                    result = function(*arguments, **options)
                outcome.set_result(result)  # free again: the main thread may be in a handler of a signal
            except BaseException as error:
                outcome.set_exception(error)

        threading.Thread(target=work, name="fastnn-compiler").start()
        return outcome.result()

    return call


def _others_import() -> bool:
    """Whether another thread is in the midst of an import, which holds a lock for each module."""
    locks = [reference() for reference in list(getattr(_bootstrap, "_module_locks", {}).values())]
    return any(getattr(lock, "owner", None) not in (None, threading.get_ident()) for lock in locks)


def _before_fork() -> None:
    """Wait for what other threads compile and import, and let nobody begin.

    The child has no other threads: it would find Numba's tables half filled and wait for ever for a module that is
    half imported.
    """
    latest = time.monotonic() + IMPORT_SECONDS
    while True:
        _making.acquire()
        _imp.acquire_lock()
        if not _others_import() or time.monotonic() > latest:
            return
        _after_fork()
        time.sleep(0.001)


def _after_fork() -> None:
    _imp.release_lock()
    _making.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork)
