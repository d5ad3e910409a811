"""Layers that normalize: declarations, as in ``layers/``."""

import math
from typing import Any, ClassVar

import numpy as np

from fastnn import initializers
from fastnn.common import checks
from fastnn.common.arithmetic import heedless
from fastnn.common.identifiers import serialize
from fastnn.layers.base import Layer, Shape


def _columns(axis: int) -> int:
    if axis not in (-1, 1):
        raise ValueError(f"axis must be -1 or 1, the columns of flat rows; got {axis!r}")
    return -1


def _flat(layer: Layer, input_shape: Shape) -> Shape:
    if len(input_shape) != 2:
        raise ValueError(
            f"the layer {layer.name!r} takes flat rows, shape (None, inputs); its input has the shape "
            f"{input_shape}: put a Flatten() layer before it"
        )
    return input_shape


class _Normalization(Layer):
    """What normalizations have in common: factors gamma and summands beta for every column."""

    def __init__(
        self,
        axis: int,
        epsilon: float,
        center: bool,
        scale: bool,
        beta_initializer: Any,
        gamma_initializer: Any,
        name: str | None,
        input_shape: Any,
        input_dim: int | None,
    ) -> None:
        super().__init__(name=name, input_shape=input_shape, input_dim=input_dim)
        self.axis = _columns(axis)
        self.epsilon = checks.number("epsilon", epsilon, 0.0, above=True)
        self.center, self.scale = bool(center), bool(scale)
        self.beta_initializer = initializers.get(beta_initializer)
        self.gamma_initializer = initializers.get(gamma_initializer)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return _flat(self, input_shape)

    def _shapes_of_weights(self, input_shape: Shape) -> dict[str, tuple[int, ...]]:
        names = ["gamma"] * self.scale + ["beta"] * self.center + list(self.statistics)
        return dict.fromkeys(names, (int(input_shape[1] or 0),))

    def _initializer(self, weight: str) -> initializers.Initializer:
        return getattr(self, f"{weight}_initializer")

    def _weight(self, name: str) -> np.ndarray | None:
        return self.get_weights()[list(self.weight_shapes).index(name)] if name in self.weight_shapes else None

    @property
    def gamma(self) -> np.ndarray | None:
        """Copy of the factors, shape (inputs,); None without them or before the layer is built."""
        return self._weight("gamma")

    @property
    def beta(self) -> np.ndarray | None:
        """Copy of the summands, shape (inputs,); None without them or before the layer is built."""
        return self._weight("beta")

    def get_config(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "axis": self.axis,
            "epsilon": self.epsilon,
            "center": self.center,
            "scale": self.scale,
            "beta_initializer": serialize(self.beta_initializer),
            "gamma_initializer": serialize(self.gamma_initializer),
        }


