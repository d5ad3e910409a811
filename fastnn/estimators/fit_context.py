"""What one call of `fit` or `partial_fit` takes along to its solver."""

import math
import time
from dataclasses import dataclass

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from fastnn.common.user_warnings import warn
from fastnn.estimators.callback_bridge import FitTasks


class Deadline:
    """Time that a fit may take.

    Parameters
    ----------
    limit : float or None
        Seconds from now.
    """

    def __init__(self, limit: float | None) -> None:
        self._limit = limit
        self._end = math.inf if limit is None else time.perf_counter() + limit

    @property
    def is_set(self) -> bool:
        return self._limit is not None

    def is_over(self) -> bool:
        return time.perf_counter() >= self._end

    def slice(self) -> dict[str, float]:
        """Return the option of ``Run.advance`` that keeps it from computing for much longer."""
        return {} if not self.is_set else {"seconds": min(0.1, self._end - time.perf_counter())}

    def warn(self, iterations: int) -> None:
        warn(
            f"time_limit={self._limit} s was reached after {iterations} iterations, and the optimization hasn't "
            "converged yet.",
            ConvergenceWarning,
        )


@dataclass(frozen=True)
class FitContext:
    """One call of `fit` or `partial_fit`.

    Attributes
    ----------
    random_state : RandomState
        Draws weights, held-out rows, and the orders of the rows or a seed for them.
    tasks : FitTasks
    deadline : Deadline
    fresh : bool
        Whether it begins with new weights.
    incremental : bool
        Whether it is one epoch of `partial_fit`.
    dtype : dtype
        Of the weights as attributes.
    limit : float
        The largest loss of one output that is reported.
    """

    random_state: np.random.RandomState
    tasks: FitTasks
    deadline: Deadline
    fresh: bool
    incremental: bool
    dtype: np.dtype
    limit: float
