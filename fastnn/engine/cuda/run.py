"""Training on a GPU: launches of the kernels, and fits in progress."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from fastnn.data.device_array import there
from fastnn.data.samples import Samples
from fastnn.engine import team
from fastnn.engine.cuda.inference import block_threads, check_rows
from fastnn.engine.cuda.mirrored_array import Mirror
from fastnn.engine.cuda.row_supply import Rows
from fastnn.engine.hyperparameters import Rates
from fastnn.engine.programs import SLICE_SECONDS, shuffled, training_vector
from fastnn.engine.run import GROWTH, ROOM, START, Run
from fastnn.engine.run_options import RunOptions
from fastnn.kernels import codes
from fastnn.kernels.cuda import device, jit
from fastnn.kernels.cuda.jit import cuda
from fastnn.kernels.operations import teamwork
from fastnn.lowering.objective import Objective
from fastnn.lowering.plan import Plan

FIRST_STEP_SECONDS = 5e-5  # cautious first guess
STATE = len(START)  # numbers before the results
TABLES, DATA = ("ops", "factors", "loss_factors", "scaling"), ("x", "y", "sample_weights")
# Of a training step from which on one launch for each product pays: a block does so many in about the time that all
# those launches take. An estimate.
FLOPS_WORTH_LAUNCHES = 5e6


class Models:
    """Training of one or several models that differ in seed and weights, ready to be launched.

    Parameters
    ----------
    plan : Plan
    objective : Objective
    optimizer : Optimizer
    samples : Samples
    options : RunOptions
        As ``RunOptions.for_rows`` returns them; the seed is none of the models'.
    seeds : sequence of int
        One for each model.
    params, slots : Mirror
        Parameters and moments of the models, one after the other.
    progress : Mirror
        The optimizer's state and the results of each model, one after the other.
    """

    def __init__(
        self,
        plan: Plan,
        objective: Objective,
        optimizer: Any,
        samples: Samples,
        options: RunOptions,
        seeds: Sequence[int],
        params: Mirror,
        slots: Mirror,
        progress: Mirror,
    ) -> None:
        from fastnn.engine.cuda.launches import ROOM
        from fastnn.engine.cuda.training_launches import Steps
        from fastnn.kernels.cuda import variants
        from fastnn.kernels.cuda.blocks import training

        check_rows(samples.x)
        batch_size, count, columns = options.batch_size, len(seeds), objective.columns
        self._rows = Rows(samples, options, count, plan.dtype)
        by_launches = count == 1 and 3.0 * plan.flops_per_row * batch_size >= FLOPS_WORTH_LAUNCHES
        layout = plan.layout(objective.ops, batch_size, room=ROOM if by_launches else None)
        self.rates = Rates(optimizer, objective, options)
        self.hyper = Mirror(self.rates.table.ravel().copy())
        on_device = replace(options, shuffle=options.shuffle and not self._rows.in_chunks)
        runs = [training_vector(plan, objective, optimizer, samples, replace(on_device, seed=seed)) for seed in seeds]
        self.run = Mirror(np.concatenate(runs))
        widest = int(max(layout.ops[:, codes.PANELS].max(), plan.n_inputs))
        self._blocks, self._threads = count, block_threads(batch_size * widest)
        stats_size = batch_size * columns + self._threads + 2 * len(layout.ops)
        work_size = layout.size + any(self.rates.clips) * plan.n_parameters
        memory = (plan.memory_size + 2 * plan.n_parameters + work_size) * plan.dtype.itemsize
        in_shared = memory <= device.shared_bytes() and not by_launches
        self._shared = memory if in_shared else 0
        sizes = np.array(
            [
                len(layout.ops), 0, codes.HYPER_COLUMNS if self.rates.scheduled else 0,
                STATE + options.epochs * columns, plan.memory_size, plan.n_parameters, work_size, stats_size, in_shared,
            ],
            np.int64,
        )  # fmt: skip
        tables = (layout.ops, plan.factors, objective.factors, plan.scaling)
        self._sizes = cuda.to_device(sizes)
        self._tables = [there(array) for array in tables]  # named in TABLES
        self._params, self._slots, self.progress = params, slots, progress
        self._work = cuda.device_array(1 if in_shared else count * work_size, plan.dtype)
        self._stats = cuda.device_array(count * stats_size, np.float64)
        self._kernel = variants.kernel(training.train_models, plan.dtype, plan.mixed)
        self._steps = None
        if by_launches:
            self._steps = Steps(plan, layout.ops, self.run.read(), clips_norms=any(self.rates.clips[1:]))

    def set_order(self, order: np.ndarray) -> None:
        """Give the order of the rows, of a single model."""
        self._rows.set_order(order)

    def begin_with(self, seed: int, first_epoch: int) -> None:
        """Let the first epoch of a single model, none of whose steps is done, be another."""
        run = self.run.write()
        run[codes.SEED_LOW], run[codes.SEED_HIGH] = seed & 0xFFFFFFFF, seed >> 32
        run[codes.FIRST_EPOCH] = self._rows.first_epoch = first_epoch

    def set_rates(self, iterations: int, wanted: int) -> int:
        """Take the optimizer's present hyper-parameters, which go to the device if they are new.

        Returns how many of the `wanted` steps they are for.
        """
        steps = self.rates.take(iterations, wanted)
        present = self.rates.table.ravel()
        if (present != self.hyper.read()).any():
            self.hyper.write()[:] = present
        return steps

    @property
    def takes_many_launches(self) -> bool:
        """Whether there are moments between two launches in the midst of a step."""
        return self._steps is not None

    def do(self, start: int, stop: int, sync: np.ndarray | None = None) -> None:
        """Do steps ``start`` .. ``stop`` - 1 of all models, and wait for them.

        Many launches end after the step in which a ``sync`` of ``kernels/operations/teamwork.py`` asks for that.
        """
        run, done = self.run.read(), start
        seed = int(run[codes.SEED_LOW] + (run[codes.SEED_HIGH] << 32))
        try:
            while done < stop and (sync is None or sync[teamwork.STOP] == 0):
                data, last = self._rows.bring(done, stop, seed)
                self._launch(done, last, data, done - start, sync)
                self._rows.bring_next(done, seed)
                done = last
            cuda.synchronize()
        finally:
            for mirror in (self.progress, self._params, self._slots):
                mirror.changed_there()

    def _launch(self, start: int, stop: int, data: list[Any], first_row: int, sync: np.ndarray | None) -> None:
        """Launch steps on these data; the first takes row ``first_row`` of the hyper-parameters if each has its own."""
        hyper = self.hyper.there()
        if self.rates.scheduled:
            hyper = hyper[first_row * codes.HYPER_COLUMNS :]
        if self._steps is None:
            jit.configured(self._kernel, self._blocks, self._threads, self._shared)(
                self._sizes, self.run.there(), hyper, self.progress.change_there(), *self._tables, *data,
                self._rows.order, self._params.change_there(), self._slots.change_there(), self._work, self._stats,
                start, stop,
            )  # fmt: skip
            return
        arrays = {
            **dict(zip(TABLES, self._tables, strict=True)), **dict(zip(DATA, data, strict=True)),
            "run": self.run.there(), "hyper": hyper, "progress": self.progress.change_there(),
            "order": self._rows.order, "params": self._params.change_there(), "slots": self._slots.change_there(),
            "work": self._work, "stats": self._stats,
        }  # fmt: skip
        self._steps.do(start, stop, len(self.rates.table), arrays, sync)


class CudaRun(Run):
    """One fit in progress on the device: see ``engine.run.Run``."""

    def __init__(self, engine: Any, objective: Objective, samples: Samples, options: RunOptions) -> None:
        check_rows(samples.x)
        self._begin(engine, len(samples), options, FIRST_STEP_SECONDS)
        self._shuffles = options.shuffle
        self._columns, room = objective.columns, min(options.epochs, ROOM)
        self._progress = Mirror(np.concatenate([engine.state, np.zeros(room * self._columns)]))
        engine.progress = self._progress
        self._models = Models(
            engine.plan, objective, engine.optimizer, samples, replace(options, epochs=room), [options.seed],
            params=engine.mirror, slots=engine.slot_mirror, progress=self._progress,
        )  # fmt: skip

    @property
    def _results(self) -> np.ndarray:  # type: ignore[override]
        return self._progress.read()[STATE:].reshape(-1, self._columns)

    def _grow(self, epochs: int) -> None:
        def larger() -> Mirror:
            progress, there = np.zeros(STATE + epochs * self._columns), self._progress.read()
            progress[: there.size] = there
            return Mirror(progress)

        def change(mirror: Mirror) -> None:
            self._progress = self._models.progress = self.engine.progress = mirror

        self.engine.gate.write(larger, change)

    def _take_state(self) -> None:
        """Take the optimizer's state over from a run that was begun after this one."""
        if self.engine.progress is not self._progress:
            self._progress.write()[:STATE] = self.engine.state
            self.engine.progress = self._progress

    def _work(self, done: int, steps: int, seconds: float) -> int:
        gate = self.engine.gate
        watch = team.Watch(None)
        with gate.lock:
            gate.shut = True
            gate.version += 1
            try:
                self._take_state()
                steps = min(self._models.set_rates(self.engine.step, steps), self._steps_in(seconds, 1))
                self._make_room(done + steps)
                if not self._shuffles:
                    if done % self.steps_per_epoch == 0:
                        self._take_order()
                    self._models.set_order(self._order)
                start = done - self._base * self.steps_per_epoch
                begun = time.perf_counter()
                if self._models.takes_many_launches and threading.current_thread() is threading.main_thread():
                    gate.call_off = watch.call_off  # a handler of a signal must not come between two of them
                    team.run_watched_team(self._do, 1, watch, start, start + steps)
                else:
                    self._models.do(start, start + steps)
            finally:
                gate.shut, gate.call_off = False, None
        steps = self.done - done
        if steps and not watch.called_off:
            self._paces[1] = steps, (time.perf_counter() - begun) / steps
        return steps

    def _do(self, rank: int, size: int, sync: np.ndarray, start: int, stop: int) -> None:
        """Do steps as the one member of a team."""
        self._models.do(start, stop, sync)

    def seek(self, seed: int, epoch_index: int, step: int = 0, sums: Sequence[float] = ()) -> None:
        self.seed, self._first_step = seed, self.engine.step - epoch_index * self.steps_per_epoch - step
        self._base = epoch_index
        self._models.begin_with(seed, self._first_epoch + epoch_index)
        if step:
            self._take_state()
            self._progress.write()[STATE : STATE + self._columns] = sums
            if self._shuffles:  # else the kernel does it before the first step of an epoch
                shuffled(self._order, self._first_epoch + epoch_index, seed, self.engine.plan.dtype)
                self._models.set_order(self._order)

    def rewind(self) -> None:
        self._take_state()
        self._first_step = self.engine.step - self._base * self.steps_per_epoch
        self._progress.write()[STATE:] = 0.0


