"""What the callbacks and the progress line are told of fits, evaluations and predictions."""

import copy
import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fastnn.callbacks import CallbackList
from fastnn.data.placement import join
from fastnn.data.samples import Samples
from fastnn.engine.epoch_loop import EpochLoop
from fastnn.engine.training_record import Surroundings, TrainingRecord
from fastnn.metrics import Metric
from fastnn.models.conditions import differences
from fastnn.models.progress_line import ProgressLine

Logs = dict[str, float]


def logs_of(means: np.ndarray, metrics: Sequence[Metric], widths: Sequence[int]) -> Logs:
    """Return loss and metrics by name, in alphabetical order as in Keras.

    `means` are those of the loss, then of the columns of each metric, of which it has as many as `widths` says.
    """
    logs, first = {"loss": float(means[0])}, 1
    for metric, width in zip(metrics, widths, strict=True):
        logs[metric.name] = metric.result(means[first : first + width])
        first += width
    return dict(sorted(logs.items()))


class Training(EpochLoop):
    """One fit in progress; callbacks, validation and the progress line are told of its epochs.

    Parameters
    ----------
    model : Sequential
        Its ``stop_training`` is looked at; what a callback restores to it is where training begins.
    run : Run
    epochs : range
        Numbers of the epochs.
    logs_of : callable
        Makes logs of the means of the run's columns, see `logs_of`.
    callbacks : CallbackList
    line : ProgressLine
    validate : callable, optional
        Returns the logs of a validation.
    describe : callable, optional
        Returns what the fit is made of, for backups: see `fastnn.models.conditions`.
    """

    def __init__(
        self,
        model: Any,
        run: Any,
        epochs: range,
        logs_of: Callable[[np.ndarray], Logs],
        callbacks: CallbackList,
        line: ProgressLine,
        validate: Callable[[], Logs] | None = None,
        describe: Callable[[], dict[str, Any]] = dict,
    ) -> None:
        looked_at = callbacks.looks_at("epoch") or validate is not None
        super().__init__(run, each_batch=callbacks.looks_at("train_batch"), each_epoch=looked_at)
        self.model, self.epochs, self._logs_of = model, epochs, logs_of
        self.callbacks, self.line, self.validate = callbacks, line, validate
        self.begun = False  # whether callbacks were told that training begins
        self.logs: Logs = {}
        self._process = os.getpid()
        self._describe = describe
        self._conditions: dict[str, Any] = {}

    @property
    def is_here(self) -> bool:
        """Whether it is one of this process, and not what a fork found of its parent's."""
        return self._process == os.getpid()

    def train(self) -> None:
        """Run all epochs, or until ``model.stop_training`` is set.

        An exception, KeyboardInterrupt included, leaves the weights of a whole step and a history of all epochs that
        were finished.
        """
        self.model.stop_training = False
        self.model.forget_restored()  # before this fit, whose epochs are those it was asked for
        if self.callbacks.back_up:
            self.callbacks.kinds_with_state()  # tells what is wrong with them
            self._conditions = self._describe()  # before a callback changes the optimizer
        self.callbacks.call("on_train_begin", {})
        self.begun = True
        restored = self.model.restored_record()
        if restored is not None:
            self._go_on_from(restored)
        history = self.callbacks.history
        before = self.finished, len(history.epoch), {name: len(values) for name, values in history.history.items()}
        try:
            self._train()
        except BaseException:
            self.line.leave()
            if not self.callbacks.looks_at("epoch"):
                self._complete_history(*before)
            while not self.each_epoch and self.finished < self.run.done // self.run.steps_per_epoch:
                self._finish()
            raise
        self.callbacks.call("on_train_end", self.logs)

    def _complete_history(self, finished: int, epochs: int, values: dict[str, int]) -> None:
        """Let the history have the last finished epoch, though an exception struck while it was told of it.

        Given are the finished epochs, and the numbers of epochs and of values by name in the history, before training.
        """
        history, count = self.callbacks.history, self.finished - finished
        if count and len(history.epoch) < epochs + count:
            history.epoch.append(self.epochs[self.finished - 1])
        for name, value in self.logs.items() if count else ():
            own = history.history.setdefault(name, [])
            if len(own) < values.get(name, 0) + count:
                own.append(value)

    def record(self) -> TrainingRecord:
        """Return how far training has come; an epoch whose end is being reported counts as done."""
        run, past = self.run, self.callbacks.history
        history, epochs = {name: list(values) for name, values in past.history.items()}, list(past.epoch)
        done, finished, per_epoch = run.done, self.finished, run.steps_per_epoch
        missing = {}
        if finished and epochs[-1:] != [self.epochs[finished - 1]]:
            missing[finished - 1] = self.logs
        if done > (finished + 1) * per_epoch:  # somebody asks in the midst of a call for several epochs
            missing |= {epoch: self._logs_so_far(epoch) for epoch in range(finished, done // per_epoch)}
            finished = done // per_epoch
        for epoch, logs in missing.items():
            for name, value in logs.items():
                history.setdefault(name, []).append(value)
            epochs.append(self.epochs[epoch])
        step = max(0, done - finished * per_epoch)
        sums = run.sums(finished).tolist() if step else []
        return TrainingRecord(run.seed, self.epochs.start + finished, step, sums, history, epochs)

    def surroundings(self) -> Surroundings:
        """Return what another fit needs to go on as this one does, beside weights, optimizer and record."""
        return Surroundings(self._conditions, bool(self.model.stop_training), self.callbacks.get_states())

    def differences_from(self, record: TrainingRecord) -> list[str]:
        """Return in words why this fit cannot go on as the one of the record would."""
        found, done = [], record.epoch + (record.step > 0)
        if done > self.epochs.stop:
            found.append(f"epoch {done} was begun, epochs is {self.epochs.stop}")
        if record.surroundings is not None and self._conditions:
            found += differences(record.surroundings.conditions, self._conditions)
            before, now = [kind for kind, _ in record.surroundings.callbacks], self.callbacks.kinds_with_state()
            if before != now:
                found.append(f"callbacks with a state were [{', '.join(before)}], are [{', '.join(now)}]")
        return found

    def _go_on_from(self, record: TrainingRecord) -> None:
        """Begin where another training of the same model stopped."""
        epoch_index, per_epoch = record.epoch - self.epochs.start, self.run.steps_per_epoch
        if record.step > per_epoch:
            raise ValueError(
                f"the training to go on with has done {record.step} steps of an epoch, which has only {per_epoch} "
                "here: give the same data and batch_size as before"
            )
        step = record.step if 0 <= epoch_index < len(self.epochs) else 0
        columns = len(self.run.sums(self.finished))
        if step and len(record.sums) != columns:
            raise ValueError(
                f"the training to go on with has {len(record.sums)} sums of loss and metrics in the midst of an epoch, "
                f"this one has {columns}: compile with the same metrics as before"
            )
        self.finished = min(max(0, epoch_index), len(self.epochs))
        self.run.seek(record.seed, self.finished, step, record.sums)
        history = self.callbacks.history
        history.history = {name: list(values) for name, values in record.history.items()}
        history.epoch = list(record.epochs)
        self.logs = {name: values[-1] for name, values in record.history.items() if values}
        if record.surroundings is not None:
            self.model.stop_training = self.model.stop_training or record.surroundings.stopped
            self.callbacks.set_states(record.surroundings.callbacks)
        self.model.forget_restored()
        if step:
            self._begin_again(self.finished)
        if step == per_epoch:  # all steps of an epoch whose end nobody was told
            self._finish()

    def _begin_again(self, epoch: int) -> None:
        """Begin an epoch of which steps are done: what callbacks then do to model and state, they have done before."""
        model = self.model
        weights, optimizer = model.get_weights(), copy.copy(model.optimizer)
        states = copy.deepcopy(self.callbacks.get_states())
        self._begin(epoch)
        model.set_weights(weights)
        model.optimizer.take_from(optimizer)
        self.callbacks.set_states(states)

    def _stopped(self) -> str:
        return "callback" if self.model.stop_training else ""

    def _begin(self, epoch: int, at: float | None = None) -> None:
        number, stop = self.epochs[epoch], self.epochs.stop
        self.line.begin(f"Epoch {number + 1}/{stop}" if stop > 1 else "", at)
        self.callbacks.call("on_epoch_begin", number, {})

    def _begin_batch(self, step: int) -> None:
        self.callbacks.call("on_train_batch_begin", step, {})

    def _end_batch(self, epoch: int, step: int) -> None:
        self.callbacks.call("on_train_batch_end", step, self._logs_so_far(epoch))

    def _look(self, epoch: int, steps: int) -> None:
        self.line.update(steps, self._logs_so_far(epoch))

    def _record(self, epoch: int) -> None:
        logs = self._logs_so_far(epoch)
        if self.validate:
            logs |= {f"val_{name}": value for name, value in self.validate().items()}
        self.logs = logs

    def _report(self, epoch: int, at: float | None = None) -> str:
        self.line.finish(self.logs, None if self.validate else at)
        self.callbacks.call("on_epoch_end", self.epochs[epoch], self.logs)
        return ""

    def _logs_so_far(self, epoch: int) -> Logs:
        return self._logs_of(self.run.logs(epoch))


def evaluate(
    engine: Any, samples: Samples, objective: Any, metrics: Sequence[Metric], callbacks: CallbackList, batch_size: int
) -> Logs:
    """Return the logs of an evaluation, in one call unless a callback looks at its batches."""
    n = len(samples)
    size = batch_size if callbacks.looks_at("test_batch") else n
    total, logs = np.zeros(objective.columns), {}
    callbacks.call("on_test_begin", {})
    for batch, start in enumerate(range(0, n, size)):
        callbacks.call("on_test_batch_begin", batch, {})
        part = samples[start : start + size]
        total += len(part) * engine.evaluate(objective, part)
        logs = logs_of(total / (start + len(part)), metrics, objective.widths)
        callbacks.call("on_test_batch_end", batch, logs)
    callbacks.call("on_test_end", logs)
    return logs


def predict(engine: Any, x: np.ndarray, callbacks: CallbackList, batch_size: int) -> np.ndarray:
    """Return predictions, made in one call unless a callback looks at the batches."""
    size = batch_size if callbacks.looks_at("predict_batch") else len(x)
    parts = []
    callbacks.call("on_predict_begin", {})
    for batch, start in enumerate(range(0, len(x), size)):
        callbacks.call("on_predict_batch_begin", batch, {})
        parts.append(engine.predict(x[start : start + size]))
        callbacks.call("on_predict_batch_end", batch, {"outputs": parts[-1]})
    callbacks.call("on_predict_end", {})
    return join(parts)
