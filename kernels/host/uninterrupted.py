"""What must not be cut in two: compilations and imports, by an exception or by a fork in another thread."""

from __future__ import annotations

import _imp
import atexit
import concurrent.futures.thread  # noqa: F401 - Numba needs it, and it cannot be imported once Python ends
import contextlib
import functools
import importlib
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from importlib import _bootstrap  # type: ignore[attr-defined]
from typing import Any, TypeVar

from . import forking
from .starting import CannotStart, start

T = TypeVar("T")
IMPORT_SECONDS = 10.0  # longest wait of a fork for the imports of other threads
DEPTH = 1000  # calls within each other that Numba may need: Python's usual limit

_making = threading.RLock()  # held by the one thread that compiles
_maker: int | None = None
_workers: set[threading.Thread] = set()


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """Be the one thread that compiles, with room for as many calls within each other as it takes."""
    global _maker
    with _making:
        _maker, limit = threading.get_ident(), sys.getrecursionlimit()
        try:
            sys.setrecursionlimit(max(limit, DEPTH))
            yield
        finally:
            _maker = None
            if limit < DEPTH:
                sys.setrecursionlimit(limit)


def _elsewhere(work: Callable[[], T]) -> T:
    """Let a thread of its own work, or the caller where none can be started, and return the result."""
    outcome: Future = Future()

    def fulfil() -> None:
        try:
            result = work()
        except BaseException as error:
            outcome.set_exception(error)
        else:
            outcome.set_result(result)
        finally:
            _workers.discard(worker)

    worker = threading.Thread(target=fulfil, name="fastnn-compiler")
    _workers.add(worker)
    atexit.unregister(_wait_for_workers)
    atexit.register(_wait_for_workers)  # before all that Numba and LLVM have registered
    try:
        start(worker)
    except CannotStart:
        fulfil()
    return outcome.result()


def _wait_for_workers() -> None:
    """Wait at the end of Python for a thread that compiles: it must not find LLVM taken down, which ends in a crash.

    Python waits for threads by itself, until Ctrl-C. Another one, here, ends the process at once.
    """
    try:
        for worker in list(_workers):
            if worker.ident is not None:
                worker.join()
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        signal.raise_signal(signal.SIGINT)


def undisturbed(function: Callable) -> Callable:
    """Let ``function`` run to its end whatever happens, and one such function at a time.

    Ctrl-C and handlers of other signals strike the main thread, and exceptions that are sent to a thread strike that,
    between any two steps; deep in a recursion few calls are left. In the midst of Numba that would leave its tables
    half filled, and nothing could be compiled any more. So a thread of its own does the work. What strikes the caller
    ends its waiting, not the work, whose result the next call finds. Where no thread can be started, the caller works.
    """

    @functools.wraps(function)
    def call(*arguments, **options):
        if _maker == threading.get_ident():  # in the midst of such work
            return function(*arguments, **options)

        def work() -> Any:
            with _alone():
                return function(*arguments, **options)

        return _elsewhere(work)

    return call


@undisturbed
def import_whole(name: str) -> None:
    """Import a module whole; if that fails, forget its parts, so that it can be tried again."""
    before = set(sys.modules)
    try:
        importlib.import_module(name)
    except BaseException:
        for part in set(sys.modules) - before:
            if part.partition(".")[0] == name.partition(".")[0]:
                del sys.modules[part]
        raise


@functools.cache
def imported(name: str) -> Any:
    """Return a module, whole even if a signal strikes its first import and the handler wants it too.

    Other threads may import it as well, and compile meanwhile: modules have locks of their own.
    """
    if _maker == threading.get_ident():
        return importlib.import_module(name)
    return _elsewhere(lambda: importlib.import_module(name))


def _others_import() -> bool:
    """Whether another thread is in the midst of an import, which holds a lock for each module."""
    locks = [reference() for reference in list(getattr(_bootstrap, "_module_locks", {}).values())]
    return any(getattr(lock, "owner", None) not in (None, threading.get_ident()) for lock in locks)


def _wait_for_others() -> None:
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
        _let_others_begin()
        time.sleep(0.001)


def _let_others_begin() -> None:
    _imp.release_lock()
    _making.release()


forking.hold(_wait_for_others, _let_others_begin)
