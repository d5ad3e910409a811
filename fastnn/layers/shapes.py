"""Shapes of rows: tuples with None for the number of rows, as in Keras: (None, 8) is a batch of rows of 8 features."""

from collections.abc import Sequence
from typing import Any

from fastnn.common import checks

Shape = tuple[int | None, ...]
MOST_SIZE = 2**31  # of a layer, and above: columns of a row are numbered in int32


def row_shape(shape: Any) -> tuple[int, ...]:
    """Return the shape of one row, from a tuple, list or single integer."""
    return tuple(
        checks.integer("every size of an input shape", size, 1, MOST_SIZE)
        for size in (shape if isinstance(shape, Sequence) else (shape,))
    )


def column_axis(axis: int) -> int:
    """Return -1 for an axis that is the columns of flat rows; ValueError for another."""
    if axis not in (-1, 1):
        raise ValueError(f"axis must be -1 or 1, the columns of flat rows; got {axis!r}")
    return -1


def flat(name: str, input_shape: Shape) -> Shape:
    """Return the shape of the input of a layer of this name; ValueError if the rows are not flat."""
    if len(input_shape) != 2:
        raise ValueError(
            f"the layer {name!r} takes flat rows, shape (None, inputs); its input has the shape "
            f"{input_shape}: put a Flatten() layer before it"
        )
    return input_shape
