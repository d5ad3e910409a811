"""One fit in progress."""

from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from fastnn.common.aligned_memory import aligned_zeros
from fastnn.data.samples import Samples
from fastnn.engine import team
from fastnn.engine.hyperparameters import Rates
from fastnn.engine.operands import check_order
from fastnn.engine.programs import (
    FLOPS_PER_SECOND,
    SLICE_SECONDS,
    compile_first,
    flat_sample_weights,
    input_program,
    known_arguments,
    shuffled,
    training_vector,
    writable,
)
from fastnn.engine.run_options import RunOptions
from fastnn.engine.sparse_rows import is_sparse
from fastnn.engine.threads import TeamSize, sharing, team_size, tell_fewer
from fastnn.engine.weights_lock import SHORT_SLICE_SECONDS
from fastnn.kernels import codes
from fastnn.kernels.compiler import jit
from fastnn.kernels.compiler.jit import Known
from fastnn.kernels.compiler.partial_expressions import SourceMissing
from fastnn.kernels.operations import teamwork
from fastnn.kernels.records import Data, Memory, Network
from fastnn.kernels.sizes import PART_ROWS, units
from fastnn.lowering.objective import Objective

START = (0.0, 1.0, 1.0)  # the optimizer's state before its first step
WATCHED = 2  # times the length of a slice after which a team is asked to stop
FIRST_SLICE_SECONDS, GROWTH = 0.002, 8  # of the first call of a team; a call has at most so many times the steps before
SMALL_NETWORK = 50_000  # most parameters of one for which a program of its own is made unasked,
LONG_SECONDS = 30.0  # if the run has taken longer, and so will what is left of it
ROOM = 64  # epochs at first that there is room for the results of
FLOPS_WORTH_A_THREAD = 2e6  # of a training step; less would be lost in barriers


