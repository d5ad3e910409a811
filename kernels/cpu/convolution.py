"""Convolutions of one picture on register tiles: forward, gradient of the weights, gradient of the input.

All three are the same product with other strides, and nothing is copied for it. A pixel of the output is a row; the
lines of a window are the outer sum, the elements of one of them the inner one. The gradient of the input is a
convolution too, of the gradient of the sums, with the weights turned: flipped and transposed. With strides, the pixels
of the input fall into phases, each of which meets its own taps of the window, so no product is with a zero between
pixels.

Weights stand in panels as those of dense layers: `[panel][bias | (line, pixel, channel)][LANES]`.
"""

from __future__ import annotations

from .. import codes
from ..element_types import LANES
from ..host.cpu import simd_level
from ..llvm.instructions import at
from ..llvm.picture_loops import gradient_line
from ..llvm.picture_tiles import MOST_ROWS, window_strip
from ..llvm.register_tiles import MODE_ADD, MODE_INIT, MODE_ZERO
from ..llvm.vectors import transpose_square
from ..operations.arithmetic import clear
from ..operations.teamwork import share
from ..records import Picture, Sliding

strip_1, strip_2 = (window_strip(MOST_ROWS[vectors].get(simd_level(), 4), vectors) for vectors in (1, 2))


def product(
    a, a_row, a_k, a_tap, a_line, b, b_k, b_tap, b_panel, c, c_row, c_panel, c_line, columns, rows, lines, count, taps,
    init, init_panel, mode, relu,
):  # fmt: skip
    """``window_strip`` for any number of columns; what is beyond them in the last vector is not written."""
    p, panels = 0, (columns + LANES - 1) // LANES
    while panels - p >= 2:
        strip_2(
            a, a_row, a_k, a_tap, a_line, at(b, p * b_panel), b_k, b_tap, b_panel, at(c, p * c_panel), c_row, c_panel,
            c_line, rows, lines, count, taps, at(init, p * init_panel), init_panel, mode, relu,
            min(LANES, columns - (p + 1) * LANES),
        )  # fmt: skip
        p += 2
    if panels > p:
        strip_1(
            a, a_row, a_k, a_tap, a_line, at(b, p * b_panel), b_k, b_tap, b_panel, at(c, p * c_panel), c_row, c_panel,
            c_line, rows, lines, count, taps, at(init, p * init_panel), init_panel, mode, relu,
            min(LANES, columns - p * LANES),
        )  # fmt: skip


def slide(sliding, x, first, lines, low, high, weights, panel, y, pixel, rows, columns, init, mode, relu):
    """Lines ``first`` .. ``first + lines`` of windows, with their taps ``low`` .. ``high`` alone.

    ``x`` begins with the first window's pixel on line 0 of the picture, ``y`` with the first line of the output, whose
    pixels are ``pixel`` elements apart. ``weights`` are (lines, pixels, channels) in panels.
    """
    run = sliding.pixels * sliding.channels
    source = at(x.first, (sliding.start + first * sliding.step + low * sliding.dilation) * x.line)
    target, tap, line = at(y.first, first * y.line), sliding.dilation * x.line, sliding.step * x.line
    if sliding.spread == sliding.channels:
        product(
            source, sliding.shift, 1, tap, line, at(weights, low * run * LANES), LANES, run * LANES, panel, target,
            pixel, LANES, y.line, columns, rows, lines, run, high - low, init, panel, mode, relu,
        )  # fmt: skip
        return
    for u in range(low, high):
        product(
            at(source, (u - low) * tap), sliding.shift, 1, sliding.spread, line, at(weights, u * run * LANES), LANES,
            sliding.channels * LANES, panel, target, pixel, LANES, y.line, columns, rows, lines, sliding.channels,
            sliding.pixels, init, panel, mode if u == low else MODE_ADD, relu if u == high - 1 else 0,
        )  # fmt: skip


