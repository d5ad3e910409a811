"""Accuracy of every contender over several seeds: ``python -m benchmarks.accuracy``.

A seed draws the weights to start from and the order of the rows; all contenders start from the same weights. Trained
weights are judged by one function, the float64 oracle of the kernels, on all rows of the training and test data.
"""

from __future__ import annotations

import json
import math
import statistics
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from benchmarks import problems, terms
from benchmarks.contenders import CONTENDERS
from benchmarks.contenders import choose as choose_contenders
from benchmarks.contenders.base import NotOffered
from benchmarks.kinds import Fit
from benchmarks.results import machine_facts
from benchmarks.tasks import TASKS
from fastnn.commands import outputs
from fastnn.commands.console import bars, results

EPOCHS = {"pima": 150, "sign-mnist-200": 6, "sign-mnist-200-bf16": 6}
LEFT_OUT = ("pytorch-compiled", "onnxruntime")  # the arithmetic of another contender; no training


def measure(task: str, contender: str, seed: int, epochs: int, threads: int) -> dict[str, float]:
    """Train once and return loss and accuracy on all training rows, and accuracy on all test rows."""
    fit = TASKS[task]
    assert isinstance(fit, Fit)
    problem = problems.make(replace(fit, epochs=epochs))
    problem.weights = problems.glorot(problem.task.layers, seed)
    library = CONTENDERS[contender]()
    library.limit(threads)
    work = library.fit(problem, seed)
    work.run()
    weights, data, chosen = work.result(), problem.data, problem.task

    def judged(x: problems.Array, y: problems.Array) -> problems.Quality:
        return problems.quality(chosen.loss, y, problems.outputs(chosen.activation, chosen.loss, weights, x))

    train, test = judged(data.x, data.y), judged(data.x_test, data.y_test)
    return {"loss": train["loss"], "train": train["accuracy"], "test": test["accuracy"]}


def distance(first: list[float], second: list[float]) -> float:
    """How far two means are apart, in standard errors of their difference; within noise it is below 2."""
    error = math.sqrt(statistics.variance(first) / len(first) + statistics.variance(second) / len(second))
    return abs(statistics.mean(first) - statistics.mean(second)) / error


def main(
    seeds: Annotated[int, typer.Option(min=2, help="Number of seeds.")] = 5,
    peers: Annotated[str | None, typer.Option(help="Contenders beside fastnn. Default: all installed.")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Also write every single result here.")] = None,
) -> None:
    """Train every task with several seeds and print mean and standard deviation for each contender."""
    if json_file is not None:
        outputs.check(json_file)
    names = choose_contenders(None if peers is None else peers.split(","), quick=False)
    names = [name for name in names if name not in LEFT_OUT]
    threads = terms.available_cores()
    found: dict[str, dict[str, list[dict[str, float]]]] = {}
    table = Table("task", "library", "loss", "training rows %", "test rows %", box=None)
    with bars(live=False) as progress:
        bar = progress.add_task("training", total=len(EPOCHS) * len(names) * seeds, note="")
        for task, epochs in EPOCHS.items():
            for name in names:
                progress.update(bar, note=f"{task}, {name}")
                runs: list[dict[str, float]] = []
                with suppress(NotOffered):
                    runs += [measure(task, name, seed, epochs, threads) for seed in range(seeds)]
                progress.update(bar, advance=seeds)
                if not runs:
                    continue
                found.setdefault(task, {})[name] = runs
                table.add_row(
                    task,
                    CONTENDERS[name].label,
                    _spread(runs, "loss", 1.0, 4),
                    _spread(runs, "train", 100.0, 2),
                    _spread(runs, "test", 100.0, 2),
                )
    results().print(table)
    if json_file is not None:
        text = json.dumps({"machine": machine_facts(), "seeds": seeds, "epochs": EPOCHS, "runs": found}, indent=1)
        outputs.write_text(json_file, text + "\n")


def _spread(runs: list[dict[str, float]], key: str, factor: float, digits: int) -> str:
    values = [factor * run[key] for run in runs]
    return f"{statistics.mean(values):.{digits}f} ± {statistics.stdev(values):.{digits}f}"


if __name__ == "__main__":
    typer.run(main)
