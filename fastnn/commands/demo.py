"""``fastnn demo``: both reference tasks, fastnn beside scikit-learn, as one table and three pictures."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

import fastnn
from fastnn import datasets
from fastnn.commands import outputs
from fastnn.commands.console import bars, results, working
from fastnn.commands.timed_comparison import Outcome, Task, run_fastnn, run_sklearn, warm_up
from fastnn.datasets.published_file import Split

_SHORT_EPOCHS, _ALL_EPOCHS = 8, 20
_TEST_FRACTION = 0.2
_SYNTHETIC = "synthetic signs"


def run(*, full: bool = False, output: Path = Path("fastnn-demo"), threads: int | None = None, seed: int = 0) -> None:
    """Train, print the table, draw the pictures.

    Parameters
    ----------
    full : bool, default False
        All 20 epochs of sign-MNIST instead of 8.
    output : path, default "fastnn-demo"
        Folder for the pictures; made if it is missing.
    threads : int, optional
        For sign-MNIST, on both sides; Pima is too small for more than one. Default: all cores this process may use.
    seed : int, default 0

    Raises
    ------
    OSError
        The folder cannot be made or written.
    ValueError
        A data file is not the published one.
    """
    output.mkdir(parents=True, exist_ok=True)
    out = results()
    with working("reading data"):
        tasks, remarks = _tasks(threads or fastnn.get_num_threads(), _ALL_EPOCHS if full else _SHORT_EPOCHS)
    for name in _pictures_of(tasks[1]):
        outputs.check(output / name)
    for remark in remarks + _load_remark():
        out.print(remark, style="yellow", soft_wrap=True)
    begun = time.perf_counter()
    with working("making kernels ready"):
        for task in tasks:
            warm_up(task)
    out.print(_kernels(time.perf_counter() - begun), soft_wrap=True)

    outcomes = []
    with bars(live=False) as progress:
        for task in tasks:
            for library, train in (("fastnn", run_fastnn), ("scikit-learn", run_sklearn)):
                total = task.epochs * task.repeats
                bar = progress.add_task(f"{task.name}, {library}", total=total, note="")
                outcomes.append(train(task, seed, _stepper(progress, bar)))
                progress.update(bar, completed=total, refresh=True)
    out.print(_table(outcomes, f"fastnn {fastnn.__version__} and scikit-learn on {_machine()}"))
    out.print(
        "Equal terms: same float32 arrays, layers, Adam, batch size, epochs and threads; only the fit is timed. "
        f"{tasks[0].name}: median time and mean accuracy of {tasks[0].repeats} fits.",
        soft_wrap=True,
        style="dim",
    )
    _draw(outcomes, output, out)


def _tasks(threads: int, epochs: int) -> tuple[list[Task], list[str]]:
    """Return the tasks, those with pictures to draw first, and what to tell the user about the data."""
    remarks = []
    try:
        tasks = [_pima()]
    except OSError as error:
        remarks.append(f"No Pima data, breast cancer instead. {error}")
        tasks = [_breast_cancer()]
    try:
        data = datasets.load_sign_mnist()
        tasks.append(_pictures("sign-MNIST", data, datasets.SIGN_MNIST_LETTERS, epochs, threads))
    except OSError as error:
        remarks.append(
            f"No sign-MNIST data: digits instead, and a synthetic set of the same shape for timing only. {error}"
        )
        tasks.append(_pictures("digits", datasets.load_digits(), "0123456789", 20, threads))
        data = datasets.make_sign_mnist_like()
        tasks.append(_pictures(_SYNTHETIC, data, datasets.SIGN_MNIST_LETTERS, epochs, threads))
    return tasks, remarks


def _pima() -> Task:
    from sklearn.model_selection import train_test_split

    x, y = datasets.load_pima()
    parts = train_test_split(x.astype(np.float32), y, test_size=_TEST_FRACTION, stratify=y, random_state=0)
    x, x_test, y, y_test = parts
    return _small("Pima diabetes", x, x_test, y, y_test, ("healthy", "diabetes"))


def _breast_cancer() -> Task:
    (x, y), (x_test, y_test) = datasets.load_breast_cancer()
    mean, deviation = x.mean(axis=0), x.std(axis=0)
    x, x_test = (((part - mean) / deviation).astype(np.float32) for part in (x, x_test))
    return _small("breast cancer", x, x_test, y, y_test, ("malignant", "benign"))


def _small(name: str, x: Any, x_test: Any, y: Any, y_test: Any, classes: tuple[str, ...]) -> Task:
    return Task(name, x, y, x_test, y_test, classes, (16, 8), batch_size=10, epochs=150, threads=1, repeats=3)


def _pictures(name: str, data: Split, classes: str, epochs: int, threads: int) -> Task:
    (x, y), (x_test, y_test) = data
    x, x_test = (part.reshape(len(part), -1) / np.float32(data[0][0].max()) for part in (x, x_test))
    return Task(name, x, y, x_test, y_test, tuple(classes), (512, 512), batch_size=200, epochs=epochs, threads=threads)


def _stepper(progress: Any, bar: Any) -> Callable[[], None]:
    """Return a function that moves a bar, and draws it at most once a second so as not to disturb the timing."""
    drawn = time.perf_counter()

    def step() -> None:
        nonlocal drawn
        now = time.perf_counter()
        progress.update(bar, advance=1, refresh=now - drawn > 1)
        drawn = now if now - drawn > 1 else drawn

    return step


def _table(outcomes: list[Outcome], title: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD, show_lines=True)
    table.show_edge, table.pad_edge, table.padding = False, False, (0, 1, 0, 0)  # fits into 80 columns
    for column in ("task", "library", "time", "per\nepoch", "speed-up", "train %", "test %"):
        table.add_column(column, justify="left" if column in ("task", "library") else "right", no_wrap=True)
    for pair in zip(outcomes[::2], outcomes[1::2], strict=True):
        task, slowest = pair[0].task, pair[1].seconds
        columns = [
            [outcome.library for outcome in pair],
            [_duration(outcome.seconds) for outcome in pair],
            [_duration(outcome.seconds / task.epochs) for outcome in pair],
            [f"{slowest / outcome.seconds:.1f} x" for outcome in pair],
            [_percent(outcome.train_accuracies, task) for outcome in pair],
            [_percent(outcome.test_accuracies, task) for outcome in pair],
        ]
        about = f"{task.name}\n{task.network}\nbatch {task.batch_size}, {task.epochs} epochs"
        table.add_row(about, *("\n".join(lines) for lines in columns))
    return table


def _duration(seconds: float) -> str:
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds * 1e6:.3g} µs"


def _percent(accuracies: list[float], task: Task) -> str:
    return "-" if task.name == _SYNTHETIC else f"{100 * np.mean(accuracies):.1f}"


def _load_remark() -> list[str]:
    """Warn if other programs keep the machine busy."""
    cores = os.cpu_count() or 1
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    if load < cores / 2:
        return []
    return [f"This machine was busy lately (load {load:.1f} on {cores} cores); if it still is, the times are not fair."]


def _kernels(seconds: float) -> str:
    """Say what warming up meant and how long it took."""
    from fastnn.commands.machine import cache_usage
    from fastnn.kernels.compiler.program_cache import announce

    usage = cache_usage()
    folder = usage["folder"]
    kept = f"kept in {folder}" if folder and usage["writable"] else "not kept, as no cache folder can be written"
    what = f"compiled ({kept})" if announce.begun else f"loaded from {folder}"
    return f"Kernels {what} in {seconds:.1f} s; the times below are without that."


def _machine() -> str:
    from fastnn.commands.machine import cpu_model
    from fastnn.kernels.host.cpu import simd_level

    return f"{cpu_model()} ({simd_level()})"


def _pictures_of(task: Task) -> tuple[str, str, str]:
    """Names of the pictures: learning curves, confusion matrix and what this task's network misread."""
    what = "hands" if task.name == "sign-MNIST" else "digits"
    return "learning-curves.png", "confusion-matrix.png", f"misread-{what}.png"


