"""Register tiles for convolutions: products whose sum has two levels, and whose operands have any strides.

``window_tile``   c[r, v] = start + sum_t sum_k a[r, t, k] * b[t, k, v]   a broadcast by element, b read as vectors

A row of a window is a run of elements side by side, and its rows are one line apart: so the inner sum goes along a run,
the outer one (``taps``) over lines, and no window is ever copied. The last vector of a row is stored under a mask, as
the next pixel begins behind the last channel.
"""

from __future__ import annotations

from numba import types
from numba.extending import intrinsic

from .instructions import I64
from .register_tiles import POINTERS_SHARED_BY, start_values
from .vectors import Vectors, for_range

# Rows of the largest tile, by vectors of columns: as many accumulators as registers hold beside the operands.
MOST_ROWS = {1: {"avx512": 12, "avx2": 8, "neon": 12}, 2: {"avx512": 12, "avx2": 6, "neon": 8}}


def window_strip(most_rows, vectors):
    """Product of lines of rows with one or two vectors of columns; the rows of a line are cut into even tiles.

    Parameters
    ----------
    most_rows : int
        Rows of the largest tile.
    vectors : int
        Vectors of columns.

    Notes
    -----
    The intrinsic's arguments (strides in elements, all pointers of one element type):

    a, a_row, a_k, a_tap, a_line : left operand, its strides from row to row, along the inner and the outer sum, and
        from line to line of rows
    b, b_k, b_tap, b_panel : right operand: vector v starts at b + v * b_panel, with strides along both sums
    c, c_row, c_panel, c_line : result, vector v of a row is v * c_panel behind the first
    rows, lines : rows of a line, and lines
    count, taps : lengths of the inner and of the outer sum, at least 1
    init, init_panel : start value of every row where mode is MODE_INIT
    mode : MODE_ZERO, MODE_INIT, or MODE_ADD (start from c)
    relu : nonzero to store max(result, 0)
    lanes : elements of the last vector that are stored
    """

    @intrinsic
    def strip(
        typingctx, a, a_row, a_k, a_tap, a_line, b, b_k, b_tap, b_panel, c, c_row, c_panel, c_line, rows, lines, count,
        taps, init, init_panel, mode, relu, lanes,
    ):  # fmt: skip
        def codegen(context, builder, signature, arguments):
            (
                a, a_row, a_k, a_tap, a_line, b, b_k, b_tap, b_panel, c, c_row, c_panel, c_line, rows, lines, count,
                taps, init, init_panel, mode, relu, lanes,
            ) = arguments  # fmt: skip
            simd = Vectors(context, builder, signature.args[0].dtype)
            builder.function.attributes.add("noinline")  # all its tiles once for each kernel that takes products
            mask, ends = simd.first(lanes), (init, init_panel)
            tiles = builder.udiv(builder.add(rows, I64(most_rows - 1)), I64(most_rows))
            base = builder.udiv(rows, tiles)
            larger_tiles = builder.sub(rows, builder.mul(base, tiles))
            with for_range(builder, lines) as line:
                a_here, c_here = (
                    builder.gep(pointer, [builder.mul(line, stride)]) for pointer, stride in ((a, a_line), (c, c_line))
                )
                with for_range(builder, tiles) as index:
                    is_larger = builder.icmp_signed("<", index, larger_tiles)
                    height = builder.select(is_larger, builder.add(base, I64(1)), base)
                    row = builder.add(builder.mul(index, base), builder.select(is_larger, index, larger_tiles))
                    left = builder.gep(a_here, [builder.mul(row, a_row)]), a_row, a_k, a_tap
                    result = builder.gep(c_here, [builder.mul(row, c_row)]), c_row, c_panel
                    done = builder.append_basic_block("tile_done")
                    choice = builder.switch(height, done)
                    for number in range(1, most_rows + 1):
                        block = builder.append_basic_block(f"tile_{number}")
                        choice.add_case(I64(number), block)
                        builder.position_at_end(block)
                        right = b, b_k, b_tap, b_panel
                        window_tile(simd, number, vectors, left, right, result, (count, taps), ends, mode, relu, mask)
                        builder.branch(done)
                    builder.position_at_end(done)
            return context.get_dummy_value()

        pointer, size = types.CPointer(a.dtype), types.intp
        operands = (pointer, *[size] * 4, pointer, *[size] * 3, pointer, *[size] * 3)
        return types.void(*operands, size, size, size, size, pointer, size, size, size, size), codegen

    return strip


