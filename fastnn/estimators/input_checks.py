"""Checks of rows and targets: scikit-learn's, and quick ones for arrays that need no more.

scikit-learn's checks take a tenth of a millisecond whatever the size of the data, as long as the prediction of a
thousand rows. What the quick checks do not pass goes through scikit-learn's, with its conversions and its errors.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.sparse import csr_array, csr_matrix, issparse
from sklearn.utils import check_array, check_consistent_length
from sklearn.utils.validation import validate_data

from fastnn.common.arithmetic import heedless
from fastnn.common.on_gpu import is_on_gpu
from fastnn.common.precisions import MIXED
from fastnn.data import arrays
from fastnn.data.placement import on_host
from fastnn.engine.devices import get_device, resolve
from fastnn.engine.sparse_rows import SparseRows
from fastnn.estimators.sparse_input import compressed

_PLAIN = "biuf"  # kinds of dtypes: booleans, integers, floats
_PLAIN_SPARSE = (csr_array, csr_matrix)


def check_rows(estimator: Any, X: Any, dtype: np.dtype) -> tuple[Any, np.dtype]:
    """Return X as finite numbers of `dtype`, C-ordered or CSR, and the dtype that it came in.

    Parameters
    ----------
    estimator
        Must have the ``n_features_in_`` and ``feature_names_in_`` of X.
    """
    if is_on_gpu(X):
        return _rows_on_gpu(estimator, X, lambda *_: dtype, reset=False)
    rows = _plain_rows(estimator, X, lambda *_: dtype, reset=False)
    if rows is not None:
        return rows, X.dtype
    X = _validated(estimator, compressed(X, "X"), accept_sparse="csr", reset=False)
    return _converted(X, dtype), X.dtype


def check_rows_to_predict(estimator: Any, X: Any, dtype: np.dtype) -> tuple[Any, np.dtype]:
    """Return X as `check_rows` does, or as programs take sparse rows, with a quick check for those beyond question."""
    quick = type(X) in _PLAIN_SPARSE and type(X.data) is np.ndarray and X.data.dtype.kind in _PLAIN
    quick = quick and len(X.shape) == 2 and X.shape[0]
    if quick and X.shape[1] == estimator.n_features_in_ and not hasattr(estimator, "feature_names_in_"):
        rows = SparseRows.of(X, "X")
        with np.errstate(all="ignore"):
            values = rows.values.astype(dtype, copy=False)
            if np.isfinite(values.sum()):
                return SparseRows(values, rows.columns, rows.starts, X.shape[1]), X.dtype
    return check_rows(estimator, X, dtype)


def check_rows_and_targets(
    estimator: Any, X: Any, y: Any, dtype_for: Callable[[int, np.dtype], np.dtype], reset: bool
) -> tuple[Any, np.ndarray, np.dtype]:
    """Return X and y checked for a fit, and the dtype that scikit-learn would fit in: float32 if X has it, or float64.

    Parameters
    ----------
    estimator
        Gets ``n_features_in_`` and ``feature_names_in_`` with `reset`, else must have those of X.
    dtype_for
        Tells from the number of rows and that dtype the one which X becomes. The targets come to the host.
    """
    y = _without_extension(on_host(y, "y", resolve(estimator.device)))
    if is_on_gpu(X):
        y = check_array(y, ensure_2d=False, dtype=None, input_name="y")
        X, given = _rows_on_gpu(estimator, X, dtype_for, reset)
        check_consistent_length(X, y)
        return X, y, given
    plain = type(y) is np.ndarray and y.ndim == 1 and y.dtype.kind in _PLAIN + "U"
    plain = plain and type(X) is np.ndarray and X.ndim == 2 and len(X) == len(y)
    if plain and (y.dtype.kind != "f" or np.isfinite(y.sum())):
        rows = _plain_rows(estimator, X, dtype_for, reset)
        if rows is not None:
            return rows, y, _fitted_in(X.dtype)
    sparse, dtypes = "csr" if takes_sparse(estimator) else False, (np.float64, np.float32)
    X, y = compressed(X, "X"), compressed(y, "y")
    X, y = _validated(estimator, X, y, accept_sparse=sparse, multi_output=True, dtype=dtypes, reset=reset)
    return _converted(X, dtype_for(X.shape[0], X.dtype)), y, X.dtype


_validated = heedless(validate_data)


def _without_extension(y: Any) -> Any:
    """Return whole numbers and truth values of pandas' types that allow for missing ones as NumPy's, if none is."""
    dtype = getattr(getattr(y, "dtype", None), "numpy_dtype", None)
    plain = isinstance(dtype, np.dtype) and dtype.kind in "biu" and hasattr(y, "to_numpy") and not y.isna().any()
    return y.to_numpy(dtype) if plain else y


def takes_sparse(estimator: Any) -> bool:
    """Whether an estimator is trained on sparse rows."""
    device = get_device() if estimator.device is None else estimator.device
    return estimator.dtype != MIXED and device == "cpu"


def _fitted_in(dtype: np.dtype) -> np.dtype:
    return np.dtype(np.float32 if dtype == np.float32 else np.float64)


@heedless
def _converted(X: Any, dtype: np.dtype) -> Any:
    """Return finite rows as numbers of `dtype`, C-ordered or CSR."""
    rows: Any = X.astype(dtype, copy=False) if issparse(X) else np.asarray(X, dtype, order="C")
    numbers: np.ndarray = rows.data if issparse(X) else rows
    if X.dtype.itemsize <= dtype.itemsize or np.isfinite(numbers.sum()) or np.isfinite(numbers).all():
        return rows
    raise ValueError(
        f"Input X contains a value too large for {dtype!r}. "
        'Scale its column, or use dtype="float64", which holds larger numbers.'
    )


def _rows_on_gpu(
    estimator: Any, X: Any, dtype_for: Callable[[int, np.dtype], np.dtype], reset: bool
) -> tuple[Any, np.dtype]:
    """Return X as `check_rows` does, where it lies."""
    device = resolve(estimator.device)
    rows = arrays.to_array(X, "X", device)
    if rows.ndim != 2 or 0 in rows.shape:
        raise ValueError(f"X must have rows and columns, shape (n_samples, n_features); got the shape {rows.shape}")
    if not reset and rows.shape[1] != estimator.n_features_in_:
        raise ValueError(
            f"X has {rows.shape[1]} features, but {type(estimator).__name__} is expecting "
            f"{estimator.n_features_in_} features as input"
        )
    given = _fitted_in(rows.dtype)
    checked = arrays.finite(rows, dtype_for(len(rows), given), "X")
    if reset:
        estimator.__dict__.pop("feature_names_in_", None)
        estimator.n_features_in_ = rows.shape[1]
    return checked, given


def _plain_rows(
    estimator: Any, X: Any, dtype_for: Callable[[int, np.dtype], np.dtype], reset: bool
) -> np.ndarray | None:
    """Return X as `check_rows` does if it is an array beyond question, else None."""
    if type(X) is not np.ndarray or X.ndim != 2 or X.dtype.kind not in _PLAIN or not X.size:
        return None
    if not reset and (X.shape[1] != estimator.n_features_in_ or hasattr(estimator, "feature_names_in_")):
        return None
    with np.errstate(all="ignore"):
        rows = np.asarray(X, dtype_for(len(X), _fitted_in(X.dtype)), order="C")
        if not np.isfinite(rows.sum()):
            return None
    if reset:
        estimator.__dict__.pop("feature_names_in_", None)
        estimator.n_features_in_ = X.shape[1]
    return rows
