"""Losses that treat the outputs of a row alike, a vector of outputs at a time."""

from __future__ import annotations

import math

import numpy as np
from numba import types
from numba.core import cgutils

from .. import codes
from ..element_types import NUMBER
from ..formulas.losses import ELEMENTS, pinball, pinball_grad
from ..llvm.instructions import I64
from ..llvm.vector_loops import Loop, Traced, described_intrinsic, traceable
from ..llvm.vectors import Vectors, for_range
from .choices import Call, chosen

NAN = math.nan
LOSS_ELEMENTS = {  # those of ``formulas/losses.py`` by their codes, with numbers for columns
    codes.LOSSES.index(name): each._replace(parameters=tuple(getattr(codes, column) for column in each.parameters))
    for name, each in ELEMENTS.items()
}


def row_loop(element):
    """An intrinsic that applies an ``Element`` to a row and returns the mean of the losses.

    Its arguments are ``columns``, the outputs z, targets t, gradients d, the scale of the gradients, the parameters of
    the loss, and whether z and d are written.
    """

    def build(context, builder, signature, arguments):
        dtype = signature.args[1].dtype
        vectors = Vectors(context, builder, dtype)
        function = traceable(element.formula, np.dtype(dtype.name))
        columns, z, t, d, scale, factors, written = arguments

        def parameter(column):
            return builder.load(builder.gep(factors, [I64(column)]))

        numbers = [scale, *map(parameter, (codes.KEPT, codes.SPREAD, *element.parameters))]
        scale, kept, spread, *shape = [Traced(vectors, vectors.broadcast(number)) for number in numbers]
        one = Traced(vectors, vectors.splat(1.0))
        total = cgutils.alloca_once_value(builder, vectors.zero)
        kept_lanes = vectors.broadcast(builder.icmp_signed("!=", written, I64(0)))
        count = builder.sdiv(builder.add(columns, I64(vectors.lanes - 1)), I64(vectors.lanes))
        with for_range(builder, count) as index:
            start = builder.mul(index, I64(vectors.lanes))
            there = vectors.first(builder.sub(columns, start))
            output, target = (
                Traced(vectors, vectors.masked_load(vectors.pointer(base, start), there, vectors.bytes))
                for base in (z, t)
            )
            loss, output, gradient = function(output, kept * target + spread, one, scale, *shape)
            stored = builder.and_(there, kept_lanes)
            vectors.masked_store(output.value, z, start, stored)
            vectors.masked_store(gradient.value, d, start, stored)
            loss = builder.select(there, loss.value, vectors.zero)
            builder.store(builder.fadd(builder.load(total), loss), total)
        total = builder.extract_element(vectors.sums([builder.load(total)]), I64(0))
        return builder.fdiv(total, builder.sitofp(columns, total.type))

    def row(typingctx, columns, z, t, d, scale, factors, written):
        pointer, number = types.CPointer(z.dtype), z.dtype
        return number(types.intp, *[pointer] * 3, number, pointer, types.intp), build

    return described_intrinsic(row, Loop("row_loop", element.formula, 2, 3, 1, 0, element.parameters))


def quantile_row(columns, z, t, d, scale, factors, written):
    """Twin of a ``row_loop`` for quantiles: several outputs, each with its level, share a target."""
    total, repeats = 0.0, int(factors[codes.REPEATS])
    for j in range(columns):
        total += pinball(z[j], t[j // repeats], factors[codes.PER_OUTPUT + j])
        if written:
            d[j] = scale * pinball_grad(z[j], t[j // repeats], factors[codes.PER_OUTPUT + j])
    return total / NUMBER(columns)


def unknown():
    """Loss of what is no loss: nobody must take it for one."""
    return NAN


ROWS = {code: row_loop(element) for code, element in LOSS_ELEMENTS.items()} | {codes.QUANTILE: quantile_row}
ARGUMENTS = "columns, z, t, d, scale / NUMBER(columns), factors, written"


@chosen(
    {code: Call(loop, ARGUMENTS, "return") for code, loop in ROWS.items()},
    Call(unknown, "", "return"),
)
def elementwise_row(code, z, t, d, columns, scale, factors, written):
    """Return the mean loss of a row.

    If ``written``, d = scale * its gradient, and in z logits become probabilities, log-rates rates.
    """
