"""LLVM vector code from Python: operations on whole vector registers, and rows of memory handled by them."""

from __future__ import annotations

import contextlib
import functools

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from ..host.cpu import vector_bytes
from .instructions import I32, I64, declare


class Vectors:
    """Vector operations on one element type in one LLVM builder."""

    def __init__(self, context, builder, element_type):
        self.builder = builder
        self.element = context.get_value_type(element_type)
        self.bytes = element_type.bitwidth // 8
        self.lanes = vector_bytes() // self.bytes
        self.type = ir.VectorType(self.element, self.lanes)
        self.zero = ir.Constant(self.type, [0.0] * self.lanes)
        # fused where the CPU can; `llvm.fma` would call the C library elsewhere
        self._fma = declare(builder, f"llvm.fmuladd.v{self.lanes}f{8 * self.bytes}", self.type, [self.type] * 3)

    def pointer(self, base, offset):
        return self.builder.bitcast(self.builder.gep(base, [offset]), self.type.as_pointer())

    def load(self, base, offset):
        return self.builder.load(self.pointer(base, offset), align=self.bytes)

    def store(self, value, base, offset):
        self.builder.store(value, self.pointer(base, offset), align=self.bytes)

    def first(self, count):
        """Mask of the first ``count`` lanes."""
        lanes = ir.Constant(ir.VectorType(I32, self.lanes), list(range(self.lanes)))
        return self.builder.icmp_signed("<", lanes, self.broadcast(self.builder.trunc(count, I32)))

    def masked_load(self, pointer, mask, itemsize):
        kind = pointer.type.pointee
        element = f"i{kind.element.width}" if isinstance(kind.element, ir.IntType) else f"f{8 * itemsize}"
        name = f"llvm.masked.load.v{self.lanes}{element}.p0"
        function = declare(self.builder, name, kind, [pointer.type, I32, mask.type, kind])
        return self.builder.call(function, [pointer, I32(itemsize), mask, ir.Constant(kind, [0] * self.lanes)])

    def masked_store(self, value, base, offset, mask):
        name = f"llvm.masked.store.v{self.lanes}f{8 * self.bytes}.p0"
        pointer = self.pointer(base, offset)
        function = declare(self.builder, name, ir.VoidType(), [self.type, pointer.type, I32, mask.type])
        self.builder.call(function, [value, pointer, I32(self.bytes), mask])

    def gather(self, base, offsets, mask):
        """Elements ``offsets`` (one int64 for each lane) behind ``base``, zero where ``mask`` is not set."""
        builder, numbers = self.builder, offsets.type
        start = self.broadcast(builder.ptrtoint(base, I64))
        bytes_of_one = ir.Constant(numbers, [self.bytes] * self.lanes)
        pointers_type = ir.VectorType(base.type, self.lanes)
        pointers = builder.inttoptr(builder.add(start, builder.mul(offsets, bytes_of_one)), pointers_type)
        name = f"llvm.masked.gather.v{self.lanes}f{8 * self.bytes}.v{self.lanes}p0"
        function = declare(builder, name, self.type, [pointers_type, I32, mask.type, self.type])
        return builder.call(function, [pointers, I32(self.bytes), mask, self.zero])

    def broadcast(self, scalar):
        undefined = ir.Constant(ir.VectorType(scalar.type, self.lanes), ir.Undefined)
        first = self.builder.insert_element(undefined, scalar, I32(0))
        return self.builder.shuffle_vector(
            first, undefined, ir.Constant(ir.VectorType(I32, self.lanes), [0] * self.lanes)
        )

    def fma(self, a, b, c):
        return self.builder.call(self._fma, [a, b, c])

    def positive_part(self, value):
        """max(value, 0) that keeps NaN, as a comparison with NaN is false."""
        return self.builder.select(self.builder.fcmp_ordered("<=", value, self.zero), self.zero, value)

    def shuffle(self, first, second, indices):
        return self.builder.shuffle_vector(first, second, ir.Constant(ir.VectorType(I32, len(indices)), indices))

    def halves(self, width, groups):
        """Lane indices of the lower half of each of ``groups`` groups of ``width`` lanes, filled up with zeros."""
        indices = [group * width + i for group in range(groups) for i in range(width // 2)]
        return indices + [0] * (self.lanes - len(indices))

    def sums(self, vectors):
        """Sum of the lanes of each of a power-of-two number of vectors, as the first lanes of one vector.

        Vectors are first added up in pairs, half of each, so n sums of L lanes cost about n + log(L) additions.
        """
        add, shuffle = self.builder.fadd, self.shuffle
        width, groups = self.lanes, 1  # lanes that belong to one source, sources in one vector
        while len(vectors) > 1:
            low = self.halves(width, groups)[: self.lanes // 2]
            low += [self.lanes + index for index in low]
            high = [index + width // 2 for index in low]
            vectors = [
                add(shuffle(u, v, low), shuffle(u, v, high)) for u, v in zip(vectors[::2], vectors[1::2], strict=True)
            ]
            width, groups = width // 2, groups * 2
        (value,) = vectors
        while width > 1:
            low = self.halves(width, groups)
            high = [min(index + width // 2, self.lanes - 1) for index in low]
            value = add(shuffle(value, value, low), shuffle(value, value, high))
            width //= 2
        return value

    def transposed(self, square):
        """The columns of as many vectors as they have lanes."""
        square, lanes, step = list(square), self.lanes, 1
        while step < lanes:  # exchange the off-diagonal blocks of size ``step``
            upper = [lanes + j - step if j & step else j for j in range(lanes)]
            lower = [lanes + j if j & step else j + step for j in range(lanes)]
            for i in range(lanes):
                if not i & step:
                    u, v = square[i], square[i | step]
                    square[i], square[i | step] = self.shuffle(u, v, upper), self.shuffle(u, v, lower)
            step *= 2
        return square

    def splat(self, number):
        """A vector constant."""
        return ir.Constant(self.type, [float(number)] * self.lanes)

    def call(self, name, *values):
        """Call the LLVM intrinsic ``name`` on vectors of this type."""
        full_name = f"llvm.{name}.v{self.lanes}f{8 * self.bytes}"
        return self.builder.call(declare(self.builder, full_name, self.type, [self.type] * len(values)), values)

    def bits(self):
        """Type of the vector's bit patterns, mantissa bits and exponent bias of its elements."""
        mantissa_bits, bias = (23, 127) if self.bytes == 4 else (52, 1023)
        return ir.VectorType(ir.IntType(8 * self.bytes), self.lanes), mantissa_bits, bias


@contextlib.contextmanager
def for_range(builder, count):
    """LLVM loop whose body is the ``with`` block; gives the index, 0 .. count - 1."""
    entry = builder.block
    body, done = builder.append_basic_block("body"), builder.append_basic_block("done")
    builder.cbranch(builder.icmp_signed(">", count, I64(0)), body, done)
    builder.position_at_end(body)
    index = builder.phi(I64)
    yield index
    following = builder.add(index, I64(1))
    index.add_incoming(I64(0), entry)
    index.add_incoming(following, builder.block)
    builder.cbranch(builder.icmp_signed("<", following, count), body, done)
    builder.position_at_end(done)


@intrinsic
def transpose_square(typingctx, target, target_stride, source, rows):
    """Write the transpose of the ``rows`` <= LANES vectors at ``source``, filled up with zeros, as LANES rows."""

    def codegen(context, builder, signature, arguments):
        vectors = Vectors(context, builder, target.dtype)
        target_pointer, target_stride, source_pointer, rows = arguments
        square = []
        for i in range(vectors.lanes):
            there = builder.icmp_signed("<", I64(i), rows)
            row = vectors.load(source_pointer, builder.select(there, I64(i * vectors.lanes), I64(0)))
            square.append(builder.select(there, row, vectors.zero))
        for i, column in enumerate(vectors.transposed(square)):
            vectors.store(column, target_pointer, builder.mul(target_stride, I64(i)))
        return context.get_dummy_value()

    return types.void(target, types.intp, target, types.intp), codegen


def scaled_loads(vectors, source_type, source, scale, offset):
    """Function of a first element and a mask (None for all lanes) that loads a vector of source * scale + offset.

    The source is of the vectors' type or uint8.
    """
    builder = vectors.builder
    scale, offset = vectors.broadcast(scale), vectors.broadcast(offset)
    is_bytes = source_type.dtype == types.uint8
    vector_type = ir.VectorType(ir.IntType(8), vectors.lanes) if is_bytes else vectors.type
    itemsize = 1 if is_bytes else vectors.bytes

    def load(start, mask=None):
        pointer = builder.bitcast(builder.gep(source, [start]), vector_type.as_pointer())
        value = builder.load(pointer, align=itemsize) if mask is None else vectors.masked_load(pointer, mask, itemsize)
        value = builder.uitofp(value, vectors.type) if is_bytes else value
        return vectors.fma(value, scale, offset)

    return load


def prefetch(builder, pointer):
    """Begin to load a cache line that will be read; an address that cannot be is ignored."""
    name, read, keep, data = "llvm.prefetch.p0", I32(0), I32(3), I32(1)
    function = declare(builder, name, ir.VoidType(), [pointer.type, I32, I32, I32])
    builder.call(function, [pointer, read, keep, data])


@intrinsic
def load_row(typingctx, count, target, source, scale, offset):
    """target = source * scale + offset for ``count`` elements, the source of the target's type or uint8."""

    def codegen(context, builder, signature, arguments):
        vectors = Vectors(context, builder, target.dtype)
        count, target_pointer, source_pointer, scale, offset = arguments
        load = scaled_loads(vectors, source, source_pointer, scale, offset)
        whole = builder.sdiv(count, I64(vectors.lanes))
        with for_range(builder, whole) as index:
            start = builder.mul(index, I64(vectors.lanes))
            vectors.store(load(start), target_pointer, start)
        start = builder.mul(whole, I64(vectors.lanes))
        left = builder.sub(count, start)
        with builder.if_then(builder.icmp_signed(">", left, I64(0))):
            mask = vectors.first(left)
            vectors.masked_store(load(start, mask), target_pointer, start, mask)
        return context.get_dummy_value()

    return types.void(types.intp, target, source, target.dtype, target.dtype), codegen


@intrinsic
def load_strided(typingctx, count, target, source, stride):
    """One vector: target[i] = source[i * stride] for i < count <= LANES, zero beyond."""

    def codegen(context, builder, signature, arguments):
        vectors = Vectors(context, builder, target.dtype)
        count, target_pointer, source_pointer, stride = arguments
        numbers = ir.Constant(ir.VectorType(I64, vectors.lanes), list(range(vectors.lanes)))
        offsets = builder.mul(numbers, vectors.broadcast(stride))
        vectors.store(vectors.gather(source_pointer, offsets, vectors.first(count)), target_pointer, I64(0))
        return context.get_dummy_value()

    return types.void(types.intp, target, target, types.intp), codegen


@intrinsic
def load_chosen(typingctx, count, target, source, chosen, scale, offset):
    """One vector: target[i] = source[chosen[i]] * scale + offset for i < count <= LANES, offset beyond."""

    def codegen(context, builder, signature, arguments):
        vectors = Vectors(context, builder, target.dtype)
        count, target_pointer, source_pointer, chosen_pointer, *linear = arguments
        mask, numbers = vectors.first(count), ir.VectorType(I64, vectors.lanes)
        offsets = vectors.masked_load(builder.bitcast(chosen_pointer, numbers.as_pointer()), mask, 8)
        value = vectors.fma(vectors.gather(source_pointer, offsets, mask), *map(vectors.broadcast, linear))
        vectors.store(value, target_pointer, I64(0))
        return context.get_dummy_value()

    return types.void(types.intp, target, target, chosen, target.dtype, target.dtype), codegen


@intrinsic
def load_transposed(typingctx, rows, width, target, source, scale, offset, ahead):
    """Vector j of target = source[:, j] * scale + offset for a row-major source (rows <= LANES, width).

    Lanes beyond ``rows`` repeat the last row. Whole squares of LANES vectors are written. What is ``ahead`` elements
    on is fetched into the cache.
    """

    def codegen(context, builder, signature, arguments):
        vectors = Vectors(context, builder, target.dtype)
        rows, width, target_pointer, source_pointer, scale, offset, ahead = arguments
        load, lanes = scaled_loads(vectors, source, source_pointer, scale, offset), vectors.lanes
        last = builder.sub(rows, I64(1))
        blocks = builder.sdiv(builder.add(width, I64(lanes - 1)), I64(lanes))
        with for_range(builder, blocks) as block:
            column = builder.mul(block, I64(lanes))
            mask = vectors.first(builder.sub(width, column))
            square = []
            for i in range(lanes):
                row = builder.select(builder.icmp_signed("<", I64(i), rows), I64(i), last)
                start = builder.add(builder.mul(row, width), column)
                square.append(load(start, mask))
                prefetch(builder, builder.gep(source_pointer, [builder.add(start, ahead)]))
            for i, vector in enumerate(vectors.transposed(square)):
                vectors.store(vector, target_pointer, builder.mul(builder.add(column, I64(i)), I64(lanes)))
        return context.get_dummy_value()

    return types.void(types.intp, types.intp, target, source, target.dtype, target.dtype, types.intp), codegen


@intrinsic
def sum_of_squares(typingctx, count, base):
    """Sum of the squares of ``count`` vectors, added up lane by lane and then across the lanes."""

    def codegen(context, builder, signature, arguments):
        vectors = Vectors(context, builder, base.dtype)
        count, pointer = arguments
        entry = builder.block
        loop, done = builder.append_basic_block("squares"), builder.append_basic_block("done")
        builder.cbranch(builder.icmp_signed(">", count, I64(0)), loop, done)
        builder.position_at_end(loop)
        index, partial = builder.phi(I64), builder.phi(vectors.type)
        value = vectors.load(pointer, builder.mul(index, I64(vectors.lanes)))
        total, following = vectors.fma(value, value, partial), builder.add(index, I64(1))
        for node, start, carried in ((index, I64(0), following), (partial, vectors.zero, total)):
            node.add_incoming(start, entry)
            node.add_incoming(carried, loop)
        builder.cbranch(builder.icmp_signed("<", following, count), loop, done)
        builder.position_at_end(done)
        result = builder.phi(vectors.type)
        result.add_incoming(vectors.zero, entry)
        result.add_incoming(total, loop)
        return builder.extract_element(vectors.sums([result]), I32(0))

    return base.dtype(types.intp, base), codegen


@intrinsic
def zero_if_finite(typingctx, count, base):
    """Zero, or NaN if one of ``count`` elements is NaN or infinite; bytes never are."""
    if isinstance(base.dtype, types.Integer):
        return types.float32(types.intp, base), lambda context, *_: context.get_constant(types.float32, 0.0)

    def codegen(context, builder, signature, arguments):
        vectors = Vectors(context, builder, base.dtype)
        count, pointer = arguments
        unrolled, lanes = 4, vectors.lanes
        totals = [cgutils.alloca_once_value(builder, vectors.zero) for _ in range(unrolled)]

        def add(value, total):
            builder.store(vectors.fma(value, vectors.zero, builder.load(total)), total)

        whole = builder.sdiv(count, I64(unrolled * lanes))
        with for_range(builder, whole) as index:
            start = builder.mul(index, I64(unrolled * lanes))
            for number, total in enumerate(totals):
                add(vectors.load(pointer, builder.add(start, I64(number * lanes))), total)
        start = builder.mul(whole, I64(unrolled * lanes))
        left = builder.sub(count, start)
        with for_range(builder, builder.sdiv(builder.add(left, I64(lanes - 1)), I64(lanes))) as index:
            offset = builder.mul(index, I64(lanes))
            there = vectors.first(builder.sub(left, offset))
            address = vectors.pointer(pointer, builder.add(start, offset))
            add(vectors.masked_load(address, there, vectors.bytes), totals[0])
        total = functools.reduce(builder.fadd, [builder.load(total) for total in totals])
        return builder.extract_element(vectors.sums([total]), I32(0))

    return base.dtype(types.intp, base), codegen
