"""Clipping of gradients on a GPU, by the threads of a block: see ``cpu/clipping.py``."""

from __future__ import annotations

from ... import codes
from ...codes import COLUMNS
from ...element_types import NUMBER
from ...llvm.instructions import at
from ...operations.clipping import factor_within, limited, norm_of
from ..elements import descend, trained_array
from ..jit import apart, cuda


def sum_squares(threads, gradients, count, parts):
    """A thread's part of a sum of squares, in float64."""
    total = float(0)
    i = threads.rank
    while i < count:
        total += gradients[i] * gradients[i]
        i += threads.size
    parts[threads.rank] = total


def clip(threads, hyper, descent, network, memory, sums, parts):
    """Clip the gradients of all weights and do the optimizer's step.

    sums : float64 (2 * operations,), scratch for the sums of squares of each array
    parts : float64 (threads,), scratch
    """
    apart()
    ops, count, gradients = network.ops, network.count, memory.gradients
    limit, own_limit = NUMBER(hyper[codes.CLIPVALUE]), hyper[codes.CLIPNORM]
    for number in range(2 * count):
        first, length = trained_array(at(ops, number // 2 * COLUMNS), number % 2)
        sum_squares(threads, at(gradients, first), length, parts)
        cuda.syncthreads()
        if threads.rank == 0:
            total = 0.0
            for i in range(threads.size):
                total += parts[i]
            sums[number] = total
        cuda.syncthreads()
    common = factor_within(hyper[codes.GLOBAL_CLIPNORM], norm_of(sums, 0, count, 1))
    for number in range(2 * count):
        first, length = trained_array(at(ops, number // 2 * COLUMNS), number % 2)
        own = norm_of(at(sums, number % 2), number // 2, number // 2 + 1, 2)
        factor = NUMBER(common * factor_within(own_limit, own))
        i = threads.rank
        while i < length:
            g = gradients[first + i] * factor
            if limit > 0.0:
                g = limited(g, limit)
            descend(descent, network.params, memory.slot_0, memory.slot_1, first + i, g)
            i += threads.size
    cuda.syncthreads()
