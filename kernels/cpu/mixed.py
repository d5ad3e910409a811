"""Dense layers in mixed precision: products of bfloat16 pairs, everything else float32.

``variants.program(..., mixed=True)`` replaces functions of other modules by those in ``TWINS``, so
all phases of training and prediction are those of float32. Left operands are rounded when a product needs them, weights
when they have changed: ``params`` holds, behind the float32 weights that the optimizer works on, per dense layer

- at ``W_PAIRS``, for the forward pass: panels of L outputs, pairs along the inputs, L of them for every 2 L inputs;
- at ``WT_PAIRS``, for the backward pass, if it needs them: panels of L inputs, pairs along the outputs, L of them for
  every two panels of outputs, ``[panel][L * ((PANELS + 1) // 2)][L]``.
"""

from __future__ import annotations

from .. import codes
from ..codes import COLUMNS
from ..element_types import LANES
from ..llvm.bfloat16 import Pairs, round_columns, round_row_pairs
from ..llvm.instructions import at
from ..llvm.register_tiles import MODE_ZERO, TILE_ROWS, outer_strip
from ..llvm.vectors import transpose_square
from ..operations.teamwork import barrier, share
from ..sizes import BLOCK_ROWS, half, whole
from . import dense, gemm
from .dense import update_tile

product = gemm.tiled_product(*(outer_strip(TILE_ROWS[vectors]["avx512"], vectors, Pairs) for vectors in (1, 2)))


def forward_weights(op, panel):
    """Twin of ``dense.forward_weights``: pairs of weights."""
    stride = whole(op[codes.INPUTS], LANES) * LANES
    return op[codes.W_PAIRS] + panel * stride, stride, half(op[codes.INPUTS])


def round_block(op, x, stride, rows):
    """Twin of ``dense.round_block``: round rows of inputs in place."""
    round_columns(rows, op[codes.INPUTS], x, stride, x, stride, LANES)


def input_operand(team, op, work, rows):
    """Twin of ``dense.input_operand``: round the input, for this product and as pairs of rows for the update."""
    first, last = share(team.rank, team.size, half(rows))
    stride, count = op[codes.X_STRIDE], min(rows, 2 * last) - 2 * first
    x = at(work, op[codes.X] + 2 * first * stride)
    vectors = (op[codes.INPUTS] + LANES - 1) // LANES
    round_columns(count, op[codes.INPUTS], at(work, op[codes.ROW_PAIRS] + 2 * first * stride), stride, x, stride, LANES)
    round_row_pairs(count, vectors, at(work, op[codes.BATCH_PAIRS] + first * stride), stride, x, stride)
    barrier(team.sync, team.size)
    return op[codes.ROW_PAIRS]


def gradient_operand(team, op, work, rows):
    """Twin of ``dense.gradient_operand``: round the gradient with respect to the output."""
    first, last = share(team.rank, team.size, rows)
    stride = op[codes.Y_STRIDE]
    dy, pairs = at(work, op[codes.DY] + first * stride), at(work, op[codes.ROW_PAIRS] + first * stride)
    round_columns(last - first, op[codes.OUTPUTS], pairs, stride, dy, stride, LANES)
    barrier(team.sync, team.size)
    return op[codes.ROW_PAIRS]


