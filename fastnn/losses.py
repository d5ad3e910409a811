"""Losses: names, aliases and how labels are to be given. The formulas are in ``fastnn.kernels``."""

import math
from typing import Any, ClassVar

import numpy as np

from fastnn.identifiers import resolve


class Loss:
    """What training makes small; callable on arrays.

    A loss averages over the rows of a batch. Squared, absolute and binary losses average over the outputs of a row
    first; the categorical ones sum over its classes.
    """

    name: ClassVar[str]
    target_range: ClassVar[tuple[float, float]] = (-math.inf, math.inf)
    from_logits = False

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> float:
        """Return the mean loss of predictions of shape (rows, outputs), each row times its weight."""
        rows = self.rows(y_true, y_pred)
        return float(np.mean(rows if sample_weight is None else rows * np.asarray(sample_weight, np.float64)))

    def rows(self, y_true: Any, y_pred: Any) -> np.ndarray:
        """Return the loss of each row, shape (rows,)."""
        from fastnn.kernels import reference

        name = self.name + ("_from_logits" if self.from_logits else "")
        return reference.loss(name, *as_rows(y_true, y_pred, self.name.startswith("sparse")))

    def get_config(self) -> dict[str, Any]:
        """Return arguments that make an equal object."""
        return {}


def as_rows(y_true: Any, y_pred: Any, sparse: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return targets and predictions as float64 matrices with one row per sample.

    Raises
    ------
    ValueError
        If their shapes do not fit, class numbers (`sparse`) being one column.
    """
    truth, predicted = (np.asarray(y, np.float64) for y in (y_true, y_pred))
    rows = [y.reshape(-1, 1) if y.ndim < 2 else y for y in (truth, predicted)]
    expected = (len(rows[1]), 1) if sparse else rows[1].shape
    if rows[0].shape != expected:
        raise ValueError(f"y_true has the shape {truth.shape}, but y_pred of shape {predicted.shape} needs {expected}")
    return rows[0], rows[1]


class MeanSquaredError(Loss):
    """Mean of squared differences."""

    name = "mean_squared_error"


class MeanAbsoluteError(Loss):
    """Mean of absolute differences."""

    name = "mean_absolute_error"


class _Crossentropy(Loss):
    """Negative log-likelihood of the targets."""

    target_range = (0.0, 1.0)

    def __init__(self, from_logits: bool = False) -> None:
        self.from_logits = bool(from_logits)

    def get_config(self) -> dict[str, Any]:
        return {"from_logits": self.from_logits}


class BinaryCrossentropy(_Crossentropy):
    """Cross-entropy; targets 0 or 1 (or between), one per output.

    Parameters
    ----------
    from_logits : bool, default=False
        Whether the last layer gives logits (no activation) rather than probabilities.
    """

    name = "binary_crossentropy"


class CategoricalCrossentropy(_Crossentropy):
    """Cross-entropy; targets one-hot, one column per class.

    Parameters
    ----------
    from_logits : bool, default=False
        Whether the last layer gives logits (no activation) rather than probabilities.
    """

    name = "categorical_crossentropy"


class SparseCategoricalCrossentropy(_Crossentropy):
    """Cross-entropy; targets are class numbers 0 .. classes-1.

    Parameters
    ----------
    from_logits : bool, default=False
        Whether the last layer gives logits (no activation) rather than probabilities.
    """

    name = "sparse_categorical_crossentropy"


class PoissonDeviance(Loss):
    """Half the Poisson deviance of rates, ``target * log(target / rate) - target + rate``; targets >= 0."""

    name = "poisson_deviance"
    target_range = (0.0, math.inf)


_CLASSES: tuple[type[Loss], ...] = (
    MeanSquaredError,
    MeanAbsoluteError,
    BinaryCrossentropy,
    CategoricalCrossentropy,
    SparseCategoricalCrossentropy,
    PoissonDeviance,
)
_TABLE: dict[str, type[Loss]] = {cls.name: cls for cls in _CLASSES}
_TABLE |= {"mse": MeanSquaredError, "mae": MeanAbsoluteError, "bce": BinaryCrossentropy}


def mean_squared_error(y_true: Any, y_pred: Any) -> np.ndarray:
    """Return the squared error of each row, shape (rows,)."""
    return MeanSquaredError().rows(y_true, y_pred)


def mean_absolute_error(y_true: Any, y_pred: Any) -> np.ndarray:
    """Return the absolute error of each row, shape (rows,)."""
    return MeanAbsoluteError().rows(y_true, y_pred)


def binary_crossentropy(y_true: Any, y_pred: Any, from_logits: bool = False) -> np.ndarray:
    """Return the binary cross-entropy of each row, shape (rows,)."""
    return BinaryCrossentropy(from_logits).rows(y_true, y_pred)


def categorical_crossentropy(y_true: Any, y_pred: Any, from_logits: bool = False) -> np.ndarray:
    """Return the cross-entropy of each row with one-hot targets, shape (rows,)."""
    return CategoricalCrossentropy(from_logits).rows(y_true, y_pred)


def sparse_categorical_crossentropy(y_true: Any, y_pred: Any, from_logits: bool = False) -> np.ndarray:
    """Return the cross-entropy of each row with class numbers as targets, shape (rows,)."""
    return SparseCategoricalCrossentropy(from_logits).rows(y_true, y_pred)


_FUNCTIONS = (
    mean_squared_error,
    mean_absolute_error,
    binary_crossentropy,
    categorical_crossentropy,
    sparse_categorical_crossentropy,
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
