"""Steps of each optimizer on one weight: its new value and moments, put together of `optimizers.py`."""

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


def sgd(w, v, g, momentum, rate, decay):
    """Gradient step with momentum (0 for none)."""
    v = velocity(v, g, momentum, rate)
    return decayed(w, decay) + v, v


def nesterov(w, v, g, momentum, rate, decay):
    """Gradient step with Nesterov momentum."""
    v = velocity(v, g, momentum, rate)
    return nesterov_weight(decayed(w, decay), v, g, momentum, rate), v


def rmsprop(w, average, v, g, rate, momentum, share, epsilon, decay):
    """RMSprop step with momentum (0 for none)."""
    v = second_moment(v, g, share)
    average = rmsprop_momentum(average, rmsprop_step(g, v, rate, epsilon), momentum)
    return decayed(w, decay) - average, average, v


def adam(w, m, v, g, rate, share_1, share_2, epsilon, decay):
    """Adam step."""
    m = first_moment(m, g, share_1)
    v = second_moment(v, g, share_2)
    return decayed(w, decay) - adam_step(m, v, rate, epsilon), m, v


def nadam(w, m, v, g, rate, gradient_rate, share_1, share_2, epsilon, decay):
    """Nadam step."""
    m = first_moment(m, g, share_1)
    v = second_moment(v, g, share_2)
    return decayed(w, decay) - nadam_step(m, v, g, rate, gradient_rate, epsilon), m, v


def adamax(w, m, u, g, rate, share_1, share_2, epsilon, decay):
    """Adamax step."""
    m, u = first_moment(m, g, share_1), infinity_norm(u, g, share_2)
    return decayed(w, decay) - adamax_step(m, u, rate, epsilon), m, u


def adagrad(w, v, g, rate, epsilon, decay):
    """Adagrad step."""
    v = squares(v, g)
    return decayed(w, decay) - rmsprop_step(g, v, rate, epsilon), v


def lion(w, m, g, rate, share_1, share_2, decay):
    """Lion step."""
    return decayed(w, decay) - lion_step(m, g, rate, share_1), first_moment(m, g, share_2)


def penalised(g, w, l2):
    """Gradient with that of the penalty l2 * w**2."""
    return g + l2_grad(w, l2)
