"""What users pass becomes arrays of real numbers on the host."""

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fastnn.common.identifiers import article
from fastnn.common.on_gpu import is_on_gpu, not_on_host

_BIT_BY_BIT = (
    "pass all rows as one array, for instance numpy.concatenate of the batches, or call train_on_batch for each batch"
)
_WHOLE = ("__array__", "__array_interface__", "__cuda_array_interface__", "__dlpack__", "tocsr")


def host_array(value: Any, name: str) -> np.ndarray:
    """Return a real-valued array from an array, list, data frame or anything with ``__array__`` or DLPack.

    Raises
    ------
    TypeError
        If the values are not real numbers, or lie on a GPU.
    ValueError
        If rows differ in length.
    """
    if value is None:
        raise ValueError(f"{name} is missing: expected an array, a list or a data frame; got None")
    if not isinstance(value, np.ndarray):
        _need_whole(value, name)
    if hasattr(value, "tocsr"):
        raise TypeError(f"{name} is a sparse matrix; pass {name}.toarray()")
    if is_on_gpu(value):
        raise not_on_host(name)
    if isinstance(value, np.ma.MaskedArray) and np.ma.is_masked(value):
        raise ValueError(f"{name} has masked values; fill them, {name}.filled(...), or leave their rows out")
    only_dlpack = hasattr(value, "__dlpack__") and not hasattr(value, "__array__")
    try:
        array = np.from_dlpack(value) if only_dlpack else np.asarray(value)
    except ValueError as error:
        raise ValueError(f"{name} is no rectangular array, its rows differ in length ({error})") from None
    if array.dtype == object:
        array = _from_objects(array, name)
    if array.dtype.kind in "biuf":
        return array
    kinds = {"U": "strings", "S": "strings", "T": "strings", "c": "complex numbers", "M": "dates", "m": "durations"}
    hint = ""
    if kinds.get(array.dtype.kind) == "strings":
        hint = (
            "; turn them into numbers first, labels for instance with numpy.unique(labels, return_inverse=True)[1] "
            "(the estimators of fastnn take string labels)"
        )
    raise TypeError(f"{name} holds {kinds.get(array.dtype.kind, array.dtype)}, expected real numbers{hint}")


def _need_whole(value: Any, name: str) -> None:
    """Refuse what gives rows bit by bit, or under names."""
    if isinstance(value, Mapping):
        raise TypeError(
            f"{name} is a dict with the keys {list(value)[:5]}: a model has one input and one output; pass one array, "
            f"of columns numpy.column_stack(list({name}.values()))"
        )
    if isinstance(value, Sequence) or any(hasattr(value, how) for how in _WHOLE):
        return
    with contextlib.suppress(TypeError), memoryview(value):  # ctypes' arrays, for instance
        return
    if any(hasattr(value, how) for how in ("__iter__", "__next__", "__getitem__")):
        raise TypeError(f"{name} is {article(type(value).__name__)}, which gives data bit by bit: {_BIT_BY_BIT}")


def _from_objects(array: np.ndarray, name: str) -> np.ndarray:
    """Return float64 values of an object array (a frame of mixed columns), or no strings if there are any in it."""
    if any(isinstance(value, (str, bytes)) for value in array.flat):
        return np.empty(0, str)
    try:
        return array.astype(np.float64)
    except (TypeError, ValueError, OverflowError):
        numbers = (int, float, np.number, np.bool_)
        odd = next((value for value in array.flat if not isinstance(value, numbers)), "a number too large for float64")
        raise TypeError(
            f"{name} holds objects that are no real numbers, such as {odd!r} of type {type(odd).__name__}"
        ) from None
