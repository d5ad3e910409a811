"""Losses as metrics, and the cross-entropies among them."""

from typing import Any

import numpy as np

from fastnn import losses
from fastnn.common.identifiers import serialize
from fastnn.losses.base import FROM_LOGITS
from fastnn.metrics.base import Metric

__all__ = [
    "BinaryCrossentropy",
    "CategoricalCrossentropy",
    "LossMetric",
    "SparseCategoricalCrossentropy",
]


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

    def __init__(self, name: str | None = None, dtype: None = None, from_logits: bool = False, axis: int = -1) -> None:
        _last(axis)
        LossMetric.__init__(self, losses.SparseCategoricalCrossentropy(from_logits), name, dtype)

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name, "from_logits": self.loss.from_logits}


def _last(axis: int) -> None:
    if axis not in (-1, 1):
        raise ValueError(f"axis must be -1, the last one, where the classes are; got {axis!r}")
