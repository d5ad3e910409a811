"""What travels together through kernels: named tuples, which the compiler takes apart.

A program gets those of arrays from the host; within it they hold pointers to first elements (``pointers``), as using an
array counts a reference.
"""

from __future__ import annotations

from typing import Any, NamedTuple


class Team(NamedTuple):
    """Who works on a step, seen by one member; see ``operations/teamwork.py``."""

    rank: int
    size: int
    sync: Any  # int64 (SYNC_SIZE,), where members meet


class Network(NamedTuple):
    """Operations and weights; for programs of CPUs, see ``kernels/README.md`` for layouts."""

    ops: Any  # int64 (count, OPERATION_COLUMNS)
    count: int  # type: ignore[assignment]  # hides the method of tuples
    factors: Any  # (count, FACTOR_COLUMNS)
    loss_factors: Any  # (1 + metrics, LOSS_COLUMNS + C), of the loss and of each metric; not read for predictions
    params: Any  # (P + operands,), updated in training: weights, with what mixed precision keeps of them


class Data(NamedTuple):
    """All rows, and how they are read."""

    x: Any  # (n, inputs), of the parameters' type or uint8; (0, 1) where the rows are sparse
    y: Any  # (n, TARGETS)
    sample_weights: Any  # (n,) or (0,)
    order: Any  # int64 (n,), updated: the order of the rows in the present epoch; None for predictions
    scaling: Any  # (2,), factor and summand of every input


class Memory(NamedTuple):
    """What training writes, besides weights and the order of the rows; of a member, where each has its own.

    ``work`` is laid out by the plan, one for the team or, where it shares rows, for each member. ``gradients`` are
    (PARAMETERS,) where they are clipped and there are no segments. In ``stats``, behind the loss and metrics of each
    row of the batch, is room for ``cpu/clipping.py``.
    """

    slot_0: Any  # (P,), first moments
    slot_1: Any  # (P,), second moments
    work: Any  # (1 or size, ...)
    gradients: Any  # (SEGMENTS * PARAMETERS,)
    scratch: Any  # (size, ...)
    stats: Any  # float64 (BATCH * (1 + metrics) + 2 * units,)
    results: Any  # float64 (epochs, 1 + metrics): sums over rows of the loss and the metrics


class Descent(NamedTuple):
    """What the optimizer does in one step, the same for all weights.

    ``rate``, ``momentum`` and ``epsilon`` are those of ``operations/optimizers.py: constants``;
    ``decay`` is the fraction of itself that every weight loses first.
    """

    optimizer: int
    rate: float
    momentum: float
    one_minus_beta_1: float
    one_minus_beta_2: float
    epsilon: float
    decay: float
    nesterov: bool


class Windows(NamedTuple):
    """Windows that slide over a picture: what convolutions and pooling have in common.

    Output pixel (i, j) sees the input pixels ``(i * stride_height - top + u * dilation_height, j * stride_width - left
    + v * dilation_width)`` for u < kernel_height, v < kernel_width. What lies outside the picture is its border.
    """

    height: int
    width: int
    channels: int
    out_height: int
    out_width: int
    filters: int  # channels of the output
    kernel_height: int
    kernel_width: int
    stride_height: int
    stride_width: int
    dilation_height: int
    dilation_width: int
    top: int  # lines of the border above the picture that windows see
    left: int  # pixels of the border on the left


class Picture(NamedTuple):
    """A picture in memory: NHWC, pixels side by side without padding of channels."""

    first: Any  # its first pixel, behind the border
    line: int  # elements from one line to the next, borders included


class Sliding(NamedTuple):
    """How windows move over the lines of a picture in memory, along both axes."""

    start: int  # line that the first window begins on; below 0 is the border
    step: int  # lines from one line of windows to the next
    dilation: int  # lines from one tap to the next
    height: int  # lines of the picture
    lines: int  # taps of a window: lines, and pixels in each
    pixels: int
    shift: int  # elements from one window to the next in a line
    spread: int  # elements from one pixel of a window to the next
    channels: int
