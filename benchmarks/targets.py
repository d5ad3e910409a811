"""What fastnn is to reach, and whether results show it: ``python -m benchmarks.targets results.json [more.json]``.

Every figure is taken from one file of results, so the times it compares come from one run. Targets for fewer
instructions look at results that were measured with ``--simd``.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from rich.table import Table

from benchmarks.accuracy import distance
from benchmarks.contenders import CONTENDERS, SUBJECT
from benchmarks.results import BUSY, Results, TaskResult
from fastnn.commands.console import results as console

Figure = Callable[[Results], float]


@dataclass(frozen=True)
class Target:
    """One line of the table.

    Attributes
    ----------
    figure : callable
        From results to a number; NaN if they do not hold what it takes.
    limit : float
        What the number must reach, or with ``most`` must not pass.
    text : str
        How to write both, a format with one place.
    source : str
        Tasks that the number comes from.
    simd : str
        Instructions the results must have been limited to; empty for the best of the machine.
    needs : str
        Feature of the CPU without which the target does not apply.
    factor : float
        From the number to its unit.
    """

    case: str
    figure: Figure
    limit: float
    text: str
    source: str
    most: bool = False
    simd: str = ""
    needs: str = ""
    factor: float = 1.0

    def reached(self, value: float) -> bool:
        return value <= self.limit if self.most else value >= self.limit

    def write(self, value: float) -> str:
        return self.text.format(value * self.factor)


def _task(results: Results, name: str) -> TaskResult | None:
    return next((task for task in results.tasks if task.name == name), None)


def _seconds(results: Results, name: str, contender: str = SUBJECT) -> float:
    task = _task(results, name)
    return task.figures[contender].seconds if task and contender in task.figures else math.nan


def _quality(results: Results, name: str, key: str, contender: str = SUBJECT) -> float:
    task = _task(results, name)
    return task.figures[contender].quality.get(key, math.nan) if task and contender in task.figures else math.nan


def _scale(results: Results, family: str) -> list[tuple[float, TaskResult]]:
    points = [(*task.scale, task) for task in results.tasks if task.scale]
    found = [(x, task) for name, x, task in points if name == family and not math.isnan(_seconds(results, task.name))]
    return sorted(found, key=lambda point: point[0])


def times(case: str, name: str, peer: str, limit: float, simd: str = "") -> Target:
    """A peer's time as a multiple of fastnn's at the same task."""

    def figure(results: Results) -> float:
        task = _task(results, name)
        return task.ratio(peer) if task else math.nan

    return Target(f"{case}: times {CONTENDERS[peer].label}", figure, limit, "{:.2f}×", name, simd=simd)


def seconds(case: str, name: str, limit: float, unit: str, factor: float, parts: int = 1) -> Target:
    """fastnn's own time, or that of one of so many parts of a unit."""
    text = f"{{:.3g}} {unit}"
    return Target(case, lambda r: _seconds(r, name) / parts, limit, text, name, most=True, factor=factor)


def quality(case: str, name: str, key: str, limit: float, text: str, most: bool, factor: float = 1.0) -> Target:
    """What was measured beside the time."""
    return Target(case, lambda r: _quality(r, name, key), limit, text, name, most=most, factor=factor)


def quotient(case: str, slow: tuple[str, str], fast: tuple[str, str], limit: float, needs: str = "") -> Target:
    """Time of one (task, contender) divided by that of another."""
    source = ", ".join(dict.fromkeys((slow[0], fast[0])))
    return Target(case, lambda r: _seconds(r, *slow) / _seconds(r, *fast), limit, "{:.2f}×", source, needs=needs)


def share_of_peak(name: str) -> Figure:
    """Products of an epoch per second of the whole epoch, so at most what is reached inside the products."""

    def figure(results: Results) -> float:
        task = _task(results, name)
        return results.share_of_peak(task, SUBJECT) if task and SUBJECT in task.figures else math.nan

    return figure


