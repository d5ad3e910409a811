"""Losses: names and parameters, those of Keras where it has the loss. The formulas are in ``fastnn.kernels``."""

from typing import Any

from fastnn.common import absent
from fastnn.common.identifiers import resolve
from fastnn.losses import crossentropy, functions, regression
from fastnn.losses.base import Loss, as_rows
from fastnn.losses.crossentropy import *  # noqa: F403 - the families say what they hand on
from fastnn.losses.functions import *  # noqa: F403
from fastnn.losses.functions import is_function
from fastnn.losses.regression import *  # noqa: F403

__all__ = ["Loss", "as_rows", "get", "is_function"]
__all__ += crossentropy.__all__
__all__ += functions.__all__
__all__ += regression.__all__

_CLASSES: list[type[Loss]] = [vars(family)[name] for family in (regression, crossentropy) for name in family.__all__]
_TABLE: dict[str, type[Loss]] = {cls.name: cls for cls in _CLASSES}
_TABLE |= {
    "mse": regression.MeanSquaredError,
    "mae": regression.MeanAbsoluteError,
    "bce": crossentropy.BinaryCrossentropy,
    "pinball": regression.Quantile,
}


def get(identifier: Any) -> Loss:
    """Return a loss by name, object, class, function of this module or configuration dict.

    Raises
    ------
    ValueError
        For an unknown name; the message lists the known ones.
    """
    if is_function(identifier):
        identifier = identifier.__name__
    return resolve(identifier, _TABLE, Loss, "loss")


absent.explain(__name__)
