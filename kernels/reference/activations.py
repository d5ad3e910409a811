"""The oracle's activations in float64 NumPy; see ``reference/``."""

import math

import numpy as np

_erf = np.vectorize(math.erf, otypes=[np.float64])
SELU_SCALE, SELU_ALPHA = 1.0507009873554804934193349852946, 1.6732632423543772848170429916717


def _normal_distribution(z):
    return (1.0 + _erf(z / math.sqrt(2.0))) / 2.0


def sigmoid(z):
    """1 / (1 + e**-z)."""
    return 1.0 / (1.0 + np.exp(-z))


def softmax(z):
    """Softmax along the last axis."""
    powers = np.exp(z - z.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


_ACTIVATIONS = {
    "linear": lambda z, alpha: z.copy(),
    "relu": lambda z, alpha: np.maximum(z, 0.0),
    "sigmoid": lambda z, alpha: sigmoid(z),
    "tanh": lambda z, alpha: np.tanh(z),
    "softmax": lambda z, alpha: softmax(z),
    "leaky_relu": lambda z, alpha: np.where(z > 0, z, alpha * z),
    "elu": lambda z, alpha: np.where(z > 0, z, alpha * np.expm1(z)),
    "selu": lambda z, alpha: SELU_SCALE * np.where(z > 0, z, SELU_ALPHA * np.expm1(z)),
    "gelu": lambda z, alpha: z * _normal_distribution(z),
    "silu": lambda z, alpha: z * sigmoid(z),
    "softplus": lambda z, alpha: np.logaddexp(0.0, z),
    "step": lambda z, alpha: np.where(z > 0, 1.0, 0.0),
    "exponential": lambda z, alpha: np.exp(z),
}
_DERIVATIVES = {
    "linear": lambda z, alpha: np.ones_like(z),
    "relu": lambda z, alpha: np.where(z > 0, 1.0, 0.0),
    "sigmoid": lambda z, alpha: sigmoid(z) * (1.0 - sigmoid(z)),
    "tanh": lambda z, alpha: 1.0 - np.tanh(z) ** 2,
    "leaky_relu": lambda z, alpha: np.where(z > 0, 1.0, alpha),
    "elu": lambda z, alpha: np.where(z > 0, 1.0, alpha * np.exp(z)),
    "selu": lambda z, alpha: SELU_SCALE * np.where(z > 0, 1.0, SELU_ALPHA * np.exp(z)),
    "gelu": lambda z, alpha: _normal_distribution(z) + z * np.exp(-z * z / 2.0) / math.sqrt(2.0 * math.pi),
    "silu": lambda z, alpha: sigmoid(z) * (1.0 + z * (1.0 - sigmoid(z))),
    "softplus": lambda z, alpha: sigmoid(z),
    "exponential": lambda z, alpha: np.exp(z),
}


def activation(name, z, alpha=0.0):
    """Return the outputs of an activation for pre-activations z of any shape; softmax runs along the last axis."""
    with np.errstate(over="ignore"):
        return _ACTIVATIONS[name](np.asarray(z, np.float64), alpha)


def activation_gradient(name, z, alpha, dy):
    """Gradient with respect to z, given the gradient dy with respect to the outputs."""
    z, dy = np.asarray(z, np.float64), np.asarray(dy, np.float64)
    if name == "softmax":
        y = softmax(z)
        return y * (dy - (dy * y).sum(axis=-1, keepdims=True))
    with np.errstate(over="ignore"):
        return dy * _DERIVATIVES[name](z, alpha)