def input_gradient(op, params, dy, dx, scratch, rows, column, columns, transposes):
    """Twin of ``dense.input_gradient`` for pairs dy."""
    stride = half(op[codes.PANELS]) * LANES * LANES
    product(
        dy, op[codes.Y_STRIDE], 1, at(params, op[codes.WT_PAIRS] + column // LANES * stride), stride,
        dx, op[codes.X_STRIDE], LANES, (columns + LANES - 1) // LANES, rows, half(op[codes.OUTPUTS]),
        scratch, 0, MODE_ZERO, 0,
    )  # fmt: skip


def round_weights(op, params, pair, first, count, scratch):
    """Round ``count`` rows of weights in a pair of panels from ``first``, a multiple of ``BLOCK_ROWS``.

    ``scratch`` has room for a square of LANES vectors.
    """
    panels = min(2, op[codes.PANELS] - 2 * pair)
    weights = at(params, op[codes.WEIGHTS] + 2 * pair * op[codes.PANEL] + (op[codes.BIAS] + first) * LANES)
    for panel in range(panels):
        offset, stride, _ = forward_weights(op, 2 * pair + panel)
        target = at(params, offset + first // 2 * LANES)
        round_row_pairs(count, 1, target, LANES, at(weights, panel * op[codes.PANEL]), LANES)
    if op[codes.WT_PAIRS]:
        stride = half(op[codes.PANELS]) * LANES * LANES
        for r in range(0, count, LANES):
            rows = min(LANES, count - r)
            round_columns(rows, panels * LANES, scratch, LANES, at(weights, r * LANES), LANES, op[codes.PANEL])
            target = at(params, op[codes.WT_PAIRS] + (first + r) // LANES * stride + pair * LANES * LANES)
            transpose_square(target, LANES, scratch, rows)


def renew_operands(op, params, pair, scratch):
    """Twin of ``dense.renew_operands``: round the weights."""
    for first in range(0, op[codes.INPUTS], BLOCK_ROWS):
        round_weights(op, params, pair, first, min(BLOCK_ROWS, op[codes.INPUTS] - first), scratch)


def round_all_weights(ops, params, scratch):
    """Round the weights of all layers, after they were set; ``scratch`` (LANES * LANES,)."""
    for index in range(ops.shape[0]):
        op = at(at(ops, 0), index * COLUMNS)
        if op[codes.KIND] == codes.DENSE:
            for pair in range(half(op[codes.PANELS])):
                renew_operands(op, at(params, 0), pair, at(scratch, 0))


def pack_gradient(op, work, pair, panels, rows, packed):
    """Round dy of ``panels`` panels from number 2 * pair to pairs of rows, filled up with zeros to whole vectors."""
    panel_size = whole(rows, LANES) * LANES
    for panel in range(panels):
        dy = at(work, op[codes.DY] + (2 * pair + panel) * LANES)
        round_row_pairs(rows, 1, at(packed, panel * panel_size), LANES, dy, op[codes.Y_STRIDE])
        for i in range(half(rows) * LANES, panel_size):
            packed[panel * panel_size + i] = 0.0


def weight_gradient(op, work, first, count, packed, rows, gradient, panels):
    """Gradient of ``count`` rows of weights from ``first`` in ``panels`` panels, from packed dy; row -1 is the bias.

    The column before the input holds ones. Panels of the gradient have ``BLOCK_ROWS`` rows.
    """
    product(
        at(work, op[codes.BATCH_PAIRS] + first), 1, op[codes.X_STRIDE], packed, whole(rows, LANES) * LANES,
        gradient, LANES, BLOCK_ROWS * LANES, panels, count, half(rows), gradient, 0, MODE_ZERO, 0,
    )  # fmt: skip


def dense_update_share(
    team, op, index, work, features, params, moments, slot_1, scratch, rows, l2, descent
):
    """Twin of ``dense.dense_update_share`` for dense rows: new weights are rounded while they are in the cache.

    ``scratch`` holds gradients of ``BLOCK_ROWS`` rows of two panels, then dy of two panels as pairs of rows.
    """
    blocks = (op[codes.INPUTS] + BLOCK_ROWS - 1) // BLOCK_ROWS
    start, stop = share(team.rank, team.size, half(op[codes.PANELS]) * blocks)
    panel_size = BLOCK_ROWS * LANES
    gradient, packed = scratch, at(scratch, 2 * panel_size)
    packed_pair = -1
    for unit in range(start, stop):
        pair, first = unit // blocks, unit % blocks * BLOCK_ROWS
        panels, block = min(2, op[codes.PANELS] - 2 * pair), min(BLOCK_ROWS, op[codes.INPUTS] - first)
        if pair != packed_pair:
            pack_gradient(op, work, pair, panels, rows, packed)
            packed_pair = pair
        # before the first block, as row -1, the bias
        for r in range(-op[codes.BIAS] if first == 0 else 0, 1):
            count = block if r == 0 else 1
            weight_gradient(op, work, first + r, count, packed, rows, gradient, panels)
            update_tile(
                op, params, moments, slot_1, gradient, panel_size, pair, op[codes.BIAS] + first + r, count, l2,
                descent,
            )  # fmt: skip
        if descent.optimizer != codes.GRADIENT:
            round_weights(op, params, pair, first, block, gradient)


TWINS = {
    gemm.product: product,
    dense.renew_operands: renew_operands,
    dense.forward_weights: forward_weights,
    dense.round_block: round_block,
    dense.input_operand: input_operand,
    dense.gradient_operand: gradient_operand,
    dense.input_gradient: input_gradient,
    dense.dense_update_share: dense_update_share,
}
