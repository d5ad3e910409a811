"""Callbacks: code of the user's that runs during training, with Keras' hooks."""

import weakref
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from fastnn.callbacks.base import HOOKS, Callback, modern
from fastnn.callbacks.checkpoints import BackupAndRestore, ModelCheckpoint
from fastnn.callbacks.monitoring import check_mode, check_monitor, smaller_is_better
from fastnn.common import absent
from fastnn.common.arithmetic import as_the_caller
from fastnn.common.attributes import Strict
from fastnn.common.user_warnings import warn
from fastnn.kernels.host.streams import say

_OLD_NAMES = {modern(name): name for name in ("on_batch_begin", "on_batch_end")}
CallbackState = tuple[str, Any]  # the name of its class, and what its `get_state` gave

__all__ = [
    "HOOKS",
    "BackupAndRestore",
    "Callback",
    "CallbackList",
    "EarlyStopping",
    "History",
    "LambdaCallback",
    "ModelCheckpoint",
]


class History(Strict, Callback):
    """Keeps the logs of every epoch; `fit` returns one.

    Attributes
    ----------
    history : dict of str to list of float
        One value an epoch for the loss and each metric.
    epoch : list of int
        The epochs, counted from 0.
    model : Sequential
        The model that was fitted, for as long as something else keeps it: a model and its `history` that kept each
        other would hold their memory until Python's garbage collector comes by. None in copies and pickles.

    Raises
    ------
    AttributeError
        If `model` is asked for when it is gone.
    """

    def __init__(self) -> None:
        self.history: dict[str, list[float]] = {}
        self.epoch: list[int] = []
        self._model: Callable[[], Any] | None = None

    @property
    def model(self) -> Any:
        model = None if self._model is None else self._model()
        if model is None and self._model is not None:
            raise AttributeError("the model of this history is gone, as nothing else kept it: keep the model itself")
        return model

    @model.setter
    def model(self, model: Any) -> None:
        self._model = None if model is None else weakref.ref(model)

    def __getstate__(self) -> dict[str, Any]:
        return vars(self) | {"_model": None}

    def on_train_begin(self, logs: Mapping[str, float] | None = None) -> None:
        self.epoch = []

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        self.epoch.append(epoch)
        for name, value in (logs or {}).items():
            self.history.setdefault(name, []).append(value)

    def get_state(self) -> dict[str, Any]:
        return {"history": self.history, "epoch": self.epoch}

    def set_state(self, state: dict[str, Any]) -> None:
        self.history, self.epoch = state["history"], state["epoch"]


class LambdaCallback(Strict, Callback):
    """Callback made of functions: ``LambdaCallback(on_epoch_end=lambda epoch, logs: print(epoch))``.

    Parameters
    ----------
    **hooks : callable
        Functions by the names of the hooks of `Callback`.
    """

    def __init__(self, **hooks: Callable[..., Any] | None) -> None:
        for name, function in hooks.items():
            if modern(name) not in HOOKS:
                raise TypeError(f"LambdaCallback has no hook {name!r}; choose from {', '.join(HOOKS)}")
            if function is not None:
                setattr(self, name, function)


