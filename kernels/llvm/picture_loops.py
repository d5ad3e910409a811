"""Loops over the channels of pixels that are no products: windows of pooling, and gradients before an activation.

Pixels stand side by side, so the last vector of one is stored under a mask. What is read beyond it is thrown away.
"""

from __future__ import annotations

import contextlib

from numba import types
from numba.extending import intrinsic

from .instructions import I64
from .vectors import Vectors, for_range


@contextlib.contextmanager
def _channels(simd, channels):
    """Loop over the vectors of a pixel: gives the first channel, and the mask of those that are there."""
    builder = simd.builder
    vectors = builder.sdiv(builder.add(channels, I64(simd.lanes - 1)), I64(simd.lanes))
    with for_range(builder, vectors) as vector:
        first = builder.mul(vector, I64(simd.lanes))
        yield first, simd.first(builder.sub(channels, first))


class _Window:
    """The pixels of a window, line by line: each gives its offset, and the values that are carried along."""

    def __init__(self, builder, lines, pixels, line, channels, first):
        self.builder = builder
        self.sizes, self.strides, self.first = (lines, pixels), (line, channels), first

    def fold(self, values, step):
        """Carry ``values`` through ``step(offset, number, values)`` for each pixel, and return the last ones."""
        builder, (lines, pixels), (line, channels) = self.builder, self.sizes, self.strides
        entry = builder.block
        outer, inner, next_line, done = map(builder.append_basic_block, ("line", "pixel", "next_line", "seen"))
        builder.branch(outer)
        builder.position_at_end(outer)
        i, of_lines = builder.phi(I64), [builder.phi(value.type) for value in values]
        builder.branch(inner)
        builder.position_at_end(inner)
        j, of_pixels = builder.phi(I64), [builder.phi(value.type) for value in values]
        offset = builder.add(self.first, builder.add(builder.mul(i, line), builder.mul(j, channels)))
        results = step(offset, builder.add(builder.mul(i, pixels), j), of_pixels)
        following = builder.add(j, I64(1))
        j.add_incoming(I64(0), outer)
        j.add_incoming(following, inner)
        for node, start, result in zip(of_pixels, of_lines, results, strict=True):
            node.add_incoming(start, outer)
            node.add_incoming(result, inner)
        builder.cbranch(builder.icmp_signed("<", following, pixels), inner, next_line)
        builder.position_at_end(next_line)
        following = builder.add(i, I64(1))
        i.add_incoming(I64(0), entry)
        i.add_incoming(following, next_line)
        for node, start, result in zip(of_lines, values, results, strict=True):
            node.add_incoming(start, entry)
            node.add_incoming(result, next_line)
        builder.cbranch(builder.icmp_signed("<", following, lines), outer, done)
        builder.position_at_end(done)
        return results


def _largest(simd, window, source):
    """Maxima of a window, and the numbers of their pixels: of the first one, or of a NaN."""
    builder, numbers = simd.builder, simd.bits()[0]

    def step(offset, number, values):
        best, where = values
        value = simd.load(source, offset)
        above = builder.or_(builder.fcmp_ordered(">", value, best), builder.fcmp_unordered("uno", value, value))
        here = simd.broadcast(builder.trunc(number, numbers.element) if simd.bytes == 4 else number)
        return builder.select(above, value, best), builder.select(above, here, where)

    return window.fold([simd.load(source, window.first), numbers([0] * simd.lanes)], step)


@intrinsic
def window_max(typingctx, channels, lines, pixels, source, line, target):
    """Largest of each channel over ``lines`` times ``pixels`` pixels from ``source`` on, both at least 1; NaN wins."""

    def codegen(context, builder, signature, arguments):
        channels, lines, pixels, source, line, target = arguments
        simd = Vectors(context, builder, signature.args[3].dtype)
        with _channels(simd, channels) as (first, mask):
            window = _Window(builder, lines, pixels, line, channels, first)
            simd.masked_store(_largest(simd, window, source)[0], target, first, mask)
        return context.get_dummy_value()

    size = types.intp
    return types.void(size, size, size, source, size, target), codegen


