"""The scikit-learn estimator for regression."""

import math
from collections.abc import Sequence
from numbers import Real
from typing import Any, ClassVar, Self

import numpy as np
from scipy.sparse import issparse
from sklearn.base import RegressorMixin, _fit_context
from sklearn.utils import column_or_1d
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.metaestimators import available_if

from fastnn.common.arithmetic import heedless
from fastnn.estimators.base import BaseMLP
from fastnn.estimators.classifier import MLPClassifier
from fastnn.estimators.docstrings import with_entries_of
from fastnn.losses import Huber, Loss, MeanAbsoluteError, MeanSquaredError, PoissonDeviance, Quantile

_LOSSES: dict[str, type[Loss]] = {
    "squared_error": MeanSquaredError,
    "poisson": PoissonDeviance,
    "absolute_error": MeanAbsoluteError,
}


class MLPRegressor(RegressorMixin, BaseMLP):
    """Multi-layer perceptron regressor with scikit-learn's parameters, attributes and rules.

    Minimizes half the squared error, or another loss, summed over the outputs. It reports the mean over the outputs of
    the squared error, the sum of the others, as scikit-learn does.

    Parameters
    ----------
    loss : {'squared_error', 'poisson', 'absolute_error', 'huber', 'quantile'}, default='squared_error'
        'poisson' (half the deviance) is for counts: the outputs are exponentials, and targets must not be negative.
        'absolute_error' and 'huber' let outliers pull less; 'quantile' is the pinball loss of the levels `quantile`.
    hidden_layer_sizes, ..., global_clipnorm
        As in `MLPClassifier`.
    quantile : float or list of float, default=0.5
        For the loss 'quantile': a level in (0, 1), or several that one network learns at once. `predict` then has a
        column for each level, and `score` is the mean over the levels of scikit-learn's ``d2_pinball_score``.
    huber_delta : float, default=1.0
        For the loss 'huber': the error, > 0, from which on it grows linearly.

    Attributes
    ----------
    validation_scores_, best_validation_score_
        Values of `score` (R², unless there are several quantiles), or of `scoring`, on the held-out rows with early
        stopping.
    coefs_, ..., out_activation_
        As in `MLPClassifier`.
    """

    _parameter_constraints: ClassVar[dict[str, list]] = {
        **BaseMLP._parameter_constraints,
        "loss": [StrOptions({"squared_error", "poisson", "absolute_error", "huber", "quantile"})],
        "quantile": [Interval(Real, 0, 1, closed="neither"), "array-like"],
        "huber_delta": [Interval(Real, 0, None, closed="neither")],
    }

    def __init__(
        self,
        loss: str = "squared_error",
        hidden_layer_sizes: int | Sequence[int] = (100,),
        activation: Any = "relu",
        *,
        solver: str = "adam",
        alpha: float = 0.0001,
        batch_size: int | str = "auto",
        learning_rate: Any = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: Any = None,
        tol: float = 1e-4,
        verbose: bool = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: float = 10,
        max_fun: int = 15000,
        dtype: str = "float32",
        threads: int | None = None,
        device: str | None = None,
        jit_compile: bool | str = "auto",
        n_layers: int | None = None,
        width: int | None = None,
        dropout: float | Sequence[float] = 0.0,
        normalization: str | None = None,
        weight_decay: float | None = None,
        rho: float = 0.9,
        scoring: Any = None,
        callbacks: Any = None,
        time_limit: float | None = None,
        clipvalue: float | None = None,
        clipnorm: float | None = None,
        global_clipnorm: float | None = None,
        quantile: float | Sequence[float] = 0.5,
        huber_delta: float = 1.0,
    ) -> None:
        self._keep(locals())

    @available_if(lambda estimator: estimator._check_solver())
    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train for one more epoch on these rows, going on with the optimizer's state; arguments as in `fit`.

        Not with the solver 'lbfgs', which has no epochs.
        """
        self._fit(X, y, sample_weight, incremental=True)
        return self

    def predict(self, X: Any) -> np.ndarray:
        """Predicted values, shape (n_samples,), or (n_samples, n_outputs) for several outputs or quantiles."""
        outputs = self._outputs(X)
        return outputs[:, 0] if self.n_outputs_ == 1 else outputs

    @heedless
    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Coefficient of determination R² of the predictions; for several quantiles the mean ``d2_pinball_score``."""
        y, sample_weight = self._on_host(y, "y"), self._on_host(sample_weight, "sample_weight")
        return _score(y, np.asarray(self.predict(X)), self._levels(), sample_weight)

    def _validation_score(
        self, outputs: np.ndarray, targets: np.ndarray, labels: np.ndarray, sample_weight: np.ndarray | None
    ) -> float:
        exact = np.asarray(labels, np.float64).reshape(targets.shape)
        return _score(exact, outputs, self._levels(), sample_weight) if np.isfinite(outputs).all() else math.nan

    def _levels(self) -> Sequence[float]:
        """Quantiles that the outputs stand for; none for another loss."""
        return np.atleast_1d(self.quantile).tolist() if self.loss == "quantile" else []

    def _kind_of_outputs(self) -> str:
        levels, activation = len(self._levels()), self._output_activation()
        return f"outputs for {levels} quantiles" if levels > 1 else f"outputs of the activation {activation!r}"

    def _output_activation(self) -> str:
        return "exp" if self.loss == "poisson" else "identity"

    def _read_targets(self, y: np.ndarray, name: str) -> np.ndarray:
        if issparse(y) or y.dtype.kind in "mM":
            found = "a sparse matrix: pass .toarray()" if issparse(y) else f"{y.dtype}: turn it into numbers first"
            raise TypeError(f"{name} must be an array of numbers; it is {found}")
        targets = np.asarray(y, dtype=np.float64)
        if targets.ndim == 1 or targets.shape[1] == 1:
            targets = column_or_1d(targets, warn=True)[:, np.newaxis]
        if self.loss == "poisson" and targets.min() < 0:
            raise ValueError(f"loss='poisson' needs targets {name} >= 0; the least is {targets.min()}")
        return targets

    def _learn_targets(self, targets: np.ndarray, fresh: bool, incremental: bool) -> None:
        if fresh:
            levels = self._levels()
            if len(levels) > 1 and targets.shape[1] > 1:
                raise ValueError(
                    f"several levels, quantile={self.quantile}, need one target; y has {targets.shape[1]} columns. "
                    "Use sklearn.multioutput.MultiOutputRegressor, or one level"
                )
            self.n_outputs_ = max(targets.shape[1], len(levels))
            self.out_activation_ = self._output_activation()

    def _encode(self, targets: np.ndarray, name: str) -> np.ndarray:
        expected = self._loss().target_width(self.n_outputs_)
        if targets.shape[1] != expected:
            raise ValueError(f"{name} has {targets.shape[1]} columns, but this model has {expected} outputs")
        return targets

    def _loss(self) -> Loss:
        if self.loss == "huber":
            return Huber(self.huber_delta)
        if self.loss == "quantile":
            return Quantile(self._levels())
        return _LOSSES[self.loss]()

    def _loss_scale(self) -> float:
        return self.n_outputs_ * (0.5 if self.loss == "squared_error" else 1.0)

    def _metrics(self) -> tuple[str, ...]:
        return ("mean_squared_error",) if self.n_outputs_ > 1 and self.loss == "squared_error" else ()

    def _reported_loss(self, logs: np.ndarray) -> float:
        loss, *mean_squares = logs.tolist()
        return loss - 0.5 * (self.n_outputs_ - 1) * sum(mean_squares)


MLPRegressor.__doc__ = with_entries_of(
    MLPClassifier, MLPRegressor.__doc__, but=("focal_gamma", "label_smoothing", "class_weight", "classes_")
)


def _score(y: Any, predicted: np.ndarray, levels: Sequence[float], sample_weight: Any) -> float:
    from sklearn.metrics import d2_pinball_score, r2_score

    if len(levels) < 2:
        return float(r2_score(y, predicted, sample_weight=sample_weight))
    scores = [
        d2_pinball_score(y, column, alpha=level, sample_weight=sample_weight)
        for level, column in zip(levels, predicted.T, strict=True)
    ]
    return float(np.mean(scores))