def slowest_product(results: Results) -> float:
    """Smallest ratio to NumPy's BLAS over all shapes."""
    ratios = [task.ratio("numpy") for task in results.tasks if task.group == "products"]
    return min((ratio for ratio in ratios if math.isfinite(ratio)), default=math.nan)


def growth(family: str) -> Figure:
    """Largest size of a family beside its smallest: by how much one row, or one epoch, is dearer."""

    def figure(results: Results) -> float:
        points = _scale(results, family)
        if len(points) < 2:
            return math.nan
        (small, first), (large, last) = points[0], points[-1]
        by_size = large / small if family == "rows" else 1.0  # the unit is an epoch, so epochs have been divided out
        return last.figures[SUBJECT].seconds / first.figures[SUBJECT].seconds / by_size

    return figure


def cliff(family: str) -> Figure:
    """Largest step between neighbors of a family: growth of the time beyond that of the operations."""

    def figure(results: Results) -> float:
        points = [task for _, task in _scale(results, family)]
        steps = [
            b.figures[SUBJECT].seconds / a.figures[SUBJECT].seconds / max(1.0, b.flops / a.flops)
            for a, b in pairwise(points)
        ]
        return max(steps, default=math.nan)

    return figure


def _memory_ratio(results: Results) -> float:
    name = "classifier-sparse-text"
    return _quality(results, name, "memory") / _quality(results, name, "memory", "scikit-learn")


def _score_difference(results: Results) -> float:
    return _quality(results, "search-pima", "score") - _quality(results, "search-pima", "score", "scikit-learn")


BF16, F32 = "sign-mnist-200-bf16", "sign-mnist-200"
TARGETS = (
    times("Pima", "pima", "scikit-learn", 200),
    times("Pima", "pima", "jax", 13),
    times("Pima", "pima", "pytorch", 300),
    seconds("Pima: one step", "pima", 0.8e-6, "µs", 1e6, parts=77),
    times("sign-MNIST, batch 200", F32, "pytorch", 1.5),
    times("sign-MNIST, batch 200", F32, "jax", 1.5),
    times("sign-MNIST, batch 200", F32, "scikit-learn", 4),
    Target("sign-MNIST, batch 200: share of the peak", share_of_peak(F32), 0.75, "{:.0f} %", F32, factor=100),
    times("sign-MNIST, batch 32", "sign-mnist-32", "jax", 2),
    times("sign-MNIST, batch 32", "sign-mnist-32", "scikit-learn", 8),
    quotient("mixed_bfloat16: times PyTorch bfloat16", (BF16, "pytorch"), (BF16, SUBJECT), 2, "amx-bf16"),
    quotient("mixed_bfloat16: times PyTorch float32", (F32, "pytorch"), (BF16, SUBJECT), 3, "amx-bf16"),
    times("4-32-16-4, batch 10,000", "simplechains", "pytorch", 7),
    Target("Products: slowest shape, times NumPy's BLAS", slowest_product, 1, "{:.2f}×", "products"),
    seconds("Predict 1 row", "predict-1", 4e-6, "µs", 1e6),
    times("Predict 1 row", "predict-1", "scikit-learn", 20),
    times("Predict 1 row", "predict-1", "pytorch", 5),
    times("Predict 1,000,000 rows", "predict-1000000", "scikit-learn", 8),
    quality("Predict 1,000,000 rows: memory", "predict-1000000", "memory", 50e6, "{:.1f} MB", True, 1e-6),
    quality("Eight fits in a pool: times one by one", "eight-fits", "gain", 1.8, "{:.2f}×", False),
    seconds("First script, nothing compiled before", "script-pima-first", 8, "s", 1),
    seconds("Script, warm", "script-pima", 1, "s", 1),
    times("Script, warm", "script-pima", "scikit-learn", 2),
    quality("Script, sign-MNIST: memory", "script-sign-mnist", "memory", 250e6, "{:.0f} MB", True, 1e-6),
    Target("Rows: dearer in large sets", growth("rows"), 1.2, "{:.2f}×", "scaling-rows-…", most=True),
    Target("Epochs: dearer in long fits", growth("epochs"), 1.2, "{:.2f}×", "scaling-epochs-…", most=True),
    Target("Widths: largest cliff", cliff("units of a layer"), 1.5, "{:.2f}×", "scaling-width-…", most=True),
    Target("Batch sizes: largest cliff", cliff("batch size"), 1.2, "{:.2f}×", "scaling-batch-…", most=True),
    quotient("2 threads: times 1 thread", ("scaling-threads-1", SUBJECT), ("scaling-threads-2", SUBJECT), 1.8),
    times("AVX2, Pima", "pima", "scikit-learn", 70, simd="avx2"),
    times("AVX2, sign-MNIST, batch 200", F32, "scikit-learn", 2, simd="avx2"),
    times("MLPClassifier.fit, Pima", "classifier-pima", "scikit-learn", 120),
    times("MLPClassifier.fit, Pima, validation", "classifier-pima-validation", "scikit-learn", 120),
    times("Search, Pima", "search-pima", "scikit-learn", 80),
    Target("Search, Pima: best score minus scikit-learn's", _score_difference, -0.015, "{:+.3f}", "search-pima"),
    times("Sparse text", "classifier-sparse-text", "scikit-learn", 5),
    Target("Sparse text: memory, share of scikit-learn's", _memory_ratio, 1, "{:.2f}", "classifier-sparse-text", True),
)


