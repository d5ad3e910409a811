"""A fit of the scikit-learn face, epoch by epoch."""

import math
import time
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from fastnn.callbacks import CallbackList
from fastnn.common.user_warnings import warn
from fastnn.data.samples import Samples
from fastnn.engine.engine import Engine
from fastnn.engine.run_options import RunOptions
from fastnn.estimators.callback_bridge import FitTasks, Trainee
from fastnn.estimators.validation import HeldOut, Judge


class Deadline:
    """Time that a fit may take.

    Parameters
    ----------
    limit : float or None
        Seconds from now.
    """

    def __init__(self, limit: float | None) -> None:
        self._limit = limit
        self._end = math.inf if limit is None else time.perf_counter() + limit

    @property
    def is_set(self) -> bool:
        return self._limit is not None

    def is_over(self) -> bool:
        return time.perf_counter() >= self._end

    def slice(self) -> dict[str, float]:
        """Return the option of ``Run.advance`` that keeps it from computing for much longer."""
        return {} if not self.is_set else {"seconds": min(0.1, self._end - time.perf_counter())}

    def warn(self, iterations: int) -> None:
        warn(
            f"time_limit={self._limit} s was reached after {iterations} iterations, and the optimization hasn't "
            "converged yet.",
            ConvergenceWarning,
        )


