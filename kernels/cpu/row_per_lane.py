"""Forward pass with one row in each lane, for narrow layers, which would leave most lanes of a panel of weights empty.

A block is cut into groups of LANES rows. A group is a vector of ones, whose products with the row of biases start
the sums, and a vector for each column. The weights are the left operand of the products, element by element.
"""

from __future__ import annotations

from .. import codes
from ..codes import COLUMNS, FACTORS
from ..element_types import LANES
from ..llvm.instructions import at
from ..llvm.register_tiles import MODE_ZERO
from ..llvm.vectors import load_transposed, transpose_square
from ..operations.activations import activation_forward
from .gemm import product


def load_groups(rows, width, buffer, stride, x, scaling):
    """Load ``rows`` scaled rows x (rows, width) into groups; the last one is filled up with its last row.

    Meanwhile memory begins to fetch as many rows more, which a block is too short to make it do by itself.
    """
    for first in range(0, rows, LANES):
        group = at(buffer, first // LANES * stride + LANES)
        load_transposed(
            min(LANES, rows - first), width, group, at(x, first * width), scaling[0], scaling[1], rows * width
        )


def set_ones(groups, buffer, stride):
    """Write the vector of ones of each group."""
    for group in range(groups):
        for lane in range(LANES):
            buffer[group * stride + lane] = 1.0


def forward_groups(network, groups, ping, pong, stride):
    """Carry the groups in ``ping`` through all operations; return 1 if the result is in ``pong``, else 0.

    A softmax as the last function is left to the caller.
    """
    set_ones(groups, ping, stride)
    set_ones(groups, pong, stride)
    source, in_pong = ping, 0
    for index in range(network.count):
        op, alpha = at(network.ops, index * COLUMNS), network.factors[index * FACTORS + codes.ALPHA]
        function = op[codes.FUNCTION]
        if op[codes.KIND] == codes.DENSE:
            in_pong = 1 - in_pong
            target = pong if in_pong else ping
            for panel in range(op[codes.PANELS]):
                column = panel * LANES
                product(
                    at(network.params, op[codes.WEIGHTS] + panel * op[codes.PANEL]), 1, LANES,
                    at(source, 0 if op[codes.BIAS] else LANES), stride,
                    at(target, (1 + column) * LANES), LANES, stride, groups, min(LANES, op[codes.OUTPUTS] - column),
                    op[codes.INPUTS] + op[codes.BIAS], source, 0, MODE_ZERO, int(function == codes.RELU),
                )  # fmt: skip
            source = target
        done = op[codes.KIND] == codes.DROPOUT or (op[codes.KIND] == codes.DENSE and function == codes.RELU)
        if not done and function != codes.SOFTMAX:
            activation_forward(function, at(source, LANES), stride, groups, 0, op[codes.OUTPUTS], alpha)
    return in_pong


def unload_groups(rows, vectors, target, target_stride, buffer, stride):
    """Write groups of ``rows`` rows, ``vectors`` vectors each, to row-major ``target``, ``target_stride`` apart."""
    for first in range(0, rows, LANES):
        for vector in range(vectors):
            square = at(buffer, first // LANES * stride + (1 + vector * LANES) * LANES)
            transpose_square(at(target, first * target_stride + vector * LANES), target_stride, square, LANES)


def unload_column(rows, target, buffer, stride):
    """Write the only column of groups of ``rows`` rows to ``target`` (rows,)."""
    for first in range(0, rows, LANES):
        column = at(buffer, first // LANES * stride + LANES)
        for lane in range(min(LANES, rows - first)):
            target[first + lane] = column[lane]
