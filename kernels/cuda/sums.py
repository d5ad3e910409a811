"""Sums over the threads of a block on a GPU, whose order depends on shapes alone."""

from __future__ import annotations

import numpy as np

from .jit import cuda

DOUBLE = np.float64
MOST_THREADS = 256  # of a block that adds up


def block_sum(value, memory):
    """Sum of the values of all threads of a block, in pairs; ``memory`` is shared, one element a thread."""
    thread, left = cuda.threadIdx.x, cuda.blockDim.x
    memory[thread] = value
    cuda.syncthreads()
    while left > 1:
        half = (left + 1) // 2
        if thread < left - half:
            memory[thread] += memory[thread + half]
        cuda.syncthreads()
        left = half
    total = memory[0]
    cuda.syncthreads()
    return total


def column_sum(value, memory):
    """Sum of a block's values in the thread's column, rows in order; ``memory`` is shared, one element a thread."""
    width, lane, column = cuda.blockDim.x, cuda.threadIdx.y, cuda.threadIdx.x
    memory[lane * width + column] = value
    cuda.syncthreads()
    total = memory[column]
    for other in range(1, cuda.blockDim.y):
        total += memory[other * width + column]
    cuda.syncthreads()
    return total
