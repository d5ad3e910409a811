"""Calls of the compiled programs: one fit in progress, and forward passes."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np

from fastnn.gate import SHORT_SLICE_SECONDS
from fastnn.kernels import codes, jit, team
from fastnn.layout import aligned_zeros
from fastnn.plan import Objective, Plan
from fastnn.rates import Rates
from fastnn.sparse import features, is_sparse
from fastnn.threads import TeamSize, sharing, team_size

SLICE_SECONDS = 0.1  # longest compiled call, so that Ctrl-C is answered soon
WATCHED = 2  # times the length of a slice after which a team is asked to stop
FIRST_SLICE_SECONDS, GROWTH = 0.002, 8  # of the first call of a team; a call has at most so many times the steps before
FLOPS_PER_SECOND = 2e10  # cautious first guess of a core's speed, to size the first slice of a run
FLOPS_WORTH_A_THREAD = 2e6  # of a training step; less would be lost in barriers
BYTES = np.dtype(np.uint8)  # pixels: read as they are and scaled on the way
FLOPS_WORTH_STARTING = 2e7  # of a prediction; less would be lost in starting threads


def run_vector(
    loss: int,
    metrics: Sequence[int] = (),
    *,
    batch: int = 0,
    rows: int = 0,
    targets: int = 0,
    optimizer: int = 0,
    shuffle: bool = False,
    weighted: bool = False,
    seed: int = 0,
    first_epoch: int = 0,
    weighted_mean: bool = False,
    l2_per_row: bool = False,
    segments: int = 0,
    parameters: int = 0,
    in_lanes: bool = False,
) -> np.ndarray:
    """The integer vector that describes a run to the programs; columns in ``kernels/codes.py``."""
    values = {
        codes.BATCH: batch, codes.ROWS: rows, codes.TARGETS: targets, codes.LOSS: loss,
        codes.OPTIMIZER: optimizer, codes.SHUFFLE: shuffle, codes.WEIGHTED: weighted,
        codes.SEED_LOW: seed & 0xFFFFFFFF, codes.SEED_HIGH: seed >> 32, codes.FIRST_EPOCH: first_epoch,
        codes.WEIGHTED_MEAN: weighted_mean, codes.L2_PER_ROW: l2_per_row, codes.METRICS_COUNT: len(metrics),
        codes.SEGMENTS: segments, codes.PARAMETERS: parameters, codes.IN_LANES: in_lanes,
    }  # fmt: skip
    return np.array([*(values[column] for column in range(codes.METRICS_START)), *metrics], np.int64)


def _compile_first(program: Any, team_arguments: tuple, arguments: tuple) -> None:
    """Compile a program before a team calls it, so that its members do not wait for the compiler at the barrier."""
    if not program.signatures:
        import numba

        program.compile(tuple(numba.typeof(argument) for argument in (*team_arguments, *arguments)))


def _flat_weights(weights: np.ndarray | None, dtype: np.dtype) -> np.ndarray:
    return np.zeros(0, dtype) if weights is None else _writable(weights)


def _writable(array: np.ndarray) -> np.ndarray:
    """The same memory flagged writable: programs have one signature, and only read it."""
    if array.flags.writeable:
        return array
    address, _ = array.__array_interface__["data"]
    interface = {**array.__array_interface__, "data": (address, False)}
    return np.asarray(SimpleNamespace(base=array, __array_interface__=interface))


def input_program(function: Callable, plan: Plan, x: Any, clipped: bool = False) -> Any:
    """The program of a plan for inputs like x: sparse rows, pixels, or rows of the plan's type."""
    variant = "_from_sparse" if is_sparse(x) else "_from_bytes" if x.dtype == BYTES else ""
    return jit.program(
        function, plan.dtype, variant, normalised=plan.is_normalised, clipped=clipped, mixed=plan.mixed
    )


def shuffled(order: np.ndarray, epoch: int, seed: int, dtype: np.dtype) -> None:
    """Bring ``order``, int64 (n,), to the order of the rows in an epoch of a run with this seed."""
    from fastnn.kernels.rng import shuffle

    jit.program(shuffle, dtype)(order, len(order), epoch, seed & 0xFFFFFFFF, seed >> 32)


