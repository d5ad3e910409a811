"""Dropout."""

from typing import Any

from fastnn.common import checks
from fastnn.layers.base import Layer


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
