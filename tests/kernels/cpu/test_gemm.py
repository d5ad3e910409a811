"""Matrix products against float64 NumPy at odd shapes, in poisoned and guarded memory."""

import numpy as np
import pytest
from fastnn.kernels.compiler import jit
from fastnn.kernels.cpu.gemm import product, product_transposed
from fastnn.kernels.host import cpu
from fastnn.kernels.llvm.instructions import at
from fastnn.kernels.llvm.register_tiles import MODE_ADD, MODE_INIT, MODE_ZERO
from harness import ODD_SIZES, assert_same_bits, tolerance

GUARD = 12345.0
MARGIN = 7  # guard elements before, after and between rows
SHAPES = [  # (rows, columns, length of the sum): every pair of sizes once, and tails of the tiles
    *((a, b, ODD_SIZES[(i + 2 * j) % 6]) for i, a in enumerate(ODD_SIZES) for j, b in enumerate(ODD_SIZES)),
    (96, 64, 512), (2, 5, 4), (11, 31, 7), (13, 33, 5), (24, 16, 1), (7, 8, 9), (5, 24, 40),
]  # fmt: skip


def gemm_case(
    transposed, a, a_row, a_k, b, b_panel, c, c_start, c_row, c_panel, panels, rows, columns, count, init, init_panel,
    mode, relu,
):  # fmt: skip
    """Either product on arrays; the result starts at element ``c_start`` of c."""
    if transposed:
        product_transposed(at(a, 0), a_row, at(b, 0), b_panel, at(c, c_start), c_row, rows, columns, panels)
    else:
        product(
            at(a, 0), a_row, a_k, at(b, 0), b_panel, at(c, c_start), c_row, c_panel, panels, rows, count, at(init, 0),
            init_panel, mode, relu,
        )  # fmt: skip


