"""Losses with their gradients, and metrics, of one row.

Letters: C outputs of a row. ``z`` holds the network's outputs, or logits for the codes that end in LOGITS; afterwards
it holds outputs (probabilities). ``t`` is the row's target: C values (fewer for quantiles), or the class number for the
sparse losses. ``factors`` is the loss's row of the table of parameters, ``codes.LOSS_COLUMNS``.
"""

from __future__ import annotations

from typing import NamedTuple

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
from .choices import Call, chosen
from .loss_rows import elementwise_row
from .metrics import METRICS, code_of


def factor_in_mean(run, sample_weights, order, rows):
    """What a row of weight 1 counts in the batch's mean: 1 / the sum of weights, 0 if that is 0, or 1 / rows."""
    if run[codes.WEIGHTED_MEAN] == 0:
        return 1.0 / float(rows)
    total = 0.0
    for r in range(rows):
        total += sample_weights[order[r]]
    return 1.0 / total if total != 0.0 else 0.0


def smoothed(target, factors):
    """Target after label smoothing."""
    return factors[codes.KEPT] * target + factors[codes.SPREAD]


def target_of(sparse, t, j, factors):
    """Target of class j of a categorical loss, one-hot or sparse, after label smoothing."""
    if sparse:
        return smoothed(1.0 if t[0] == j else 0.0, factors)
    return smoothed(t[j], factors)


def softmax_crossentropy(sparse, z, t, d, columns, vectors, scale, factors):
    """Cross-entropy of logits z; z becomes softmax(z), d = scale * gradient."""
    largest = largest_of(z, columns)
    target_sum, target_shift = 0.0, 0.0
    for j in range(columns):
        target = target_of(sparse, t, j, factors)
        target_sum += target
        if target != 0.0:  # a logit of -infinity is no matter where its target is 0
            target_shift += target * (z[j] - largest)
    total = exponentials(z, columns, vectors, largest)
    scale_vectors(1, 0, vectors, z, 1.0 / total)
    for j in range(columns):
        d[j] = scale * (target_sum * z[j] - target_of(sparse, t, j, factors))
    value = target_sum * log(total) - target_shift
    return factors[codes.LIMIT] if value > factors[codes.LIMIT] else value


def softmax_focal(sparse, z, t, d, columns, vectors, scale, factors):
    """Focal cross-entropy of logits z; z becomes softmax(z), d = scale * gradient."""
    largest, gamma = largest_of(z, columns), factors[codes.SHAPE]
    for j in range(columns):
        d[j] = z[j] - largest
    total = exponentials(z, columns, vectors, largest)
    scale_vectors(1, 0, vectors, z, 1.0 / total)
    value, slopes, log_total = 0.0, 0.0, log(total)
    for j in range(columns):
        target = factors[codes.PER_OUTPUT + j] * target_of(sparse, t, j, factors)
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
    """Sum of outputs, by which they are divided to get probabilities."""
    total = 0.0
    for j in range(columns):
        total += z[j]
    return divisor(total)


def probability_crossentropy(sparse, focal, z, t, columns, factors):
    """Cross-entropy, or focal one, of outputs z scaled to sum 1, as in Keras."""
    total, value = sum_of_row(z, columns), 0.0
    for j in range(columns):
        term = crossentropy(z[j] / total, target_of(sparse, t, j, factors))
        if focal:
            p = clip_probability(z[j] / total)
            term *= factors[codes.PER_OUTPUT + j] * class_focal_factor(p, factors[codes.SHAPE])
        value += term
    return value


def probability_crossentropy_gradient(sparse, focal, z, t, d, columns, scale, factors):
    """d = scale * gradient of ``probability_crossentropy``; 0 through a clipped probability."""
    total, weighted, gamma = sum_of_row(z, columns), 0.0, factors[codes.SHAPE]
    for j in range(columns):  # p times the derivative with respect to p
        p = z[j] / total
        d[j] = -target_of(sparse, t, j, factors) if clip_probability(p) == p else 0.0
        if focal:
            q = clip_probability(p)
            slope = class_focal_slope(q, -log(q), gamma)
            d[j] = d[j] * factors[codes.PER_OUTPUT + j] * class_focal_factor(q, gamma) * slope
        weighted += d[j]
    for j in range(columns):
        d[j] = scale * (d[j] / clip_probability(z[j] / total) - weighted) / total


def softmax_loss(sparse, focal, z, t, d, columns, vectors, scale, factors):
    """Return ``logit_loss``; d = scale * its gradient, and z becomes softmax(z)."""
    if focal:
        return softmax_focal(sparse, z, t, d, columns, vectors, scale, factors)
    return softmax_crossentropy(sparse, z, t, d, columns, vectors, scale, factors)


