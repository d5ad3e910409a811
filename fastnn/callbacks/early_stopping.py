"""The end of a training that has stopped improving."""

from collections.abc import Mapping
from typing import Any

from fastnn.callbacks.base import Callback
from fastnn.callbacks.monitoring import check_mode, check_monitor, smaller_is_better
from fastnn.common.attributes import Strict
from fastnn.common.user_warnings import warn
from fastnn.kernels.host.streams import say


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
