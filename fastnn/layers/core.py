"""The layers that most networks are made of."""

from typing import Any

import numpy as np

from fastnn import activations, initializers, regularizers
from fastnn.common import checks
from fastnn.common.identifiers import serialize
from fastnn.layers.base import Layer
from fastnn.layers.shapes import MOST_SIZE, Shape, flat, row_shape


class Input(Layer):
    """Says the shape of one row of the input; stands first in a model and computes nothing.

    Parameters
    ----------
    shape : tuple of int
        Shape of one row, such as (8,) or (28, 28).
    name : str, optional
    """

    kind = "input"

    def __init__(self, shape: Any, *, name: str | None = None) -> None:
        super().__init__(name=name, input_shape=shape)
        self._shape = row_shape(shape)

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name, "shape": list(self._shape)}


class Dense(Layer):
    """Fully connected layer: ``activation(x @ kernel + bias)``.

    Parameters
    ----------
    units : int
        Number of outputs, >= 1.
    activation : str or Activation, optional
        Default none (linear).
    use_bias : bool, default=True
    kernel_initializer : str or Initializer, default="glorot_uniform"
    bias_initializer : str or Initializer, default="zeros"
    kernel_regularizer : str or L2, optional
        Penalty on the kernel, added to the loss.
    name, input_shape, input_dim
        As in `Layer`.

    Notes
    -----
    Input shape (None, inputs), output shape (None, units).
    """

    kind = "dense"

    def __init__(
        self,
        units: int,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        *,
        name: str | None = None,
        input_shape: Any = None,
        input_dim: int | None = None,
    ) -> None:
        super().__init__(name=name, input_shape=input_shape, input_dim=input_dim)
        self.units = checks.integer("units", units, 1, MOST_SIZE)
        self.activation = activations.get(activation)
        self.use_bias = bool(use_bias)
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        flat(self.name, input_shape)
        return (None, self.units)

    def _shapes_of_weights(self, input_shape: Shape) -> dict[str, tuple[int, ...]]:
        kernel: dict[str, tuple[int, ...]] = {"kernel": (int(input_shape[1] or 0), self.units)}
        return kernel | {"bias": (self.units,)} if self.use_bias else kernel

    def _initializer(self, weight: str) -> initializers.Initializer:
        return self.kernel_initializer if weight == "kernel" else self.bias_initializer

    @property
    def kernel(self) -> np.ndarray:
        """Copy of the kernel, shape (inputs, units)."""
        return self._weight("kernel")

    @property
    def bias(self) -> np.ndarray | None:
        """Copy of the bias, shape (units,); None without one."""
        return self._weight("bias") if self.use_bias else None

    def _weight(self, name: str) -> np.ndarray:
        if name not in self.weight_shapes:
            raise AttributeError(f"the layer {self.name!r} has no {name} yet: its input shape is not known")
        return self.get_weights()[list(self.weight_shapes).index(name)]

    def get_config(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "units": self.units,
            "activation": activations.serialize(self.activation),
            "use_bias": self.use_bias,
            "kernel_initializer": serialize(self.kernel_initializer),
            "bias_initializer": serialize(self.bias_initializer),
            "kernel_regularizer": self.kernel_regularizer and serialize(self.kernel_regularizer),
        }


class Activation(Layer):
    """Applies an activation function.

    Parameters
    ----------
    activation : str or Activation
    name, input_shape, input_dim
        As in `Layer`.
    """

    kind = "activation"

    def __init__(
        self,
        activation: Any,
        *,
        name: str | None = None,
        input_shape: Any = None,
        input_dim: int | None = None,
    ) -> None:
        super().__init__(name=name, input_shape=input_shape, input_dim=input_dim)
        self.activation = activations.get(activation)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        if self.activation.name == "softmax" and len(input_shape) != 2:
            raise ValueError(f"softmax takes flat rows; the input of {self.name!r} has the shape {input_shape}")
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name, "activation": activations.serialize(self.activation)}
