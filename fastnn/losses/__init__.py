"""Losses: names and parameters, those of Keras where it has the loss. The formulas are in ``fastnn.kernels``."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fastnn.common import absent, checks
from fastnn.common.identifiers import resolve
from fastnn.common.keras_arguments import accepting
from fastnn.losses.base import Loss, as_rows
from fastnn.losses.crossentropy import (
    BinaryCrossentropy,
    BinaryFocalCrossentropy,
    CategoricalCrossentropy,
    CategoricalFocalCrossentropy,
    SparseCategoricalCrossentropy,
    SparseCategoricalFocalCrossentropy,
)

__all__ = [
    "BinaryCrossentropy",
    "BinaryFocalCrossentropy",
    "CategoricalCrossentropy",
    "CategoricalFocalCrossentropy",
    "Huber",
    "LogCosh",
    "Loss",
    "MeanAbsoluteError",
    "MeanSquaredError",
    "Poisson",
    "PoissonDeviance",
    "Quantile",
    "SparseCategoricalCrossentropy",
    "SparseCategoricalFocalCrossentropy",
    "as_rows",
    "binary_crossentropy",
    "binary_focal_crossentropy",
    "categorical_crossentropy",
    "categorical_focal_crossentropy",
    "get",
    "huber",
    "is_function",
    "log_cosh",
    "mean_absolute_error",
    "mean_squared_error",
    "poisson",
    "sparse_categorical_crossentropy",
]


class MeanSquaredError(Loss):
    """Mean of squared differences."""

    name = "mean_squared_error"


class MeanAbsoluteError(Loss):
    """Mean of absolute differences."""

    name = "mean_absolute_error"


class Huber(Loss):
    """Half the squared difference up to `delta`, linear beyond (Huber, 1964): outliers pull no harder than `delta`.

    Parameters
    ----------
    delta : float, default=1.0
        Difference at which it becomes linear, > 0.
    """

    name = "huber"

    def __init__(self, delta: float = 1.0) -> None:
        self.delta = checks.number("delta", delta, 0.0, above=True)

    def factors(self, n_outputs: int) -> np.ndarray:
        from fastnn.kernels import codes

        row = super().factors(n_outputs)
        row[codes.SHAPE] = self.delta
        return row

    def get_config(self) -> dict[str, Any]:
        return {"delta": self.delta}


class LogCosh(Loss):
    """log(cosh(difference)): squared for small differences, absolute for large ones."""

    name = "log_cosh"


class Quantile(Loss):
    """Pinball loss, least at quantiles of the targets given the inputs (Koenker and Bassett, 1978).

    A difference counts `level` times where the target lies above the output, 1 - `level` times where below; the
    loss averages over targets and levels.

    Parameters
    ----------
    levels : float or sequence of float, default=0.5
        Levels of the quantiles, each in (0, 1). With several, the network has an output for each level of each target:
        output ``i * len(levels) + k`` is the quantile of target i at ``levels[k]``, and targets have
        ``outputs / len(levels)`` columns.
    """

    name = "quantile"

    def __init__(self, levels: float | Sequence[float] = 0.5) -> None:
        given = np.atleast_1d(np.asarray(levels, dtype=object)).tolist()
        if np.ndim(levels) > 1 or not given:
            raise ValueError(f"levels must be a number or a list of numbers in (0, 1); got {levels!r}")
        self.levels = [checks.number("levels", level, 0.0, 1.0, above=True) for level in given]

    def target_width(self, n_outputs: int) -> int:
        if n_outputs % len(self.levels):
            raise ValueError(
                f"loss 'quantile' with {len(self.levels)} levels needs as many outputs for each target: a multiple of "
                f"{len(self.levels)} units in the last layer; it has {n_outputs}"
            )
        return n_outputs // len(self.levels)

    def factors(self, n_outputs: int) -> np.ndarray:
        from fastnn.kernels import codes

        row = super().factors(n_outputs)
        row[codes.PER_OUTPUT :] = np.tile(self.levels, self.target_width(n_outputs))
        return row

    def get_config(self) -> dict[str, Any]:
        return {"levels": self.levels}


class Poisson(Loss):
    """Negative log-likelihood of rates up to a constant, ``rate - target * log(rate)``; targets >= 0."""

    name = "poisson"
    target_range = (0.0, math.inf)


class PoissonDeviance(Loss):
    """Half the Poisson deviance of rates, ``target * log(target / rate) - target + rate``; targets >= 0.

    It differs from `Poisson` by a constant, which makes it 0 for perfect rates.
    """

    name = "poisson_deviance"
    target_range = (0.0, math.inf)


_CLASSES: tuple[type[Loss], ...] = (
    MeanSquaredError,
    MeanAbsoluteError,
    Huber,
    LogCosh,
    Quantile,
    BinaryCrossentropy,
    CategoricalCrossentropy,
    SparseCategoricalCrossentropy,
    BinaryFocalCrossentropy,
    CategoricalFocalCrossentropy,
    SparseCategoricalFocalCrossentropy,
    Poisson,
    PoissonDeviance,
)
_TABLE: dict[str, type[Loss]] = {cls.name: cls for cls in _CLASSES}
_TABLE |= {"mse": MeanSquaredError, "mae": MeanAbsoluteError, "bce": BinaryCrossentropy, "pinball": Quantile}


def _of_rows(function: Callable[..., np.ndarray]) -> Any:
    return accepting(function, "loss function")


@_of_rows
def mean_squared_error(y_true: Any, y_pred: Any) -> np.ndarray:
    """Return the squared error of each row, shape (rows,)."""
    return MeanSquaredError().rows(y_true, y_pred)


@_of_rows
def mean_absolute_error(y_true: Any, y_pred: Any) -> np.ndarray:
    """Return the absolute error of each row, shape (rows,)."""
    return MeanAbsoluteError().rows(y_true, y_pred)


@_of_rows
def huber(y_true: Any, y_pred: Any, delta: float = 1.0) -> np.ndarray:
    """Return Huber's loss of each row, shape (rows,)."""
    return Huber(delta).rows(y_true, y_pred)


