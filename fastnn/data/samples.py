"""What users pass as x, y and weights becomes checked, C-contiguous matrices of one dtype, converted once."""

import contextlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastnn.common import checks
from fastnn.common.identifiers import article
from fastnn.data import meaning
from fastnn.data.placement import device_array, is_on_gpu, on_host
from fastnn.losses import Loss

_BIT_BY_BIT = (
    "pass all rows as one array, for instance numpy.concatenate of the batches, or call train_on_batch for each batch"
)
_WHOLE = ("__array__", "__array_interface__", "__cuda_array_interface__", "__dlpack__", "tocsr")
SMALL = 4096  # elements; of more, the sum of squares would be shared by threads of BLAS


@dataclass(frozen=True, slots=True)
class Samples:
    """Inputs (n, inputs), targets (n, outputs) or (n, 1) and weights (n,) or None; any of them may lie on a GPU."""

    x: Any
    y: Any
    weights: Any

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, rows: slice) -> "Samples":
        return Samples(self.x[rows], self.y[rows], None if self.weights is None else self.weights[rows])


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
    if value is None:
        raise ValueError(f"{name} is missing: expected an array, a list or a data frame; got None")
    if not isinstance(value, np.ndarray):
        _need_whole(value, name)
    if hasattr(value, "tocsr"):
        raise TypeError(f"{name} is a sparse matrix; pass {name}.toarray()")
    if is_on_gpu(value):
        return device_array(value, name, device)
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


def _checked(array: np.ndarray, source: np.ndarray, name: str) -> np.ndarray:
    """Return `array`, the converted `source`, if all of its values are finite."""
    if source.dtype.kind != "f" or _all_finite(array):
        return array
    row, *column = np.argwhere(~np.isfinite(array))[0]
    place = f"row {row}" + (f", column {column[0]}" if column else "")
    value = np.asarray(source).reshape(array.shape)[(row, *column)]
    if np.isfinite(value):
        way_out = '; scale it, or use dtype="float64"' * (array.dtype == np.float32)
        raise ValueError(f"{name} holds {value:g} in {place}, which is too large for {array.dtype}{way_out}")
    raise ValueError(f"{name} holds {value} in {place}; remove or fill such rows first")


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


def row_shape_of(x: Any, device: str = "cpu") -> tuple[int, ...]:
    """Return the shape of one row of x, for a model that learns it from its data."""
    return to_array(x, "x", device).shape[1:] or (1,)


def inputs(
    x: Any, row_shape: tuple[int, ...], dtype: Any, name: str = "x", device: str = "cpu", check: bool = True
) -> Any:
    """Return inputs as a matrix with one flat row per sample, on the GPU if x lies there and is to be used there.

    Raises
    ------
    TypeError
        If the values are not real numbers.
    ValueError
        If x is empty, has rows of another shape, or holds NaN or infinity; those are not looked for without ``check``.
    """
    if type(x) is np.ndarray and x.dtype == dtype and x.shape[1:] == row_shape and x.ndim == 2 and len(x):
        return finite(x, dtype, name, check)  # the short way of single rows
    array = to_array(x, name, device)
    if array.ndim == 1 and row_shape == (1,):
        array = _as_rows(array)
    if array.ndim == 0 or array.shape[0] == 0:
        raise ValueError(f"{name} is empty: it has the shape {array.shape}")
    if array.shape[1:] != row_shape:
        hint = f"; a single row is {name}[numpy.newaxis]" if array.shape == row_shape else ""
        raise ValueError(
            f"{name} has the shape {array.shape}, but the model takes rows of shape {row_shape}, "
            f"so {name} must have the shape {('n', *row_shape)}{hint}".replace("'n'", "n")
        )
    array = _as_rows(array)
    if array.dtype == np.uint8:  # pixels stay bytes: the kernels convert a batch at a time
        return finite(array, np.uint8, name)
    return finite(array, dtype, name, check)


def _as_rows(array: Any) -> Any:
    """Return an array with one dimension for rows and one for all others."""
    return array.reshape(len(array), math.prod(array.shape[1:])) if isinstance(array, np.ndarray) else array.rows()


def targets(y: Any, n_rows: int, n_outputs: int, loss: Loss, dtype: Any, name: str = "y", device: str = "cpu") -> Any:
    """Return targets as the loss wants them: (n, outputs), or (n, 1) for class numbers.

    Raises
    ------
    TypeError
        If the values are not real numbers.
    ValueError
        If the shape does not fit, or a label is out of range.
    """
    array = to_array(y, name, device)
    if array.ndim == 0 or array.shape[0] != n_rows:
        raise ValueError(f"x has {n_rows} rows, but {name} has the shape {array.shape}")
    sparse, width = loss.sparse, loss.target_width(n_outputs)
    given = array
    if array.ndim == 1 and width == 1:
        array = _as_rows(array)
    if array.shape[1:] != (width,):
        raise ValueError(
            f"{name} has the shape {given.shape}, but {loss.name} for {n_outputs} outputs takes the shape "
            f"({n_rows}, {width}){_layout_hint(given, sparse, n_outputs)}"
        )
    array = checked = finite(array, dtype, name)
    if not isinstance(array, np.ndarray):
        low, high = (0, n_outputs - 1) if sparse else loss.target_range
        if array.is_within(low, high, whole=sparse):
            return array
        checked = array.to_host()  # says which one it is
    if sparse:
        check_class_numbers(checked[:, 0], n_outputs, name)
    else:
        _check_range(checked, loss, name)
    return array


