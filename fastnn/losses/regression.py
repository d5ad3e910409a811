"""Losses of numbers: differences, quantiles and rates."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from fastnn.common import checks
from fastnn.losses.base import Loss

__all__ = [
    "Huber",
    "LogCosh",
    "MeanAbsoluteError",
    "MeanSquaredError",
    "Poisson",
    "PoissonDeviance",
    "Quantile",
]


class MeanSquaredError(Loss):
    """Mean of squared differences."""

    name = "mean_squared_error"


class MeanAbsoluteError(Loss):
    """Mean of absolute differences."""

    name = "mean_absolute_error"


class Huber(Loss):
    """Half the squared difference up to `delta`, linear beyond (Huber, 1964): outliers pull no harder than `delta`.

    Parameters
    ----------
    delta : float, default=1.0
        Difference at which it becomes linear, > 0.
    """

    name = "huber"

    def __init__(self, delta: float = 1.0) -> None:
        self.delta = checks.number("delta", delta, 0.0, above=True)

    def factors(self, n_outputs: int) -> np.ndarray:
        from fastnn.kernels import codes

        row = super().factors(n_outputs)
        row[codes.SHAPE] = self.delta
        return row

    def get_config(self) -> dict[str, Any]:
        return {"delta": self.delta}


class LogCosh(Loss):
    """log(cosh(difference)): squared for small differences, absolute for large ones."""

    name = "log_cosh"


class Quantile(Loss):
    """Pinball loss, least at quantiles of the targets given the inputs (Koenker and Bassett, 1978).

    A difference counts `level` times where the target lies above the output, 1 - `level` times where below; the
    loss averages over targets and levels.

    Parameters
    ----------
    levels : float or sequence of float, default=0.5
        Levels of the quantiles, each in (0, 1). With several, the network has an output for each level of each target:
        output ``i * len(levels) + k`` is the quantile of target i at ``levels[k]``, and targets have
        ``outputs / len(levels)`` columns.
    """

    name = "quantile"

    def __init__(self, levels: float | Sequence[float] = 0.5) -> None:
        given = np.atleast_1d(np.asarray(levels, dtype=object)).tolist()
        if np.ndim(levels) > 1 or not given:
            raise ValueError(f"levels must be a number or a list of numbers in (0, 1); got {levels!r}")
        self.levels = [checks.number("levels", level, 0.0, 1.0, above=True) for level in given]

    def target_width(self, n_outputs: int) -> int:
        if n_outputs % len(self.levels):
            raise ValueError(
                f"loss 'quantile' with {len(self.levels)} levels needs as many outputs for each target: a multiple of "
                f"{len(self.levels)} units in the last layer; it has {n_outputs}"
            )
        return n_outputs // len(self.levels)

    def factors(self, n_outputs: int) -> np.ndarray:
        from fastnn.kernels import codes

        row = super().factors(n_outputs)
        row[codes.PER_OUTPUT :] = np.tile(self.levels, self.target_width(n_outputs))
        return row

    def get_config(self) -> dict[str, Any]:
        return {"levels": self.levels}


class Poisson(Loss):
    """Negative log-likelihood of rates up to a constant, ``rate - target * log(rate)``; targets >= 0."""

    name = "poisson"
    target_range = (0.0, math.inf)
    activation = "exponential"


class PoissonDeviance(Loss):
    """Half the Poisson deviance of rates, ``target * log(target / rate) - target + rate``; targets >= 0.

    It differs from `Poisson` by a constant, which makes it 0 for perfect rates.
    """

    name = "poisson_deviance"
    target_range = (0.0, math.inf)
    activation = "exponential"


def metric_factors(n_outputs: int) -> np.ndarray:
    """Return the parameters of a metric that is given none, in the form of ``Loss.factors``."""
    from fastnn.kernels import codes

    row = MeanSquaredError().factors(n_outputs)
    row[codes.SHAPE] = 0.5  # threshold of binary accuracy
    return row
