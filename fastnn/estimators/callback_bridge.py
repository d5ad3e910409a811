"""Callbacks of the estimators: scikit-learn's, which it has from version 1.9 on, and what fastnn's get to see."""

import weakref
from types import SimpleNamespace
from typing import Any

import numpy as np

from fastnn.common.arithmetic import as_the_caller
from fastnn.common.attributes import Strict
from fastnn.estimators.weights import attributes, names
from fastnn.layers.weights import check_weights

try:
    from sklearn.callback import CallbackSupportMixin
except ImportError:

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """Stands for what an older scikit-learn does not have."""


class FitTasks:
    """Tells the callbacks of an estimator, if it has any, where its fit is.

    Parameters
    ----------
    estimator
    epochs : most epochs, or iterations
    X, y, sample_weight
        Checked data, y as given.
    dtype : dtype
        Of the weights as attributes.
    """

    def __init__(
        self, estimator: Any, epochs: int, X: Any, y: np.ndarray, sample_weight: np.ndarray | None, dtype: np.dtype
    ) -> None:
        self._dtype = dtype
        self.wanted = hasattr(estimator, "_skl_callbacks")
        metadata = None if sample_weight is None else {"sample_weight": sample_weight}
        self._about = {"estimator": estimator, "X": X, "y": y, "metadata": metadata}
        if self.wanted:
            self._fit = estimator._init_callback_context(max_subtasks=epochs)
            as_the_caller(self._fit.call_on_fit_task_begin)(**self._about)

    def begin_epoch(self) -> None:
        if self.wanted:
            self._epoch = self._fit.subcontext(task_name="epoch")
            as_the_caller(self._epoch.call_on_fit_task_begin)(**self._about)

    def end_epoch(self, weights: Any) -> bool:
        """Whether a callback wants training to end; ``weights()`` gives those of an engine."""
        return self.wanted and self._end(self._epoch, weights)

    def end(self, weights: Any) -> None:
        if self.wanted:
            self._end(self._fit, weights)

    def _end(self, task: Any, weights: Any) -> bool:
        def learned() -> dict[str, list]:
            arrays = [array.astype(self._dtype, copy=False) for array in weights()]
            return attributes(arrays, self._about["estimator"]._normalization)

        return bool(as_the_caller(task.call_on_fit_task_end)(**self._about, reconstruction_attributes=learned))


class Trainee(Strict):
    """The ``model`` of fastnn's callbacks in the fit of an estimator.

    Attributes
    ----------
    stop_training : bool
        Set it to end the fit after the present step or epoch.
    optimizer : Optimizer
        Its ``learning_rate`` may be changed.
    metrics : sequence
        Says of the logs' ``val_score`` that more is better.
    estimator
        The estimator at work; it has what it learned only when the fit is over.
    """

    metrics = (SimpleNamespace(name="score", direction="max"),)

    def __init__(self, estimator: Any, engine: Any) -> None:
        self.stop_training = False
        self._estimator = weakref.ref(estimator)  # which has the callbacks, who keep their model
        self._engine = engine

    @property
    def estimator(self) -> Any:
        estimator = self._estimator()
        if estimator is None:
            raise ReferenceError("the estimator that this callback was in a fit of is gone, as nothing else kept it")
        return estimator

    @property
    def optimizer(self) -> Any:
        return self._engine.optimizer

    def get_weights(self) -> list[np.ndarray]:
        """Copies of all weights, in the order of ``coefs_[0]``, ``intercepts_[0]``, ``coefs_[1]``, ..."""
        return self._engine.get_weights()

    def set_weights(self, weights: list[np.ndarray]) -> None:
        """Replace all weights; a ValueError names the first whose shape does not fit."""
        plan = self._engine.plan
        named = names(len(plan.dense), self.estimator._normalization)
        self._engine.set_weights(check_weights(weights, list(zip(named, plan.weight_shapes, strict=True))))

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(
            f"in the fit of an estimator the model of a callback has no {name!r}; it has estimator, optimizer, "
            "metrics, stop_training, get_weights and set_weights. Callbacks that save models are for Sequential"
        )

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what belongs to a fit: callbacks keep their model, and clones of an estimator copy them."""
        return {"stop_training": self.stop_training}
