"""Dense layers of large networks on a GPU: one launch for each product, a block of threads for each tile of it.

Every function here makes the kernel of one method of multiplying, see ``cuda/gemm.py``. The kernels take the plan's
tables as flat arrays, the index of the layer's operation, and the ``clock`` of the step (``codes.CLOCK_COLUMNS``).
"""

from __future__ import annotations

from collections.abc import Callable

from ... import codes
from ...codes import COLUMNS, FACTORS
from ...element_types import NUMBER
from ...formulas.optimizers import l2_grad
from ..elements import activate, through_elements
from ..gemm import Method, tile_product
from ..jit import at, cuda, entry


def forward_kernel(method: Method) -> Callable:
    """Kernel of y = activation(x @ W + b); a distinct z keeps x @ W + b. A softmax is left to another launch."""
    product_tile = tile_product(method, left_along=True, right_along=False)
    tile_rows, tile_columns, numbers, group = method.rows, method.columns, method.numbers, method.group
    row_of, column_of, put = method.row_of, method.column_of, method.put

    @entry("IiNNNI", method.threads, method.dtypes)
    def dense_forward_tiles(ops, index, factors, params, work, clock):
        op, thread, rows = at(ops, index * COLUMNS), cuda.threadIdx.x, clock[codes.NOW_ROWS]
        first_row, first_column = cuda.blockIdx.y * tile_rows, cuda.blockIdx.x * tile_columns
        if first_row >= rows:
            return
        stride, function, y_stride = op[codes.PANELS], op[codes.FUNCTION], op[codes.Y_STRIDE]
        weights = at(params, op[codes.WEIGHTS])
        sums = cuda.local.array(numbers, NUMBER)
        for i in range(numbers):
            sums[i] = 0.0
        product_tile(
            sums, at(work, op[codes.X]), op[codes.X_STRIDE], first_row, rows, -1,
            at(weights, op[codes.BIAS] * stride), stride, first_column, stride, 0, op[codes.INPUTS], thread,
        )  # fmt: skip
        z, y = at(work, op[codes.Z]), at(work, op[codes.Y])
        for i in range(0, numbers, group):
            r, j = first_row + row_of(thread, i), first_column + column_of(thread, i)
            if r < rows and j < stride:
                put(z, r * y_stride + j, sums, i)
        # the rest from memory: a loop cannot index registers
        bias, alpha = op[codes.BIAS], factors[index * FACTORS + codes.ALPHA]
        for i in range(numbers):
            r, j = first_row + row_of(thread, i), first_column + column_of(thread, i)
            if r < rows and j < stride:
                offset = r * y_stride + j
                value = z[offset] + weights[j] if bias else z[offset]
                z[offset] = value
                y[offset] = activate(function, value, alpha)

    dense_forward_tiles.__name__ += "_" + method.name
    return dense_forward_tiles


def input_gradient_kernel(method: Method) -> Callable:
    """Kernel of dx = dy @ W.T, taken back through the elementwise operations below, unless those need whole rows."""
    product_tile = tile_product(method, left_along=True, right_along=True)
    tile_rows, tile_columns, numbers, group = method.rows, method.columns, method.numbers, method.group
    row_of, column_of, put = method.row_of, method.column_of, method.put

    @entry("IiNNNI", method.threads, method.dtypes)
    def input_gradient_tiles(ops, index, factors, params, work, clock):
        op, thread, rows = at(ops, index * COLUMNS), cuda.threadIdx.x, clock[codes.NOW_ROWS]
        first_row, first_column = cuda.blockIdx.y * tile_rows, cuda.blockIdx.x * tile_columns
        if first_row >= rows:
            return
        stride, inputs, dx_stride = op[codes.PANELS], op[codes.INPUTS], op[codes.X_STRIDE]
        sums = cuda.local.array(numbers, NUMBER)
        for i in range(numbers):
            sums[i] = 0.0
        product_tile(
            sums, at(work, op[codes.DY]), op[codes.Y_STRIDE], first_row, rows, -1,
            at(params, op[codes.WEIGHTS] + op[codes.BIAS] * stride), stride, first_column, inputs,
            0, op[codes.OUTPUTS], thread,
        )  # fmt: skip
        dx = at(work, op[codes.DX])
        for i in range(0, numbers, group):
            r, j = first_row + row_of(thread, i), first_column + column_of(thread, i)
            if r < rows and j < inputs:
                put(dx, r * dx_stride + j, sums, i)
        if op[codes.BY_ROWS] == 0:
            for i in range(numbers):
                r, j = first_row + row_of(thread, i), first_column + column_of(thread, i)
                if r < rows and j < inputs:
                    offset = r * dx_stride + j
                    dx[offset] = through_elements(ops, index, factors, work, r, j, dx[offset])

    input_gradient_tiles.__name__ += "_" + method.name
    return input_gradient_tiles


def weight_gradient_kernel(method: Method) -> Callable:
    """Kernel of the gradients x.T @ dy of all weights with their penalties'; ones behind x give that of the bias.

    The rows of the batch are cut into as many slices as the grid is deep. Each writes sums of its own, laid out like
    the weights, to ``gradients`` (slices, P), flattened.
    """
    product_tile = tile_product(method, left_along=False, right_along=False)
    tile_rows, tile_columns, numbers, group = method.rows, method.columns, method.numbers, method.group
    row_of, column_of, put, depth = method.row_of, method.column_of, method.put, method.depth

    @entry("IIiNNNNID", method.threads, method.dtypes)
    def weight_gradient_tiles(run, ops, index, factors, params, work, gradients, clock, pace):
        op, thread, rows = at(ops, index * COLUMNS), cuda.threadIdx.x, clock[codes.NOW_ROWS]
        first_row, first_column = cuda.blockIdx.y * tile_rows, cuda.blockIdx.x * tile_columns
        slices = cuda.gridDim.z
        slice_rows = (rows + slices * depth - 1) // (slices * depth) * depth
        begin = min(rows, cuda.blockIdx.z * slice_rows)
        stride, inputs, bias = op[codes.PANELS], op[codes.INPUTS], op[codes.BIAS]
        sums = cuda.local.array(numbers, NUMBER)
        for i in range(numbers):
            sums[i] = 0.0
        product_tile(
            sums, at(work, op[codes.X]), op[codes.X_STRIDE], first_row, inputs, inputs if bias else -1,
            at(work, op[codes.DY]), op[codes.Y_STRIDE], first_column, op[codes.OUTPUTS],
            begin, min(rows, begin + slice_rows), thread,
        )  # fmt: skip
        target = at(gradients, cuda.blockIdx.z * run[codes.PARAMETERS] + op[codes.WEIGHTS])
        for i in range(0, numbers, group):
            k, j = first_row + row_of(thread, i), first_column + column_of(thread, i)
            if k < inputs + bias and j < stride:
                put(target, (bias + k if k < inputs else 0) * stride + j, sums, i)
        l2 = factors[index * FACTORS + codes.L2]
        if l2 == 0.0 or cuda.blockIdx.z > 0:
            return
        weights = at(params, op[codes.WEIGHTS])
        l2 = NUMBER(l2 * (pace[codes.NOW_ROW_FACTOR] if run[codes.L2_PER_ROW] else 1.0))
        for i in range(numbers):
            k, j = first_row + row_of(thread, i), first_column + column_of(thread, i)
            if k < inputs and j < stride:
                offset = (bias + k) * stride + j
                target[offset] += l2_grad(weights[offset], l2)

    weight_gradient_tiles.__name__ += "_" + method.name
    return weight_gradient_tiles
