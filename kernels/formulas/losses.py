"""Losses of one output and their derivatives: each formula once, in plain Python, written as `elementary.py` asks.

NaN stays NaN. ``ELEMENTS`` at the end is the table of all losses that treat the outputs of a row alike.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

from .activations import relu
from .elementary import absolute, exp, log, log1p_unit, power, select, sigmoid, tanh

PROBABILITY_MARGIN = 1e-7  # Keras' epsilon: probabilities are clipped to [margin, 1 - margin]
RATE_MARGIN = 1e-7  # the same: what is added to rates before their logarithm is taken
SMALLEST_SUM = 1e-28  # rows of outputs whose sum is smaller have no probabilities: their gradient would not be finite
LN2 = 0.6931471805599453
INFINITY = math.inf


def squared_error(y, target):
    """(y - target)**2."""
    return (y - target) * (y - target)


def squared_error_grad(y, target):
    """Differentiate squared_error with respect to y."""
    return 2.0 * (y - target)


def absolute_error(y, target):
    """abs(y - target)."""
    return absolute(y - target)


def absolute_error_grad(y, target):
    """Differentiate absolute_error with respect to y: the sign of the difference, 0 at 0."""
    difference = y - target
    return select(difference > 0.0, 1.0, select(difference < 0.0, -1.0, difference))


def huber(y, target, delta):
    """Half the squared error up to a difference of delta, linear beyond (Huber 1964)."""
    size = absolute(y - target)
    return select(size > delta, delta * (size - 0.5 * delta), 0.5 * size * size)


def huber_grad(y, target, delta):
    """Differentiate huber with respect to y: the difference clipped to [-delta, delta]."""
    difference = y - target
    difference = select(difference > delta, delta, difference)
    return select(difference < -delta, -delta, difference)


def log_cosh(y, target):
    """log(cosh(y - target)) without overflow."""
    size = absolute(y - target)
    return size + (log1p_unit(exp(-2.0 * size)) - LN2)


def log_cosh_grad(y, target):
    """Differentiate log_cosh with respect to y."""
    return tanh(y - target)


def pinball(y, target, level):
    """Loss whose least expectation is at the quantile ``level`` of the targets (Koenker and Bassett 1978)."""
    difference = target - y
    return select(difference > 0.0, level * difference, (level - 1.0) * difference)


def pinball_grad(y, target, level):
    """Differentiate pinball with respect to y; 0 at 0."""
    difference = y - target
    return select(difference > 0.0, 1.0 - level, select(difference < 0.0, -level, difference))


def logit_crossentropy(z, target):
    """Binary cross-entropy of the logit z: softplus(z) - target * z without overflow."""
    return relu(z) - z * target + log1p_unit(exp(-absolute(z)))


def logit_crossentropy_grad(z, target):
    """Differentiate logit_crossentropy with respect to z."""
    return sigmoid(z) - target


def clip_probability(p):
    """Clip p to [1e-7, 1 - 1e-7]."""
    p = select(p < PROBABILITY_MARGIN, PROBABILITY_MARGIN, p)
    return select(p > 1.0 - PROBABILITY_MARGIN, 1.0 - PROBABILITY_MARGIN, p)


def binary_crossentropy(p, target):
    """Binary cross-entropy of the probability p, clipped as in Keras."""
    q = clip_probability(p)
    return -(target * log(q) + (1.0 - target) * log(1.0 - q))


def binary_crossentropy_grad(p, target):
    """Differentiate binary_crossentropy with respect to p; 0 where p is clipped."""
    q = clip_probability(p)
    return select(absolute(p - q) > 0.0, 0.0, (q - target) / (q * (1.0 - q)))


def divisor(total):
    """What outputs are divided by to get probabilities; those of a row without a sum are 0."""
    return select(absolute(total) < SMALLEST_SUM, INFINITY, total)


def crossentropy(p, target):
    """One class's term of the categorical cross-entropy: -target * log(p), p clipped as in Keras."""
    return -target * log(clip_probability(p))


