"""Activations, losses and optimizers on one number: each formula once, in plain Python.

Written as `scalar.py` asks: float constants, no branches, `select` for a choice. Derivatives take the output y of
the activation where it determines them, so the pre-activation need not be kept; those of gelu and silu
take the pre-activation z. NaN stays NaN in the activations (but `step`) and the losses.
"""

from .scalar import absolute, erf, exp, expm1, log, log1p_unit, select, sigmoid, sqrt

SELU_SCALE = 1.0507009873554805
SELU_SCALE_ALPHA = 1.7580993408473766  # scale * alpha of Klambauer et al. 2017, https://arxiv.org/abs/1706.02515
SQRT_HALF = 0.7071067811865476
DENSITY_AT_ZERO = 0.3989422804014327  # of the standard normal distribution: 1 / sqrt(2 pi)
PROBABILITY_MARGIN = 1e-7  # Keras' epsilon: probabilities are clipped to [margin, 1 - margin]


# --- activations ----------------------------------------------------------------------------------------------


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


# --- losses of one element ------------------------------------------------------------------------------------


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


def crossentropy(p, target):
    """One class's term of the categorical cross-entropy: -target * log(p), p clipped as in Keras."""
    return -target * log(clip_probability(p))


def crossentropy_grad(p, target):
    """Differentiate crossentropy with respect to p; 0 where p is clipped."""
    q = clip_probability(p)
    return select(absolute(p - q) > 0.0, 0.0, -target / q)


def poisson_constant(target):
    """target * log(target) - target, the part of the Poisson deviance that no rate changes; 0 at 0."""
    return target * log(select(target > 0.0, target, 1.0)) - target


def poisson_deviance(y, target):
    """Half the Poisson deviance of the rate y: target * log(target / y) - target + y."""
    return poisson_constant(target) + y - select(target > 0.0, target * log(y), 0.0)


def poisson_deviance_grad(y, target):
    """Differentiate poisson_deviance with respect to y."""
    return 1.0 - select(target > 0.0, target / y, 0.0)


def log_rate_deviance(z, target):
    """Half the Poisson deviance of the rate e**z."""
    return poisson_constant(target) + exp(z) - target * z


def log_rate_deviance_grad(z, target):
    """Differentiate log_rate_deviance with respect to z."""
    return exp(z) - target


# --- optimizers: one weight w with gradient g ---------------------------------------------------------------------
#
# Keras 3's formulas. `rate` holds every factor that is the same for all weights, the bias correction of Adam
# included, and `share` is 1 - beta: both are computed in float64 once a step, since 1 - beta loses digits in float32.


def l2_grad(w, l2):
    """Differentiate the penalty l2 * w**2."""
    return 2.0 * l2 * w


def decayed(w, rate):
    """Weight after decoupled decay; rate = learning_rate * weight_decay."""
    return w - rate * w


def sgd(w, g, rate):
    """Weight after a plain gradient step."""
    return w - rate * g


def velocity(v, g, momentum, rate):
    """Momentum's new velocity, which is added to the weight."""
    return momentum * v - rate * g


def nesterov(w, v, g, momentum, rate):
    """Weight after a step with Nesterov momentum; v is the new velocity."""
    return w + (momentum * v - rate * g)


def first_moment(m, g, share):
    """Update the moving average of the gradient; share = 1 - beta_1."""
    return m + share * (g - m)


def second_moment(v, g, share):
    """Update the moving average of the squared gradient; share = 1 - beta_2 (RMSprop: 1 - rho)."""
    return v + share * (g * g - v)


def rmsprop_step(g, v, rate, epsilon):
    """Amount that RMSprop subtracts from the weight (or feeds to its momentum); v is the new second moment."""
    return rate * g / sqrt(v + epsilon)


def rmsprop_momentum(average, step_size, momentum):
    """Sum of RMSprop's past steps, which is subtracted from the weight instead of the step."""
    return momentum * average + step_size


def adam_step(m, v, rate, epsilon):
    """Amount that Adam subtracts from the weight; rate = learning_rate * sqrt(1 - beta_2**t) / (1 - beta_1**t)."""
    return rate * m / (sqrt(v) + epsilon)
