"""Clipping of gradients by their norms on a GPU, between the products that make them and the optimizer.

The methods are those of ``cpu/clipping.py``. Arrays of weights are counted two to an operation, see
``elements.trained_array``. Padding is part of them; it is zero.
"""

from __future__ import annotations

from ... import codes
from ...codes import COLUMNS
from ...element_types import NUMBER
from ...llvm.instructions import sqrt
from ...operations.clipping import factor_within
from ..elements import trained_array
from ..jit import at, cuda, entry
from ..sums import DOUBLE, MOST_THREADS, block_sum


@entry("INi")
def add_slices(run, gradients, slices):
    """Add up ``slices`` vectors of gradients; the sum replaces the first."""
    count = run[codes.PARAMETERS]
    i = cuda.grid(1)
    while i < count:
        for s in range(1, slices):
            gradients[i] += gradients[s * count + i]
        i += cuda.gridsize(1)


@entry("IND")
def squares_of_arrays(ops, gradients, squares):
    """Sum of the squares of each array's gradient, a block to an array."""
    memory = cuda.shared.array(MOST_THREADS, DOUBLE)
    thread, threads = cuda.threadIdx.x, cuda.blockDim.x
    first, count = trained_array(at(ops, cuda.blockIdx.x // 2 * COLUMNS), cuda.blockIdx.x % 2)
    total = DOUBLE(0.0)
    i = thread
    while i < count:
        total += DOUBLE(gradients[first + i]) * gradients[first + i]
        i += threads
    total = block_sum(total, memory)
    if thread == 0:
        squares[cuda.blockIdx.x] = total


@entry("INDD")
def clip_arrays(ops, gradients, squares, pace):
    """Scale the gradients of all arrays to the limits of norms; an array to a row of blocks."""
    number, total = cuda.blockIdx.y, DOUBLE(0.0)
    for other in range(squares.size):
        total += squares[other]
    common = factor_within(pace[codes.NOW_GLOBAL_CLIPNORM], sqrt(total))
    factor = NUMBER(common * factor_within(pace[codes.NOW_CLIPNORM], sqrt(squares[number])))
    if factor == 1.0:
        return
    first, count = trained_array(at(ops, number // 2 * COLUMNS), number % 2)
    i = cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x
    while i < count:
        gradients[first + i] *= factor
        i += cuda.gridDim.x * cuda.blockDim.x
