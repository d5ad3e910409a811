"""Register-tile micro-kernels: whole inner loops of matrix products built as LLVM vector code.

Letters: a tile has R rows and one or two vectors of L lanes. Both element types use the full register width.

``outer_tile``   c[r, v] += sum_k a[r, k] * b[k, v]   a broadcast by element, b read as vectors
``dot_tile``     c[r, n] = sum_k a[r, k] * b[n, k]    both read as vectors along k, lanes added at the end

The accumulators live in registers for the whole sum (phi nodes); the shapes below are the largest
that do not spill: 32 registers on AVX-512 and NEON, 16 on AVX2.
"""

from __future__ import annotations

import functools

from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .instructions import I64
from .vectors import Vectors

MODE_ZERO, MODE_INIT, MODE_ADD = range(3)
# Rows of the tiles that together cover any number of rows, by vectors of columns.
TILE_ROWS = {
    1: {"avx512": (12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1), "avx2": (8, 4, 2, 1), "neon": (12, 8, 4, 2, 1)},
    2: {"avx512": (12, 8, 4, 2, 1), "avx2": (6, 4, 2, 1), "neon": (8, 4, 2, 1)},
}
DOT_ROWS = {"avx512": 3, "avx2": 2, "neon": 3}
DOT_COLUMNS = {"avx512": 8, "avx2": 4, "neon": 4}  # a power of two, at most the lanes of a vector of float32
ROWS = 8  # index of the number of rows among the arguments of a strip
MOST_EXACT_ROWS = 36  # whose tiles stand one after another in the code
POINTERS_SHARED_BY = 3  # rows addressed from one base pointer: one pointer a row would spill


def strip_signature(element):
    """Signature of the intrinsics of ``outer_strip``."""
    pointer, size = types.CPointer(element), types.intp
    operands = (pointer, size, size, pointer, size, pointer, size, size)
    return types.void(*operands, size, size, pointer, size, size, size)


def outer_strip(tile_rows, vectors, operations=Vectors):
    """Product of any number of rows with one or two vectors of columns: the largest tiles that fit, one after another.

    Parameters
    ----------
    tile_rows : tuple of int
        Rows of the tiles, falling to 1.
    vectors : int
        Vectors of columns.
    operations : Vectors or a subclass
        What a multiply-add means.

    Notes
    -----
    The intrinsic's arguments (strides in elements, all pointers of one element type):

    a, a_row, a_k : left operand, its row stride and its stride along the sum
    b, b_panel : right operand: vector k of panel v starts at b + v * b_panel + k * lanes
    c, c_row, c_panel : result, vector v of row r at c + r * c_row + v * c_panel
    rows : rows of a and c
    count : length of the sum, at least 1
    init, init_panel : start value of every row where mode is MODE_INIT
    mode : MODE_ZERO, MODE_INIT, or MODE_ADD (start from c)
    relu : nonzero to store max(result, 0)
    """

    def tile(simd, height, row, arguments):
        a, a_row, a_k, b, b_panel, c, c_row, c_panel, _, count, init, init_panel, mode, relu = arguments
        a_tile = simd.builder.gep(a, [simd.builder.mul(row, a_row)])
        c_tile = simd.builder.gep(c, [simd.builder.mul(row, c_row)])
        left, right, result = (a_tile, a_row, a_k), (b, b_panel), (c_tile, c_row, c_panel)
        outer_tile(simd, height, vectors, left, right, result, count, (init, init_panel), mode, relu)

    @intrinsic
    def strip(typingctx, a, a_row, a_k, b, b_panel, c, c_row, c_panel, rows, count, init, init_panel, mode, relu):
        def codegen(context, builder, signature, arguments):
            simd = operations(context, builder, signature.args[0].dtype)
            builder.function.attributes.add("noinline")  # all its tiles once for each kernel that takes products
            next_row = cgutils.alloca_once_value(builder, I64(0))
            for height in tile_rows:
                check, body = builder.append_basic_block("more_rows"), builder.append_basic_block("tile")
                done = builder.append_basic_block("rows_done")
                builder.branch(check)
                builder.position_at_end(check)
                row = builder.load(next_row)
                left = builder.sub(arguments[ROWS], row)
                builder.cbranch(builder.icmp_signed(">=", left, I64(height)), body, done)
                builder.position_at_end(body)
                tile(simd, height, row, arguments)
                builder.store(builder.add(row, I64(height)), next_row)
                builder.branch(check)
                builder.position_at_end(done)
            return context.get_dummy_value()

        return strip_signature(a.dtype), codegen

    @functools.cache
    def exact_strip(exact_rows):
        """The same for one number of rows, without tests, as part of its caller."""

        @intrinsic
        def strip(typingctx, a, a_row, a_k, b, b_panel, c, c_row, c_panel, rows, count, init, init_panel, mode, relu):
            def codegen(context, builder, signature, arguments):
                simd, row = operations(context, builder, signature.args[0].dtype), 0
                while row < exact_rows:
                    height = next(height for height in tile_rows if height <= exact_rows - row)
                    tile(simd, height, I64(row), arguments)
                    row += height
                return context.get_dummy_value()

            return strip_signature(a.dtype), codegen

        return strip

    def exact(known):
        """The intrinsic that suits arguments of which some are known."""
        rows = known[ROWS]
        return exact_strip(rows) if isinstance(rows, int) and rows <= MOST_EXACT_ROWS else strip

    strip.exact = exact
    return strip


