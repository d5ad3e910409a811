"""Layers: declarations of what a model computes. Nothing is computed here."""

from typing import Any

from fastnn.common import absent
from fastnn.common.identifiers import resolve, what_came
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
