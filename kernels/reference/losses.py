"""The oracle's losses and metrics of each row in float64 NumPy, in a table of each; see ``reference/``.

Targets t have the shape of the outputs y, or logits y, (rows, outputs), and are smoothed. Parameters have the names
that the losses and metrics of ``fastnn`` give them, Keras' mostly.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from .activations import activation, softmax

MARGIN = 1e-7  # probabilities are clipped to [margin, 1 - margin]; it is added to rates before their logarithm
FROM_LOGITS = "_from_logits"  # behind the name of a loss of logits
SMALLEST_SUM = 1e-28  # rows of smaller ones have no probabilities


def _dense_target(name, target, output, label_smoothing=0.0):
    """Targets in the shape of the outputs, smoothed."""
    target = np.asarray(target, np.float64)
    if name.startswith("sparse_"):
        target = np.eye(output.shape[1])[target[:, 0].astype(np.intp)]
    elif target.shape[1] < output.shape[1]:  # several outputs for each target: quantiles
        target = np.repeat(target, output.shape[1] // target.shape[1], axis=1)
    classes = output.shape[1] if "categorical" in name else 2
    return (1.0 - label_smoothing) * target + label_smoothing / classes


def _unclipped(p):
    return (p >= MARGIN) & (p <= 1.0 - MARGIN)


def _clip(p):
    return np.clip(p, MARGIN, 1.0 - MARGIN)


def _binary_crossentropy(t, p):
    return -(t * np.log(p) + (1.0 - t) * np.log(1.0 - p))


def _total(y):
    """What outputs are divided by to get probabilities; those of a row without a sum are 0."""
    total = y.sum(axis=1, keepdims=True)
    return np.where(np.abs(total) < SMALLEST_SUM, np.inf, total)


def _log_of_rate(y):
    """log(y + margin), below 0 along its tangent there."""
    return np.log(np.maximum(y, 0.0) + MARGIN) + np.minimum(y, 0.0) / MARGIN


def _wrong_probability(t, p):
    """Probability of the wrong answer; below 0 or above 1 where p is."""
    return t * (1.0 - p) + (1.0 - t) * p


def _to_power(wrong, gamma):
    return np.maximum(np.abs(wrong), np.finfo(np.float32).tiny) ** gamma


def _surprise_ratio(surprise, wrong):
    """surprise / wrong, which tends to 1."""
    return np.divide(surprise, wrong, out=np.ones_like(wrong), where=np.abs(wrong) >= MARGIN)


def _pinball_levels(y, levels):
    return np.tile(np.atleast_1d(levels), y.shape[1] // np.size(levels))


def _balance(t, alpha, apply_class_balancing):
    return t * alpha + (1.0 - t) * (1.0 - alpha) if apply_class_balancing else np.ones_like(t)


def _surprise(logits):
    """-log(softmax)."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    return np.log(np.exp(shifted).sum(axis=1, keepdims=True)) - shifted


def _through_sum(y, dp):
    """Gradient with respect to y from that with respect to p = y / sum(y)."""
    total = _total(y)
    return (dp - (dp * y / total).sum(axis=1, keepdims=True)) / total


# --- losses of outputs that are alike: values, whose mean is that of the row, and what makes their gradients --------


def _squared(t, y):
    return (y - t) ** 2, lambda: 2.0 * (y - t)


def _absolute(t, y):
    return np.abs(y - t), lambda: np.sign(y - t)


def _huber(t, y, delta=1.0):
    size = np.abs(y - t)
    value = np.where(size <= delta, size**2 / 2.0, delta * size - delta**2 / 2.0)
    return value, lambda: np.clip(y - t, -delta, delta)


def _log_cosh(t, y):
    return np.logaddexp(y - t, t - y) - np.log(2.0), lambda: np.tanh(y - t)


def _quantile(t, y, levels=0.5):
    levels = _pinball_levels(y, levels)
    value = np.maximum(levels * (t - y), (levels - 1.0) * (t - y))
    return value, lambda: np.where(y > t, 1.0 - levels, np.where(y < t, -levels, y - t))


def _binary(t, y):
    p = _clip(y)
    return _binary_crossentropy(t, p), lambda: np.where(_unclipped(y), (p - t) / (p * (1.0 - p)), 0.0)


def _binary_of_logits(t, y):
    return np.logaddexp(0.0, y) - t * y, lambda: activation("sigmoid", y) - t


def _binary_focal(t, y, apply_class_balancing=False, alpha=0.25, gamma=2.0):
    entropy, slope = _binary(t, y)
    wrong = _wrong_probability(t, y)
    factor = _balance(t, alpha, apply_class_balancing) * _to_power(wrong, gamma)
    return factor * entropy, lambda: factor * (slope() + _focal_tilt(t, entropy, wrong, gamma))


def _binary_focal_of_logits(t, y, apply_class_balancing=False, alpha=0.25, gamma=2.0):
    p, (entropy, slope) = activation("sigmoid", y), _binary_of_logits(t, y)
    wrong = _wrong_probability(t, p)
    factor = _balance(t, alpha, apply_class_balancing) * _to_power(wrong, gamma)
    return factor * entropy, lambda: factor * (slope() + p * (1.0 - p) * _focal_tilt(t, entropy, wrong, gamma))


def _focal_tilt(t, entropy, wrong, gamma):
    return gamma * (1.0 - 2.0 * t) * _surprise_ratio(entropy, wrong)