def crossentropy_grad(p, target):
    """Differentiate crossentropy with respect to p; 0 where p is clipped."""
    q = clip_probability(p)
    return select(absolute(p - q) > 0.0, 0.0, -target / q)


def balance(target, positive, negative):
    """Weight of an output by its target: ``positive`` for 1, ``negative`` for 0."""
    return target * positive + (1.0 - target) * negative


def wrong_probability(p, target):
    """Probability that p gives to the wrong side of a binary target; below 0 or above 1 where p is, as in Keras."""
    return target * (1.0 - p) + (1.0 - target) * p


def surprise_ratio(surprise, wrong):
    """surprise / wrong, the surprise being -log(1 - wrong); it tends to 1."""
    small = absolute(wrong) < PROBABILITY_MARGIN
    return select(small, 1.0, surprise / select(small, PROBABILITY_MARGIN, wrong))


def focal_slope(q, factor):
    """q * factor, 0 where q is 0 though the factor be infinite."""
    return select(q == 0.0, 0.0, q * factor)


def logit_focal(z, target, gamma, positive, negative):
    """Binary focal cross-entropy of the logit z (Lin et al. 2017, https://arxiv.org/abs/1708.02002)."""
    factor = balance(target, positive, negative) * power(wrong_probability(sigmoid(z), target), gamma)
    return factor * logit_crossentropy(z, target)


def logit_focal_grad(z, target, gamma, positive, negative):
    """Differentiate logit_focal with respect to z."""
    p = sigmoid(z)
    wrong = wrong_probability(p, target)
    tilt = gamma * (1.0 - 2.0 * target) * surprise_ratio(logit_crossentropy(z, target), wrong)
    slope = p - target + focal_slope(p * (1.0 - p), tilt)
    return balance(target, positive, negative) * power(wrong, gamma) * slope


def binary_focal(p, target, gamma, positive, negative):
    """Binary focal cross-entropy of the probability p, which is clipped in the cross-entropy alone, as in Keras."""
    factor = balance(target, positive, negative) * power(absolute(wrong_probability(p, target)), gamma)
    return factor * binary_crossentropy(p, target)


def binary_focal_grad(p, target, gamma, positive, negative):
    """Differentiate binary_focal with respect to p."""
    wrong = wrong_probability(p, target)
    tilt = gamma * (1.0 - 2.0 * target) * surprise_ratio(binary_crossentropy(p, target), wrong)
    slope = binary_crossentropy_grad(p, target) + tilt
    return balance(target, positive, negative) * power(absolute(wrong), gamma) * slope


def class_focal_factor(p, gamma):
    """(1 - p)**gamma, what a class's cross-entropy is multiplied by."""
    return power(1.0 - p, gamma)


def class_focal_slope(p, surprise, gamma):
    """-p / factor times the derivative of factor * surprise with respect to p; surprise = -log(p)."""
    return 1.0 + focal_slope(p, gamma * surprise_ratio(surprise, 1.0 - p))


def poisson(y, target):
    """Negative log-likelihood of a Poisson rate y, up to a constant, as in Keras: y - target * log(y + 1e-7).

    Below 0 the logarithm goes on along its tangent there: a rate that cannot be is a costly one, and is pushed up.
    """
    below = select(y < 0.0, y, 0.0)
    return y - target * log(relu(y) + RATE_MARGIN) - target / RATE_MARGIN * below


def poisson_grad(y, target):
    """Differentiate poisson, and the deviance, with respect to y."""
    return 1.0 - target / (relu(y) + RATE_MARGIN)


def log_rate_poisson(z, target):
    """Poisson's negative log-likelihood of the rate e**z."""
    return exp(z) - target * z


def log_rate_poisson_grad(z, target):
    """Differentiate log_rate_poisson, and the deviance, with respect to z."""
    return exp(z) - target


