"""Training of large networks on a GPU: the launches of one step, repeated."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn.engine.cuda.launches import MOST_BLOCKS, THREADS, Launch, Launches, bound
from fastnn.kernels import codes
from fastnn.kernels.cuda.gemm_choice import method_for, precision_of, slices_for, tiles
from fastnn.kernels.cuda.jit import SIMULATED, cuda
from fastnn.kernels.cuda.launches import clipping, normalization, shuffle, step
from fastnn.kernels.operations import teamwork
from fastnn.lowering.kinds import NORMALIZATIONS
from fastnn.lowering.plan import Plan

SHUFFLING_THREADS = 8 if SIMULATED else 1024
PENALTY_BLOCKS = 2 if SIMULATED else 64


class Steps(Launches):
    """The launches of a training step on a GPU, the same for every step of a run.

    Parameters
    ----------
    plan : Plan
        With vectors of one element: ``Plan.row_major``.
    ops : ndarray
        The operation table with its offsets, ``plan.layout(..., room=ROOM).ops``.
    run : ndarray
        The vector that describes the run.
    clips_norms : bool, default=False
        Whether norms of gradients may have limits.
    """

    def __init__(self, plan: Plan, ops: np.ndarray, run: np.ndarray, clips_norms: bool = False) -> None:
        super().__init__(ops, int(run[codes.BATCH]), plan.dtype, precision_of(plan.dtype, plan.mixed))
        self._steps_per_epoch = -(-int(run[codes.ROWS]) // self._batch)
        self._slices = slices_for(max(map(self._gradient_tiles, plan.dense), default=1), self._batch)
        self._own = {
            "gradients": cuda.to_device(np.zeros(max(1, self._slices * plan.n_parameters), plan.dtype)),
            "clock": cuda.to_device(np.zeros(len(codes.CLOCK_COLUMNS), np.int64)),
            "pace": cuda.to_device(np.zeros(len(codes.PACE_COLUMNS))),
            "parts": cuda.to_device(np.zeros(PENALTY_BLOCKS)),
            "squares": cuda.to_device(np.zeros(2 * len(ops))),
        }
        self._epoch_launches: list[Launch] = []
        if run[codes.SHUFFLE]:
            self._own |= {name: cuda.device_array(int(run[codes.ROWS]), np.int32) for name in ("partners", "reserved")}
            arguments = ("run", "order", "partners", "reserved", "clock")
            self._epoch_launches = [self._launch(shuffle.shuffle_epoch, 1, SHUFFLING_THREADS, *arguments)]
        forward = [*self._begin(), *self._forward(), *self._losses(plan)]
        self._launches = [*forward, *self._backward(), *self._descend(plan, clips_norms)]

    def do(
        self, start: int, stop: int, hyper_rows: int, arrays: dict[str, Any], sync: np.ndarray | None = None
    ) -> None:
        """Launch steps ``start`` .. ``stop`` - 1 of the run, and wait for none of them.

        Parameters
        ----------
        hyper_rows : int
            Rows of hyper-parameters: one, or one for each step from ``start`` on.
        arrays : dict
            Flat arrays on the device, by the names of arguments of ``kernels/cpu/training.py``: run, hyper, ops,
            factors, loss_factors, scaling, x, y, sample_weights, order (int32), params, slots, work, stats; and
            progress, the optimizer's state and then the results.
        sync : ndarray, optional
            In which somebody may ask to stop, see ``kernels/operations/teamwork.py``.
        """
        memory = {**arrays, **self._own}
        step_launches, epoch_launches = bound(self._launches, memory), bound(self._epoch_launches, memory)
        self._one_thread(step.set_clock)[0](self._own["clock"], start, hyper_rows)
        for done in range(start, stop):
            if sync is not None and sync[teamwork.STOP] != 0:
                break
            if done % self._steps_per_epoch == 0:
                for kernel, arguments in epoch_launches:
                    kernel(*arguments)
            for kernel, arguments in step_launches:
                kernel(*arguments)

    def _gradient_tiles(self, op: np.ndarray) -> int:
        rows, columns = int(op[codes.INPUTS] + op[codes.BIAS]), int(op[codes.PANELS])
        return tiles(method_for(self._precision, rows, columns), rows, columns)

    def _begin(self) -> list[Launch]:
        arguments = ("run", "hyper", "progress", "sample_weights", "order", "clock", "pace")
        return [self._one_thread(step.begin_step, *arguments), self._gather()]

    def _statistics(self, index: int, columns: int) -> Launch:
        arguments = ("ops", index, "factors", "params", "work", "clock")
        return self._down_columns(normalization.batch_statistics_columns, columns, *arguments)

    def _losses(self, plan: Plan) -> list[Launch]:
        count = len(self._ops)
        launches = [
            self._thread_a_row(
                step.losses_of_rows, "run", "ops", count, "factors", "work", "y", "sample_weights", "order",
                "loss_factors", "stats", "clock", "pace",
            )
        ]  # fmt: skip
        if plan.factors[:, codes.L2].any():
            parts = ("ops", count, "factors", "params", "parts")
            launches.append(self._launch(step.penalty_parts, PENALTY_BLOCKS, THREADS, *parts))
        arguments = ("run", "stats", "parts", "progress", "clock", "pace")
        launches.append(self._launch(step.report_step, 1, THREADS, *arguments))
        return launches

    def _backward(self) -> list[Launch]:
        launches = []
        for index in range(len(self._ops) - 1, -1, -1):
            op = self._ops[index]
            kind, columns, needs_dx = op[codes.KIND], int(op[codes.OUTPUTS]), bool(op[codes.NEEDS_DX])
            back = ("ops", index, "factors", "params", "work", "clock")
            if kind == codes.DENSE:
                if needs_dx:
                    launches.append(self._product("input_gradient", self._batch, int(op[codes.INPUTS]), 1, *back))
                launches.append(
                    self._product(
                        "weight_gradient", int(op[codes.INPUTS] + op[codes.BIAS]), int(op[codes.PANELS]), self._slices,
                        "run", "ops", index, "factors", "params", "work", "gradients", "clock", "pace",
                    )
                )  # fmt: skip
            elif kind in NORMALIZATIONS:
                arguments = ("ops", index, "work", "gradients", "clock")
                gradient = normalization.normalization_gradient_columns
                launches.append(self._down_columns(gradient, columns, *arguments))
                if needs_dx and kind == codes.BATCH_NORM:
                    through = normalization.normalization_input_columns
                    launches.append(self._spread(through, self._batch * columns, *back))
                elif needs_dx:
                    launches.append(self._by_rows(normalization.normalization_input_rows, *back))
            if needs_dx and op[codes.BY_ROWS]:
                arguments = ("ops", index, "factors", "work", "clock")
                launches.append(self._thread_a_row(step.derive_rows, *arguments))
        return launches

    def _descend(self, plan: Plan, clips_norms: bool) -> list[Launch]:
        launches: list[Launch] = []
        slices, arrays = self._slices, 2 * len(self._ops)
        if clips_norms:
            add = self._spread(clipping.add_slices, plan.n_parameters, "run", "gradients", slices)
            names = ("ops", "gradients", "squares")
            squares = self._launch(clipping.squares_of_arrays, arrays, THREADS, *names)
            blocks = min(MOST_BLOCKS, -(-plan.n_parameters // THREADS)), arrays
            clip = self._launch(clipping.clip_arrays, blocks, THREADS, *names, "pace")
            launches += [add, squares, clip]
            slices = 1
        arguments = ("run", "params", "slots", "gradients", slices, "pace")
        return [*launches, self._spread(step.descend_all, plan.n_parameters, *arguments)]
