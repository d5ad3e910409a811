"""Metrics: what is reported beside the loss. The formulas are in ``fastnn.kernels``."""

import math
from typing import Any, ClassVar

import numpy as np

from fastnn import losses
from fastnn.identifiers import resolve


class Metric:
    """A number about predictions, averaged over rows; callable on arrays.

    Parameters
    ----------
    name : str, optional
        Key in logs and history.

    Attributes
    ----------
    direction : {"min", "max"}
        Whether smaller or larger values are better.
    """

    kernel: ClassVar[str]  # one of fastnn.kernels.codes.METRICS
    direction: ClassVar[str] = "min"

    def __init__(self, name: str | None = None) -> None:
        self.name = name or self.kernel

    def resolve(self, n_outputs: int, sparse: bool) -> str:
        """Return the kernel for a model of `n_outputs` outputs whose targets are class numbers (`sparse`) or not.

        Raises
        ------
        ValueError
            If the metric needs the other kind of targets.
        """
        if sparse != self.kernel.startswith("sparse"):
            needed, given = ("class numbers", "one column per output")
            if sparse:
                needed, given = given, needed
            raise ValueError(f"the metric {self.name!r} needs targets as {needed}, but the loss takes {given}")
        return self.kernel

    def finish(self, mean: float) -> float:
        """Turn the mean over all rows into the value that is reported."""
        return mean

    def __call__(self, y_true: Any, y_pred: Any) -> float:
        """Return the metric of predictions of shape (rows, outputs)."""
        from fastnn.kernels import reference

        n_outputs = np.shape(y_pred)[1] if np.ndim(y_pred) > 1 else 1
        sparse = n_outputs > 1 and np.size(y_true) == len(y_true)
        rows = losses.as_rows(y_true, y_pred, 1 if sparse else n_outputs)
        return self.finish(float(reference.metric(self.resolve(n_outputs, sparse), *rows).mean()))

    def get_config(self) -> dict[str, Any]:
        """Return arguments that make an equal object."""
        return {"name": self.name}


class MeanSquaredError(Metric):
    """Mean of squared differences."""

    kernel = "mean_squared_error"


class RootMeanSquaredError(MeanSquaredError):
    """Root of the mean of squared differences."""

    def __init__(self, name: str | None = None) -> None:
        super().__init__(name or "root_mean_squared_error")

    def finish(self, mean: float) -> float:
        return math.sqrt(mean)


class MeanAbsoluteError(Metric):
    """Mean of absolute differences."""

    kernel = "mean_absolute_error"


class BinaryAccuracy(Metric):
    """Share of outputs on the right side of one half."""

    kernel = "binary_accuracy"
    direction = "max"


class CategoricalAccuracy(Metric):
    """Share of rows whose largest output is that of the one-hot target."""

    kernel = "categorical_accuracy"
    direction = "max"


class SparseCategoricalAccuracy(Metric):
    """Share of rows whose largest output has the number given as target."""

    kernel = "sparse_categorical_accuracy"
    direction = "max"


class Accuracy(Metric):
    """The accuracy that fits: binary for one output, sparse for class numbers, else categorical."""

    kernel = "accuracy"
    direction = "max"

    def resolve(self, n_outputs: int, sparse: bool) -> str:
        if n_outputs == 1:
            return BinaryAccuracy.kernel
        return SparseCategoricalAccuracy.kernel if sparse else CategoricalAccuracy.kernel


class _Crossentropy(Metric):
    def __init__(self, name: str | None = None, from_logits: bool = False) -> None:
        super().__init__(name)
        self.from_logits = bool(from_logits)

    def resolve(self, n_outputs: int, sparse: bool) -> str:
        return super().resolve(n_outputs, sparse) + ("_from_logits" if self.from_logits else "")

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name, "from_logits": self.from_logits}


class BinaryCrossentropy(_Crossentropy):
    """Cross-entropy of targets 0 or 1, one per output."""

    kernel = "binary_crossentropy"


class CategoricalCrossentropy(_Crossentropy):
    """Cross-entropy of one-hot targets."""

    kernel = "categorical_crossentropy"


class SparseCategoricalCrossentropy(_Crossentropy):
    """Cross-entropy of class numbers."""

    kernel = "sparse_categorical_crossentropy"


class LogCoshError(Metric):
    """Mean of log(cosh(difference))."""

    kernel = "log_cosh"


class Poisson(Metric):
    """Negative log-likelihood of Poisson rates up to a constant, one per output."""

    kernel = "poisson"


class PoissonDeviance(Metric):
    """Half the Poisson deviance of rates, one per output."""

    kernel = "poisson_deviance"


_CLASSES: tuple[type[Metric], ...] = (
    MeanSquaredError,
    MeanAbsoluteError,
    BinaryAccuracy,
    CategoricalAccuracy,
    SparseCategoricalAccuracy,
    Accuracy,
    BinaryCrossentropy,
    CategoricalCrossentropy,
    SparseCategoricalCrossentropy,
    LogCoshError,
    Poisson,
    PoissonDeviance,
)
_TABLE = {cls.kernel: cls for cls in _CLASSES} | {
    "acc": Accuracy,
    "log_cosh_error": LogCoshError,
    "mse": MeanSquaredError,
    "mae": MeanAbsoluteError,
    "bce": BinaryCrossentropy,
    "rmse": RootMeanSquaredError,
    "root_mean_squared_error": RootMeanSquaredError,
}


def get(identifier: Any) -> Metric:
    """Return a metric by name, object, class, loss function or configuration dict.

    A metric given by name is reported under that name: ``"acc"`` as ``acc``, as in Keras.

    Raises
    ------
    ValueError
        For an unknown name; the message lists the known ones.
    """
    if losses.is_function(identifier):
        identifier = identifier.__name__
    metric = resolve(identifier, _TABLE, Metric, "metric")
    if isinstance(identifier, str):
        metric.name = identifier
    return metric


def get_list(identifiers: Any) -> list[Metric]:
    """Return the metrics of a list, a single one or None, whose names must differ.

    Raises
    ------
    ValueError
        For an unknown name, or if two metrics would be reported under one name.
    """
    if identifiers is None:
        return []
    if not isinstance(identifiers, (list, tuple)):
        identifiers = [identifiers]
    found = [get(identifier) for identifier in identifiers]
    names = [metric.name for metric in found]
    for name in names:
        if names.count(name) > 1 or name == "loss":
            raise ValueError(f"metrics: the name {name!r} is taken; give one of the metrics another name")
    return found
