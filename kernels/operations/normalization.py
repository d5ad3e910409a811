"""Batch and layer normalization of a batch, and of rows at prediction; inputs standardized by constants.

y = gamma * (x - mean) / sqrt(variance + epsilon) + beta, an activation after it. Mean and variance are those of a
column over the batch (Ioffe and Szegedy, 2015, https://arxiv.org/abs/1502.03167), in predictions moving averages of
them, or those of a row over its columns (Ba et al., 2016, https://arxiv.org/abs/1607.06450).

A member of a team owns columns for all that is summed over the batch, rows for all that is summed over columns; so no
sum depends on the team. Padding of gamma and beta is zero, which makes that of the gradients zero.
"""

from __future__ import annotations

from .. import codes
from ..codes import COLUMNS
from ..element_types import LANES
from ..formulas.elementary import sqrt
from ..formulas.normalization import (
    affine,
    batch_gradient,
    folded,
    gradient_terms,
    layer_gradient,
    product_of_three,
    product_of_two,
    reciprocal_deviation,
    reciprocal_of_root,
    same,
    squared_distance,
    standardized,
)
from ..formulas.optimizers import first_moment
from ..llvm.instructions import at
from ..llvm.vector_loops import column_sums, row_sum, vector_loop
from .activations import activation_forward, softmax
from .arithmetic import clear, copy_vectors, scale_vectors
from .elementwise import derivatives
from .optimizers import update
from .teamwork import barrier, share

add_rows = column_sums(same, 1, 1)
add_squared_distances = column_sums(squared_distance, 1, 2, 1)
add_gradients = column_sums(gradient_terms, 2, 2)
sum_row, sum_squared_distances = row_sum(same, 1, 0), row_sum(squared_distance, 1, 1)
sum_products, sum_triple_products = row_sum(product_of_two, 2, 0), row_sum(product_of_three, 3, 0)

deviation_vectors = vector_loop(reciprocal_deviation, 1, 2, 1)
constant_deviation_vectors = vector_loop(reciprocal_of_root, 1, 2, 0)
moving_average_vectors = vector_loop(first_moment, 1, 2, 1)
standardize_columns = vector_loop(standardized, 1, 4, 0, fixed=2)
standardize_row = vector_loop(standardized, 1, 2, 2)
affine_vectors = vector_loop(affine, 1, 4, 0, fixed=2)
fold_vectors = vector_loop(folded, 2, 6, 1)
batch_gradient_vectors = vector_loop(batch_gradient, 1, 6, 1, fixed=4)
layer_gradient_vectors = vector_loop(layer_gradient, 1, 3, 3)


def batch_statistics(op, params, work, rows, column, vectors, epsilon, moving_rate):
    """Means and deviations of the columns of a batch, which move the averages of earlier batches."""
    stride = op[codes.Y_STRIDE]
    x, mean = at(work, op[codes.X] + column), at(work, op[codes.SUMS] + column)
    variance = at(mean, stride)
    add_rows(rows, stride, vectors, mean, x)
    scale_vectors(1, 0, vectors, mean, 1.0 / float(rows))
    add_squared_distances(rows, stride, vectors, variance, x, mean)
    scale_vectors(1, 0, vectors, variance, 1.0 / float(rows))
    deviation_vectors(1, 0, vectors, at(work, op[codes.DEVIATIONS] + column), variance, epsilon)
    moving = at(params, op[codes.MOVING] + column)
    moving_average_vectors(1, 0, vectors, moving, mean, moving_rate)
    moving_average_vectors(1, 0, vectors, at(moving, op[codes.PANELS] * LANES), variance, moving_rate)


def normalize_row(x, normal, columns, vectors, epsilon):
    """Write the normalized row x, padded with zeros, and return the reciprocal of its standard deviation."""
    mean = sum_row(columns, x) / float(columns)
    deviation = 1.0 / sqrt(sum_squared_distances(columns, x, mean) / float(columns) + epsilon)
    standardize_row(1, 0, vectors, normal, x, mean, deviation)
    clear(at(normal, columns), vectors * LANES - columns)
    return deviation


def activate(op, work, first, rows, column, vectors, alpha):
    """The activation of a region, in place; a distinct Z keeps what was before it."""
    stride = op[codes.Y_STRIDE]
    offset = first * stride + column
    y = at(work, op[codes.Y] + offset)
    if op[codes.Z] != op[codes.Y]:
        copy_vectors(rows, stride, vectors, at(work, op[codes.Z] + offset), y)
    activation_forward(op[codes.FUNCTION], y, stride, rows, op[codes.OUTPUTS], vectors, alpha)


