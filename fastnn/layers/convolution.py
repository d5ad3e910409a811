"""Convolutions of pictures and sequences."""

from typing import Any

from fastnn import initializers, regularizers
from fastnn.common import checks
from fastnn.layers.shapes import MOST_SIZE, Shape
from fastnn.layers.weighted import Weighted
from fastnn.layers.windows import WindowLayer, numbers


class ConvolutionLayer(WindowLayer, Weighted):
    """Base of convolutions."""

    kernel_size: tuple[int, ...]

    def _need_one_of_strides_and_dilation(self) -> None:
        if max(self.strides) > 1 and max(self.dilation_rate) > 1:
            raise ValueError(
                f"strides > 1 and dilation_rate > 1 do not go together; got strides={self.strides} and "
                f"dilation_rate={self.dilation_rate}"
            )

    def _convolution_config(self) -> dict[str, Any]:
        return {**self._window_config(), "dilation_rate": list(self.dilation_rate), **self._weights_config()}


class _Convolution(ConvolutionLayer):
    kernel_initializer: initializers.Initializer
    kernel_regularizer: regularizers.L2 | None

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: Any = 1,
        groups: int = 1,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        *,
        name: str | None = None,
        input_shape: Any = None,
    ) -> None:
        super().__init__(name=name, input_shape=input_shape)
        self.filters = checks.integer("filters", filters, 1, MOST_SIZE)
        self._slide(kernel_size, strides, padding, data_format, dilation_rate)
        self.groups = checks.integer("groups", groups, 1)
        if self.groups > 1:
            raise ValueError(f"groups must be 1; got {groups}: fastnn has no convolutions by groups")
        self._need_one_of_strides_and_dilation()
        self._take(
            activation,
            use_bias,
            bias_initializer,
            kernel_initializer=kernel_initializer,
            kernel_regularizer=kernel_regularizer,
        )

    def _channels(self, channels: int) -> int:
        return self.filters

    def _shapes_of_kernels(self, inputs: int, outputs: int) -> dict[str, tuple[int, ...]]:
        return {"kernel": (*self.kernel_size, inputs, outputs)}

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name, "filters": self.filters, "groups": self.groups, **self._convolution_config()}


class Conv2D(_Convolution):
    """Convolution of pictures: ``activation(convolution of x with kernel + bias)``.

    Parameters
    ----------
    filters : int
        Number of channels of the output, >= 1.
    kernel_size : int or pair of int
        Height and width of the window, >= 1.
    strides : int or pair of int, default=1
        Pixels from one window to the next.
    padding : {"valid", "same"}, default="valid"
        With "same", a border of zeros makes ``ceil(size / stride)`` windows along each axis; where its number of pixels
        is odd, there is one more below and on the right. Case does not matter.
    data_format : {"channels_last"}, optional
    dilation_rate : int or pair of int, default=1
        Pixels from one pixel of a window to the next; above 1 not together with strides above 1.
    groups : {1}, default=1
    activation : str or Activation, optional
        Default none (linear).
    use_bias : bool, default=True
    kernel_initializer : str or Initializer, default="glorot_uniform"
    bias_initializer : str or Initializer, default="zeros"
    kernel_regularizer : str or L2, optional
        Penalty on the kernel, added to the loss.
    name, input_shape
        As in `Layer`.

    Raises
    ------
    TypeError, ValueError
        For an argument of the wrong type or outside its range.

    Notes
    -----
    Input shape (None, height, width, channels), output shape (None, out_height, out_width, filters). The weights are
    the kernel (kernel_height, kernel_width, channels, filters) and the bias (filters,). Arguments, shapes and borders
    are those of Keras.
    """

    kind = "conv2d"


class Convolution2D(Conv2D):
    """`Conv2D` under the name that Keras 1 had, whose two integers are height and width: ``Convolution2D(32, 3, 3)``.

    Parameters
    ----------
    *args, **kwargs
        As in `Conv2D`, which takes Keras 1's ``nb_filter``, ``nb_row``, ``nb_col``, ``border_mode``, ``subsample``,
        ``init`` and ``bias`` too.
    """


