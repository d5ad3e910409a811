"""Dropout of single values, or of whole channels."""

from typing import Any

from fastnn.common import checks
from fastnn.layers.base import Layer
from fastnn.layers.windows import PictureLayer, channels_last


class Dropout(Layer):
    """Sets a random fraction of its inputs to zero in training and scales the others up (Srivastava et al., 2014).

    Parameters
    ----------
    rate : float
        Fraction set to zero, in [0, 1).
    seed : int, optional
        Accepted as in Keras, but masks follow the seed of the fit: see `fastnn.utils.set_random_seed`.
    name, input_shape, input_dim
        As in `Layer`.
    """

    kind = "dropout"

    def __init__(
        self,
        rate: float,
        *,
        seed: int | None = None,
        name: str | None = None,
        input_shape: Any = None,
        input_dim: int | None = None,
    ) -> None:
        super().__init__(name=name, input_shape=input_shape, input_dim=input_dim)
        self.rate = checks.number("rate", rate, 0.0, 1.0)
        self.seed = checks.seed(seed)

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name, "rate": self.rate, "seed": self.seed}


class SpatialDropout2D(PictureLayer):
    """Sets whole channels of pictures to zero in training, at random, and scales the others up (Tompson et al., 2014).

    Parameters
    ----------
    rate : float
        Fraction of the channels set to zero, in [0, 1).
    data_format : {"channels_last"}, optional
    seed : int, optional
        As in `Dropout`.
    name, input_shape
        As in `Layer`.

    Notes
    -----
    Input and output shape (None, height, width, channels).
    """

    kind = "spatial_dropout2d"

    def __init__(
        self,
        rate: float,
        data_format: str | None = None,
        seed: int | None = None,
        name: str | None = None,
        *,
        input_shape: Any = None,
    ) -> None:
        super().__init__(name=name, input_shape=input_shape)
        self.rate = checks.number("rate", rate, 0.0, 1.0)
        self.data_format = channels_last(data_format, self.rank)
        self.seed = checks.seed(seed)

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name, "rate": self.rate, "data_format": self.data_format, "seed": self.seed}
