"""Forward passes without a training: predictions, and losses with metrics."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from fastnn.engine import team
from fastnn.engine.programs import FLOPS_PER_SECOND, SLICE_SECONDS, compile_first, input_program, writable
from fastnn.engine.sparse_rows import is_sparse
from fastnn.engine.threads import sharing, team_size, tell_fewer
from fastnn.kernels import codes
from fastnn.kernels.compiler import jit
from fastnn.kernels.host import cpu
from fastnn.kernels.operations import teamwork
from fastnn.kernels.records import Data, Network
from fastnn.lowering.objective import Objective
from fastnn.lowering.plan import Plan

FLOPS_WORTH_STARTING = 2e7  # of a prediction; less would be lost in starting threads


def finished(link: int, raw: np.ndarray) -> np.ndarray:
    """Return what a link of ``codes.LINKS`` makes of raw outputs (n, n_outputs), in float64."""
    outputs = np.empty((len(raw), link_width(link, raw.shape[1])))
    spare = np.empty(2 * (raw.shape[1] + cpu.lanes(outputs.dtype)))
    finish = jit.kernels("cpu.output_links").finish_all
    jit.program(finish, outputs.dtype, f"_from_{raw.dtype}")(link, raw, outputs, spare)
    return outputs


def link_width(link: int, n_outputs: int) -> int:
    """Return the columns of what a link makes of so many outputs."""
    return 2 if link in (codes.LOGISTIC_PAIR, codes.LOG_LOGISTIC_PAIR) else n_outputs


class Inference:
    """A plan's forward pass, for predictions or for evaluation, prepared so that a call does little but compute.

    Calls may overlap: each has buffers of its own.
    """

    def __init__(self, plan: Plan, run: np.ndarray, objective: Objective | None = None) -> None:
        inference = jit.kernels("cpu.inference")
        block_rows = self._block_rows = inference.BLOCK_ROWS
        lanes = cpu.lanes(plan.dtype)
        ops = plan.raw_ops if run[codes.LINK] else plan.ops if objective is None else objective.ops
        on_rows, picture_work = plan.ops[plan.n_pictures :], 0
        if plan.n_pictures:
            layout = plan.layout(ops, 1)
            ops, picture_work = layout.ops, layout.size
            run = run.copy()
            run[codes.PICTURE_OPERATIONS], run[codes.PICTURE_WORK] = plan.n_pictures, picture_work
        panels, input_vectors = int(on_rows[:, codes.PANELS].max()), -(-int(on_rows[0, codes.INPUTS]) // lanes)
        self._buffer_sizes = [
            (2 * block_rows * (widest + 1) + int(plan.ops[-1, codes.PANELS])) * lanes + picture_work
            for widest in (max(panels, input_vectors), panels)
        ]
        self._picture_work = picture_work
        self._dtype = plan.dtype
        self._flops_per_row = plan.flops_per_row
        rows = SLICE_SECONDS * FLOPS_PER_SECOND / max(plan.flops_per_row, 100 * (plan.n_inputs + plan.n_outputs))
        self._rows_at_once = block_rows * max(1, int(rows / block_rows))
        self._program_for = functools.partial(input_program, inference.infer_rows, plan)
        self._programs: dict[tuple[np.dtype, bool], Callable] = {}
        self._program_of_rows: Callable | None = None  # for dense rows of the plan's type, once it is compiled
        loss_factors = np.empty((0, 0), plan.dtype) if objective is None else objective.factors
        self._run, self._scaling = run, plan.scaling
        self._network = Network(ops, len(ops), plan.factors, loss_factors, np.empty(0, plan.dtype))
        self._alone = (0, 1, np.zeros(teamwork.SYNC_SIZE, np.int64))
        self._no_matrix, self._no_vector = np.empty((0, 1), plan.dtype), np.empty(0, plan.dtype)
        self._no_stats = self._nothing_finished = np.empty((0, 1))

    def __call__(
        self,
        params: np.ndarray,
        x: Any,
        *,
        outputs: np.ndarray | None = None,
        y: np.ndarray | None = None,
        sample_weights: np.ndarray | None = None,
        stats: np.ndarray | None = None,
        finished: np.ndarray | None = None,
        threads: int | None = None,
        plain: bool = False,
    ) -> float:
        """Fill ``outputs`` (n, n_outputs), ``finished`` behind a link, or ``stats`` (n, 1 + metrics).

        The last are of y and sample_weights. Of many rows only so many go into one compiled call that Ctrl-C is
        answered soon. Returns 0, or NaN if there are NaN or infinities in a dense x. ``plain`` says that x is an array
        of the plan's type, in order and writable.
        """
        n, at_once = x.shape[0], self._rows_at_once
        if plain and n <= self._block_rows and self._program_of_rows is not None:
            buffers = self._buffers(1, self._buffer_sizes[False])
            self._program_of_rows(
                *self._alone, self._run, self._with(params),
                Data(x, self._no_matrix, self._no_vector, None, self._scaling), None, buffers, self._no_stats,
                self._no_matrix if outputs is None else outputs,
                self._nothing_finished if finished is None else finished,
            )  # fmt: skip
            return buffers.item(0)
        if n <= at_once:
            return self._call(params, x, outputs, y, sample_weights, stats, finished, threads)
        trace = 0.0
        for first in range(0, n, at_once):
            rows = slice(first, first + at_once)
            arrays = (outputs, y, sample_weights, stats, finished)
            out, targets, slice_weights, stat, done = (None if array is None else array[rows] for array in arrays)
            trace += self._call(params, x[rows], out, targets, slice_weights, stat, done, threads)
        return trace

    def _buffers(self, members: int, size: int) -> np.ndarray:
        """Memory of so many members; where pictures will lie it is zero, as their borders are."""
        buffers = np.empty((members, size), self._dtype)
        if self._picture_work:
            buffers[:, -self._picture_work :] = 0.0
        return buffers

    def _with(self, params: np.ndarray) -> Network:
        """The network with these parameters, mostly those of the last call."""
        network = self._network
        if network.params is not params:
            network = self._network = network._replace(params=params)
        return network

    def _call(
        self,
        params: np.ndarray,
        x: Any,
        outputs: np.ndarray | None,
        y: np.ndarray | None,
        sample_weights: np.ndarray | None,
        stats: np.ndarray | None,
        finished: np.ndarray | None,
        threads: int | None,
    ) -> float:
        n, size, sparse = x.shape[0], 1, is_sparse(x)
        if n > self._block_rows:
            size = min(team_size(threads, self._flops_per_row * n, FLOPS_WORTH_STARTING), -(-n // self._block_rows))
        buffers = self._buffers(size, self._buffer_sizes[sparse])
        arguments = (
            self._run,
            self._with(params),
            Data(
                self._no_matrix if sparse else writable(x),
                self._no_matrix if y is None else writable(y),
                self._no_vector if sample_weights is None else writable(sample_weights),
                None,
                self._scaling,
            ),
            x.features(self._dtype) if sparse else None,
            buffers,
            self._no_stats if stats is None else stats,
            self._no_matrix if outputs is None else outputs,
            self._nothing_finished if finished is None else finished,
        )
        program = self._programs.get((x.dtype, sparse))
        if program is None:
            program = compile_first(self._program_for(x), self._alone, arguments)
            self._programs[x.dtype, sparse] = program
            self._program_of_rows = self._programs.get((self._dtype, False))
        if size == 1:
            program(*self._alone, *arguments)
            return buffers.item(0)
        with sharing(size) as allowed:
            asked = size if threads else allowed
            size = team.run_team(program, asked, *arguments)
        tell_fewer(size, asked)
        return buffers[:size, 0].sum().item()
