"""Losses of networks with one output, LANES rows at a time."""

from __future__ import annotations

import math

import numpy as np
from numba import types
from numba.extending import intrinsic

from .. import codes
from ..element_types import LANES
from ..llvm.instructions import I64, at
from ..llvm.vector_loops import Traced, traceable, vector_loop
from ..llvm.vectors import Vectors, load_chosen, load_strided
from ..operations.choices import Call, chosen
from ..operations.loss_rows import LOSS_ELEMENTS

NAN = math.nan


def filled(out, value):
    """The value, for every element."""
    return value


fill = vector_loop(filled, 1, 1, 1)


def column_loop(element):
    """An intrinsic that applies an ``Element`` to a vector of outputs z, targets t and weights w, a row in each lane.

    z becomes the weighted losses, t the outputs, w the gradients. The other arguments are the scale of the gradients
    and the parameters of the loss.
    """

    def build(context, builder, signature, arguments):
        dtype = signature.args[0].dtype
        vectors = Vectors(context, builder, dtype)
        *bases, scale, factors = arguments
        numbers = [scale, *(builder.load(builder.gep(factors, [I64(column)])) for column in element.parameters)]
        values = [vectors.load(base, I64(0)) for base in bases] + [vectors.broadcast(number) for number in numbers]
        results = traceable(element.formula, np.dtype(dtype.name))(*(Traced(vectors, value) for value in values))
        for result, base in zip(results, bases, strict=True):
            vectors.store(result.value, base, I64(0))
        return context.get_dummy_value()

    def column(typingctx, z, t, w, scale, factors):
        pointer = types.CPointer(z.dtype)
        return types.void(*[pointer] * 3, z.dtype, pointer), build

    return intrinsic(column)


@chosen(
    {code: Call(column_loop(element), "z, t, w, scale, factors") for code, element in LOSS_ELEMENTS.items()},
    Call(fill, "1, 0, 1, z, NAN"),  # a loss of what is none, which nobody can take for one
)
def column_of_losses(code, z, t, w, scale, factors):
    """``column_loop`` of a loss."""


def column_losses(run, data, order, rows, z, d, stride, scale, factors, stats, scratch):
    """``loss_row`` for ``rows`` rows of a network with one output, LANES rows at a time.

    order : where their targets and sample weights are
    z, d : outputs and gradients, ``stride`` elements from one row to the next
    stats : (rows, 1 + metrics), of which the first becomes the weighted loss
    scratch : 3 * LANES elements
    """
    code, weighted, stats_stride = run[codes.LOSS], run[codes.WEIGHTED], 1 + run[codes.METRICS_COUNT]
    zs, ts, ws = scratch, at(scratch, LANES), at(scratch, 2 * LANES)
    kept, spread = factors[codes.KEPT], factors[codes.SPREAD]
    for first in range(0, rows, LANES):
        count = min(LANES, rows - first)
        load_strided(count, zs, at(z, first * stride), stride)
        load_chosen(count, ts, data.y, at(order, first), kept, spread)
        if weighted:
            load_chosen(count, ws, data.sample_weights, at(order, first), 1.0, 0.0)
        else:
            fill(1, 0, 1, ws, 1.0)
        column_of_losses(code, zs, ts, ws, scale, factors)
        for i in range(count):
            stats[(first + i) * stats_stride] = zs[i]
            z[(first + i) * stride], d[(first + i) * stride] = ts[i], ws[i]
