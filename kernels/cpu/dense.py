"""Dense layers of a plan on one batch, forward and backward.

Letters: ``op`` is a row of the plan's integer table (columns in ``codes.py``), ``work`` the workspace that holds
activations and gradients, ``params`` the flat parameter vector. Regions are rows ``first`` .. ``first + rows``.
A member of the team does its share; no share depends on another member's, up to the next barrier.
"""

from __future__ import annotations

from .. import codes
from ..codes import COLUMNS
from ..element_types import LANES
from ..llvm.instructions import at
from ..llvm.register_tiles import MODE_INIT, MODE_ZERO
from ..llvm.vectors import load_strided, transpose_square
from ..operations.activations import activation_forward, softmax
from ..operations.arithmetic import copy_vectors
from ..operations.elementwise import derivatives
from ..operations.optimizers import penalize_vectors, update
from ..operations.teamwork import barrier, row_cuts, share, split
from ..sizes import TILE_ROWS
from .gemm import product, product_transposed
from .sparse import sparse_gradient_tile

MANY_ROWS = 24  # of a batch, for which transposing weights pays


def begin_products():
    """Make the calling thread ready for products: nothing to do."""


def end_products():
    """Give back what ``begin_products`` took: nothing to do."""


def renew_operands(op, params, pair, scratch):
    """Renew what products read instead of the weights in a pair of panels: nothing, as they read the weights."""


def forward_weights(op, panel):
    """Right operand of the forward pass from ``panel`` on: its offset in the parameters, panel stride, and rows."""
    return op[codes.WEIGHTS] + panel * op[codes.PANEL] + op[codes.BIAS] * LANES, op[codes.PANEL], op[codes.INPUTS]


def round_block(op, x, stride, rows):
    """Prepare rows of inputs for ``dense_forward``: they are used as they are."""


def input_operand(team, op, work, rows):
    """Prepare the input for ``dense_forward`` and return its offset in ``work``: it is used as it is."""
    return op[codes.X]


def gradient_operand(team, op, work, rows):
    """Prepare the gradient for ``input_gradient`` and return its offset in ``work``: it is used as it is."""
    return op[codes.DY]


def dense_forward(op, params, x, x_stride, y, y_stride, z, first, rows, panel, panels, alpha):
    """y = activation(x @ W + b) for ``panels`` panels of columns from ``panel``; a distinct z keeps x @ W + b.

    x (first + rows, INPUTS) is prepared; y and z (first + rows, PANELS * LANES). A softmax is left to the caller: it
    needs whole rows.
    """
    offset, stride, count = forward_weights(op, panel)
    bias = at(params, op[codes.WEIGHTS] + panel * op[codes.PANEL])
    out = at(y, first * y_stride + panel * LANES)
    function = op[codes.FUNCTION]
    product(
        at(x, first * x_stride), x_stride, 1, at(params, offset), stride, out, y_stride, LANES, panels, rows, count,
        bias, op[codes.PANEL], MODE_INIT if op[codes.BIAS] else MODE_ZERO, int(function == codes.RELU),
    )  # fmt: skip
    if function == codes.LINEAR or function == codes.RELU or function == codes.SOFTMAX:
        return
    if op[codes.Z] != op[codes.Y]:
        copy_vectors(rows, y_stride, panels, at(z, first * y_stride + panel * LANES), out)
    activation_forward(function, out, y_stride, rows, 0, panels, alpha)


def dense_forward_share(team, op, params, work, rows, alpha):
    """A member's share of ``dense_forward`` on all rows and panels, and of the softmax."""
    x, x_stride = at(work, input_operand(team, op, work, rows)), op[codes.X_STRIDE]
    y, y_stride, z = at(work, op[codes.Y]), op[codes.Y_STRIDE], at(work, op[codes.Z])
    pairs = (op[codes.PANELS] + 1) // 2
    cuts = row_cuts(pairs, team.size)
    start, stop = share(team.rank, team.size, pairs * cuts)
    for unit in range(start, stop):
        pair, cut = split(unit, cuts)
        panel = 2 * pair
        first, last = share(cut, cuts, rows)
        panels = min(2, op[codes.PANELS] - panel)
        dense_forward(op, params, x, x_stride, y, y_stride, z, first, last - first, panel, panels, alpha)
    if op[codes.FUNCTION] == codes.SOFTMAX:
        barrier(team.sync, team.size)
        first, last = share(team.rank, team.size, rows)
        softmax(at(y, first * y_stride), y_stride, last - first, op[codes.OUTPUTS], op[codes.PANELS])


def product_by_transposing(dy, dy_stride, weights, panel, outputs, dx, dx_stride, scratch, rows, columns):
    """dx = dy @ W.T for up to 2 * LANES columns, the rows of W from ``weights``, whose panels are ``panel`` apart."""
    panels, vectors = (outputs + LANES - 1) // LANES, (columns + LANES - 1) // LANES
    vector_size = panels * LANES * LANES
    for vector in range(vectors):
        target, source = at(scratch, vector * vector_size), at(weights, vector * LANES * LANES)
        count = min(LANES, columns - vector * LANES)
        if outputs == 1:
            load_strided(count, target, source, LANES)
        else:
            for p in range(panels):
                transpose_square(at(target, p * LANES * LANES), LANES, at(source, p * panel), count)
    product(
        dy, dy_stride, 1, scratch, vector_size, dx, dx_stride, LANES, vectors, rows, outputs, scratch, 0, MODE_ZERO, 0
    )


