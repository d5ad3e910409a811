"""Predictions of large networks on a GPU: a launch for each product, as in training, on batches of rows."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn.engine.cuda.launches import ROOM, Launch, Launches, bound
from fastnn.kernels import codes
from fastnn.kernels.cuda.jit import SIMULATED, cuda
from fastnn.kernels.cuda.launches import inference
from fastnn.lowering.objective import Objective
from fastnn.lowering.plan import Plan

MOST_ROWS = 16 if SIMULATED else 4096  # of a batch: more would not make a GPU busier
# From which on that pays, of a row and of all rows: below, layers are so narrow, or rows so few, that one launch does
# all in about the time that these many take. Estimates.
FLOPS_OF_ROW, FLOPS_OF_ALL = 1e5, 2e7


def pays(plan: Plan, rows: int) -> bool:
    """Whether this many rows are predicted by launches."""
    return plan.flops_per_row >= FLOPS_OF_ROW and rows * plan.flops_per_row >= FLOPS_OF_ALL


def batch_of(rows: int) -> int:
    """Rows of a batch, of few sizes, for this many rows."""
    return min(MOST_ROWS, 1 << (rows - 1).bit_length())


class Forward(Launches):
    """The launches of a prediction or evaluation of batches of rows.

    float32 stays float32 here: TF32 is for training.

    Parameters
    ----------
    plan : Plan
        With vectors of one element: ``Plan.row_major``.
    run : ndarray
        The vector that describes what is wanted, see ``runs.run_vector``.
    batch : int
    objective : Objective or None
        What an evaluation reports.
    """

    def __init__(self, plan: Plan, run: np.ndarray, batch: int, objective: Objective | None) -> None:
        ops = plan.raw_ops if run[codes.LINK] else plan.ops if objective is None else objective.ops
        computes = ops[:, codes.KIND] != codes.DROPOUT
        layout = plan.layout(ops[computes], batch, room=ROOM)
        super().__init__(layout.ops, batch, plan.dtype, "bfloat16" if plan.mixed else plan.dtype.name)
        self._work_size, self._widths = layout.size, (plan.n_inputs, plan.n_outputs)
        self._run, count = run, len(layout.ops)
        nothing = np.zeros(1, plan.dtype)
        self._own = {
            "run": cuda.to_device(run), "ops": cuda.to_device(layout.ops.ravel()),
            "factors": cuda.to_device(plan.factors[computes].ravel()), "scaling": cuda.to_device(plan.scaling),
            "loss_factors": cuda.to_device(nothing if objective is None else objective.factors.ravel()),
            "order": cuda.to_device(np.arange(batch, dtype=np.int32)),
        }  # fmt: skip
        self._launches = [self._gather(), *self._forward()]
        if objective is None:
            arguments = ("ops", count, "work", "outputs", "clock")
            self._launches.append(self._spread(inference.take_outputs, batch * plan.n_outputs, *arguments))
        else:
            evaluated = ("run", "ops", count, "work", "y", "sample_weights", "loss_factors", "stats", "clock")
            self._launches.append(self._thread_a_row(inference.evaluate_rows, *evaluated))

    def __call__(self, rows: int, **memory: Any) -> None:
        """Launch all batches, and wait for none.

        Parameters
        ----------
        rows : int
        **memory
            Flat arrays on the device: params, x, y, sample_weights, stats and outputs. What is not needed has one
            element.
        """
        memory |= self._own | {"work": cuda.device_array(self._work_size, self._dtype)}
        inputs, outputs = self._widths
        targets, columns = int(self._run[codes.TARGETS]), 1 + int(self._run[codes.METRICS_COUNT])
        widths = {"x": inputs, "outputs": outputs, "y": targets, "stats": columns, "sample_weights": 1}
        for first in range(0, rows, self._batch):
            count = min(self._batch, rows - first)
            clock = np.zeros(len(codes.CLOCK_COLUMNS), np.int64)
            clock[codes.NOW_ROWS] = count
            parts = {
                name: memory[name][first * width : (first + count) * width] if memory[name].size > 1 else memory[name]
                for name, width in widths.items()
            }
            for kernel, arguments in bound(self._launches, {**memory, **parts, "clock": cuda.to_device(clock)}):
                kernel(*arguments)

    def _statistics(self, index: int, columns: int) -> Launch:
        arguments = ("ops", index, "factors", "params", "work")
        return self._spread(inference.moving_statistics_columns, columns, *arguments)
