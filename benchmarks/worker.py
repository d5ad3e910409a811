"""A process for each contender, with its threads limited before any library is loaded."""

from __future__ import annotations

import multiprocessing
import signal
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any

from benchmarks import terms


class WorkerFailed(Exception):
    """A contender raised an exception, or its process ended."""


def serve(connection: Connection, name: str, threads: int, stand_ins: frozenset[str]) -> None:
    """Answer calls of `Worker.call` until None comes; Ctrl-C is for the process that asks."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
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

    def close(self, at_once: bool = False) -> None:
        """Dismiss the process and wait until it is gone, or end it at once."""
        self.dismiss()
        self._connection.close()
        self._process.join(0 if at_once else 10)
        if self._process.is_alive():
            self._process.terminate()
