"""Layers: declarations of what a model computes. Nothing is computed here."""

from typing import Any

from fastnn.common import absent
from fastnn.common.identifiers import resolve, what_came
from fastnn.layers import convolution, depthwise, dropout, pooling, resizing
from fastnn.layers.base import Layer
from fastnn.layers.core import Activation, Dense, Input
from fastnn.layers.dropout import Dropout
from fastnn.layers.normalization import BatchNormalization, LayerNormalization
from fastnn.layers.preprocessing import Normalization, Rescaling
from fastnn.layers.reshaping import Flatten

__all__ = [
    "Activation",
    "BatchNormalization",
    "Dense",
    "Dropout",
    "Flatten",
    "Input",
    "Layer",
    "LayerNormalization",
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
    "conv1d": convolution.Conv1D,
    "conv2d": convolution.Conv2D,
    "convolution2d": convolution.Convolution2D,
    "conv2d_transpose": convolution.Conv2DTranspose,
    "depthwise_conv2d": depthwise.DepthwiseConv2D,
    "separable_conv2d": depthwise.SeparableConv2D,
    "max_pooling1d": pooling.MaxPooling1D,
    "max_pooling2d": pooling.MaxPooling2D,
    "average_pooling1d": pooling.AveragePooling1D,
    "average_pooling2d": pooling.AveragePooling2D,
    "global_max_pooling1d": pooling.GlobalMaxPooling1D,
    "global_max_pooling2d": pooling.GlobalMaxPooling2D,
    "global_average_pooling1d": pooling.GlobalAveragePooling1D,
    "global_average_pooling2d": pooling.GlobalAveragePooling2D,
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
