"""One contender at one task after another, in this process: warm-up, timing, judging."""

from __future__ import annotations

import gc
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import threadpoolctl

from benchmarks import memory, problems
from benchmarks.contenders import CONTENDERS
from benchmarks.contenders.base import Work
from benchmarks.kinds import Estimator, Fit, Predict, Script, Search, Task
from benchmarks.problems import Problem, Quality, medians
from benchmarks.terms import check_instructions, check_threads

SHORTEST_TURN = 0.2  # seconds of timed runs, unless there were MOST_RUNS before
MOST_RUNS = 5
SHORTEST_RUN = 0.05  # seconds of a timed run; shorter calls are repeated within it
WARM = 0.2  # share of a timed run that goes before it untimed, when calls are repeated
IDLE, LONGEST_WAIT = 0.02, 1.0  # seconds without work after which a process is at rest; and when to go on all the same
FEW_ROWS = 32  # a prediction that starts a library, before the first one of full size shows its memory
_ROOT = Path(__file__).resolve().parent.parent


@dataclass
class Begun:
    """What is known before the first turn.

    Attributes
    ----------
    digest : str
        Checksum of the arrays given to the contender.
    start : dict
        Quality of the weights that a fit starts from; else empty.
    flops : float
        Operations of one unit in matrix products.
    """

    about: str
    digest: str
    start: Quality
    flops: float


@dataclass
class Turn:
    """Seconds per unit of each timed run, and the quality of their results (medians)."""

    seconds: list[float]
    quality: Quality


def seconds_of(run: Callable[[], Any], collect: bool = True) -> float:
    """Time one run, the garbage collected before."""
    if collect:
        gc.collect()
    begun = time.perf_counter()
    run()
    return time.perf_counter() - begun


def settle() -> None:
    """Wait until no thread of this process computes: those of a BLAS spin for a tenth of a second after its work."""
    end = time.perf_counter() + LONGEST_WAIT
    while time.perf_counter() < end:
        used = time.process_time()
        time.sleep(IDLE)
        if time.process_time() - used < IDLE / 10:
            return


def repeat(run: Callable[[], Any], times: int) -> None:
    for _ in range(times):
        run()


def calls_in(seconds: float, run: Callable[[], Any]) -> int:
    """How many calls take so long: found by doubling, since the first calls find cold caches and say little."""
    calls = 1
    while (took := seconds_of(partial(repeat, run, calls), collect=False)) < seconds / 2:
        calls *= 2
    return max(1, round(calls * seconds / took))


