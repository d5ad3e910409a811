"""`MLPClassifier()` as it comes on ten data sets, fastnn's beside scikit-learn's: ``python -m benchmarks.ten_sets``.

No parameter is set but the seed, which also draws the rows to test on, a quarter. Four sets ship with scikit-learn, its
generators make six. Features are standardized. Times are of `fit` alone, after a first fit that compiles.
"""

from __future__ import annotations

import json
import statistics
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import numpy as np
import sklearn.neural_network
import typer
from rich.table import Table
from sklearn import datasets
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

import fastnn
from benchmarks.results import machine_facts
from fastnn.commands import outputs
from fastnn.commands.console import bars, results

Set = tuple[np.ndarray, np.ndarray]
SETS: dict[str, Callable[[], Set]] = {
    "iris": lambda: datasets.load_iris(return_X_y=True),
    "wine": lambda: datasets.load_wine(return_X_y=True),
    "breast cancer": lambda: datasets.load_breast_cancer(return_X_y=True),
    "digits": lambda: datasets.load_digits(return_X_y=True),
    "moons": lambda: datasets.make_moons(1000, noise=0.25, random_state=0),
    "circles": lambda: datasets.make_circles(1000, noise=0.15, factor=0.6, random_state=0),
    "quantiles": lambda: datasets.make_gaussian_quantiles(n_samples=1500, n_features=5, n_classes=3, random_state=0),
    "hastie": lambda: datasets.make_hastie_10_2(2000, random_state=0),
    "clusters": lambda: datasets.make_classification(
        2000, 20, n_informative=8, n_classes=4, n_clusters_per_class=2, random_state=0
    ),
    "noisy labels": lambda: datasets.make_classification(
        2000, 30, n_informative=10, weights=[0.7], flip_y=0.15, random_state=0
    ),
}
LIBRARIES = {"fastnn": fastnn.MLPClassifier, "scikit-learn": sklearn.neural_network.MLPClassifier}


def measure(name: str, library: str, seed: int) -> dict[str, float]:
    """Fit once; returns the accuracy on the test rows, the seconds of the fit and its epochs."""
    x, y = SETS[name]()
    x_train, x_test, y_train, y_test = train_test_split(x, y, stratify=y, random_state=seed)
    scale = StandardScaler().fit(x_train)
    x_train, x_test = scale.transform(x_train), scale.transform(x_test)
    model = LIBRARIES[library](random_state=seed)
    start = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # 200 epochs are not enough for all
        model.fit(x_train, y_train)
    seconds = time.perf_counter() - start
    return {"accuracy": model.score(x_test, y_test), "seconds": seconds, "epochs": model.n_iter_}


def compare(runs: dict[str, list[dict[str, float]]]) -> tuple[float, float]:
    """Return by how much fastnn is more accurate, on average over the seeds, and the standard error of that."""
    pairs = zip(runs["fastnn"], runs["scikit-learn"], strict=True)
    differences = [ours["accuracy"] - theirs["accuracy"] for ours, theirs in pairs]
    return statistics.mean(differences), statistics.stdev(differences) / len(differences) ** 0.5


def main(
    seeds: Annotated[int, typer.Option(min=2, help="Number of seeds.")] = 10,
    only: Annotated[str | None, typer.Option("--sets", help="Names of sets, with commas. Default: all.")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Also write every single result here.")] = None,
) -> None:
    """Fit both classifiers to every set with several seeds; print accuracies, their difference, and times."""
    if json_file is not None:
        outputs.check(json_file)
    names = list(SETS) if only is None else only.split(",")
    if unknown := set(names) - set(SETS):
        raise typer.BadParameter(f"unknown: {', '.join(sorted(unknown))}. Choose from {', '.join(SETS)}.")
    found: dict[str, dict[str, list[dict[str, float]]]] = {}
    accuracies = [f"{label}, test rows %" for label in LIBRARIES]
    table = Table("set", "rows", *accuracies, "difference", "ms", "times", box=None)
    with bars(live=False) as progress:
        bar = progress.add_task("fitting", total=len(names) * seeds, note="")
        for name in names:
            progress.update(bar, note=name)
            measure(name, "fastnn", 0)
            runs: dict[str, list[dict[str, float]]] = {library: [] for library in LIBRARIES}
            for seed in range(seeds):
                for library in LIBRARIES:
                    runs[library].append(measure(name, library, seed))
                progress.update(bar, advance=1)
            found[name] = runs
            table.add_row(*_row(name, runs))
    results().print(table)
    if json_file is not None:
        text = json.dumps({"machine": machine_facts(), "seeds": seeds, "runs": found}, indent=1)
        outputs.write_text(json_file, text + "\n")


def _row(name: str, runs: dict[str, list[dict[str, float]]]) -> list[str]:
    def spread(library: str) -> str:
        values = [100 * run["accuracy"] for run in runs[library]]
        return f"{statistics.mean(values):.1f} ± {statistics.stdev(values):.1f}"

    def median(library: str) -> float:
        return statistics.median(run["seconds"] for run in runs[library])

    difference, error = compare(runs)
    return [
        name,
        f"{len(SETS[name]()[1]):,}",
        *map(spread, LIBRARIES),
        f"{100 * difference:+.2f} ± {100 * error:.2f}",
        f"{1000 * median('fastnn'):.1f}",
        f"{median('scikit-learn') / median('fastnn'):.0f}×",
    ]


if __name__ == "__main__":
    typer.run(main)
