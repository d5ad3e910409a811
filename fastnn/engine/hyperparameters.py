"""Hyper-parameters of the steps of a run: what the optimizer and its schedule say, as the programs read it."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn.engine.run_options import RunOptions
from fastnn.kernels import codes
from fastnn.lowering.objective import Objective

SCHEDULED_STEPS = 4096  # most steps of a call with a learning rate for each step


class Rates:
    """A row of hyper-parameters for all steps or, with a schedule, one for each of the next.

    Parameters
    ----------
    optimizer : Optimizer
    objective : Objective
    options : RunOptions

    Attributes
    ----------
    table : float64 (rows, HYPER_COLUMNS), see ``kernels/codes.py``
    clips : tuple of bool
        For each of ``codes.CLIPPING``, whether gradients are clipped by this method.
    """

    def __init__(self, optimizer: Any, objective: Objective, options: RunOptions) -> None:
        labels_are_smooth = objective.factors[0, codes.KEPT] < 1.0
        self.optimizer, self.scheduled = optimizer, optimizer.schedule is not None
        self._clipping = optimizer.clipping()
        self.clips = tuple(map(bool, self._clipping))
        self.table = np.zeros((SCHEDULED_STEPS if self.scheduled else 1, codes.HYPER_COLUMNS))
        loss_limit = 0.0 if labels_are_smooth else options.loss_limit
        self.table[:, codes.LOSS_SCALE :] = options.loss_scale, loss_limit, *self._clipping

    def take(self, iterations: int, wanted: int) -> int:
        """Fill the table for up to `wanted` steps after so many, and return how many of them it serves.

        Raises
        ------
        RuntimeError
            If the optimizer has come to need another program than the run was prepared with.
        """
        optimizer, clipping = self.optimizer, self.optimizer.clipping()
        changed = clipping != self._clipping
        if self.scheduled != (optimizer.schedule is not None) or (changed and tuple(map(bool, clipping)) != self.clips):
            raise RuntimeError(
                "a schedule of the learning rate, and clipping, cannot begin or end within a fit: give them to the "
                "optimizer before it, or change the learning rate in a callback"
            )
        if changed:
            self._clipping = clipping
            self.table[:, codes.CLIPVALUE :] = clipping
        optimizer.count(iterations)
        self.table[:, : codes.LOSS_SCALE] = optimizer.hyperparameters()
        if not self.scheduled:
            return wanted
        served = min(wanted, len(self.table))
        self.table[:served, codes.LEARNING_RATE] = optimizer.schedule.rates(iterations + np.arange(served))
        return served
