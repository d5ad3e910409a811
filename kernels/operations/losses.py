"""Losses with their gradients, and metrics, of one row.

Letters: C outputs of a row. ``z`` holds the network's outputs, or logits for the codes that end in LOGITS; afterwards
it holds outputs (probabilities). ``t`` is the row's target: C values (fewer for quantiles), or the class number for the
sparse losses. ``factors`` is the loss's row of the table of parameters, ``codes.LOSS_COLUMNS``.
"""

from __future__ import annotations

from .. import codes
from ..formulas.elementary import exp, log
from ..formulas.losses import (
    class_focal_factor,
    class_focal_slope,
    clip_probability,
    crossentropy,
    divisor,
)
from ..llvm.instructions import at
from .activations import exponentials, largest_of
from .arithmetic import scale_vectors
from .loss_rows import elementwise_row


def unit_share(run, weights, order, rows):
    """Share in the batch's mean of a row with weight 1; 0 if all weights of the batch add up to 0."""
    if run[codes.WEIGHTED_MEAN] == 0:
        return 1.0 / float(rows)
    total = 0.0
    for r in range(rows):
        total += weights[order[r]]
    return 1.0 / total if total != 0.0 else 0.0


def smoothed(target, factors):
    """Target after label smoothing."""
    return factors[codes.KEPT] * target + factors[codes.SPREAD]


def target_of(code, t, j, factors):
    """Target of class j of a categorical loss, one-hot or sparse, after label smoothing."""
    if (
        code == codes.SPARSE_CE
        or code == codes.SPARSE_CE_LOGITS
        or code == codes.SPARSE_FOCAL
        or code == codes.SPARSE_FOCAL_LOGITS
    ):
        return smoothed(1.0 if t[0] == j else 0.0, factors)
    return smoothed(t[j], factors)


def softmax_crossentropy(code, z, t, d, columns, vectors, scale, factors):
    """Cross-entropy of logits z; z becomes softmax(z), d = scale * gradient."""
    largest = largest_of(z, columns)
    target_sum, target_shift = 0.0, 0.0
    for j in range(columns):
        target = target_of(code, t, j, factors)
        target_sum += target
        if target != 0.0:  # a logit of -infinity is no matter where its target is 0
            target_shift += target * (z[j] - largest)
    total = exponentials(z, columns, vectors, largest)
    scale_vectors(1, 0, vectors, z, 1.0 / total)
    for j in range(columns):
        d[j] = scale * (target_sum * z[j] - target_of(code, t, j, factors))
    value = target_sum * log(total) - target_shift
    return factors[codes.LIMIT] if value > factors[codes.LIMIT] else value


def softmax_focal(code, z, t, d, columns, vectors, scale, factors):
    """Focal cross-entropy of logits z; z becomes softmax(z), d = scale * gradient."""
    largest, gamma = largest_of(z, columns), factors[codes.SHAPE]
    for j in range(columns):
        d[j] = z[j] - largest
    total = exponentials(z, columns, vectors, largest)
    scale_vectors(1, 0, vectors, z, 1.0 / total)
    value, slopes, log_total = 0.0, 0.0, log(total)
    for j in range(columns):
        target = factors[codes.PER_OUTPUT + j] * target_of(code, t, j, factors)
        surprise = log_total - d[j]
        d[j] = 0.0
        if target != 0.0:
            factor = target * class_focal_factor(z[j], gamma)
            value += factor * surprise
            d[j] = -factor * class_focal_slope(z[j], surprise, gamma)
        slopes += d[j]
    for j in range(columns):
        d[j] = scale * (d[j] - z[j] * slopes)
    return value


def sum_of_row(z, columns):
    """Sum of outputs, by which they are divided for shares."""
    total = 0.0
    for j in range(columns):
        total += z[j]
    return divisor(total)


def probability_crossentropy(code, z, t, columns, factors):
    """Cross-entropy, or focal one, of outputs z scaled to sum 1, as in Keras."""
    total, value = sum_of_row(z, columns), 0.0
    for j in range(columns):
        share = crossentropy(z[j] / total, target_of(code, t, j, factors))
        if code == codes.CATEGORICAL_FOCAL or code == codes.SPARSE_FOCAL:
            p = clip_probability(z[j] / total)
            share *= factors[codes.PER_OUTPUT + j] * class_focal_factor(p, factors[codes.SHAPE])
        value += share
    return value


