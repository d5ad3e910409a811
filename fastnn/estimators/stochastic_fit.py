"""A fit of a scikit-learn estimator, epoch by epoch."""

from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from fastnn.callbacks import CallbackList
from fastnn.common.user_warnings import warn
from fastnn.data.samples import Samples
from fastnn.engine.engine import Engine
from fastnn.engine.epoch_loop import EpochLoop
from fastnn.engine.run_options import RunOptions
from fastnn.estimators.callback_bridge import Trainee
from fastnn.estimators.fit_context import FitContext
from fastnn.estimators.validation import HeldOut, Judge


class StochasticFit(EpochLoop):
    """One fit in progress, of an estimator whose solver takes batches.

    Parameters
    ----------
    model
        The estimator: its parameters say how, and its attributes record what came of it.
    engine : Engine
        Has the weights to start from, and the optimizer.
    samples : Samples
    held_out : HeldOut or None
    context : FitContext
    """

    def __init__(
        self, model: Any, engine: Engine, samples: Samples, held_out: HeldOut | None, context: FitContext
    ) -> None:
        self.model, self.engine, self.context = model, engine, context
        self.replay = model.shuffle and model._repeats_scikit_learn  # scikit-learn's, drawn from its generator
        goes_on = context.incremental and getattr(model, "_shuffle_seed", None)  # partial fits: one series of orders
        if not goes_on:
            drawn = (model.shuffle and not self.replay) or np.any(model.dropout)
            model._shuffle_seed = int(context.random_state.randint(np.iinfo(np.int32).max)) if drawn else 0
        self.epochs = 1 if context.incremental else int(model.max_iter)  # True is a number to scikit-learn
        self.first_epoch = len(model.loss_curve_)
        objective = engine.plan.objective(model._loss(), model._metrics(), limit=context.limit)
        options = RunOptions(
            model._rows_per_batch(len(samples)),
            self.epochs,
            shuffle=model.shuffle and not self.replay,
            seed=model._shuffle_seed,
            first_epoch=self.first_epoch,
            **model._reporting(context.limit, engine.plan.dtype),
        )
        run = engine.train(objective, samples, options)
        self.judge = None if held_out is None else Judge(model, engine, held_out, context.dtype, context.limit)
        self.best_weights = engine.get_weights() if model.early_stopping else None
        self.trainee = Trainee(model, engine)
        self.logs: dict[str, float] = {}
        self.listeners = None
        each_batch, each_epoch = False, bool(self.replay or context.tasks.wanted or self.judge)
        if model.callbacks is not None:
            about = {"verbose": model.verbose, "epochs": self.epochs, "steps": run.steps_per_epoch}
            self.listeners = CallbackList(model.callbacks, self.trainee, **about)
            each_batch = self.listeners.looks_at("train_batch")
            each_epoch = each_epoch or self.listeners.looks_at("epoch")
        super().__init__(run, each_batch, each_epoch)

    def train(self) -> str:
        """Train until the parameters, a callback or the user say stop; returns who it was, for ``stop_reason_``."""
        model = self.model
        model.n_iter_ = 0
        self._call("on_train_begin", {})
        try:
            reason = self._train() or "max_iter"
        except KeyboardInterrupt:
            reason = "interrupt"
            del model.loss_curve_[self.first_epoch + model.n_iter_ :]  # of an epoch that is not recorded whole
            warn("Training interrupted by user.")
        if reason == "max_iter" and not self.context.incremental:
            warn(
                f"Stochastic Optimizer: Maximum iterations ({self.epochs}) reached and the optimization hasn't "
                "converged yet.",
                ConvergenceWarning,
            )
        elif reason == "time_limit":
            self.context.deadline.warn(model.n_iter_)
        if self.best_weights is not None:
            self.engine.set_weights(self.best_weights)
        self._call("on_train_end", self.logs)
        return reason

    def _stopped(self) -> str:
        if self.run.done == 0:
            return ""  # one step is done whatever happens
        return "time_limit" if self.context.deadline.is_over() else "callback" if self.trainee.stop_training else ""

    def _epochs_ahead(self) -> int:
        return self.model._epochs_to_look_ahead()

    def _do(self, steps: int) -> None:
        self.run.advance(steps, **self.context.deadline.slice())

    def _begin(self, epoch: int, at: float | None = None) -> None:
        self.context.tasks.begin_epoch()
        self._call("on_epoch_begin", self.first_epoch + epoch, {})
        if self.replay:
            self.run.order[:] = self.run.order[self.context.random_state.permutation(self.run.rows)]

    def _begin_batch(self, step: int) -> None:
        self._call("on_train_batch_begin", step, {})

    def _end_batch(self, epoch: int, step: int) -> None:
        self._call("on_train_batch_end", step, {"loss": self.model._reported_loss(self.run.logs(epoch))})

    def _record(self, epoch: int) -> None:
        rows = min((self.run.done - epoch * self.run.steps_per_epoch) * self.run.batch_size, self.run.rows)
        self.model._record_loss(self.model._reported_loss(self.run.logs(epoch)), rows)

    def _report(self, epoch: int, at: float | None = None) -> str:
        model = self.model
        self.logs = {"loss": model.loss_}
        if self.judge is not None:
            self._judge(self.judge)
        if not model.early_stopping:
            model._compare_loss()
        self._call("on_epoch_end", self.first_epoch + epoch, self.logs)
        stop = "no_improvement" if model._should_stop() else ""
        if self.context.tasks.end_epoch(self.engine.get_weights) or self.trainee.stop_training:
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

    def _call(self, hook: str, *arguments: Any) -> None:
        if self.listeners is not None:
            self.listeners.call(hook, *arguments)
