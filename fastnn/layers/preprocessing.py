"""Layers that prepare the input: they stand before all layers that compute."""

import math
from typing import Any, ClassVar

import numpy as np

from fastnn import initializers
from fastnn.common import checks
from fastnn.common.arithmetic import heedless
from fastnn.layers.base import Layer
from fastnn.layers.shapes import Shape, column_axis, flat


class Normalization(Layer):
    """Standardizes inputs by the mean and variance of every column of given data.

    ``(x - mean) / max(sqrt(variance), 1e-7)``, in training and prediction.

    Parameters
    ----------
    axis : int, default=-1
        The columns, -1 or 1.
    mean, variance : float or array-like of shape (inputs,), optional
        Both or none; without them, they are 0 and 1 until `adapt`.
    name, input_shape, input_dim
        As in `Layer`.

    Raises
    ------
    ValueError
        If only one of mean and variance is given, or one is not finite, or a variance is negative.

    Notes
    -----
    Input and output shape (None, inputs). The weights are mean and variance, each (inputs,), which are not trained. It
    stands before all layers that compute. The behavior is that of Keras.

    Examples
    --------
    >>> from fastnn import Dense, Normalization, Sequential
    >>> normalization = Normalization()
    >>> normalization.adapt([[1.0, 10.0], [3.0, 30.0]])
    >>> model = Sequential([normalization, Dense(1)])
    """

    kind = "normalization"
    statistics: ClassVar[tuple[str, ...]] = ("mean", "variance")

    def __init__(
        self,
        axis: int = -1,
        mean: Any = None,
        variance: Any = None,
        *,
        name: str | None = None,
        input_shape: Any = None,
        input_dim: int | None = None,
    ) -> None:
        super().__init__(name=name, input_shape=input_shape, input_dim=input_dim)
        self.axis = column_axis(axis)
        if (mean is None) != (variance is None):
            raise ValueError("give both mean and variance, or none of them and call adapt(data)")
        self._given = {"mean": _statistic("mean", mean, -math.inf), "variance": _statistic("variance", variance, 0.0)}

    @heedless
    def adapt(self, data: Any, batch_size: int | None = None, steps: int | None = None) -> None:
        """Take mean and variance of every column of data (n, inputs); what was before is forgotten.

        `batch_size` and `steps` are accepted as in Keras and change nothing.

        Raises
        ------
        ValueError
            If the data are no finite numbers of that shape.
        """
        rows = np.asarray(data, np.float64)
        if rows.ndim != 2 or 0 in rows.shape or not np.isfinite(rows).all():
            raise ValueError(f"adapt takes finite numbers of shape (n, inputs); got an array of shape {rows.shape}")
        if self.input_shape is None:
            shape = (None, rows.shape[1])
            self.build(shape, "float64")
            self.declared_shape = self.declared_shape or shape
        self.set_weights([rows.mean(axis=0), rows.var(axis=0)])

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        for name, value in self._given.items():
            if value is not None and value.ndim and value.shape != (input_shape[-1],):
                raise ValueError(
                    f"the {name} of the layer {self.name!r} has the shape {value.shape}; its input has {input_shape}"
                )
        return flat(self.name, input_shape)

    def _shapes_of_weights(self, input_shape: Shape) -> dict[str, tuple[int, ...]]:
        return dict.fromkeys(self.statistics, (int(input_shape[1] or 0),))

    def _initializer(self, weight: str) -> Any:
        given = self._given[weight]
        if given is None:
            return initializers.get("zeros" if weight == "mean" else "ones")
        return heedless(lambda shape, dtype: np.broadcast_to(given, shape).astype(dtype))

    def get_config(self) -> dict[str, Any]:
        given = {name: None if value is None else value.tolist() for name, value in self._given.items()}
        return {"name": self.name, "axis": self.axis, **given}


def _statistic(name: str, value: Any, low: float) -> np.ndarray | None:
    if value is None:
        return None
    array = np.asarray(value, np.float64)
    if array.ndim > 1 or not (np.isfinite(array) & (array >= low)).all():
        raise ValueError(f"{name} must be one finite number >= {low:g} or one for each input; got {value!r}")
    return array


class Rescaling(Layer):
    """Turns inputs into ``inputs * scale + offset``, while they are read: pixels need no copy in floats.

    Parameters
    ----------
    scale : float
        ``Rescaling(1 / 255)`` brings bytes to [0, 1].
    offset : float, default=0.0
    name, input_shape, input_dim
        As in `Layer`.

    Notes
    -----
    It stands before all layers that compute.
    """

    kind = "rescaling"

    def __init__(
        self,
        scale: float,
        offset: float = 0.0,
        *,
        name: str | None = None,
        input_shape: Any = None,
        input_dim: int | None = None,
    ) -> None:
        super().__init__(name=name, input_shape=input_shape, input_dim=input_dim)
        self.scale = checks.number("scale", scale, -math.inf, above=True)
        self.offset = checks.number("offset", offset, -math.inf, above=True)

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name, "scale": self.scale, "offset": self.offset}
