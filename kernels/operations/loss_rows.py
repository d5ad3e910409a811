"""Losses that treat the outputs of a row alike, a vector of outputs at a time."""

from __future__ import annotations

import numpy as np
from numba import types
from numba.core import cgutils

from .. import codes
from ..element_types import NUMBER
from ..formulas.loss_elements import (
    ABSOLUTE,
    DEVIANCE,
    HUBER,
    LOG_COSH,
    LOG_RATE,
    LOG_RATE_DEVIANCE,
    PROBABILITY,
    RATE,
    SQUARED,
    focal,
    focal_of_logit,
    of_logit,
)
from ..formulas.losses import pinball, pinball_grad
from ..llvm.instructions import I64
from ..llvm.vector_loops import Loop, Traced, described_intrinsic, traceable
from ..llvm.vectors import Vectors, for_range


def row_loop(formula, shapes=0):
    """An intrinsic that applies a formula of ``formulas/loss_elements.py`` to a row and returns the sum of the losses.

    Its arguments are ``columns``, the outputs z, targets t, gradients d, factor and summand of the targets, the scale
    of the gradients, three parameters, of which the formula takes the first ``shapes``, and whether z and d are
    written.
    """

    def build(context, builder, signature, arguments):
        element = signature.args[1].dtype
        vectors = Vectors(context, builder, element)
        function = traceable(formula, np.dtype(element.name))
        columns, z, t, d, *numbers, written = arguments
        kept, spread, scale, *shape = [Traced(vectors, vectors.broadcast(number)) for number in numbers]
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
            loss, output, gradient = function(output, kept * target + spread, one, scale, *shape[:shapes])
            stored = builder.and_(there, kept_lanes)
            vectors.masked_store(output.value, z, start, stored)
            vectors.masked_store(gradient.value, d, start, stored)
            loss = builder.select(there, loss.value, vectors.zero)
            builder.store(builder.fadd(builder.load(total), loss), total)
        return builder.extract_element(vectors.sums([builder.load(total)]), I64(0))

    def row(typingctx, columns, z, t, d, kept, spread, scale, shape, positive, negative, written):
        pointer, element = types.CPointer(z.dtype), z.dtype
        return element(types.intp, *[pointer] * 3, *[element] * 6, types.intp), build

    return described_intrinsic(row, Loop("row_loop", formula, 2, 3, 3 + shapes, 0))


squared_row, absolute_row, log_cosh_row = row_loop(SQUARED), row_loop(ABSOLUTE), row_loop(LOG_COSH)
probability_row, logit_row = row_loop(PROBABILITY), row_loop(of_logit, 1)
poisson_row, log_rate_row = row_loop(RATE), row_loop(LOG_RATE)
deviance_row, log_rate_deviance_row = row_loop(DEVIANCE), row_loop(LOG_RATE_DEVIANCE)
huber_row, focal_row, logit_focal_row = row_loop(HUBER, 1), row_loop(focal, 3), row_loop(focal_of_logit, 3)


def elementwise_row(code, z, t, d, columns, scale, factors, written):
    """Return the mean loss of a row.

    If ``written``, d = scale * its gradient, and in z logits become probabilities, log-rates rates.
    """
    scale = scale / NUMBER(columns)
    kept, spread = factors[codes.KEPT], factors[codes.SPREAD]
    shape, positive, negative = factors[codes.SHAPE], factors[codes.POSITIVE], factors[codes.NEGATIVE]
    total = 0.0
    if code == codes.MSE:
        total = squared_row(columns, z, t, d, kept, spread, scale, shape, positive, negative, written)
    elif code == codes.MAE:
        total = absolute_row(columns, z, t, d, kept, spread, scale, shape, positive, negative, written)
    elif code == codes.BINARY_CE:
        total = probability_row(columns, z, t, d, kept, spread, scale, shape, positive, negative, written)
    elif code == codes.BINARY_CE_LOGITS:
        limit = factors[codes.LIMIT]
        total = logit_row(columns, z, t, d, kept, spread, scale, limit, positive, negative, written)
    elif code == codes.DEVIANCE:
        total = deviance_row(columns, z, t, d, kept, spread, scale, shape, positive, negative, written)
    elif code == codes.DEVIANCE_LOG_RATE:
        total = log_rate_deviance_row(columns, z, t, d, kept, spread, scale, shape, positive, negative, written)
    elif code == codes.POISSON:
        total = poisson_row(columns, z, t, d, kept, spread, scale, shape, positive, negative, written)
    elif code == codes.POISSON_LOG_RATE:
        total = log_rate_row(columns, z, t, d, kept, spread, scale, shape, positive, negative, written)
    elif code == codes.HUBER:
        total = huber_row(columns, z, t, d, kept, spread, scale, shape, positive, negative, written)
    elif code == codes.LOG_COSH:
        total = log_cosh_row(columns, z, t, d, kept, spread, scale, shape, positive, negative, written)
    elif code == codes.BINARY_FOCAL:
        total = focal_row(columns, z, t, d, kept, spread, scale, shape, positive, negative, written)
    elif code == codes.BINARY_FOCAL_LOGITS:
        total = logit_focal_row(columns, z, t, d, kept, spread, scale, shape, positive, negative, written)
    elif code == codes.QUANTILE:  # several outputs, each with its level, share a target
        repeats = int(factors[codes.REPEATS])
        for j in range(columns):
            total += pinball(z[j], t[j // repeats], factors[codes.PER_OUTPUT + j])
            if written:
                d[j] = scale * pinball_grad(z[j], t[j // repeats], factors[codes.PER_OUTPUT + j])
    return total / NUMBER(columns)
