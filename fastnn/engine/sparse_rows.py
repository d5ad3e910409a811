"""Sparse rows as the compiled programs take them, which follow their indices wherever they lead.

Nobody has looked at those before: SciPy checks them neither when a matrix is made nor when it is used.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn.lowering.workspace import writable

LINES = {"csr": ("row", "column"), "csc": ("column", "row"), "bsr": ("block row", "block column")}

_INT32, _INT64 = np.dtype(np.int32), np.dtype(np.int64)


def check_indices(
    name: str, starts: Any, numbers: Any, values: Any, shape: tuple[int, int], kind: str = "csr", dimensions: int = 1
) -> None:
    """Check that the arrays of a compressed matrix lead nowhere outside of it.

    Parameters
    ----------
    name : str
        What messages call the matrix.
    starts, numbers, values
        Its ``indptr``, ``indices`` and ``data``.
    shape : (int, int)
        The number of its lines, and of the indices in a line: columns for rows.
    kind : {"csr", "csc", "bsr"}
        What lines are.
    dimensions : int
        Of ``values``.

    Raises
    ------
    ValueError
        If they do.
    """
    if fault := _fault(starts, numbers, values, shape, kind, dimensions):
        raise damaged(name, fault)


def damaged(name: str, fault: str) -> ValueError:
    """Return the error for a matrix with a fault."""
    return ValueError(f"{name} is a damaged sparse matrix: {fault}. Build it anew from the right indices")


def _fault(starts: Any, numbers: Any, values: Any, shape: tuple[int, int], kind: str, dimensions: int) -> str:
    lines, length = shape
    line, across = LINES[kind]
    for word, array, wanted in (("indptr", starts, 1), ("indices", numbers, 1), ("data", values, dimensions)):
        if not isinstance(array, np.ndarray) or array.ndim != wanted:
            return f"its {word} is no array of {wanted} dimension{'s' * (wanted > 1)}"
        if array is not values and array.dtype.kind not in "iu":
            return f"its {word} holds {array.dtype}, no whole numbers"
    if starts.size != lines + 1:
        return f"its indptr has {starts.size} elements, but {lines} {line}s take {lines + 1}"
    if numbers.size != len(values):
        return f"its indices has {numbers.size} elements, but its data {len(values)}"
    end = int(starts[-1])
    if starts[0] != 0 or end > numbers.size:
        return f"its indptr leads from {starts[0]} to {end}, but its entries are numbered from 0 to {numbers.size}"
    falls = starts[1:] < starts[:-1]
    if falls.any():
        first = int(falls.argmax())
        return f"its indptr falls from {starts[first]} to {starts[first + 1]} in {line} {first}"
    used = numbers[:end]
    if end and (used.min() < 0 or used.max() >= length):
        wrong = int(((used < 0) | (used >= length)).argmax())
        return f"{line} {np.searchsorted(starts, wrong, 'right') - 1} has the {across} {used[wrong]} of {length}"
    return ""


class SparseRows:
    """Compressed rows (n, inputs) whose indices are in range, and will be: nobody else has these arrays.

    Attributes
    ----------
    values : (entries,)
        Shared with the user.
    columns : int32 (entries,)
    starts : int64 (n + 1,)
        Of the entries of each row, and behind the last.
    """

    __slots__ = ("columns", "dtype", "shape", "starts", "values")

    def __init__(self, values: np.ndarray, columns: np.ndarray, starts: np.ndarray, inputs: int) -> None:
        self.values, self.columns, self.starts = values, columns, starts
        self.dtype, self.shape = values.dtype, (starts.size - 1, inputs)

    @classmethod
    def of(cls, x: Any, name: str) -> SparseRows:
        """Copy the indices of a SciPy matrix or array of compressed rows, and check them: a ValueError if one is wrong.

        A thread may change the matrix meanwhile, so what is checked is the copy.
        """
        starts, numbers, values, shape = x.indptr, x.indices, x.data, x.shape
        if getattr(numbers, "dtype", None) != _INT32 or getattr(starts, "dtype", None) not in (_INT32, _INT64):
            check_indices(name, starts, numbers, values, shape)  # copies hold the last bits only
        starts, columns = np.array(starts, np.int64, order="C"), np.array(numbers, np.int32, order="C")
        check_indices(name, starts, columns, values, shape)
        if not values.flags.carray:
            values = writable(np.require(values, requirements=["C", "A"]))
        return cls(values, columns, starts, shape[1])

    def __getitem__(self, rows: slice) -> SparseRows:
        first, stop, _ = rows.indices(self.shape[0])
        return SparseRows(self.values, self.columns, self.starts[first : stop + 1], self.shape[1])

    def features(self, dtype: np.dtype, batch_size: int = 0) -> tuple[np.ndarray, ...]:
        """Arrays for the programs, as ``kernels/cpu/sparse.py`` has them, with room for ``batch_size`` rows at once."""
        starts = self.starts
        room = int(np.sort(np.diff(starts))[len(starts) - 1 - batch_size :].sum()) if batch_size else 0
        return (
            np.ascontiguousarray(self.values, dtype),
            self.columns,
            starts,
            np.empty(self.shape[1] + 2 if batch_size else 0, np.int64),
            np.empty(room, np.int32),
            np.empty(room, dtype),
        )


def is_sparse(x: Any) -> bool:
    """Whether x are sparse rows that programs may take."""
    return type(x) is SparseRows
