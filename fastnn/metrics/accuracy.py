"""Metrics of classes: fractions of outputs or rows that are right."""

import math
from typing import Any

import numpy as np

from fastnn.common import checks
from fastnn.metrics.base import Metric

__all__ = [
    "Accuracy",
    "BinaryAccuracy",
    "CategoricalAccuracy",
    "ExactAccuracy",
    "FittingAccuracy",
    "SparseCategoricalAccuracy",
]


class BinaryAccuracy(Metric):
    """Fraction of outputs on the right side of a threshold; one that is equal to it counts as 0.

    Parameters
    ----------
    name : str, optional
    dtype : None
    threshold : float, default=0.5
        0.0 is that of logits.
    """

    kernel = "binary_accuracy"
    direction = "max"

    def __init__(self, name: str | None = None, dtype: None = None, threshold: float = 0.5) -> None:
        super().__init__(name, dtype)
        self.threshold = checks.number("threshold", threshold, -math.inf)

    def factors(self, n_outputs: int) -> np.ndarray:
        from fastnn.kernels import codes

        row = super().factors(n_outputs)
        row[codes.SHAPE] = self.threshold
        return row

    def parameters(self) -> dict[str, Any]:
        return {"threshold": self.threshold}

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name, "threshold": self.threshold}


class CategoricalAccuracy(Metric):
    """Fraction of rows whose largest output is that of the one-hot target."""

    kernel = "categorical_accuracy"
    direction = "max"


class SparseCategoricalAccuracy(Metric):
    """Fraction of rows whose largest output has the number given as target."""

    kernel = "sparse_categorical_accuracy"
    direction = "max"


class ExactAccuracy(Metric):
    """Fraction of outputs that are equal to their targets, to the last bit; `Accuracy` is another name for it, Keras'.

    The accuracy of a classifier is the metric given by name, ``metrics=["accuracy"]``, or one of `BinaryAccuracy`,
    `CategoricalAccuracy` and `SparseCategoricalAccuracy`.
    """

    kernel = "exact_accuracy"
    direction = "max"

    def __init__(self, name: str | None = None, dtype: None = None) -> None:
        super().__init__(name or "accuracy", dtype)

    def resolve(self, n_outputs: int, sparse: bool) -> str:
        if sparse:
            raise ValueError(
                "metrics.Accuracy() is the share of outputs that are equal to their targets, and class numbers are "
                "no outputs: use the name 'accuracy' or metrics.SparseCategoricalAccuracy()"
            )
        return self.kernel


Accuracy = ExactAccuracy  # the class has the longer name, as files call the metric below "Accuracy"


class FittingAccuracy(Metric):
    """What the name "accuracy" means: binary for one output, sparse for class numbers, else categorical."""

    kernel = "accuracy"
    direction = "max"

    def resolve(self, n_outputs: int, sparse: bool) -> str:
        if n_outputs == 1:
            return BinaryAccuracy.kernel
        return SparseCategoricalAccuracy.kernel if sparse else CategoricalAccuracy.kernel