def taps_inside(sliding, line):
    """First and last + 1 of the taps of a line of windows that fall on the picture; at least one, on its border."""
    start, dilation = sliding.start + line * sliding.step, sliding.dilation
    low = min(max(0, (dilation - 1 - start) // dilation), sliding.lines - 1)
    high = min(sliding.lines, (sliding.height - start + dilation - 1) // dilation)
    return low, max(high, low + 1)


def slide_over(sliding, x, weights, panel, y, pixel, rows, lines, columns, init, mode, relu):
    """All lines of windows; where sums are long, without the taps on the border above and below."""
    line, whole = 0, sliding.pixels * sliding.channels < LANES  # each call costs more than such taps
    while line < lines:
        low, high = (0, sliding.lines) if whole else taps_inside(sliding, line)
        together = 1
        while line + together < lines and (
            whole or (low == 0 and high == sliding.lines and taps_inside(sliding, line + together)[1] == high)
        ):
            together += 1
        slide(sliding, x, line, together, low, high, weights, panel, y, pixel, rows, columns, init, mode, relu)
        line += together


def forward_picture(op, w, params, x, y):
    """y = activation(convolution of x + bias), a rectifier or none; what ``w`` sees beyond the picture is zero."""
    bias, panel, channels = at(params, op[codes.WEIGHTS]), op[codes.PANEL], w.channels
    weights, mode = at(bias, op[codes.BIAS] * LANES), MODE_INIT if op[codes.BIAS] else MODE_ZERO
    relu = int(op[codes.FUNCTION] == codes.RELU)
    rows, lines = w.out_width, w.out_height
    is_whole = x.line == w.width * channels and y.line == w.out_width * w.filters and w.width == w.out_width
    if is_whole and w.kernel_height * w.kernel_width == 1 and w.stride_height * w.stride_width == 1:
        rows, lines = rows * lines, 1  # all pixels are one line
    sliding = Sliding(
        -w.top, w.stride_height, w.dilation_height, w.height, w.kernel_height, w.kernel_width,
        w.stride_width * channels, w.dilation_width * channels, channels,
    )  # fmt: skip
    source = Picture(at(x.first, -w.left * channels), x.line)
    slide_over(sliding, source, weights, panel, y, w.filters, rows, lines, w.filters, bias, mode, relu)


def turn_weights(team, op, w, params, turned):
    """A member's share of the weights for the gradient of the input: phase by phase, flipped and transposed."""
    panels, out_panels = (w.channels + LANES - 1) // LANES, (w.filters + LANES - 1) // LANES
    first_panel, last_panel = share(team.rank, team.size, panels)
    weights = at(params, op[codes.WEIGHTS] + op[codes.BIAS] * LANES)
    for q in range(first_panel, last_panel):
        target = at(turned, q * op[codes.TURNED_PANEL])
        for phase in range(w.stride_height * w.stride_width):
            up, along = phase // w.stride_width, phase % w.stride_width
            for i in range((w.kernel_height - up + w.stride_height - 1) // w.stride_height - 1, -1, -1):
                for j in range((w.kernel_width - along + w.stride_width - 1) // w.stride_width - 1, -1, -1):
                    tap = (up + i * w.stride_height) * w.kernel_width + along + j * w.stride_width
                    for p in range(out_panels):
                        source = p * op[codes.PANEL] + (tap * w.channels + q * LANES) * LANES
                        rows = min(LANES, w.channels - q * LANES)
                        # beyond the last filter it writes zeros where the next tap will stand
                        transpose_square(at(target, p * LANES * LANES), LANES, at(weights, source), rows)
                    target = at(target, w.filters * LANES)


def input_gradient(op, w, turned, sums, dx):
    """Gradient of the input from that of the sums, ``sums``, phase by phase; around that are zeros.

    Along each axis, stride or dilation must be 1.
    """
    pixel = w.stride_width * w.channels
    for phase in range(w.stride_height * w.stride_width):
        up, along = phase // w.stride_width, phase % w.stride_width
        lines = max(0, (w.kernel_height - up + w.stride_height - 1) // w.stride_height)
        pixels = max(0, (w.kernel_width - along + w.stride_width - 1) // w.stride_width)
        first, left = (up - w.top) % w.stride_height, (along - w.left) % w.stride_width
        rows = (w.width - left + w.stride_width - 1) // w.stride_width
        out_lines = (w.height - first + w.stride_height - 1) // w.stride_height
        target = Picture(at(dx.first, first * dx.line + left * w.channels), w.stride_height * dx.line)
        if rows > 0 and out_lines > 0 and lines > 0 and pixels > 0:
            # line and pixel of the gradient that meet the last tap of the phase
            start = (first + w.top - up) // w.stride_height - (lines - 1) * w.dilation_height
            begin = (left + w.left - along) // w.stride_width - (pixels - 1) * w.dilation_width
            sliding = Sliding(
                start, 1, w.dilation_height, w.out_height, lines, pixels, w.filters, w.dilation_width * w.filters,
                w.filters,
            )  # fmt: skip
            source = Picture(at(sums.first, begin * w.filters), sums.line)
            slide_over(
                sliding, source, turned, op[codes.TURNED_PANEL], target, pixel, rows, out_lines, w.channels, turned,
                MODE_ZERO, 0,
            )  # fmt: skip
            turned = at(turned, lines * pixels * w.filters * LANES)
        else:
            if lines > 0 and pixels > 0:
                turned = at(turned, lines * pixels * w.filters * LANES)
            for i in range(max(0, out_lines)):
                for j in range(max(0, rows)):
                    for c in range(w.channels):
                        target.first[i * target.line + j * pixel + c] = 0.0


def weight_gradient(op, w, x, sums, gradients, mode):
    """Gradient of the weights, written to ``gradients`` (laid out like the weights) or added."""
    run, columns = w.kernel_width * w.channels, w.filters
    together = w.dilation_width == 1  # the pixels of a line of the window are one run
    pixels, rows = (1, run) if together else (w.kernel_width, w.channels)
    for u in range(w.kernel_height):
        # lines of the output whose windows have this tap on the picture
        offset, stride = u * w.dilation_height - w.top, w.stride_height
        low = max(0, (stride - 1 - offset) // stride)
        high = min(w.out_height, (w.height - 1 - offset) // stride + 1)
        for v in range(pixels):
            target = at(gradients, (op[codes.BIAS] + u * run + v * rows) * LANES)
            if high > low:
                source = at(
                    x.first,
                    (low * stride + offset) * x.line + (v * w.dilation_width - w.left) * w.channels,
                )
                product(
                    source, 1, w.stride_width * w.channels, stride * x.line, 0, at(sums.first, low * sums.line),
                    w.filters, sums.line, LANES, target, LANES, op[codes.PANEL], 0, columns, rows, 1, w.out_width,
                    high - low, target, 0, mode, 0,
                )  # fmt: skip
            elif mode == MODE_ZERO:
                for panel in range(op[codes.PANELS]):
                    clear(at(target, panel * op[codes.PANEL]), rows * LANES)


def backward_picture(op, w, turned, x, y, dy, sums, dx, gradients, spare, mode):
    """From the gradient of the output to those of weights and, if wanted, of the input.

    ``sums`` is memory for the gradient before the activation, perhaps the same as ``dy``, with zeros around it;
    ``spare`` that of a vector; ``gradients`` begin at the operation's weights.
    """
    if mode == MODE_ZERO and op[codes.BIAS]:
        for panel in range(op[codes.PANELS]):
            clear(at(gradients, panel * op[codes.PANEL]), LANES)
    biases, panel = (gradients, op[codes.PANEL]) if op[codes.BIAS] else (spare, 0)
    for i in range(w.out_height):
        gradient_line(
            w.out_width, w.filters, at(dy.first, i * dy.line), at(y.first, i * y.line), at(sums.first, i * sums.line),
            biases, panel, int(op[codes.FUNCTION] == codes.RELU),
        )  # fmt: skip
    weight_gradient(op, w, x, sums, gradients, mode)
    if op[codes.NEEDS_DX]:
        input_gradient(op, w, turned, sums, dx)