def input_gradient(op, params, dy, dx, scratch, rows, column, columns, transposes):
    """dx = dy @ W.T for a block of up to 2 * LANES columns; dy (rows, OUTPUTS) prepared, strides those of the batch.

    W is transposed for it if ``transposes``, or if sums along its rows would be shorter than a vector.
    """
    dy_stride, dx_stride, panels = op[codes.Y_STRIDE], op[codes.X_STRIDE], op[codes.PANELS]
    weights = at(params, op[codes.WEIGHTS] + (op[codes.BIAS] + column) * LANES)
    if transposes or panels == 1:
        product_by_transposing(
            dy, dy_stride, weights, op[codes.PANEL], op[codes.OUTPUTS], dx, dx_stride, scratch, rows, columns
        )
    else:
        product_transposed(dy, dy_stride, weights, op[codes.PANEL], dx, dx_stride, rows, columns, panels)


def dense_backward_input_share(team, ops, index, factors, params, work, scratch, rows):
    """A member's share of the gradient of the input, taken back through the operations that made it."""
    op = at(ops, index * COLUMNS)
    offset = gradient_operand(team, op, work, rows)
    width = 2 * LANES
    blocks = (op[codes.INPUTS] + width - 1) // width
    cuts = row_cuts(blocks, team.size)
    start, stop = share(team.rank, team.size, blocks * cuts)
    for unit in range(start, stop):
        block_index, cut = split(unit, cuts)
        column = block_index * width
        first, last = share(cut, cuts, rows)
        columns, block = min(width, op[codes.INPUTS] - column), last - first
        dy = at(work, offset + first * op[codes.Y_STRIDE])
        dx = at(work, op[codes.DX] + first * op[codes.X_STRIDE] + column)
        input_gradient(op, params, dy, dx, scratch, block, column, columns, rows >= MANY_ROWS)
        if op[codes.BY_ROWS] == 0:
            derivatives(ops, index, factors, work, first, block, column, (columns + LANES - 1) // LANES)
    barrier(team.sync, team.size)
    if op[codes.BY_ROWS]:
        first, last = share(team.rank, team.size, rows)
        derivatives(ops, index, factors, work, first, last - first, 0, (op[codes.INPUTS] + LANES - 1) // LANES)
        barrier(team.sync, team.size)


def pack(target, source, stride, rows, panels):
    """Copy ``panels`` panels of columns from row-major ``source`` (rows, ...) to panels of ``rows`` rows."""
    for panel in range(panels):
        for r in range(rows):
            copy_vectors(1, 0, 1, at(target, (panel * rows + r) * LANES), at(source, r * stride + panel * LANES))


def update_panel(
    op, params, slot_0, slot_1, gradient, panel, first, count, l2, descent
):
    """The optimizer's step on ``count`` rows of weights from ``first`` in a panel; row 0 is the bias."""
    offset = op[codes.WEIGHTS] + panel * op[codes.PANEL] + first * LANES
    if l2 != 0.0:
        free = op[codes.BIAS] if first == 0 else 0  # the bias is not penalized
        penalize_vectors(1, 0, count - free, at(gradient, free * LANES), at(params, offset + free * LANES), l2)
    update(descent, at(params, offset), at(slot_0, offset), at(slot_1, offset), gradient, count)


def update_tile(
    op, params, slot_0, slot_1, gradient, gradient_panel, pair, first, count, l2, descent
):
    """``update_panel`` on a pair of panels."""
    for panel in range(min(2, op[codes.PANELS] - 2 * pair)):
        update_panel(
            op, params, slot_0, slot_1, at(gradient, panel * gradient_panel), 2 * pair + panel, first, count, l2,
            descent,
        )  # fmt: skip


def dense_update_share(
    team, op, index, work, features, params, moments, slot_1, scratch, rows, l2, descent
):
    """A member's share of dW = x.T @ dy and of the optimizer step, tile by tile; the bias is row 0 of W.

    x is the batch in ``features``, if sparse, for operation 0. ``scratch`` holds one tile of gradients, then two packed
    panels of dy. ``moments`` are the first ones of all weights.
    """
    weight_rows, bias = op[codes.INPUTS] + op[codes.BIAS], op[codes.BIAS]
    tiles = (weight_rows + TILE_ROWS - 1) // TILE_ROWS
    pairs = (op[codes.PANELS] + 1) // 2
    start, stop = share(team.rank, team.size, pairs * tiles)
    gradient, packed = scratch, at(scratch, 2 * TILE_ROWS * LANES)
    packed_pair = -1
    pair, tile = (0, 0) if start == 0 else (start // tiles, start % tiles)
    for _ in range(start, stop):
        first = tile * TILE_ROWS
        panels, count = min(2, op[codes.PANELS] - 2 * pair), min(TILE_ROWS, weight_rows - first)
        if pair != packed_pair:
            pack(packed, at(work, op[codes.DY] + 2 * pair * LANES), op[codes.Y_STRIDE], rows, panels)
            packed_pair = pair
        if features is not None and index == 0:
            sparse_gradient_tile(gradient, TILE_ROWS * LANES, features, packed, rows, first, count, panels, bias)
        else:  # the column before x holds ones, whose products with dy are the gradient of the bias
            product(
                at(work, op[codes.X] - bias + first), 1, op[codes.X_STRIDE], packed, rows * LANES,
                gradient, LANES, TILE_ROWS * LANES, panels, count, rows, gradient, 0, MODE_ZERO, 0,
            )  # fmt: skip
        update_tile(op, params, moments, slot_1, gradient, TILE_ROWS * LANES, pair, first, count, l2, descent)
        tile += 1
        if tile == tiles:
            pair, tile = pair + 1, 0
