"""The loop over epochs of the scikit-learn face, and its rules of when to slow down and when to end."""

import math
import warnings
from typing import Any, NamedTuple

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from fastnn.backend import Engine
from fastnn.estimator_callbacks import FitTasks
from fastnn.optimizers import Optimizer
from fastnn.plan import Objective

_SMALLEST_LEARNING_RATE = 1e-6  # where learning_rate="adaptive" gives up, as in scikit-learn


class Rows(NamedTuple):
    """Rows to train or to score on."""

    x: Any  # (n, n_features), an array or compressed sparse rows
    y: np.ndarray  # (n, targets), encoded for the loss
    weights: np.ndarray | None  # (n,)

    def take(self, index: np.ndarray) -> "Rows":
        return Rows(self.x[index], self.y[index], None if self.weights is None else self.weights[index])


class EpochLoop:
    """Trains an engine by the parameters and attributes of the estimator that this is mixed into."""

    solver: str
    batch_size: int | str
    learning_rate: str
    learning_rate_init: float
    power_t: float
    max_iter: int
    shuffle: bool
    tol: float
    verbose: bool
    dtype: str
    early_stopping: bool
    validation_fraction: float
    n_iter_no_change: float

    n_outputs_: int
    n_iter_: int
    t_: int
    loss_: float
    loss_curve_: list[float]
    best_loss_: Any  # float, or None with early stopping
    validation_scores_: Any  # list of float and float, or None without early stopping
    best_validation_score_: Any
    _no_improvement_count: int
    _shuffle_seed: int
    _optimizer: Optimizer

    def _loss_scale(self) -> float:
        """Factor that makes fastnn's loss of a row, a mean over its outputs, scikit-learn's."""
        raise NotImplementedError

    def _reporting(self, dtype: np.dtype) -> dict[str, Any]:
        """Options of a run that make its losses scikit-learn's, which clips probabilities to [eps, 1 - eps]."""
        limit = 0.0 if self.dtype == "float32" else -math.log(np.finfo(dtype).eps)
        return {"loss_scale": self._loss_scale(), "loss_limit": limit, "weighted_mean": True}

    def _reported_loss(self, logs: np.ndarray) -> float:
        """Loss of an epoch as scikit-learn reports it, from the means of the loss and of the metrics."""
        return float(logs[0])

    def _validation_score(self, outputs: np.ndarray, rows: Rows) -> float:
        """Score of finite outputs for held-out rows."""
        raise NotImplementedError

    def _reset_records(self, fresh: bool) -> None:
        """Forget what was reached so far, by the measure that `early_stopping` chooses."""
        if fresh or not hasattr(self, "loss_curve_"):
            self.loss_curve_ = []
        self.best_loss_ = None if self.early_stopping else math.inf
        self.validation_scores_ = [] if self.early_stopping else None
        self.best_validation_score_ = -math.inf if self.early_stopping else None
        self._no_improvement_count = 0

    def _train(
        self,
        engine: Engine,
        objective: Objective,
        rows: Rows,
        random_state: np.random.RandomState,
        tasks: FitTasks,
        incremental: bool,
    ) -> None:
        held_out = None
        if self.early_stopping:
            rows, held_out = self._hold_out(rows, random_state)
        replay = self.shuffle and self.dtype != "float32"  # scikit-learn's orders, drawn from its generator
        if replay:
            self._shuffle_seed = 0
        elif not (incremental and hasattr(self, "_shuffle_seed")):  # partial fits continue one series of orders
            self._shuffle_seed = int(random_state.randint(np.iinfo(np.int32).max))
        self.n_iter_ = 0
        best_weights = engine.get_weights()
        epochs = 1 if incremental else self.max_iter
        run = engine.train(
            objective,
            *rows,
            batch_size=self._rows_per_batch(rows.x.shape[0]),
            epochs=epochs,
            shuffle=self.shuffle and not replay,
            seed=self._shuffle_seed,
            first_epoch=len(self.loss_curve_),
            **self._reporting(rows.x.dtype),
        )
        stopping = False
        try:
            while not stopping and self.n_iter_ < epochs:
                ahead = 1 if replay or tasks.wanted else self._epochs_to_look_ahead()
                if run.done == self.n_iter_ * run.steps_per_epoch:
                    tasks.begin_epoch()
                    if replay:
                        run.order[:] = run.order[random_state.permutation(len(run.order))]
                run.advance(min(self.n_iter_ + ahead, epochs) * run.steps_per_epoch - run.done)
                while not stopping and self.n_iter_ < run.done // run.steps_per_epoch:
                    self._record_loss(self._reported_loss(run.logs(self.n_iter_)), rows.x.shape[0])
                    if held_out is None:
                        self._compare_loss()
                    elif self._compare_score(self._score_of(engine.predict(held_out.x), held_out)):
                        best_weights = engine.get_weights()
                    stopping = self._should_stop()
                    stopping |= tasks.end_epoch(engine.get_weights)
        except KeyboardInterrupt:
            warnings.warn("Training interrupted by user.", stacklevel=6)
        else:
            if not (stopping or incremental):
                warnings.warn(
                    f"Stochastic Optimizer: Maximum iterations ({self.max_iter}) reached and the optimization hasn't "
                    "converged yet.",
                    ConvergenceWarning,
                    stacklevel=6,
                )
        if held_out is not None:
            engine.set_weights(best_weights)

    def _hold_out(self, rows: Rows, random_state: np.random.RandomState) -> tuple[Rows, Rows]:
        """Split off the validation rows, stratified where there is one output to classify."""
        from sklearn.base import is_classifier
        from sklearn.model_selection import train_test_split

        train, held_out = train_test_split(
            np.arange(rows.x.shape[0]),
            random_state=random_state,
            test_size=self.validation_fraction,
            stratify=rows.y != 0 if is_classifier(self) and self.n_outputs_ == 1 else None,
        )
        if len(held_out) < 2:
            raise ValueError(
                "The validation set is too small. Increase 'validation_fraction' or the size of your dataset."
            )
        return rows.take(train), rows.take(held_out)

    def _score_of(self, outputs: np.ndarray, rows: Rows) -> float:
        return self._validation_score(outputs, rows) if np.isfinite(outputs).all() else np.nan

    def _rows_per_batch(self, n_rows: int) -> int:
        if isinstance(self.batch_size, str):  # "auto"
            return min(200, n_rows)
        if self.batch_size > n_rows:
            warnings.warn(
                "Got `batch_size` less than 1 or larger than sample size. It is going to be clipped", stacklevel=7
            )
        return min(self.batch_size, n_rows)

    def _epochs_to_look_ahead(self) -> int:
        """Epochs from here after the last of which something can change at the earliest: a stop or a new rate."""
        if self.early_stopping or self._invscaling:
            return 1
        if math.isinf(self.n_iter_no_change):
            return self.max_iter
        return max(1, int(self.n_iter_no_change) - self._no_improvement_count + 1)

    @property
    def _invscaling(self) -> bool:
        return self.solver == "sgd" and self.learning_rate == "invscaling"

    def _record_loss(self, loss: float, n_rows: int) -> None:
        self.n_iter_ += 1
        self.t_ += n_rows
        self.loss_ = loss
        self.loss_curve_.append(loss)
        if self.verbose:
            print(f"Iteration {self.n_iter_}, loss = {loss:.8f}")

    def _compare_loss(self) -> None:
        self._no_improvement_count = self._no_improvement_count + 1 if self.loss_ > self.best_loss_ - self.tol else 0
        self.best_loss_ = min(self.best_loss_, self.loss_)

    def _compare_score(self, score: float) -> bool:
        """Record the score of the held-out rows; True if it is the best so far."""
        self.validation_scores_.append(score)
        if self.verbose:
            print(f"Validation score: {score:f}")
        worse = score < self.best_validation_score_ + self.tol
        self._no_improvement_count = self._no_improvement_count + 1 if worse else 0
        best = score > self.best_validation_score_
        if best:
            self.best_validation_score_ = score
        return best

    def _should_stop(self) -> bool:
        """Set the learning rate for the next epoch; True if there should be none."""
        if self._invscaling:
            self._optimizer.learning_rate = self.learning_rate_init / (self.t_ + 1) ** self.power_t
        if self._no_improvement_count <= self.n_iter_no_change:
            return False
        subject = "Validation score" if self.early_stopping else "Training loss"
        message = (
            f"{subject} did not improve more than tol={self.tol:f} for {self.n_iter_no_change} consecutive epochs."
        )
        if self.solver == "sgd" and self.learning_rate == "adaptive":
            if self._optimizer.learning_rate > _SMALLEST_LEARNING_RATE:
                self._optimizer.learning_rate /= 5.0
                self._no_improvement_count = 0
                if self.verbose:
                    print(f"{message} Setting learning rate to {self._optimizer.learning_rate:f}")
                return False
            message += " Learning rate too small."
        if self.verbose:
            print(f"{message} Stopping.")
        return True
