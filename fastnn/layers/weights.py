"""Weights that are given: their number and their shapes."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from fastnn.common.host_arrays import host_array


def check_weights(weights: Sequence[Any], expected: list[tuple[str, tuple[int, ...]]]) -> list[np.ndarray]:
    """Return float64 arrays of the expected (name, shape) pairs, or an error that names the first that does not fit."""
    if len(weights) != len(expected):
        wanted = ", ".join(f"{name} {shape}" for name, shape in expected) or "none"
        raise ValueError(f"expected {len(expected)} weight arrays ({wanted}); got {len(weights)}")
    values = []
    for (name, shape), weight in zip(expected, weights, strict=True):
        value = host_array(weight, name)
        if value.shape != shape:
            raise ValueError(f"the weight {name} has the shape {shape}; got an array of shape {value.shape}")
        values.append(value.astype(np.float64))
    return values
