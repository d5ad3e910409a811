"""Forks: locks that they take, so that a child finds what those guard whole, and signals that wait meanwhile."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

RETURN_SECONDS = 0.02  # more than enough for what else is done in the parent until its fork returns

_pairs: list[tuple[Callable[[], Any], Callable[[], Any]]] = []
_taken = threading.local()
_handlers: dict[int, Any] = {}  # those that the main thread has put off
_came: list[int] = []  # signals meanwhile


def hold(take: Callable[[], Any], give_back: Callable[[], Any]) -> None:
    """Call ``take`` before every fork, and ``give_back`` after it in parent and child; the latest pair is taken first.

    Python prints what is raised before a fork, forgets it and forks all the same. So no handler of a signal runs as
    long as a fork takes locks, which may be long: they run in the parent, when it has returned.
    """
    _pairs.append((take, give_back))


def _put_signals_off() -> None:
    for number in signal.valid_signals():
        handler = signal.getsignal(number)
        if callable(handler) and number not in _handlers:  # else by a handler that forked in the midst of this
            _handlers[number] = handler
            signal.signal(number, lambda number, frame: _came.append(number))


def _restore_handlers() -> None:
    while _handlers:  # each is struck off when it is back: one that raises at once keeps no other away
        number = next(iter(_handlers))
        signal.signal(number, _handlers[number])
        del _handlers[number]


def _send(numbers: list[int]) -> None:
    time.sleep(RETURN_SECONDS)
    for number in numbers:
        signal.raise_signal(number)


def _in_main_thread() -> bool:
    return threading.get_ident() == threading.main_thread().ident


def _before() -> None:
    if _in_main_thread():
        with contextlib.suppress(ValueError):  # an interpreter within another has no signals
            _put_signals_off()
    _taken.pairs = []
    for take, give_back in reversed(_pairs):
        take()
        _taken.pairs.append(give_back)


def _give_back() -> None:
    taken = getattr(_taken, "pairs", [])
    while taken:
        taken.pop()()


def _after_in_parent() -> None:
    _give_back()
    if _in_main_thread() and _handlers:
        _restore_handlers()
        numbers = _came.copy()
        _came.clear()
        if numbers:
            threading.Thread(target=_send, args=(numbers,), name="fastnn-signals", daemon=True).start()


def _after_in_child() -> None:
    _give_back()
    _came.clear()  # they were for the parent
    _restore_handlers()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_parent=_after_in_parent, after_in_child=_after_in_child)
