"""The layers that most networks are made of."""

from typing import Any

from fastnn import activations, initializers, regularizers
from fastnn.common import checks
from fastnn.layers.base import Layer
from fastnn.layers.shapes import MOST_SIZE, Shape, flat, row_shape
from fastnn.layers.weighted import Weighted


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


class Dense(Weighted):
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
    Input shape (None, inputs), output shape (None, units). The weights are the kernel (inputs, units) and the bias
    (units,).
    """

    kind = "dense"
    kernel_initializer: initializers.Initializer
    kernel_regularizer: regularizers.L2 | None

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
        self._take(
            activation,
            use_bias,
            bias_initializer,
            kernel_initializer=kernel_initializer,
            kernel_regularizer=kernel_regularizer,
        )

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        flat(self.name, input_shape)
        return (None, self.units)

    def _shapes_of_kernels(self, inputs: int, outputs: int) -> dict[str, tuple[int, ...]]:
        return {"kernel": (inputs, outputs)}

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name, "units": self.units, **self._weights_config()}


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
