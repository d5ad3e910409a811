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


def picture(name: str, input_shape: Shape, rank: int = 2) -> tuple[int, ...]:
    """Return the sizes of one row of the input of a layer of this name: those of a picture, its channels last."""
    if len(input_shape) == rank + 2:
        return row_shape(input_shape[1:])
    sizes = ("height", "width", "channels") if rank == 2 else ("steps", "channels")
    advice = "x[..., None]" if len(input_shape) == rank + 1 else f"x.reshape(-1, {', '.join(sizes)})"
    raise ValueError(
        f"the layer {name!r} takes {'pictures' if rank == 2 else 'sequences'}, shape (None, {', '.join(sizes)}); its "
        f"input has the shape {input_shape}: {advice} gives data such a shape"
    )


def last_axis(name: str, axis: int, input_shape: Shape) -> int:
    """Return the size of the last axis of the input of a layer of this name; ValueError if `axis` is another."""
    if axis not in (-1, len(input_shape) - 1):
        advice = "; bring pictures to it by x.transpose(0, 2, 3, 1)" if axis == 1 and len(input_shape) == 4 else ""
        raise ValueError(
            f"axis of the layer {name!r} must be -1 or {len(input_shape) - 1}, the last of its input of shape "
            f"{input_shape}, where fastnn has the columns or channels; got {axis!r}{advice}"
        )
    return row_shape(input_shape[1:])[-1]
