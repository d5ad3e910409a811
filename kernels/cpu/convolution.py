"""Naive loops, until the products are there."""

from __future__ import annotations

from .. import codes
from ..element_types import LANES, NUMBER
from ..llvm.instructions import at
from ..llvm.register_tiles import MODE_ZERO


def weight_index(op, w, u, v, c, f):
    return op[codes.WEIGHTS] + f // LANES * op[codes.PANEL] + (op[codes.BIAS] + (u * w.kernel_width + v) * w.channels + c) * LANES + f % LANES


def forward_picture(op, w, params, x, y):
    for i in range(w.out_height):
        for j in range(w.out_width):
            for f in range(w.filters):
                total = NUMBER(0.0)
                if op[codes.BIAS]:
                    total = params[op[codes.WEIGHTS] + f // LANES * op[codes.PANEL] + f % LANES]
                for u in range(w.kernel_height):
                    for v in range(w.kernel_width):
                        a = i * w.stride_height - w.top + u * w.dilation_height
                        b = j * w.stride_width - w.left + v * w.dilation_width
                        for c in range(w.channels):
                            total += x.first[a * x.line + b * w.channels + c] * params[weight_index(op, w, u, v, c, f)]
                if op[codes.FUNCTION] == codes.RELU and total < 0.0:
                    total = NUMBER(0.0)
                y.first[i * y.line + j * w.filters + f] = total


def turn_weights(team, op, w, params, turned):
    pass


def backward_picture(op, w, params, turned, x, y, dy, sums, dx, gradients, mode):
    """``gradients`` begin at the operation's weights."""
    if mode == MODE_ZERO:
        for i in range(op[codes.PANEL] * op[codes.PANELS]):
            gradients[i] = NUMBER(0.0)
    if op[codes.NEEDS_DX]:
        for i in range(w.height):
            for j in range(w.width * w.channels):
                dx.first[i * dx.line + j] = NUMBER(0.0)
    for i in range(w.out_height):
        for j in range(w.out_width):
            for f in range(w.filters):
                value = dy.first[i * dy.line + j * w.filters + f]
                if op[codes.FUNCTION] == codes.RELU and not y.first[i * y.line + j * w.filters + f] > 0.0:
                    value = NUMBER(0.0)
                sums.first[i * sums.line + j * w.filters + f] = value
                if op[codes.BIAS]:
                    gradients[f // LANES * op[codes.PANEL] + f % LANES] += value
                for u in range(w.kernel_height):
                    for v in range(w.kernel_width):
                        a = i * w.stride_height - w.top + u * w.dilation_height
                        b = j * w.stride_width - w.left + v * w.dilation_width
                        inside = 0 <= a and a < w.height and 0 <= b and b < w.width
                        for c in range(w.channels):
                            index = weight_index(op, w, u, v, c, f)
                            gradients[index - op[codes.WEIGHTS]] += value * x.first[a * x.line + b * w.channels + c]
                            if op[codes.NEEDS_DX] and inside:
                                dx.first[a * dx.line + b * w.channels + c] += value * params[index]
