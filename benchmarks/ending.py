"""Signals that ask the suite to end: what is finished is kept, and the exit status says which signal it was."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_NAMES = ("SIGHUP", "SIGINT", "SIGTERM")  # a terminal that closes, Ctrl-C, ``kill`` and job schedulers


class Ending:
    """Notes the first signal that asks to end; it breaks off what is measured, and nothing else.

    Attributes
    ----------
    number : int or None
        The first signal that came.
    """

    def __init__(self) -> None:
        self.number: int | None = None
        self._measuring = False

    def listen(self) -> None:
        """Take the signals from now on, but for those that whoever started this process had ignored (``nohup``)."""
        for number in (getattr(signal, name) for name in _NAMES if hasattr(signal, name)):
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._take)

    def _take(self, number: int, frame: Any) -> None:
        first, self.number = self.number is None, self.number or number
        if first and self._measuring:  # later ones must not cut what is being written
            raise KeyboardInterrupt

    @contextmanager
    def measuring(self) -> Iterator[None]:
        """Within, the first signal raises KeyboardInterrupt, also if it came before."""
        self._measuring = True
        try:
            if self.number is not None:
                raise KeyboardInterrupt
            yield
        finally:
            self._measuring = False

    @property
    def status(self) -> int:
        """Exit status: 0, or as a shell reports a signal."""
        return 0 if self.number is None else 128 + self.number