class Run:
    """One fit in progress; nothing happens before ``advance``.

    Parameters
    ----------
    engine : Engine
    objective, samples, options
        As ``Engine.train`` has checked them.

    Attributes
    ----------
    steps_per_epoch : int
    done : int
        Steps done in this run; it follows the optimizer's own count, so that no interrupt can part the two.
    order : int64 (n,)
        Order of the rows in the present epoch. One that was given may be changed between epochs; the run works on a
        copy, which it takes and checks when an epoch begins.
    """

    def __init__(self, engine: Any, objective: Objective, samples: Samples, options: RunOptions) -> None:
        train_steps = jit.kernels("cpu.training").train_steps
        x, y, sample_weights = samples.x, samples.y, samples.sample_weights
        plan, n, batch_size, sparse = engine.plan, len(samples), options.batch_size, is_sparse(x)
        flops = 3.0 * plan.flops_per_row * batch_size
        self._begin(engine, n, options, flops / FLOPS_PER_SECOND + 1e-6)
        self._team = TeamSize(team_size(engine.threads, flops, FLOPS_WORTH_A_THREAD))
        self._rates = Rates(engine.optimizer, objective, options)
        clipped = any(self._rates.clips)
        self._results = np.zeros((min(options.epochs, ROOM), objective.columns))
        segments = plan.segments(batch_size, sparse)
        sums = 2 * sum(map(units, objective.ops)) if clipped else 0
        rows_at_once = PART_ROWS if segments else batch_size
        layout = plan.layout(objective.ops, rows_at_once, sparse)
        work = layout.workspace(rows_at_once, plan.dtype)[None]
        if segments:
            work = np.repeat(work, self._team.full, axis=0)
        gradients = max(segments, clipped) * plan.n_parameters
        run = training_vector(plan, objective, engine.optimizer, samples, options, segments, gradients)
        gradients += plan.picture_segments(batch_size) * plan.picture_parameters
        half = len(engine.slots) // 2
        self._memory = Memory(
            engine.slots[:half], engine.slots[half:], work,
            aligned_zeros(gradients, plan.dtype),
            layout.scratch(self._team.full, plan.dtype), np.zeros(batch_size * objective.columns + sums),
            self._results,
        )  # fmt: skip
        self._arguments = (
            run, self._rates.table, engine.state,
            Network(layout.ops, len(layout.ops), plan.factors, objective.factors, engine.params),
            Data(
                np.empty((0, 1), plan.dtype) if sparse else writable(x), writable(y),
                flat_sample_weights(sample_weights, plan.dtype), self._order, plan.scaling,
            ),
            x.features(plan.dtype, batch_size) if sparse else None, self._memory,
        )  # fmt: skip
        self._known = functools.partial(known_arguments, run, layout.ops, sparse, self._team.full == 1)
        self._make_program = functools.partial(input_program, train_steps, plan, x, clipped)
        self._take_program(self._known() if engine.jit_compile is True else ())
        self._worked = 0.0
        self._may_change = engine.jit_compile == "auto" and plan.n_parameters <= SMALL_NETWORK

    def _take_program(self, known: Known) -> None:
        """Work with the program for these known arguments from now on; it computes the same bits as any other."""
        program = self._make_program(known)
        team_arguments = (0, 1, np.zeros(teamwork.SYNC_SIZE, np.int64))
        self._entry_point = compile_first(program, team_arguments, (*self._arguments, 0, 0))
        self._program = program  # of one for a network, it says that it is in use

    def _begin(self, engine: Any, rows: int, options: RunOptions, seconds_of_a_step: float) -> None:
        """Note what a run knows of itself on any device; the seconds of a step are a cautious guess."""
        self.engine = engine
        self.rows, self.batch_size, self.epochs, self.seed = rows, options.batch_size, options.epochs, options.seed
        self.steps_per_epoch = -(-rows // self.batch_size)
        self.order = np.arange(rows) if options.order is None else options.order
        self._order = self.order if options.order is None else self.order.copy()  # the one that programs work on
        self._first_epoch = options.first_epoch
        self._base = 0  # epochs of this run before the first with results
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
        if steps <= 0:
            return 0
        try:
            while not (worked := self._work(done, steps, seconds)):
                pass  # a handler of a signal wanted the weights before the first step
            return worked
        finally:
            self.engine.optimizer.count(self.engine.step)

    def _work(self, done: int, steps: int, seconds: float) -> int:
        """Do up to ``steps`` steps from step ``done`` on, and return how many."""
        gate = self.engine.gate
        steps, watch = self._rates.take(self.engine.step, steps), None
        with sharing(self._team.size) as allowed, gate.lock:
            gate.shut = True
            gate.version += 1
            try:
                size = self._team.size if self.engine.threads else allowed
                steps = min(steps, self._steps_in(seconds, size))
                self._make_room(done + steps)
                if done % self.steps_per_epoch == 0:
                    self._take_order()
                start = done - self._base * self.steps_per_epoch
                begun, processor = time.perf_counter(), time.process_time()
                if size == 1:
                    worked = team.run_team(self._entry_point, 1, *self._arguments, start, start + steps)
                else:
                    watch = team.Watch(WATCHED * SLICE_SECONDS)
                    gate.call_off = watch.call_off
                    steps_here = (*self._arguments, start, start + steps)
                    worked = team.run_watched_team(self._entry_point, size, watch, *steps_here)
            finally:
                gate.shut, gate.call_off = False, None
        seconds = time.perf_counter() - begun
        tell_fewer(worked, size)
        steps = self.done - done
        if steps and not (watch and watch.called_off):
            self._learn(size, steps, seconds, time.process_time() - processor)
        return steps

    def _learn(self, size: int, steps: int, seconds: float, processor_seconds: float) -> None:
        """Learn from a slice by a team of this size: its steps, and the time and processor time that it took."""
        self._paces[size] = steps, seconds / steps
        if size == self._team.size:
            self._team.report(steps, seconds, processor_seconds)
        self._worked += seconds
        left = (self.epochs * self.steps_per_epoch - self.done) * seconds / steps
        if self._may_change and min(self._worked, left) > LONG_SECONDS:
            self._may_change = False
            with contextlib.suppress(SourceMissing):  # a frozen application may have none
                self._take_program(self._known())

    def _steps_in(self, seconds: float, size: int) -> int:
        """Steps that a team of this size does in so many seconds; few until its pace is known.

        On a busy machine the pace of a team can be a hundredth of what it should be.
        """
        if size not in self._paces:
            return max(1, int(min(seconds, FIRST_SLICE_SECONDS) / self._guess))
        steps, pace = self._paces[size]
        return max(1, min(int(seconds / pace), GROWTH * steps))

    def _take_order(self) -> None:
        """Take over what the caller has made of an order that was given: programs believe every number of theirs."""
        if self._order is not self.order:
            self._order[:] = self.order
            check_order(self._order, self.rows)

    def _make_room(self, stop: int) -> None:
        """Have room for the results of all epochs that are begun before step ``stop``.

        There may be more epochs than memory has room for, if somebody counts on ending the run earlier.
        """
        epochs, room = -(-stop // self.steps_per_epoch) - self._base, len(self._results)
        if epochs > room:
            self._grow(min(max(epochs, 2 * room), self.epochs - self._base))

    def _grow(self, epochs: int) -> None:
        results = np.zeros((epochs, self._results.shape[1]))
        results[: len(self._results)] = self._results
        self._results, self._memory = results, self._memory._replace(results=results)
        self._arguments = (*self._arguments[:-1], self._memory)

    def seek(self, seed: int, epoch_index: int, step: int = 0, sums: Sequence[float] = ()) -> None:
        """Go on as a run with this seed does that has done so many epochs, and so many steps of the next with `sums`.

        Weights and the optimizer's state are left alone.
        """
        self.seed, self._first_step = seed, self.engine.step - epoch_index * self.steps_per_epoch - step
        self._base = epoch_index
        run = self._arguments[0]
        run[codes.SEED_LOW], run[codes.SEED_HIGH] = seed & 0xFFFFFFFF, seed >> 32
        run[codes.FIRST_EPOCH] = self._first_epoch + epoch_index
        if step:
            self._results[0] = sums
            if run[codes.SHUFFLE]:  # else the program does it before the first step of an epoch
                shuffled(self._order, self._first_epoch + epoch_index, seed, self.engine.plan.dtype)

    def sums(self, epoch_index: int) -> np.ndarray:
        """Sums of the loss and the metrics over the rows seen so far in an epoch of this run."""
        results, index = self._results, epoch_index - self._base
        return results[index] if 0 <= index < len(results) else np.zeros(results.shape[1])

    def rewind(self) -> None:
        """Go back to the first step of this run, or the one that was sought; weights and the optimizer's state stay."""
        self._first_step = self.engine.step - self._base * self.steps_per_epoch
        self._results[:] = 0.0

    def logs(self, epoch_index: int) -> np.ndarray:
        """Mean loss and metrics over the rows seen so far in an epoch of this run (0 is its first)."""
        steps = min(self.done - epoch_index * self.steps_per_epoch, self.steps_per_epoch)
        return self.sums(epoch_index) / max(1, min(steps * self.batch_size, self.rows))
