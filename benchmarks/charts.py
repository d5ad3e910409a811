"""Charts of results; without matplotlib there are none."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from benchmarks.contenders import CONTENDERS, SUBJECT
from benchmarks.results import Results, TaskResult
from fastnn.commands import outputs
from fastnn.plotting import COLORS

_COLORS = dict(zip(CONTENDERS, (*COLORS, "#555555"), strict=True))
_LONG_TITLE = 34  # letters; longer ones take two lines


def names() -> list[str]:
    """Names of the files that `draw` may write."""
    return [f"{name}.png" for name in _CHARTS]


def draw(results: Results, folder: Path) -> list[Path]:
    """Write every chart that the results are enough for; return the paths."""
    try:
        import matplotlib
    except ImportError:
        return []
    matplotlib.use("Agg")
    from matplotlib import pyplot

    paths = []
    for name, make in _CHARTS.items():
        figure = make(results)
        if figure is not None:
            paths.append(folder / f"{name}.png")
            outputs.write_picture(paths[-1], figure, dpi=120)
            pyplot.close(figure)
    return paths


def times(results: Results) -> Any:
    """Time per epoch of each training task."""
    tasks = _timed(results, "training")
    figure = _bars(tasks, lambda task, name: task.figures[name].seconds)
    if figure is not None:
        figure.axes[0].set(xscale="log", xlabel="seconds per epoch")
    return figure


def speedups(results: Results) -> Any:
    """How many times as long as fastnn the others took, at all tasks but the products and scaling."""
    groups = ("training", "estimators", "prediction", "optimizer", "start")
    tasks = [task for group in groups for task in _timed(results, group)]
    figure = _bars(tasks, lambda task, name: task.ratio(name), skip=SUBJECT, start=1.0)
    if figure is not None:
        ax = figure.axes[0]
        ax.set(xscale="log", xlabel="time, as a multiple of fastnn's")
        ax.xaxis.set_major_formatter("{x:g}×")
        ax.axvline(1, color="0.3", linewidth=1)
    return figure


def shares_of_peak(results: Results) -> Any:
    """Rate in matrix products as a share of the measured peak."""
    large = [t for t in _timed(results, "training") if "sign-mnist" in t.name and "bf16" not in t.name]
    figure = _bars([*_timed(results, "products"), *large], results.share_of_peak)
    if figure is not None:
        ax = figure.axes[0]
        ax.set(xlim=(0, max(1.0, ax.get_xlim()[1])), xlabel="share of the multiply-add peak of the cores used")
        ax.xaxis.set_major_formatter("{x:.0%}")
        ax.axvline(1, color="0.3", linewidth=1)
    return figure


def scaling(results: Results) -> Any:
    """Time per epoch against batch size, width, rows and threads, one panel for each."""
    from matplotlib import pyplot

    points = [(*task.scale, task) for task in results.tasks if task.scale and _has_times(task)]
    families = [(family, list(members)) for family, members in groupby(points, key=lambda point: point[0])]
    families = [(family, members) for family, members in families if len(members) > 1]
    if not families:
        return None
    size = (4.6 * len(families), 4.4)
    figure, axes = pyplot.subplots(1, len(families), figsize=size, layout="constrained", squeeze=False)
    for ax, (family, members) in zip(axes[0], families, strict=True):
        for name in CONTENDERS:
            line = [(x, t.figures[name].seconds) for _, x, t in members if name in t.figures and t.figures[name].turns]
            if line:
                look = {"color": _COLORS[name], "label": CONTENDERS[name].label, "markersize": 4}
                ax.loglog(*zip(*line, strict=True), "o-", **look)
        places = [x for _, x, _ in members]
        shown = [x for i, x in enumerate(places) if i == 0 or x / places[i - 1] > 1.2]
        ax.set_xticks(shown, [f"{x:,.0f}" for x in shown], rotation=45)
        ax.set_xticks([], minor=True)
        ax.set(xlabel=family, ylabel="seconds per epoch")
        _tidy(ax, "both")
    _legend(figure)
    return figure


_CHARTS: dict[str, Callable[[Results], Any]] = {
    "time-per-epoch": times,
    "speed-up": speedups,
    "scaling": scaling,
    "share-of-peak": shares_of_peak,
}


def _has_times(task: TaskResult) -> bool:
    return SUBJECT in task.figures and bool(task.figures[SUBJECT].turns)


def _timed(results: Results, group: str) -> list[TaskResult]:
    return [task for task in results.tasks if task.group == group and _has_times(task)]


def _bars(
    tasks: Sequence[TaskResult], value: Callable[[TaskResult, str], float], skip: str = "", start: float = 0.0
) -> Any:
    """Draw a group of horizontal bars for each task, one from ``start`` to its value for each contender with a time."""
    from matplotlib import pyplot

    present = [[n for n in CONTENDERS if n != skip and n in t.figures and t.figures[n].turns] for t in tasks]
    most = max(map(len, present), default=0)
    if not most:
        return None
    height = 1.4 + len(tasks) * max(0.34, 0.17 * most)
    figure, ax = pyplot.subplots(figsize=(9, height), layout="constrained")
    for i, (task, names) in enumerate(zip(tasks, present, strict=True)):
        width = 0.8 / max(len(names), 2)
        for j, name in enumerate(names):
            place, length = i + width * (j + 0.5 - len(names) / 2), value(task, name) - start
            ax.barh(place, length, 0.92 * width, left=start, color=_COLORS[name], label=CONTENDERS[name].label)
    ax.set_yticks(range(len(tasks)), [_wrapped(task.title) for task in tasks], fontsize=8)
    ax.set_ylim(len(tasks) - 0.5, -0.5)
    _tidy(ax, "x")
    _legend(figure)
    return figure


def _wrapped(title: str) -> str:
    first, comma, rest = title.partition(", ")
    return f"{first}{comma}\n{rest}" if len(title) > _LONG_TITLE else title


def _tidy(ax: Any, axis: str) -> None:
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(axis=axis, color="0.9", linewidth=0.8)
    ax.set_axisbelow(True)


def _legend(figure: Any) -> None:
    """Put one entry for each contender above the axes."""
    found = {label: handle for ax in figure.axes for handle, label in zip(*ax.get_legend_handles_labels(), strict=True)}
    labels = [contender.label for contender in CONTENDERS.values() if contender.label in found]
    handles = [found[label] for label in labels]
    figure.legend(handles, labels, loc="outside upper center", ncols=min(len(labels), 4), frameon=False, fontsize=9)
