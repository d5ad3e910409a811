"""Normalizations of large networks on a GPU; formulas and meaning are those of ``operations/normalization.py``.

What is summed over the batch goes column by column: the first dimension of a block counts columns, the second shares
out rows. What is summed over columns goes row by row, a block to a row.
"""

from __future__ import annotations

from ... import codes
from ...codes import COLUMNS, FACTORS
from ...element_types import NUMBER
from ...formulas.normalization import (
    affine,
    batch_gradient,
    gradient_terms,
    layer_gradient,
    product_of_three,
    product_of_two,
    reciprocal_deviation,
    reciprocal_of_root,
    squared_distance,
    standardized,
)
from ...formulas.optimizers import first_moment
from ..elements import activate, through_elements
from ..jit import at, cuda, entry
from ..sums import MOST_THREADS, block_sum, column_sum


def activated(op, alpha, work, offset, z):
    """Write output z at ``offset`` after its activation; a distinct Z keeps it; softmax is left to another launch."""
    work[op[codes.Z] + offset] = z
    work[op[codes.Y] + offset] = z if op[codes.FUNCTION] == codes.SOFTMAX else activate(op[codes.FUNCTION], z, alpha)


@entry("IiNNNI")
def batch_statistics_columns(ops, index, factors, params, work, clock):
    """Means and deviations of the columns of the batch, which move the averages of earlier batches."""
    op, rows, stride = at(ops, index * COLUMNS), clock[codes.NOW_ROWS], ops[index * COLUMNS + codes.Y_STRIDE]
    memory = cuda.shared.array(MOST_THREADS, NUMBER)
    column, first = cuda.grid(2)[0], cuda.threadIdx.y
    inside = column < op[codes.OUTPUTS]
    x = at(work, op[codes.X] + column)
    part = NUMBER(0.0)
    r = first
    while r < rows and inside:
        part += x[r * stride]
        r += cuda.blockDim.y
    mean = column_sum(part, memory) / NUMBER(rows)
    part = NUMBER(0.0)
    r = first
    while r < rows and inside:
        part += squared_distance(x[r * stride], mean)
        r += cuda.blockDim.y
    variance = column_sum(part, memory) / NUMBER(rows)
    if inside and first == 0:
        epsilon = factors[index * FACTORS + codes.VARIANCE_OFFSET]
        moving_rate = factors[index * FACTORS + codes.MOVING_RATE]
        work[op[codes.SUMS] + column] = mean
        work[op[codes.DEVIATIONS] + column] = reciprocal_deviation(variance, variance, epsilon)
        moving = at(params, op[codes.MOVING] + column)
        moving[0] = first_moment(moving[0], mean, moving_rate)
        moving[op[codes.PANELS]] = first_moment(moving[op[codes.PANELS]], variance, moving_rate)


@entry("IiNNNI")
def normalize_columns(ops, index, factors, params, work, clock):
    """Standardize the batch by the columns' statistics, or by constants; scale and shift; activation."""
    op, columns = at(ops, index * COLUMNS), ops[index * COLUMNS + codes.OUTPUTS]
    alpha, stride = factors[index * FACTORS + codes.ALPHA], op[codes.Y_STRIDE]
    item, items = cuda.grid(1), clock[codes.NOW_ROWS] * columns
    while item < items:
        r = item // columns
        j = item - r * columns
        offset = r * stride + j
        x = work[op[codes.X] + offset]
        if op[codes.KIND] == codes.STANDARDIZE:
            moving = at(params, op[codes.MOVING] + j)
            work[op[codes.Y] + offset] = standardized(x, x, moving[0], reciprocal_of_root(x, moving[op[codes.PANELS]]))
        else:
            normal = standardized(x, x, work[op[codes.SUMS] + j], work[op[codes.DEVIATIONS] + j])
            work[op[codes.NORMAL] + offset] = normal
            z = affine(x, normal, params[op[codes.GAMMA] + j], params[op[codes.BETA] + j])
            activated(op, alpha, work, offset, z)
        item += cuda.gridsize(1)


