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


def optimizer_step(name, hyperparameters, w, g, state):
    """One step over the flat weights w, in place; the dict `state`, empty at first, keeps moments and the count."""
    h = dict(zip(HYPERPARAMETERS, hyperparameters, strict=True))
    rate, beta_1, beta_2, epsilon = (h[key] for key in ("learning_rate", "beta_1", "beta_2", "epsilon"))
    state["step"] = t = state.get("step", 0) + 1
    m, v = (state.setdefault(key, np.zeros_like(w)) for key in "mv")
    w -= rate * h["weight_decay"] * w
    if name == "sgd":
        m[:] = beta_1 * m - rate * g
        w += beta_1 * m - rate * g if h["nesterov"] else m
    elif name == "rmsprop":
        v[:] = beta_2 * v + (1.0 - beta_2) * g**2
        m[:] = beta_1 * m + rate * g / np.sqrt(v + epsilon)
        w -= m
    elif name in ("adam", "adamw"):
        m[:] = beta_1 * m + (1.0 - beta_1) * g
        v[:] = beta_2 * v + (1.0 - beta_2) * g**2
        w -= rate * math.sqrt(1.0 - beta_2**t) / (1.0 - beta_1**t) * m / (np.sqrt(v) + epsilon)
    elif name == "nadam":
        now, following = (beta_1 * (1.0 - 0.5 * 0.96**step) for step in (t, t + 1))
        state["product"] = product = state.get("product", 1.0) * now
        m[:] = beta_1 * m + (1.0 - beta_1) * g
        v[:] = beta_2 * v + (1.0 - beta_2) * g**2
        m_hat = following * m / (1.0 - product * following) + (1.0 - now) * g / (1.0 - product)
        w -= rate * m_hat / (np.sqrt(v / (1.0 - beta_2**t)) + epsilon)
    elif name == "adagrad":  # epsilon holds the first value of the sum of squares
        m[:] += g**2
        w -= rate * g / np.sqrt(m + epsilon)
    elif name == "adamax":
        m[:] = beta_1 * m + (1.0 - beta_1) * g
        v[:] = np.maximum(beta_2 * v, np.abs(g))
        w -= rate / (1.0 - beta_1**t) * m / (v + epsilon)
    elif name == "lion":
        w -= rate * np.sign(beta_1 * m + (1.0 - beta_1) * g)
        m[:] = beta_2 * m + (1.0 - beta_2) * g
    else:
        raise ValueError(f"unknown optimizer {name!r}")
