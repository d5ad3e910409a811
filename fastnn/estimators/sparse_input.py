"""Sparse matrices that users pass to the estimators: looked at before SciPy's code follows their indices.

SciPy's conversions and slices check no index: of a damaged matrix they read and write memory that is not theirs.
"""

from itertools import chain
from typing import Any

import numpy as np
from scipy import sparse

from fastnn.engine.sparse_rows import check_indices, damaged


def compressed(x: Any, name: str, own: bool = False) -> Any:
    """Return a sparse matrix of any format as compressed rows, and anything else as it is.

    Parameters
    ----------
    x : object
    name : str
        What messages call it.
    own : bool, default=False
        Return indices that nobody else has, also of rows that are compressed already.

    Raises
    ------
    ValueError
        If x is sparse, and one of its indices leads out of it.
    """
    if not sparse.issparse(x):
        return x
    shape = x.shape
    if len(shape) != 2:
        raise ValueError(f"{name} must have rows and columns; it is a sparse array of the shape {shape}")
    if x.format == "csr" and not own:
        check_indices(name, x.indptr, x.indices, x.data, shape)
        return x
    if x.format in ("csr", "csc", "bsr"):
        return _from_compressed(x, name, shape)
    if x.format == "lil":
        return _from_lists(x, name, shape)
    try:
        coordinates = _of_diagonals(x) if x.format == "dia" else x if x.format == "coo" else x.tocoo()
    except (IndexError, OverflowError, TypeError, ValueError) as error:  # of NumPy, about their shapes or numbers
        raise damaged(name, str(error)) from None
    return _from_coordinates(coordinates, name, shape)


def _like(x: Any, kind: str) -> Any:
    """The class of SciPy's matrices, or arrays, of a format."""
    return getattr(sparse, f"{kind}_matrix" if sparse.isspmatrix(x) else f"{kind}_array")


def _from_compressed(x: Any, name: str, shape: tuple[int, int]) -> Any:
    lines, blocks = shape, x.format == "bsr"
    starts, numbers, values = np.array(x.indptr), np.array(x.indices), x.data
    if x.format == "csc":
        lines = shape[::-1]
    elif blocks:
        sizes: tuple[int, ...] = np.shape(values)[1:]
        if len(sizes) != 2 or 0 in sizes or shape[0] % sizes[0] or shape[1] % sizes[1]:
            raise damaged(name, f"blocks of shape {sizes} do not fill {shape}")
        lines = shape[0] // sizes[0], shape[1] // sizes[1]
    check_indices(name, starts, numbers, values, lines, x.format, 3 if blocks else 1)
    return _like(x, x.format)((values, numbers, starts), shape=shape).tocsr()


def _from_coordinates(x: Any, name: str, shape: tuple[int, int]) -> Any:
    values, positions = x.data, [np.array(x.row), np.array(x.col)]
    for word, numbers, size in zip(("row", "column"), positions, shape, strict=True):
        if numbers.shape != np.shape(values) or numbers.ndim != 1 or numbers.dtype.kind not in "iu":
            raise damaged(name, f"it has {np.size(values)} entries, but {numbers.size} numbers of {word}s")
        if numbers.size and (numbers.min() < 0 or numbers.max() >= size):
            wrong = int(((numbers < 0) | (numbers >= size)).argmax())
            raise damaged(name, f"entry {wrong} has the {word} {numbers[wrong]} of {size}")
    return _like(x, "coo")((values, positions), shape=shape).tocsr()


def _from_lists(x: Any, name: str, shape: tuple[int, int]) -> Any:
    rows, entries = list(x.rows), list(x.data)
    if len(rows) != shape[0] or len(entries) != shape[0]:
        raise damaged(name, f"it has {len(rows)} and {len(entries)} lists for {shape[0]} rows")
    for r, (numbers, values) in enumerate(zip(rows, entries, strict=True)):
        if len(numbers) != len(values):
            raise damaged(name, f"row {r} has {len(numbers)} columns, but {len(values)} values")
    starts = np.cumsum([0, *map(len, rows)])
    numbers = np.array([*chain(*rows)]) if starts[-1] else np.zeros(0, np.int64)
    values = np.array([*chain(*entries)], x.dtype)
    check_indices(name, starts, numbers, values, shape)
    return _like(x, "csr")((values, numbers, starts), shape=shape)


def _of_diagonals(x: Any) -> Any:
    """Coordinates of the entries on the diagonals of a matrix, where they lie within it."""
    height, width = x.shape
    columns = np.arange(min(width, x.data.shape[1]))
    rows = columns - np.clip(x.offsets, -height, width).astype(np.int64)[:, np.newaxis]
    there = (rows >= 0) & (rows < height)
    positions = rows[there], np.broadcast_to(columns, rows.shape)[there]
    return _like(x, "coo")((x.data[:, : columns.size][there], positions), shape=x.shape)