def window_tile(simd, rows, vectors, left, right, result, counts, init, mode, relu, mask):
    """Emit one tile; operands as in ``window_strip``."""
    builder, pointer, columns = simd.builder, simd.element.as_pointer(), range(vectors)
    (a, a_row, a_k, a_tap), (b, b_k, b_tap, b_panel), (c, c_row, c_panel) = left, right, result
    count, taps = counts

    def at_c(r, v):
        return builder.add(builder.mul(c_row, I64(r)), builder.mul(c_panel, I64(v)))

    starts = start_values(simd, rows, vectors, mode, init, c, at_c)
    groups = [builder.gep(a, [builder.mul(a_row, I64(r))]) for r in range(0, rows, POINTERS_SHARED_BY)]
    offsets = [builder.mul(a_row, I64(i)) for i in range(POINTERS_SHARED_BY)]
    entry = builder.block
    outer, inner, next_tap, done = map(builder.append_basic_block, ("tap", "sum", "next_tap", "summed"))

    def nodes():
        sums = [[builder.phi(simd.type) for _ in columns] for _ in range(rows)]
        return builder.phi(I64), [builder.phi(pointer) for _ in groups], builder.phi(pointer), sums

    def carry(node, start, start_block, following, block):
        node.add_incoming(start, start_block)
        node.add_incoming(following, block)

    builder.branch(outer)
    builder.position_at_end(outer)
    t, t_groups, t_b, t_sums = nodes()
    builder.branch(inner)
    builder.position_at_end(inner)
    k, k_groups, k_b, k_sums = nodes()
    rights = [simd.load(k_b, builder.mul(b_panel, I64(v))) for v in columns]
    results = []
    for r in range(rows):
        group, within = divmod(r, POINTERS_SHARED_BY)
        factor = simd.broadcast(builder.load(builder.gep(k_groups[group], [offsets[within]])))
        results.append([simd.fma(factor, rights[v], k_sums[r][v]) for v in columns])
    following = builder.add(k, I64(1))
    carry(k, I64(0), outer, following, inner)
    carry(k_b, t_b, outer, builder.gep(k_b, [b_k]), inner)
    for group, start in zip(k_groups, t_groups, strict=True):
        carry(group, start, outer, builder.gep(group, [a_k]), inner)
    builder.cbranch(builder.icmp_signed("<", following, count), inner, next_tap)
    builder.position_at_end(next_tap)
    following = builder.add(t, I64(1))
    carry(t, I64(0), entry, following, next_tap)
    carry(t_b, b, entry, builder.gep(t_b, [b_tap]), next_tap)
    for group, start in zip(t_groups, groups, strict=True):
        carry(group, start, entry, builder.gep(group, [a_tap]), next_tap)
    for r in range(rows):
        for v in columns:
            carry(k_sums[r][v], t_sums[r][v], outer, results[r][v], inner)
            carry(t_sums[r][v], starts[r][v], entry, results[r][v], next_tap)
    builder.cbranch(builder.icmp_signed("<", following, taps), outer, done)
    builder.position_at_end(done)
    with builder.if_else(builder.icmp_signed("!=", relu, I64(0))) as (positive, plain):
        for branch, finish in ((positive, simd.positive_part), (plain, lambda value: value)):
            with branch:
                for r in range(rows):
                    for v in columns:
                        if v == vectors - 1:
                            simd.masked_store(finish(results[r][v]), c, at_c(r, v), mask)
                        else:
                            simd.store(finish(results[r][v]), c, at_c(r, v))