def round_weights(plan: Plan, params: np.ndarray) -> None:
    """Renew the rounded weights of mixed precision from the parameters."""
    from fastnn.kernels.mixed_cpu import round_all_weights

    square = np.empty(jit.lanes(plan.dtype) ** 2, plan.dtype)
    jit.program(round_all_weights, plan.dtype, mixed=True)(plan.ops, params, square)


class Inference:
    """A plan's forward pass, for predictions or for evaluation, prepared so that a call does little but compute.

    Calls may overlap: each has buffers of its own.
    """

    def __init__(self, plan: Plan, run: np.ndarray, objective: Objective | None = None) -> None:
        from fastnn.kernels.infer_cpu import BLOCK_ROWS, infer_rows

        lanes = jit.lanes(plan.dtype)
        panels, input_vectors = int(plan.ops[:, codes.PANELS].max()), -(-plan.n_inputs // lanes)
        self._block_rows = BLOCK_ROWS
        self._buffer_sizes = [
            (2 * BLOCK_ROWS * (widest + 1) + int(plan.ops[-1, codes.PANELS])) * lanes
            for widest in (max(panels, input_vectors), panels)
        ]
        self._dtype = plan.dtype
        self._flops_per_row = plan.flops_per_row
        rows = SLICE_SECONDS * FLOPS_PER_SECOND / max(plan.flops_per_row, 100 * (plan.n_inputs + plan.n_outputs))
        self._rows_at_once = BLOCK_ROWS * max(1, int(rows / BLOCK_ROWS))
        self._program_for = functools.partial(input_program, infer_rows, plan)
        self._programs: dict[tuple[np.dtype, bool], Any] = {}
        self._program_of_rows: Any = None  # the one for dense rows of the plan's type, once it is compiled
        ops = plan.ops if objective is None else objective.ops
        loss_factors = np.empty((0, 0), plan.dtype) if objective is None else objective.factors
        self._tables = (run, ops, plan.factors, loss_factors, plan.scaling)
        self._alone = (0, 1, np.zeros(team.SYNC_SIZE, np.int64))
        self._no_matrix, self._no_vector = np.empty((0, 1), plan.dtype), np.empty(0, plan.dtype)
        self._no_stats = np.empty((0, 1))

    def __call__(
        self,
        params: np.ndarray,
        x: np.ndarray,
        *,
        outputs: np.ndarray | None = None,
        y: np.ndarray | None = None,
        weights: np.ndarray | None = None,
        stats: np.ndarray | None = None,
        threads: int | None = None,
    ) -> float:
        """Fill ``outputs`` (n, n_outputs), or ``stats`` (n, 1 + metrics) from targets y and weights.

        Of many rows only so many go into one compiled call that Ctrl-C is answered soon. Returns 0, or NaN if there are
        NaN or infinities in a dense x.
        """
        n, at_once = x.shape[0], self._rows_at_once
        if (  # the short way of single rows
            n <= self._block_rows
            and y is None
            and type(x) is np.ndarray
            and x.dtype == self._dtype
            and x.flags.writeable
            and self._program_of_rows is not None
        ):
            buffers = np.empty((1, self._buffer_sizes[False]), self._dtype)
            self._program_of_rows(
                *self._alone, *self._tables, x, None, self._no_matrix, self._no_vector, params, buffers, self._no_stats,
                outputs,
            )  # fmt: skip
            return buffers.item(0)
        if n <= at_once:
            return self._call(params, x, outputs, y, weights, stats, threads)
        trace = 0.0
        for first in range(0, n, at_once):
            rows = slice(first, first + at_once)
            arrays = (outputs, y, weights, stats)
            out, targets, weight, stat = (None if array is None else array[rows] for array in arrays)
            trace += self._call(params, x[rows], out, targets, weight, stat, threads)
        return trace

    def _call(
        self,
        params: np.ndarray,
        x: np.ndarray,
        outputs: np.ndarray | None,
        y: np.ndarray | None,
        weights: np.ndarray | None,
        stats: np.ndarray | None,
        threads: int | None,
    ) -> float:
        n, size, sparse = x.shape[0], 1, is_sparse(x)
        if n > self._block_rows:
            size = min(team_size(threads, self._flops_per_row * n, FLOPS_WORTH_STARTING), -(-n // self._block_rows))
        buffers = np.empty((size, self._buffer_sizes[sparse]), self._dtype)
        arguments = (
            *self._tables,
            self._no_matrix if sparse else _writable(x),
            features(x, self._dtype) if sparse else None,
            self._no_matrix if y is None else _writable(y),
            self._no_vector if weights is None else _writable(weights),
            params,
            buffers,
            self._no_stats if stats is None else stats,
            self._no_matrix if outputs is None else outputs,
        )
        program = self._programs.get((x.dtype, sparse))
        if program is None:
            program = self._program_for(x)
            _compile_first(program, self._alone, arguments)
            self._programs[x.dtype, sparse] = program
            self._program_of_rows = self._programs.get((self._dtype, False))
        if size == 1:
            program(*self._alone, *arguments)
        else:
            with sharing(size) as share:
                size = size if threads else share
                team.run_team(program, size, *arguments)
        return buffers[:size, 0].sum().item()


class Run:
    """One fit in progress; nothing happens before ``advance``.

    Attributes
    ----------
    steps_per_epoch : int
    done : int
        Steps done in this run; it follows the optimizer's own count, so that no interrupt can part the two.
    order : int64 (n,)
        Order of the rows in the present epoch.
    """

    def __init__(
        self,
        engine: Any,
        objective: Objective,
        x: np.ndarray,
        y: np.ndarray,
        weights: np.ndarray | None,
        batch_size: int,
        epochs: int,
        shuffle: bool,
        seed: int,
        first_epoch: int,
        order: np.ndarray | None,
        loss_scale: float,
        loss_limit: float,
        weighted_mean: bool,
    ) -> None:
        from fastnn.kernels.clipping_cpu import units
        from fastnn.kernels.rows_cpu import PART_ROWS
        from fastnn.kernels.train_cpu import train_steps

        plan, n, sparse = engine.plan, x.shape[0], is_sparse(x)
        batch_size = min(batch_size, n)
        flops = 3.0 * plan.flops_per_row * batch_size
        self._begin(engine, n, batch_size, epochs, seed, order, flops / FLOPS_PER_SECOND + 1e-6)
        self._team = TeamSize(team_size(engine.threads, flops, FLOPS_WORTH_A_THREAD))
        self._rates = Rates(engine.optimizer, objective, loss_scale, loss_limit)
        clipped = any(self._rates.clips)
        self._results = np.zeros((epochs, 1 + len(objective.metrics)))
        self._program = input_program(train_steps, plan, x, clipped)
        segments = plan.segments(batch_size, sparse)
        sums = 2 * sum(map(units, objective.ops)) if clipped else 0
        rows_at_once = PART_ROWS if segments else batch_size
        layout = plan.layout(objective.ops, rows_at_once, sparse)
        work = layout.workspace(rows_at_once, plan.dtype)[None]
        if segments:
            work = np.repeat(work, self._team.full, axis=0)
        run = run_vector(
            objective.loss, objective.metrics, batch=batch_size, rows=n, targets=y.shape[1],
            shuffle=shuffle and batch_size < n,  # the order within a batch is of no consequence
            optimizer=codes.OPTIMIZERS.index(engine.optimizer.name), weighted=weights is not None, seed=seed,
            first_epoch=first_epoch, weighted_mean=weighted_mean and weights is not None, l2_per_row=plan.l2_per_row,
            segments=segments, parameters=plan.n_parameters,
        )  # fmt: skip
        self._arguments = (
            run, self._rates.table, engine.state, layout.ops, plan.factors, objective.factors, plan.scaling,
            np.empty((0, 1), plan.dtype) if sparse else _writable(x), features(x, plan.dtype, batch_size), _writable(y),
            _flat_weights(weights, plan.dtype), self.order, engine.params, engine.slots,
            work, aligned_zeros(max(segments, clipped) * plan.n_parameters, plan.dtype),
            layout.scratch(self._team.full, plan.dtype), np.zeros(batch_size * (1 + len(objective.metrics)) + sums),
            self._results,
        )  # fmt: skip
        _compile_first(self._program, (0, 1, np.zeros(team.SYNC_SIZE, np.int64)), (*self._arguments, 0, 0))

    def _begin(
        self,
        engine: Any,
        rows: int,
        batch_size: int,
        epochs: int,
        seed: int,
        order: np.ndarray | None,
        seconds_of_a_step: float,
    ) -> None:
        """Note what a run knows of itself on any device; the seconds of a step are a cautious guess."""
        self.engine = engine
        self.rows, self.batch_size, self.epochs, self.seed = rows, batch_size, epochs, seed
        self.steps_per_epoch = -(-rows // batch_size)
        self.order = np.arange(rows) if order is None else order
        self._first_step = engine.step
        self._guess = seconds_of_a_step
        self._paces: dict[int, tuple[int, float]] = {}  # by size of the team: steps of the last slice, seconds of each

    @property
    def done(self) -> int:
        return self.engine.step - self._first_step

    def advance(self, steps: int, seconds: float = SLICE_SECONDS) -> int:
        """Do up to ``steps`` steps in one compiled call of about ``seconds`` at most, and return how many.

        Ctrl-C arrives after the call; the weights are then those of a whole step.
        """
        gate, done = self.engine.gate, self.done
        if gate.let_guests_in():
            seconds = min(seconds, SHORT_SLICE_SECONDS)
        steps = min(steps, self.epochs * self.steps_per_epoch - done)
        return self._work(done, steps, seconds) if steps > 0 else 0

    def _work(self, done: int, steps: int, seconds: float) -> int:
        """Do up to ``steps`` steps from step ``done`` on, and return how many."""
        gate = self.engine.gate
        self._rates.take(self.engine.step)
        steps = self._rates.steps(steps)
        with sharing(self._team.size) as share, gate.lock:
            gate.version += 1
            size = self._team.size if self.engine.threads else share
            steps = min(steps, self._steps_in(seconds, size))
            begun, processor = time.perf_counter(), time.process_time()
            if size == 1:
                team.run_team(self._program, 1, *self._arguments, done, done + steps)
            else:
                team.run_watched_team(
                    self._program, size, WATCHED * SLICE_SECONDS, *self._arguments, done, done + steps
                )
        seconds = time.perf_counter() - begun
        steps = self.done - done
        self._paces[size] = steps, seconds / steps
        if size == self._team.size:
            self._team.report(steps, seconds, time.process_time() - processor)
        return steps

    def _steps_in(self, seconds: float, size: int) -> int:
        """Steps that a team of this size does in so many seconds; few until its pace is known.

        On a busy machine the pace of a team can be a hundredth of what it should be.
        """
        if size not in self._paces:
            return max(1, int(min(seconds, FIRST_SLICE_SECONDS) / self._guess))
        steps, pace = self._paces[size]
        return max(1, min(int(seconds / pace), GROWTH * steps))

    def seek(self, seed: int, epoch_index: int, step: int = 0, sums: Sequence[float] = ()) -> None:
        """Go on as a run with this seed does that has done so many epochs, and so many steps of the next with `sums`.

        Weights and the optimizer's state are left alone.
        """
        self.seed, self._first_step = seed, self.engine.step - epoch_index * self.steps_per_epoch - step
        run = self._arguments[0]
        run[codes.SEED_LOW], run[codes.SEED_HIGH] = seed & 0xFFFFFFFF, seed >> 32
        if step:
            self._results[epoch_index] = sums
            if run[codes.SHUFFLE]:  # else the program does it before the first step of an epoch
                shuffled(self.order, int(run[codes.FIRST_EPOCH]) + epoch_index, seed, self.engine.plan.dtype)

    def sums(self, epoch_index: int) -> np.ndarray:
        """Sums of the loss and the metrics over the rows seen so far in an epoch of this run."""
        return self._results[epoch_index]

    def rewind(self) -> None:
        """Go back to the first step; weights and the optimizer's state stay."""
        self._first_step = self.engine.step
        self._results[:] = 0.0

    def logs(self, epoch_index: int) -> np.ndarray:
        """Mean loss and metrics over the rows seen so far in an epoch of this run (0 is its first)."""
        steps = min(self.done - epoch_index * self.steps_per_epoch, self.steps_per_epoch)
        return self._results[epoch_index] / max(1, min(steps * self.batch_size, self.rows))
