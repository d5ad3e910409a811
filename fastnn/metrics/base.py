"""What all metrics share: their names, what is added up for them, and values on arrays."""

from typing import Any, ClassVar, NamedTuple

import numpy as np

from fastnn.common import checks
from fastnn.common.arithmetic import heedless
from fastnn.common.attributes import Unchangeable
from fastnn.common.declarations import Declared
from fastnn.losses.base import as_rows
from fastnn.losses.regression import metric_factors


class Sums(NamedTuple):
    """Columns of sums over the rows that one kernel adds up for a metric.

    Attributes
    ----------
    kernel : str
        One of ``codes.LOSSES``, or of the table in ``kernels/operations/metrics.py``.
    factors : ndarray
        Its parameters as the kernels take them, see ``Loss.factors``.
    parameters : dict
        Its parameters by name, as ``kernels/reference`` takes them.
    width : int
        Columns that it writes for each row.
    """

    kernel: str
    factors: np.ndarray
    parameters: dict[str, Any]
    width: int = 1


class Metric(Unchangeable, Declared):
    """A number about predictions, made of means over rows that are not weighted, as in Keras; callable on arrays.

    It sees what the model puts out: beside a loss with ``from_logits=True``, logits.

    Parameters
    ----------
    name : str, optional
        Key in logs and history.
    dtype : None
        As in Keras; metrics are computed in the dtype of the model, so only None is taken.

    Attributes
    ----------
    direction : {"min", "max"}
        Whether smaller or larger values are better.
    """

    kernel: ClassVar[str]  # of a metric that is a mean itself, see `Sums`
    direction: ClassVar[str] = "min"

    def __init__(self, name: str | None = None, dtype: None = None) -> None:
        if dtype is not None:
            raise ValueError(f"metrics are computed in the dtype of the model: leave out dtype={dtype!r}")
        self.name = self.kernel if name in (None, "") else name

    @property
    def name(self) -> str:
        """Key in logs and history."""
        return vars(self)["name"]

    @name.setter
    def name(self, value: str) -> None:
        vars(self)["name"] = checks.text("name", value)

    @classmethod
    def _guards(cls, name: str) -> bool:
        return name != "name" and super()._guards(name)

    def resolve(self, n_outputs: int, sparse: bool) -> str:
        """Return the kernel for a model of `n_outputs` outputs whose targets are class numbers (`sparse`) or not.

        Raises
        ------
        ValueError
            If the metric needs the other kind of targets.
        """
        if sparse != self.kernel.startswith("sparse"):
            needed, given = ("class numbers", "one column per output")
            if sparse:
                needed, given = given, needed
            raise ValueError(f"the metric {self.name!r} needs targets as {needed}, but the loss takes {given}")
        return self.kernel

    def factors(self, n_outputs: int) -> np.ndarray:
        """Return the parameters as the kernels take them, see ``Loss.factors``."""
        return metric_factors(n_outputs)

    def parameters(self) -> dict[str, Any]:
        """Return what is computed with by name."""
        return {}

    def sums(self, n_outputs: int, sparse: bool) -> tuple[Sums, ...]:
        """Return what is added up over the rows; the arguments and errors are those of `resolve`."""
        return (Sums(self.resolve(n_outputs, sparse), self.factors(n_outputs), self.parameters()),)

    def result(self, means: np.ndarray) -> float:
        """Return the value that is reported, made of the means over all rows of the columns of `sums`."""
        return self.finish(float(means[0]))

    def finish(self, mean: float) -> float:
        """Turn the mean over all rows into the value that is reported, of a metric of one column."""
        return mean

    @heedless
    def __call__(self, y_true: Any, y_pred: Any) -> float:
        """Return the metric of predictions of shape (rows, outputs)."""
        from fastnn.kernels import reference

        n_outputs = np.shape(y_pred)[1] if np.ndim(y_pred) > 1 else 1
        sparse = n_outputs > 1 and np.size(y_true) == len(y_true)
        rows = as_rows(y_true, y_pred, 1 if sparse else n_outputs)
        sums = self.sums(n_outputs, sparse)
        columns = (np.atleast_2d(reference.metric(each.kernel, *rows, **each.parameters).T) for each in sums)
        return self.result(np.array([column.mean() for own in columns for column in own]))

    def get_config(self) -> dict[str, Any]:
        """Return arguments that make an equal object."""
        return {"name": self.name}
