"""Optimizers on one weight w with gradient g: each formula once, in plain Python, written as `elementary.py` asks.

The formulas are Keras 3's. ``rate`` holds every factor that is the same for all weights, bias corrections included, and
``one_minus_beta`` is what it says: both are computed in float64 once a step, since 1 - beta loses digits in float32.
"""

from .elementary import absolute, select, sqrt


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


def first_moment(m, g, one_minus_beta):
    """Update the moving average of the gradient; beta is beta_1 (of moving statistics: their momentum)."""
    return m + one_minus_beta * (g - m)


def second_moment(v, g, one_minus_beta):
    """Update the moving average of the squared gradient; beta is beta_2 (RMSprop: rho)."""
    return v + one_minus_beta * (g * g - v)


def rmsprop_step(g, v, rate, epsilon):
    """Amount that RMSprop subtracts from the weight (or feeds to its momentum); v is the new second moment.

    Adagrad's is the same of the sum of squares, whose first value is part of ``epsilon``.
    """
    return rate * g / sqrt(v + epsilon)


def rmsprop_momentum(average, step_size, momentum):
    """Sum of RMSprop's past steps, which is subtracted from the weight instead of the step."""
    return momentum * average + step_size


def adam_step(m, v, rate, epsilon):
    """Amount that Adam subtracts from the weight; rate = learning_rate * sqrt(1 - beta_2**t) / (1 - beta_1**t)."""
    return rate * m / (sqrt(v) + epsilon)


def nadam_step(m, v, g, rate, gradient_rate, epsilon):
    """Amount that Nadam subtracts from the weight, of the moment and of the gradient itself.

    With r = learning_rate * sqrt(1 - beta_2**t), momenta u_t and their product p_t: ``rate`` is
    r * u_(t+1) / (1 - p_(t+1)), ``gradient_rate`` r * (1 - u_t) / (1 - p_t), and epsilon is multiplied by that root.
    """
    return (rate * m + gradient_rate * g) / (sqrt(v) + epsilon)


def squares(v, g):
    """Adagrad's sum of squared gradients."""
    return v + g * g


def infinity_norm(u, g, one_minus_beta):
    """Adamax's decaying largest magnitude of the gradient; beta is beta_2."""
    u, size = u - one_minus_beta * u, absolute(g)
    return select(u > size, u, size)


def adamax_step(m, u, rate, epsilon):
    """Amount that Adamax subtracts from the weight; rate = learning_rate / (1 - beta_1**t)."""
    return rate * m / (u + epsilon)


def lion_step(m, g, rate, one_minus_beta):
    """Amount that Lion subtracts from the weight: the rate with the sign of the moment mixed with the gradient."""
    mixed = first_moment(m, g, one_minus_beta)
    return rate * select(mixed > 0.0, 1.0, select(mixed < 0.0, -1.0, mixed))
