"""A process for each contender, with its threads limited before any library is loaded.

It leads a process group, in which all lie that it starts itself (scripts, joblib's processes): they end together, when
they are told to or when the suite is gone, however that came about.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any

from benchmarks import terms

GRACE = 5.0  # seconds that a group has between SIGTERM, after which it tidies up, and SIGKILL


class WorkerFailed(Exception):
    """A contender raised an exception, or its process ended."""


def serve(connection: Connection, name: str, threads: int, stand_ins: frozenset[str]) -> None:
    """Answer calls of `Worker.call` until None comes; Ctrl-C is for the process that asks."""
    os.setpgid(0, 0)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _leave)
    threading.Thread(target=_end_with_the_suite, daemon=True).start()
    from benchmarks.contenders.base import NotOffered
    from benchmarks.session import Session

    session = None
    while (request := _next(connection)) is not None:
        method, arguments = request
        try:
            session = session or Session(name, threads, stand_ins)
            connection.send(("result", getattr(session, method)(*arguments)))
        except NotOffered:
            connection.send(("not offered", None))
        except Exception as error:
            connection.send(("error", f"{type(error).__name__}: {error}".splitlines()[0]))


def _leave(number: int, frame: Any) -> None:
    """Leave in good order, once: temporary files go, and processes that were started."""
    signal.signal(number, signal.SIG_IGN)
    sys.exit(128 + number)


def _end_with_the_suite() -> None:
    """End this group of processes when the one that started it is gone, whatever it is busy with."""
    suite = multiprocessing.parent_process()
    assert suite is not None
    suite.join()
    os.kill(0, signal.SIGTERM)
    time.sleep(GRACE)
    os.kill(0, signal.SIGKILL)


def _next(connection: Connection) -> Any:
    """Return the next call, or None when there will be none, since whoever asked is gone."""
    try:
        return connection.recv()
    except EOFError:
        return None


class Worker:
    """This side of a contender's process; arguments as for `benchmarks.session.Session`."""

    def __init__(self, name: str, threads: int, stand_ins: frozenset[str] = frozenset()) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=serve, args=(theirs, name, threads, stand_ins))
        with terms.limited(threads):
            self._process.start()
        self._group = self._process.pid
        theirs.close()

    def call(self, method: str, *arguments: Any) -> Any:
        """Call a method of the session.

        Raises
        ------
        WorkerFailed
            With the message of an exception there, or because the process is gone.
        NotOffered
            As the session says.
        """
        from benchmarks.contenders.base import NotOffered

        try:
            self._connection.send((method, arguments))
            kind, value = self._connection.recv()
        except (EOFError, OSError):
            self._process.join(5)
            raise WorkerFailed(f"the process ended with code {self._process.exitcode}") from None
        if kind == "not offered":
            raise NotOffered
        if kind == "error":
            raise WorkerFailed(value)
        return value

    @property
    def alive(self) -> bool:
        return self._process.is_alive()

    def dismiss(self) -> None:
        """Tell the process to end when it has answered."""
        with suppress(OSError):
            self._connection.send(None)

    def terminate(self) -> None:
        """Ask the process, and all that it started, to end whatever they are busy with."""
        self._send(signal.SIGTERM)

    def close(self, at_once: bool = False) -> None:
        """Dismiss the process and wait until it is gone with all that it started; one that takes too long is killed.

        Parameters
        ----------
        at_once : bool
            After `terminate`: without an answer to what was asked last.
        """
        self.dismiss()
        self._connection.close()
        self._process.join(GRACE if at_once else 2 * GRACE)
        self._send(signal.SIGKILL if self.alive else signal.SIGTERM)
        self._process.join()
        self._group = None

    def _send(self, number: int) -> None:
        """Send a signal to the group, or to a process that has not yet made it its own."""
        if self._group is None:
            return
        try:
            os.killpg(self._group, number)
        except ProcessLookupError:
            if self.alive:
                os.kill(self._group, number)
