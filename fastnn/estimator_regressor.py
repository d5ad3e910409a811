"""The scikit-learn face for regression."""

from collections.abc import Sequence
from typing import Any, ClassVar, Self

import numpy as np
from sklearn.base import RegressorMixin, _fit_context
from sklearn.utils import column_or_1d
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.metaestimators import available_if

from fastnn.estimator_base import BaseMLP
from fastnn.losses import Loss, MeanSquaredError, PoissonDeviance


class MLPRegressor(RegressorMixin, BaseMLP):
    """Multi-layer perceptron regressor with scikit-learn's parameters, attributes and rules.

    Minimises half the squared error, or half the Poisson deviance, summed over the outputs; reports the mean over the
    outputs of the first, the sum of the second, as scikit-learn does.

    Parameters
    ----------
    loss : {'squared_error', 'poisson'}, default='squared_error'
        'poisson' is for counts: the outputs are exponentials, and targets must not be negative.
    hidden_layer_sizes, ..., time_limit
        As in `MLPClassifier`, which has `class_weight` besides.

    Attributes
    ----------
    validation_scores_, best_validation_score_
        Coefficients of determination R² on the held-out rows with early stopping.
    coefs_, ..., out_activation_
        As in `MLPClassifier`.
    """

    _parameter_constraints: ClassVar[dict[str, list]] = {
        **BaseMLP._parameter_constraints,
        "loss": [StrOptions({"squared_error", "poisson"})],
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
        learning_rate: str = "constant",
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
        device: str = "cpu",
        n_layers: int | None = None,
        width: int | None = None,
        dropout: float | Sequence[float] = 0.0,
        scoring: Any = None,
        callbacks: Any = None,
        time_limit: float | None = None,
    ) -> None:
        self._keep(locals())

    @available_if(lambda estimator: estimator._check_solver())
    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train for one more epoch on these rows, going on with the optimizer's state; arguments as in `fit`."""
        self._fit(X, y, sample_weight, incremental=True)
        return self

    def predict(self, X: Any) -> np.ndarray:
        """Predicted values, shape (n_samples,), or (n_samples, n_outputs) for several outputs."""
        outputs = self._outputs(X)
        return outputs[:, 0] if self.n_outputs_ == 1 else outputs

    def _validation_score(self, outputs: np.ndarray, targets: np.ndarray, weights: np.ndarray | None) -> float:
        from sklearn.metrics import r2_score

        return float(r2_score(targets, outputs, sample_weight=weights))

    def _read_targets(self, y: np.ndarray, name: str) -> np.ndarray:
        targets = np.asarray(y, dtype=np.float64)
        if targets.ndim == 1 or targets.shape[1] == 1:
            targets = column_or_1d(targets, warn=True)[:, np.newaxis]
        if self.loss == "poisson" and targets.min() < 0:
            raise ValueError(f"loss='poisson' needs targets {name} >= 0; the least is {targets.min()}")
        return targets

    def _learn_targets(self, targets: np.ndarray, fresh: bool, incremental: bool) -> None:
        if fresh:
            self.n_outputs_ = targets.shape[1]
            self.out_activation_ = "exp" if self.loss == "poisson" else "identity"

    def _encode(self, targets: np.ndarray, name: str) -> np.ndarray:
        if targets.shape[1] != self.n_outputs_:
            raise ValueError(f"{name} has {targets.shape[1]} columns, but this model has {self.n_outputs_} outputs")
        return targets

    def _loss(self) -> Loss:
        return PoissonDeviance() if self.loss == "poisson" else MeanSquaredError()

    def _loss_scale(self) -> float:
        return self.n_outputs_ * (1.0 if self.loss == "poisson" else 0.5)

    def _metrics(self) -> tuple[str, ...]:
        return ("mean_squared_error",) if self.n_outputs_ > 1 and self.loss == "squared_error" else ()

    def _reported_loss(self, logs: np.ndarray) -> float:
        loss, *mean_squares = logs.tolist()
        return loss - 0.5 * (self.n_outputs_ - 1) * sum(mean_squares)