def _draw(outcomes: list[Outcome], folder: Path, out: Console) -> None:
    """Write learning curves, a confusion matrix and misread pictures of the first two tasks."""
    try:
        import matplotlib
    except ImportError:
        out.print(
            "No pictures: matplotlib is missing; get it with pip install -e '.[plots]' in the checkout.",
            soft_wrap=True,
        )
        return
    matplotlib.use("Agg")
    from matplotlib import pyplot

    from fastnn import plotting

    reader = outcomes[2]
    task, predicted = reader.task, reader.probabilities.argmax(axis=1)
    curves, confusion, misread = _pictures_of(task)
    figures = {curves: _curves(outcomes[:4])}
    ax = plotting.plot_confusion_matrix(task.y_test, predicted, task.classes)
    ax.set_title(f"{task.name}, fastnn after {task.epochs} epochs: {ax.get_title()}")
    figures[confusion] = ax.figure
    if (predicted != task.y_test).any():
        figures[misread] = plotting.plot_misread(
            task.x_test, task.y_test, predicted, task.classes, confidence=reader.probabilities.max(axis=1)
        )
    for name, figure in figures.items():
        outputs.write_picture(folder / name, figure, dpi=110)
        pyplot.close(figure)
    out.print(f"Pictures: {', '.join(str(folder / name) for name in figures)}", soft_wrap=True)


def _curves(outcomes: list[Outcome]) -> Any:
    """Draw losses of both libraries above the test accuracy of fastnn, means of all fits, one column for each task."""
    from matplotlib import pyplot

    from fastnn import plotting

    figure, axes = pyplot.subplots(2, 2, figsize=(10.5, 7), layout="constrained")
    for column, (ours, theirs) in zip(axes.T, zip(outcomes[::2], outcomes[1::2], strict=True), strict=True):
        plotting.plot_metric(
            {o.library: {"loss": np.mean(o.losses, axis=0)} for o in (ours, theirs)}, "loss", ax=column[0]
        )
        for line, outcome in zip(column[0].lines, (ours, theirs), strict=True):
            line.set_label(outcome.library)
        column[0].legend(frameon=False)
        column[0].set(
            title=f"{ours.task.name}: {ours.task.network}, batch {ours.task.batch_size}",
            ylabel="training loss",
            ylim=(0, _top(np.array([*ours.losses, *theirs.losses]))),
        )
        plotting.plot_metric({"": {"accuracy": np.mean(ours.curves, axis=0)}}, "accuracy", ax=column[1])
        column[1].lines[0].set_label("fastnn")
        end = ours.task.epochs, np.mean(theirs.test_accuracies)
        column[1].plot(*end, "D", color=plotting.COLORS[1], label="scikit-learn at the end")
        column[1].set_ylabel("accuracy on test rows")
        column[1].legend(frameon=False, loc="lower right")
    return figure


def _top(losses: np.ndarray) -> float:
    """Return where to end an axis of losses (fits, epochs): above all, but for the first of many epochs."""
    return 1.1 * float(losses[:, losses.shape[1] // 30 :].max())
