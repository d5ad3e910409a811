"""Convolutions with kernels for single channels."""

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from fastnn import initializers, regularizers
from fastnn.common import checks
from fastnn.layers.convolution import ConvolutionLayer
from fastnn.layers.shapes import MOST_SIZE, Shape


class DepthwiseConv2D(ConvolutionLayer):
    """Convolution of every channel of pictures by itself.

    Parameters
    ----------
    kernel_size, strides, padding
        As in `Conv2D`.
    depth_multiplier : int, default=1
        Channels of the output for each of the input, >= 1.
    data_format, dilation_rate, activation, use_bias
        As in `Conv2D`, but `dilation_rate` goes with any `strides`.
    depthwise_initializer : str or Initializer, default="glorot_uniform"
        Of the kernel.
    bias_initializer : str or Initializer, default="zeros"
    depthwise_regularizer : str or L2, optional
        Penalty on the kernel, added to the loss.
    name, input_shape
        As in `Layer`.

    Notes
    -----
    Input shape (None, height, width, channels), output shape (None, out_height, out_width, channels * multiplier),
    where output channel ``c * multiplier + m`` is of input channel c. The weights are the kernel (kernel_height,
    kernel_width, channels, multiplier) and the bias (channels * multiplier,). As in Keras, ``glorot_uniform`` counts
    all channels as inputs.
    """

    kind = "depthwise_conv2d"
    kernels: ClassVar[Mapping[str, str]] = {"kernel": "depthwise"}
    depthwise_initializer: initializers.Initializer
    depthwise_regularizer: regularizers.L2 | None

    def __init__(
        self,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        depth_multiplier: int = 1,
        data_format: str | None = None,
        dilation_rate: Any = 1,
        activation: Any = None,
        use_bias: bool = True,
        depthwise_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        depthwise_regularizer: Any = None,
        *,
        name: str | None = None,
        input_shape: Any = None,
    ) -> None:
        super().__init__(name=name, input_shape=input_shape)
        self._slide(kernel_size, strides, padding, data_format, dilation_rate)
        self.depth_multiplier = checks.integer("depth_multiplier", depth_multiplier, 1, MOST_SIZE)
        self._take(
            activation,
            use_bias,
            bias_initializer,
            depthwise_initializer=depthwise_initializer,
            depthwise_regularizer=depthwise_regularizer,
        )

    def _channels(self, channels: int) -> int:
        return channels * self.depth_multiplier

    def _shapes_of_kernels(self, inputs: int, outputs: int) -> dict[str, tuple[int, ...]]:
        return {"kernel": (*self.kernel_size, inputs, self.depth_multiplier)}

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name, "depth_multiplier": self.depth_multiplier, **self._convolution_config()}


class SeparableConv2D(ConvolutionLayer):
    """Convolution of every channel by itself, then one of 1x1 that mixes channels.

    Parameters
    ----------
    filters, kernel_size, strides, padding, data_format
        As in `Conv2D`.
    dilation_rate, depth_multiplier
        As in `DepthwiseConv2D`.
    activation, use_bias
        Of the mixing convolution; there is no activation between the two.
    depthwise_initializer, pointwise_initializer : str or Initializer, default="glorot_uniform"
    bias_initializer : str or Initializer, default="zeros"
    depthwise_regularizer, pointwise_regularizer : str or L2, optional
        Penalties on the kernels, added to the loss.
    name, input_shape
        As in `Layer`.

    Notes
    -----
    Input shape (None, height, width, channels), output shape (None, out_height, out_width, filters). The weights are
    the depthwise_kernel (kernel_height, kernel_width, channels, multiplier), the pointwise_kernel (1, 1, channels *
    multiplier, filters) and the bias (filters,). `geometry` is that of the convolution of single channels.
    """

    kind = "separable_conv2d"
    kernels: ClassVar[Mapping[str, str]] = {"depthwise_kernel": "depthwise", "pointwise_kernel": "pointwise"}
    depthwise_initializer: initializers.Initializer
    pointwise_initializer: initializers.Initializer
    depthwise_regularizer: regularizers.L2 | None
    pointwise_regularizer: regularizers.L2 | None

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: Any = 1,
        depth_multiplier: int = 1,
        activation: Any = None,
        use_bias: bool = True,
        depthwise_initializer: Any = "glorot_uniform",
        pointwise_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        depthwise_regularizer: Any = None,
        pointwise_regularizer: Any = None,
        *,
        name: str | None = None,
        input_shape: Any = None,
    ) -> None:
        super().__init__(name=name, input_shape=input_shape)
        self.filters = checks.integer("filters", filters, 1, MOST_SIZE)
        self._slide(kernel_size, strides, padding, data_format, dilation_rate)
        self.depth_multiplier = checks.integer("depth_multiplier", depth_multiplier, 1, MOST_SIZE)
        self._take(
            activation,
            use_bias,
            bias_initializer,
            depthwise_initializer=depthwise_initializer,
            pointwise_initializer=pointwise_initializer,
            depthwise_regularizer=depthwise_regularizer,
            pointwise_regularizer=pointwise_regularizer,
        )

    def _channels(self, channels: int) -> int:
        return self.filters

    def _shapes_of_kernels(self, inputs: int, outputs: int) -> dict[str, tuple[int, ...]]:
        between = inputs * self.depth_multiplier
        return {
            "depthwise_kernel": (*self.kernel_size, inputs, self.depth_multiplier),
            "pointwise_kernel": (1, 1, between, outputs),
        }

    @property
    def depthwise_kernel(self) -> np.ndarray:
        """Copy of the kernel of single channels, shape (kernel_height, kernel_width, channels, multiplier)."""
        return self._weight("depthwise_kernel")

    @property
    def pointwise_kernel(self) -> np.ndarray:
        """Copy of the kernel that mixes channels, shape (1, 1, channels * multiplier, filters)."""
        return self._weight("pointwise_kernel")

    def _pictures(self, output: Shape) -> tuple[Shape, Shape]:
        over, of_windows = super()._pictures(output)
        return over, (*of_windows[:-1], int(over[-1] or 0) * self.depth_multiplier)

    def get_config(self) -> dict[str, Any]:
        own = {"filters": self.filters, "depth_multiplier": self.depth_multiplier}
        return {"name": self.name, **own, **self._convolution_config()}


SeparableConvolution2D = SeparableConv2D