@intrinsic
def window_max_gradient(typingctx, channels, lines, pixels, source, line, gradient, target, target_line):
    """Add the gradient of ``window_max`` to the pixel of ``target`` where the largest was."""

    def codegen(context, builder, signature, arguments):
        channels, lines, pixels, source, line, gradient, target, target_line = arguments
        simd = Vectors(context, builder, signature.args[3].dtype)
        numbers = simd.bits()[0]
        with _channels(simd, channels) as (first, mask):
            _, where = _largest(simd, _Window(builder, lines, pixels, line, channels, first), source)
            value = simd.load(gradient, first)

            def add(offset, number, values):
                here = simd.broadcast(builder.trunc(number, numbers.element) if simd.bytes == 4 else number)
                chosen = builder.and_(builder.icmp_signed("==", here, where), mask)
                simd.masked_store(builder.fadd(simd.load(target, offset), value), target, offset, chosen)
                return values

            _Window(builder, lines, pixels, target_line, channels, first).fold([], add)
        return context.get_dummy_value()

    size = types.intp
    return types.void(size, size, size, source, size, gradient, target, size), codegen


@intrinsic
def window_sum(typingctx, channels, lines, pixels, source, line, factor, target):
    """``factor`` times the sum of each channel over ``lines`` times ``pixels`` pixels from ``source`` on."""

    def codegen(context, builder, signature, arguments):
        channels, lines, pixels, source, line, factor, target = arguments
        simd = Vectors(context, builder, signature.args[3].dtype)
        with _channels(simd, channels) as (first, mask):

            def add(offset, number, values):
                return [builder.fadd(values[0], simd.load(source, offset))]

            (total,) = _Window(builder, lines, pixels, line, channels, first).fold([simd.zero], add)
            simd.masked_store(builder.fmul(total, simd.broadcast(factor)), target, first, mask)
        return context.get_dummy_value()

    size = types.intp
    return types.void(size, size, size, source, size, source.dtype, target), codegen


@intrinsic
def window_spread(typingctx, channels, lines, pixels, gradient, factor, target, line):
    """Add ``factor`` times a pixel's gradient to ``lines`` times ``pixels`` pixels from ``target`` on."""

    def codegen(context, builder, signature, arguments):
        channels, lines, pixels, gradient, factor, target, line = arguments
        simd = Vectors(context, builder, signature.args[3].dtype)
        with _channels(simd, channels) as (first, mask):
            value = builder.fmul(simd.load(gradient, first), simd.broadcast(factor))

            def add(offset, number, values):
                simd.masked_store(builder.fadd(simd.load(target, offset), value), target, offset, mask)
                return values

            _Window(builder, lines, pixels, line, channels, first).fold([], add)
        return context.get_dummy_value()

    size = types.intp
    return types.void(size, size, size, gradient, gradient.dtype, target, size), codegen


@intrinsic
def gradient_line(typingctx, pixels, channels, gradient, outputs, target, sums, panel, rectified):
    """Copy a line of gradients, zeros where ``rectified`` and the output is not above zero, and add up its channels.

    The sum of vector v is added to the vector at ``sums`` + v * ``panel``.
    """

    def codegen(context, builder, signature, arguments):
        pixels, channels, gradient, outputs, target, sums, panel, rectified = arguments
        simd = Vectors(context, builder, signature.args[2].dtype)
        every = builder.icmp_signed("==", rectified, I64(0))
        with _channels(simd, channels) as (first, mask):
            here = builder.mul(builder.sdiv(first, I64(simd.lanes)), panel)
            entry, held = builder.block, simd.load(sums, here)
            loop, done = builder.append_basic_block("pixel"), builder.append_basic_block("summed")
            builder.branch(loop)
            builder.position_at_end(loop)
            pixel, total = builder.phi(I64), builder.phi(simd.type)
            offset = builder.add(builder.mul(pixel, channels), first)
            positive = builder.fcmp_ordered(">", simd.load(outputs, offset), simd.zero)
            kept = builder.and_(builder.or_(simd.broadcast(every), positive), mask)
            value = builder.select(kept, simd.load(gradient, offset), simd.zero)
            simd.masked_store(value, target, offset, mask)
            following, added = builder.add(pixel, I64(1)), builder.fadd(total, value)
            for node, start, carried in ((pixel, I64(0), following), (total, held, added)):
                node.add_incoming(start, entry)
                node.add_incoming(carried, loop)
            builder.cbranch(builder.icmp_signed("<", following, pixels), loop, done)
            builder.position_at_end(done)
            simd.store(added, sums, here)
        return context.get_dummy_value()

    size = types.intp
    return types.void(size, size, gradient, outputs, target, sums, size, size), codegen
