"""Rows that an estimator does not train on: where they come from, their loss, and their score after each epoch."""

import copy
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from fastnn.data.samples import Samples
from fastnn.engine.engine import Engine
from fastnn.engine.evaluation import Evaluation
from fastnn.estimators.sparse_input import compressed


class HeldOut(NamedTuple):
    """Held-out rows, with what a score looks at."""

    samples: Samples
    labels: np.ndarray  # as the user gave them
    sample_weight: np.ndarray | None  # as the user gave them


def validation_arguments(data: Any, X: Any, y: Any, sample_weight: Any) -> tuple[Any, Any, Any] | None:
    """Return (X, y, sample_weight) from either form in which `fit` takes validation data; None for none.

    Raises
    ------
    ValueError
        For both forms at once, or one half of either.
    """
    if data is not None:
        if X is not None or y is not None or sample_weight is not None:
            raise ValueError("give either validation_data or X_val and y_val, not both")
        if not isinstance(data, (tuple, list)) or len(data) not in (2, 3):
            raise ValueError("validation_data must be a tuple (X, y) or (X, y, sample_weight)")
        return data[0], data[1], data[2] if len(data) == 3 else None
    if X is None and y is None and sample_weight is None:
        return None
    if X is None or y is None:
        raise ValueError("X_val and y_val must be given together")
    return X, y, sample_weight


def split(
    data: HeldOut, fraction: float, stratify: bool, random_state: np.random.RandomState
) -> tuple[Samples, HeldOut]:
    """Return rows to train on and held-out rows, drawn as scikit-learn draws them."""
    from sklearn.model_selection import train_test_split

    samples, labels, sample_weight = data
    train, held_out = train_test_split(
        np.arange(len(samples)),
        random_state=random_state,
        test_size=fraction,
        stratify=np.where(samples.y[:, 0] != 0, "True", "False") if stratify else None,  # a column would be slow
    )
    if len(held_out) < 2:
        raise ValueError("The validation set is too small. Increase 'validation_fraction' or the size of your dataset.")
    if samples.sample_weights is not None and not samples.sample_weights[held_out].any():
        raise ValueError(
            "Sample weights must contain at least one non-zero number. Those of the held-out rows are all 0."
        )
    given = None if sample_weight is None else sample_weight[held_out]  # as the user gave them
    # SciPy takes rows without a look at their indices
    samples = replace(samples, x=compressed(samples.x, "X", own=True))
    return samples[train], HeldOut(samples[held_out], labels[held_out], given)


class Judge:
    """Gives loss and score of a network on held-out rows.

    Parameters
    ----------
    estimator
        Its `scoring` names the score; None is that of its `_score_metric` or `_validation_score`.
    engine : Engine
        Holds the weights that are judged.
    data : HeldOut
    dtype : dtype
        Of the weights as attributes.
    limit : float
        The largest loss of one output that is reported.
    """

    def __init__(self, estimator: Any, engine: Engine, data: HeldOut, dtype: np.dtype, limit: float) -> None:
        self._estimator, self._engine, self._data, self._dtype = estimator, engine, data, dtype
        self._scorer = scorer(estimator.scoring)
        self._metrics = estimator._metrics()
        metric = estimator._score_metric() if estimator.scoring is None else None
        objective = engine.plan.objective(estimator._loss(), self._metrics if metric is None else [metric], limit=limit)
        self._has_score = metric is not None
        self._evaluate = Evaluation(engine, objective, data.samples)
        of_loss = data.samples.sample_weights
        self._sample_weights = of_loss, data.sample_weight if self._has_score else of_loss

    def __call__(self) -> tuple[float, float]:
        """Mean loss as the estimator reports it, without penalties; and the score.

        Where outputs are not finite, accuracies are those of the classes that `predict` gives, other scores NaN.
        """
        stats, (loss_weights, metric_weights) = self._evaluate(), self._sample_weights
        if metric_weights is not None:
            stats[:, 1:] *= metric_weights[:, np.newaxis]
        means = np.add.reduce(stats, axis=0)
        means[0] *= self._estimator._loss_scale() / _sum(loss_weights, len(stats))
        means[1:] /= _sum(metric_weights, len(stats))
        if self._has_score:
            loss, score = means.tolist()
            return loss, score
        loss = self._estimator._reported_loss(means)
        return loss, self._score(loss)

    def _score(self, loss: float) -> float:
        scoring, (samples, labels, sample_weight) = self._estimator.scoring, self._data
        if not self._estimator.early_stopping:
            return math.nan
        if scoring == "loss":
            return -loss
        if self._scorer is None or not math.isfinite(loss):
            outputs = np.asarray(self._estimator._finished(self._engine, samples.x))
            if self._scorer is None:
                return self._estimator._validation_score(outputs, samples.y, labels, sample_weight)
            if not np.isfinite(outputs).all():
                return math.nan
        options = {} if sample_weight is None else {"sample_weight": sample_weight}
        return float(self._scorer(self._view(), samples.x, labels, **options))

    def _view(self) -> Any:
        """Return the estimator as it would be if training ended now."""
        view = copy.copy(self._estimator)
        view.__dict__.pop("feature_names_in_", None)  # what is scored has lost its names
        view._keep_weights(self._engine.get_weights(), self._dtype)
        view._engine, view._engine_weights = self._engine, view._kept
        view._engine_parameters = view._parameters_of_engine()
        return view


def scorer(scoring: Any) -> Callable | None:
    """Return the scorer of a name or callable; None for the estimator's own score, and for 'loss'."""
    if scoring is None or scoring == "loss":
        return None
    from sklearn.metrics import get_scorer

    return get_scorer(scoring)


def _sum(sample_weights: np.ndarray | None, rows: int) -> float:
    return rows if sample_weights is None else float(sample_weights.sum(dtype=np.float64))
