"""Activation functions: their names, defaults and aliases. The formulas are in ``fastnn.kernels``."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from fastnn.common import absent, checks
from fastnn.common.arithmetic import heedless
from fastnn.common.declarations import Declared
from fastnn.common.identifiers import resolve, unknown_name


@dataclass(frozen=True, repr=False)
class Activation(Declared):
    """An activation function of a layer; callable on arrays.

    Parameters
    ----------
    name : str
        One of the names of this module.
    alpha : float, default=0.0
        Slope for negative inputs of ``leaky_relu``, or the negative limit of ``elu``, >= 0; unused by the others.

    Raises
    ------
    TypeError, ValueError
        If alpha is no such number.
    """

    name: str
    alpha: float = 0.0

    def __post_init__(self) -> None:
        # >= 0: the kernels tell from an output's sign that of the input
        object.__setattr__(self, "alpha", checks.number("alpha", self.alpha, 0.0))

    @heedless
    def __call__(self, x: Any, alpha: float | None = None, *, negative_slope: float | None = None) -> np.ndarray:
        """Apply the function elementwise (``softmax``: along the last axis), computed in double precision.

        `alpha`, or `negative_slope`, is used instead of the function's own.
        """
        from fastnn.kernels import reference

        given = alpha if negative_slope is None else negative_slope
        if given is not None and given != self.alpha:
            if not self.get_config():
                raise TypeError(
                    f"{self.name} has no parameter; fastnn has leaky_relu(x, negative_slope) and elu(x, alpha)"
                )
            return Activation(self.name, given)(x)
        x = np.asarray(x)
        result = reference.activation(self.name, x.astype(np.float64), self.alpha)
        return result.astype(x.dtype if x.dtype == np.float32 else np.float64)

    def get_config(self) -> dict[str, float]:
        """Return the parameter of the functions that have one, whose default is above 0."""
        return {"alpha": self.alpha} if self.name in _BY_NAME and _BY_NAME[self.name].alpha else {}

    def __repr__(self) -> str:
        return f"<fastnn activation {self.name}>"


linear = Activation("linear")
relu = Activation("relu")
sigmoid = Activation("sigmoid")
tanh = Activation("tanh")
softmax = Activation("softmax")
leaky_relu = Activation("leaky_relu", 0.2)
elu = Activation("elu", 1.0)
selu = Activation("selu")
gelu = Activation("gelu")
silu = swish = Activation("silu")
softplus = Activation("softplus")
step = Activation("step")
exponential = Activation("exponential")

_BY_NAME = {each.name: each for each in list(vars().values()) if isinstance(each, Activation)}
_BY_NAME |= {"swish": silu, "identity": linear, "logistic": sigmoid, "exp": exponential}


def _maker(activation: Activation) -> Any:
    return lambda alpha=activation.alpha: Activation(activation.name, alpha)


_TABLE = {name: _maker(activation) for name, activation in _BY_NAME.items()}


def names() -> list[str]:
    """Return the names and aliases that `get` knows."""
    return list(_TABLE)


def get(identifier: Any) -> Activation:
    """Return an activation by name, object or configuration dict; None means ``linear``.

    Raises
    ------
    ValueError
        For an unknown name; the message lists the known ones.
    TypeError
        For anything else, such as a Python function: activations are compiled, so only the named ones exist.
    """
    activation = linear if identifier is None else resolve(identifier, _TABLE, Activation, "activation")
    if activation.name not in _BY_NAME:
        raise unknown_name("activation", activation.name, _TABLE)
    return activation


def serialize(activation: Activation) -> str | dict[str, Any]:
    """Return the name of the activation, or a configuration dict where its parameter is not the default."""
    if activation == _BY_NAME[activation.name]:
        return activation.name
    return {"class_name": activation.name, "config": activation.get_config()}


absent.explain(__name__)
