"""Layers that normalize: each column or channel over a batch, or each row or pixel over its columns or channels."""

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from fastnn import initializers
from fastnn.common import checks
from fastnn.common.identifiers import serialize
from fastnn.layers.base import Layer
from fastnn.layers.shapes import Shape, last_axis


class _Normalization(Layer):
    """What normalizations have in common: factors gamma and summands beta for every column or channel."""

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
        if isinstance(axis, Sequence) and len(axis) == 1:
            axis = axis[0]
        self.axis = checks.integer("axis", axis, -1)
        self.epsilon = checks.number("epsilon", epsilon, 0.0, above=True)
        self.center, self.scale = bool(center), bool(scale)
        self.beta_initializer = initializers.get(beta_initializer)
        self.gamma_initializer = initializers.get(gamma_initializer)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        last_axis(self.name, self.axis, input_shape)
        return input_shape

    def _shapes_of_weights(self, input_shape: Shape) -> dict[str, tuple[int, ...]]:
        names = ["gamma"] * self.scale + ["beta"] * self.center + list(self.statistics)
        return dict.fromkeys(names, (last_axis(self.name, self.axis, input_shape),))

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
        The columns of flat rows, -1 or 1, or the channels of pictures, -1 or 3.
    momentum : float, default=0.99
        Fraction that the moving averages keep in a step, in [0, 1).
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
    Input and output shape (None, inputs), or (None, height, width, inputs), whose channels are normalized over all
    pixels of a batch. The weights are gamma, beta, moving_mean and moving_variance, each (inputs,); the last two are
    not trained. As in Keras, the variance is that of the batch as it is, without Bessel's
    correction (PyTorch's moving variance has it, and PyTorch's momentum is 1 - momentum), and sample weights have no
    part in mean and variance. A batch of one row gives beta. Gamma and beta are in no weight penalty.

    References
    ----------
    Ioffe and Szegedy, "Batch Normalization", ICML 2015, https://arxiv.org/abs/1502.03167; arguments, weights and
    behavior are those of Keras.

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
        The columns of flat rows, -1 or 1, or the channels of pictures, -1 or 3.
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
    Input and output shape (None, inputs), or (None, height, width, inputs), each of whose pixels is normalized by
    itself. The weights are gamma and beta, each (inputs,). They are in no weight penalty. Rows of one column become
    beta.

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
