"""Activations on one number: each formula once, in plain Python, and the table of all.

Written as `elementary.py` asks: float constants, no branches, `select` for a choice. Derivatives take the output y of
the activation where it determines them, so the pre-activation need not be kept; the table tells whose take the
pre-activation z. NaN stays NaN, but in `step`.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

from .elementary import absolute, erf, exp, expm1, log1p_unit, select, sigmoid, tanh

SELU_SCALE = 1.0507009873554805
SELU_SCALE_ALPHA = 1.7580993408473766  # scale * alpha of Klambauer et al. 2017, https://arxiv.org/abs/1706.02515
SQRT_HALF = 0.7071067811865476
DENSITY_AT_ZERO = 0.3989422804014327  # of the standard normal distribution: 1 / sqrt(2 pi)
NAN = math.nan


def linear(x):
    """Return x."""
    return x


def linear_grad(y):
    """Differentiate linear."""
    return 1.0


def relu(x):
    """max(x, 0)."""
    return select(x < 0.0, 0.0, x)


def relu_grad(y):
    """Differentiate relu, from its output; 0 at 0 as in Keras and PyTorch."""
    return select(y > 0.0, 1.0, 0.0)


def sigmoid_grad(y):
    """Differentiate sigmoid, from its output."""
    return y * (1.0 - y)


def tanh_grad(y):
    """Differentiate tanh, from its output."""
    return (1.0 - y) * (1.0 + y)


def leaky_relu(x, alpha):
    """Return x above 0, alpha * x below."""
    return select(x > 0.0, x, alpha * x)


def leaky_relu_grad(y, alpha):
    """Differentiate leaky_relu, from its output, alpha >= 0."""
    return select(y > 0.0, 1.0, alpha)


def elu(x, alpha):
    """Return x above 0, alpha * (e**x - 1) below."""
    return select(x > 0.0, x, alpha * expm1(x))


def elu_grad(y, alpha):
    """Differentiate elu, from its output, alpha >= 0."""
    return select(y > 0.0, 1.0, y + alpha)


def selu(x):
    """Scaled elu whose outputs tend to mean 0 and variance 1."""
    return select(x > 0.0, SELU_SCALE * x, SELU_SCALE_ALPHA * expm1(x))


def selu_grad(y):
    """Differentiate selu, from its output."""
    return select(y > 0.0, SELU_SCALE, y + SELU_SCALE_ALPHA)


def gelu(x):
    """Return x times the standard normal distribution function of x (the exact form, Keras' approximate=False)."""
    return x * (0.5 + 0.5 * erf(x * SQRT_HALF))


def gelu_grad(z):
    """Differentiate gelu, from its pre-activation."""
    return 0.5 + 0.5 * erf(z * SQRT_HALF) + z * (DENSITY_AT_ZERO * exp(-0.5 * z * z))


def silu(x):
    """Return x * sigmoid(x), also called swish."""
    return x * sigmoid(x)


def silu_grad(z):
    """Differentiate silu, from its pre-activation."""
    s = sigmoid(z)
    return s * (1.0 + z * (1.0 - s))


def softplus(x):
    """log(1 + e**x) without overflow."""
    return relu(x) + log1p_unit(exp(-absolute(x)))


def softplus_grad(y):
    """Differentiate softplus, from its output: 1 - e**-y."""
    return -expm1(-y)


def exponential_grad(y):
    """Differentiate exp, from its output."""
    return y


def step(x):
    """Heaviside step of the perceptron: 1 for a positive sum, else 0."""
    return select(x > 0.0, 1.0, 0.0)


def undefined(x):
    """NaN: what a code stands for that is none."""
    return NAN * x


class Activation(NamedTuple):
    """What all targets know of an activation.

    Attributes
    ----------
    formula : callable or None
        Of the pre-activation z; None for what needs whole rows.
    derivative : callable or None
        Of the output y; None if there is none, or it needs whole rows.
    of_input : bool
        Whether the derivative is one of z, which is kept then.
    parametric : bool
        Whether both have a second argument, alpha.
    """

    formula: Callable | None
    derivative: Callable | None
    of_input: bool = False
    parametric: bool = False


# The index of a name is its code. Two are special: for ``linear`` nothing is done, and for ``softmax`` what
# `operations/activations.py` does with whole rows.
ACTIVATIONS = {
    "linear": Activation(linear, linear_grad),
    "relu": Activation(relu, relu_grad),
    "sigmoid": Activation(sigmoid, sigmoid_grad),
    "tanh": Activation(tanh, tanh_grad),
    "softmax": Activation(None, None),
    "leaky_relu": Activation(leaky_relu, leaky_relu_grad, parametric=True),
    "elu": Activation(elu, elu_grad, parametric=True),
    "selu": Activation(selu, selu_grad),
    "gelu": Activation(gelu, gelu_grad, of_input=True),
    "silu": Activation(silu, silu_grad, of_input=True),
    "softplus": Activation(softplus, softplus_grad),
    "step": Activation(step, None),
    "exponential": Activation(exp, exponential_grad),
}
