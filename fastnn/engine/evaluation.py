"""Loss, metrics and gradient over all rows of some data, prepared once for many calls."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn.data.samples import Samples
from fastnn.engine.operands import operands
from fastnn.engine.programs import run_vector
from fastnn.engine.run_options import RunOptions
from fastnn.kernels import codes
from fastnn.lowering.objective import Objective


class Evaluation:
    """Loss and metrics of each of some rows, prepared once, so that a call does little but compute.

    Parameters
    ----------
    engine, objective, samples
        As in ``Engine.evaluate``.
    """

    def __init__(self, engine: Any, objective: Objective, samples: Samples) -> None:
        samples = operands(engine.plan, samples, objective.target_width)
        columns = {
            codes.LOSS: objective.loss, codes.TARGETS: samples.y.shape[1],
            codes.WEIGHTED: samples.sample_weights is not None,
            codes.IN_LANES: engine.plan.is_narrow, codes.METRICS_FIRST: objective.metrics_first,
        }  # fmt: skip
        self._engine, self._samples = engine, samples
        self._infer = engine.inference(run_vector(columns, objective.metrics), objective)
        self._stats = np.empty((len(samples), objective.columns))

    def __call__(self, threads: int | None = None) -> np.ndarray:
        """Weighted loss, without penalties, and metrics of the rows with the engine's present weights.

        The float64 array (n, 1 + metrics) belongs to the next call.
        """
        return self.on(self._engine.operand, threads)

    def on(self, params: Any, threads: int | None = None) -> np.ndarray:
        """Do the same with given parameters."""
        self._infer(
            params,
            self._samples.x,
            y=self._samples.y,
            sample_weights=self._samples.sample_weights,
            stats=self._stats,
            threads=threads or self._engine.threads,
        )
        return self._stats


class LossGradient:
    """Loss and gradient over all rows as one batch, in training, as a function of the flat trained parameters.

    Prepared once, so that a call does little but compute; it leaves the engine alone.

    Parameters
    ----------
    engine, objective, samples
        As in ``Engine.train``.
    **reporting
        Those of `RunOptions` that say what is reported.
    """

    def __init__(self, engine: Any, objective: Objective, samples: Samples, **reporting: Any) -> None:
        self._engine = engine.twin(engine.plan.without_memory())
        self._engine.reset_optimizer(_GradientOnly())
        self._run = self._engine.train(objective, samples, RunOptions(len(samples), **reporting))

    def __call__(self, params: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean loss and metrics, and the gradient, for a flat vector of ``Plan.n_parameters``.

        The arrays belong to the next call.
        """
        self._engine.set_params(params)
        self._run.rewind()
        self._run.advance(1)
        return self._run.logs(0), self._engine.slots[: self._engine.plan.n_parameters]

    def weights(self, params: np.ndarray) -> list[np.ndarray]:
        """All weights, shaped like ``get_weights()``, where the trained ones are ``params``: statistics of all rows."""
        if (self._engine.plan.ops[:, codes.KIND] == codes.BATCH_NORM).any():
            self(params)
        else:
            self._engine.set_params(params)
        return self._engine.get_weights()


class _GradientOnly:
    """The optimizer that stores the gradient instead of using it."""

    name = "gradient"
    schedule = None

    def count(self, iterations: int) -> None:
        """Nobody asks how many there were."""

    def hyperparameters(self) -> tuple[float, ...]:
        return (0.0,) * len(codes.HYPERPARAMETERS)

    def clipping(self) -> tuple[float, ...]:
        return (0.0,) * len(codes.CLIPPING)
