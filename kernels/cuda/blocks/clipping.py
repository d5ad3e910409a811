"""Clipping of gradients on a GPU, by the threads of a block: see ``cpu/clipping.py``."""

from __future__ import annotations

from ... import codes
from ...codes import COLUMNS
from ...element_types import NUMBER
from ...llvm.instructions import at
from ...operations.clipping import factor_within, limited, norm_of
from ..elements import descend, trained_array
from ..jit import apart, cuda


def sum_squares(thread, threads, gradients, count, shares):
    """A thread's share of a sum of squares, in float64."""
    total = float(0)
    i = thread
    while i < count:
        total += gradients[i] * gradients[i]
        i += threads
    shares[thread] = total


def clip(
    thread, threads, hyper, descent, ops, count, params, slot_0, slot_1, gradients, sums, shares
):
    """Clip the gradients of all weights and do the optimizer's step.

    sums : float64 (2 * operations,), scratch for the sums of squares of each array
    shares : float64 (threads,), scratch
    """
    apart()
    limit, own_limit = NUMBER(hyper[codes.CLIPVALUE]), hyper[codes.CLIPNORM]
    for number in range(2 * count):
        place, length = trained_array(at(ops, number // 2 * COLUMNS), number % 2)
        sum_squares(thread, threads, at(gradients, place), length, shares)
        cuda.syncthreads()
        if thread == 0:
            total = 0.0
            for i in range(threads):
                total += shares[i]
            sums[number] = total
        cuda.syncthreads()
    common = factor_within(hyper[codes.GLOBAL_CLIPNORM], norm_of(sums, 0, count, 1))
    for number in range(2 * count):
        place, length = trained_array(at(ops, number // 2 * COLUMNS), number % 2)
        own = norm_of(at(sums, number % 2), number // 2, number // 2 + 1, 2)
        factor = NUMBER(common * factor_within(own_limit, own))
        i = thread
        while i < length:
            g = gradients[place + i] * factor
            if limit > 0.0:
                g = limited(g, limit)
            descend(descent, params, slot_0, slot_1, place + i, g)
            i += threads
    cuda.syncthreads()