def verdict(target: Target, of: Sequence[Results]) -> tuple[str, str]:
    """Write the number and whether it is enough, from the first results that hold it."""
    value, features = math.nan, set[str]()
    for results in of:
        if math.isnan(value) and results.limited == target.simd:
            value, features = target.figure(results), set(results.machine.get("cpu_features", ()))
    if math.isnan(value):
        return "–", "not measured"
    if target.needs and target.needs not in features:
        return target.write(value), f"does not apply: no {target.needs}"
    return target.write(value), "reached" if target.reached(value) else "missed"


def rows(of: Sequence[Results]) -> list[tuple[str, str, str, str, str]]:
    """Lines of the table: case, target, what was found, verdict, tasks."""
    found = []
    for target in TARGETS:
        bound = "at most" if target.most else "at least"
        found.append((target.case, f"{bound} {target.write(target.limit)}", *verdict(target, of), target.source))
    return found


def same_accuracy(runs: dict) -> tuple[str, str, str, str, str]:
    """Line of the table on accuracy in both precisions: fastnn's on the test file, over several seeds."""
    low, full = ([run["test"] for run in runs.get(name, {}).get(SUBJECT, ())] for name in (BF16, F32))
    case, limit, source = "mixed_bfloat16: accuracy beside float32's", "within 2 standard errors", "accuracy"
    if not (low and full):
        return case, limit, "–", "not measured", source
    apart = distance(low, full)
    return case, limit, f"{apart:.1f}", "reached" if apart <= 2 else "missed", source


HEADER = ("case", "target", "found", "verdict", "tasks")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.targets", description=__doc__.splitlines()[0])
    parser.add_argument("results", type=Path, nargs="+", help="JSON of runs, among them one with --simd avx2")
    parser.add_argument("--accuracy", type=Path, help="JSON of benchmarks.accuracy")
    options = parser.parse_args(arguments)
    of = [Results.load(path) for path in options.results]
    table, styles = Table(*HEADER, box=None), {"reached": "green", "missed": "red"}
    lines = rows(of)
    if options.accuracy:
        lines.append(same_accuracy(json.loads(options.accuracy.read_text())["runs"]))
    for line in lines:
        table.add_row(*line, style=styles.get(line[3], "dim"))
    console().print(table)
    counts = [f"{sum(line[3].startswith(word) for line in lines)} {word}" for word in ("reached", "missed")]
    doubts = ["a quick run proves nothing"] * any(each.quick for each in of)
    doubts += ["the machine was busy"] * any(each.busy > BUSY for each in of)
    console().print("; ".join([f"{', '.join(counts)} of {len(lines)}", *doubts]))


if __name__ == "__main__":
    main()
