"""The forward pass alone on a GPU, for predictions and evaluations: blocks of threads that share blocks of rows."""

from __future__ import annotations

from ... import codes
from ...codes import COLUMNS, FACTORS
from ...element_types import NUMBER
from ...formulas.normalization import folded, reciprocal_of_root, standardized
from ...llvm.instructions import at
from ...operations.activations import activation_forward
from ...operations.normalization import normalize_row
from ..elements import activate, operand
from ..jit import ELEMENT, apart, cuda, entry
from ..records import Threads
from ..rows import loss_of_row

# What the vector ``sizes`` tells: operations; rows of all and of a block at once, elements from one of them to the
# next; whether their two buffers fit in shared memory.
SIZES = ("OPERATIONS", "ROWS", "BLOCK_ROWS", "STRIDE", "SHARED")
OPERATIONS, ROWS, BLOCK_ROWS, STRIDE, SHARED = range(len(SIZES))


def load_rows(threads, x, width, scaling, rows, target, stride):
    """Scale rows of x (rows, width) into ``target``, whose rows are ``stride`` elements apart."""
    i = threads.rank
    while i < rows * width:
        r = i // width
        k = i - r * width
        target[r * stride + k] = NUMBER(x[i]) * scaling[0] + scaling[1]
        i += threads.size


def dense_rows(threads, op, params, source, target, stride, rows, alpha):
    """target = activation(source @ W + b); a softmax is left to the caller."""
    apart()
    columns, weights_stride, bias = op[codes.OUTPUTS], op[codes.PANELS], op[codes.BIAS]
    weights = at(params, op[codes.WEIGHTS])
    index = threads.rank
    while index < rows * columns:
        r = index // columns
        j = index - r * columns
        x, column = at(source, r * stride), at(weights, bias * weights_stride + j)
        z = weights[j] if bias else NUMBER(0.0)
        for k in range(op[codes.INPUTS]):
            z += operand(x[k]) * operand(column[k * weights_stride])
        target[r * stride + j] = activate(op[codes.FUNCTION], z, alpha)
        index += threads.size


def normalize_rows(threads, op, factor, params, x, stride, rows):
    """Normalize rows in place and apply the activation, unless it needs whole rows."""
    apart()
    columns, kind = op[codes.OUTPUTS], op[codes.KIND]
    if kind == codes.LAYER_NORM:
        r = threads.rank
        while r < rows:
            normalize_row(at(x, r * stride), at(x, r * stride), columns, columns, factor[codes.VARIANCE_OFFSET])
            r += threads.size
        cuda.syncthreads()
    index = threads.rank
    while index < rows * columns:
        r = index // columns
        j = index - r * columns
        value = x[r * stride + j]
        if kind == codes.LAYER_NORM:
            value = value * params[op[codes.GAMMA] + j] + params[op[codes.BETA] + j]
        else:
            mean, variance = params[op[codes.MOVING] + j], params[op[codes.MOVING] + op[codes.PANELS] + j]
            if kind == codes.STANDARDIZE:
                value = standardized(value, value, mean, reciprocal_of_root(value, variance))
            else:
                gamma, beta = params[op[codes.GAMMA] + j], params[op[codes.BETA] + j]
                scale, offset = folded(value, value, gamma, beta, mean, variance, factor[codes.VARIANCE_OFFSET])
                value = value * scale + offset
        x[r * stride + j] = activate(op[codes.FUNCTION], value, factor[codes.ALPHA])
        index += threads.size


def activate_rows(threads, op, x, stride, rows, alpha):
    """Activation of rows in place, a row to a thread."""
    apart()
    r = threads.rank
    while r < rows:
        activation_forward(
            op[codes.FUNCTION], at(x, r * stride), stride, 1, op[codes.OUTPUTS], op[codes.OUTPUTS], alpha
        )
        r += threads.size


@entry("IIINNNXNNNNDN", mixed=True)
def infer_blocks(
    sizes, run, ops, factors, loss_factors, scaling, x, y, sample_weights, params, buffers, stats, outputs
):
    """Predict or evaluate all rows, blocks of rows in turn to each block of threads.

    All arrays are flat. The parameters are those of ``inference.infer_rows``, but for

    sizes : int64, the columns ``SIZES``
    buffers : (blocks, 2 * BLOCK_ROWS * ROW), if they do not fit in shared memory
    """
    threads = Threads(cuda.threadIdx.x, cuda.blockDim.x)
    memory = cuda.shared.array(0, ELEMENT)
    rows_at_once, stride, n = sizes[BLOCK_ROWS], sizes[STRIDE], sizes[ROWS]
    size = rows_at_once * stride
    here = at(memory, 0) if sizes[SHARED] != 0 else at(buffers, 2 * size * cuda.blockIdx.x)
    there = at(here, size)
    columns = ops[(sizes[OPERATIONS] - 1) * COLUMNS + codes.OUTPUTS]
    code, metrics = run[codes.LOSS], run[codes.METRICS_COUNT]
    first = rows_at_once * cuda.blockIdx.x
    while first < n:
        rows, width = min(rows_at_once, n - first), ops[codes.INPUTS]
        load_rows(threads, at(x, first * width), width, scaling, rows, here, stride)
        cuda.syncthreads()
        for index in range(sizes[OPERATIONS]):
            op, factor = at(ops, index * COLUMNS), at(factors, index * FACTORS)
            if op[codes.KIND] == codes.DROPOUT:
                continue
            if op[codes.KIND] == codes.DENSE:
                dense_rows(threads, op, params, here, there, stride, rows, factor[codes.ALPHA])
                here, there = there, here
                cuda.syncthreads()
            elif op[codes.KIND] >= codes.STANDARDIZE:
                normalize_rows(threads, op, factor, params, here, stride, rows)
                cuda.syncthreads()
            if op[codes.KIND] == codes.ACTIVATION or op[codes.FUNCTION] == codes.SOFTMAX:
                activate_rows(threads, op, here, stride, rows, factor[codes.ALPHA])
                cuda.syncthreads()
        if code == codes.NO_LOSS:
            i = threads.rank
            while i < rows * columns:
                r = i // columns
                j = i - r * columns
                outputs[(first + r) * columns + j] = here[r * stride + j]
                i += threads.size
        else:
            r = threads.rank
            while r < rows:
                weight = sample_weights[first + r] if run[codes.WEIGHTED] else NUMBER(1.0)
                loss_of_row(
                    run, at(here, r * stride), at(y, (first + r) * run[codes.TARGETS]), at(there, r * stride), columns,
                    weight, NUMBER(1.0), 0.0, at(loss_factors, 0), at(stats, (first + r) * (1 + metrics)),
                )  # fmt: skip
                r += threads.size
        cuda.syncthreads()
        first += rows_at_once * cuda.gridDim.x

