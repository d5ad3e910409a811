"""Where text for people goes: standard streams that never end a training, whatever replaces them.

Information (progress, announcements, what ``verbose`` asks for, a summary) decides nothing: if it cannot be
written, it is not. What a command was called for is its result: if that cannot be written, the command fails.
"""

from __future__ import annotations

import contextlib
import signal
import sys
import traceback
from collections.abc import Iterator
from typing import Any


class Tolerant:
    """A text stream before another: characters that the other cannot show become ``?``, and all else is passed on.

    The other may be None or closed, then text is dropped, and it needs no method but ``write``. What the operating
    system refuses (a full disk, a pipe that nobody reads) is an error as ever: this is for results.

    Parameters
    ----------
    target : text stream or None
    """

    def __init__(self, target: Any) -> None:
        self._target = target

    def __getattr__(self, name: str) -> Any:
        return getattr(self._target, name)

    @property
    def encoding(self) -> str:
        """Encoding of the other stream, as far as it tells."""
        named = getattr(self._target, "encoding", None)
        return named if isinstance(named, str) else "utf-8"

    def can_show(self, text: str) -> bool:
        """Whether the other stream has all characters of ``text``."""
        try:
            text.encode(self.encoding)
        except (LookupError, UnicodeEncodeError):
            return False
        return True

    def isatty(self) -> bool:
        return bool(self._call("isatty"))

    def flush(self) -> None:
        self._call("flush")

    def write(self, text: str) -> int:
        if not isinstance(text, str):
            raise TypeError(f"expected str, got {type(text).__name__}")
        if self._target is not None:
            with contextlib.suppress(ValueError):  # closed
                self._write(text)
        return len(text)

    def _write(self, text: str) -> None:
        for encoding in (self.encoding, "ascii"):  # a stream may not tell its encoding
            try:
                self._target.write(text)
            except UnicodeEncodeError:
                with contextlib.suppress(LookupError):
                    text = text.encode(encoding, "replace").decode(encoding)
            else:
                return
        self._target.write(text)

    def _call(self, method: str) -> Any:
        try:
            return getattr(self._target, method, lambda: None)()
        except ValueError:  # closed
            return None


class Telling(Tolerant):
    """A text stream before another, for information: what the other raises is ignored.

    But what a handler of a signal raises meanwhile has nothing to do with the stream.
    """

    def __getattr__(self, name: str) -> Any:
        with _unheard():
            return getattr(self._target, name)
        raise AttributeError(name)

    @property
    def encoding(self) -> str:
        with _unheard():
            return super().encoding
        return "utf-8"

    def _write(self, text: str) -> None:
        with _unheard():
            super()._write(text)

    def _call(self, method: str) -> Any:
        with _unheard():
            return super()._call(method)


@contextlib.contextmanager
def _unheard() -> Iterator[None]:
    try:
        yield
    except Exception as error:
        if by_handler(error):
            raise


def by_handler(error: BaseException) -> bool:
    """Whether a handler of a signal raised this, and not the work that the signal cut short."""
    handlers = {getattr(signal.getsignal(number), "__code__", None) for number in signal.valid_signals()}
    return any(frame.f_code in handlers for frame, _ in traceback.walk_tb(error.__traceback__))


def results() -> Any:
    """Standard output as it is now, tolerant, for the results of a command."""
    return Tolerant(sys.stdout)


def stdout() -> Any:  # type checkers do not take it for a text stream
    """Standard output as it is now, for information."""
    return Telling(getattr(sys, "stdout", None))


def stderr() -> Any:
    """Standard error as it is now, for information."""
    return Telling(getattr(sys, "stderr", None))


def say(text: str, end: str = "\n", flush: bool = False) -> None:
    """Tell something on standard output as it is now."""
    print(text, end=end, file=stdout(), flush=flush)


@contextlib.contextmanager
def tolerant_streams() -> Iterator[None]:
    """Replace standard output and error by tolerant streams, for a command and the libraries it uses."""
    with contextlib.redirect_stdout(results()), contextlib.redirect_stderr(stderr()):
        yield
