"""Checks of rows and targets: scikit-learn's, and a short way to the same for arrays that need none of its care.

scikit-learn's checks take a tenth of a millisecond whatever the size of the data, as long as the prediction of a
thousand rows. What the short way does not pass without question goes the long way, to its conversions and its errors.
"""

from typing import Any

import numpy as np
from sklearn.utils import check_array, check_consistent_length
from sklearn.utils.validation import validate_data

from fastnn import data
from fastnn.arithmetic import heedless
from fastnn.devices import resolve
from fastnn.gpu_arrays import is_on_gpu, on_host

_PLAIN = "biuf"  # kinds of dtypes: booleans, integers, floats


def check_rows(estimator: Any, X: Any, dtypes: Any, reset: bool = False) -> Any:
    """Return X as finite numbers of one of `dtypes` (of the first, if it has none of them), C-ordered or CSR.

    Parameters
    ----------
    estimator
        Gets ``n_features_in_`` and ``feature_names_in_`` with `reset`, else must have those of X.
    """
    if is_on_gpu(X):
        return _rows_on_gpu(estimator, X, dtypes, reset)
    rows = _plain_rows(estimator, X, dtypes, reset)
    if rows is not None:
        return rows
    return _validated(estimator, X, dtype=dtypes, reset=reset)


def check_rows_and_targets(estimator: Any, X: Any, y: Any, dtypes: Any, reset: bool) -> tuple[Any, np.ndarray]:
    """Return X as `check_rows` does, and y as an array of as many rows; the targets come to the host."""
    y = on_host(y, "y", resolve(estimator.device))
    if is_on_gpu(X):
        y = check_array(y, ensure_2d=False, dtype=None, input_name="y")
        X = _rows_on_gpu(estimator, X, dtypes, reset)
        check_consistent_length(X, y)
        return X, y
    plain = type(y) is np.ndarray and y.ndim == 1 and y.dtype.kind in _PLAIN + "U"
    plain = plain and type(X) is np.ndarray and X.ndim == 2 and len(X) == len(y)
    if plain and (y.dtype.kind != "f" or np.isfinite(y.sum())):
        rows = _plain_rows(estimator, X, dtypes, reset)
        if rows is not None:
            return rows, y
    return _validated(estimator, X, y, multi_output=True, dtype=dtypes, reset=reset)


@heedless
def _validated(*data: Any, **options: Any) -> Any:
    """Check as scikit-learn does, and say what holds a number that is too large for float32."""
    try:
        return validate_data(*data, accept_sparse="csr", order="C", **options)
    except ValueError as error:
        if "too large for dtype('float32')" not in str(error):
            raise
        raise ValueError(f'{error} Scale its column, or use dtype="float64", which holds larger numbers.') from None


def _rows_on_gpu(estimator: Any, X: Any, dtypes: Any, reset: bool) -> Any:
    """Return X as `check_rows` does, where it lies."""
    device = resolve(estimator.device)
    rows = data.to_array(X, "X", device)
    if rows.ndim != 2 or 0 in rows.shape:
        raise ValueError(f"X must have rows and columns, shape (n_samples, n_features); got the shape {rows.shape}")
    if not reset and rows.shape[1] != estimator.n_features_in_:
        raise ValueError(
            f"X has {rows.shape[1]} features, but {type(estimator).__name__} is expecting "
            f"{estimator.n_features_in_} features as input"
        )
    dtype = rows.dtype if rows.dtype in _dtypes(dtypes) else _dtypes(dtypes)[0]
    checked = data.finite(rows, dtype, "X")
    if reset:
        estimator.__dict__.pop("feature_names_in_", None)
        estimator.n_features_in_ = rows.shape[1]
    return checked


def _dtypes(dtypes: Any) -> list[np.dtype]:
    return [np.dtype(dtype) for dtype in (dtypes if isinstance(dtypes, tuple) else (dtypes,))]


def _plain_rows(estimator: Any, X: Any, dtypes: Any, reset: bool) -> np.ndarray | None:
    """Return X as `check_rows` does if it is an array beyond question, else None."""
    if type(X) is not np.ndarray or X.ndim != 2 or X.dtype.kind not in _PLAIN or not X.size:
        return None
    if not reset and (X.shape[1] != estimator.n_features_in_ or hasattr(estimator, "feature_names_in_")):
        return None
    allowed = _dtypes(dtypes)
    with np.errstate(all="ignore"):
        rows = np.asarray(X, X.dtype if X.dtype in allowed else allowed[0], order="C")
        if not np.isfinite(rows.sum()):
            return None
    if reset:
        estimator.__dict__.pop("feature_names_in_", None)
        estimator.n_features_in_ = X.shape[1]
    return rows
