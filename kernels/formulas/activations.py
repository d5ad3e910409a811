"""Activations on one number: each formula once, in plain Python.

Written as `elementary.py` asks: float constants, no branches, `select` for a choice. Derivatives take the output y of
the activation where it determines them, so the pre-activation need not be kept; those of gelu and silu
take the pre-activation z. NaN stays NaN, but in `step`.
"""

from .elementary import absolute, erf, exp, expm1, log1p_unit, select, sigmoid

SELU_SCALE = 1.0507009873554805
SELU_SCALE_ALPHA = 1.7580993408473766  # scale * alpha of Klambauer et al. 2017, https://arxiv.org/abs/1706.02515
SQRT_HALF = 0.7071067811865476
DENSITY_AT_ZERO = 0.3989422804014327  # of the standard normal distribution: 1 / sqrt(2 pi)


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
