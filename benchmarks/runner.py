"""Runs tasks: contenders in turn, several rounds, then the judgement."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from datetime import date

from benchmarks import data, terms
from benchmarks.contenders import CONTENDERS, SUBJECT
from benchmarks.contenders.base import NotOffered
from benchmarks.ending import Ending
from benchmarks.kinds import Task
from benchmarks.problems import Quality, medians
from benchmarks.results import Figure, Results, TaskResult, machine_facts
from benchmarks.session import Begun, Turn
from benchmarks.worker import Worker, WorkerFailed

Report = Callable[[str, int], None]


class Workers:
    """Processes of the contenders for one number of threads, started when they are first needed."""

    def __init__(self, threads: int, stand_ins: frozenset[str]) -> None:
        self.threads, self.stand_ins = threads, stand_ins
        self._workers: dict[str, Worker] = {}

    def __getitem__(self, name: str) -> Worker:
        if name in self._workers and not self._workers[name].alive:
            self._workers.pop(name).close()
        if name not in self._workers:
            self._workers[name] = Worker(name, self.threads, self.stand_ins)
        return self._workers[name]

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, failure: type[BaseException] | None, *_: object) -> None:
        try:
            if failure is None:
                for worker in self._workers.values():  # all end at the same time
                    worker.dismiss()
                for worker in self._workers.values():
                    worker.close()
        finally:
            for worker in self._workers.values():
                worker.terminate()
            for worker in self._workers.values():
                worker.close(at_once=True)


def run(
    tasks: Sequence[Task],
    contenders: Sequence[str],
    threads: int,
    rounds: int,
    quick: bool = False,
    progress: Report = lambda text, steps: None,
    finished: Callable[[Results, TaskResult], None] = lambda results, task: None,
    ending: Ending | None = None,
) -> Results:
    """Run the suite.

    Parameters
    ----------
    tasks : sequence of Task
        Those that want more than ``threads`` are left out.
    contenders : sequence of str
        Names in the table, fastnn first.
    threads : int
        Most threads that anyone may use.
    rounds : int
        Turns of each contender.
    quick : bool, default=False
        Noted in the results; the tasks are expected to be the smaller ones.
    progress : callable
        Told what begins, and how many of ``steps(...)`` were done.
    finished : callable
        Given the results so far and the task that was finished.
    ending : Ending, optional
        Hears the signals that end the run.

    Returns
    -------
    Results
        After Ctrl-C, or a signal that `ending` heard, those of the tasks that were finished.
    """
    versions = {name: CONTENDERS[name].version() or "" for name in contenders}
    results = Results(date.today().isoformat(), quick, rounds, machine_facts(), round(terms.load(), 2), versions)
    wanted = possible(tasks, threads)
    try:
        with (ending or Ending()).measuring():
            stand_ins = data.missing(getattr(task, "data", "") for task in tasks)
            for number in sorted({task.threads or threads for task in wanted}):
                with Workers(number, stand_ins) as workers:
                    progress(f"measuring the peak of {number} thread{'s' * (number > 1)}", 0)
                    results.peaks[str(number)] = workers[SUBJECT].call("peak")
                    for task in (task for task in wanted if (task.threads or threads) == number):
                        results.tasks.append(measure(task, contenders, workers, rounds, progress))
                        finished(results, results.tasks[-1])
    except KeyboardInterrupt:
        if not results.tasks:
            raise
    order = [task.name for task in tasks]
    results.tasks.sort(key=lambda task: order.index(task.name))
    return results


def possible(tasks: Sequence[Task], threads: int) -> list[Task]:
    """Tasks that do not want more threads."""
    return [task for task in tasks if (task.threads or 1) <= threads]


def steps(tasks: Sequence[Task], contenders: Sequence[str], threads: int, rounds: int) -> int:
    """How many steps `run` will report."""
    return sum(len(contenders) * (1 + rounds_of(task, rounds)) for task in possible(tasks, threads))


def rounds_of(task: Task, rounds: int) -> int:
    """Turns that each contender has at a task, in a run of so many rounds."""
    return min(rounds, task.most_rounds or rounds)


def measure(
    task: Task, contenders: Sequence[str], workers: Workers, rounds: int, progress: Report = lambda text, steps: None
) -> TaskResult:
    """Measure one task: everybody warms up, then everybody has a turn in each round.

    Raises
    ------
    TermsBroken
        If contenders were given different arrays.
    """
    figures: dict[str, Figure] = {}
    begun: dict[str, Begun] = {}
    turns: dict[str, list[Turn]] = {}
    rounds = rounds_of(task, rounds)

    def call(name: str, method: str, *arguments: object) -> object:
        """Return the worker's answer, or None from a contender that fails, which is noted."""
        try:
            return workers[name].call(method, *arguments)
        except WorkerFailed as error:
            figures[name] = Figure(refused=str(error))
        except NotOffered:
            pass
        return None

    for name in contenders:
        progress(f"{task.name}: {name} warms up", 0)
        found = call(name, "begin", task)
        if isinstance(found, Begun):
            begun[name], turns[name] = found, []
        progress("", 1 if found else 1 + rounds)
    terms.check_same("arrays", {name: each.digest for name, each in begun.items()})
    for number in range(rounds):
        for name in list(turns):
            progress(f"{task.name}: {name}, round {number + 1} of {rounds}", 0)
            turn = call(name, "turn", number)
            if isinstance(turn, Turn):
                turns[name].append(turn)
                progress("", 1)
            else:
                del turns[name]
                progress("", rounds - number)
    for name in turns:
        call(name, "end")
    first = next(iter(begun.values()), Begun("nobody did it", "", {}, 0.0))
    figures |= _judged(task, first.start, turns)
    title = task.title + (", stand-in data" if getattr(task, "data", "") in workers.stand_ins else "")
    return TaskResult(
        task.name, title, task.group, task.unit, workers.threads, first.about, first.flops, task.scale,
        {name: figures[name] for name in contenders if name in figures},
    )  # fmt: skip


def _judged(task: Task, start: Quality, turns: dict[str, list[Turn]]) -> dict[str, Figure]:
    """Return the figures of those who had all their turns: times if they may be compared, else the reason."""
    qualities = {name: medians([turn.quality for turn in of]) for name, of in turns.items()}
    refused = terms.refusals(task, start, qualities)
    return {
        name: Figure(
            [] if name in refused else [turn.seconds for turn in of],
            {key: value for key, value in qualities[name].items() if math.isfinite(value)},
            refused.get(name, ""),
        )
        for name, of in turns.items()
    }