class EarlyStopping(Strict, Callback):
    """Ends training when a monitored value has stopped improving.

    Parameters
    ----------
    monitor : str, default="val_loss"
        Name in the logs.
    min_delta : float, default=0
        Smaller changes do not count as improvement.
    patience : int, default=0
        Epochs without improvement after which training ends.
    verbose : int, default=0
        With 1, says so.
    mode : {"auto", "min", "max"}, default="auto"
        What improvement is. ``"auto"`` asks the metric; of a value that a callback put into the logs the name tells, as
        ``val_f1`` or ``error_rate``, or ``fit`` raises ValueError.
    baseline : float, optional
        Value that must be beaten for the patience to start anew.
    restore_best_weights : bool, default=False
        Go back to the weights of the best epoch when training ends.
    start_from_epoch : int, default=0
        Epochs before this one are not looked at.
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        min_delta: float = 0,
        patience: int = 0,
        verbose: int = 0,
        mode: str = "auto",
        baseline: float | None = None,
        restore_best_weights: bool = False,
        start_from_epoch: int = 0,
    ) -> None:
        self.monitor = monitor
        self.min_delta = abs(min_delta)
        self.patience = patience
        self.verbose = verbose
        self.mode = check_mode(mode)
        self.baseline = baseline
        self.restore_best_weights = restore_best_weights
        self.start_from_epoch = start_from_epoch
        self._begin()

    def _begin(self) -> None:
        self.wait = self.stopped_epoch = self.best_epoch = 0
        self.best: float | None = None
        self.best_weights: list[Any] | None = None
        self._smaller: bool | None = None  # is better
        self._warned = False

    def on_train_begin(self, logs: Mapping[str, float] | None = None) -> None:
        self._begin()
        self._find_direction()  # before anything is trained, if it cannot be told

    def get_state(self) -> dict[str, Any]:
        names = ("monitor", "wait", "stopped_epoch", "best", "best_epoch", "best_weights")
        return {name: getattr(self, name) for name in names}

    def set_state(self, state: dict[str, Any]) -> None:
        check_monitor(self.monitor, state["monitor"])
        self.wait, self.stopped_epoch, self.best_epoch = state["wait"], state["stopped_epoch"], state["best_epoch"]
        self.best, self.best_weights = state["best"], state["best_weights"]

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        value = (logs or {}).get(self.monitor)
        if value is None:
            self._warn_missing(logs or {})
            return
        if epoch < self.start_from_epoch:
            return
        self.wait += 1
        if self._improves(value, self.best):
            self.best, self.best_epoch = value, epoch
            if self.restore_best_weights:
                self.best_weights = self.model.get_weights()
            if self._improves(value, self.baseline):
                self.wait = 0
        elif self.wait >= self.patience and epoch > 0:
            self.stopped_epoch = epoch
            self.model.stop_training = True

    def on_train_end(self, logs: Mapping[str, float] | None = None) -> None:
        if self.stopped_epoch and self.verbose:
            say(f"Epoch {self.stopped_epoch + 1}: early stopping")
        if self.restore_best_weights and self.best_weights is not None:
            if self.verbose:
                say(f"Restoring model weights from the end of the best epoch: {self.best_epoch + 1}.")
            self.model.set_weights(self.best_weights)

    def _improves(self, value: float, reference: float | None) -> bool:
        if reference is None:
            return True
        if self._smaller is None:
            self._find_direction()
        return value + self.min_delta < reference if self._smaller else value - self.min_delta > reference

    def _find_direction(self) -> None:
        self._smaller = smaller_is_better(self.monitor, self.mode, self.model.metrics, type(self).__name__)

    def _warn_missing(self, logs: Mapping[str, float]) -> None:
        if not self._warned:
            self._warned = True
            warn(
                f"EarlyStopping looks at {self.monitor!r}, which is not among the logs: {', '.join(logs)}",
            )


class CallbackList:
    """The callbacks of one run, called hook by hook in their order; those that back it up come last.

    What they keep is then what all others have made of the same step or epoch.

    Parameters
    ----------
    callbacks : Callback or iterable of Callback, optional
    model : Sequential
    **params
        Given to every callback's ``set_params``.

    Attributes
    ----------
    history : History
        The user's, or one that is added at the end.
    back_up : bool
        Whether one of them is a `BackupAndRestore`.
    """

    def __init__(self, callbacks: Any, model: Any, **params: Any) -> None:
        if callbacks is None:
            callbacks = []
        self.callbacks = list(callbacks) if isinstance(callbacks, Iterable) else [callbacks]
        for callback in self.callbacks:
            if not isinstance(callback, Callback):
                hint = "; call it to make an object" if isinstance(callback, type) else _hint(callback)
                raise TypeError(f"callbacks must be objects of fastnn.callbacks.Callback; got {callback!r}{hint}")
        histories = [callback for callback in self.callbacks if type(callback) is History]
        self.history = histories[0] if histories else History()
        if not histories:
            self.callbacks.append(self.history)
        for callback in self.callbacks:
            callback.set_params(params)
            callback.set_model(model)
        self.back_up = any(isinstance(callback, BackupAndRestore) for callback in self.callbacks)
        in_turn = sorted(self.callbacks, key=lambda callback: isinstance(callback, BackupAndRestore))
        self._receivers = {
            hook: [self._receiver(callback, name) for callback in in_turn for name in _names(callback, hook)]
            for hook in HOOKS
        }

    def _receiver(self, callback: Callback, name: str) -> Callable[..., None]:
        receiver = getattr(callback, name)
        return receiver if callback is self.history else as_the_caller(receiver)

    def call(self, hook: str, *arguments: Any) -> None:
        """Call a hook of every callback that has it."""
        for receiver in self._receivers[hook]:
            receiver(*arguments)

    def get_states(self) -> list[CallbackState]:
        """Return the states of all callbacks that have one, but for the history of the run.

        Raises
        ------
        TypeError
            If one of them has only one of `get_state` and `set_state`.
        """
        return [(type(callback).__name__, callback.get_state()) for callback in self._with_state()]

    def kinds_with_state(self) -> list[str]:
        """Return the names of their classes."""
        return [type(callback).__name__ for callback in self._with_state()]

    def set_states(self, states: list[CallbackState]) -> None:
        """Give every callback the state that one of its class at its place had.

        Raises
        ------
        ValueError
            If one does not take it.
        """
        for callback, (kind, state) in zip(self._with_state(), states, strict=True):
            if state is not None:
                try:
                    callback.set_state(state)
                except Exception as error:
                    raise ValueError(f"{kind} cannot go on with the state of a backup ({error!r})") from error

    def _with_state(self) -> list[Callback]:
        found = []
        for callback in self.callbacks:
            own = [getattr(type(callback), name) is not getattr(Callback, name) for name in ("get_state", "set_state")]
            if any(own) and not all(own):
                raise TypeError(f"{type(callback).__name__} has only one of get_state and set_state; define both")
            if all(own) and callback is not self.history:
                found.append(callback)
        return found

    def looks_at(self, phase: str) -> bool:
        """Whether a callback other than the history has a hook at the beginning or end of this phase."""
        mine = [self.history.on_epoch_end]
        return any(
            receiver not in mine for moment in ("begin", "end") for receiver in self._receivers[f"on_{phase}_{moment}"]
        )


def _hint(callback: Any) -> str:
    """What to do about an object of another library, or of no base."""
    name = type(callback).__name__
    if name in __all__:
        return f"; take fastnn.callbacks.{name}"
    if any(callable(getattr(callback, modern(hook), None)) for hook in HOOKS):
        return f"; derive the class {name} from it"
    return ""


def _names(callback: Callback, hook: str) -> list[str]:
    """Return the names under which a callback has this hook of its own."""
    old = _OLD_NAMES.get(hook)
    names = [old] if old is not None and hasattr(callback, old) else []
    if getattr(getattr(callback, hook), "__func__", None) is not getattr(Callback, hook):
        names.append(hook)
    return names


absent.explain(__name__)
