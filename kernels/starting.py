"""Threads that fastnn starts for itself."""

from __future__ import annotations

import threading

from . import forking

_sizing = threading.RLock()  # a handler of a signal may start threads too, in the midst of `start`
forking.hold(_sizing.acquire, _sizing.release)


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
    with _sizing:
        asked = threading.stack_size()
        try:
            if asked:
                threading.stack_size(0)
            thread.start()
        except RecursionError:  # the caller's own
            raise
        except (RuntimeError, MemoryError) as error:
            raise CannotStart(str(error)) from error
        finally:
            if asked:
                threading.stack_size(asked)
