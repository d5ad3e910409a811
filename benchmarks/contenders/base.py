"""What a contender is: it turns problems into work that can be timed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import metadata
from typing import Any, ClassVar

from benchmarks.kinds import Task
from benchmarks.problems import (
    EstimatorProblem,
    FitProblem,
    PredictProblem,
    ProductProblem,
    ScriptProblem,
    StepProblem,
)


class NotOffered(Exception):
    """A contender does not do such a task."""


@dataclass
class Work:
    """Something ready to be run, all preparations made.

    Attributes
    ----------
    run : callable
        What is timed. A fit runs once; anything else may run again and again.
    result : callable
        What the problem's judge wants: weights or probabilities after a fit, else what a run computes.
    """

    run: Callable[[], Any]
    result: Callable[[], Any]

    @classmethod
    def of(cls, function: Callable[[], Any]) -> Work:
        """Work whose result is what the run returns; nothing stands between the timing loop and the function."""
        return cls(function, function)


class Contender:
    """A library, or a way of using one. Methods raise NotOffered for what it cannot do.

    Attributes
    ----------
    name : str
        As on the command line.
    label : str
        As in reports.
    distributions : tuple of str
        What must be installed; the first one's version is reported.
    slow_start : bool
        Left out of quick runs unless asked for by name.
    """

    name: ClassVar[str]
    label: ClassVar[str]
    distributions: ClassVar[tuple[str, ...]]
    slow_start: ClassVar[bool] = False

    @classmethod
    def version(cls) -> str | None:
        """Version of the library, or None if something is not installed."""
        try:
            first, *_ = [metadata.version(name) for name in cls.distributions]
        except metadata.PackageNotFoundError:
            return None
        return first

    @classmethod
    def lacks(cls) -> str:
        """Say what is missing on this machine, and how to get it; empty if nothing is."""
        if cls.version() is not None:
            return ""
        return f"it needs {' '.join(cls.distributions)} (pip install -e '.[peers]' in the checkout)"

    def limit(self, threads: int) -> None:
        """Tell the library how many threads it may use, where the environment does not."""

    def threads(self) -> int | None:
        """How many threads the library itself says it will use at most, if it can be asked."""
        return None

    def fit(self, problem: FitProblem, seed: int) -> Work:
        raise NotOffered

    def end(self, task: Task) -> None:
        """Let go of what the work of a task may have left: processes that run, compiled programs."""

    def estimator(self, problem: EstimatorProblem, seed: int) -> Work:
        raise NotOffered

    def predict(self, problem: PredictProblem) -> Work:
        raise NotOffered

    def product(self, problem: ProductProblem) -> Work:
        raise NotOffered

    def step(self, problem: StepProblem) -> Work:
        raise NotOffered

    def script(self, problem: ScriptProblem) -> str:
        """Return the source of a script: sys.argv holds a file with arrays x and y, and one for its predictions."""
        raise NotOffered

    def prepare(self, problem: Any, seed: int) -> Work:
        """Return the work of any problem but a script."""
        if isinstance(problem, FitProblem):
            return self.fit(problem, seed)
        if isinstance(problem, EstimatorProblem):
            return self.estimator(problem, seed)
        if isinstance(problem, PredictProblem):
            return self.predict(problem)
        return self.product(problem) if isinstance(problem, ProductProblem) else self.step(problem)


def need(offered: bool) -> None:
    """Raise NotOffered unless something is offered."""
    if not offered:
        raise NotOffered


def pairs(arrays: Sequence[Any]) -> list[tuple[Any, Any]]:
    """Kernel and bias of each dense layer."""
    return list(zip(arrays[::2], arrays[1::2], strict=True))
