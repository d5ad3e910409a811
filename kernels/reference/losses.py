"""The oracle's losses and metrics of each row in float64 NumPy; see ``reference/``.

Parameters of losses have Keras' names: delta, levels, gamma, alpha, apply_class_balancing, label_smoothing.
"""

import numpy as np

from .activations import activation, softmax

MARGIN = 1e-7  # probabilities are clipped to [margin, 1 - margin]; it is added to rates before their logarithm
SMALLEST_SUM = 1e-28  # rows of smaller ones have no shares


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
    """What outputs are divided by for their shares; those of a row without a sum are 0."""
    total = y.sum(axis=1, keepdims=True)
    return np.where(np.abs(total) < SMALLEST_SUM, np.inf, total)


def _log_of_rate(y):
    """log(y + margin), below 0 along its tangent there."""
    return np.log(np.maximum(y, 0.0) + MARGIN) + np.minimum(y, 0.0) / MARGIN


def _wrong_share(t, p):
    """Probability of the wrong answer; below 0 or above 1 where p is."""
    return t * (1.0 - p) + (1.0 - t) * p


def _to_power(wrong, gamma):
    return np.maximum(np.abs(wrong), np.finfo(np.float32).tiny) ** gamma


def _per_wrong_share(surprise, wrong):
    """surprise / wrong, which tends to 1."""
    return np.divide(surprise, wrong, out=np.ones_like(wrong), where=np.abs(wrong) >= MARGIN)


