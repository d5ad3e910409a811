"""Convolutions of pictures and their gradients, tap by tap, in float64.

Pictures are (n, height, width, channels), kernels (lines, pixels, channels, filters). What ``geometry`` says are the
numbers of `fastnn.kernels.records.Windows`, by name.
"""

from __future__ import annotations

import numpy as np


def _taps(geometry):
    """Each tap of a window: its indices, and the slices of the bordered picture that the windows see there."""
    g = geometry
    for u in range(g.kernel_height):
        for v in range(g.kernel_width):
            first, left = u * g.dilation_height, v * g.dilation_width
            rows = slice(first, first + (g.out_height - 1) * g.stride_height + 1, g.stride_height)
            columns = slice(left, left + (g.out_width - 1) * g.stride_width + 1, g.stride_width)
            yield u, v, (slice(None), rows, columns)


def bordered(x, geometry, value=0.0):
    """The pictures in a border of ``value`` that is as wide as windows see, and the slices where they are."""
    g = geometry
    height = max(g.top + g.height, (g.out_height - 1) * g.stride_height + (g.kernel_height - 1) * g.dilation_height + 1)
    width = max(g.left + g.width, (g.out_width - 1) * g.stride_width + (g.kernel_width - 1) * g.dilation_width + 1)
    whole = np.full((len(x), height, width, g.channels), value, np.float64)
    inside = slice(None), slice(g.top, g.top + g.height), slice(g.left, g.left + g.width)
    whole[inside] = x
    return whole, inside


def convolution(x, kernel, bias, geometry):
    """Sums of all windows, (n, out_height, out_width, filters)."""
    whole, _ = bordered(x, geometry)
    kernel = np.asarray(kernel, np.float64)
    return sum(whole[seen] @ kernel[u, v] for u, v, seen in _taps(geometry)) + bias


def convolution_gradients(x, kernel, dy, geometry):
    """Gradients of the input, the kernel and the bias for that of the sums."""
    whole, inside = bordered(x, geometry)
    dx, dkernel = np.zeros_like(whole), np.zeros(np.shape(kernel))
    for u, v, seen in _taps(geometry):
        dx[seen] += dy @ np.asarray(kernel, np.float64)[u, v].T
        dkernel[u, v] = np.einsum("nijc,nijf->cf", whole[seen], dy)
    return dx[inside], dkernel, dy.sum((0, 1, 2))


def max_pool(x, geometry):
    """The largest pixel of each window, and the number of its tap, the first of equal ones."""
    whole, _ = bordered(x, geometry, -np.inf)
    windows = np.stack([whole[seen] for _, _, seen in _taps(geometry)])
    return windows.max(0), windows.argmax(0)


def max_pool_gradient(x, dy, geometry):
    """Gradient of the input: that of each window where its largest pixel is."""
    whole, inside = bordered(x, geometry)
    dx, (_, largest) = np.zeros_like(whole), max_pool(x, geometry)
    for number, (_, _, seen) in enumerate(_taps(geometry)):
        dx[seen] += np.where(largest == number, dy, 0.0)
    return dx[inside]


def average_pool(x, geometry):
    """The mean of the pixels of each window that are on the picture."""
    whole, _ = bordered(x, geometry)
    return sum(whole[seen] for _, _, seen in _taps(geometry)) / _counts(geometry)


def average_pool_gradient(x, dy, geometry):
    """Gradient of the input: those of all windows that a pixel is in, each divided by its pixels."""
    whole, inside = bordered(x, geometry)
    dx = np.zeros_like(whole)
    for _, _, seen in _taps(geometry):
        dx[seen] += dy / _counts(geometry)
    return dx[inside]


def _counts(geometry):
    """How many pixels of each window are on the picture."""
    ones, _ = bordered(np.ones((1, geometry.height, geometry.width, geometry.channels)), geometry)
    return sum(ones[seen] for _, _, seen in _taps(geometry))
