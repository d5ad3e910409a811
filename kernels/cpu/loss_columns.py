"""Losses of networks with one output, LANES rows at a time."""

from __future__ import annotations

from .. import codes
from ..element_types import LANES
from ..formulas.loss_elements import (
    ABSOLUTE,
    DEVIANCE,
    HUBER,
    LOG_COSH,
    LOG_RATE,
    LOG_RATE_DEVIANCE,
    PINBALL,
    PROBABILITY,
    RATE,
    SQUARED,
    focal,
    focal_of_logit,
    of_logit,
)
from ..llvm.instructions import at
from ..llvm.vector_loops import vector_loop
from ..llvm.vectors import load_chosen, load_strided


def filled(out, value):
    """The value, for every place."""
    return value


# one row in each lane; operands: weights become gradients, targets outputs, outputs losses
squared_columns, absolute_columns = vector_loop(SQUARED, 3, 3, 1), vector_loop(ABSOLUTE, 3, 3, 1)
log_cosh_columns, probability_columns = vector_loop(LOG_COSH, 3, 3, 1), vector_loop(PROBABILITY, 3, 3, 1)
poisson_columns, deviance_columns = vector_loop(RATE, 3, 3, 1), vector_loop(DEVIANCE, 3, 3, 1)
huber_columns, pinball_columns = vector_loop(HUBER, 3, 3, 2), vector_loop(PINBALL, 3, 3, 2)
logit_columns, log_rate_columns = vector_loop(of_logit, 3, 3, 2), vector_loop(LOG_RATE, 3, 3, 1)
log_rate_deviance_columns = vector_loop(LOG_RATE_DEVIANCE, 3, 3, 1)
focal_columns, logit_focal_columns = vector_loop(focal, 3, 3, 4), vector_loop(focal_of_logit, 3, 3, 4)
fill = vector_loop(filled, 1, 1, 1)


def column_losses(run, data, order, rows, z, d, row, scale, factors, stats, scratch):
    """``loss_row`` for ``rows`` rows of a network with one output, LANES rows at a time.

    order : where their targets and weights are
    z, d : outputs and gradients, ``row`` elements from one row to the next
    stats : (rows, 1 + metrics), of which the first becomes the weighted loss
    scratch : 3 * LANES elements
    """
    code, weighted, stats_row = run[codes.LOSS], run[codes.WEIGHTED], 1 + run[codes.METRICS_COUNT]
    zs, ts, ws = scratch, at(scratch, LANES), at(scratch, 2 * LANES)
    kept, spread = factors[codes.KEPT], factors[codes.SPREAD]
    for first in range(0, rows, LANES):
        count = min(LANES, rows - first)
        load_strided(count, zs, at(z, first * row), row)
        load_chosen(count, ts, data.y, at(order, first), kept, spread)
        if weighted:
            load_chosen(count, ws, data.weights, at(order, first), 1.0, 0.0)
        else:
            fill(1, 0, 1, ws, 1.0)
        if code == codes.MSE:
            squared_columns(1, 0, 1, zs, ts, ws, scale)
        elif code == codes.MAE:
            absolute_columns(1, 0, 1, zs, ts, ws, scale)
        elif code == codes.BINARY_CE:
            probability_columns(1, 0, 1, zs, ts, ws, scale)
        elif code == codes.BINARY_CE_LOGITS:
            logit_columns(1, 0, 1, zs, ts, ws, scale, factors[codes.LIMIT])
        elif code == codes.POISSON:
            poisson_columns(1, 0, 1, zs, ts, ws, scale)
        elif code == codes.POISSON_LOG_RATE:
            log_rate_columns(1, 0, 1, zs, ts, ws, scale)
        elif code == codes.DEVIANCE:
            deviance_columns(1, 0, 1, zs, ts, ws, scale)
        elif code == codes.DEVIANCE_LOG_RATE:
            log_rate_deviance_columns(1, 0, 1, zs, ts, ws, scale)
        elif code == codes.HUBER:
            huber_columns(1, 0, 1, zs, ts, ws, scale, factors[codes.SHAPE])
        elif code == codes.LOG_COSH:
            log_cosh_columns(1, 0, 1, zs, ts, ws, scale)
        elif code == codes.QUANTILE:
            pinball_columns(1, 0, 1, zs, ts, ws, scale, factors[codes.PER_OUTPUT])
        else:
            gamma, positive, negative = factors[codes.SHAPE], factors[codes.POSITIVE], factors[codes.NEGATIVE]
            if code == codes.BINARY_FOCAL:
                focal_columns(1, 0, 1, zs, ts, ws, scale, gamma, positive, negative)
            else:
                logit_focal_columns(1, 0, 1, zs, ts, ws, scale, gamma, positive, negative)
        for i in range(count):
            stats[(first + i) * stats_row] = zs[i]
            z[(first + i) * row], d[(first + i) * row] = ts[i], ws[i]
