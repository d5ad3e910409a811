"""The memory of pictures: where each lies in the workspace of a batch, and where gradients pass through."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from fastnn.kernels import codes
from fastnn.kernels.records import Windows


class Frame(NamedTuple):
    """A picture with a border of zeros around it, as wide as what reads it needs."""

    height: int
    width: int
    channels: int
    top: int = 0
    left: int = 0
    bottom: int = 0
    right: int = 0

    @property
    def line(self) -> int:
        """Elements from one line to the next."""
        return (self.left + self.width + self.right) * self.channels

    @property
    def size(self) -> int:
        """Elements of the picture with its border."""
        return (self.top + self.height + self.bottom) * self.line

    @property
    def first(self) -> int:
        """Elements before the first pixel."""
        return self.top * self.line + self.left * self.channels


class Gradient(NamedTuple):
    """Where the gradient of a picture lies: its first pixel, and the distances of lines and pictures.

    A stride of 0 means the scratch memory of the member that works on the picture.
    """

    first: int
    line: int
    stride: int


def windows_of(op: Any) -> Windows:
    """Return the windows of an operation on pictures, a row of a plan's table."""
    return Windows(*(int(number) for number in op[codes.HEIGHT : codes.LEFT + 1]))


def reach(windows: Windows) -> tuple[int, int]:
    """Return how many lines below and pixels to the right of the picture windows see."""
    down = (windows.out_height - 1) * windows.stride_height + (windows.kernel_height - 1) * windows.dilation_height
    along = (windows.out_width - 1) * windows.stride_width + (windows.kernel_width - 1) * windows.dilation_width
    bottom, right = down + 1 - windows.top - windows.height, along + 1 - windows.left - windows.width
    return max(0, bottom), max(0, right)


def frame_of_input(op: Any) -> Frame:
    """Return the picture that an operation reads."""
    windows = windows_of(op)
    size = windows.height, windows.width, windows.channels
    if op[codes.KIND] != codes.CONVOLUTION:
        return Frame(*size)
    return Frame(*size, windows.top, windows.left, *reach(windows))


def frame_before_activation(op: Any) -> Frame:
    """Return the picture that holds the gradient of a convolution's sums.

    Where the gradient of the input is wanted, that is a convolution too, whose windows see a border.
    """
    windows = windows_of(op)
    size = windows.out_height, windows.out_width, windows.filters
    if not op[codes.NEEDS_DX]:
        return Frame(*size)
    above = (windows.kernel_height - 1) * windows.dilation_height - windows.top
    before = (windows.kernel_width - 1) * windows.dilation_width - windows.left
    below = (windows.height - 1 + windows.top) // windows.stride_height - (windows.out_height - 1)
    behind = (windows.width - 1 + windows.left) // windows.stride_width - (windows.out_width - 1)
    above, before = -(-above // windows.stride_height), -(-before // windows.stride_width)
    return Frame(*size, *(max(0, border) for border in (above, before, below, behind)))


def is_elementwise(op: Any) -> bool:
    """Whether an operation on pictures sees every element alone; its input and output have no border."""
    return bool(op[codes.KIND] < codes.CONVOLUTION)


def place_pictures(
    ops: np.ndarray, buffer: Callable[[int, int], int], batch_size: int, room: int, lanes: int
) -> None:
    """Give the operations on pictures, but the last one's output, their memory in the workspace of a batch.

    ``buffer`` gives memory for so many rows of so many elements. Behind each picture is room for a vector that reaches
    beyond its last pixel. The output of an operation is the input of the next one, unless only that has a border.
    """

    def place(op: Any, names: tuple[int, int, int], frame: Frame) -> None:
        stride = frame.size + room
        op[list(names)] = buffer(stride, batch_size) + frame.first, stride, frame.line

    x, y = (codes.X, codes.X_STRIDE, codes.X_LINE), (codes.Y, codes.Y_STRIDE, codes.Y_LINE)
    for op, below in zip(ops, [None, *ops[:-1]], strict=True):
        frame = frame_of_input(op)
        borderless = Frame(*frame[:3])
        place(op, x, frame)
        if below is not None and is_elementwise(below) and frame != borderless:
            place(below, y, borderless)
        elif below is not None:
            below[list(y)] = op[list(x)]
    for op in ops:
        windows = windows_of(op)
        pixels = windows.out_height * windows.out_width * windows.filters
        if op[codes.KIND] == codes.DROPOUT:
            op[codes.MASK] = buffer(pixels + room, batch_size)
        elif op[codes.KIND] == codes.CONVOLUTION and op[codes.NEEDS_DX]:
            taps, panels = windows.kernel_height * windows.kernel_width, -(-windows.channels // lanes)
            op[codes.TURNED_PANEL] = (taps * windows.filters + lanes) * lanes  # the last square reaches beyond
            op[codes.TURNED] = buffer(op[codes.TURNED_PANEL], panels)
    ops[-1, codes.Y_LINE] = windows.out_width * windows.filters


def place_gradients(ops: np.ndarray, first: int, stride: int, used: int, room: int) -> int:
    """Place the gradients of operations on pictures in a member's scratch memory, from element ``used`` on.

    That of the last one's output lies in the workspace from element ``first`` on. Returns the elements then used.
    """

    def scratch(frame: Frame) -> Gradient:
        nonlocal used
        first, used = used + frame.first, used + frame.size + room
        return Gradient(first, frame.line, 0)

    gradient = Gradient(first, int(ops[-1, codes.Y_LINE]), stride)
    framed = False  # whether it lies as the sums of a convolution need it
    for index in range(len(ops) - 1, -1, -1):
        op, below = ops[index], ops[index - 1] if index else None
        op[codes.DY], op[codes.DY_LINE], op[codes.DY_STRIDE] = gradient
        if op[codes.KIND] == codes.CONVOLUTION:
            sums = gradient if framed else scratch(frame_before_activation(op))
            op[codes.PRE_GRADIENT], op[codes.PRE_LINE] = sums.first, sums.line
        if below is None:
            break
        framed = not is_elementwise(op) and below[codes.KIND] == codes.CONVOLUTION
        if not is_elementwise(op):  # those replace the gradient of the output
            gradient = scratch(frame_before_activation(below) if framed else Frame(*frame_of_input(op)[:3]))
        op[codes.DX], op[codes.DX_LINE], op[codes.DX_STRIDE] = gradient
    return used
