"""Metrics: what is reported beside the loss. The formulas are in ``fastnn.kernels``."""

import copy
import math
from typing import Any

import numpy as np

from fastnn import losses
from fastnn.common import absent, checks
from fastnn.common.identifiers import resolve, serialize
from fastnn.lowering.objective import FROM_LOGITS
from fastnn.metrics.base import Metric


class MeanSquaredError(Metric):
    """Mean of squared differences."""

    kernel = "mean_squared_error"


class RootMeanSquaredError(MeanSquaredError):
    """Root of the mean of squared differences."""

    def __init__(self, name: str | None = None, dtype: None = None) -> None:
        super().__init__(name or "root_mean_squared_error", dtype)

    def finish(self, mean: float) -> float:
        return math.sqrt(mean)


class MeanAbsoluteError(Metric):
    """Mean of absolute differences."""

    kernel = "mean_absolute_error"


class BinaryAccuracy(Metric):
    """Share of outputs on the right side of a threshold; one that is equal to it counts as 0.

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
    """Share of rows whose largest output is that of the one-hot target."""

    kernel = "categorical_accuracy"
    direction = "max"


class SparseCategoricalAccuracy(Metric):
    """Share of rows whose largest output has the number given as target."""

    kernel = "sparse_categorical_accuracy"
    direction = "max"


class ExactAccuracy(Metric):
    """Share of outputs that are equal to their targets, to the last bit; `Accuracy` is another name for it, Keras'.

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


class LossMetric(Metric):
    """A loss as a metric.

    Parameters
    ----------
    loss : str, Loss or dict
    name : str, optional
        Default: that of the loss.
    """

    def __init__(self, loss: Any, name: str | None = None, dtype: None = None) -> None:
        self.loss = losses.get(loss)
        super().__init__(name, dtype)

    @property
    def kernel(self) -> str:  # type: ignore[override]
        return self.loss.name

    def resolve(self, n_outputs: int, sparse: bool) -> str:
        return super().resolve(n_outputs, sparse) + FROM_LOGITS * self.loss.from_logits

    def factors(self, n_outputs: int) -> np.ndarray:
        return self.loss.factors(n_outputs)

    def parameters(self) -> dict[str, Any]:
        return self.loss.parameters()

    def get_config(self) -> dict[str, Any]:
        return {"loss": serialize(self.loss), "name": self.name}


class BinaryCrossentropy(LossMetric):
    """Cross-entropy of targets 0 or 1, one per output; parameters as those of the loss."""

    def __init__(
        self, name: str | None = None, dtype: None = None, from_logits: bool = False, label_smoothing: float = 0.0
    ) -> None:
        super().__init__(losses.BinaryCrossentropy(from_logits, label_smoothing), name, dtype)

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name, **self.loss.get_config()}


class CategoricalCrossentropy(BinaryCrossentropy):
    """Cross-entropy of one-hot targets; parameters as those of the loss, `axis` the last one."""

    def __init__(
        self,
        name: str | None = None,
        dtype: None = None,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
    ) -> None:
        _last(axis)
        LossMetric.__init__(self, losses.CategoricalCrossentropy(from_logits, label_smoothing), name, dtype)


class SparseCategoricalCrossentropy(BinaryCrossentropy):
    """Cross-entropy of class numbers; parameters as those of the loss, `axis` the last one."""

    def __init__(
        self, name: str | None = None, dtype: None = None, from_logits: bool = False, axis: int = -1
    ) -> None:
        _last(axis)
        LossMetric.__init__(self, losses.SparseCategoricalCrossentropy(from_logits), name, dtype)

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name, "from_logits": self.loss.from_logits}


def _last(axis: int) -> None:
    if axis not in (-1, 1):
        raise ValueError(f"axis must be -1, the last one, where the classes are; got {axis!r}")


class LogCoshError(Metric):
    """Mean of log(cosh(difference)), reported as ``logcosh``."""

    kernel = "log_cosh"

    def __init__(self, name: str | None = None, dtype: None = None) -> None:
        super().__init__(name or "logcosh", dtype)


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
    FittingAccuracy,
    ExactAccuracy,
    LogCoshError,
    Poisson,
    PoissonDeviance,
)
_TABLE: dict[str, type[Metric]] = {cls.kernel: cls for cls in _CLASSES} | {
    "acc": FittingAccuracy,
    "fitting_accuracy": FittingAccuracy,
    "log_cosh_error": LogCoshError,
    "mse": MeanSquaredError,
    "mae": MeanAbsoluteError,
    "binary_crossentropy": BinaryCrossentropy,
    "bce": BinaryCrossentropy,
    "categorical_crossentropy": CategoricalCrossentropy,
    "sparse_categorical_crossentropy": SparseCategoricalCrossentropy,
    "rmse": RootMeanSquaredError,
    "root_mean_squared_error": RootMeanSquaredError,
    "loss_metric": LossMetric,
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
        return LossMetric(identifier)
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
