"""Losses: names and parameters, those of Keras where it has the loss. The formulas are in ``fastnn.kernels``."""

from typing import Any

from fastnn.common import absent
from fastnn.common.identifiers import resolve
from fastnn.losses.base import Loss, as_rows
from fastnn.losses.crossentropy import (
    BinaryCrossentropy,
    BinaryFocalCrossentropy,
    CategoricalCrossentropy,
    CategoricalFocalCrossentropy,
    SparseCategoricalCrossentropy,
    SparseCategoricalFocalCrossentropy,
)
from fastnn.losses.functions import (
    binary_crossentropy,
    binary_focal_crossentropy,
    categorical_crossentropy,
    categorical_focal_crossentropy,
    huber,
    is_function,
    log_cosh,
    mean_absolute_error,
    mean_squared_error,
    poisson,
    sparse_categorical_crossentropy,
)
from fastnn.losses.regression import (
    Huber,
    LogCosh,
    MeanAbsoluteError,
    MeanSquaredError,
    Poisson,
    PoissonDeviance,
    Quantile,
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
