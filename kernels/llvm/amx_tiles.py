"""Tile registers of AMX: eight of 16 rows of 64 bytes, here 16 pairs of bfloat16 or 16 float32 a row.

``AmxTiles`` emits the instructions. ``EmulatedTiles`` emits vector code that does, bit for bit, what Intel's manual
(Software Developer's Manual, volume 2: TILELOADD, TILESTORED, TILEZERO, TDPBF16PS) says they do, so that everything
built on tiles is tested on CPUs without them. Both have the same methods; tiles are known by their numbers.
"""

from __future__ import annotations

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .instructions import I32, I64, declare
from .vectors import for_range

TILES, ROWS, ROW_BYTES = 8, 16, 64
I8 = ir.IntType(8)
BYTE_POINTER = I8.as_pointer()


class AmxTiles:
    """Emits the instructions of AMX; ``vectors`` are the operations on registers in the same builder."""

    def __init__(self, vectors):
        self.builder, self.stride_unit = vectors.builder, I64(vectors.bytes)

    def _emit(self, name, *arguments):
        kinds = [argument.type for argument in arguments]
        self.builder.call(declare(self.builder, f"llvm.x86.{name}", ir.VoidType(), kinds), arguments)

    def _rows(self, name, tile, base, stride):
        pointer = self.builder.bitcast(base, BYTE_POINTER)
        self._emit(name, I8(tile), pointer, self.builder.mul(stride, self.stride_unit))

    def zero(self, tile):
        """Fill a tile with zeros."""
        self._emit("tilezero", I8(tile))

    def load(self, tile, base, stride):
        """Load 16 rows, ``stride`` elements apart."""
        self._rows("tileloadd64", tile, base, stride)

    def store(self, tile, base, stride):
        """Store 16 rows, ``stride`` elements apart."""
        self._rows("tilestored64", tile, base, stride)

    def multiply(self, total, left, right):
        """Add to the float32 tile ``total`` the product of a tile of rows of pairs and one of pairs of rows."""
        self._emit("tdpbf16ps", I8(total), I8(left), I8(right))

    @staticmethod
    def configure(builder):
        """Give all tiles of the calling thread their full size."""
        layout = [1] + [0] * 15 + [ROW_BYTES, 0] * TILES + [0] * 16 + [ROWS] * TILES + [0] * 8
        memory = cgutils.global_constant(builder, "tile_configuration", ir.Constant(ir.ArrayType(I8, 64), layout))
        function = declare(builder, "llvm.x86.ldtilecfg", ir.VoidType(), [BYTE_POINTER])
        builder.call(function, [builder.bitcast(memory, BYTE_POINTER)])

    @staticmethod
    def release(builder):
        """Give the tiles of the calling thread back: the system need not save them any longer."""
        builder.call(declare(builder, "llvm.x86.tilerelease", ir.VoidType(), []), [])


class EmulatedTiles:
    """Emits vector code for what AMX does; the tiles are memory of the calling function.

    As AMX flushes subnormals whatever the mode, so must the mode.
    """

    def __init__(self, vectors):
        self.vectors, self.builder = vectors, vectors.builder
        memory = cgutils.alloca_once(self.builder, vectors.element, TILES * ROWS * vectors.lanes)
        self.memory = self.builder.bitcast(memory, vectors.element.as_pointer())

    def _offset(self, tile, row):
        return self.builder.mul(self.builder.add(I64(tile * ROWS), row), I64(self.vectors.lanes))

    def zero(self, tile):
        """Fill a tile with zeros."""
        with for_range(self.builder, I64(ROWS)) as row:
            self.vectors.store(self.vectors.zero, self.memory, self._offset(tile, row))

    def load(self, tile, base, stride):
        """Load 16 rows, ``stride`` elements apart."""
        with for_range(self.builder, I64(ROWS)) as row:
            value = self.vectors.load(base, self.builder.mul(row, stride))
            self.vectors.store(value, self.memory, self._offset(tile, row))

    def store(self, tile, base, stride):
        """Store 16 rows, ``stride`` elements apart."""
        with for_range(self.builder, I64(ROWS)) as row:
            value = self.vectors.load(self.memory, self._offset(tile, row))
            self.vectors.store(value, base, self.builder.mul(row, stride))

    def multiply(self, total, left, right):
        """Add to the float32 tile ``total`` the product of a tile of rows of pairs and one of pairs of rows.

        First and second numbers of the pairs are summed up apart, from zero and in order, each product added without
        rounding in between; then both sums are added, and what they give is added to the tile.
        """
        builder, vectors = self.builder, self.vectors
        with for_range(builder, I64(ROWS)) as row:
            sums = [cgutils.alloca_once(builder, vectors.type) for _ in range(2)]
            for each in sums:
                builder.store(vectors.zero, each)
            with for_range(builder, I64(ROWS)) as k:
                pair = builder.load(builder.gep(self.memory, [builder.add(self._offset(left, row), k)]))
                factors = self._numbers(vectors.broadcast(pair))
                columns = self._numbers(vectors.load(self.memory, self._offset(right, k)))
                for each, factor, column in zip(sums, factors, columns, strict=True):
                    builder.store(vectors.call("fma", factor, column, builder.load(each)), each)
            held = vectors.load(self.memory, self._offset(total, row))
            both = builder.fadd(*(builder.load(each) for each in sums))
            vectors.store(builder.fadd(held, both), self.memory, self._offset(total, row))

    def _numbers(self, pairs):
        """First and second numbers of a vector of pairs as float32: a bfloat16 is the upper half of one."""
        builder, kind = self.builder, ir.VectorType(I32, self.vectors.lanes)
        bits = builder.bitcast(pairs, kind)
        first = builder.shl(bits, ir.Constant(kind, [16] * self.vectors.lanes))
        second = builder.and_(bits, ir.Constant(kind, [-(1 << 16)] * self.vectors.lanes))
        return tuple(builder.bitcast(half, self.vectors.type) for half in (first, second))

    @staticmethod
    def configure(builder):
        """Nothing to do."""

    @staticmethod
    def release(builder):
        """Nothing to do."""


def thread_instruction(method):
    """Intrinsic of ``configure`` or ``release``."""

    @intrinsic
    def instruction(typingctx):
        def codegen(context, builder, signature, arguments):
            method(builder)
            return context.get_dummy_value()

        return types.void(), codegen

    return instruction
