"""Threads that fastnn starts for itself."""

from __future__ import annotations

import threading

PATIENCE_SECONDS = 1.0

_sizing = threading.RLock()  # held while the size of stacks is another one than the program asked for


class CannotStart(RuntimeError):
    """There is no memory for a thread, or the system, Python's build or the end of the process allows no more."""


def start(thread: threading.Thread) -> None:
    """Start a thread with a stack of the system's usual size.

    What a program asks of ``threading.stack_size`` is for its own threads: the compiler needs more than the least.

    Raises
    ------
    CannotStart
        If there can be no such thread.
    """
    # not for ever: who holds it may be in a handler of a signal that waits for this thread
    held = _sizing.acquire(timeout=PATIENCE_SECONDS)
    asked = threading.stack_size()  # which sets the system's usual size
    if held and not asked:
        _sizing.release()
        held = False
    try:
        _begin(thread)
    finally:
        if asked:
            threading.stack_size(asked)
        if held:
            _sizing.release()


def _begin(thread: threading.Thread) -> None:
    try:
        thread.start()
    except RecursionError:  # the caller's own
        raise
    except (RuntimeError, MemoryError) as error:
        raise CannotStart(str(error)) from error
