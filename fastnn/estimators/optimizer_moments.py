"""The optimizer's state, converted between fastnn's estimators and scikit-learn's."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from fastnn import optimizers

# names of scikit-learn's lists of moments, in the order of fastnn's
_MOMENTS = {"sgd": ("velocities",), "adam": ("ms", "vs")}


def give(estimator: Any, twin: Any) -> bool:
    """Give scikit-learn's estimator an optimizer that goes on as ours does; False if it can have none."""
    ours = estimator._optimizer
    if ours.name not in _MOMENTS or estimator._normalization is not None:
        return False
    from sklearn.neural_network._stochastic_optimizers import AdamOptimizer, SGDOptimizer

    parameters = [*twin.coefs_, *twin.intercepts_]
    rate = ours.learning_rate if ours.schedule is None else twin.learning_rate_init
    theirs: Any
    options: tuple[Any, ...]
    if ours.name == "sgd":
        options = (twin.learning_rate, ours.momentum, ours.nesterov, twin.power_t)
        theirs = SGDOptimizer(parameters, twin.learning_rate_init, *options)
        theirs.learning_rate = rate
    else:
        options = (ours.beta_1, ours.beta_2, ours.epsilon)
        theirs = AdamOptimizer(parameters, rate, *options)
    state = estimator._get_optimizer_state()
    if state is not None:
        theirs.t = int(state["counters"][0])
        for name, moments in zip(_MOMENTS[ours.name], state["moments"], strict=False):
            ordered = [*moments[::2], *moments[1::2]]
            if not _same_shapes(ordered, parameters):
                return False
            like = zip(ordered, parameters, strict=True)
            setattr(theirs, name, [moment.astype(parameter.dtype) for moment, parameter in like])
    twin._optimizer = theirs
    return True


def take(estimator: Any, twin: Any) -> bool:
    """Give our estimator an optimizer that goes on as scikit-learn's does; False if that fits its weights no more."""
    theirs = estimator._optimizer
    ours: optimizers.Optimizer
    if hasattr(theirs, "velocities"):
        ours = optimizers.SGD(theirs.learning_rate, theirs.momentum, theirs.nesterov)
        steps = len(estimator.loss_curve_)  # SGD does not count them, but there were some
        powers = (1.0, 1.0)
    else:
        ours = optimizers.Adam(theirs.learning_rate_init, theirs.beta_1, theirs.beta_2, theirs.epsilon)
        steps = theirs.t
        powers = (theirs.beta_1**steps, theirs.beta_2**steps)
    moments = [_by_layer(getattr(theirs, name)) for name in _MOMENTS[ours.name]]
    weights = _by_layer([*estimator.coefs_, *estimator.intercepts_])
    if not all(_same_shapes(moment, weights) for moment in moments):
        return False
    while len(moments) < 2:
        moments.append([np.zeros_like(weight) for weight in weights])
    twin._keep_optimizer(ours)
    twin._optimizer_state = {"counters": np.array([steps, *powers]), "moments": moments}
    return True


def _by_layer(arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Arrange copies of arrays of all weights, then of all biases, layer by layer."""
    layers = len(arrays) // 2
    return [arrays[part + layer].copy() for layer in range(layers) for part in (0, layers)]


def _same_shapes(some: Sequence[np.ndarray], others: Sequence[np.ndarray]) -> bool:
    return [array.shape for array in some] == [array.shape for array in others]