def _pinball_levels(y, levels):
    return np.tile(np.atleast_1d(levels), y.shape[1] // np.size(levels))


def _balance(t, alpha, apply_class_balancing):
    return t * alpha + (1.0 - t) * (1.0 - alpha) if apply_class_balancing else np.ones_like(t)


def loss(
    name, target, output, *, delta=1.0, levels=0.5, gamma=2.0, alpha=0.25, apply_class_balancing=False,
    label_smoothing=0.0,
):  # fmt: skip
    """Loss of each row, (rows,); `output` holds logits where the name says so."""
    y = np.asarray(output, np.float64)
    t, name = _dense_target(name, target, y, label_smoothing), name.removeprefix("sparse_")
    if name == "mean_squared_error":
        return ((y - t) ** 2).mean(axis=1)
    if name == "mean_absolute_error":
        return np.abs(y - t).mean(axis=1)
    if name == "huber":
        size = np.abs(y - t)
        return np.where(size <= delta, size**2 / 2.0, delta * size - delta**2 / 2.0).mean(axis=1)
    if name == "log_cosh":
        return (np.logaddexp(y - t, t - y) - np.log(2.0)).mean(axis=1)
    if name == "quantile":
        levels = _pinball_levels(y, levels)
        return np.maximum(levels * (t - y), (levels - 1.0) * (t - y)).mean(axis=1)
    if name == "binary_crossentropy":
        return _binary_crossentropy(t, _clip(y)).mean(axis=1)
    if name == "binary_crossentropy_from_logits":
        return (np.logaddexp(0.0, y) - t * y).mean(axis=1)
    if name == "categorical_crossentropy":  # of rows scaled to sum 1, as in Keras
        return -(t * np.log(_clip(y / _total(y)))).sum(axis=1)
    if name == "categorical_crossentropy_from_logits":
        return (t * _surprise(y)).sum(axis=1)
    if name.startswith("binary_focal_crossentropy"):
        logits = name.endswith("from_logits")
        p = activation("sigmoid", y) if logits else y
        entropy = np.logaddexp(0.0, y) - t * y if logits else _binary_crossentropy(t, _clip(p))
        factor = _balance(t, alpha, apply_class_balancing) * _to_power(_wrong_share(t, p), gamma)
        return (factor * entropy).mean(axis=1)
    if name.startswith("categorical_focal_crossentropy"):
        logits = name.endswith("from_logits")
        p = softmax(y) if logits else _clip(y / _total(y))
        return (np.asarray(alpha) * t * (1.0 - p) ** gamma * (_surprise(y) if logits else -np.log(p))).sum(axis=1)
    if name.startswith("poisson"):
        logits = name.endswith("from_logits")
        value = np.exp(y) - t * y if logits else y - t * _log_of_rate(y)
        if "deviance" in name:  # half of it
            value += t * (np.log(np.where(t > 0, t, 1.0)) if logits else _log_of_rate(t)) - t
        return value.mean(axis=1)
    raise ValueError(f"unknown loss {name!r}")


def _surprise(logits):
    """-log(softmax)."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    return np.log(np.exp(shifted).sum(axis=1, keepdims=True)) - shifted


def loss_gradient(
    name, target, output, *, delta=1.0, levels=0.5, gamma=2.0, alpha=0.25, apply_class_balancing=False,
    label_smoothing=0.0,
):  # fmt: skip
    """Gradient of each row's loss with respect to its outputs (or logits), (rows, outputs)."""
    y = np.asarray(output, np.float64)
    t, name = _dense_target(name, target, y, label_smoothing), name.removeprefix("sparse_")
    if name == "mean_squared_error":
        return 2.0 * (y - t) / y.shape[1]
    if name == "mean_absolute_error":
        return np.sign(y - t) / y.shape[1]
    if name == "huber":
        return np.clip(y - t, -delta, delta) / y.shape[1]
    if name == "log_cosh":
        return np.tanh(y - t) / y.shape[1]
    if name == "quantile":
        levels = _pinball_levels(y, levels)
        return np.where(y > t, 1.0 - levels, np.where(y < t, -levels, y - t)) / y.shape[1]
    if name == "binary_crossentropy":
        p = _clip(y)
        return np.where(_unclipped(y), (p - t) / (p * (1.0 - p)), 0.0) / y.shape[1]
    if name == "binary_crossentropy_from_logits":
        return (activation("sigmoid", y) - t) / y.shape[1]
    if name == "categorical_crossentropy":
        p = y / _total(y)
        return _through_sum(y, np.where(_unclipped(p), -t / _clip(p), 0.0))
    if name == "categorical_crossentropy_from_logits":
        return t.sum(axis=1, keepdims=True) * softmax(y) - t
    if name.startswith("binary_focal_crossentropy"):
        logits = name.endswith("from_logits")
        p = activation("sigmoid", y) if logits else y
        entropy = np.logaddexp(0.0, y) - t * y if logits else _binary_crossentropy(t, _clip(p))
        wrong = _wrong_share(t, p)
        factor = _balance(t, alpha, apply_class_balancing) * _to_power(wrong, gamma)
        tilt = gamma * (1.0 - 2.0 * t) * _per_wrong_share(entropy, wrong)
        if logits:
            slope = p - t + p * (1.0 - p) * tilt
        else:
            q = _clip(p)
            slope = np.where(_unclipped(p), (q - t) / (q * (1.0 - q)), 0.0) + tilt
        return factor * slope / y.shape[1]
    if name.startswith("categorical_focal_crossentropy"):
        logits = name.endswith("from_logits")
        p = softmax(y) if logits else y / _total(y)
        q, surprise = (p, _surprise(y)) if logits else (_clip(p), -np.log(_clip(p)))
        # p times the derivative with respect to p
        slope = -np.asarray(alpha) * t * (1.0 - q) ** gamma * (1.0 + gamma * q * _per_wrong_share(surprise, 1.0 - q))
        if logits:
            return slope - p * slope.sum(axis=1, keepdims=True)
        return _through_sum(y, np.where(_unclipped(p), slope / q, 0.0))
    if name in ("poisson_deviance", "poisson"):
        return (1.0 - t / (np.maximum(y, 0.0) + MARGIN)) / y.shape[1]
    if name in ("poisson_deviance_from_logits", "poisson_from_logits"):
        return (np.exp(y) - t) / y.shape[1]
    raise ValueError(f"unknown loss {name!r}")


def _through_sum(y, dp):
    """Gradient with respect to y from that with respect to p = y / sum(y)."""
    total = _total(y)
    return (dp - (dp * y / total).sum(axis=1, keepdims=True)) / total


def metric(name, target, output, *, threshold=0.5, **parameters):
    """Metric of each row, (rows,); every loss is a metric too."""
    if not name.endswith("accuracy"):
        return loss(name, target, output, **parameters)
    y = np.asarray(output, np.float64)
    t = _dense_target(name, target, y)
    if name == "binary_accuracy":
        return ((y > threshold) == t).mean(axis=1)
    if name == "exact_accuracy":
        return (y == t).mean(axis=1)
    return (y.argmax(axis=1) == t.argmax(axis=1)).astype(np.float64)
