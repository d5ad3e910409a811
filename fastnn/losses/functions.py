"""The loss of each row, as functions with Keras' names."""

from collections.abc import Callable
from typing import Any

import numpy as np

from fastnn.common.keras_arguments import accepting
from fastnn.losses.crossentropy import (
    BinaryCrossentropy,
    BinaryFocalCrossentropy,
    CategoricalCrossentropy,
    CategoricalFocalCrossentropy,
    SparseCategoricalCrossentropy,
)
from fastnn.losses.regression import Huber, LogCosh, MeanAbsoluteError, MeanSquaredError, Poisson

__all__ = [
    "binary_crossentropy",
    "binary_focal_crossentropy",
    "categorical_crossentropy",
    "categorical_focal_crossentropy",
    "huber",
    "log_cosh",
    "mean_absolute_error",
    "mean_squared_error",
    "poisson",
    "sparse_categorical_crossentropy",
]


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


_FUNCTIONS = [globals()[name] for name in __all__]


def is_function(identifier: Any) -> bool:
    """Whether `identifier` is one of the loss functions of this module."""
    return callable(identifier) and identifier in _FUNCTIONS
