"""Metrics: what is reported beside the loss. The formulas are in ``fastnn.kernels``."""

import copy
import re
from typing import Any

from fastnn import losses
from fastnn.common import absent
from fastnn.common.identifiers import resolve
from fastnn.metrics import accuracy, crossentropy, regression
from fastnn.metrics.accuracy import *  # noqa: F403 - the families say what they hand on
from fastnn.metrics.base import Metric
from fastnn.metrics.crossentropy import *  # noqa: F403
from fastnn.metrics.regression import *  # noqa: F403

__all__ = ["Metric", "get", "get_list"]
__all__ += accuracy.__all__
__all__ += crossentropy.__all__
__all__ += regression.__all__

_CLASSES: list[type[Metric]] = [
    vars(family)[name] for family in (accuracy, crossentropy, regression) for name in family.__all__
]
_TABLE: dict[str, type[Metric]] = {re.sub("(?<=.)(?=[A-Z])", "_", cls.__name__).lower(): cls for cls in _CLASSES} | {
    "accuracy": accuracy.FittingAccuracy,
    "acc": accuracy.FittingAccuracy,
    "log_cosh": regression.LogCoshError,
    "mse": regression.MeanSquaredError,
    "mae": regression.MeanAbsoluteError,
    "rmse": regression.RootMeanSquaredError,
    "bce": crossentropy.BinaryCrossentropy,
}


def get(identifier: Any) -> Metric:
    """Return a metric by name, object, class, configuration dict, or a loss as object or function.

    A metric given by name, or as a function, is reported under that name: ``"acc"`` as ``acc``, as in Keras.

    Raises
    ------
    ValueError
        For an unknown name; the message lists the known ones.
    """
    if losses.is_function(identifier) or isinstance(identifier, losses.Loss):
        return crossentropy.LossMetric(identifier)
    metric = resolve(identifier, _TABLE, Metric, "metric")
    if isinstance(identifier, str):
        metric.name = identifier
    return metric


def get_list(identifiers: Any) -> list[Metric]:
    """Return the metrics of a list, of lists in it, a single one or None; equal names get numbers, as in Keras.

    Raises
    ------
    ValueError
        For an unknown name, or if a metric would be reported as the loss.
    """
    found: dict[str, Metric] = {}
    for identifier in _flat(identifiers):
        metric = get(identifier)
        if metric.name == "loss":
            raise ValueError("metrics: the name 'loss' is that of the loss; give the metric another name")
        names = [metric.name, *(f"{metric.name}_{number}" for number in range(1, len(found) + 1))]
        name = next(name for name in names if name not in found)
        if name != metric.name:  # the user may hold the object, and use it elsewhere
            metric = copy.copy(metric)
            metric.name = name
        found[name] = metric
    return list(found.values())


def _flat(identifiers: Any) -> list[Any]:
    if isinstance(identifiers, (list, tuple)):
        return [identifier for inner in identifiers for identifier in _flat(inner)]
    return [] if identifiers is None else [identifiers]


absent.explain(__name__)
