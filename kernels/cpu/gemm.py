"""Matrix products of a dense layer for any shape, on register tiles or, where there is no SIMD level, plain loops.

Right operands (weights, packed gradients) are stored in panels: LANES columns, all their rows, then the next
panel. Left operands and results are row-major with any row stride. Pointers and strides count elements.
"""

from __future__ import annotations

from ..element_types import LANES
from ..host.cpu import simd_level
from ..llvm.instructions import at
from ..llvm.register_tiles import DOT_COLUMNS, DOT_ROWS, MODE_ADD, MODE_INIT, TILE_ROWS, dot_tile, outer_strip

LEVEL = simd_level()


def product_loops(a, a_row, a_k, b, b_panel, c, c_row, c_panel, panels, rows, count, init, init_panel, mode, relu):
    """``product`` in plain loops."""
    for p in range(panels):
        right, start = at(b, p * b_panel), at(init, p * init_panel)
        for r in range(rows):
            out = at(c, p * c_panel + r * c_row)
            for j in range(LANES):
                out[j] = start[j] if mode == MODE_INIT else out[j] if mode == MODE_ADD else 0.0
            for k in range(count):
                factor = a[r * a_row + k * a_k]
                row = at(right, k * LANES)
                for j in range(LANES):
                    out[j] += factor * row[j]
            if relu:
                for j in range(LANES):
                    out[j] = 0.0 if out[j] <= 0.0 else out[j]


def product_transposed_loops(a, a_row, b, b_panel, c, c_row, rows, columns, panels):
    """``product_transposed`` in plain loops."""
    for r in range(rows):
        for n in range(columns):
            total = 0.0
            for p in range(panels):
                left, right = at(a, r * a_row + p * LANES), at(b, p * b_panel + n * LANES)
                for j in range(LANES):
                    total += left[j] * right[j]
            c[r * c_row + n] = total


def tiled_product(strip_1, strip_2):
    """``product`` on strips of one and of two vectors of columns, both from ``outer_strip``."""

    def product_tiles(a, a_row, a_k, b, b_panel, c, c_row, c_panel, panels, rows, count, init, init_panel, mode, relu):
        """c (rows, panels * L) = start + a (rows, count) @ b (count, panels * L), then relu if ``relu`` is nonzero.

        start is zero, the row ``init`` (one vector every ``init_panel``), or c itself, as ``mode`` says
        (MODE_ZERO, MODE_INIT, MODE_ADD). Each element is one chain of fused multiply-adds in order of the sum,
        so how rows and panels are shared out does not change a bit.
        """
        p = 0
        while panels - p >= 2:
            strip_2(
                a, a_row, a_k, at(b, p * b_panel), b_panel, at(c, p * c_panel), c_row, c_panel, rows, count,
                at(init, p * init_panel), init_panel, mode, relu,
            )  # fmt: skip
            p += 2
        if panels > p:
            strip_1(
                a, a_row, a_k, at(b, p * b_panel), b_panel, at(c, p * c_panel), c_row, c_panel, rows, count,
                at(init, p * init_panel), init_panel, mode, relu,
            )  # fmt: skip

    return product_tiles


def product_transposed_tiles(a, a_row, b, b_panel, c, c_row, rows, columns, panels):
    """c (rows, columns) = a (rows, panels * L) @ b.T, where row n of b stands in vector n of every panel."""
    n = 0
    while columns - n >= BLOCK_COLUMNS:
        r = 0
        while rows - r >= BLOCK_ROWS:
            dot_block(at(a, r * a_row), a_row, at(b, n * LANES), b_panel, at(c, r * c_row + n), c_row, panels)
            r += BLOCK_ROWS
        while rows > r:
            dot_row(at(a, r * a_row), a_row, at(b, n * LANES), b_panel, at(c, r * c_row + n), c_row, panels)
            r += 1
        n += BLOCK_COLUMNS
    while columns > n:
        for r in range(rows):
            dot_one(at(a, r * a_row), a_row, at(b, n * LANES), b_panel, at(c, r * c_row + n), c_row, panels)
        n += 1


if LEVEL == "none":
    product, product_transposed = product_loops, product_transposed_loops
else:
    BLOCK_ROWS, BLOCK_COLUMNS = DOT_ROWS[LEVEL], DOT_COLUMNS[LEVEL]
    dot_block, dot_row, dot_one = (
        dot_tile(BLOCK_ROWS, BLOCK_COLUMNS),
        dot_tile(1, BLOCK_COLUMNS),
        dot_tile(1, 1),
    )
    product = tiled_product(*(outer_strip(TILE_ROWS[vectors][LEVEL], vectors) for vectors in (1, 2)))
    product_transposed = product_transposed_tiles