def outer_tile(simd, rows, vectors, left, right, result, count, init, mode, relu):
    """Emit one tile; operands as in ``outer_strip``."""
    builder = simd.builder
    (a, a_row, a_k), (b, b_panel), (c, c_row, c_panel) = left, right, result
    tile_columns = range(vectors)
    element_pointer = simd.element.as_pointer()

    def at_c(r, v):
        return builder.add(builder.mul(c_row, I64(r)), builder.mul(c_panel, I64(v)))

    starts = start_values(simd, rows, vectors, mode, init, c, at_c)
    group_starts = [builder.gep(a, [builder.mul(a_row, I64(r))]) for r in range(0, rows, POINTERS_SHARED_BY)]
    row_offsets = [builder.mul(a_row, I64(i)) for i in range(POINTERS_SHARED_BY)]
    entry = builder.block
    loop, done = builder.append_basic_block("sum"), builder.append_basic_block("summed")
    builder.branch(loop)
    builder.position_at_end(loop)

    def phi(kind, start):
        node = builder.phi(kind)
        node.add_incoming(start, entry)
        return node

    k = phi(I64, I64(0))
    a_groups = [phi(element_pointer, start) for start in group_starts]
    b_k = phi(element_pointer, b)
    sums = [[phi(simd.type, starts[r][v]) for v in tile_columns] for r in range(rows)]
    columns = [simd.load(b_k, builder.mul(b_panel, I64(v))) for v in tile_columns]
    results = []
    for r in range(rows):
        group, within = divmod(r, POINTERS_SHARED_BY)
        factor = simd.broadcast(builder.load(builder.gep(a_groups[group], [row_offsets[within]])))
        results.append([simd.fma(factor, columns[v], sums[r][v]) for v in tile_columns])
    following = builder.add(k, I64(1))
    k.add_incoming(following, loop)
    for group in a_groups:
        group.add_incoming(builder.gep(group, [a_k]), loop)
    b_k.add_incoming(builder.gep(b_k, [I64(simd.lanes)]), loop)
    for r in range(rows):
        for v in tile_columns:
            sums[r][v].add_incoming(results[r][v], loop)
    builder.cbranch(builder.icmp_signed("<", following, count), loop, done)
    builder.position_at_end(done)
    with builder.if_else(builder.icmp_signed("!=", relu, I64(0))) as (positive, plain):
        for branch, finish in ((positive, simd.positive_part), (plain, lambda value: value)):
            with branch:
                for r in range(rows):
                    for v in tile_columns:
                        simd.store(finish(results[r][v]), c, at_c(r, v))


