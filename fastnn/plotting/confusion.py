"""Classes that were taken for each other, as a picture."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn.common.arithmetic import heedless
from fastnn.plotting import figures

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MOST_CELLS_WITH_NUMBERS = 40
_LONGEST_NAME = 28
_SMALLEST_TEXT, _LARGEST_TEXT = 5.0, 10.0  # points
_LARGEST_SIDE = 14.0  # inches


@heedless
def plot_confusion_matrix(
    y_true: Any,
    y_pred: Any,
    labels: Sequence[Any] | None = None,
    *,
    ax: "Axes | None" = None,
) -> "Axes":
    """Draw how often each class was taken for each other one.

    The darker a cell, the larger a fraction it is of its row (of the true class); the number in it is a count.

    Parameters
    ----------
    y_true, y_pred : array-like of shape (n,) or (n, 1)
        Classes: numbers, strings, or anything that can be told apart.
    labels : sequence, optional
        The classes in the order wanted, or the names of the classes 0 .. k - 1. Default: all classes that occur, in
        order.
    ax : matplotlib Axes, optional
        Where to draw. Default: a new figure.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ValueError
        The two arrays differ in length, are empty, or hold a class that has no label.
    """
    names, true, predicted = numbered(y_true, y_pred, labels)
    if len(true) != len(predicted) or not len(true):
        raise ValueError(
            f"y_true and y_pred must have the same length, at least 1; got {len(true)} and {len(predicted)}"
        )
    k = len(names)
    counts = np.zeros((k, k), dtype=int)
    np.add.at(counts, (true, predicted), 1)
    fractions = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)

    names = [shortened(name) for name in names]
    longest = max(map(len, names))
    margin = 1.2 + 0.075 * max(longest - 3, 0)  # inches for names and title
    side = min(max(3.6, margin + max(0.36 * k, 1.8)), _LARGEST_SIDE)
    cell = (side - margin) / k
    ax = figures.axes(ax, (side, side))
    shades = np.sqrt(fractions)  # so that rare confusions can be seen
    ax.imshow(shades, cmap="Blues", vmin=0, vmax=1.1)
    if k <= _MOST_CELLS_WITH_NUMBERS:
        for r, column in zip(*np.nonzero(counts), strict=True):
            color = "white" if shades[r, column] > 0.6 else "black"
            size = max(5.5, min(11, 170 / k)) if counts.max() < 1000 else max(5, min(11, 140 / k))
            ax.text(column, r, counts[r, column], ha="center", va="center", color=color, fontsize=size)
    points = 0.8 * 72 * cell  # height that a name has room for
    ticks = range(0, k, math.ceil(_SMALLEST_TEXT / points))
    text: dict[str, Any] = {"fontsize": min(max(points, _SMALLEST_TEXT), _LARGEST_TEXT), "parse_math": False}
    shown = [names[tick] for tick in ticks]
    ax.set_xticks(ticks, shown, rotation=90 if 0.08 * longest > cell else 0, **text)
    ax.set_yticks(ticks, shown, **text)
    ax.tick_params(length=0)
    ax.spines[:].set_color("0.8")
    ax.set(xlabel="predicted", ylabel="true", title=f"{np.mean(true == predicted):.1%} of {len(true):,} rows right")
    return ax


def numbered(y_true: Any, y_pred: Any, labels: Sequence[Any] | None) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Return the names of the classes, and the indices of the true and the predicted ones among them.

    Raises
    ------
    ValueError
        If a class has no label, a label comes twice, or the classes are not given one a row.
    """
    true, predicted = _classes(y_true, "y_true"), _classes(y_pred, "y_pred")
    occurring = set(true) | set(predicted)
    if labels is None:
        try:
            known = sorted(occurring)
        except TypeError:  # of several types
            known = sorted(occurring, key=lambda value: (type(value).__name__, str(value)))
        names = known
    else:
        names = [_plain(label) for label in labels]
        known = names
        if not occurring <= set(names):  # names of the classes 0, 1, ...
            known = list(range(len(names)))
    indices = {value: index for index, value in enumerate(known)}
    if len(indices) < len(known):
        raise ValueError(f"labels: each must come once; got {names}")
    for value in [*true, *predicted]:
        if value not in indices:
            raise ValueError(
                f"labels: the class {value!r} occurs, but is not among the labels {names[:10]}, nor the number of one"
            )
    first, second = (np.array([indices[value] for value in y], int) for y in (true, predicted))
    return [str(name) for name in names], first, second


def shortened(name: str) -> str:
    """Return a name as one line that is not too long; its end, which may tell it from others, is kept."""
    name, half = " ".join(name.split()), _LONGEST_NAME // 2
    return name if len(name) <= _LONGEST_NAME else f"{name[: half - 1]}…{name[-half:]}"


def _classes(y: Any, name: str) -> list[Any]:
    array = np.asarray(y, None if isinstance(y, np.ndarray) or hasattr(y, "__array__") else object)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1:
        hint = f"; of one column per class take {name}.argmax(axis=1)" if array.ndim == 2 else ""
        raise ValueError(f"{name}: expected one class a row, shape (n,), got an array of shape {array.shape}{hint}")
    return [_plain(value) for value in array.tolist()]


def _plain(value: Any) -> Any:
    """Return a value such that equal classes are equal, whatever holds them: 1.0 is 1, numpy.str_ is str."""
    value = value.item() if isinstance(value, np.generic) else value
    return int(value) if isinstance(value, (bool, float)) and value == value // 1 else value
