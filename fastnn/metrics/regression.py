"""Metrics of numbers: differences and rates."""

import math

from fastnn.metrics.base import Metric

__all__ = [
    "LogCoshError",
    "MeanAbsoluteError",
    "MeanSquaredError",
    "Poisson",
    "PoissonDeviance",
    "RootMeanSquaredError",
]


class MeanSquaredError(Metric):
    """Mean of squared differences."""

    kernel = "mean_squared_error"


class RootMeanSquaredError(MeanSquaredError):
    """Root of the mean of squared differences."""

    def __init__(self, name: str | None = None, dtype: None = None) -> None:
        super().__init__(name or "root_mean_squared_error", dtype)

    def finish(self, mean: float) -> float:
        return math.sqrt(mean)


class MeanAbsoluteError(Metric):
    """Mean of absolute differences."""

    kernel = "mean_absolute_error"


class LogCoshError(Metric):
    """Mean of log(cosh(difference)), reported as ``logcosh``."""

    kernel = "log_cosh"

    def __init__(self, name: str | None = None, dtype: None = None) -> None:
        super().__init__(name or "logcosh", dtype)


class Poisson(Metric):
    """Negative log-likelihood of Poisson rates up to a constant, one per output."""

    kernel = "poisson"


class PoissonDeviance(Metric):
    """Half the Poisson deviance of rates, one per output."""

    kernel = "poisson_deviance"