def train_models(
    plan: Plan,
    objective: Objective,
    optimizer: Any,
    samples: Samples,
    options: RunOptions,
    first_weights: Sequence[Sequence[np.ndarray]],
    seeds: Sequence[int],
) -> tuple[list[list[np.ndarray]], np.ndarray]:
    """Train several networks at once, each by a block of its own: see ``Engine.train_many``."""
    n, columns, epochs = len(samples), objective.columns, options.epochs
    params = np.zeros((len(seeds), plan.memory_size), plan.dtype)
    for own, first in zip(params, first_weights, strict=True):
        plan.pack(first, own)
    progress = np.tile(np.concatenate([START, np.zeros(epochs * columns)]), len(seeds))
    mirror, slots = Mirror(params.ravel()), Mirror(np.zeros(len(seeds) * 2 * plan.n_parameters, plan.dtype))
    models = Models(
        plan, objective, optimizer, samples, options, seeds, params=mirror, slots=slots, progress=Mirror(progress)
    )
    done, total, steps = 0, epochs * -(-n // options.batch_size), 1
    while done < total:
        begun = time.perf_counter()
        stop = min(done + models.set_rates(done, steps), total)
        models.do(done, stop)
        steps = min(GROWTH * steps, max(1, int(SLICE_SECONDS * (stop - done) / (time.perf_counter() - begun))))
        done = stop
    optimizer.count(done)
    results = models.progress.read().reshape(len(seeds), -1)[:, STATE:].reshape(-1, epochs, columns) / n
    return [plan.unpack(own) for own in mirror.read().reshape(len(seeds), -1)], results
