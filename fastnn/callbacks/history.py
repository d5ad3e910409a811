"""The history of a fit: the logs of every epoch."""

import weakref
from collections.abc import Callable, Mapping
from typing import Any

from fastnn.callbacks.base import Callback
from fastnn.common.attributes import Strict


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