def poisson_constant(target):
    """target * log(target) - target, the part of the Poisson deviance that no rate changes; 0 at 0."""
    return target * log(select(target > 0.0, target, 1.0)) - target


def poisson_deviance(y, target):
    """Half the Poisson deviance of the rate y: target * log(target / y) - target + y, with the margin in both logs."""
    return poisson(y, target) - poisson(target, target)


def log_rate_deviance(z, target):
    """Half the Poisson deviance of the rate e**z."""
    return poisson_constant(target) + log_rate_poisson(z, target)


def on_outputs(value, gradient):
    """Weighted loss, output and scaled gradient of a loss of outputs."""

    def element(z, t, w, scale):
        return w * value(z, t), z, w * scale * gradient(z, t)

    return element


def on_shaped_outputs(value, gradient):
    """Twin of ``on_outputs`` for a loss with a parameter."""

    def element(z, t, w, scale, shape):
        return w * value(z, t, shape), z, w * scale * gradient(z, t, shape)

    return element


def on_links(value, link):
    """Twin of ``on_outputs`` where ``link`` gives outputs, and their difference from the target is the gradient."""

    def element(z, t, w, scale):
        y = link(z)
        return w * value(z, t), y, w * scale * (y - t)

    return element


def of_logit(z, t, w, scale, limit):
    """Weighted cross-entropy of a logit, at most ``limit`` before it is weighted, probability and scaled gradient."""
    loss, y = logit_crossentropy(z, t), sigmoid(z)
    return w * select(loss > limit, limit, loss), y, w * scale * (y - t)


def focal(p, t, w, scale, gamma, positive, negative):
    """Weighted loss, probability and scaled gradient of focal cross-entropies."""
    loss = binary_focal(p, t, gamma, positive, negative)
    return w * loss, p, w * scale * binary_focal_grad(p, t, gamma, positive, negative)


def focal_of_logit(z, t, w, scale, gamma, positive, negative):
    """``focal`` of logits."""
    loss = logit_focal(z, t, gamma, positive, negative)
    return w * loss, sigmoid(z), w * scale * logit_focal_grad(z, t, gamma, positive, negative)


class Element(NamedTuple):
    """What a loop over outputs, or over rows, makes of each output.

    Attributes
    ----------
    formula : callable
        Makes weighted loss, output and scaled gradient of output or logit, target, weight, scale and parameters.
    parameters : tuple of str
        Columns of the table of parameters that it takes, by the names that they have in ``codes.py``.
    """

    formula: Callable
    parameters: tuple[str, ...] = ()


_FOCAL = ("SHAPE", "POSITIVE", "NEGATIVE")
ELEMENTS = {
    "mean_squared_error": Element(on_outputs(squared_error, squared_error_grad)),
    "mean_absolute_error": Element(on_outputs(absolute_error, absolute_error_grad)),
    "binary_crossentropy": Element(on_outputs(binary_crossentropy, binary_crossentropy_grad)),
    "binary_crossentropy_from_logits": Element(of_logit, ("LIMIT",)),
    "poisson_deviance": Element(on_outputs(poisson_deviance, poisson_grad)),
    "poisson_deviance_from_logits": Element(on_links(log_rate_deviance, exp)),
    "poisson": Element(on_outputs(poisson, poisson_grad)),
    "poisson_from_logits": Element(on_links(log_rate_poisson, exp)),
    "huber": Element(on_shaped_outputs(huber, huber_grad), ("SHAPE",)),
    "log_cosh": Element(on_outputs(log_cosh, log_cosh_grad)),
    "quantile": Element(on_shaped_outputs(pinball, pinball_grad), ("PER_OUTPUT",)),
    "binary_focal_crossentropy": Element(focal, _FOCAL),
    "binary_focal_crossentropy_from_logits": Element(focal_of_logit, _FOCAL),
}
