"""What `MLPClassifier` and `MLPRegressor` share: parameters, checks, first weights, and the engine behind them."""

import functools
import math
from collections.abc import Mapping
from itertools import pairwise
from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
from sklearn.base import BaseEstimator, _fit_context
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, Options, StrOptions
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from fastnn.backend import Engine
from fastnn.estimator_callbacks import CallbackSupportMixin, FitTasks
from fastnn.estimator_conversion import Conversion
from fastnn.estimator_lbfgs import train_full_batch
from fastnn.estimator_training import EpochLoop, Rows
from fastnn.layers import Dense
from fastnn.losses import Loss
from fastnn.optimizers import SGD, Adam, Optimizer
from fastnn.plan import lower
from fastnn.regularizers import L2

_GLOROT_FACTOR = {"logistic": 2.0}  # 6 for the other activations


class BaseMLP(EpochLoop, Conversion, CallbackSupportMixin, BaseEstimator):
    """Base of the two estimators; a subclass names its loss, encodes its targets and decodes the outputs."""

    _parameter_constraints: ClassVar[dict[str, list]] = {
        "hidden_layer_sizes": ["array-like", Interval(Integral, 1, None, closed="left")],
        "activation": [StrOptions({"identity", "logistic", "tanh", "relu"})],
        "solver": [StrOptions({"lbfgs", "sgd", "adam"})],
        "alpha": [Interval(Real, 0, None, closed="left")],
        "batch_size": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
        "learning_rate": [StrOptions({"constant", "invscaling", "adaptive"})],
        "learning_rate_init": [Interval(Real, 0, None, closed="neither")],
        "power_t": [Interval(Real, 0, None, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "shuffle": ["boolean"],
        "random_state": ["random_state"],
        "tol": [Interval(Real, 0, None, closed="left")],
        "verbose": ["verbose"],
        "warm_start": ["boolean"],
        "momentum": [Interval(Real, 0, 1, closed="left")],
        "nesterovs_momentum": ["boolean"],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="left")],
        "beta_1": [Interval(Real, 0, 1, closed="left")],
        "beta_2": [Interval(Real, 0, 1, closed="left")],
        "epsilon": [Interval(Real, 0, None, closed="neither")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left"), Options(Real, {np.inf})],
        "max_fun": [Interval(Integral, 1, None, closed="left")],
        "dtype": [StrOptions({"float32", "float64", "auto"})],
        "threads": [Interval(Integral, 1, None, closed="left"), None],
    }

    @classmethod
    @functools.cache
    def _get_param_names(cls) -> list[str]:
        """Return the names of the parameters, found once: searches ask for them many times a fit."""
        return super()._get_param_names()

    coefs_: list[np.ndarray]
    intercepts_: list[np.ndarray]

    def _keep(self, arguments: Mapping[str, Any]) -> None:
        """Store the arguments of a constructor, unchanged and unchecked, as scikit-learn asks."""
        for name in self._get_param_names():
            setattr(self, name, arguments[name])

    def _loss(self) -> Loss:
        raise NotImplementedError

    def _metrics(self) -> tuple[str, ...]:
        """Name what `_reported_loss` needs beside the loss."""
        return ()

    def _check_solver(self) -> bool:
        if self.solver == "lbfgs":
            raise AttributeError(
                f"partial_fit is only available for stochastic optimizers. {self.solver} is not stochastic."
            )
        return True

    def _encode(self, y: np.ndarray, fresh: bool, incremental: bool) -> np.ndarray:
        """Check targets; returns them in shape (n, targets). Sets ``n_outputs_`` and ``out_activation_``."""
        raise NotImplementedError

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train for at most `max_iter` epochs, from new weights unless `warm_start` is set.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Of sparse rows only the entries that are there are stored and multiplied.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Targets; for a classifier labels, or columns of 0 and 1 for several labels a row.
        sample_weight : array-like of shape (n_samples,), optional
            Weights, not all zero. The loss of a batch is the weighted mean of its rows, and the penalty is divided by
            the sum of its weights; a batch whose weights add up to zero changes no weight by itself.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            For a parameter out of range, data that do not fit, or weights that ran off to infinity.

        Warns
        -----
        ConvergenceWarning
            If the loss still improved in the last of `max_iter` epochs.
        """
        self._fit(X, y, sample_weight, incremental=False)
        return self

    def _fit(self, X: Any, y: Any, sample_weight: Any, incremental: bool) -> None:
        self._check_possible(incremental)
        fresh = not hasattr(self, "coefs_") or not (self.warm_start or incremental)
        dtypes = self._dtypes() if fresh else self.coefs_[0].dtype
        X, y = validate_data(self, X, y, accept_sparse="csr", multi_output=True, dtype=dtypes, order="C", reset=fresh)
        targets = self._encode(y, fresh, incremental).astype(X.dtype)
        rows = Rows(X, targets, self._check_weights(sample_weight, X))
        random_state = check_random_state(self.random_state)
        if fresh:
            self._initialize(random_state, X.dtype)
        tasks = FitTasks(self, 1 if incremental else self.max_iter, X, y, rows.weights)
        if self.solver == "lbfgs":
            weights = train_full_batch(self, rows, tasks)
        else:
            weights = self._train_stochastic(rows, random_state, tasks, fresh, incremental)
        if not all(np.isfinite(array).all() for array in weights):
            raise ValueError(
                "Solver produced non-finite parameter weights. The input data may contain large values and need to be "
                "preprocessed."
            )
        self.coefs_, self.intercepts_ = weights[::2], weights[1::2]
        self._get_engine()
        tasks.end(self._weights)

    def _train_stochastic(
        self, rows: Rows, random_state: np.random.RandomState, tasks: FitTasks, fresh: bool, incremental: bool
    ) -> list[np.ndarray]:
        """Train epoch by epoch; returns the weights, which the engine keeps for the next call if they are finite."""
        if fresh or self.early_stopping == (getattr(self, "best_validation_score_", None) is None):
            self._reset_records(fresh)
        if not (incremental and hasattr(self, "_optimizer")):
            self._optimizer = self._make_optimizer()
            self._forget_engine()
        engine = self._get_engine()
        objective = engine.plan.objective(self._loss(), self._metrics())
        self._train(engine, objective, rows, random_state, tasks, incremental)
        weights = self._engine_weights = engine.get_weights()
        if not all(np.isfinite(array).all() for array in weights):
            self._forget_engine()
        return weights

    def _dtypes(self) -> Any:
        """Types of X that are kept; others become the first of them."""
        return (np.float64, np.float32) if self.dtype == "auto" else self.dtype

    def _check_possible(self, incremental: bool) -> None:
        if any(size <= 0 for size in self._hidden_sizes()):
            raise ValueError(f"hidden_layer_sizes must be > 0, got {self._hidden_sizes()}.")
        if incremental and self.early_stopping:
            raise ValueError("partial_fit does not support early_stopping=True")

    def _hidden_sizes(self) -> list[int]:
        sizes = self.hidden_layer_sizes
        return list(sizes) if np.iterable(sizes) else [sizes]

    def _check_weights(self, sample_weight: Any, X: np.ndarray) -> np.ndarray | None:
        if sample_weight is None:
            return None
        weights = _check_sample_weight(sample_weight, X, dtype=X.dtype)
        if not weights.any():
            raise ValueError("Sample weights must contain at least one non-zero number.")
        return weights

    def _initialize(self, random_state: np.random.RandomState, dtype: np.dtype) -> None:
        """Draw weights and biases uniformly (Glorot and Bengio, 2010), in scikit-learn's order."""
        sizes = [self.n_features_in_, *self._hidden_sizes(), self.n_outputs_]
        self.n_layers_ = len(sizes)
        self.coefs_, self.intercepts_ = [], []
        for fan_in, fan_out in pairwise(sizes):
            bound = math.sqrt(_GLOROT_FACTOR.get(self.activation, 6.0) / (fan_in + fan_out))
            self.coefs_.append(random_state.uniform(-bound, bound, (fan_in, fan_out)).astype(dtype))
            self.intercepts_.append(random_state.uniform(-bound, bound, fan_out).astype(dtype))
        self.t_ = 0

    def _make_optimizer(self) -> Optimizer:
        if self.solver == "sgd":
            return SGD(self.learning_rate_init, self.momentum, nesterov=self.nesterovs_momentum)
        return Adam(self.learning_rate_init, self.beta_1, self.beta_2, self.epsilon)

    def _make_engine(self, dtype: Any) -> Engine:
        """Return a new engine without weights."""
        penalty = L2(self.alpha / 2)
        activations = [self.activation] * (len(self.coefs_) - 1) + [self.out_activation_]
        layers = [
            Dense(coef.shape[1], activation, kernel_regularizer=penalty)
            for coef, activation in zip(self.coefs_, activations, strict=True)
        ]
        return Engine(lower(layers, self.n_features_in_, np.dtype(dtype).name, l2_per_row=True), threads=self.threads)

    def _weights(self) -> list[np.ndarray]:
        """Return ``coefs_`` and ``intercepts_`` in the order of an engine."""
        return [array for pair in zip(self.coefs_, self.intercepts_, strict=True) for array in pair]

    def _get_engine(self) -> Engine:
        """Return the engine, holding ``coefs_`` and ``intercepts_``; it is made anew after unpickling."""
        if not hasattr(self, "_engine"):
            engine = self._make_engine(self.coefs_[0].dtype)
            if hasattr(self, "_optimizer"):
                engine.reset_optimizer(self._optimizer)
                if hasattr(self, "_optimizer_state"):
                    engine.set_state(self._optimizer_state)
            self._engine, self._engine_weights = engine, []
        weights = self._weights()
        if [id(array) for array in weights] != [id(array) for array in self._engine_weights]:
            self._engine.set_weights(weights)
            self._engine_weights = weights
        return self._engine

    def _forget_engine(self) -> None:
        for name in ("_engine", "_engine_weights", "_optimizer_state"):
            self.__dict__.pop(name, None)

    def _outputs(self, X: Any) -> np.ndarray:
        """Run the network on checked rows; returns shape (n, n_outputs_)."""
        check_is_fitted(self)
        X = validate_data(self, X, accept_sparse="csr", dtype=self.coefs_[0].dtype, order="C", reset=False)
        return self._get_engine().predict(X)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    def __getstate__(self) -> dict[str, Any]:
        """Replace the engine by what it is rebuilt from: ``coefs_``, ``intercepts_`` and the optimizer's state."""
        state = {**super().__getstate__()}
        engine = state.pop("_engine", None)
        state.pop("_engine_weights", None)
        if engine is not None and engine.step:
            state["_optimizer_state"] = engine.get_state()
        return state
