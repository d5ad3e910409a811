"""Pictures of training runs and predictions, drawn with matplotlib.

Needs the ``plots`` extra; without it every function raises ImportError. Nothing is shown on a screen unless the caller
calls ``matplotlib.pyplot.show()``: every function returns what it drew, to be saved, shown or drawn upon.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn.common import absent
from fastnn.common.arithmetic import heedless
from fastnn.plotting import axes as canvas
from fastnn.plotting.confusion import numbered, shortened
from fastnn.plotting.confusion import plot_confusion_matrix as plot_confusion_matrix

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's colours, distinguishable with every common kind of colour blindness (jfly.uni-koeln.de/color),
# ordered so that the first ones differ in lightness too.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")


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
    figure, axes = canvas.panels(1, len(metrics), size)
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
    ax = canvas.axes(ax)
    for i, (name, curves) in enumerate(runs.items()):
        for key, style, part in ((metric, "-", "training"), (f"val_{metric}", "--", "validation")):
            if key in curves:
                values = np.asarray(curves[key], dtype=float)
                marker = "o" if len(values) <= 30 else ""
                label = f"{name}, {part}" if name else part
                (line,) = ax.plot(np.arange(1, len(values) + 1), values, style, label=label)
                line.set(color=COLORS[i % len(COLORS)], marker=marker, markersize=3.5)
    ax.set(xlabel="epoch", ylabel=metric.replace("_", " "))
    ax.locator_params(axis="x", integer=True)
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(color="0.9", linewidth=0.8)
    ax.set_axisbelow(True)
    ax.legend(frameon=False)
    return ax


@heedless
def plot_images(
    images: Any,
    titles: Sequence[str] | None = None,
    *,
    columns: int | None = None,
    title: str | None = None,
) -> "Figure":
    """Draw grey-scale images in a grid.

    Parameters
    ----------
    images : array-like, shape (n, height, width) or (n, pixels)
        Flat rows must hold a square number of pixels. Each image is stretched to its own range of grey.
    titles : sequence of str, optional
        One line above each image.
    columns : int, optional
        Images in a row. Default: 10 at most.
    title : str, optional
        A line above the grid.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ValueError
        No image, rows that are no squares, or a number of titles that differs from that of the images.
    """
    pixels = _as_images(images)
    n = len(pixels)
    if titles is not None and len(titles) != n:
        raise ValueError(f"titles: expected one for each of the {n} images, got {len(titles)}")
    columns = columns or min(n, 10)
    rows = math.ceil(n / columns)
    height = 1.3 if titles is not None else 1.05
    size = (max(1.1 * columns, 2.2), height * rows + (0.45 if title else 0.0))
    figure, axes = canvas.panels(rows, columns, size)
    for ax in axes.flat:
        ax.set_axis_off()
    for i, (ax, image) in enumerate(zip(axes.flat, pixels, strict=False)):
        ax.imshow(image, cmap="gray")
        if titles is not None:
            ax.set_title(titles[i], fontsize=8, pad=3, parse_math=False)
    if title:
        figure.suptitle(title, fontsize=11)
    return figure


@heedless
def plot_misread(
    images: Any,
    y_true: Any,
    y_pred: Any,
    labels: Sequence[Any] | None = None,
    *,
    confidence: Any = None,
    count: int = 24,
    columns: int = 8,
) -> "Figure":
    """Draw images that were given the wrong class, each kind of mistake once before any comes again.

    Parameters
    ----------
    images : array-like, shape (n, height, width) or (n, pixels)
        As in `plot_images`.
    y_true, y_pred, labels
        As in `plot_confusion_matrix`.
    confidence : array-like of float, shape (n,), optional
        Probability that the model gave the class it predicted; the most confident mistakes come first. Default: not
        written, and mistakes in order of the rows.
    count : int, default 24
        Draw at most so many.
    columns : int, default 8
        Images in a row.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ValueError
        Lengths differ, no class is wrong, or a class has no label.
    """
    names, true, predicted = numbered(y_true, y_pred, labels)
    images = np.asarray(images)
    if not len(images) == len(true) == len(predicted):
        raise ValueError(
            f"images, y_true and y_pred must have the same length; got {len(images)}, {len(true)} and {len(predicted)}"
        )
    wrong = np.flatnonzero(true != predicted)
    if not len(wrong):
        raise ValueError("every image was given its right class, so there is no misread one to draw")
    if confidence is not None:
        confidence = np.asarray(confidence, dtype=float)
        wrong = wrong[np.argsort(-confidence[wrong], kind="stable")]
    seen: Counter[tuple[int, int]] = Counter()
    repetition = []  # how often the same mistake came before
    for pair in zip(true[wrong].tolist(), predicted[wrong].tolist(), strict=True):
        repetition.append(seen[pair])
        seen[pair] += 1
    chosen = wrong[np.argsort(repetition, kind="stable")][:count]
    names = [shortened(name) for name in names]
    titles = [f"{names[true[i]]} read as {names[predicted[i]]}" for i in chosen]
    if confidence is not None:
        titles = [f"{text}\n{confidence[i]:.0%} sure" for text, i in zip(titles, chosen, strict=True)]
    heading = f"{len(wrong):,} of {len(true):,} misread"
    if len(chosen) < len(wrong):
        heading += f"; {len(chosen)} of them"
    return plot_images(images[chosen], titles, columns=min(columns, len(chosen)), title=heading)


def _runs(history: Any) -> dict[str, Mapping[str, Sequence[float]]]:
    """Bring what `plot_history` accepts to one form: name -> metric -> values; a single fit is named ""."""
    history = getattr(history, "history", history)
    if not isinstance(history, Mapping):
        raise TypeError(f"history: expected a History or a dict, got {type(history).__name__}")
    if any(isinstance(value, Mapping) or hasattr(value, "history") for value in history.values()):
        return {str(name): getattr(run, "history", run) for name, run in history.items()}  # type: ignore[misc]
    return {"": history}


def _as_images(images: Any) -> np.ndarray:
    pixels = np.asarray(images)
    if pixels.ndim == 2:
        side = math.isqrt(pixels.shape[1])
        if side * side == pixels.shape[1]:
            pixels = pixels.reshape(-1, side, side)
    if pixels.ndim != 3 or not pixels.size:
        raise ValueError(
            f"images: expected shape (n, height, width) or (n, pixels), a square number of them; got {pixels.shape}"
        )
    return pixels


absent.explain(__name__)
