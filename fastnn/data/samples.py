"""What users pass as x, y and sample weights becomes checked, C-contiguous matrices of one dtype, converted once."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastnn.common import checks
from fastnn.data import meaning
from fastnn.data.arrays import check_class_numbers, finite, to_array
from fastnn.data.placement import on_host
from fastnn.losses import Loss


@dataclass(frozen=True, slots=True)
class Samples:
    """Rows to train on, to hold out or to judge; any of their arrays may lie on a GPU.

    Attributes
    ----------
    x : (n, inputs), an array or compressed sparse rows
    y : (n, columns), targets as the loss takes them
    sample_weights : (n,), what each row counts in the loss, or None
    """

    x: Any
    y: Any
    sample_weights: Any = None

    def __len__(self) -> int:
        return self.x.shape[0]  # sparse rows have no len()

    def __getitem__(self, rows: slice | np.ndarray) -> "Samples":
        return Samples(self.x[rows], self.y[rows], None if self.sample_weights is None else self.sample_weights[rows])


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
        return finite(x, dtype, name, check)  # quick, for single rows
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
        r, column = np.argwhere((targets < low) | (targets > high))[0]
        allowed = f"values >= {low:g}" if high == math.inf else f"values from {low:g} to {high:g}"
        raise ValueError(
            f"{name} holds {targets[r, column]:g} in row {r}, column {column}, but {loss.name} takes {allowed}"
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


def checked_samples(
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
    """Return inputs, targets and sample weights; `source` stands behind their names in messages.

    Arrays on a GPU stay there if `device`, where the model computes, is "cuda".

    Raises
    ------
    TypeError, ValueError
        As `inputs` and `targets`, or if the weights are not one finite number a row.
    """
    rows = inputs(x, row_shape, dtype, f"x{source}", device)
    labels = targets(y, len(rows), n_outputs, loss, dtype, f"y{source}", device)
    if sample_weight is None:
        return Samples(rows, labels)
    name = f"sample_weight{source}"
    sample_weights = to_array(sample_weight, name, device)
    if sample_weights.shape not in ((len(rows),), (len(rows), 1)):
        raise ValueError(f"{name} must have the shape ({len(rows)},), one weight per row; got {sample_weights.shape}")
    checked = finite(_as_rows(sample_weights), dtype, name)
    return Samples(rows, labels, checked.reshape(-1) if isinstance(checked, np.ndarray) else checked)


def weigh_classes(samples: Samples, class_weight: Any, loss: Loss | None = None) -> Samples:
    """Return the samples with their weights multiplied by those of their classes.

    Parameters
    ----------
    samples : Samples
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
    y, given = on_host(samples.y, "y", "cuda"), on_host(samples.sample_weights, "sample_weight", "cuda")
    present, positions = np.unique(meaning.class_numbers(y, loss), return_inverse=True)
    missing = [int(label) for label in present if int(label) not in table]
    if missing:
        raise ValueError(f"class_weight has no weight for the classes {missing} that occur in y")
    of_classes = np.array([table[int(label)] for label in present], y.dtype)[positions]
    return Samples(samples.x, samples.y, of_classes if given is None else of_classes * given.reshape(-1))


def split(samples: Samples, validation_split: float) -> tuple[Samples, Samples]:
    """Return the first samples for training and the last fraction, before any shuffling, for validation.

    Raises
    ------
    ValueError
        If one of the two would be empty.
    """
    n = len(samples)
    at = math.floor(n * (1.0 - validation_split))
    if at in (0, n):
        raise ValueError(f"validation_split={validation_split} of {n} rows leaves one side without rows")
    return samples[:at], samples[at:]
