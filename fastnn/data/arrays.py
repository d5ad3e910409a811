"""What users pass becomes arrays of real numbers, of one dtype, C-contiguous and finite."""

import math
from typing import Any

import numpy as np

from fastnn.common.host_arrays import host_array
from fastnn.common.on_gpu import is_on_gpu
from fastnn.data.placement import device_array

SMALL = 4096  # elements; of more, the sum of squares would be shared by threads of BLAS


def to_array(value: Any, name: str, device: str = "cpu") -> Any:
    """Return a real-valued array from an array, list, data frame or anything with ``__array__`` or DLPack.

    An array on a GPU becomes a ``DeviceArray`` if the model computes there.

    Raises
    ------
    TypeError
        If the values are not real numbers, or lie on a GPU while the model computes on the CPU.
    ValueError
        If rows differ in length.
    """
    if device == "cuda" and is_on_gpu(value):
        return device_array(value, name, device)
    return host_array(value, name)


def _checked(array: np.ndarray, source: np.ndarray, name: str) -> np.ndarray:
    """Return `array`, the converted `source`, if all of its values are finite."""
    if source.dtype.kind != "f" or _all_finite(array):
        return array
    r, *column = np.argwhere(~np.isfinite(array))[0]
    where = f"row {r}" + (f", column {column[0]}" if column else "")
    value = np.asarray(source).reshape(array.shape)[(r, *column)]
    if np.isfinite(value):
        remedy = '; scale it, or use dtype="float64"' * (array.dtype == np.float32)
        raise ValueError(f"{name} holds {value:g} in {where}, which is too large for {array.dtype}{remedy}")
    raise ValueError(f"{name} holds {value} in {where}; remove or fill such rows first")


def _all_finite(array: np.ndarray) -> bool:
    # sums are quicker and need no memory, but may overflow
    if array.size <= SMALL:
        if math.isfinite(np.vdot(array, array)):
            return True
    else:
        with np.errstate(all="ignore"):
            if np.isfinite(array.sum()):
                return True
    return bool(np.isfinite(array).all())


def finite(array: Any, dtype: Any, name: str, check: bool = True) -> Any:
    """Return an array on the host or a GPU C-contiguous and of a type; ValueError if a number is not finite.

    Without ``check`` nobody looks.
    """
    if not isinstance(array, np.ndarray):
        return _finite_on_gpu(array, dtype, name) if check else array.astype(dtype)
    converted = array
    if array.dtype != dtype or not array.flags.c_contiguous:
        with np.errstate(all="ignore"):
            converted = np.ascontiguousarray(array, dtype)
    return _checked(converted, array, name) if check else converted


def _finite_on_gpu(array: Any, dtype: Any, name: str) -> Any:
    converted = array.astype(dtype)
    if array.dtype.kind == "f":
        most = np.finfo(dtype).max
        if not converted.is_within(-most, most):
            finite(array.to_host(), dtype, name)  # says which one it is
    return converted


def check_class_numbers(labels: np.ndarray, n_classes: int, name: str) -> None:
    """Check that labels of shape (n,) are whole and in [0, n_classes).

    Raises
    ------
    ValueError
        With the first row that is not.
    """
    wrong = ~((labels >= 0) & (labels < n_classes) & (labels == np.floor(labels)))
    if wrong.any():
        r = int(np.argmax(wrong))
        raise ValueError(
            f"{name} holds {labels[r]:g} in row {r}, but class numbers must be whole, >= 0 and < {n_classes} "
            f"(the number of classes)"
        )
