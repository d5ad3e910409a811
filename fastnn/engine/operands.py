"""What arrays become before compiled programs take them, which look at no array's type, size or order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fastnn.data.samples import Samples
from fastnn.engine.sparse_rows import SparseRows
from fastnn.lowering.plan import Plan

BYTES = np.dtype(np.uint8)  # pixels: read as they are, and scaled as they are read


def operand(name: str, array: Any, dtypes: Sequence[Any], shape: tuple[int | None, ...]) -> Any:
    """Return an array as programs take it: itself, or a copy if its elements do not lie one after the other, aligned.

    Programs look at no array's type, size or order: whatever is handed to one has come through here. Compressed sparse
    rows have their indices copied and checked; arrays on a GPU have only their type and shape checked.

    Raises
    ------
    TypeError
        If it is no array of one of these types.
    ValueError
        If it has another shape, in which None stands for any size, or an index of sparse rows is out of range.
    """
    if isinstance(array, np.ndarray):
        array = np.asarray(array)  # subclasses have other rules, and may have another shape to show
    if getattr(array, "dtype", None) not in dtypes:
        found = getattr(array, "dtype", type(array).__name__)
        raise TypeError(f"{name} must be of {' or '.join(str(np.dtype(dtype)) for dtype in dtypes)}; got {found}")
    found, fits = array.shape, len(array.shape) == len(shape)
    if not fits or any(wanted not in (None, size) for size, wanted in zip(found, shape, strict=True)):
        raise ValueError(f"{name} must have the shape {str(shape).replace('None', 'n')}; got {found}")
    if not isinstance(array, np.ndarray):
        return SparseRows.of(array, name) if getattr(array, "format", None) == "csr" else array
    if array.flags.c_contiguous and array.flags.aligned:
        return array
    return np.array(array, order="C", copy=True)


def input_operand(plan: Plan, x: Any) -> Any:
    """Return rows x (n, inputs) for programs."""
    return operand("x", x, (plan.dtype, BYTES), (None, plan.n_inputs))


def operands(plan: Plan, samples: Samples, target_width: int) -> Samples:
    """Return rows with their targets (n, target_width) and sample weights (n,), if there are any, for programs."""
    x, sample_weights = input_operand(plan, samples.x), samples.sample_weights
    y = operand("y", samples.y, (plan.dtype,), (x.shape[0], target_width))
    if sample_weights is not None:
        on_host = isinstance(sample_weights, np.ndarray)
        column = (1,) * (not on_host and len(sample_weights.shape) == 2)  # on a GPU they may be one
        sample_weights = operand("sample_weights", sample_weights, (plan.dtype,), (x.shape[0], *column))
    return Samples(x, y, sample_weights)


def order_operand(order: np.ndarray, rows: int) -> np.ndarray:
    """Return an order of so many rows for programs."""
    order = operand("order", order, (np.int64,), (rows,))
    check_order(order, rows)
    return order


def check_order(order: np.ndarray, rows: int) -> None:
    """Check that an order of rows names rows that there are, which programs follow."""
    if rows and (order.min() < 0 or order.max() >= rows):
        raise ValueError(f"order must hold numbers of rows, from 0 to {rows - 1}; got {order.min()} to {order.max()}")


def counters_of(state: dict[str, Any]) -> np.ndarray:
    """Return the counters of a state from ``Engine.get_state``: ValueError if nothing could go on from them."""
    counters = operand("counters", np.asarray(state["counters"], np.float64), (np.float64,), (3,))
    if not ((counters >= 0) & (counters < 2**53)).all() or counters[0] % 1.0:
        raise ValueError(f"the counters of an optimizer must be a whole number of steps and powers; got {counters}")
    return counters
