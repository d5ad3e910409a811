"""Options that mean nothing for the data at hand: class weights are refused, metrics warned of."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fastnn.common.user_warnings import warn
from fastnn.data.placement import on_host
from fastnn.losses import Loss
from fastnn.metrics import Metric

_RANGES = {"poisson": (0.0, math.inf), "poisson_deviance": (0.0, math.inf), "binary_crossentropy": (0.0, 1.0)}
_RANGES["categorical_crossentropy"] = _RANGES["binary_crossentropy"]


def class_numbers(y: np.ndarray, loss: Loss | None) -> np.ndarray:
    """Return the class of each row of targets (rows, columns), as `class_weight` needs it: int64 (rows,).

    As in Keras, soft labels of a cross-entropy belong to the class that they are nearest to.

    Raises
    ------
    ValueError
        If a row belongs to no class, or to several.
    """
    soft = loss is not None and "crossentropy" in loss.name
    if y.shape[1] == 1:
        classes = np.rint(y[:, 0])
        wrong = y[:, 0] == np.floor(y[:, 0]) + 0.5 if soft else classes != y[:, 0]
    else:
        classes = y.argmax(axis=1)
        of_one_class = loss is None or "categorical" in loss.name
        wrong = (y == y.max(axis=1, keepdims=True)).sum(axis=1) > 1 if of_one_class else ~_is_one_hot(y)
    if wrong.any():
        r = int(np.argmax(wrong))
        raise ValueError(
            f"class_weight needs rows that belong to one class each, but y holds {_shown(y[r])} in row {r}: give "
            "sample_weight, a weight for each row"
        )
    return classes.astype(np.int64)


def check_metrics(metrics: Sequence[Metric], n_outputs: int, loss: Loss, y: Any, name: str) -> None:
    """Warn of each metric that says nothing about such targets, (rows, columns) on the host or a GPU."""
    if loss.sparse:
        return
    kernels = [(metric, each.kernel) for metric in metrics for each in metric.sums(n_outputs, sparse=False)]
    for metric, name_of_kernel in kernels:
        kernel = name_of_kernel.removesuffix("_from_logits")
        good: Callable[..., Any] = _between
        limits, whole, advice = _RANGES.get(kernel, loss.target_range), False, ""
        expected = f"targets >= {limits[0]:g}" + (f" and <= {limits[1]:g}" if limits[1] == 1.0 else "")
        if kernel == "binary_accuracy":
            limits, whole, good = (0.0, 1.0), True, _zeros_and_ones
            expected = f"labels 0 and 1, and counts an output above {getattr(metric, 'threshold', 0.5):g} as 1"
        elif kernel == "categorical_accuracy" and "categorical" not in loss.name:
            limits, good = (math.nan, math.nan), _is_one_hot
            expected = "one class for each row, and looks for the largest output"
            advice = "; 'binary_accuracy' looks at each output by itself"
        elif loss.target_range[0] >= limits[0] and loss.target_range[1] <= limits[1]:
            continue  # checked already
        if not isinstance(y, np.ndarray) and y.is_within(*limits, whole=whole):
            continue
        targets = on_host(y, name, "cuda")
        fits = good(targets, *limits)
        if not fits.all():
            r = int(np.argmin(fits))
            warn(
                f"the metric {metric.name!r} expects {expected}, but {name} holds {_shown(targets[r])} in row {r}: "
                f"what it reports means nothing{advice}"
            )


def check_sample_weights(sample_weights: Any) -> None:
    """Warn if nothing can be learned, as all sample weights (None: there are none) are 0."""
    if sample_weights is not None and not on_host(sample_weights, "sample_weight", "cuda").any():
        warn("the weights of all rows are 0: nothing is learned from them")


def _zeros_and_ones(y: np.ndarray, *_: float) -> np.ndarray:
    return (y * y == y).all(axis=1)


def _between(y: np.ndarray, low: float, high: float) -> Any:
    return ((y >= low) & (y <= high)).all(axis=1)


def _is_one_hot(y: np.ndarray, *_: float) -> Any:
    """Whether one element of each row is the largest of all rows, and the others are the smallest."""
    return ((y == y.max()).sum(axis=1) == 1) & ((y == y.min()).sum(axis=1) == y.shape[1] - 1)


def _shown(row: np.ndarray) -> str:
    values = ", ".join(f"{value:g}" for value in row[:10])
    return values if len(row) == 1 else f"[{values}{', ...' if len(row) > 10 else ''}]"
