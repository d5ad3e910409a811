"""Sizes on which plans and programs agree."""

from __future__ import annotations

from . import codes

TILE_ROWS = 12  # rows of a weight tile whose gradient is computed and used while it is in the first-level cache
BLOCK_ROWS = 48  # rows of weights updated and rounded in one visit: whole register tiles, whole transposed squares
PART_ROWS = 96  # rows that go through the whole network together, a multiple of every tile's rows


def half(count):
    """Pairs that hold ``count`` elements."""
    return (count + 1) // 2


def whole(count, lanes):
    """Pairs that hold ``count`` elements, filled up to whole vectors."""
    return (count + 2 * lanes - 1) // (2 * lanes) * lanes


def units(op):
    """Number of units of an operation's weights, see ``cpu/clipping.py``."""
    if has_matrix(op):
        return (op[codes.PANELS] + 1) // 2
    return 1 if op[codes.KIND] == codes.BATCH_NORM or op[codes.KIND] == codes.LAYER_NORM else 0


def has_matrix(op):
    """Whether an operation has weights in panels of columns."""
    return op[codes.KIND] == codes.DENSE or op[codes.KIND] == codes.CONVOLUTION
