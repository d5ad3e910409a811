"""Rules of the scikit-learn estimators between epochs: what is recorded, when to slow down, and when to end."""

import math
from typing import Any

import numpy as np

from fastnn.common.user_warnings import warn
from fastnn.kernels.host.streams import say
from fastnn.optimizers import Optimizer

_LARGEST_AUTOMATIC_BATCH = 200
_SMALLEST_LEARNING_RATE = 1e-6  # where learning_rate="adaptive" gives up, as in scikit-learn


def largest_loss(dtype: np.dtype) -> float:
    """Return the most that one output adds to scikit-learn's log-loss, which clips probabilities to [eps, 1 - eps]."""
    return -math.log(np.finfo(dtype).eps)


class EpochRules:
    """Records the losses and scores of the estimator that this is mixed into, and decides what follows from them."""

    solver: str
    batch_size: int | str
    learning_rate: Any
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
    validation_loss_curve_: Any  # list of float, or None without held-out rows
    validation_scores_: Any  # list of float and float, or None without early stopping
    best_validation_score_: Any
    _no_improvement_count: int
    _shuffle_seed: int
    _optimizer: Optimizer

    @property
    def _repeats_scikit_learn(self) -> bool:
        """Whether fits draw scikit-learn's orders of the rows."""
        return self.dtype in ("float64", "auto")

    def _loss_scale(self) -> float:
        """Factor that makes fastnn's loss of a row, a mean over its outputs, scikit-learn's."""
        raise NotImplementedError

    def _reporting(self, limit: float, dtype: np.dtype) -> dict[str, Any]:
        """Options of a run in `dtype` that make its losses scikit-learn's.

        In float64 they are rounded as scikit-learn's are, from probabilities, in float32 they are those of the logits.
        """
        exactly = limit if dtype == np.float64 else 0.0
        return {"loss_scale": self._loss_scale(), "loss_limit": exactly, "weighted_mean": True}

    def _reported_loss(self, logs: np.ndarray) -> float:
        """Loss of an epoch as scikit-learn reports it, from the means of the loss and of the metrics."""
        return float(logs[0])

    def _score_metric(self) -> str | None:
        """Name the metric of the compiled programs that is the score of held-out rows, if there is one."""
        return None

    def _validation_score(
        self, outputs: np.ndarray, targets: np.ndarray, labels: np.ndarray, sample_weight: np.ndarray | None
    ) -> float:
        """Score of outputs for encoded targets, and for labels as they were given."""
        raise NotImplementedError

    def _reset_records(self, fresh: bool) -> None:
        """Forget what was reached so far, by the measure that `early_stopping` chooses."""
        if fresh or not hasattr(self, "loss_curve_"):
            self.loss_curve_ = []
        self.best_loss_ = None if self.early_stopping else math.inf
        self.validation_loss_curve_ = None
        self.validation_scores_ = [] if self.early_stopping else None
        self.best_validation_score_ = -math.inf if self.early_stopping else None
        self._no_improvement_count = 0

    def _rows_per_batch(self, n_rows: int) -> int:
        if isinstance(self.batch_size, str):  # "auto"
            return min(_LARGEST_AUTOMATIC_BATCH, n_rows)
        if self.batch_size > n_rows:
            warn("Got `batch_size` less than 1 or larger than sample size. It is going to be clipped")
        return min(self.batch_size, n_rows)

    def _steps_per_epoch(self, n_rows: int) -> int:
        batch = _LARGEST_AUTOMATIC_BATCH if isinstance(self.batch_size, str) else self.batch_size
        return -(-n_rows // min(batch, n_rows))

    def _is_one_batch(self, n_rows: int) -> bool:
        """Whether the rows are so few that scikit-learn's rule makes one batch of them."""
        return isinstance(self.batch_size, str) and n_rows <= _LARGEST_AUTOMATIC_BATCH

    def _epochs_to_look_ahead(self) -> int:
        """Epochs from here after the last of which something can change at the earliest: a stop or a new rate."""
        if self._invscaling:
            return 1
        if math.isinf(self.n_iter_no_change):
            return self.max_iter
        return max(1, int(self.n_iter_no_change) - self._no_improvement_count + 1)

    @property
    def _invscaling(self) -> bool:
        return self.solver == "sgd" and self.learning_rate == "invscaling"

    def _record_loss(self, loss: float, n_rows: int) -> None:
        self.loss_curve_.append(loss)  # the rest is one step, so that Ctrl-C comes before or after it
        vars(self).update(n_iter_=self.n_iter_ + 1, t_=self.t_ + n_rows, loss_=loss)
        if self.verbose:
            say(f"Iteration {self.n_iter_}, loss = {loss:.8f}")

    def _record_validation_loss(self, loss: float) -> None:
        curve = self.validation_loss_curve_ or []
        missing = len(self.loss_curve_) - 1 - len(curve)  # earlier epochs had no held-out rows
        self.validation_loss_curve_ = [*curve, *([math.nan] * missing), loss]
        if self.verbose and not self.early_stopping:
            say(f"Validation loss = {loss:.8f}")

    def _compare_loss(self) -> None:
        self._no_improvement_count = self._no_improvement_count + 1 if self.loss_ > self.best_loss_ - self.tol else 0
        self.best_loss_ = min(self.best_loss_, self.loss_)

    def _compare_score(self, score: float) -> bool:
        """Record the score of the held-out rows; True if it is the best so far."""
        self.validation_scores_.append(score)
        if self.verbose:
            say(f"Validation score: {score:f}")
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
                    say(f"{message} Setting learning rate to {self._optimizer.learning_rate:f}")
                return False
            message += " Learning rate too small."
        if self.verbose:
            say(f"{message} Stopping.")
        return True
