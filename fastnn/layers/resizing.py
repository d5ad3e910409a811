"""Layers that give pictures another size, and compute nothing."""

from collections.abc import Iterable, Sequence
from typing import Any

from fastnn.layers.shapes import Shape
from fastnn.layers.windows import PictureLayer, channels_last, numbers


class ZeroPadding2D(PictureLayer):
    """Puts a border of zeros around pictures.

    Parameters
    ----------
    padding : int, pair of int, or pair of pairs of int, default=1
        Pixels on every side; those above and below and those on both sides; or ``((top, bottom), (left, right))``.
    data_format : {"channels_last"}, optional
    name, input_shape
        As in `Layer`.

    Attributes
    ----------
    padding : pair of pairs of int

    Notes
    -----
    Input shape (None, height, width, channels), output shape (None, top + height + bottom, left + width + right,
    channels).
    """

    kind = "zero_padding2d"

    def __init__(
        self, padding: Any = 1, data_format: str | None = None, *, name: str | None = None, input_shape: Any = None
    ) -> None:
        super().__init__(name=name, input_shape=input_shape)
        self.data_format = channels_last(data_format, self.rank)
        sides = padding if isinstance(padding, Sequence) else (padding, padding)
        if isinstance(sides, str) or len(sides) != 2:
            raise ValueError(
                f"padding must be an integer, (height, width) or ((top, bottom), (left, right)); got {padding!r}"
            )
        self.padding = tuple(numbers("padding", side, 2, 0) for side in sides)

    def _sizes(self, sizes: list[int], input_shape: Shape) -> Iterable[int]:
        return [size + sum(sides) for size, sides in zip(sizes, self.padding, strict=True)]

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name, "padding": [list(side) for side in self.padding], "data_format": self.data_format}


class UpSampling2D(PictureLayer):
    """Repeats lines and pixels of pictures.

    Parameters
    ----------
    size : int or pair of int, default=2
        How often each line and each pixel stands in the output, >= 1.
    data_format : {"channels_last"}, optional
    interpolation : {"nearest"}, default="nearest"
    name, input_shape
        As in `Layer`.

    Notes
    -----
    Input shape (None, height, width, channels), output shape (None, height * size, width * size, channels).
    """

    kind = "up_sampling2d"

    def __init__(
        self,
        size: Any = 2,
        data_format: str | None = None,
        interpolation: str = "nearest",
        *,
        name: str | None = None,
        input_shape: Any = None,
    ) -> None:
        super().__init__(name=name, input_shape=input_shape)
        self.size = numbers("size", size, 2)
        self.data_format = channels_last(data_format, self.rank)
        self.interpolation = str(interpolation).lower()
        if self.interpolation != "nearest":
            raise ValueError(
                f"interpolation must be 'nearest', which repeats pixels; got {interpolation!r}: a Conv2D or "
                "Conv2DTranspose can learn to blend them"
            )

    def _sizes(self, sizes: list[int], input_shape: Shape) -> Iterable[int]:
        return [size * times for size, times in zip(sizes, self.size, strict=True)]

    def get_config(self) -> dict[str, Any]:
        config = {"size": list(self.size), "data_format": self.data_format, "interpolation": self.interpolation}
        return {"name": self.name, **config}
