"""Checks of single arguments: each returns the value in a plain type, or raises an error that names the argument."""

import math
import operator
from typing import Any

import numpy as np


def integer(name: str, value: Any, low: int, below: float = math.inf) -> int:
    """Return `value` as an int, if it is an integer >= `low` and < `below`."""
    upper = ""
    if not isinstance(value, (bool, np.bool_)):
        try:
            if low <= operator.index(value) < below:
                return operator.index(value)
            upper = f" and < {below}" * (operator.index(value) >= below)
        except TypeError:
            pass
    raise ValueError(f"{name} must be an integer >= {low}{upper}; got {value!r}")


def number(
    name: str, value: Any, low: float, high: float = math.inf, *, above: bool = False, closed: bool = False
) -> float:
    """Return `value` as a float, if it lies in [low, high), in (low, high) with `above`, [low, high] with `closed`."""
    if isinstance(value, (bool, np.bool_, str)):
        raise TypeError(f"{name} must be a number; got {value!r}")
    try:
        result = float(value)
    except OverflowError:  # a whole number beyond all floats
        result = math.inf if value > 0 else -math.inf
    except (TypeError, ValueError):
        raise TypeError(f"{name} must be a number; got {value!r}") from None
    if not (low <= result < high or (closed and result == high)) or (above and result == low):
        upper = "and finite" if high == math.inf else f"and {'<=' if closed else '<'} {high:g}"
        raise ValueError(f"{name} must be {'>' if above else '>='} {low:g} {upper}; got {value!r}")
    return result


def text(name: str, value: Any) -> str:
    """Return `value` as a str, if it is a string that is not empty and that UTF-8, and so a file, can hold."""
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a string; got {value!r}")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{name} must be a text without surrogates, which no file can hold; got {value!r}") from None
    if not value:
        raise ValueError(f"{name} must be a non-empty string; got {value!r}")
    return str.__str__(value)


def seed(value: Any) -> int | None:
    """Return a seed as an int, if it is one >= 0; None for none."""
    return None if value is None else integer("seed", value, 0)


def verbosity(value: Any, auto: int = 1) -> int:
    """Return 0, 1 or 2 for ``verbose``; ``"auto"`` means `auto`."""
    if isinstance(value, str) and value == "auto":
        return auto
    if value in (0, 1, 2):
        return int(value)
    raise ValueError(f'verbose must be "auto", 0 (silent), 1 (progress line) or 2 (one line an epoch); got {value!r}')