def probability_loss(sparse, focal, z, t, d, columns, scale, factors):
    """Return ``probability_crossentropy``; d = scale * its gradient."""
    value = probability_crossentropy(sparse, focal, z, t, columns, factors)
    probability_crossentropy_gradient(sparse, focal, z, t, d, columns, scale, factors)
    return value


def logit_loss(sparse, focal, z, t, columns, factors):
    """Cross-entropy, or focal one, of logits z, which stay."""
    largest, total, value = largest_of(z, columns), 0.0, 0.0
    for j in range(columns):
        total += exp(z[j] - largest)
    for j in range(columns):
        target = target_of(sparse, t, j, factors)
        if target != 0.0:
            term = target * (log(total) - (z[j] - largest))
            if focal:
                p = exp(z[j] - largest) / total
                term *= factors[codes.PER_OUTPUT + j] * class_focal_factor(p, factors[codes.SHAPE])
            value += term
    return value


class Kind(NamedTuple):
    """What tells a loss of classes from others that one kernel computes."""

    sparse: bool = False  # whether targets are class numbers
    focal: bool = False


OF_OUTPUTS = {
    codes.CATEGORICAL_CE: Kind(),
    codes.SPARSE_CE: Kind(sparse=True),
    codes.CATEGORICAL_FOCAL: Kind(focal=True),
    codes.SPARSE_FOCAL: Kind(sparse=True, focal=True),
}
OF_LOGITS = {
    codes.CATEGORICAL_CE_LOGITS: Kind(),
    codes.SPARSE_CE_LOGITS: Kind(sparse=True),
    codes.CATEGORICAL_FOCAL_LOGITS: Kind(focal=True),
    codes.SPARSE_FOCAL_LOGITS: Kind(sparse=True, focal=True),
}


def calls(kinds, kernel, arguments, result):
    """What a kernel chosen by a code calls for each of these losses: one kernel, which is told the kind by the code."""
    told = (" or ".join(f"code == {code}" for code, kind in kinds.items() if kind[i]) for i in range(2))
    return dict.fromkeys(kinds, Call(kernel, f"{', '.join(told)}, {arguments}", result))


@chosen(
    calls(OF_LOGITS, softmax_loss, "z, t, d, columns, vectors, scale, factors", "return")
    | calls(OF_OUTPUTS, probability_loss, "z, t, d, columns, scale, factors", "return"),
    Call(elementwise_row, "code, z, t, d, columns, scale, factors, 1", "return"),
)
def loss_row(code, z, t, d, columns, vectors, scale, factors):
    """Return the loss of a row; d (C) = scale * its gradient with respect to z, and z becomes the outputs.

    ``vectors`` vectors of z and the first C elements of d are written.
    """


def limited_crossentropy(y, t, columns, limit):
    """Mean binary cross-entropy of C probabilities y for targets 0 or 1, none of which adds more than ``limit``."""
    total = 0.0
    for j in range(columns):
        term = -log(y[j] if t[j] == 1.0 else 1.0 - y[j])
        total += limit if term > limit else term
    return total / float(columns)


@chosen(
    {code_of(name): Call(kernel, "y, t, columns, factors, width, stats") for name, kernel in METRICS.items()}
    | calls(OF_OUTPUTS, probability_crossentropy, "y, t, columns, factors", "stats[0] =")
    | calls(OF_LOGITS, logit_loss, "y, t, columns, factors", "stats[0] ="),
    Call(elementwise_row, "code, y, t, y, columns, 1.0, factors, 0", "stats[0] ="),
)
def metric_row(code, y, t, columns, factors, width, stats):
    """Write the columns of a metric of a row, ``width`` of them, to ``stats``, from its outputs y."""


def row_metrics(run, y, t, columns, weight, factors, stats):
    """All metrics of a row, times its weight, to ``stats``; ``factors`` are the parameters of the loss, then theirs."""
    offset = 0
    for k in range(run[codes.METRIC_KERNELS]):
        kernel = at(run, codes.METRICS_START + k * codes.METRIC_NUMBERS)
        own, width = at(factors, (1 + k) * (codes.PER_OUTPUT + columns)), kernel[codes.METRIC_WIDTH]
        metric_row(kernel[codes.METRIC_CODE], y, t, columns, own, width, at(stats, offset))
        for m in range(width if run[codes.WEIGHTED_MEAN] else 0):  # other weights are 1
            stats[offset + m] *= weight
        offset += width