def start_values(simd, rows, vectors, mode, init, c, at_c):
    """First values of the accumulators of an outer tile: zero, the row ``init``, or what c holds."""
    builder = simd.builder
    is_init = builder.icmp_signed("==", mode, I64(MODE_INIT))
    is_add = builder.icmp_signed("==", mode, I64(MODE_ADD))
    from_init, not_init = builder.append_basic_block("init"), builder.append_basic_block("not_init")
    from_c, ready = builder.append_basic_block("add"), builder.append_basic_block("ready")
    builder.cbranch(is_init, from_init, not_init)
    builder.position_at_end(from_init)
    row, row_panel = init
    init_row = [simd.load(row, builder.mul(row_panel, I64(v))) for v in range(vectors)]
    builder.branch(ready)
    builder.position_at_end(not_init)
    builder.cbranch(is_add, from_c, ready)
    builder.position_at_end(from_c)
    held = [[simd.load(c, at_c(r, v)) for v in range(vectors)] for r in range(rows)]
    builder.branch(ready)
    builder.position_at_end(ready)
    values = []
    for r in range(rows):
        values.append([])
        for v in range(vectors):
            node = builder.phi(simd.type)
            node.add_incoming(init_row[v], from_init)
            node.add_incoming(simd.zero, not_init)
            node.add_incoming(held[r][v], from_c)
            values[r].append(node)
    return values


def dot_tile(rows, columns):
    """Micro-kernel of ``rows`` times ``columns`` dot products, ``columns`` a power of two.

    The intrinsic's arguments:

    a, a_row : left operand, contiguous along the sum, and its row stride
    b, b_panel : right operand: row n of panel k starts at b + k * b_panel + n * lanes
    c, c_row : result c[r, n] at c + r * c_row + n
    panels : vectors in the sum, at least 1
    """

    @intrinsic
    def tile(typingctx, a, a_row, b, b_panel, c, c_row, panels):
        pointer, size = types.CPointer(a.dtype), types.intp
        signature = types.void(pointer, size, pointer, size, pointer, size, size)

        def codegen(context, builder, signature, arguments):
            a, a_row, b, b_panel, c, c_row, panels = arguments
            simd = Vectors(context, builder, signature.args[0].dtype)
            element_pointer = simd.element.as_pointer()
            entry = builder.block
            loop, done = builder.append_basic_block("sum"), builder.append_basic_block("summed")
            builder.branch(loop)
            builder.position_at_end(loop)
            k, a_k, b_k = builder.phi(I64), builder.phi(element_pointer), builder.phi(element_pointer)
            sums = [[builder.phi(simd.type) for _ in range(columns)] for _ in range(rows)]
            left = [simd.load(a_k, builder.mul(a_row, I64(r))) for r in range(rows)]
            results = [[None] * columns for _ in range(rows)]
            for n in range(columns):
                right = simd.load(b_k, I64(n * simd.lanes))
                for r in range(rows):
                    results[r][n] = simd.fma(left[r], right, sums[r][n])
            following = builder.add(k, I64(1))
            carried = [
                (k, I64(0), following),
                (a_k, a, builder.gep(a_k, [I64(simd.lanes)])),
                (b_k, b, builder.gep(b_k, [b_panel])),
            ]
            carried += [(sums[r][n], simd.zero, results[r][n]) for r in range(rows) for n in range(columns)]
            for node, start, following_value in carried:
                node.add_incoming(start, entry)
                node.add_incoming(following_value, loop)
            builder.cbranch(builder.icmp_signed("<", following, panels), loop, done)
            builder.position_at_end(done)
            indices = list(range(columns))
            for r in range(rows):
                value = simd.sums(results[r])
                if columns < simd.lanes:
                    value = simd.shuffle(value, value, indices)
                target = builder.gep(c, [builder.mul(c_row, I64(r))])
                target = builder.bitcast(target, value.type.as_pointer())
                builder.store(value, target, align=simd.bytes)
            return context.get_dummy_value()

        return signature, codegen

    return tile
