"""The base of all callbacks: Keras' hooks."""

import difflib
import re
from collections.abc import Mapping
from typing import Any

from fastnn.common.declarations import take_arguments
from fastnn.common.identifiers import is_own

HOOKS = tuple(
    f"on_{phase}_{moment}"
    for phase in ("train", "epoch", "train_batch", "test", "test_batch", "predict", "predict_batch")
    for moment in ("begin", "end")
)


class Callback:
    """Base of the callbacks: override the hooks you need.

    Batch hooks make training advance one step at a time, and epoch hooks one epoch at a time; without any, many
    epochs run in one compiled call.

    Attributes
    ----------
    model : Sequential
        The model at work; set its ``stop_training`` to end the fit.
    params : dict
        ``verbose``, ``epochs`` and ``steps``, the steps of an epoch.

    Notes
    -----
    A callback that remembers something from epoch to epoch defines `get_state` and `set_state`, both or none:
    `BackupAndRestore` then keeps it with the training. Of one without them nothing is kept, whatever its attributes
    are, so in a fit that goes on it begins as it was made.
    """

    model: Any = None
    params: Mapping[str, Any] = {}

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if is_own(cls):
            take_arguments(cls)
        else:
            _check_hooks(cls)

    def set_model(self, model: Any) -> None:
        """Called once before training with the model."""
        self.model = model

    def set_params(self, params: Mapping[str, Any]) -> None:
        """Called once before training with `params`."""
        self.params = params

    def get_state(self) -> dict[str, Any] | None:
        """Return what the callback has to know to go on with a training; None, the default, for nothing.

        A dict of None, bools, numbers, strings and NumPy arrays of numbers, and of lists, tuples and dicts of those.
        """
        return None

    def set_state(self, state: dict[str, Any]) -> None:
        """Take what `get_state` gave; called after ``on_train_begin`` of a fit that goes on, before its first step."""

    def on_train_begin(self, logs: Mapping[str, float] | None = None) -> None:
        """Called before the first epoch."""

    def on_train_end(self, logs: Mapping[str, float] | None = None) -> None:
        """Called after the last epoch with its logs."""

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        """Called before each epoch; epochs count from 0."""

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        """Called after each epoch with its loss and metrics, those of validation under ``val_`` names."""

    def on_train_batch_begin(self, batch: int, logs: Mapping[str, float] | None = None) -> None:
        """Called before each training step of an epoch."""

    def on_train_batch_end(self, batch: int, logs: Mapping[str, float] | None = None) -> None:
        """Called after each training step, with the means over the epoch so far."""

    def on_test_begin(self, logs: Mapping[str, float] | None = None) -> None:
        """Called before an evaluation, also that of a validation."""

    def on_test_end(self, logs: Mapping[str, float] | None = None) -> None:
        """Called after an evaluation."""

    def on_test_batch_begin(self, batch: int, logs: Mapping[str, float] | None = None) -> None:
        """Called before each batch of an evaluation."""

    def on_test_batch_end(self, batch: int, logs: Mapping[str, float] | None = None) -> None:
        """Called after each batch of an evaluation, with the means so far."""

    def on_predict_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        """Called before a prediction."""

    def on_predict_end(self, logs: Mapping[str, Any] | None = None) -> None:
        """Called after a prediction."""

    def on_predict_batch_begin(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Called before each batch of a prediction."""

    def on_predict_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Called after each batch of a prediction, with its ``outputs``."""


def _check_hooks(cls: type) -> None:
    """Refuse methods ``on_...`` that are near to a hook, or named after a phase of a training, and no hook."""
    for name, value in vars(cls).items():
        if modern(name) in HOOKS or not callable(value):
            continue
        near = difflib.get_close_matches(name, HOOKS, n=1, cutoff=0.85)
        if near or re.match(r"on_(train|epoch|batch|step|test|predict|val|validation|evaluat\w+|fit)(_|$)", name):
            hint = f"did you mean {near[0]!r}?" if near else f"choose one of {', '.join(HOOKS)}"
            raise TypeError(f"class {cls.__name__}: {name!r} would never be called, as it is no hook; {hint}")


def modern(hook: str) -> str:
    """Return the name of a hook in Keras 3: ``on_batch_end`` is an old name of ``on_train_batch_end``."""
    return hook.replace("on_batch", "on_train_batch")

