"""Layers that give rows another shape."""

import math

from fastnn.layers.base import Layer
from fastnn.layers.shapes import Shape


class Flatten(Layer):
    """Turns rows of any shape into flat ones: (None, 28, 28) into (None, 784)."""

    kind = "flatten"

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return (None, math.prod(size or 0 for size in input_shape[1:]))
