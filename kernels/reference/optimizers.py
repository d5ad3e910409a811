"""The oracle's optimizers in float64 NumPy; see ``reference/``."""

import math

import numpy as np

from ..codes import HYPERPARAMETERS


def clipped(gradients, clipvalue, clipnorm, global_clipnorm):
    """Gradients, one array for each weight array, within the limits that are not 0."""
    if clipvalue:
        return [np.clip(g, -clipvalue, clipvalue) for g in gradients]
    norms = np.array([np.linalg.norm(g.ravel()) for g in gradients])
    if clipnorm:
        return [g * clipnorm / max(norm, clipnorm) for g, norm in zip(gradients, norms, strict=True)]
    if global_clipnorm:
        return [g * global_clipnorm / max(np.linalg.norm(norms), global_clipnorm) for g in gradients]
    return gradients


def _moments(m, v, g, h):
    m[:] = h["beta_1"] * m + (1.0 - h["beta_1"]) * g
    v[:] = h["beta_2"] * v + (1.0 - h["beta_2"]) * g**2


def _sgd(w, m, v, g, h, state):
    m[:] = h["beta_1"] * m - h["learning_rate"] * g
    w += h["beta_1"] * m - h["learning_rate"] * g if h["nesterov"] else m


def _rmsprop(w, m, v, g, h, state):
    v[:] = h["beta_2"] * v + (1.0 - h["beta_2"]) * g**2
    m[:] = h["beta_1"] * m + h["learning_rate"] * g / np.sqrt(v + h["epsilon"])
    w -= m


def _adam(w, m, v, g, h, state):
    _moments(m, v, g, h)
    unbiased = math.sqrt(1.0 - h["beta_2"] ** state["step"]) / (1.0 - h["beta_1"] ** state["step"])
    w -= h["learning_rate"] * unbiased * m / (np.sqrt(v) + h["epsilon"])


def _nadam(w, m, v, g, h, state):
    t = state["step"]
    now, following = (h["beta_1"] * (1.0 - 0.5 * 0.96**step) for step in (t, t + 1))
    state["product"] = product = state.get("product", 1.0) * now
    _moments(m, v, g, h)
    m_hat = following * m / (1.0 - product * following) + (1.0 - now) * g / (1.0 - product)
    w -= h["learning_rate"] * m_hat / (np.sqrt(v / (1.0 - h["beta_2"] ** t)) + h["epsilon"])


def _adagrad(w, m, v, g, h, state):
    m[:] += g**2
    w -= h["learning_rate"] * g / np.sqrt(m + h["epsilon"])  # epsilon holds the first value of the sum of squares


def _adamax(w, m, v, g, h, state):
    m[:] = h["beta_1"] * m + (1.0 - h["beta_1"]) * g
    v[:] = np.maximum(h["beta_2"] * v, np.abs(g))
    w -= h["learning_rate"] / (1.0 - h["beta_1"] ** state["step"]) * m / (v + h["epsilon"])


def _lion(w, m, v, g, h, state):
    w -= h["learning_rate"] * np.sign(h["beta_1"] * m + (1.0 - h["beta_1"]) * g)
    m[:] = h["beta_2"] * m + (1.0 - h["beta_2"]) * g


_STEPS = {
    "sgd": _sgd,
    "rmsprop": _rmsprop,
    "adam": _adam,
    "adamw": _adam,
    "adamax": _adamax,
    "lion": _lion,
    "nadam": _nadam,
    "adagrad": _adagrad,
}


def optimizer_step(name, hyperparameters, w, g, state):
    """One step over the flat weights w, in place; the dict `state`, empty at first, keeps moments and the count."""
    h = dict(zip(HYPERPARAMETERS, hyperparameters, strict=True))
    state["step"] = state.get("step", 0) + 1
    m, v = (state.setdefault(key, np.zeros_like(w)) for key in "mv")
    w -= h["learning_rate"] * h["weight_decay"] * w
    _STEPS[name](w, m, v, g, h, state)