class StochasticFit:
    """One fit in progress, of an estimator whose solver takes batches.

    Parameters
    ----------
    model
        The estimator: its parameters say how, and its attributes record what came of it.
    engine : Engine
        Has the weights to start from, and the optimizer.
    rows : Samples
    held_out : HeldOut or None
    random_state : RandomState
        Draws the orders of the rows, or a seed for them.
    tasks : FitTasks
    deadline : Deadline
    incremental : bool
        Whether this is one epoch of `partial_fit`.
    dtype : dtype
        Of the weights as attributes.
    limit : float
        The largest loss of one output that is reported.
    """

    def __init__(
        self,
        model: Any,
        engine: Engine,
        rows: Samples,
        held_out: HeldOut | None,
        random_state: np.random.RandomState,
        tasks: FitTasks,
        deadline: Deadline,
        incremental: bool,
        dtype: np.dtype,
        limit: float,
    ) -> None:
        self.model, self.engine, self.random_state = model, engine, random_state
        self.tasks, self.deadline, self.incremental = tasks, deadline, incremental
        self.replay = model.shuffle and model._repeats_scikit_learn  # scikit-learn's, drawn from its generator
        if not (incremental and getattr(model, "_shuffle_seed", None)):  # partial fits continue one series of orders
            drawn = (model.shuffle and not self.replay) or np.any(model.dropout)
            model._shuffle_seed = int(random_state.randint(np.iinfo(np.int32).max)) if drawn else 0
        self.epochs = 1 if incremental else int(model.max_iter)  # True is a number to scikit-learn
        self.first_epoch = len(model.loss_curve_)
        objective = engine.plan.objective(model._loss(), model._metrics(), limit=limit)
        options = RunOptions(
            model._rows_per_batch(len(rows)),
            self.epochs,
            shuffle=model.shuffle and not self.replay,
            seed=model._shuffle_seed,
            first_epoch=self.first_epoch,
            **model._reporting(limit, engine.plan.dtype),
        )
        self.run = engine.train(objective, rows, options)
        self.judge = None if held_out is None else Judge(model, engine, held_out, dtype, limit)
        self.best_weights = engine.get_weights() if model.early_stopping else None
        self.trainee = Trainee(model, engine)
        self.logs: dict[str, float] = {}
        self.listeners = None
        if model.callbacks is not None:
            steps = self.run.steps_per_epoch
            parameters = {"verbose": model.verbose, "epochs": self.epochs, "steps": steps}
            self.listeners = CallbackList(model.callbacks, self.trainee, **parameters)

    def train(self) -> str:
        """Train until the parameters, a callback or the user say stop; returns who it was, for ``stop_reason_``."""
        model = self.model
        model.n_iter_ = 0
        self._call("on_train_begin", {})
        try:
            reason = self._train()
        except KeyboardInterrupt:
            reason = "interrupt"
            del model.loss_curve_[self.first_epoch + model.n_iter_ :]  # of an epoch that is not recorded whole
            warn("Training interrupted by user.")
        if reason == "max_iter" and not self.incremental:
            warn(
                f"Stochastic Optimizer: Maximum iterations ({self.epochs}) reached and the optimization hasn't "
                "converged yet.",
                ConvergenceWarning,
            )
        elif reason == "time_limit":
            self.deadline.warn(model.n_iter_)
        if self.best_weights is not None:
            self.engine.set_weights(self.best_weights)
        self._call("on_train_end", self.logs)
        return reason

    def _train(self) -> str:
        model, run, per_epoch = self.model, self.run, self.run.steps_per_epoch
        each_batch, each_epoch = self._looks_at("train_batch"), self._looks_at("epoch")
        each_epoch |= bool(each_batch or self.replay or self.tasks.wanted or self.judge)
        while model.n_iter_ < self.epochs:
            if run.done == model.n_iter_ * per_epoch:
                self._begin_epoch()
            ahead = 1 if each_epoch else model._epochs_to_look_ahead()
            self._advance(min(model.n_iter_ + ahead, self.epochs) * per_epoch - run.done, each_batch)
            late = self.deadline.is_over()
            cut = late or self.trainee.stop_training
            finished = -(-run.done // per_epoch) if cut else run.done // per_epoch
            while model.n_iter_ < finished:
                if reason := self._end_epoch():
                    return reason
            if cut and run.done < self.epochs * per_epoch:
                return "time_limit" if late else "callback"
        return "max_iter"

    def _begin_epoch(self) -> None:
        self.tasks.begin_epoch()
        self._call("on_epoch_begin", self.first_epoch + self.model.n_iter_, {})
        if self.replay:
            self.run.order[:] = self.run.order[self.random_state.permutation(self.run.rows)]

    def _advance(self, steps: int, each_batch: bool) -> None:
        if not each_batch:
            self.run.advance(steps, **self.deadline.slice())
            return
        epoch, step = divmod(self.run.done, self.run.steps_per_epoch)
        self._call("on_train_batch_begin", step, {})
        self.run.advance(1)
        self._call("on_train_batch_end", step, {"loss": self.model._reported_loss(self.run.logs(epoch))})

    def _end_epoch(self) -> str:
        """Record an epoch, which a deadline or callback may have cut short; returns why to stop, if so."""
        model, epoch = self.model, self.model.n_iter_
        rows = min((self.run.done - epoch * self.run.steps_per_epoch) * self.run.batch_size, self.run.rows)
        model._record_loss(model._reported_loss(self.run.logs(epoch)), rows)
        self.logs = {"loss": model.loss_}
        if self.judge is not None:
            self._judge(self.judge)
        if not model.early_stopping:
            model._compare_loss()
        self._call("on_epoch_end", self.first_epoch + epoch, self.logs)
        stop = "no_improvement" if model._should_stop() else ""
        if self.tasks.end_epoch(self.engine.get_weights) or self.trainee.stop_training:
            stop = stop or "callback"
        return stop

    def _judge(self, judge: Judge) -> None:
        model = self.model
        loss, score = judge()
        model._record_validation_loss(loss)
        self.logs["val_loss"] = loss
        if model.early_stopping:
            self.logs["val_score"] = score
            if model._compare_score(score):
                self.best_weights = self.engine.get_weights()

    def _looks_at(self, phase: str) -> bool:
        return self.listeners is not None and self.listeners.looks_at(phase)

    def _call(self, hook: str, *arguments: Any) -> None:
        if self.listeners is not None:
            self.listeners.call(hook, *arguments)