class Conv1D(_Convolution):
    """Convolution of sequences: `Conv2D` along one axis.

    Parameters
    ----------
    filters : int
    kernel_size, strides, dilation_rate : int
        Steps.
    padding : {"valid", "same", "causal"}, default="valid"
        With "causal" all zeros of the border stand before the first step, so that no output sees a later one.
    data_format, groups, activation, use_bias, kernel_initializer, bias_initializer, kernel_regularizer
        As in `Conv2D`.
    name, input_shape
        As in `Layer`.

    Notes
    -----
    Input shape (None, steps, channels), output shape (None, out_steps, filters). The weights are the kernel
    (kernel_size, channels, filters) and the bias (filters,).
    """

    kind = "conv1d"
    rank = 1
    paddings = ("valid", "same", "causal")


class Conv2DTranspose(ConvolutionLayer):
    """Transposed convolution of pictures, which enlarges them: the gradient of a `Conv2D` for its input.

    Parameters
    ----------
    filters, kernel_size
        As in `Conv2D`.
    strides : int or pair of int, default=1
        Factors by which height and width grow.
    padding : {"valid", "same"}, default="valid"
        With "same" the output is `strides` times as large as the input, with "valid" it is as large as all windows.
    output_padding : int or pair of int, optional
        Pixels to add to the smallest output below and on the right, less than the strides.
    data_format, dilation_rate, activation, use_bias, kernel_initializer, bias_initializer, kernel_regularizer
        As in `Conv2D`.
    name, input_shape
        As in `Layer`.

    Notes
    -----
    Input shape (None, height, width, channels), output shape (None, out_height, out_width, filters). The weights are
    the kernel (kernel_height, kernel_width, filters, channels) and the bias (filters,). `geometry` is that of the
    convolution whose gradient it is: its windows slide over the output.
    """

    kind = "conv2d_transpose"
    kernel_initializer: initializers.Initializer
    kernel_regularizer: regularizers.L2 | None

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        output_padding: Any = None,
        data_format: str | None = None,
        dilation_rate: Any = 1,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        *,
        name: str | None = None,
        input_shape: Any = None,
    ) -> None:
        super().__init__(name=name, input_shape=input_shape)
        self.filters = checks.integer("filters", filters, 1, MOST_SIZE)
        self._slide(kernel_size, strides, padding, data_format, dilation_rate)
        self.output_padding = None if output_padding is None else numbers("output_padding", output_padding, 2, 0)
        if self.output_padding and any(map(int.__ge__, self.output_padding, self.strides)):
            raise ValueError(
                f"output_padding must be less than strides; got output_padding={output_padding!r} and "
                f"strides={self.strides}"
            )
        self._need_one_of_strides_and_dilation()
        self._take(
            activation,
            use_bias,
            bias_initializer,
            kernel_initializer=kernel_initializer,
            kernel_regularizer=kernel_regularizer,
        )

    def _sizes(self, sizes: list[int], input_shape: Shape) -> list[int]:
        added = self.output_padding or (None, None)
        axes = zip(self._axes(sizes), added, strict=True)
        enlarged = [_enlarged(*axis, padding=self.padding, added=more) for axis, more in axes]
        if min(enlarged) < 1:
            raise ValueError(
                f"the layer {self.name!r} would have no output for its input of shape {input_shape}: leave "
                "output_padding out"
            )
        return enlarged

    def _channels(self, channels: int) -> int:
        return self.filters

    def _shapes_of_kernels(self, inputs: int, outputs: int) -> dict[str, tuple[int, ...]]:
        return {"kernel": (*self.kernel_size, outputs, inputs)}

    def _pictures(self, output: Shape) -> tuple[Shape, Shape]:
        over, of_windows = super()._pictures(output)
        return of_windows, over

    def get_config(self) -> dict[str, Any]:
        added = self.output_padding and list(self.output_padding)
        return {"name": self.name, "filters": self.filters, "output_padding": added, **self._convolution_config()}


def _enlarged(size: int, span: int, stride: int, *, padding: str, added: int | None) -> int:
    """Size of an axis behind a transposed convolution."""
    if added is None:
        return size * stride if padding == "same" else (size - 1) * stride + max(span, stride)
    return (size - 1) * stride + (span % 2 if padding == "same" else span) + added


Convolution1D, Convolution2DTranspose = Conv1D, Conv2DTranspose
