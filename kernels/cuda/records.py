"""What travels together through kernels on a GPU: named tuples of pointers, made by those that are launched."""

from __future__ import annotations

from typing import Any, NamedTuple


class Threads(NamedTuple):
    """Threads that share work, those of a block or of a grid: which of them this one is, and how many they are."""

    rank: int
    size: int


class Network(NamedTuple):
    """Operations and weights."""

    ops: Any  # int64 (count, OPERATION_COLUMNS)
    count: int
    factors: Any  # (count, FACTOR_COLUMNS)
    loss_factors: Any  # (1 + metrics, LOSS_COLUMNS + C), of the loss and of each metric; None where nobody asks
    params: Any  # (P,), updated in training


class Data(NamedTuple):
    """All rows, and how they are read."""

    x: Any  # (n, inputs), of the parameters' type or uint8
    y: Any  # (n, TARGETS)
    weights: Any  # (n,)
    order: Any  # int32 (n,), updated: the order of the rows in the present epoch
    scaling: Any  # (2,), factor and summand of every input


class Memory(NamedTuple):
    """What the training of a model writes, besides weights and the order of the rows."""

    slot_0: Any  # (P,), first moments
    slot_1: Any  # (P,), second moments
    work: Any  # laid out by the plan
    gradients: Any  # (P,), if they are clipped
    stats: Any  # float64 (BATCH * (1 + metrics) + threads + 2 * count,), each row's loss and metrics; behind it scratch
    results: Any  # float64 (epochs, 1 + metrics): sums over rows of the loss and the metrics