def probability_crossentropy_gradient(code, z, t, d, columns, scale, factors):
    """d = scale * gradient of ``probability_crossentropy``; 0 through a clipped probability."""
    total, weighted, gamma = sum_of_row(z, columns), 0.0, factors[codes.SHAPE]
    for j in range(columns):  # p times the derivative with respect to p
        p = z[j] / total
        d[j] = -target_of(code, t, j, factors) if clip_probability(p) == p else 0.0
        if code == codes.CATEGORICAL_FOCAL or code == codes.SPARSE_FOCAL:
            q = clip_probability(p)
            slope = class_focal_slope(q, -log(q), gamma)
            d[j] = d[j] * factors[codes.PER_OUTPUT + j] * class_focal_factor(q, gamma) * slope
        weighted += d[j]
    for j in range(columns):
        d[j] = scale * (d[j] / clip_probability(z[j] / total) - weighted) / total


def loss_row(code, z, t, d, columns, vectors, scale, factors):
    """Return the loss of a row; d (C) = scale * its gradient with respect to z, and z becomes the outputs.

    ``vectors`` vectors of z and the first C elements of d are written.
    """
    if code == codes.CATEGORICAL_CE_LOGITS or code == codes.SPARSE_CE_LOGITS:
        return softmax_crossentropy(code, z, t, d, columns, vectors, scale, factors)
    if code == codes.CATEGORICAL_FOCAL_LOGITS or code == codes.SPARSE_FOCAL_LOGITS:
        return softmax_focal(code, z, t, d, columns, vectors, scale, factors)
    if on_probabilities(code):
        value = probability_crossentropy(code, z, t, columns, factors)
        probability_crossentropy_gradient(code, z, t, d, columns, scale, factors)
        return value
    return elementwise_row(code, z, t, d, columns, scale, factors, 1)


def on_probabilities(code):
    """Whether a loss is a categorical one of probabilities."""
    return (
        code == codes.CATEGORICAL_CE
        or code == codes.SPARSE_CE
        or code == codes.CATEGORICAL_FOCAL
        or code == codes.SPARSE_FOCAL
    )


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


def logit_loss(code, z, t, columns, factors):
    """Cross-entropy, or focal one, of logits z, which stay."""
    largest, total, value = largest_of(z, columns), 0.0, 0.0
    for j in range(columns):
        total += exp(z[j] - largest)
    for j in range(columns):
        target = target_of(code, t, j, factors)
        if target != 0.0:
            share = target * (log(total) - (z[j] - largest))
            if code == codes.CATEGORICAL_FOCAL_LOGITS or code == codes.SPARSE_FOCAL_LOGITS:
                p = exp(z[j] - largest) / total
                share *= factors[codes.PER_OUTPUT + j] * class_focal_factor(p, factors[codes.SHAPE])
            value += share
    return value


def metric_row(code, y, t, columns, factors):
    """Metric of a row from its outputs y."""
    if code == codes.BINARY_ACCURACY:
        right, threshold = 0.0, factors[codes.SHAPE]
        for j in range(columns):
            right += 1.0 if (y[j] > threshold) == (t[j] == 1.0) and (t[j] == 0.0 or t[j] == 1.0) else 0.0
        return right / float(columns)
    if code == codes.EXACT_ACCURACY:
        right = 0.0
        for j in range(columns):
            right += 1.0 if y[j] == t[j] else 0.0
        return right / float(columns)
    if code == codes.CATEGORICAL_ACCURACY:
        return 1.0 if largest_place(y, columns) == largest_place(t, columns) else 0.0
    if code == codes.SPARSE_ACCURACY:
        return 1.0 if largest_place(y, columns) == t[0] else 0.0
    if on_probabilities(code):
        return probability_crossentropy(code, y, t, columns, factors)
    if (
        code == codes.CATEGORICAL_CE_LOGITS
        or code == codes.SPARSE_CE_LOGITS
        or code == codes.CATEGORICAL_FOCAL_LOGITS
        or code == codes.SPARSE_FOCAL_LOGITS
    ):
        return logit_loss(code, y, t, columns, factors)
    return elementwise_row(code, y, t, y, columns, 1.0, factors, 0)


def row_metrics(run, y, t, columns, weight, factors, stats):
    """All metrics of a row, times its weight, to ``stats``; ``factors`` are the parameters of the loss, then theirs."""
    for m in range(run[codes.METRICS_COUNT]):
        own = at(factors, (1 + m) * (codes.PER_OUTPUT + columns))
        stats[m] = weight * metric_row(run[codes.METRICS_START + m], y, t, columns, own)
