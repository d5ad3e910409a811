"""What NumPy does at an overflow and its like is the caller's choice for code of the caller's, not for ours."""

import functools
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, TypeVar

import numpy as np

F = TypeVar("F", bound=Callable[..., Any])

_callers: ContextVar[Any] = ContextVar("errstate of the caller", default=None)


def heedless(function: F) -> F:
    """Let a function do the same under any ``numpy.errstate``, and any filter of warnings that come from it.

    A number that becomes 0 in float32 is no reason to end a fit, and where infinity is one, that is looked for.
    """

    @functools.wraps(function)  # and not NumPy's decorator, whose frame would be taken for the line of the user
    def call(*arguments: Any, **options: Any) -> Any:
        with np.errstate(all="ignore"):
            return function(*arguments, **options)

    return call  # type: ignore[return-value]


def heedless_but_for_callbacks(function: F) -> F:
    """Do the same for a function in which the caller's own code runs, see `as_the_caller`."""

    @functools.wraps(function)
    def call(*arguments: Any, **options: Any) -> Any:
        token = _callers.set(np.geterr())
        try:
            with np.errstate(all="ignore"):
                return function(*arguments, **options)
        finally:
            _callers.reset(token)

    return call  # type: ignore[return-value]


def as_the_caller(function: Callable[..., Any]) -> Callable[..., Any]:
    """Let code of the caller's find the state that fastnn was called in."""

    @functools.wraps(function)
    def call(*arguments: Any, **options: Any) -> Any:
        state = _callers.get()
        if state is None:
            return function(*arguments, **options)
        with np.errstate(**state):
            return function(*arguments, **options)

    return call