def normalize_forward_share(rank, size, sync, op, factor, params, work, rows):
    """A member's share of the forward pass in training."""
    alpha, epsilon = factor[codes.ALPHA], factor[codes.VARIANCE_OFFSET]
    stride, panels, columns = op[codes.Y_STRIDE], op[codes.PANELS], op[codes.OUTPUTS]
    gamma, beta = at(params, op[codes.GAMMA]), at(params, op[codes.BETA])
    x, normal, y = at(work, op[codes.X]), at(work, op[codes.NORMAL]), at(work, op[codes.Y])
    first_row, last_row = share(rank, size, rows)
    if op[codes.KIND] == codes.LAYER_NORM:
        deviations = at(work, op[codes.DEVIATIONS])
        for r in range(first_row, last_row):
            deviations[r] = normalize_row(at(x, r * stride), at(normal, r * stride), columns, panels, epsilon)
        region = first_row * stride
        affine_vectors(last_row - first_row, stride, panels, at(y, region), at(normal, region), gamma, beta)
        activate(op, work, first_row, last_row - first_row, 0, panels, alpha)
        return
    first, last = share(rank, size, panels)
    column, vectors = first * LANES, last - first
    if op[codes.KIND] == codes.STANDARDIZE:
        mean, deviation = at(params, op[codes.MOVING] + column), at(work, op[codes.DEVIATIONS] + column)
        constant_deviation_vectors(1, 0, vectors, deviation, at(mean, panels * LANES))
        standardize_columns(rows, stride, vectors, at(y, column), at(x, column), mean, deviation)
        return
    batch_statistics(op, params, work, rows, column, vectors, epsilon, factor[codes.MOVING_RATE])
    standardize_columns(
        rows, stride, vectors, at(normal, column), at(x, column), at(work, op[codes.SUMS] + column),
        at(work, op[codes.DEVIATIONS] + column),
    )  # fmt: skip
    affine_vectors(
        rows, stride, vectors, at(y, column), at(normal, column), at(gamma, column), at(beta, column)
    )
    if op[codes.FUNCTION] != codes.SOFTMAX:
        activate(op, work, 0, rows, column, vectors, alpha)
    else:
        barrier(sync, size)
        softmax(at(y, first_row * stride), stride, last_row - first_row, columns, panels)


def layer_input_gradient(op, params, work, first, last):
    """Gradient with respect to rows first .. last of the input of a layer normalization, in place."""
    stride, columns, vectors = op[codes.Y_STRIDE], op[codes.OUTPUTS], op[codes.PANELS]
    gamma, deviations = at(params, op[codes.GAMMA]), at(work, op[codes.DEVIATIONS])
    for r in range(first, last):
        dy, normal = at(work, op[codes.DY] + r * stride), at(work, op[codes.NORMAL] + r * stride)
        mean = sum_products(columns, dy, gamma) / float(columns)
        weighted_mean = sum_triple_products(columns, dy, gamma, normal) / float(columns)
        layer_gradient_vectors(1, 0, vectors, dy, normal, gamma, deviations[r], mean, weighted_mean)
        clear(at(dy, columns), vectors * LANES - columns)


def normalize_backward_share(
    rank, size, sync, ops, index, factors, params, slot_0, slot_1, work, rows, descent
):
    """A member's share of the gradient of the input, taken back through the operations that made it, and of the steps.

    The gradient of the input overwrites that of the output.
    """
    op = at(ops, index * COLUMNS)
    stride, panels, needs_dx = op[codes.Y_STRIDE], op[codes.PANELS], op[codes.NEEDS_DX]
    first, last = share(rank, size, panels)
    first_row, last_row = share(rank, size, rows)
    column, vectors = first * LANES, last - first
    gamma_sum = at(work, op[codes.SUMS] + column)
    beta_sum = at(gamma_sum, stride)
    dy, normal = at(work, op[codes.DY] + column), at(work, op[codes.NORMAL] + column)
    add_gradients(rows, stride, vectors, gamma_sum, beta_sum, dy, normal)
    by_rows = op[codes.KIND] == codes.LAYER_NORM or op[codes.BY_ROWS] != 0
    if op[codes.KIND] == codes.BATCH_NORM and needs_dx:
        batch_gradient_vectors(
            rows, stride, vectors, dy, normal, at(params, op[codes.GAMMA] + column),
            at(work, op[codes.DEVIATIONS] + column), gamma_sum, beta_sum, 1.0 / float(rows),
        )  # fmt: skip
        if not by_rows:
            derivatives(ops, index, factors, work, 0, rows, column, vectors)
    barrier(sync, size)
    if by_rows and needs_dx:
        if op[codes.KIND] == codes.LAYER_NORM:
            layer_input_gradient(op, params, work, first_row, last_row)
        derivatives(ops, index, factors, work, first_row, last_row - first_row, 0, panels)
        barrier(sync, size)
    for trained, offset, gradient in (
        (op[codes.SCALES], op[codes.GAMMA] + column, gamma_sum),
        (op[codes.CENTERS], op[codes.BETA] + column, beta_sum),
    ):
        if trained:
            update(descent, at(params, offset), at(slot_0, offset), at(slot_1, offset), gradient, vectors)


def normalize_block(op, factors, params, x, stride, rows, spare):
    """Normalize rows at prediction, in place; ``spare`` has room for two rows."""
    columns, vectors, epsilon = op[codes.OUTPUTS], op[codes.PANELS], factors[codes.VARIANCE_OFFSET]
    factor, summand = at(params, op[codes.GAMMA]), at(params, op[codes.BETA])
    moving = at(params, op[codes.MOVING])
    variance = at(moving, vectors * LANES)
    if op[codes.KIND] == codes.STANDARDIZE:
        constant_deviation_vectors(1, 0, vectors, spare, variance)
        standardize_columns(rows, stride, vectors, x, x, moving, spare)
        return
    if op[codes.KIND] == codes.BATCH_NORM:
        fold_vectors(1, 0, vectors, spare, at(spare, stride), factor, summand, moving, variance, epsilon)
        factor, summand = spare, at(spare, stride)
    else:
        for r in range(rows):
            normalize_row(at(x, r * stride), at(x, r * stride), columns, vectors, epsilon)
    affine_vectors(rows, stride, vectors, x, x, factor, summand)
    activation_forward(op[codes.FUNCTION], x, stride, rows, columns, vectors, factors[codes.ALPHA])
