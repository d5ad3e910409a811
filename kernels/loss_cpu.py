"""Losses with their gradients, and metrics, of one row.

Letters: C outputs of a row. ``z`` holds the network's outputs, or logits for the codes that end in LOGITS; afterwards
it holds outputs (probabilities). ``t`` is the row's target: C values, or the class number for the sparse losses.
"""

from __future__ import annotations

from . import codes
from .activation_cpu import exponentials, largest_of, scale_vectors
from .formulas import (
    absolute_error,
    absolute_error_grad,
    binary_crossentropy,
    binary_crossentropy_grad,
    clip_probability,
    crossentropy,
    log_rate_deviance,
    logit_crossentropy,
    poisson_deviance,
    poisson_deviance_grad,
    squared_error,
    squared_error_grad,
)
from .intrinsics import at
from .jit import LANES
from .scalar import exp, log, sigmoid
from .tracing import vector_loop


def elementwise_loss(code, z, t, columns):
    """Mean over the C outputs of a loss that treats them alike; the outputs stay as they are."""
    total = 0.0
    if code == codes.MSE:
        for j in range(columns):
            total += squared_error(z[j], t[j])
    elif code == codes.MAE:
        for j in range(columns):
            total += absolute_error(z[j], t[j])
    elif code == codes.BINARY_CE:
        for j in range(columns):
            total += binary_crossentropy(z[j], t[j])
    elif code == codes.BINARY_CE_LOGITS:
        for j in range(columns):
            total += logit_crossentropy(z[j], t[j])
    elif code == codes.POISSON:
        for j in range(columns):
            total += poisson_deviance(z[j], t[j])
    elif code == codes.POISSON_LOG_RATE:
        for j in range(columns):
            total += log_rate_deviance(z[j], t[j])
    return total / float(columns)


def elementwise_gradient(code, z, t, d, columns, scale):
    """d = scale * gradient of ``elementwise_loss``; logits become probabilities, log-rates rates."""
    scale = scale / float(columns)
    if code == codes.MSE:
        for j in range(columns):
            d[j] = scale * squared_error_grad(z[j], t[j])
    elif code == codes.MAE:
        for j in range(columns):
            d[j] = scale * absolute_error_grad(z[j], t[j])
    elif code == codes.BINARY_CE:
        for j in range(columns):
            d[j] = scale * binary_crossentropy_grad(z[j], t[j])
    elif code == codes.BINARY_CE_LOGITS:
        for j in range(columns):
            z[j] = sigmoid(z[j])
            d[j] = scale * (z[j] - t[j])
    elif code == codes.POISSON:
        for j in range(columns):
            d[j] = scale * poisson_deviance_grad(z[j], t[j])
    elif code == codes.POISSON_LOG_RATE:
        for j in range(columns):
            z[j] = exp(z[j])
            d[j] = scale * (z[j] - t[j])


def target_of(code, t, j):
    """Target of class j of a categorical loss or metric, one-hot or sparse."""
    if code == codes.SPARSE_CE or code == codes.SPARSE_CE_LOGITS:
        return 1.0 if t[0] == j else 0.0
    return t[j]


def softmax_crossentropy(code, z, t, d, columns, vectors, scale):
    """Cross-entropy of logits z; z becomes softmax(z), d = scale * gradient."""
    largest = largest_of(z, columns)
    target_sum, target_shift = 0.0, 0.0
    for j in range(columns):
        target = target_of(code, t, j)
        target_sum += target
        if target != 0.0:  # a logit of -infinity is no matter where its target is 0
            target_shift += target * (z[j] - largest)
    total = exponentials(z, columns, vectors, largest)
    scale_vectors(1, 0, vectors, z, 1.0 / total)
    for j in range(columns):
        d[j] = scale * (target_sum * z[j] - target_of(code, t, j))
    return target_sum * log(total) - target_shift


def probability_crossentropy(code, z, t, columns):
    """Cross-entropy of outputs z scaled to sum 1, as in Keras."""
    total, value = 0.0, 0.0
    for j in range(columns):
        total += z[j]
    for j in range(columns):
        value += crossentropy(z[j] / total, target_of(code, t, j))
    return value


def probability_crossentropy_gradient(code, z, t, d, columns, scale):
    """d = scale * gradient of ``probability_crossentropy``; 0 through a clipped probability."""
    total, weighted = 0.0, 0.0
    for j in range(columns):
        total += z[j]
    for j in range(columns):
        p = z[j] / total
        d[j] = -target_of(code, t, j) / p if clip_probability(p) == p else 0.0
        weighted += d[j] * p
    for j in range(columns):
        d[j] = scale * (d[j] - weighted) / total


def loss_row(code, z, t, d, columns, vectors, scale):
    """Return the loss of a row; d (C) = scale * its gradient with respect to z, and z becomes the outputs.

    ``vectors`` vectors of z and the first C elements of d are written.
    """
    if code == codes.CATEGORICAL_CE_LOGITS or code == codes.SPARSE_CE_LOGITS:
        return softmax_crossentropy(code, z, t, d, columns, vectors, scale)
    if code == codes.CATEGORICAL_CE or code == codes.SPARSE_CE:
        value = probability_crossentropy(code, z, t, columns)
        probability_crossentropy_gradient(code, z, t, d, columns, scale)
        return value
    value = elementwise_loss(code, z, t, columns)
    elementwise_gradient(code, z, t, d, columns, scale)
    return value


