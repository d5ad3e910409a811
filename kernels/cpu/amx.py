"""Dense layers in mixed precision on tiles of AMX: twins of some functions of ``cpu/mixed.py``.

Operands are pairs laid out as there, sums filled up with zeros to 16 pairs, the height of a tile. Only the input of
the weight gradient stands otherwise: transposed, in squares ready to be loaded. At ``BATCH_PAIRS`` there is
``[panel of 16 inputs][16 pairs of rows][input][pair]``, and the vector before it holds ones.

A tile always has 16 rows. Those beyond the last row of a left operand are read and their sums thrown away, so there
is memory behind left operands for 15 rows more, whatever it holds.
"""

from __future__ import annotations

from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .. import codes
from ..element_types import LANES
from ..host.cpu import tile_choice
from ..llvm.amx_tiles import ROWS, AmxTiles, EmulatedTiles, thread_instruction
from ..llvm.bfloat16 import Pairs, round_columns
from ..llvm.instructions import I64, at
from ..llvm.register_tiles import MODE_INIT, MODE_ZERO
from ..llvm.vectors import for_range
from ..operations.teamwork import barrier, share
from ..sizes import BLOCK_ROWS
from . import mixed
from .dense import begin_products, end_products

Tiles = AmxTiles if tile_choice()[0] == "amx" else EmulatedTiles
configure_tiles, release_tiles = thread_instruction(Tiles.configure), thread_instruction(Tiles.release)
LEFT, RIGHT = (4, 5), (6, 7)  # tiles of operands; the first four hold sums


def begin_tiles():
    """Twin of ``dense.begin_products``: size the tiles of this thread."""
    configure_tiles()


def end_tiles():
    """Twin of ``dense.end_products``: give them back."""
    release_tiles()


def tile_block(heights, widths):
    """Micro-kernel of ``heights`` times ``widths`` tiles of a product, 1 or 2 each.

    The intrinsic's arguments (strides in elements):

    a, a_row, a_step, a_tile : left operand, its row stride, and its strides along the sum and along rows by tiles
    b, b_panel : right operand: rows 16 * k of panel v start at b + v * b_panel + k * 16 * 16
    c, c_row, c_panel : result, vector v of row r at c + r * c_row + v * c_panel
    rows : rows of c, more than 16 where there are two heights; others of the tiles are not stored
    steps : length of the sum in tiles, at least 1
    init, init_panel : start value of every row where mode is MODE_INIT
    mode : MODE_ZERO or MODE_INIT
    relu : nonzero to store max(result, 0)
    """

    @intrinsic
    def block(typingctx, a, a_row, a_step, a_tile, b, b_panel, c, c_row, c_panel, rows, steps, init, init_panel, mode,
              relu):  # fmt: skip
        pointer, size = types.CPointer(a.dtype), types.intp
        left, right, result = (pointer, size, size, size), (pointer, size), (pointer, size, size)
        signature = types.void(*left, *right, *result, size, size, pointer, size, size, size)

        def codegen(context, builder, signature, arguments):
            (a, a_row, a_step, a_tile, b, b_panel, c, c_row, c_panel, rows, steps, init, init_panel, mode,
             relu) = arguments  # fmt: skip
            vectors = Pairs(context, builder, signature.args[0].dtype)
            tiles = Tiles(vectors)
            lanes = I64(vectors.lanes)
            sums = [(i, j, i * widths + j) for i in range(heights) for j in range(widths)]
            with builder.if_else(builder.icmp_signed("==", mode, I64(MODE_INIT))) as (from_init, from_zero):
                with from_init:
                    for _, j, tile in sums:
                        tiles.load(tile, builder.gep(init, [builder.mul(init_panel, I64(j))]), I64(0))
                with from_zero:
                    for _, _, tile in sums:
                        tiles.zero(tile)
            with for_range(builder, steps) as step:
                a_offset, b_offset = builder.mul(step, a_step), builder.mul(step, I64(ROWS * vectors.lanes))
                for i in range(heights):
                    offset = builder.add(a_offset, builder.mul(a_tile, I64(i)))
                    tiles.load(LEFT[i], builder.gep(a, [offset]), a_row)
                for j in range(widths):
                    offset = builder.add(b_offset, builder.mul(b_panel, I64(j)))
                    tiles.load(RIGHT[j], builder.gep(b, [offset]), lanes)
                for i, j, tile in sums:
                    tiles.multiply(tile, LEFT[i], RIGHT[j])
            square = cgutils.alloca_once(builder, vectors.type, ROWS)
            square = builder.bitcast(square, vectors.element.as_pointer())
            has_relu = builder.icmp_signed("!=", relu, I64(0))
            for i, j, tile in sums:
                remaining = builder.sub(rows, I64(i * ROWS))
                whole = builder.icmp_signed(">=", remaining, I64(ROWS))
                offset = builder.add(builder.mul(c_row, I64(i * ROWS)), builder.mul(c_panel, I64(j)))
                target = builder.gep(c, [offset])
                stored, stride = builder.select(whole, target, square), builder.select(whole, c_row, lanes)
                tiles.store(tile, stored, stride)
                with (
                    builder.if_then(builder.or_(has_relu, builder.not_(whole))),
                    for_range(builder, builder.select(whole, I64(ROWS), remaining)) as row,
                ):
                    value = vectors.load(stored, builder.mul(row, stride))
                    value = builder.select(has_relu, vectors.positive_part(value), value)
                    vectors.store(value, target, builder.mul(row, c_row))
            return context.get_dummy_value()

        return signature, codegen

    return block


