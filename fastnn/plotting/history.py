"""Learning curves."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn.common.arithmetic import heedless
from fastnn.plotting import figures

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@heedless
def plot_history(history: Any, metrics: Sequence[str] | None = None) -> "Figure":
    """Draw the learning curves of one or several fits, one panel for each metric.

    Parameters
    ----------
    history : History, dict or dict of them
        What ``Sequential.fit`` returns, its ``history`` dict (``{"loss": [...], "val_loss": [...]}``), or several
        of either under names, to compare: ``{"wide": fit_1, "deep": fit_2}``.
    metrics : sequence of str, optional
        Names to draw, without ``val_``. Default: all that any of the fits recorded.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ValueError
        Nothing was recorded, or none of the fits recorded a wanted metric.
    """
    runs = _runs(history)
    if metrics is None:
        metrics = list(dict.fromkeys(name.removeprefix("val_") for curves in runs.values() for name in curves))
    if not metrics:
        raise ValueError("history: there is nothing to draw, it holds no metric (was the model fitted?)")
    size = (5.2 * len(metrics), 3.9)
    figure, axes = figures.panels(1, len(metrics), size)
    for metric, ax in zip(metrics, axes[0], strict=True):
        plot_metric(runs, metric, ax=ax)
    return figure


@heedless
def plot_metric(history: Any, metric: str = "loss", *, ax: "Axes | None" = None) -> "Axes":
    """Draw one metric against the epoch: solid on the training data, dashed on the validation data.

    Parameters
    ----------
    history : History, dict or dict of them
        As in `plot_history`.
    metric : str, default "loss"
        Name without ``val_``.
    ax : matplotlib Axes, optional
        Where to draw. Default: a new figure.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ValueError
        None of the fits recorded this metric.
    """
    runs = _runs(history)
    known = sorted({key for curves in runs.values() for key in curves})
    if not {metric, f"val_{metric}"} & set(known):
        raise ValueError(f"metric: {metric!r} was not recorded; the history holds {', '.join(known) or 'nothing'}")
    ax = figures.axes(ax)
    for i, (name, curves) in enumerate(runs.items()):
        for key, style, part in ((metric, "-", "training"), (f"val_{metric}", "--", "validation")):
            if key in curves:
                values = np.asarray(curves[key], dtype=float)
                marker = "o" if len(values) <= 30 else ""
                label = f"{name}, {part}" if name else part
                (line,) = ax.plot(np.arange(1, len(values) + 1), values, style, label=label)
                line.set(color=figures.COLORS[i % len(figures.COLORS)], marker=marker, markersize=3.5)
    ax.set(xlabel="epoch", ylabel=metric.replace("_", " "))
    ax.locator_params(axis="x", integer=True)
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(color="0.9", linewidth=0.8)
    ax.set_axisbelow(True)
    ax.legend(frameon=False)
    return ax


def _runs(history: Any) -> dict[str, Mapping[str, Sequence[float]]]:
    """Bring what `plot_history` accepts to one form: name -> metric -> values; a single fit is named ""."""
    history = getattr(history, "history", history)
    if not isinstance(history, Mapping):
        raise TypeError(f"history: expected a History or a dict, got {type(history).__name__}")
    if any(isinstance(value, Mapping) or hasattr(value, "history") for value in history.values()):
        return {str(name): getattr(run, "history", run) for name, run in history.items()}  # type: ignore[misc]
    return {"": history}
