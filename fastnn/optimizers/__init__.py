"""Optimizers: names, defaults and ranges of their hyper-parameters. The update formulas are in ``fastnn.kernels``."""

from typing import Any

from fastnn.common import absent
from fastnn.common.identifiers import resolve
from fastnn.optimizers import schedules
from fastnn.optimizers.base import Optimizer
from fastnn.optimizers.methods import SGD, Adagrad, Adam, Adamax, AdamW, Lion, Nadam, RMSprop

__all__ = [
    "SGD",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Lion",
    "Nadam",
    "Optimizer",
    "RMSprop",
    "get",
    "names",
    "schedules",
]

_TABLE = {cls.name: cls for cls in (SGD, RMSprop, Adam, AdamW, Nadam, Adamax, Adagrad, Lion)}


def names() -> list[str]:
    """Return the names of the optimizers."""
    return list(_TABLE)


def get(identifier: Any) -> Optimizer:
    """Return an optimizer by name, object, class or configuration dict.

    Raises
    ------
    ValueError
        For an unknown name; the message lists the known ones.
    """
    return resolve(identifier, _TABLE, Optimizer, "optimizer")


absent.explain(__name__)
