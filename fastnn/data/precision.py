"""What float32 does to numbers that need more digits, or more room, than it has: said once, with what to do."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from fastnn.common.user_warnings import warn

REMEDY = 'subtract the mean and scale (sklearn.preprocessing.StandardScaler), or use dtype="float64"'
FEW_STEPS = 64  # of float32 in the spread of a column: with fewer of them it is coarse or constant
ROUNDING = 1e-13  # of a number: a column that varies by less does so by the rounding of float64
SMALL = 1e-30  # what is smaller is as good as 0 beside any weight, whatever the dtype
NAMED = 3  # columns in a message


def warn_of_lost_digits(name: str, given: Any, rows: Any, columns: Sequence[str] | None = None) -> None:
    """Warn if columns that vary hardly do in float32: numbers so far from 0 that few of its steps lie between them.

    Parameters
    ----------
    name : str
        Of the argument, for the message.
    given
        What the caller passed, shape (n, ...).
    rows
        The same as numbers, shape (n, columns); float64 if a fit is computed in that, and predictions in float32.
    columns : sequence of str, optional
        Names of the columns.
    """
    if not isinstance(rows, np.ndarray) or rows.dtype.kind != "f" or len(rows) < 2:
        return
    if getattr(given, "dtype", None) in (np.float32, np.float16):
        return
    low, high = (extreme.astype(np.float32) for extreme in (rows.min(axis=0), rows.max(axis=0)))
    size = np.maximum(np.abs(low), np.abs(high))
    suspects = np.flatnonzero((high - low < FEW_STEPS * np.spacing(size)) & (size > SMALL))
    if not suspects.size:
        return
    source, lost = np.asarray(given).reshape(rows.shape), []
    for column in suspects.tolist():
        values = source[:, column]
        values = values.astype(np.float64) if values.dtype.kind in "Ob" else values
        spread = float(values.max() - values.min())
        if spread > ROUNDING * size[column] and (values != rows[:, column].astype(np.float32)).any():
            lost.append((column, spread))
    if lost:
        warn(f"float32 has too few digits for {_listing(name, lost, rows, columns)}: {REMEDY}")


def _listing(name: str, lost: Sequence[tuple[int, float]], rows: np.ndarray, columns: Sequence[str] | None) -> str:
    described = []
    for column, spread in lost[:NAMED]:
        different = len(np.unique(rows[:, column].astype(np.float32)))
        left = "is constant" if different == 1 else f"has {different} different values"
        described.append(
            f"{_column(name, column, rows, columns)}, which varies by {spread:.3g} around {rows[0, column]:.3g} and "
            f"{left} in float32"
        )
    more = f"; and {len(lost) - NAMED} columns more" if len(lost) > NAMED else ""
    return "; ".join(described) + more


def _column(name: str, column: int, rows: np.ndarray, columns: Sequence[str] | None) -> str:
    if columns is not None:
        return f"column {str(columns[column])!r} of {name}"
    return f"column {column} of {name}" if rows.shape[1] > 1 else name


def nonfinite_weights(X: Any, targets: np.ndarray, columns: Sequence[str] | None = None) -> ValueError:
    """Return the error for weights that ran off: scikit-learn's, and in float32 what is large and what to do."""
    message = "Solver produced non-finite parameter weights. The input data may contain large values and need to be "
    message += "preprocessed."
    if getattr(X, "dtype", None) != np.float32:
        return ValueError(message)
    large = []
    if isinstance(X, np.ndarray):
        sizes = np.abs(X).max(axis=0)
        for column in np.argsort(-sizes, kind="stable")[:NAMED]:
            if sizes[column] > 1.0:
                large.append(f"{_column('X', column, X, columns)} up to {sizes[column]:.3g}")
    if targets.dtype.kind == "f" and np.abs(targets).max() > 1.0:
        large.append(f"y up to {np.abs(targets).max():.3g}")
    found = f" Largest are {', '.join(large)}." if large else ""
    return ValueError(f"{message}{found} This fit computed in float32: {REMEDY}.")
