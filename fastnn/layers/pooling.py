"""Pooling: windows, or whole pictures, become their largest value or their mean."""

from collections.abc import Iterable
from typing import Any

from fastnn.layers.shapes import Shape
from fastnn.layers.windows import PictureLayer, WindowLayer, channels_last


class _Pooling(WindowLayer):
    window = "pool_size"
    pool_size: tuple[int, ...]

    def __init__(
        self,
        pool_size: Any = 2,
        strides: Any = None,
        padding: str = "valid",
        data_format: str | None = None,
        name: str | None = None,
        *,
        input_shape: Any = None,
    ) -> None:
        super().__init__(name=name, input_shape=input_shape)
        self._slide(pool_size, pool_size if strides is None else strides, padding, data_format)

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name, **self._window_config()}


class MaxPooling2D(_Pooling):
    """The largest value of each window, for every channel of pictures.

    Parameters
    ----------
    pool_size : int or pair of int, default=2
        Height and width of the window, >= 1.
    strides : int or pair of int, optional
        Pixels from one window to the next, by default `pool_size`.
    padding : {"valid", "same"}, default="valid"
        With "same" there are ``ceil(size / stride)`` windows along each axis; what they see outside of the picture does
        not count. Case does not matter.
    data_format : {"channels_last"}, optional
    name, input_shape
        As in `Layer`.

    Notes
    -----
    Input shape (None, height, width, channels), output shape (None, out_height, out_width, channels). Arguments and
    shapes are those of Keras.
    """

    kind = "max_pooling2d"


class AveragePooling2D(_Pooling):
    """The mean of each window, for every channel of pictures.

    Parameters
    ----------
    pool_size, strides, padding, data_format, name, input_shape
        As in `MaxPooling2D`; pixels outside of the picture are not counted in the mean.
    """

    kind = "average_pooling2d"


class MaxPooling1D(_Pooling):
    """The largest value of each window, for every channel of sequences.

    Parameters
    ----------
    pool_size, strides, padding, data_format, name, input_shape
        As in `MaxPooling2D`, for one axis.
    """

    kind = "max_pooling1d"
    rank = 1


class AveragePooling1D(_Pooling):
    """The mean of each window, for every channel of sequences.

    Parameters
    ----------
    pool_size, strides, padding, data_format, name, input_shape
        As in `AveragePooling2D`, for one axis.
    """

    kind = "average_pooling1d"
    rank = 1


class _GlobalPooling(PictureLayer):
    def __init__(
        self,
        data_format: str | None = None,
        keepdims: bool = False,
        *,
        name: str | None = None,
        input_shape: Any = None,
    ) -> None:
        super().__init__(name=name, input_shape=input_shape)
        self.data_format = channels_last(data_format, self.rank)
        self.keepdims = bool(keepdims)

    def _sizes(self, sizes: list[int], input_shape: Shape) -> Iterable[int]:
        return [1] * self.rank * self.keepdims

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name, "data_format": self.data_format, "keepdims": self.keepdims}


class GlobalAveragePooling2D(_GlobalPooling):
    """The mean of every channel of pictures.

    Parameters
    ----------
    data_format : {"channels_last"}, optional
    keepdims : bool, default=False
        Whether the output is a picture of one pixel.
    name, input_shape
        As in `Layer`.

    Notes
    -----
    Input shape (None, height, width, channels), output shape (None, channels), with `keepdims` (None, 1, 1, channels).
    """

    kind = "global_average_pooling2d"


class GlobalMaxPooling2D(_GlobalPooling):
    """The largest value of every channel of pictures.

    Parameters
    ----------
    data_format, keepdims, name, input_shape
        As in `GlobalAveragePooling2D`.
    """

    kind = "global_max_pooling2d"


class GlobalAveragePooling1D(_GlobalPooling):
    """The mean of every channel of sequences.

    Parameters
    ----------
    data_format, keepdims, name, input_shape
        As in `GlobalAveragePooling2D`, for one axis.
    """

    kind = "global_average_pooling1d"
    rank = 1


class GlobalMaxPooling1D(_GlobalPooling):
    """The largest value of every channel of sequences.

    Parameters
    ----------
    data_format, keepdims, name, input_shape
        As in `GlobalAveragePooling2D`, for one axis.
    """

    kind = "global_max_pooling1d"
    rank = 1


MaxPool1D, MaxPool2D = MaxPooling1D, MaxPooling2D
AvgPool1D, AvgPool2D = AveragePooling1D, AveragePooling2D
GlobalMaxPool1D, GlobalMaxPool2D = GlobalMaxPooling1D, GlobalMaxPooling2D
GlobalAvgPool1D, GlobalAvgPool2D = GlobalAveragePooling1D, GlobalAveragePooling2D
