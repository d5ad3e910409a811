"""Windows that slide over pictures: their arguments, how many there are, and the border that they see."""

from collections.abc import Iterable, Iterator
from typing import Any, ClassVar, NamedTuple

from fastnn.common import checks
from fastnn.layers.base import Layer
from fastnn.layers.shapes import MOST_SIZE, Shape, picture, row_shape

_AXES = {1: "(steps,)", 2: "(height, width)"}


class Geometry(NamedTuple):
    """The numbers of windows over a picture, under the names that the kernels' record `Windows` has."""

    height: int
    width: int
    channels: int
    out_height: int
    out_width: int
    filters: int
    kernel_height: int
    kernel_width: int
    stride_height: int
    stride_width: int
    dilation_height: int
    dilation_width: int
    top: int
    left: int


def reach(kernel: int, dilation: int) -> int:
    """Return how many pixels of one axis a window spans."""
    return (kernel - 1) * dilation + 1


def windows(size: int, span: int, stride: int, *, padding: str) -> int:
    """Return how many windows of a span there are along an axis of a size; below 1 if none fits."""
    return (size - span) // stride + 1 if padding == "valid" else -(-size // stride)


def border(size: int, count: int, span: int, stride: int, *, padding: str) -> tuple[int, int]:
    """Return the pixels of zeros that windows see before and behind an axis.

    With "same" there is one more behind where the number is odd, as in TensorFlow; with "causal" all are before.
    """
    if padding == "valid":
        return 0, 0
    if padding == "causal":
        return span - 1, 0
    lacking = max((count - 1) * stride + span - size, 0)
    return lacking // 2, lacking - lacking // 2


def numbers(name: str, value: Any, rank: int, low: int = 1) -> tuple[int, ...]:
    """Return one integer for each axis, from one for all or a tuple or list of them; ValueError for another thing."""
    each = tuple(value) if isinstance(value, Iterable) and not isinstance(value, str) else (value,) * rank
    if len(each) != rank:
        raise ValueError(f"{name} must be one integer, or {rank}, one for each of {_AXES[rank]}; got {value!r}")
    return tuple(checks.integer(f"every number of {name}", number, low, MOST_SIZE) for number in each)


def channels_last(data_format: Any, rank: int) -> str:
    """Return "channels_last", for None too; ValueError for another order of axes."""
    if data_format is None or data_format in ("channels_last", "tf"):
        return "channels_last"
    if data_format in ("channels_first", "th"):
        axes, shape = ("0, 2, 3, 1", "height, width, channels") if rank == 2 else ("0, 2, 1", "steps, channels")
        raise ValueError(
            f"data_format={data_format!r}: fastnn has the channels last; bring the data to it by x.transpose({axes}), "
            f"give shapes as ({shape}), and leave data_format out"
        )
    raise ValueError(f"data_format must be 'channels_last'; got {data_format!r}")


class PictureLayer(Layer):
    """Base of layers that take pictures (None, height, width, channels), or sequences (None, steps, channels)."""

    rank: ClassVar[int] = 2  # axes of a picture, without its channels

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        *sizes, channels = picture(self.name, input_shape, self.rank)
        return (input_shape[0], *self._sizes(sizes, input_shape), self._channels(channels))

    def _sizes(self, sizes: list[int], input_shape: Shape) -> Iterable[int]:
        """Height and width of the output, for those of the input."""
        return sizes

    def _channels(self, channels: int) -> int:
        """Channels of the output."""
        return channels


class WindowLayer(PictureLayer):
    """Base of layers whose windows slide over pictures.

    Attributes
    ----------
    strides, dilation_rate : tuple of int
        One for each axis.
    padding : {"valid", "same"}
        Whether windows stay in the picture or see a border of zeros, so that there is one for every stride pixels.
    data_format : str
        "channels_last".
    """

    window: ClassVar[str] = "kernel_size"  # name of the argument that says how large windows are
    paddings: ClassVar[tuple[str, ...]] = ("valid", "same")

    def _slide(self, size: Any, strides: Any, padding: Any, data_format: Any, dilation_rate: Any = 1) -> None:
        """Take the arguments that all have."""
        setattr(self, self.window, numbers(self.window, size, self.rank))
        self.strides = numbers("strides", strides, self.rank)
        self.padding = str(padding).lower()
        if self.padding not in self.paddings:
            raise ValueError(f"padding must be {' or '.join(map(repr, self.paddings))}; got {padding!r}")
        self.data_format = channels_last(data_format, self.rank)
        self.dilation_rate = numbers("dilation_rate", dilation_rate, self.rank)

    def _axes(self, *sizes: Iterable[int]) -> Iterator[tuple[int, ...]]:
        """For each axis these sizes, how many pixels a window spans, and the stride."""
        spans = map(reach, getattr(self, self.window), self.dilation_rate)
        return zip(*sizes, spans, self.strides, strict=True)

    def _sizes(self, sizes: list[int], input_shape: Shape) -> list[int]:
        counts = [windows(*axis, padding=self.padding) for axis in self._axes(sizes)]
        if min(counts) < 1:
            spans = " x ".join(str(span) for _, span, _ in self._axes(sizes))
            raise ValueError(
                f"the layer {self.name!r} would have no output: its windows span {spans} pixels, more than its input "
                f"of shape {input_shape} has; use padding='same', a smaller {self.window}, larger inputs, or less "
                "pooling before it"
            )
        return counts

    def geometry(self) -> Geometry:
        """Return the numbers of the windows, once the shape of the input is known; sequences are pictures of one line.

        Raises
        ------
        AttributeError
            If the layer is not built.
        """
        over, of_windows = map(row_shape, self._pictures(self.output_shape[1:]))
        before = [border(*axis, padding=self.padding)[0] for axis in self._axes(over[:-1], of_windows[:-1])]
        window: tuple[int, ...] = getattr(self, self.window)
        line = (1,) * (2 - self.rank)
        return Geometry(
            *line, *over, *line, *of_windows, *line, *window, *line, *self.strides, *line, *self.dilation_rate,
            *[0] * len(line), *before,
        )  # fmt: skip

    def _pictures(self, output: Shape) -> tuple[Shape, Shape]:
        """Shapes of the picture that windows slide over, and of that with a pixel for each window, without rows."""
        assert self.input_shape is not None
        return self.input_shape[1:], output

    def _window_config(self) -> dict[str, Any]:
        return {
            self.window: list(getattr(self, self.window)),
            "strides": list(self.strides),
            "padding": self.padding,
            "data_format": self.data_format,
        }
