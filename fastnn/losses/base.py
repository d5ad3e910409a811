"""What all losses share: how labels are to be given, values on arrays, and parameters in the form of the kernels."""

import math
from typing import Any, ClassVar

import numpy as np

from fastnn.common.arithmetic import heedless
from fastnn.common.attributes import Unchangeable
from fastnn.common.declarations import Declared

FROM_LOGITS = "_from_logits"  # behind the name of a loss that takes logits


class Loss(Unchangeable, Declared):
    """What training makes small; callable on arrays.

    A loss averages over the rows of a batch. Losses of single outputs average over the outputs of a row first; the
    categorical ones sum over its classes.
    """

    name: ClassVar[str]
    target_range: ClassVar[tuple[float, float]] = (-math.inf, math.inf)
    activation: ClassVar[str] = ""  # the last one, where the loss includes it and is computed of logits
    from_logits = False
    label_smoothing = 0.0

    def __init__(self) -> None:
        """Take no argument; losses with parameters have a constructor of their own."""

    @heedless
    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> float:
        """Return the mean loss of predictions of shape (rows, outputs), each row times its weight."""
        rows = self.rows(y_true, y_pred)
        return float(np.mean(rows if sample_weight is None else rows * np.asarray(sample_weight, np.float64)))

    @heedless
    def rows(self, y_true: Any, y_pred: Any) -> np.ndarray:
        """Return the loss of each row, shape (rows,)."""
        from fastnn.kernels import reference

        name = self.name + FROM_LOGITS * self.from_logits
        width = self.target_width(np.shape(y_pred)[1] if np.ndim(y_pred) > 1 else 1)
        return reference.loss(name, *as_rows(y_true, y_pred, width), **self.parameters())

    @property
    def sparse(self) -> bool:
        """Whether targets are class numbers."""
        return self.name.startswith("sparse")

    def target_width(self, n_outputs: int) -> int:
        """Return the columns that targets have for a network of `n_outputs` outputs.

        Raises
        ------
        ValueError
            If the loss does not go with so many outputs.
        """
        return 1 if self.sparse else n_outputs

    def factors(self, n_outputs: int) -> np.ndarray:
        """Return the parameters as the kernels take them: ``codes.LOSS_COLUMNS``, then a number for each output."""
        from fastnn.kernels import codes

        row = np.zeros(codes.PER_OUTPUT + n_outputs)
        classes = n_outputs if "categorical" in self.name else 2
        row[codes.KEPT], row[codes.SPREAD] = 1.0 - self.label_smoothing, self.label_smoothing / classes
        row[codes.REPEATS], row[codes.LIMIT] = n_outputs // self.target_width(n_outputs), math.inf
        return row

    def parameters(self) -> dict[str, Any]:
        """Return the parameters by name, without `from_logits`."""
        return {key: value for key, value in self.get_config().items() if key != "from_logits"}

    def get_config(self) -> dict[str, Any]:
        """Return arguments that make an equal object."""
        return {}


def as_rows(y_true: Any, y_pred: Any, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Return targets and predictions as float64 matrices with one row per sample.

    Raises
    ------
    ValueError
        If the targets do not have the rows of the predictions and `width` columns.
    """
    truth, predicted = (np.asarray(y, np.float64) for y in (y_true, y_pred))
    rows = [y.reshape(-1, 1) if y.ndim < 2 else y for y in (truth, predicted)]
    expected = (len(rows[1]), width)
    if rows[0].shape != expected:
        raise ValueError(f"y_true has the shape {truth.shape}, but y_pred of shape {predicted.shape} needs {expected}")
    return rows[0], rows[1]