@entry("IiNNNI")
def normalize_rows(ops, index, factors, params, work, clock):
    """Layer normalization of the batch and its activation, a block to a row."""
    op, thread, threads = at(ops, index * COLUMNS), cuda.threadIdx.x, cuda.blockDim.x
    if cuda.blockIdx.x >= clock[codes.NOW_ROWS]:
        return
    memory = cuda.shared.array(MOST_THREADS, NUMBER)
    columns, start = op[codes.OUTPUTS], cuda.blockIdx.x * op[codes.Y_STRIDE]
    x, normal = at(work, op[codes.X] + start), at(work, op[codes.NORMAL] + start)
    part = NUMBER(0.0)
    j = thread
    while j < columns:
        part += x[j]
        j += threads
    mean = block_sum(part, memory) / NUMBER(columns)
    part = NUMBER(0.0)
    j = thread
    while j < columns:
        part += squared_distance(x[j], mean)
        j += threads
    variance = block_sum(part, memory) / NUMBER(columns)
    deviation = reciprocal_deviation(variance, variance, factors[index * FACTORS + codes.VARIANCE_OFFSET])
    alpha = factors[index * FACTORS + codes.ALPHA]
    j = thread
    while j < columns:
        value = standardized(x[j], x[j], mean, deviation)
        normal[j] = value
        z = affine(value, value, params[op[codes.GAMMA] + j], params[op[codes.BETA] + j])
        activated(op, alpha, work, start + j, z)
        j += threads
    if thread == 0:
        work[op[codes.DEVIATIONS] + cuda.blockIdx.x] = deviation


@entry("IiNNI")
def normalization_gradient_columns(ops, index, work, gradients, clock):
    """Gradients of gamma and beta, which the backward pass needs whether or not they are trained."""
    op, rows, stride = at(ops, index * COLUMNS), clock[codes.NOW_ROWS], ops[index * COLUMNS + codes.Y_STRIDE]
    memory = cuda.shared.array(MOST_THREADS, NUMBER)
    column, first = cuda.grid(2)[0], cuda.threadIdx.y
    inside = column < op[codes.OUTPUTS]
    dy, normal = at(work, op[codes.DY] + column), at(work, op[codes.NORMAL] + column)
    gamma_part, beta_part = NUMBER(0.0), NUMBER(0.0)
    r = first
    while r < rows and inside:
        gamma_term, beta_term = gradient_terms(dy[r * stride], normal[r * stride])
        gamma_part += gamma_term
        beta_part += beta_term
        r += cuda.blockDim.y
    gamma_sum, beta_sum = column_sum(gamma_part, memory), column_sum(beta_part, memory)
    if inside and first == 0:
        sums = at(work, op[codes.SUMS] + column)
        sums[0], sums[stride] = gamma_sum, beta_sum
        if op[codes.SCALES]:
            gradients[op[codes.GAMMA] + column] = gamma_sum
        if op[codes.CENTERS]:
            gradients[op[codes.BETA] + column] = beta_sum


@entry("IiNNNI")
def normalization_input_columns(ops, index, factors, params, work, clock):
    """Gradient through a batch normalization, and further back unless that needs whole rows; it overwrites dy."""
    op, columns, rows = at(ops, index * COLUMNS), ops[index * COLUMNS + codes.OUTPUTS], clock[codes.NOW_ROWS]
    stride = op[codes.Y_STRIDE]
    sums, deviations = at(work, op[codes.SUMS]), at(work, op[codes.DEVIATIONS])
    item = cuda.grid(1)
    while item < rows * columns:
        r = item // columns
        j = item - r * columns
        dy = at(work, op[codes.DY] + r * stride + j)
        gradient = batch_gradient(
            dy[0], work[op[codes.NORMAL] + r * stride + j], params[op[codes.GAMMA] + j], deviations[j], sums[j],
            sums[stride + j], NUMBER(1.0) / NUMBER(rows),
        )  # fmt: skip
        dy[0] = gradient if op[codes.BY_ROWS] else through_elements(ops, index, factors, work, r, j, gradient)
        item += cuda.gridsize(1)


@entry("IiNNNI")
def normalization_input_rows(ops, index, factors, params, work, clock):
    """The same through a layer normalization, a block to a row."""
    op, thread, threads = at(ops, index * COLUMNS), cuda.threadIdx.x, cuda.blockDim.x
    r = cuda.blockIdx.x
    if r >= clock[codes.NOW_ROWS]:
        return
    memory = cuda.shared.array(MOST_THREADS, NUMBER)
    columns, start = op[codes.OUTPUTS], r * op[codes.Y_STRIDE]
    dy, normal, gamma = at(work, op[codes.DY] + start), at(work, op[codes.NORMAL] + start), at(params, op[codes.GAMMA])
    part, weighted_part = NUMBER(0.0), NUMBER(0.0)
    j = thread
    while j < columns:
        part += product_of_two(dy[j], gamma[j])
        weighted_part += product_of_three(dy[j], gamma[j], normal[j])
        j += threads
    mean = block_sum(part, memory) / NUMBER(columns)
    weighted_mean = block_sum(weighted_part, memory) / NUMBER(columns)
    deviation = work[op[codes.DEVIATIONS] + r]
    j = thread
    while j < columns:
        gradient = layer_gradient(dy[j], normal[j], gamma[j], deviation, mean, weighted_mean)
        dy[j] = gradient if op[codes.BY_ROWS] else through_elements(ops, index, factors, work, r, j, gradient)
        j += threads