def _poisson(t, y):
    return y - t * _log_of_rate(y), lambda: 1.0 - t / (np.maximum(y, 0.0) + MARGIN)


def _poisson_of_logits(t, y):
    return np.exp(y) - t * y, lambda: np.exp(y) - t


def _deviance(t, y):
    """Half of it."""
    value, gradient = _poisson(t, y)
    return value + (t * _log_of_rate(t) - t), gradient


def _deviance_of_logits(t, y):
    value, gradient = _poisson_of_logits(t, y)
    return value + (t * np.log(np.where(t > 0, t, 1.0)) - t), gradient


# --- losses of classes: values of rows, and what makes their gradients ----------------------------------------------


def _categorical(t, y):
    """Of rows scaled to sum 1, as in Keras."""
    p = y / _total(y)
    value = -(t * np.log(_clip(p))).sum(axis=1)
    return value, lambda: _through_sum(y, np.where(_unclipped(p), -t / _clip(p), 0.0))


def _categorical_of_logits(t, y):
    return (t * _surprise(y)).sum(axis=1), lambda: t.sum(axis=1, keepdims=True) * softmax(y) - t


def _categorical_focal(t, y, alpha=0.25, gamma=2.0):
    p = y / _total(y)
    value, slope = _class_focal(t, _clip(p), -np.log(_clip(p)), alpha, gamma)
    return value, lambda: _through_sum(y, np.where(_unclipped(p), slope() / _clip(p), 0.0))


def _categorical_focal_of_logits(t, y, alpha=0.25, gamma=2.0):
    p = softmax(y)
    value, slope = _class_focal(t, p, _surprise(y), alpha, gamma)
    return value, lambda: slope() - p * slope().sum(axis=1, keepdims=True)


def _class_focal(t, p, surprise, alpha, gamma):
    """Values of rows, and what makes p times their derivatives with respect to p."""
    factor = np.asarray(alpha) * t * (1.0 - p) ** gamma
    value = (factor * surprise).sum(axis=1)
    return value, lambda: -factor * (1.0 + gamma * p * _surprise_ratio(surprise, 1.0 - p))


class Loss(NamedTuple):
    """A loss of the oracle.

    Attributes
    ----------
    compute : callable
        Returns values, (rows, outputs) to be averaged or (rows,), and what makes their gradients, of targets, outputs
        and parameters.
    of_logits : callable or None
        The same of logits, for the name with ``_from_logits``.
    activation : str
        The last activation that it is differentiated with, as a loss of logits.
    """

    compute: Callable
    of_logits: Callable | None = None
    activation: str = ""


LOSSES = {  # by the name without ``sparse_``
    "mean_squared_error": Loss(_squared),
    "mean_absolute_error": Loss(_absolute),
    "huber": Loss(_huber),
    "log_cosh": Loss(_log_cosh),
    "quantile": Loss(_quantile),
    "binary_crossentropy": Loss(_binary, _binary_of_logits, "sigmoid"),
    "binary_focal_crossentropy": Loss(_binary_focal, _binary_focal_of_logits, "sigmoid"),
    "categorical_crossentropy": Loss(_categorical, _categorical_of_logits, "softmax"),
    "categorical_focal_crossentropy": Loss(_categorical_focal, _categorical_focal_of_logits, "softmax"),
    "poisson": Loss(_poisson, _poisson_of_logits, "exponential"),
    "poisson_deviance": Loss(_deviance, _deviance_of_logits, "exponential"),
}


def _computed(name, target, output, label_smoothing, parameters):
    """Values of a loss, and what makes their gradients."""
    y, plain = np.asarray(output, np.float64), name.removesuffix(FROM_LOGITS)
    found = LOSSES.get(plain.removeprefix("sparse_"), Loss(None))
    compute = found.compute if name == plain else found.of_logits
    if compute is None:
        raise ValueError(f"unknown loss {name!r}")
    return compute(_dense_target(name, target, y, label_smoothing), y, **parameters)


def loss(name, target, output, *, label_smoothing=0.0, **parameters):
    """Loss of each row, (rows,); `output` holds logits where the name says so."""
    value, _ = _computed(name, target, output, label_smoothing, parameters)
    return value if value.ndim == 1 else value.mean(axis=1)


def loss_gradient(name, target, output, *, label_smoothing=0.0, **parameters):
    """Gradient of each row's loss with respect to its outputs (or logits), (rows, outputs)."""
    value, gradient = _computed(name, target, output, label_smoothing, parameters)
    return gradient() if value.ndim == 1 else gradient() / value.shape[1]


# --- metrics that are no losses: a column, or several, of each row --------------------------------------------------


def _right_sides(t, y, threshold=0.5):
    return ((y > threshold) == t).mean(axis=1)


def _equal(t, y):
    return (y == t).mean(axis=1)


def _right_class(t, y):
    return (y.argmax(axis=1) == t.argmax(axis=1)).astype(np.float64)


METRICS = {
    "binary_accuracy": _right_sides,
    "exact_accuracy": _equal,
    "categorical_accuracy": _right_class,
    "sparse_categorical_accuracy": _right_class,
}


def metric(name, target, output, **parameters):
    """Metric of each row, (rows,) or (rows, columns); every loss is a metric too."""
    if name not in METRICS:
        return loss(name, target, output, **parameters)
    y = np.asarray(output, np.float64)
    return METRICS[name](_dense_target(name, target, y), y, **parameters)