@_of_rows
def log_cosh(y_true: Any, y_pred: Any) -> np.ndarray:
    """Return log(cosh(difference)) of each row, shape (rows,)."""
    return LogCosh().rows(y_true, y_pred)


@_of_rows
def poisson(y_true: Any, y_pred: Any) -> np.ndarray:
    """Return Poisson's loss of each row, shape (rows,)."""
    return Poisson().rows(y_true, y_pred)


@_of_rows
def binary_crossentropy(
    y_true: Any, y_pred: Any, from_logits: bool = False, label_smoothing: float = 0.0
) -> np.ndarray:
    """Return the binary cross-entropy of each row, shape (rows,)."""
    return BinaryCrossentropy(from_logits, label_smoothing).rows(y_true, y_pred)


@_of_rows
def categorical_crossentropy(
    y_true: Any, y_pred: Any, from_logits: bool = False, label_smoothing: float = 0.0
) -> np.ndarray:
    """Return the cross-entropy of each row with one-hot targets, shape (rows,)."""
    return CategoricalCrossentropy(from_logits, label_smoothing).rows(y_true, y_pred)


@_of_rows
def sparse_categorical_crossentropy(y_true: Any, y_pred: Any, from_logits: bool = False) -> np.ndarray:
    """Return the cross-entropy of each row with class numbers as targets, shape (rows,)."""
    return SparseCategoricalCrossentropy(from_logits).rows(y_true, y_pred)


@_of_rows
def binary_focal_crossentropy(y_true: Any, y_pred: Any, *args: Any, **options: Any) -> np.ndarray:
    """Return the binary focal cross-entropy of each row, shape (rows,); options as in `BinaryFocalCrossentropy`."""
    return BinaryFocalCrossentropy(*args, **options).rows(y_true, y_pred)


@_of_rows
def categorical_focal_crossentropy(y_true: Any, y_pred: Any, *args: Any, **options: Any) -> np.ndarray:
    """Return the focal cross-entropy of each row, shape (rows,); options as in `CategoricalFocalCrossentropy`."""
    return CategoricalFocalCrossentropy(*args, **options).rows(y_true, y_pred)


_FUNCTIONS = (
    mean_squared_error,
    mean_absolute_error,
    huber,
    log_cosh,
    poisson,
    binary_crossentropy,
    categorical_crossentropy,
    sparse_categorical_crossentropy,
    binary_focal_crossentropy,
    categorical_focal_crossentropy,
)


def is_function(identifier: Any) -> bool:
    """Whether `identifier` is one of the loss functions of this module."""
    return callable(identifier) and identifier in _FUNCTIONS


def get(identifier: Any) -> Loss:
    """Return a loss by name, object, class, function of this module or configuration dict.

    Raises
    ------
    ValueError
        For an unknown name; the message lists the known ones.
    """
    if is_function(identifier):
        identifier = identifier.__name__
    return resolve(identifier, _TABLE, Loss, "loss")


absent.explain(__name__)
