"""What `MLPClassifier` and `MLPRegressor` share: fits, predictions, and the engine behind them."""

from typing import Any, Self

import numpy as np
from sklearn.base import _fit_context, is_classifier
from sklearn.utils import check_array, check_consistent_length, check_random_state
from sklearn.utils.validation import _check_sample_weight

from fastnn.common.arithmetic import heedless_but_for_callbacks
from fastnn.common.precisions import MIXED
from fastnn.data.placement import on_host
from fastnn.data.precision import nonfinite_weights, warn_of_lost_digits
from fastnn.data.samples import Samples
from fastnn.engine.devices import resolve
from fastnn.estimators.callback_bridge import CallbackSupportMixin, FitTasks
from fastnn.estimators.conversion import Conversion
from fastnn.estimators.fit_context import Deadline, FitContext
from fastnn.estimators.input_checks import check_rows, check_rows_and_targets, takes_sparse
from fastnn.estimators.lbfgs import train_full_batch
from fastnn.estimators.parameters import CLIPPING
from fastnn.estimators.predictions import Predictions
from fastnn.estimators.sparse_input import compressed
from fastnn.estimators.stochastic_fit import StochasticFit
from fastnn.estimators.stopping_rules import EpochRules, largest_loss
from fastnn.estimators.validation import HeldOut, split, validation_arguments
from fastnn.estimators.weights import rounded
from fastnn.losses import Loss

_DOUBLE = np.dtype(np.float64)


