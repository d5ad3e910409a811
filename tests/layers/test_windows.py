"""Windows over pictures: how many there are and what they see, against looking at every pixel."""

from functools import partial

import numpy as np
import pytest
from fastnn.kernels.records import Windows

from fastnn.layers import windows
from fastnn.layers.convolution import Conv1D, Conv2D, Conv2DTranspose
from fastnn.layers.depthwise import DepthwiseConv2D, SeparableConv2D
from fastnn.layers.pooling import AveragePooling1D, MaxPooling2D

SIZES, KERNELS, STRIDES, DILATIONS = (1, 2, 3, 5, 7, 13, 28, 33), (1, 2, 3, 4, 5), (1, 2, 3), (1, 2, 3)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("dilation", DILATIONS)
@pytest.mark.parametrize("stride", STRIDES)
def test_windows_along_an_axis(kernel, stride, dilation):
    span = windows.reach(kernel, dilation)
    assert span == np.ptp(np.arange(kernel) * dilation) + 1
    for size in SIZES:
        inside = [start for start in range(0, size, stride) if start + span <= size]
        assert max(windows.windows(size, span, stride, padding="valid"), 0) == len(inside)
        assert windows.border(size, len(inside), span, stride, padding="valid") == (0, 0)
        for padding in ("same", "causal"):
            count = windows.windows(size, span, stride, padding=padding)
            assert count == len(range(0, size, stride))
            before, behind = windows.border(size, count, span, stride, padding=padding)
            last = (count - 1) * stride - before + span  # where the last window ends
            assert before >= 0
            if padding == "same":
                assert before <= behind <= before + 1  # TensorFlow: the odd pixel is behind
                assert last == size + behind or behind == 0
            else:
                assert before == span - 1  # the first window ends at the first step
                assert last == (count - 1) * stride + 1


def test_borders_of_tensorflow():
    same = partial(windows.border, padding="same")
    assert [same(28, 28, kernel, 1) for kernel in (1, 2, 3, 4, 5)] == [(0, 0), (0, 1), (1, 1), (1, 2), (2, 2)]
    assert [same(size, -(-size // 2), 3, 2) for size in (4, 5, 7, 224)] == [(0, 1), (1, 1), (1, 1), (0, 1)]
    assert [same(size, -(-size // 2), 2, 2) for size in (4, 5)] == [(0, 0), (0, 1)]
    assert same(4, 2, 1, 2) == (0, 0)  # windows smaller than their stride


def test_numbers_are_those_of_the_kernels():
    assert windows.Geometry._fields == Windows._fields


def built(layer, *shape):
    layer.build((None, *shape))
    return layer


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        (
            built(Conv2D(6, (3, 2), (2, 1), "same"), 28, 13, 4),
            {"height": 28, "width": 13, "channels": 4, "out_height": 14, "out_width": 13, "filters": 6,
             "kernel_height": 3, "kernel_width": 2, "stride_height": 2, "stride_width": 1, "dilation_height": 1,
             "dilation_width": 1, "top": 0, "left": 0},
        ),
        (
            built(Conv2D(6, 3, padding="same", dilation_rate=(1, 2)), 5, 7, 1),
            {"dilation_height": 1, "dilation_width": 2, "top": 1, "left": 2},
        ),
        (built(DepthwiseConv2D(3, depth_multiplier=2), 5, 7, 3), {"channels": 3, "filters": 6, "out_width": 5}),
        (built(SeparableConv2D(9, 3, depth_multiplier=2), 5, 7, 3), {"channels": 3, "filters": 6, "out_width": 5}),
        (
            built(MaxPooling2D((3, 2)), 7, 7, 3),
            {"filters": 3, "kernel_height": 3, "stride_height": 3, "out_height": 2, "out_width": 3, "top": 0},
        ),
        (
            built(Conv1D(4, 3, padding="causal", dilation_rate=2), 9, 5),
            {"height": 1, "width": 9, "channels": 5, "out_height": 1, "out_width": 9, "filters": 4, "kernel_height": 1,
             "kernel_width": 3, "stride_height": 1, "dilation_height": 1, "dilation_width": 2, "top": 0, "left": 4},
        ),
        (built(AveragePooling1D(4, 2, "same"), 9, 5), {"out_width": 5, "stride_width": 2, "left": 1}),
        (
            built(Conv2DTranspose(6, 3, 2, "same"), 7, 5, 4),  # a convolution of 14x10x6 into 7x5x4
            {"height": 14, "width": 10, "channels": 6, "out_height": 7, "out_width": 5, "filters": 4, "top": 0},
        ),
        (built(Conv2DTranspose(6, 5, 2, "same"), 7, 5, 4), {"height": 14, "top": 1, "left": 1}),
        (built(Conv2DTranspose(6, 5, 2, "same", 1), 7, 5, 4), {"height": 14, "width": 10, "top": 1}),
        (built(Conv2DTranspose(6, 5, 2, "same", 0), 7, 5, 4), {"height": 13, "width": 9, "top": 2}),
        (built(Conv2DTranspose(6, 2, 3), 7, 5, 4), {"height": 21, "width": 15, "top": 0}),
    ],
)  # fmt: skip
def test_geometry_of_a_layer(layer, expected):
    geometry = layer.geometry()._asdict()
    assert {name: geometry[name] for name in expected} == expected


def test_geometry_waits_for_a_shape():
    with pytest.raises(AttributeError, match="has no output_shape yet"):
        Conv2D(3, 3).geometry()
