"""How many threads fits and predictions use."""

from __future__ import annotations

import os
from numbers import Integral
from typing import Any

from fastnn.kernels import team

_num_threads: int | None = None


def positive_threads(value: Any, name: str) -> int:
    """Return a number of threads, or raise ValueError that names the argument it came from."""
    number = int(value) if isinstance(value, str) and value.strip().isdecimal() else value
    if isinstance(number, bool) or not isinstance(number, Integral) or number < 1:
        raise ValueError(f"{name} must be a positive whole number of threads; got {value!r}")
    return int(number)


def set_num_threads(threads: int | None) -> None:
    """Set the most threads that fits and predictions may use; None goes back to the default.

    Raises
    ------
    ValueError
        If ``threads`` is not a positive whole number.
    """
    global _num_threads
    _num_threads = None if threads is None else positive_threads(threads, "threads")


def get_num_threads() -> int:
    """Most threads that fits and predictions may use.

    What ``set_num_threads`` said, else the environment variable ``FASTNN_NUM_THREADS``, else the cores that
    affinity and the control group's quota allow. Small work uses fewer.
    """
    if _num_threads is not None:
        return _num_threads
    from_environment = os.environ.get("FASTNN_NUM_THREADS")
    if from_environment:
        return positive_threads(from_environment, "FASTNN_NUM_THREADS")
    return team.available_cores()


def team_size(threads: int | None, flops: float, flops_worth_a_thread: float) -> int:
    """Members of a team: as many as asked for, else as many as the work is worth."""
    if threads is not None:
        return positive_threads(threads, "threads")
    worth = int(flops / flops_worth_a_thread)
    return 1 if worth < 2 else min(get_num_threads(), worth)