class BaseMLP(EpochRules, CallbackSupportMixin, Predictions, Conversion):
    """Base of the two estimators; a subclass names its loss, encodes its targets and decodes the outputs."""

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

    def _read_targets(self, y: np.ndarray, name: str) -> Any:
        """Check targets by themselves; returns them in the form that the next three take."""
        raise NotImplementedError

    def _learn_targets(self, targets: Any, fresh: bool, incremental: bool) -> None:
        """Set ``n_outputs_`` and ``out_activation_`` for the targets of a fit."""
        raise NotImplementedError

    def _encode(self, targets: Any, name: str) -> np.ndarray:
        """Check that targets suit the model; returns them as the loss takes them, shape (n, columns)."""
        raise NotImplementedError

    def _class_weights(self, targets: Any, incremental: bool) -> np.ndarray | None:
        """Weight of each row by its class, shape (n,)."""
        return None

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        validation_data: Any = None,
        X_val: Any = None,
        y_val: Any = None,
        sample_weight_val: Any = None,
    ) -> Self:
        """Train for at most `max_iter` epochs, from new weights unless `warm_start` is set.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Of sparse rows only the entries that are there are stored and multiplied. With ``device="cuda"`` an array on
            the GPU, of CuPy or PyTorch for instance, is read there, and predictions for it stay there.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Targets; for a classifier labels, or columns of 0 and 1, sparse or not, for several labels a row.
        sample_weight : array-like of shape (n_samples,), optional
            Weights, not all zero. The loss of a batch is the weighted mean of its rows, and the penalty is divided by
            the sum of its weights; a batch whose weights add up to zero changes no weight by itself.
        validation_data : tuple (X, y) or (X, y, sample_weight), optional
            Rows that are not trained on. Their loss after each epoch is recorded in ``validation_loss_curve_``, and
            `early_stopping` looks at them instead of splitting rows off.
        X_val, y_val, sample_weight_val : array-like, optional
            The same as three arguments, as scikit-learn's ``HistGradientBoostingClassifier`` takes them: a
            ``Pipeline(steps, transform_input=["X_val"])`` can transform them.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            For a parameter out of range, data that do not fit, or weights that ran off to infinity. The estimator is
            then as it was before.

        Warns
        -----
        ConvergenceWarning
            If the loss still improved in the last of `max_iter` epochs, or when `time_limit` was reached.
        """
        validation = validation_arguments(validation_data, X_val, y_val, sample_weight_val)
        self._fit(X, y, sample_weight, incremental=False, validation=validation)
        return self

    @heedless_but_for_callbacks
    def _fit(
        self, X: Any, y: Any, sample_weight: Any, incremental: bool, validation: tuple[Any, Any, Any] | None = None
    ) -> None:
        before, engine = dict(self.__dict__), self.__dict__.get("_engine")
        step = engine and engine.step
        before |= {name: list(before[name]) for name in ("loss_curve_", "validation_scores_") if before.get(name)}
        with self._in_fit("partial_fit" if incremental else "fit"):
            try:
                self._learn(X, y, sample_weight, incremental, validation)
            except Exception:
                self.__dict__.clear()
                self.__dict__.update(before)
                if engine and engine.step != step:
                    self._forget_engine()
                raise

    def _learn(
        self, X: Any, y: Any, sample_weight: Any, incremental: bool, validation: tuple[Any, Any, Any] | None
    ) -> None:
        deadline = Deadline(self.time_limit)
        fresh = not hasattr(self, "coefs_") or not (self.warm_start or incremental)
        if not fresh:
            self._take_assigned_weights()
        self._check_possible(fresh, incremental, validation is not None)

        def dtype_for(rows: int, given: np.dtype) -> np.dtype:
            if self.solver == "lbfgs" or self._is_precise(rows, incremental):
                return _DOUBLE
            return given if self.dtype == "auto" and fresh else self._computing_dtype

        source = X
        X, y, given = check_rows_and_targets(self, X, y, dtype_for, reset=fresh)
        targets = self._read_targets(y, "y")
        self._learn_targets(targets, fresh, incremental)
        data = self._rows(X, y, targets, sample_weight, "y", incremental)
        if fresh and self.dtype in ("float32", MIXED):
            warn_of_lost_digits("X", source, X, getattr(self, "feature_names_in_", None))
            if not is_classifier(self):
                warn_of_lost_digits("y", targets, data.samples.y)
        held_out = None if validation is None else self._validation_rows(*validation, X.dtype)
        random_state = check_random_state(self.random_state)
        drawn = _DOUBLE if self.dtype == "float64" else given if fresh else self._weights_dtype()
        if fresh:
            self._initialize(random_state, drawn)
        lbfgs, kept = self.solver == "lbfgs", self._kept
        dtype = _DOUBLE if lbfgs else drawn  # of the attributes; SciPy's results are float64 in scikit-learn too
        limit = largest_loss(np.result_type(given, dtype))
        tasks = FitTasks(self, 1 if incremental else self.max_iter, X, y, data.samples.sample_weights, dtype)
        context = FitContext(random_state, tasks, deadline, fresh, incremental, dtype, limit)
        if lbfgs:
            weights = train_full_batch(self, data.samples, context)
        else:
            weights = self._train_stochastic(data, held_out, context)
        if not all(np.isfinite(array).all() for array in weights):
            raise nonfinite_weights(X, data.samples.y, getattr(self, "feature_names_in_", None))
        if self._kept is kept:
            computing = dtype if self.dtype == "auto" else self._computing_dtype
            self._keep_weights(rounded(weights, computing), dtype)
        self._get_engine()
        tasks.end(self._weights)

    def _train_stochastic(self, data: HeldOut, held_out: HeldOut | None, context: FitContext) -> list[np.ndarray]:
        """Train epoch by epoch; returns the weights.

        They are kept, also in the engine for the next call, if that computed in the precision of predictions.
        """
        other_measure = self.early_stopping == (getattr(self, "best_validation_score_", None) is None)
        if context.fresh or other_measure or not hasattr(self, "loss_curve_"):  # which a fit by 'lbfgs' has not
            self._reset_records(context.fresh)
        samples = data.samples
        if self.early_stopping and held_out is None:
            stratify = is_classifier(self) and self.n_outputs_ == 1
            samples, held_out = split(data, self.validation_fraction, stratify, context.random_state)
        self._take_optimizer(self._steps_per_epoch(len(samples)), goes_on=context.incremental)
        precise = self._is_precise(len(data.samples), context.incremental)
        if precise:
            engine = self._make_engine("float64")
            engine.set_weights(self._weights())
            engine.reset_optimizer(self._optimizer)
        else:
            engine = self._get_engine()
        made_for = self._parameters_of_engine()
        fit = StochasticFit(self, engine, samples, held_out, context)
        engine.in_fit = True
        try:
            self.stop_reason_ = fit.train()
        finally:
            engine.in_fit = False
        weights = engine.get_weights()
        if precise:
            self._optimizer_state = engine.get_state()
            return weights
        with engine.turn():  # predictions in other threads see both or none
            self._keep_weights(weights, context.dtype)
            self._engine, self._engine_weights, self._engine_parameters = engine, self._kept, made_for
        return weights

    def _is_precise(self, rows: int, incremental: bool) -> bool:
        """Whether a fit of so many rows is computed in float64 though predictions are not."""
        return self.dtype == "float32" and self._is_one_batch(rows) and not incremental

    def _check_possible(self, fresh: bool, incremental: bool, validated: bool) -> None:
        self._hidden_sizes()  # tells what is wrong with them
        if incremental and self.early_stopping:
            raise ValueError("partial_fit does not support early_stopping=True")
        if not fresh:
            self._check_same_network(incremental)
        if not incremental:
            self._warn_of_idle_parameters()
        if self.solver == "lbfgs":
            refused = {
                f"learning_rate={self.learning_rate!r}": self._follows_schedule(),
                "dropout": np.any(self.dropout),
                f"weight_decay={self.weight_decay}": self.weight_decay,
                "callbacks": self.callbacks,
                "validation data": validated,
                **{f"{name}={(limit := getattr(self, name))}": limit is not None for name in CLIPPING},
            }
            for name in (name for name, value in refused.items() if value):
                raise ValueError(f"solver='lbfgs' takes no {name}, since it knows no epochs: use 'adam' or 'sgd'")

    def _rows(
        self, X: Any, y: np.ndarray, targets: Any, sample_weight: Any, name: str, incremental: bool = False
    ) -> HeldOut:
        """Return checked rows with encoded targets; their weights are multiplied by those of their classes."""
        given = self._check_sample_weight(sample_weight, X)
        encoded = self._encode(targets, name)
        of_classes = self._class_weights(targets, incremental)
        sample_weights = given if of_classes is None else of_classes * (1.0 if given is None else given)
        if sample_weights is not None and not sample_weights.any():
            raise ValueError("Sample weights must contain at least one non-zero number.")
        encoded = np.ascontiguousarray(encoded, X.dtype)  # frames hold their columns one by one
        if sample_weights is not None:
            sample_weights = sample_weights.astype(X.dtype)
        return HeldOut(Samples(X, encoded, sample_weights), y, given)

    def _validation_rows(self, X: Any, y: Any, sample_weight: Any, dtype: Any) -> HeldOut:
        X, _ = check_rows(self, X, dtype)
        name = "y of the validation data"
        y = compressed(self._on_host(y, name), name)
        y = check_array(y, accept_sparse="csr", ensure_2d=False, dtype=None, input_name=name)
        check_consistent_length(X, y)
        return self._rows(X, y, self._read_targets(y, name), sample_weight, name)

    def _check_sample_weight(self, sample_weight: Any, X: np.ndarray) -> np.ndarray | None:
        if sample_weight is None:
            return None
        return _check_sample_weight(self._on_host(sample_weight, "sample_weight"), X, dtype=X.dtype)

    def _on_host(self, array: Any, name: str) -> Any:
        """Return what a user passed, here if it lies on a GPU that the estimator may use."""
        return on_host(array, name, resolve(self.device))

    def _initialize(self, random_state: np.random.RandomState, dtype: np.dtype) -> None:
        self._layers(self._hidden_sizes(), self.normalization)  # tells what is wrong with them
        self._keep_drawn()
        self._keep_weights(self._draw_weights(random_state, dtype))
        self.t_ = 0

    def plot_loss_curve(self, *, ax: Any = None, name: str | None = None, **kwargs: Any) -> Any:
        """Draw ``loss_curve_`` and ``validation_loss_curve_``; see `fastnn.LossCurveDisplay.from_estimator`."""
        from fastnn.plotting.loss_curve import LossCurveDisplay

        return LossCurveDisplay.from_estimator(self, ax=ax, name=name, **kwargs)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = takes_sparse(self)
        return tags
