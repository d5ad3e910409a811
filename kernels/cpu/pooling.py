"""Pooling of one picture: the largest pixel of each window, or the mean, channel by channel.

Windows reach beyond the picture where there is a border; what is there counts for neither.
"""

from __future__ import annotations

from ..element_types import NUMBER
from ..llvm.instructions import at
from ..llvm.picture_loops import window_max, window_max_gradient, window_spread, window_sum


def inside(start, size, limit):
    """The part of ``size`` pixels from ``start`` on that is within ``limit``: its first pixel, and how many."""
    first = max(0, start)
    return first, min(start + size, limit) - first


def max_pool(w, x, y):
    """y = the largest pixel of each window; NaN is larger than all."""
    for i in range(w.out_height):
        first, lines = inside(i * w.stride_height - w.top, w.kernel_height, w.height)
        for j in range(w.out_width):
            left, pixels = inside(j * w.stride_width - w.left, w.kernel_width, w.width)
            source = at(x.first, first * x.line + left * w.channels)
            window_max(w.channels, lines, pixels, source, x.line, at(y.first, i * y.line + j * w.channels))


def max_pool_backward(w, x, dy, dx):
    """dx = the gradient of each window where its largest pixel is, the first of equal ones."""
    clear_picture(w, dx)
    for i in range(w.out_height):
        first, lines = inside(i * w.stride_height - w.top, w.kernel_height, w.height)
        for j in range(w.out_width):
            left, pixels = inside(j * w.stride_width - w.left, w.kernel_width, w.width)
            source, target = first * x.line + left * w.channels, first * dx.line + left * w.channels
            window_max_gradient(
                w.channels, lines, pixels, at(x.first, source), x.line, at(dy.first, i * dy.line + j * w.channels),
                at(dx.first, target), dx.line,
            )  # fmt: skip


def average_pool(w, x, y):
    """y = the mean of the pixels of each window."""
    for i in range(w.out_height):
        first, lines = inside(i * w.stride_height - w.top, w.kernel_height, w.height)
        for j in range(w.out_width):
            left, pixels = inside(j * w.stride_width - w.left, w.kernel_width, w.width)
            source, factor = at(x.first, first * x.line + left * w.channels), NUMBER(1.0) / NUMBER(lines * pixels)
            window_sum(w.channels, lines, pixels, source, x.line, factor, at(y.first, i * y.line + j * w.channels))


def average_pool_backward(w, dy, dx):
    """dx = the gradients of all windows that a pixel is in, each divided by the pixels of the window."""
    clear_picture(w, dx)
    for i in range(w.out_height):
        first, lines = inside(i * w.stride_height - w.top, w.kernel_height, w.height)
        for j in range(w.out_width):
            left, pixels = inside(j * w.stride_width - w.left, w.kernel_width, w.width)
            target, factor = at(dx.first, first * dx.line + left * w.channels), NUMBER(1.0) / NUMBER(lines * pixels)
            gradient = at(dy.first, i * dy.line + j * w.channels)
            window_spread(w.channels, lines, pixels, gradient, factor, target, dx.line)


def clear_picture(w, dx):
    """Set the pixels of a picture to zero."""
    for i in range(w.height):
        for j in range(w.width * w.channels):
            dx.first[i * dx.line + j] = NUMBER(0.0)
