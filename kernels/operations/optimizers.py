"""Optimizer steps on whole vectors of the flat parameter vector; formulas in ``formulas/update_rules.py``."""

from __future__ import annotations

import math

from .. import codes
from ..element_types import NUMBER
from ..formulas.elementary import exp
from ..formulas.update_rules import adagrad, adam, adamax, lion, nadam, nesterov, penalised, rmsprop, sgd
from ..llvm.instructions import sqrt
from ..llvm.vector_loops import vector_loop
from .arithmetic import copy_vectors

LOG_096 = math.log(0.96)

sgd_vectors, nesterov_vectors = vector_loop(sgd, 2, 3, 3), vector_loop(nesterov, 2, 3, 3)
rmsprop_vectors, adagrad_vectors = vector_loop(rmsprop, 3, 4, 5), vector_loop(adagrad, 2, 3, 3)
adam_vectors, nadam_vectors = vector_loop(adam, 3, 4, 5), vector_loop(nadam, 3, 4, 6)
adamax_vectors, lion_vectors = vector_loop(adamax, 3, 4, 5), vector_loop(lion, 2, 3, 4)
penalise_vectors = vector_loop(penalised, 1, 2, 1)


def constants(optimizer, hyper, t, power_1, power_2):
    """Rate, momentum and epsilon of step t = 1, 2, ..., and the new power_1, from beta_1**t and beta_2**t.

    For Nadam the momentum is the factor of the gradient, and ``power_1`` the product of all momenta,
    u_t = beta_1 * (1 - 0.96**t / 2) (Dozat, 2016).
    """
    rate, momentum, epsilon = hyper[codes.LEARNING_RATE], hyper[codes.BETA_1], hyper[codes.EPSILON]
    if optimizer == codes.ADAM or optimizer == codes.ADAMW:
        rate = rate * sqrt(1.0 - power_2) / (1.0 - power_1)
    elif optimizer == codes.ADAMAX:
        rate = rate / (1.0 - power_1)
    elif optimizer == codes.NADAM:
        root, shrinking = sqrt(1.0 - power_2), exp(NUMBER(LOG_096 * t))
        now, following = 1.0 - 0.5 * shrinking, momentum * (1.0 - 0.48 * shrinking)
        power_1 *= now
        rate, momentum, epsilon = (
            rate * root * following / (1.0 - power_1 * following),
            rate * root * (1.0 - momentum * now) / (1.0 - power_1),
            epsilon * root,
        )
    return rate, momentum, epsilon, power_1


def update(descent, w, m, v, g, vectors):
    """Update ``vectors`` vectors of weights w and moments m, v with gradients g.

    The code GRADIENT leaves w alone and stores the gradient in m. Weights decay as Loshchilov and Hutter (2019) say.
    """
    optimizer, rate, momentum = descent.optimizer, descent.rate, descent.momentum
    share_1, share_2, epsilon, decay = descent.share_1, descent.share_2, descent.epsilon, descent.decay
    if optimizer == codes.ADAM or optimizer == codes.ADAMW:
        adam_vectors(1, 0, vectors, w, m, v, g, rate, share_1, share_2, epsilon, decay)
    elif optimizer == codes.RMSPROP:
        rmsprop_vectors(1, 0, vectors, w, m, v, g, rate, momentum, share_2, epsilon, decay)
    elif optimizer == codes.SGD:
        if descent.nesterov:
            nesterov_vectors(1, 0, vectors, w, m, g, momentum, rate, decay)
        else:
            sgd_vectors(1, 0, vectors, w, m, g, momentum, rate, decay)
    elif optimizer == codes.ADAMAX:
        adamax_vectors(1, 0, vectors, w, m, v, g, rate, share_1, share_2, epsilon, decay)
    elif optimizer == codes.LION:
        lion_vectors(1, 0, vectors, w, m, g, rate, share_1, share_2, decay)
    elif optimizer == codes.NADAM:
        nadam_vectors(1, 0, vectors, w, m, v, g, rate, momentum, share_1, share_2, epsilon, decay)
    elif optimizer == codes.ADAGRAD:
        adagrad_vectors(1, 0, vectors, w, m, g, rate, epsilon, decay)
    elif optimizer == codes.GRADIENT:
        copy_vectors(1, 0, vectors, m, g)