def limited_crossentropy(y, t, columns, limit):
    """Mean binary cross-entropy of C probabilities y for targets 0 or 1, none of which adds more than ``limit``."""
    total = 0.0
    for j in range(columns):
        share = -log(y[j] if t[j] == 1.0 else 1.0 - y[j])
        total += limit if share > limit else share
    return total / float(columns)


def largest_place(y, columns):
    """Index of the first largest of C values."""
    place = 0
    for j in range(1, columns):
        if y[j] > y[place]:
            place = j
    return place


def metric_row(code, y, t, columns):
    """Metric of a row from its outputs y."""
    if code == codes.BINARY_ACCURACY:
        right = 0.0
        for j in range(columns):
            right += 1.0 if (y[j] > 0.5) == (t[j] == 1.0) and (t[j] == 0.0 or t[j] == 1.0) else 0.0
        return right / float(columns)
    if code == codes.CATEGORICAL_ACCURACY:
        return 1.0 if largest_place(y, columns) == largest_place(t, columns) else 0.0
    if code == codes.SPARSE_ACCURACY:
        return 1.0 if largest_place(y, columns) == t[0] else 0.0
    if code == codes.CATEGORICAL_CE or code == codes.SPARSE_CE:
        return probability_crossentropy(code, y, t, columns)
    return elementwise_loss(code, y, t, columns)


def squared_column(z, t, w, scale):
    """Weighted loss, output and scaled gradient of squared errors, one row in each lane."""
    return w * squared_error(z, t), z, w * scale * squared_error_grad(z, t)


def absolute_column(z, t, w, scale):
    """Weighted loss, output and scaled gradient of absolute errors, one row in each lane."""
    return w * absolute_error(z, t), z, w * scale * absolute_error_grad(z, t)


def probability_column(z, t, w, scale):
    """Weighted loss, output and scaled gradient of binary cross-entropies, one row in each lane."""
    return w * binary_crossentropy(z, t), z, w * scale * binary_crossentropy_grad(z, t)


def logit_column(z, t, w, scale):
    """Weighted loss, probability and scaled gradient of binary cross-entropies of logits, one row in each lane."""
    p = sigmoid(z)
    return w * logit_crossentropy(z, t), p, w * scale * (p - t)


def rate_column(z, t, w, scale):
    """Weighted loss, output and scaled gradient of Poisson deviances, one row in each lane."""
    return w * poisson_deviance(z, t), z, w * scale * poisson_deviance_grad(z, t)


def log_rate_column(z, t, w, scale):
    """Weighted loss, rate and scaled gradient of Poisson deviances of log-rates, one row in each lane."""
    y = exp(z)
    return w * log_rate_deviance(z, t), y, w * scale * (y - t)


squared_columns, absolute_columns = vector_loop(squared_column, 3, 3, 1), vector_loop(absolute_column, 3, 3, 1)
probability_columns, logit_columns = vector_loop(probability_column, 3, 3, 1), vector_loop(logit_column, 3, 3, 1)
rate_columns, log_rate_columns = vector_loop(rate_column, 3, 3, 1), vector_loop(log_rate_column, 3, 3, 1)


def column_losses(code, z, row, d, targets, weights, weighted, order, rows, scale, stats, stats_row, scratch):
    """``loss_row`` for ``rows`` rows of a network with one output, LANES rows at a time.

    z, d : outputs and gradients, ``row`` elements from one row to the next
    targets, weights : of all rows, found through ``order``
    stats : the weighted loss goes to the first of every ``stats_row``
    scratch : 3 * LANES elements
    """
    zs, ts, ws = scratch, at(scratch, LANES), at(scratch, 2 * LANES)
    for first in range(0, rows, LANES):
        count = min(LANES, rows - first)
        for i in range(count):
            chosen = order[first + i]
            zs[i], ts[i], ws[i] = z[(first + i) * row], targets[chosen], weights[chosen] if weighted else 1.0
        if code == codes.MSE:
            squared_columns(1, 0, 1, zs, ts, ws, scale)
        elif code == codes.MAE:
            absolute_columns(1, 0, 1, zs, ts, ws, scale)
        elif code == codes.BINARY_CE:
            probability_columns(1, 0, 1, zs, ts, ws, scale)
        elif code == codes.POISSON:
            rate_columns(1, 0, 1, zs, ts, ws, scale)
        elif code == codes.POISSON_LOG_RATE:
            log_rate_columns(1, 0, 1, zs, ts, ws, scale)
        else:
            logit_columns(1, 0, 1, zs, ts, ws, scale)
        for i in range(count):
            stats[(first + i) * stats_row] = zs[i]
            z[(first + i) * row], d[(first + i) * row] = ts[i], ws[i]