class BatchNormalization(_Normalization):
    """Normalizes every column to mean 0 and variance 1 over the rows of a batch (Ioffe and Szegedy, 2015).

    In training ``gamma * (x - mean) / sqrt(variance + epsilon) + beta`` with mean and variance of the batch. In
    predictions, evaluation and validation they are moving averages of those of the batches in training.

    Parameters
    ----------
    axis : int, default=-1
        The columns, -1 or 1.
    momentum : float, default=0.99
        Share that the moving averages keep in a step, in [0, 1).
    epsilon : float, default=1e-3
        Added to the variance, > 0.
    center : bool, default=True
        Whether there is a beta.
    scale : bool, default=True
        Whether there is a gamma. It may be left out where the next layer is Dense.
    beta_initializer : str or Initializer, default="zeros"
    gamma_initializer : str or Initializer, default="ones"
    moving_mean_initializer : str or Initializer, default="zeros"
    moving_variance_initializer : str or Initializer, default="ones"
    name, input_shape, input_dim
        As in `Layer`.

    Raises
    ------
    TypeError, ValueError
        For an argument of the wrong type or outside its range.

    Notes
    -----
    Input and output shape (None, inputs). The weights are gamma, beta, moving_mean and moving_variance, each
    (inputs,); the last two are not trained. As in Keras, the variance is that of the batch as it is, without Bessel's
    correction (PyTorch's moving variance has it, and PyTorch's momentum is 1 - momentum), and weights of rows have no
    part in mean and variance. A batch of one row gives beta. Gamma and beta are in no weight penalty.

    References
    ----------
    Ioffe and Szegedy, "Batch Normalization", ICML 2015, https://arxiv.org/abs/1502.03167; arguments, weights and
    behaviour are those of Keras.

    Examples
    --------
    >>> from fastnn import Activation, BatchNormalization, Dense, Sequential
    >>> model = Sequential([Dense(16, input_shape=(8,)), BatchNormalization(), Activation("relu"), Dense(1)])
    """

    kind = "batch_normalization"
    statistics: ClassVar[tuple[str, ...]] = ("moving_mean", "moving_variance")

    def __init__(
        self,
        axis: int = -1,
        momentum: float = 0.99,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        moving_mean_initializer: Any = "zeros",
        moving_variance_initializer: Any = "ones",
        *,
        name: str | None = None,
        input_shape: Any = None,
        input_dim: int | None = None,
    ) -> None:
        super().__init__(
            axis, epsilon, center, scale, beta_initializer, gamma_initializer, name, input_shape, input_dim
        )
        self.momentum = checks.number("momentum", momentum, 0.0, 1.0)
        self.moving_mean_initializer = initializers.get(moving_mean_initializer)
        self.moving_variance_initializer = initializers.get(moving_variance_initializer)

    @property
    def moving_mean(self) -> np.ndarray | None:
        """Copy of the moving means, shape (inputs,); None before the layer is built."""
        return self._weight("moving_mean")

    @property
    def moving_variance(self) -> np.ndarray | None:
        """Copy of the moving variances, shape (inputs,); None before the layer is built."""
        return self._weight("moving_variance")

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {
            "momentum": self.momentum,
            "moving_mean_initializer": serialize(self.moving_mean_initializer),
            "moving_variance_initializer": serialize(self.moving_variance_initializer),
        }


class LayerNormalization(_Normalization):
    """Normalizes every row to mean 0 and variance 1 over its columns (Ba, Kiros and Hinton, 2016).

    ``gamma * (x - mean) / sqrt(variance + epsilon) + beta`` with mean and variance of the row; training and prediction
    do the same.

    Parameters
    ----------
    axis : int, default=-1
        The columns, -1 or 1.
    epsilon : float, default=1e-3
        Added to the variance, > 0. (PyTorch's default is 1e-5.)
    center : bool, default=True
        Whether there is a beta.
    scale : bool, default=True
        Whether there is a gamma.
    beta_initializer : str or Initializer, default="zeros"
    gamma_initializer : str or Initializer, default="ones"
    name, input_shape, input_dim
        As in `Layer`.

    Raises
    ------
    TypeError, ValueError
        For an argument of the wrong type or outside its range.

    Notes
    -----
    Input and output shape (None, inputs). The weights are gamma and beta, each (inputs,). They are in no weight
    penalty. Rows of one column become beta.

    References
    ----------
    Ba, Kiros and Hinton, "Layer Normalization", 2016, https://arxiv.org/abs/1607.06450; arguments and weights are
    those of Keras.
    """

    kind = "layer_normalization"

    def __init__(
        self,
        axis: int = -1,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        *,
        name: str | None = None,
        input_shape: Any = None,
        input_dim: int | None = None,
    ) -> None:
        super().__init__(
            axis, epsilon, center, scale, beta_initializer, gamma_initializer, name, input_shape, input_dim
        )


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
    stands before all layers that compute. The behaviour is that of Keras.

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
        self.axis = _columns(axis)
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
        return _flat(self, input_shape)

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
