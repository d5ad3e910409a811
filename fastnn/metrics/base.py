"""What all metrics share: their names, kernels and parameters, and values on arrays."""

from typing import Any, ClassVar

import numpy as np

from fastnn.common import checks
from fastnn.common.arithmetic import heedless
from fastnn.common.attributes import Unchangeable
from fastnn.common.declarations import Declared
from fastnn.losses.base import as_rows
from fastnn.losses.regression import metric_factors


class Metric(Unchangeable, Declared):
    """A number about predictions, averaged over rows and not weighted, as in Keras; callable on arrays.

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

    kernel: ClassVar[str]  # one of fastnn.kernels.codes.METRICS
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

    def finish(self, mean: float) -> float:
        """Turn the mean over all rows into the value that is reported."""
        return mean

    @heedless
    def __call__(self, y_true: Any, y_pred: Any) -> float:
        """Return the metric of predictions of shape (rows, outputs)."""
        from fastnn.kernels import reference

        n_outputs = np.shape(y_pred)[1] if np.ndim(y_pred) > 1 else 1
        sparse = n_outputs > 1 and np.size(y_true) == len(y_true)
        rows = as_rows(y_true, y_pred, 1 if sparse else n_outputs)
        kernel = self.resolve(n_outputs, sparse)
        return self.finish(float(reference.metric(kernel, *rows, **self.parameters()).mean()))

    def get_config(self) -> dict[str, Any]:
        """Return arguments that make an equal object."""
        return {"name": self.name}
