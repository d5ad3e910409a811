"""What layers with kernels have in common: Dense and convolutions."""

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from fastnn import activations, initializers, regularizers
from fastnn.common.identifiers import serialize
from fastnn.layers.base import Layer
from fastnn.layers.shapes import Shape


class Weighted(Layer):
    """Base of layers with kernels, a bias and an activation: ``activation(product of x and kernels + bias)``."""

    kernels: ClassVar[Mapping[str, str]] = {"kernel": "kernel"}  # weights, and what their arguments' names begin with
    activation: activations.Activation
    use_bias: bool
    bias_initializer: initializers.Initializer

    def _take(self, activation: Any, use_bias: Any, bias_initializer: Any, **of_kernels: Any) -> None:
        """Take the arguments that all have, and initializers and regularizers of the kernels."""
        self.activation = activations.get(activation)
        self.use_bias = bool(use_bias)
        self.bias_initializer = initializers.get(bias_initializer)
        for name, value in of_kernels.items():
            setattr(self, name, (regularizers if name.endswith("regularizer") else initializers).get(value))

    def _shapes_of_weights(self, input_shape: Shape) -> dict[str, tuple[int, ...]]:
        outputs = int(self.compute_output_shape(input_shape)[-1] or 0)
        shapes = self._shapes_of_kernels(int(input_shape[-1] or 0), outputs)
        return shapes | {"bias": (outputs,)} if self.use_bias else shapes

    def _shapes_of_kernels(self, inputs: int, outputs: int) -> dict[str, tuple[int, ...]]:
        raise NotImplementedError

    def _initializer(self, weight: str) -> initializers.Initializer:
        return getattr(self, f"{self.kernels.get(weight, weight)}_initializer")

    @property
    def kernel(self) -> np.ndarray:
        """Copy of the kernel."""
        return self._weight("kernel")

    @property
    def bias(self) -> np.ndarray | None:
        """Copy of the bias, one number for each column or channel of the output; None without one."""
        return self._weight("bias") if self.use_bias else None

    def _weight(self, name: str) -> np.ndarray:
        if name not in self.weight_shapes:
            has = f": it has {', '.join(self.weight_shapes)}" if self.built else " yet: its input shape is not known"
            raise AttributeError(f"the layer {self.name!r} has no {name}{has}")
        return self.get_weights()[list(self.weight_shapes).index(name)]

    def _weights_config(self) -> dict[str, Any]:
        starts = self.kernels.values()
        regularized = {f"{start}_regularizer": getattr(self, f"{start}_regularizer") for start in starts}
        return {
            "activation": activations.serialize(self.activation),
            "use_bias": self.use_bias,
            **{f"{start}_initializer": serialize(getattr(self, f"{start}_initializer")) for start in starts},
            "bias_initializer": serialize(self.bias_initializer),
            **{name: penalty and serialize(penalty) for name, penalty in regularized.items()},
        }
