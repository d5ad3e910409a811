"""Dense layers of large networks on a GPU: one launch for each product, a block of threads for each tile of it.

Every function here makes the kernel of one way of multiplying, see ``cuda/gemm.py``. The kernels take the plan's tables
as flat arrays, the place of the layer in them, and the ``clock`` of the step (``codes.CLOCK_COLUMNS``).
"""

from __future__ import annotations

from collections.abc import Callable

from ... import codes
from ...codes import COLUMNS, FACTORS
from ...element_types import NUMBER
from ...formulas.optimizers import l2_grad
from ..elements import activate, through_elements
from ..gemm import Way, tile_product
from ..jit import at, cuda, entry


def forward_kernel(way: Way) -> Callable:
    """Kernel of y = activation(x @ W + b); a distinct z keeps x @ W + b. A softmax is left to another launch."""
    product_tile = tile_product(way, left_along=True, right_along=False)
    tile_rows, tile_columns, numbers, group = way.rows, way.columns, way.numbers, way.group
    row_of, column_of, put = way.row_of, way.column_of, way.put

    @entry("IiNNNI", way.threads, way.dtypes)
    def dense_forward_tiles(ops, index, factors, params, work, clock):
        op, thread, rows = at(ops, index * COLUMNS), cuda.threadIdx.x, clock[codes.NOW_ROWS]
        row, column = cuda.blockIdx.y * tile_rows, cuda.blockIdx.x * tile_columns
        if row >= rows:
            return
        stride, function, y_row = op[codes.PANELS], op[codes.FUNCTION], op[codes.Y_ROW]
        weights = at(params, op[codes.WEIGHTS])
        sums = cuda.local.array(numbers, NUMBER)
        for i in range(numbers):
            sums[i] = 0.0
        product_tile(
            sums, at(work, op[codes.X]), op[codes.X_ROW], row, rows, -1,
            at(weights, op[codes.BIAS] * stride), stride, column, stride, 0, op[codes.INPUTS], thread,
        )  # fmt: skip
        z, y = at(work, op[codes.Z]), at(work, op[codes.Y])
        for i in range(0, numbers, group):
            r, j = row + row_of(thread, i), column + column_of(thread, i)
            if r < rows and j < stride:
                put(z, r * y_row + j, sums, i)
        # the rest from memory: what is in registers has no place that a loop could count through
        bias, alpha = op[codes.BIAS], factors[index * FACTORS + codes.ALPHA]
        for i in range(numbers):
            r, j = row + row_of(thread, i), column + column_of(thread, i)
            if r < rows and j < stride:
                place = r * y_row + j
                value = z[place] + weights[j] if bias else z[place]
                z[place] = value
                y[place] = activate(function, value, alpha)

    dense_forward_tiles.__name__ += "_" + way.name
    return dense_forward_tiles


def input_gradient_kernel(way: Way) -> Callable:
    """Kernel of dx = dy @ W.T, taken back through the elementwise operations below, unless those need whole rows."""
    product_tile = tile_product(way, left_along=True, right_along=True)
    tile_rows, tile_columns, numbers, group = way.rows, way.columns, way.numbers, way.group
    row_of, column_of, put = way.row_of, way.column_of, way.put

    @entry("IiNNNI", way.threads, way.dtypes)
    def input_gradient_tiles(ops, index, factors, params, work, clock):
        op, thread, rows = at(ops, index * COLUMNS), cuda.threadIdx.x, clock[codes.NOW_ROWS]
        row, column = cuda.blockIdx.y * tile_rows, cuda.blockIdx.x * tile_columns
        if row >= rows:
            return
        stride, inputs, dx_row = op[codes.PANELS], op[codes.INPUTS], op[codes.X_ROW]
        sums = cuda.local.array(numbers, NUMBER)
        for i in range(numbers):
            sums[i] = 0.0
        product_tile(
            sums, at(work, op[codes.DY]), op[codes.Y_ROW], row, rows, -1,
            at(params, op[codes.WEIGHTS] + op[codes.BIAS] * stride), stride, column, inputs,
            0, op[codes.OUTPUTS], thread,
        )  # fmt: skip
        dx = at(work, op[codes.DX])
        for i in range(0, numbers, group):
            r, j = row + row_of(thread, i), column + column_of(thread, i)
            if r < rows and j < inputs:
                put(dx, r * dx_row + j, sums, i)
        if op[codes.BY_ROWS] == 0:
            for i in range(numbers):
                r, j = row + row_of(thread, i), column + column_of(thread, i)
                if r < rows and j < inputs:
                    place = r * dx_row + j
                    dx[place] = through_elements(ops, index, factors, work, r, j, dx[place])

    input_gradient_tiles.__name__ += "_" + way.name
    return input_gradient_tiles


def weight_gradient_kernel(way: Way) -> Callable:
    """Kernel of the gradients x.T @ dy of all weights with their penalties'; ones behind x give that of the bias.

    The rows of the batch are cut into as many slices as the grid is deep. Each writes sums of its own, in the places
    of the weights, to ``gradients`` (slices, P), flattened.
    """
    product_tile = tile_product(way, left_along=False, right_along=False)
    tile_rows, tile_columns, numbers, group = way.rows, way.columns, way.numbers, way.group
    row_of, column_of, put, depth = way.row_of, way.column_of, way.put, way.depth

    @entry("IIiNNNNID", way.threads, way.dtypes)
    def weight_gradient_tiles(run, ops, index, factors, params, work, gradients, clock, pace):
        op, thread, rows = at(ops, index * COLUMNS), cuda.threadIdx.x, clock[codes.NOW_ROWS]
        row, column = cuda.blockIdx.y * tile_rows, cuda.blockIdx.x * tile_columns
        slices = cuda.gridDim.z
        slice_rows = (rows + slices * depth - 1) // (slices * depth) * depth
        begin = min(rows, cuda.blockIdx.z * slice_rows)
        stride, inputs, bias = op[codes.PANELS], op[codes.INPUTS], op[codes.BIAS]
        sums = cuda.local.array(numbers, NUMBER)
        for i in range(numbers):
            sums[i] = 0.0
        product_tile(
            sums, at(work, op[codes.X]), op[codes.X_ROW], row, inputs, inputs if bias else -1,
            at(work, op[codes.DY]), op[codes.Y_ROW], column, op[codes.OUTPUTS],
            begin, min(rows, begin + slice_rows), thread,
        )  # fmt: skip
        target = at(gradients, cuda.blockIdx.z * run[codes.PARAMETERS] + op[codes.WEIGHTS])
        for i in range(0, numbers, group):
            k, j = row + row_of(thread, i), column + column_of(thread, i)
            if k < inputs + bias and j < stride:
                put(target, (bias + k if k < inputs else 0) * stride + j, sums, i)
        l2 = factors[index * FACTORS + codes.L2]
        if l2 == 0.0 or cuda.blockIdx.z > 0:
            return
        weights = at(params, op[codes.WEIGHTS])
        l2 = NUMBER(l2 * (pace[codes.NOW_UNIT] if run[codes.L2_PER_ROW] else 1.0))
        for i in range(numbers):
            k, j = row + row_of(thread, i), column + column_of(thread, i)
            if k < inputs and j < stride:
                place = (bias + k) * stride + j
                target[place] += l2_grad(weights[place], l2)

    weight_gradient_tiles.__name__ += "_" + way.name
    return weight_gradient_tiles