class Session:
    """A contender at work.

    Parameters
    ----------
    name : str
        In the table of contenders.
    threads : int
        Most threads it may use.
    stand_ins : frozenset of str
        Data sets that cannot be had.
    """

    def __init__(self, name: str, threads: int, stand_ins: frozenset[str] = frozenset()) -> None:
        self.contender = CONTENDERS[name]()
        self.contender.limit(threads)
        self.max_threads = threads
        self.stand_ins = stand_ins
        self._blas = threadpoolctl.ThreadpoolController().select(user_api="blas")
        self.task: Any = None
        self.problem: Any = None
        self._time: Callable[[int], Turn] = self._time_fit

    def _judge(self, result: Any) -> Quality:
        """Judge on one thread, so that none of NumPy's BLAS goes on spinning into the next fit."""
        with self._blas.limit(limits=1):
            return self.problem.judge(result)

    def peak(self) -> float:
        """Measured peak of this process's threads, in operations per second."""
        from benchmarks import peak

        return peak.measure(self.max_threads)

    def begin(self, task: Task) -> Begun:
        """Make the arrays, let the contender compile and start whatever it needs.

        Raises
        ------
        NotOffered
            If the contender does no such task.
        TermsBroken
            If it would use more threads than it may.
        """
        if self.task is not None:  # it failed, and was not ended
            self.end()
        self.task, self.problem = task, problems.make(task, self.stand_ins)
        start: Quality = {}
        if isinstance(task, Fit):
            start = self._judge(self.problem.weights)
            short = replace(self.problem, task=replace(task, epochs=1))
            self._time, warm_up = self._time_fit, self.contender.prepare(short, 0).run
        elif isinstance(task, (Estimator, Search)):
            few = replace(task, epochs=1) if isinstance(task, Estimator) else replace(task.smallest(), rows=None)
            self._time = self._time_estimator
            warm_up = self.contender.prepare(replace(self.problem, task=few), 0).run
        elif isinstance(task, Script):
            source = self.contender.script(self.problem)
            self._time, warm_up = self._time_script(source), lambda: None
            if not task.empty_cache:
                warm_up = lambda: self._time(0)  # noqa: E731
        else:
            found: Quality = {}
            if isinstance(task, Predict):  # the memory of the first call of this size, by a library that has started
                self.contender.prepare(self.problem.shortened(FEW_ROWS), 0).run()
                needed = memory.growth(self.contender.prepare(self.problem, 0).run)
                found["memory"] = max(0.0, needed - self.problem.output_bytes)
            work = self.contender.prepare(self.problem, 0)
            self._time, warm_up = self._time_calls(work, found), work.run
        warm_up()
        check_threads(self.contender, self.max_threads)
        check_instructions()
        arrays = self.problem.arrays()
        gc.collect()
        gc.freeze()  # what libraries hold: looking through it before each run takes longer than most runs
        settle()
        return Begun(self.problem.about, self.problem.digest(), start, task.flops(len(arrays[0])))

    def turn(self, number: int) -> Turn:
        """Measure; the number of the turn is the seed of a fit."""
        found = self._time(number)
        settle()
        return found

    def end(self) -> None:
        """Let go of the arrays, and of what the contender made for them."""
        gc.unfreeze()
        self.contender.end(self.task)
        self.task = self.problem = None
        self._time = self._time_fit

    def _time_fit(self, number: int) -> Turn:
        seconds: list[float] = []
        qualities: list[Quality] = []
        while len(seconds) < MOST_RUNS and sum(seconds) < SHORTEST_TURN:
            first = MOST_RUNS * number + len(seconds)
            seconds.append(self._fit(first, qualities, self.max_threads))
            if self.task.models > 1:  # the same again, one after another
                qualities[-1]["gain"] = self._fit(first, [], 1) / seconds[-1]
        return Turn([value / self.task.units for value in seconds], medians(qualities))

    def _fit(self, seed: int, qualities: list[Quality], workers: int) -> float:
        """Fit the task's models, in a pool of threads if there are several; return the seconds, append the quality."""
        works = [self.contender.prepare(self.problem, seed + i) for i in range(self.task.models)]
        if len(works) == 1:
            seconds = seconds_of(works[0].run)
        else:
            with ThreadPoolExecutor(workers) as pool:
                seconds = seconds_of(lambda: list(pool.map(lambda work: work.run(), works)))
        qualities.append(medians([self._judge(work.result()) for work in works]))
        return seconds

    def _time_estimator(self, number: int) -> Turn:
        work, seconds = self.contender.prepare(self.problem, number), []
        needed = memory.growth(lambda: seconds.append(seconds_of(work.run)))
        quality = self._judge(work.result())
        if isinstance(self.task, Estimator):  # a search's workers may be processes
            quality["memory"] = needed
        while len(seconds) < MOST_RUNS and sum(seconds) < SHORTEST_TURN:
            work = self.contender.prepare(self.problem, number + MOST_RUNS * len(seconds))
            seconds.append(seconds_of(work.run))
        return Turn(seconds, quality)

    def _time_calls(self, work: Work, found: Quality) -> Callable[[int], Turn]:
        loops: list[int] = []
        work.run()
        quality = self._judge(work.result()) | found  # before it runs again: a step changes its weights

        def time_calls(number: int) -> Turn:
            if not loops:
                loops.append(calls_in(SHORTEST_RUN, work.run))
            repeat(work.run, math.ceil(WARM * loops[0]))
            return Turn([seconds_of(lambda: repeat(work.run, loops[0])) / loops[0] for _ in range(MOST_RUNS)], quality)

        return time_calls

    def _time_script(self, source: str) -> Callable[[int], Turn]:
        def time_script(number: int) -> Turn:
            with tempfile.TemporaryDirectory() as name:
                seconds, predicted, peak = run_script(source, self.problem, Path(name))
            return Turn([seconds], self._judge((predicted, peak)))

        return time_script


def run_script(source: str, problem: Problem, folder: Path) -> tuple[float, np.ndarray, float]:
    """Run a script in a new process; return the seconds it took, its predictions and its largest memory in bytes.

    Raises
    ------
    RuntimeError
        If the script fails, with the end of what it wrote.
    """
    script, rows, predictions = folder / "script.py", folder / "rows.npz", folder / "predictions.npy"
    script.write_text(source + memory.PRINT_PEAK)
    x, y = problem.arrays()
    np.savez(rows, x=x, y=y)
    environment = {**os.environ, "PYTHONPATH": str(_ROOT)}
    if problem.task.empty_cache:
        environment["FASTNN_CACHE_DIR"] = str(folder / "cache")
    command = [sys.executable, str(script), str(rows), str(predictions)]
    begun = time.perf_counter()
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    seconds = time.perf_counter() - begun
    if done.returncode:
        raise RuntimeError(f"the script failed: {done.stderr.strip()[-300:]}")
    peak = done.stdout.split()
    return seconds, np.load(predictions), float(peak[-1]) if peak else math.nan
