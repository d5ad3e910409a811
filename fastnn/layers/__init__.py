"""Layers: declarations of what a model computes. Nothing is computed here."""

from typing import Any

from fastnn.common import absent
from fastnn.common.identifiers import resolve, what_came
from fastnn.layers import convolution, depthwise, dropout, resizing
from fastnn.layers.base import Layer
from fastnn.layers.convolution import Conv1D, Conv2D, Convolution1D, Convolution2D
from fastnn.layers.core import Activation, Dense, Input
from fastnn.layers.dropout import Dropout
from fastnn.layers.normalization import BatchNormalization, LayerNormalization
from fastnn.layers.pooling import (
    AveragePooling1D,
    AveragePooling2D,
    AvgPool1D,
    AvgPool2D,
    GlobalAveragePooling1D,
    GlobalAveragePooling2D,
    GlobalAvgPool1D,
    GlobalAvgPool2D,
    GlobalMaxPool1D,
    GlobalMaxPool2D,
    GlobalMaxPooling1D,
    GlobalMaxPooling2D,
    MaxPool1D,
    MaxPool2D,
    MaxPooling1D,
    MaxPooling2D,
)
from fastnn.layers.preprocessing import Normalization, Rescaling
from fastnn.layers.reshaping import Flatten

__all__ = [
    "Activation",
    "AveragePooling1D",
    "AveragePooling2D",
    "AvgPool1D",
    "AvgPool2D",
    "BatchNormalization",
    "Conv1D",
    "Conv2D",
    "Convolution1D",
    "Convolution2D",
    "Dense",
    "Dropout",
    "Flatten",
    "GlobalAveragePooling1D",
    "GlobalAveragePooling2D",
    "GlobalAvgPool1D",
    "GlobalAvgPool2D",
    "GlobalMaxPool1D",
    "GlobalMaxPool2D",
    "GlobalMaxPooling1D",
    "GlobalMaxPooling2D",
    "Input",
    "Layer",
    "LayerNormalization",
    "MaxPool1D",
    "MaxPool2D",
    "MaxPooling1D",
    "MaxPooling2D",
    "Normalization",
    "Rescaling",
    "get",
]

_TABLE = {
    "batch_normalization": BatchNormalization,
    "layer_normalization": LayerNormalization,
    "normalization": Normalization,
    "input": Input,
    "inputlayer": Input,
    "dense": Dense,
    "activation": Activation,
    "dropout": Dropout,
    "flatten": Flatten,
    "rescaling": Rescaling,
    "conv1d": Conv1D,
    "conv2d": Conv2D,
    "convolution2d": Convolution2D,
    "conv2d_transpose": convolution.Conv2DTranspose,
    "depthwise_conv2d": depthwise.DepthwiseConv2D,
    "separable_conv2d": depthwise.SeparableConv2D,
    "max_pooling1d": MaxPooling1D,
    "max_pooling2d": MaxPooling2D,
    "average_pooling1d": AveragePooling1D,
    "average_pooling2d": AveragePooling2D,
    "global_max_pooling1d": GlobalMaxPooling1D,
    "global_max_pooling2d": GlobalMaxPooling2D,
    "global_average_pooling1d": GlobalAveragePooling1D,
    "global_average_pooling2d": GlobalAveragePooling2D,
    "zero_padding2d": resizing.ZeroPadding2D,
    "up_sampling2d": resizing.UpSampling2D,
    "spatial_dropout2d": dropout.SpatialDropout2D,
}


def get(identifier: Any) -> Layer:
    """Return a layer from an object or a configuration dict.

    Raises
    ------
    TypeError
        For anything else, such as a class that was not called.
    """
    if isinstance(identifier, (Layer, dict)):
        return resolve(identifier, _TABLE, Layer, "layer")
    raise TypeError(f"expected a layer such as Dense(16); {what_came(identifier, _TABLE, 'layer')}")


absent.explain(__name__)
