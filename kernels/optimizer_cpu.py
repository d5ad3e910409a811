"""Optimizer steps on whole vectors of the flat parameter vector; formulas in ``optimizer_formulas.py``."""

from __future__ import annotations

from . import codes
from .activation_cpu import copy_vectors
from .optimizer_formulas import (
    adam_step,
    adamax_step,
    decayed,
    first_moment,
    infinity_norm,
    l2_grad,
    lion_step,
    rmsprop_momentum,
    rmsprop_step,
    second_moment,
    velocity,
)
from .optimizer_formulas import nesterov as nesterov_weight
from .tracing import vector_loop


def sgd(w, v, g, momentum, rate):
    """Gradient step with momentum (0 for none)."""
    v = velocity(v, g, momentum, rate)
    return w + v, v


def nesterov(w, v, g, momentum, rate):
    """Gradient step with Nesterov momentum."""
    v = velocity(v, g, momentum, rate)
    return nesterov_weight(w, v, g, momentum, rate), v


def rmsprop(w, average, v, g, rate, momentum, share, epsilon):
    """RMSprop step with momentum (0 for none)."""
    v = second_moment(v, g, share)
    average = rmsprop_momentum(average, rmsprop_step(g, v, rate, epsilon), momentum)
    return w - average, average, v


def adam(w, m, v, g, rate, share_1, share_2, epsilon, decay):
    """Adam step with decoupled weight decay (0 for none)."""
    m = first_moment(m, g, share_1)
    v = second_moment(v, g, share_2)
    return decayed(w, decay) - adam_step(m, v, rate, epsilon), m, v


def adamax(w, m, u, g, rate, share_1, share_2, epsilon):
    """Adamax step."""
    m, u = first_moment(m, g, share_1), infinity_norm(u, g, share_2)
    return w - adamax_step(m, u, rate, epsilon), m, u


def lion(w, m, g, rate, share_1, share_2):
    """Lion step."""
    return w - lion_step(m, g, rate, share_1), first_moment(m, g, share_2)


def penalised(g, w, l2):
    """Gradient with that of the penalty l2 * w**2."""
    return g + l2_grad(w, l2)


sgd_vectors = vector_loop(sgd, 2, 3, 2)
nesterov_vectors = vector_loop(nesterov, 2, 3, 2)
rmsprop_vectors = vector_loop(rmsprop, 3, 4, 4)
adam_vectors = vector_loop(adam, 3, 4, 5)
adamax_vectors, lion_vectors = vector_loop(adamax, 3, 4, 4), vector_loop(lion, 2, 3, 3)
penalise_vectors = vector_loop(penalised, 1, 2, 1)


def update(optimizer, w, m, v, g, vectors, rate, momentum, share_1, share_2, epsilon, decay, nesterov):
    """Update ``vectors`` vectors of weights w and moments m, v with gradients g.

    The code GRADIENT leaves w alone and stores the gradient in m. ``rate`` holds the bias correction of Adam;
    ``share_1`` and ``share_2`` are 1 - beta_1 and 1 - beta_2.
    """
    if optimizer == codes.ADAM or optimizer == codes.ADAMW:
        adam_vectors(1, 0, vectors, w, m, v, g, rate, share_1, share_2, epsilon, decay)
    elif optimizer == codes.RMSPROP:
        rmsprop_vectors(1, 0, vectors, w, m, v, g, rate, momentum, share_2, epsilon)
    elif optimizer == codes.SGD:
        if nesterov:
            nesterov_vectors(1, 0, vectors, w, m, g, momentum, rate)
        else:
            sgd_vectors(1, 0, vectors, w, m, g, momentum, rate)
    elif optimizer == codes.ADAMAX:
        adamax_vectors(1, 0, vectors, w, m, v, g, rate, share_1, share_2, epsilon)
    elif optimizer == codes.LION:
        lion_vectors(1, 0, vectors, w, m, g, rate, share_1, share_2)
    elif optimizer == codes.GRADIENT:
        copy_vectors(1, 0, vectors, m, g)