def in_panels(matrix, lanes, rows, dtype):
    """Columns in panels of one vector, zeros beside the matrix, NaN below its last row."""
    panels = -(-matrix.shape[1] // lanes)
    stored = np.full((panels, rows, lanes), np.nan, dtype)
    stored[:, : len(matrix)] = 0.0
    for column in range(matrix.shape[1]):
        stored[column // lanes, : len(matrix), column % lanes] = matrix[:, column]
    return stored


def multiply(dtype, a, b, mode=MODE_ZERO, start=0.0, relu=0, by_columns=False):
    """The product of two matrices by the kernel; everything around its operands is NaN, around its result guarded."""
    lanes = cpu.lanes(dtype)
    rows, count = a.shape
    stored = in_panels(b, lanes, count + 1, dtype)
    panels = len(stored)
    left = np.full((count, rows + 3) if by_columns else (rows, count + 3), np.nan, dtype)
    left[:, : left.shape[1] - 3] = a.T if by_columns else a
    a_row, a_k = (1, rows + 3) if by_columns else (count + 3, 1)
    width = panels * lanes
    init = np.full(panels * (lanes + 2), np.nan, dtype)
    out = np.full((rows + 2, width + MARGIN), GUARD, dtype)
    inside = out[1:-1, :width]
    inside[:] = np.nan
    if mode == MODE_INIT:
        padded = np.zeros(width, dtype)
        padded[: b.shape[1]] = start
        init.reshape(panels, -1)[:, :lanes] = padded.reshape(panels, lanes)
    elif mode == MODE_ADD:
        inside[:] = 0.0
        inside[:, : b.shape[1]] = start
    jit.program(gemm_case, dtype)(
        0, left.ravel(), a_row, a_k, stored.ravel(), (count + 1) * lanes, out.ravel(), width + MARGIN, width + MARGIN,
        lanes, panels, rows, 0, count, init, lanes + 2, mode, relu,
    )  # fmt: skip
    result = inside.copy()
    inside[:] = GUARD
    assert (out == GUARD).all(), "written beside the result"
    return result


def multiply_transposed(dtype, a, b):
    """a @ b.T by the kernel, guarded likewise; b (columns, sum) stands in panels along the sum."""
    lanes = cpu.lanes(dtype)
    stored = in_panels(b, lanes, len(b) + 1, dtype)
    panels = len(stored)
    left = np.full((len(a), panels * lanes + 3), np.nan, dtype)
    left[:, : panels * lanes] = 0.0
    left[:, : a.shape[1]] = a
    out = np.full((len(a) + 2, len(b) + MARGIN), GUARD, dtype)
    inside = out[1:-1, : len(b)]
    inside[:] = np.nan
    jit.program(gemm_case, dtype)(
        1, left.ravel(), panels * lanes + 3, 1, stored.ravel(), (len(b) + 1) * lanes, out.ravel(), len(b) + MARGIN,
        len(b) + MARGIN, 0, panels, len(a), len(b), 0, np.zeros(1, dtype), 0, 0, 0,
    )  # fmt: skip
    result = inside.copy()
    inside[:] = GUARD
    assert (out == GUARD).all(), "written beside the result"
    return result


def error_bound(dtype, a, b):
    """Bound of the rounding of every element of a @ b: half a unit in the last place for each step of the sum."""
    return np.finfo(dtype).eps * (a.shape[1] + 2) * (np.abs(a) @ np.abs(b)) + np.finfo(dtype).tiny


def matrices(rng, dtype, rows, columns, count):
    return rng.normal(size=(rows, count)).astype(dtype), rng.normal(size=(count, columns)).astype(dtype)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_product(rng, dtype, shape):
    a, b = matrices(rng, dtype, *shape)
    exact = a.astype(np.float64) @ b.astype(np.float64)
    result = multiply(dtype, a, b)
    assert (np.abs(result[:, : shape[1]] - exact) <= error_bound(dtype, a, b)).all()
    assert (result[:, shape[1] :] == 0.0).all()
    assert_same_bits(multiply(dtype, a, b, by_columns=True), result)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_product_transposed(rng, dtype, shape):
    a, b = matrices(rng, dtype, *shape)
    exact = a.astype(np.float64) @ b.astype(np.float64)
    assert (np.abs(multiply_transposed(dtype, a, b.T) - exact) <= error_bound(dtype, a, b)).all()


@pytest.mark.parametrize("relu", [0, 1])
@pytest.mark.parametrize("mode", [MODE_ZERO, MODE_INIT, MODE_ADD])
@pytest.mark.parametrize("shape", [(1, 1, 1), (17, 63, 3), (3, 17, 100), (63, 100, 17)], ids=str)
def test_start_values_and_relu(rng, dtype, shape, mode, relu):
    a, b = matrices(rng, dtype, *shape)
    start = rng.normal(size=shape[1] if mode == MODE_INIT else shape[:2]).astype(dtype)
    exact = a.astype(np.float64) @ b.astype(np.float64) + (0.0 if mode == MODE_ZERO else start)
    bound = error_bound(dtype, a, b) + np.finfo(dtype).eps * np.abs(start)
    result = multiply(dtype, a, b, mode, start, relu)[:, : shape[1]]
    assert (np.abs(result - (np.maximum(exact, 0.0) if relu else exact)) <= bound).all()


@pytest.mark.parametrize("relu", [0, 1])
def test_nan_and_infinity_stay(rng, dtype, relu):
    a, b = matrices(rng, dtype, 19, 37, 5)
    a[4, 2], a[7, 1], b[3, 9], a[11, 0] = np.nan, np.inf, np.nan, -np.inf
    with np.errstate(invalid="ignore"):
        expected = a @ b
        if relu:
            expected = np.where(expected <= 0.0, 0.0, expected)
    result = multiply(dtype, a, b, relu=relu)[:, :37]
    unbounded = ~np.isfinite(expected)
    assert unbounded.sum() > 37
    np.testing.assert_array_equal(result[unbounded], expected[unbounded])
    close = tolerance(dtype, 1e-5, 1e-13)
    np.testing.assert_allclose(result[~unbounded], expected[~unbounded], rtol=close, atol=close)
    transposed = multiply_transposed(dtype, a, b.T)
    assert np.isnan(transposed[4]).all()
    assert np.isnan(transposed[:, 9]).all()
    assert np.isfinite(np.delete(np.delete(transposed, [4, 7, 11], axis=0), 9, axis=1)).all()


def test_bits_do_not_depend_on_the_rows_around(rng, dtype):
    """A row's product is the same alone as among others, and a column's too: tiles of any shape sum alike."""
    a, b = matrices(rng, dtype, 29, 70, 41)
    whole, transposed = multiply(dtype, a, b), multiply_transposed(dtype, a, b.T)
    for rows in (slice(0, 1), slice(3, 5), slice(2, 13), slice(28, 29)):
        assert_same_bits(multiply(dtype, a[rows], b), whole[rows])
        assert_same_bits(multiply_transposed(dtype, a[rows], b.T), transposed[rows])
    for columns in (slice(0, 1), slice(64, 67), slice(5, 70)):
        width = columns.stop - columns.start
        assert_same_bits(multiply(dtype, a, b[:, columns])[:, :width].copy(), whole[:, columns].copy())
        assert_same_bits(multiply_transposed(dtype, a, b[:, columns].T), transposed[:, columns].copy())
