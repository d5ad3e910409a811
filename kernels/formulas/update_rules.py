"""Steps of each optimizer on one weight, put together of `optimizers.py`, and the table of all."""

import math
from collections.abc import Callable
from typing import NamedTuple

from .elementary import exp, sqrt
from .optimizers import (
    adam_step,
    adamax_step,
    decayed,
    first_moment,
    infinity_norm,
    l2_grad,
    lion_step,
    nadam_step,
    rmsprop_momentum,
    rmsprop_step,
    second_moment,
    squares,
    velocity,
)
from .optimizers import nesterov as nesterov_weight

LOG_096 = math.log(0.96)


def sgd(w, v, g, momentum, rate, decay):
    """Gradient step with momentum (0 for none)."""
    v = velocity(v, g, momentum, rate)
    return decayed(w, decay) + v, v


def nesterov(w, v, g, momentum, rate, decay):
    """Gradient step with Nesterov momentum."""
    v = velocity(v, g, momentum, rate)
    return nesterov_weight(decayed(w, decay), v, g, momentum, rate), v


def rmsprop(w, average, v, g, rate, momentum, one_minus_beta_2, epsilon, decay):
    """RMSprop step with momentum (0 for none)."""
    v = second_moment(v, g, one_minus_beta_2)
    average = rmsprop_momentum(average, rmsprop_step(g, v, rate, epsilon), momentum)
    return decayed(w, decay) - average, average, v


def adam(w, m, v, g, rate, one_minus_beta_1, one_minus_beta_2, epsilon, decay):
    """Adam step."""
    m = first_moment(m, g, one_minus_beta_1)
    v = second_moment(v, g, one_minus_beta_2)
    return decayed(w, decay) - adam_step(m, v, rate, epsilon), m, v


def nadam(w, m, v, g, rate, gradient_rate, one_minus_beta_1, one_minus_beta_2, epsilon, decay):
    """Nadam step."""
    m = first_moment(m, g, one_minus_beta_1)
    v = second_moment(v, g, one_minus_beta_2)
    return decayed(w, decay) - nadam_step(m, v, g, rate, gradient_rate, epsilon), m, v


def adamax(w, m, u, g, rate, one_minus_beta_1, one_minus_beta_2, epsilon, decay):
    """Adamax step."""
    m, u = first_moment(m, g, one_minus_beta_1), infinity_norm(u, g, one_minus_beta_2)
    return decayed(w, decay) - adamax_step(m, u, rate, epsilon), m, u


def adagrad(w, v, g, rate, epsilon, decay):
    """Adagrad step."""
    v = squares(v, g)
    return decayed(w, decay) - rmsprop_step(g, v, rate, epsilon), v


def lion(w, m, g, rate, one_minus_beta_1, one_minus_beta_2, decay):
    """Lion step."""
    return decayed(w, decay) - lion_step(m, g, rate, one_minus_beta_1), first_moment(m, g, one_minus_beta_2)


def penalized(g, w, l2):
    """Gradient with that of the penalty l2 * w**2."""
    return g + l2_grad(w, l2)


def kept(g):
    """The gradient itself, for an update that comes later."""
    return g


# Rate, momentum and epsilon of step t = 1, 2, ..., and the new power_1, from beta_1**t and beta_2**t: once a step.


def unchanged(rate, momentum, epsilon, t, power_1, power_2):
    """Constants that are the same in every step."""
    return rate, momentum, epsilon, power_1


def adam_constants(rate, momentum, epsilon, t, power_1, power_2):
    """Constants of Adam, with both bias corrections."""
    return rate * sqrt(1.0 - power_2) / (1.0 - power_1), momentum, epsilon, power_1


def adamax_constants(rate, momentum, epsilon, t, power_1, power_2):
    """Constants of Adamax, with the bias correction of the moment."""
    return rate / (1.0 - power_1), momentum, epsilon, power_1


def nadam_constants(rate, momentum, epsilon, t, power_1, power_2):
    """Constants of Nadam: the momentum is the factor of the gradient.

    ``power_1`` is the product of all momenta, u_t = beta_1 * (1 - 0.96**t / 2) (Dozat, 2016).
    """
    root, shrinking = sqrt(1.0 - power_2), exp(LOG_096 * t)
    now, following = 1.0 - 0.5 * shrinking, momentum * (1.0 - 0.48 * shrinking)
    power_1 *= now
    return (
        rate * root * following / (1.0 - power_1 * following),
        rate * root * (1.0 - momentum * now) / (1.0 - power_1),
        epsilon * root,
        power_1,
    )


class Rule(NamedTuple):
    """What all targets know of an optimizer.

    Attributes
    ----------
    step : callable
        New weight and moments, of the weight, its moments, the gradient and ``numbers``.
    moments : int
        How many there are, 1 or 2.
    numbers : tuple of str
        Fields of `records.Descent`.
    ahead : callable or None
        The step with Nesterov's momentum.
    constants : callable
        What the learning rate and other numbers are in a step.
    """

    step: Callable
    moments: int
    numbers: tuple[str, ...]
    ahead: Callable | None = None
    constants: Callable = unchanged


_ADAM = Rule(adam, 2, ("rate", "one_minus_beta_1", "one_minus_beta_2", "epsilon", "decay"), constants=adam_constants)
# The index of a name is its code. ``gradient`` is special: it leaves the weights alone and keeps the gradient.
OPTIMIZERS = {
    "gradient": None,
    "sgd": Rule(sgd, 1, ("momentum", "rate", "decay"), ahead=nesterov),
    "rmsprop": Rule(rmsprop, 2, ("rate", "momentum", "one_minus_beta_2", "epsilon", "decay")),
    "adam": _ADAM,
    "adamw": _ADAM,
    "adamax": _ADAM._replace(step=adamax, constants=adamax_constants),
    "lion": Rule(lion, 1, ("rate", "one_minus_beta_1", "one_minus_beta_2", "decay")),
    "nadam": Rule(
        nadam,
        2,
        ("rate", "momentum", "one_minus_beta_1", "one_minus_beta_2", "epsilon", "decay"),
        constants=nadam_constants,
    ),
    "adagrad": Rule(adagrad, 1, ("rate", "epsilon", "decay")),
}
