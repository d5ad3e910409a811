"""Vectors of bfloat16: what products of mixed precision read.

Two bfloat16 make a *pair* of 32 bits, kept in memory of float32 elements. A vector of pairs has as many lanes as
one of float32, and one instruction adds the products of two pairs to each lane of a float32 sum. So the register
tiles of ``llvm/register_tiles.py`` work on pairs as they do on numbers: neighbors along the sum stand in one pair.
"""

from __future__ import annotations

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .instructions import I64, declare
from .vectors import Vectors, for_range


class BFloat(ir.Type):
    """LLVM's ``bfloat``, which llvmlite has no name for."""

    def _to_string(self):
        return "bfloat"


BFLOAT = BFloat()


class Pairs(Vectors):
    """Operations on vectors of float32, some of which hold pairs; for AVX512-BF16."""

    def __init__(self, context, builder, element_type):
        super().__init__(context, builder, element_type)
        self.narrow = ir.VectorType(BFLOAT, 2 * self.lanes)

    def fma(self, a, b, c):
        """Add to each lane of c the two products of the pairs in a and b."""
        name = f"llvm.x86.avx512bf16.dpbf16ps.{8 * self.bytes * self.lanes}"
        function = declare(self.builder, name, self.type, [self.type, self.narrow, self.narrow])
        a, b = (self.builder.bitcast(pairs, self.narrow) for pairs in (a, b))
        return self.builder.call(function, [c, a, b])

    def rounded(self, low, high):
        """The elements of two vectors in order, rounded to the nearest bfloat16, ties to even, subnormals to zero."""
        name = f"llvm.x86.avx512bf16.cvtne2ps2bf16.{8 * self.bytes * self.lanes}"
        function = declare(self.builder, name, self.narrow, [self.type, self.type])
        return self.builder.bitcast(self.builder.call(function, [high, low]), self.type)

    def paired(self, first, second):
        """Pairs of the elements that stand in the same lane, rounded."""
        halves = ir.VectorType(ir.IntType(16), 2 * self.lanes)
        both = self.builder.bitcast(self.rounded(first, second), halves)
        order = [lane + half * self.lanes for lane in range(self.lanes) for half in range(2)]
        return self.builder.bitcast(self.shuffle(both, both, order), self.type)


@intrinsic
def round_columns(typingctx, rows, columns, target, target_stride, source, source_stride, source_panel):
    """Pairs of neighboring columns: each row of ``columns`` elements, rounded, in order, filled up with zeros.

    Vector v of source row r starts at r * source_stride + v * source_panel; target rows are contiguous, and may begin
    where their source does.
    """

    def codegen(context, builder, signature, arguments):
        rows, columns, target_pointer, target_stride, source_pointer, source_stride, source_panel = arguments
        vectors = Pairs(context, builder, target.dtype)
        lanes = I64(vectors.lanes)

        def part(start, vector):
            """Vector number ``vector`` of the row at ``start``, zeros from the last column on."""
            pointer = vectors.pointer(start, builder.mul(vector, source_panel))
            there = vectors.first(builder.sub(columns, builder.mul(vector, lanes)))
            return vectors.masked_load(pointer, there, vectors.bytes)

        whole = builder.sdiv(columns, I64(2 * vectors.lanes))
        with for_range(builder, rows) as r:
            start = builder.gep(source_pointer, [builder.mul(r, source_stride)])
            offset = builder.mul(r, target_stride)
            with for_range(builder, whole) as index:
                even = builder.mul(index, I64(2))
                low = vectors.load(start, builder.mul(even, source_panel))
                high = vectors.load(start, builder.mul(builder.add(even, I64(1)), source_panel))
                target_offset = builder.add(offset, builder.mul(index, lanes))
                vectors.store(vectors.rounded(low, high), target_pointer, target_offset)
            even = builder.mul(whole, I64(2))
            with builder.if_then(builder.icmp_signed("<", builder.mul(even, lanes), columns)):
                last = vectors.rounded(part(start, even), part(start, builder.add(even, I64(1))))
                vectors.store(last, target_pointer, builder.add(offset, builder.mul(whole, lanes)))
        return context.get_dummy_value()

    size = types.intp
    return types.void(size, size, target, size, source, size, size), codegen


@intrinsic
def round_row_pairs(typingctx, rows, count, target, target_stride, source, source_stride):
    """Pairs of rows: row k of the target holds ``count`` vectors of rounded pairs of source rows 2k and 2k + 1.

    The partner of an odd last row is zero.
    """

    def codegen(context, builder, signature, arguments):
        rows, count, target_pointer, target_stride, source_pointer, source_stride = arguments
        vectors = Pairs(context, builder, target.dtype)
        lanes = I64(vectors.lanes)
        pairs = builder.sdiv(builder.add(rows, I64(1)), I64(2))
        with for_range(builder, pairs) as pair:
            row = builder.mul(pair, I64(2))
            complete = builder.icmp_signed("<", builder.add(row, I64(1)), rows)
            first = builder.gep(source_pointer, [builder.mul(row, source_stride)])
            second = builder.gep(first, [builder.select(complete, source_stride, I64(0))])
            with for_range(builder, count) as index:
                offset = builder.mul(index, lanes)
                partner = builder.select(complete, vectors.load(second, offset), vectors.zero)
                value = vectors.paired(vectors.load(first, offset), partner)
                vectors.store(value, target_pointer, builder.add(builder.mul(pair, target_stride), offset))
        return context.get_dummy_value()

    size = types.intp
    return types.void(size, size, target, size, source, size), codegen