block_1x1, block_1x2, block_2x1, block_2x2 = (tile_block(i, j) for i in (1, 2) for j in (1, 2))


def tile_product(
    a, a_row, a_step, a_tile, b, b_panel, c, c_row, c_panel, panels, rows, steps, init, init_panel, mode, relu
):
    """Product of any number of rows and panels; arguments as in ``tile_block``.

    Each element is one chain of sums over tiles in order, whatever block it belongs to.
    """
    for panel in range(0, panels, 2):
        right, start, out = at(b, panel * b_panel), at(init, panel * init_panel), at(c, panel * c_panel)
        for row in range(0, rows, 2 * ROWS):
            left, result, count = at(a, row // ROWS * a_tile), at(out, row * c_row), rows - row
            if count > ROWS and panels - panel > 1:
                block_2x2(
                    left, a_row, a_step, a_tile, right, b_panel, result, c_row, c_panel, count, steps,
                    start, init_panel, mode, relu,
                )  # fmt: skip
            elif count > ROWS:
                block_2x1(
                    left, a_row, a_step, a_tile, right, b_panel, result, c_row, c_panel, count, steps,
                    start, init_panel, mode, relu,
                )  # fmt: skip
            elif panels - panel > 1:
                block_1x2(
                    left, a_row, a_step, a_tile, right, b_panel, result, c_row, c_panel, count, steps,
                    start, init_panel, mode, relu,
                )  # fmt: skip
            else:
                block_1x1(
                    left, a_row, a_step, a_tile, right, b_panel, result, c_row, c_panel, count, steps,
                    start, init_panel, mode, relu,
                )  # fmt: skip


def product(a, a_row, a_k, b, b_panel, c, c_row, c_panel, panels, rows, count, init, init_panel, mode, relu):
    """Twin of ``gemm.product`` for rows of pairs (a_k = 1), ``count`` of them filled up; not for MODE_ADD."""
    steps = (count + LANES - 1) // LANES
    tile_product(
        a, a_row, LANES, ROWS * a_row, b, b_panel, c, c_row, c_panel, panels, rows, steps, init, init_panel, mode, relu
    )


@intrinsic
def transpose_pairs(typingctx, rows, target, source, source_stride):
    """Turn a vector of columns of up to 2 * LANES rows into a square of pairs of rows: one row for each column.

    Rows from ``rows``, at least 1, to 2 * LANES count as zeros.
    """

    def codegen(context, builder, signature, arguments):
        rows, target_pointer, source_pointer, source_stride = arguments
        vectors = Pairs(context, builder, target.dtype)

        def loaded(row):
            there = builder.icmp_signed("<", I64(row), rows)
            offset = builder.mul(source_stride, builder.select(there, I64(row), I64(0)))
            return builder.select(there, vectors.load(source_pointer, offset), vectors.zero)

        square = [vectors.paired(loaded(2 * pair), loaded(2 * pair + 1)) for pair in range(vectors.lanes)]
        for i, row in enumerate(vectors.transposed(square)):
            vectors.store(row, target_pointer, I64(i * vectors.lanes))
        return context.get_dummy_value()

    size = types.intp
    return types.void(size, target, source, size), codegen


def input_operand(team, op, work, rows):
    """Twin of ``dense.input_operand``: round the input, for this product and transposed for the update."""
    first, last = share(team.rank, team.size, rows)
    stride, x = op[codes.X_STRIDE], at(work, op[codes.X])
    pairs = at(work, op[codes.ROW_PAIRS] + first * stride)
    round_columns(last - first, op[codes.INPUTS], pairs, stride, at(x, first * stride), stride, LANES)
    panels, steps = (op[codes.INPUTS] + LANES - 1) // LANES, (rows + 2 * LANES - 1) // (2 * LANES)
    start, stop = share(team.rank, team.size, panels * steps)
    for unit in range(start, stop):
        panel, first = unit // steps, unit % steps * 2 * LANES
        target = at(work, op[codes.BATCH_PAIRS] + unit * LANES * LANES)
        transpose_pairs(min(2 * LANES, rows - first), target, at(x, first * stride + panel * LANES), stride)
    barrier(team.sync, team.size)
    return op[codes.ROW_PAIRS]


def weight_gradient(op, work, first, count, packed, rows, gradient, panels):
    """Twin of ``mixed.weight_gradient``; row -1 is a product with ones."""
    steps = (rows + 2 * LANES - 1) // (2 * LANES)
    stride = steps * LANES * LANES
    offset, a_row = op[codes.BATCH_PAIRS] + first * steps * LANES, LANES
    if first < 0:
        offset, a_row = op[codes.BATCH_PAIRS] - LANES, 0
    tile_product(
        at(work, offset), a_row, a_row * LANES, stride, packed, stride, gradient, LANES, BLOCK_ROWS * LANES,
        panels, count, steps, gradient, 0, MODE_ZERO, 0,
    )  # fmt: skip


TWINS = {
    begin_products: begin_tiles,
    end_products: end_tiles,
    mixed.product: product,
    mixed.input_operand: input_operand,
    mixed.weight_gradient: weight_gradient,
}