def _check_range(targets: np.ndarray, loss: Loss, name: str) -> None:
    """Check that every target lies where the loss is defined."""
    low, high = loss.target_range
    if targets.min() < low or targets.max() > high:
        row, column = np.argwhere((targets < low) | (targets > high))[0]
        allowed = f"values >= {low:g}" if high == math.inf else f"values from {low:g} to {high:g}"
        raise ValueError(
            f"{name} holds {targets[row, column]:g} in row {row}, column {column}, but {loss.name} takes {allowed}"
        )


def _layout_hint(y: np.ndarray, sparse: bool, n_outputs: int) -> str:
    if sparse and y.ndim == 2 and y.shape[1] == n_outputs:
        return "; for one-hot targets use the loss 'categorical_crossentropy'"
    if not sparse and y.size == y.shape[0] and n_outputs > 1:
        return (
            "; for class numbers use the loss 'sparse_categorical_crossentropy', "
            f"or fastnn.utils.to_categorical(y, {n_outputs})"
        )
    return ""


def check_class_numbers(labels: np.ndarray, n_classes: int, name: str) -> None:
    """Check that labels of shape (n,) are whole and in [0, n_classes).

    Raises
    ------
    ValueError
        With the first row that is not.
    """
    wrong = ~((labels >= 0) & (labels < n_classes) & (labels == np.floor(labels)))
    if wrong.any():
        row = int(np.argmax(wrong))
        raise ValueError(
            f"{name} holds {labels[row]:g} in row {row}, but class numbers must be whole, >= 0 and < {n_classes} "
            f"(the number of classes)"
        )


def samples(
    x: Any,
    y: Any,
    sample_weight: Any,
    row_shape: tuple[int, ...],
    n_outputs: int,
    loss: Loss,
    dtype: Any,
    source: str = "",
    device: str = "cpu",
) -> Samples:
    """Return inputs, targets and the weights of their rows; `source` stands behind their names in messages.

    Arrays on a GPU stay there if `device`, where the model computes, is "cuda".

    Raises
    ------
    TypeError, ValueError
        As `inputs` and `targets`, or if the weights are not one finite number a row.
    """
    rows = inputs(x, row_shape, dtype, f"x{source}", device)
    labels = targets(y, len(rows), n_outputs, loss, dtype, f"y{source}", device)
    if sample_weight is None:
        return Samples(rows, labels, None)
    name = f"sample_weight{source}"
    weights = to_array(sample_weight, name, device)
    if weights.shape not in ((len(rows),), (len(rows), 1)):
        raise ValueError(f"{name} must have the shape ({len(rows)},), one weight per row; got {weights.shape}")
    checked = finite(_as_rows(weights), dtype, name)
    return Samples(rows, labels, checked.reshape(-1) if isinstance(checked, np.ndarray) else checked)


def weigh_classes(rows: Samples, class_weight: Any, loss: Loss | None = None) -> Samples:
    """Return the samples with their weights multiplied by those of their classes.

    Parameters
    ----------
    rows : Samples
    class_weight : dict of int to float
        One weight for every class that occurs.
    loss : Loss, optional
        Says what the targets are.

    Raises
    ------
    TypeError, ValueError
        If it is no dict, or a weight is missing or no number >= 0, or a row does not belong to one class.
    """
    if not hasattr(class_weight, "items"):
        raise TypeError(f"class_weight must be a dict such as {{0: 1.0, 1: 2.0}}; got {class_weight!r}")
    try:
        classes = [int(key) for key in class_weight]
        whole = not any(isinstance(key, (float, np.floating)) and key % 1 for key in class_weight)
    except (TypeError, ValueError, OverflowError):
        whole = False
    if not whole:
        raise TypeError(f"the keys of class_weight must be integers, the classes; got {list(class_weight)}")
    values = (checks.number(f"class_weight[{key!r}]", value, 0.0) for key, value in class_weight.items())
    table = dict(zip(classes, values, strict=True))
    y, given = (on_host(array, name, "cuda") for array, name in ((rows.y, "y"), (rows.weights, "sample_weight")))
    present, positions = np.unique(meaning.class_numbers(y, loss), return_inverse=True)
    missing = [int(label) for label in present if int(label) not in table]
    if missing:
        raise ValueError(f"class_weight has no weight for the classes {missing} that occur in y")
    weights = np.array([table[int(label)] for label in present], y.dtype)[positions]
    return Samples(rows.x, rows.y, weights if given is None else weights * given.reshape(-1))


def split(rows: Samples, validation_split: float) -> tuple[Samples, Samples]:
    """Return the first samples for training and the last fraction, before any shuffling, for validation.

    Raises
    ------
    ValueError
        If one of the two would be empty.
    """
    n = len(rows)
    at = math.floor(n * (1.0 - validation_split))
    if at in (0, n):
        raise ValueError(f"validation_split={validation_split} of {n} rows leaves one side without rows")
    return rows[:at], rows[at:]
