"""Grey-scale images in a grid, also those that were misread."""

import math
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn.common.arithmetic import heedless
from fastnn.plotting import figures
from fastnn.plotting.confusion import numbered, shortened

if TYPE_CHECKING:
    from matplotlib.figure import Figure


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
    figure, axes = figures.panels(rows, columns, size)
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
