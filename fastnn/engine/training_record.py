"""How far a fit has come: what has to be kept beside weights and optimizer to go on with the same bits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from fastnn.common import plain_values

MOST_EPOCHS = 2**53  # of a fit, and steps of an epoch: all of them whole numbers in any file


@dataclass
class Surroundings:
    """What a fit that is to go on needs beside its `TrainingRecord`; only backups hold it.

    Attributes
    ----------
    conditions : dict
        Plain values that say what the fit is made of: see `fastnn.models.conditions`.
    stopped : bool
        Whether something set ``stop_training``, so that no step is left to do.
    callbacks : list of (str, Any)
        The classes of the callbacks that have a state, and their states.
    """

    conditions: dict[str, Any]
    stopped: bool
    callbacks: list[tuple[str, Any]]

    def to_config(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """Return it as plain values, and the arrays of the states by the names that they have in a file.

        Raises
        ------
        TypeError, ValueError
            If a state holds what no file can.
        """
        callbacks, tensors = [], {}
        for number, (kind, state) in enumerate(self.callbacks):
            arrays: dict[str, np.ndarray] = {}
            packed = plain_values.pack(state, f"callback:{number}:", arrays, f"the state of the callback {kind}")
            callbacks.append({"class_name": kind, "state": packed})
            tensors.update(arrays)
        return {"conditions": self.conditions, "stopped": self.stopped, "callbacks": callbacks}, tensors

    @classmethod
    def from_config(cls, packed: Any, tensors: Mapping[str, np.ndarray]) -> Surroundings:
        """Return what a file holds.

        Raises
        ------
        AttributeError, KeyError, TypeError
            If it is damaged.
        """
        callbacks = [(each["class_name"], plain_values.unpack(each["state"], tensors)) for each in packed["callbacks"]]
        conditions, stopped = packed["conditions"], packed["stopped"]
        if not (isinstance(conditions, dict) and isinstance(stopped, bool)):
            raise TypeError(f"conditions {conditions!r}, stopped {stopped!r}")
        return cls(conditions, stopped, callbacks)


@dataclass
class TrainingRecord:
    """How far a fit has come, and its history.

    Attributes
    ----------
    seed : int
        Of the order of the rows and of dropout, 0 <= seed < 2**63.
    epoch : int
        Number of the epoch to go on with, which is the number of those that are done.
    step : int
        Steps of it that are done.
    sums : list of float
        Sums of its loss and metrics over the rows of these steps.
    history : dict of str to list of float
        Logs of the epochs that are done; callbacks may put bools, strings and None there.
    epochs : list of int
        Their numbers.
    surroundings : Surroundings or None
        Of a backup.
    """

    seed: int
    epoch: int = 0
    step: int = 0
    sums: list[float] = field(default_factory=list)
    history: dict[str, list[float]] = field(default_factory=dict)
    epochs: list[int] = field(default_factory=list)
    surroundings: Surroundings | None = None

    def to_config(self) -> dict[str, Any]:
        """Return the record, without its surroundings, as plain values.

        Raises
        ------
        TypeError, ValueError
            If callbacks have put into the logs what no file can hold.
        """
        config = asdict(replace(self, surroundings=None, history={}))
        del config["surroundings"]
        return config | {"history": _plain_logs(self.history)}

    @classmethod
    def from_config(cls, config: Any) -> TrainingRecord:
        """Return the record that a file holds.

        Raises
        ------
        TypeError, ValueError
            If it is damaged.
        """
        record = replace(cls(**config), surroundings=None)
        counts = [record.epoch, record.step, *record.epochs]
        if any(type(count) is not int or not 0 <= count < MOST_EPOCHS for count in counts):
            raise ValueError(f"the epochs and steps of the training must be whole numbers; got {counts}")
        if type(record.seed) is not int or not 0 <= record.seed < 2**63:
            raise ValueError(f"the seed of the training must be a whole number; got {record.seed!r}")
        record.sums = [float(value) for value in record.sums]
        record.history = _plain_logs(record.history)
        return record


def _plain_logs(history: dict[str, list[Any]]) -> dict[str, list[Any]]:
    plain = plain_values.plain(history, "history", plain_values.as_number)
    for name, values in plain.items():
        for value in values:
            if isinstance(value, (list, dict)):
                raise TypeError(f"the logs of {name!r} must be numbers; got {value!r}")
    return plain
