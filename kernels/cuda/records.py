"""What travels together through kernels on a GPU alone: named tuples of pointers, made by those that are launched.

Network, data and the optimizer's step are those of ``kernels/records.py``, with ``LANES`` = 1 and an int32 order.
"""

from __future__ import annotations

from typing import Any, NamedTuple


class Threads(NamedTuple):
    """Threads that share work, those of a block or of a grid: which of them this one is, and how many they are."""

    rank: int
    size: int


class Memory(NamedTuple):
    """What the training of a model writes, besides weights and the order of the rows."""

    slot_0: Any  # (P,), first moments
    slot_1: Any  # (P,), second moments
    work: Any  # laid out by the plan
    gradients: Any  # (P,), if they are clipped
    stats: Any  # float64 (BATCH * (1 + metrics) + threads + 2 * count,), each row's loss and metrics; behind it scratch
    results: Any  # float64 (epochs, 1 + metrics): sums over rows of the loss and the metrics
