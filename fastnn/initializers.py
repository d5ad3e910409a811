"""How weights start: distributions over a shape, named and scaled as in Keras."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from fastnn.common import absent, checks, seeding
from fastnn.common.attributes import Unchangeable
from fastnn.common.declarations import Declared
from fastnn.common.identifiers import resolve

_TRUNCATED_STD = 0.87962566103423978  # standard deviation of a unit normal cut at +-2


class Initializer(Unchangeable, Declared):
    """Callable ``(shape, dtype) -> array``; draws anew at each call unless it has a seed of its own.

    Parameters
    ----------
    seed : int, optional
        With a seed every call gives the same values. Without one, values follow `fastnn.utils.set_random_seed`.
    """

    def __init__(self, seed: int | None = None) -> None:
        self.seed = checks.seed(seed)

    def __call__(self, shape: tuple[int, ...], dtype: Any = "float32") -> np.ndarray:
        """Return values of the given shape; a kernel's shape ends in (inputs, outputs)."""
        return np.ascontiguousarray(self.sample(seeding.generator(self.seed), tuple(shape)), dtype=dtype)

    def sample(self, generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        """Draw float64 values of the given shape."""
        raise NotImplementedError(f"{type(self).__name__} needs a method __call__(self, shape, dtype) or sample")

    def get_config(self) -> dict[str, Any]:
        """Return arguments that make an equal object."""
        return dict(vars(self))


def fans(shape: tuple[int, ...]) -> tuple[int, int]:
    """Return how many inputs an output of a kernel has, and how many outputs an input, as Keras counts them.

    A convolution's kernel ends in its channels, and every channel has as many numbers as its window has pixels.
    """
    *window, inputs, outputs = shape if len(shape) > 1 else 2 * (shape or (1,))
    return math.prod(window) * inputs, math.prod(window) * outputs


class VarianceScaling(Initializer):
    """Zero-mean values with variance ``scale / fan``.

    Parameters
    ----------
    scale : float, default=1.0
        Factor of the variance.
    mode : {"fan_in", "fan_out", "fan_avg"}, default="fan_in"
        Inputs of the layer, its outputs, or their mean.
    distribution : {"truncated_normal", "untruncated_normal", "uniform"}, default="truncated_normal"
    seed : int, optional

    References
    ----------
    Glorot and Bengio, 2010; He et al., 2015; LeCun et al., 1998.
    """

    def __init__(
        self,
        scale: float = 1.0,
        mode: str = "fan_in",
        distribution: str = "truncated_normal",
        seed: int | None = None,
    ) -> None:
        super().__init__(seed)
        self.scale = checks.number("scale", scale, 0.0, above=True)
        if mode not in ("fan_in", "fan_out", "fan_avg"):
            raise ValueError(f"mode must be 'fan_in', 'fan_out' or 'fan_avg'; got {mode!r}")
        if distribution not in ("truncated_normal", "untruncated_normal", "uniform"):
            raise ValueError(
                f"distribution must be 'truncated_normal', 'untruncated_normal' or 'uniform'; got {distribution!r}"
            )
        self.mode, self.distribution = str(mode), str(distribution)

    def sample(self, generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        fan_in, fan_out = fans(shape)
        fan = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}[self.mode]
        variance = self.scale / max(1.0, fan)
        if self.distribution == "uniform":
            limit = math.sqrt(3 * variance)
            return generator.uniform(-limit, limit, shape)
        if self.distribution == "untruncated_normal":
            return generator.normal(0.0, math.sqrt(variance), shape)
        return _truncated_normal(generator, shape) * (math.sqrt(variance) / _TRUNCATED_STD)


def _truncated_normal(generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Draw unit normal values within +-2, those outside drawn again."""
    values = generator.standard_normal(shape)
    while (outside := np.abs(values) > 2).any():
        values[outside] = generator.standard_normal(np.count_nonzero(outside))
    return values


def _scaling(name: str, scale: float, mode: str, distribution: str, text: str) -> type[VarianceScaling]:
    """Make one of the named settings of `VarianceScaling`, whose only argument is the seed."""

    def __init__(self: VarianceScaling, seed: int | None = None) -> None:
        VarianceScaling.__init__(self, scale, mode, distribution, seed)

    def get_config(self: VarianceScaling) -> dict[str, Any]:
        return {"seed": self.seed}

    members = {"__init__": __init__, "get_config": get_config, "__doc__": text, "__module__": __name__}
    return type(name, (VarianceScaling,), members)


GlorotUniform = _scaling("GlorotUniform", 1.0, "fan_avg", "uniform", "Uniform within sqrt(6 / (fan_in + fan_out)).")
GlorotNormal = _scaling(
    "GlorotNormal", 1.0, "fan_avg", "truncated_normal", "Truncated normal of variance 2 / (fan_in + fan_out)."
)
HeUniform = _scaling("HeUniform", 2.0, "fan_in", "uniform", "Uniform within sqrt(6 / fan_in).")
HeNormal = _scaling("HeNormal", 2.0, "fan_in", "truncated_normal", "Truncated normal of variance 2 / fan_in.")
LecunUniform = _scaling("LecunUniform", 1.0, "fan_in", "uniform", "Uniform within sqrt(3 / fan_in).")
LecunNormal = _scaling("LecunNormal", 1.0, "fan_in", "truncated_normal", "Truncated normal of variance 1 / fan_in.")


class RandomUniform(Initializer):
    """Uniform in [minval, maxval); by default within 0.05 of zero, as in all versions of Keras."""

    def __init__(self, minval: float = -0.05, maxval: float = 0.05, seed: int | None = None) -> None:
        super().__init__(seed)
        self.minval = checks.number("minval", minval, -math.inf, above=True)
        self.maxval = checks.number("maxval", maxval, -math.inf, above=True)
        if not self.minval <= self.maxval:
            raise ValueError(f"minval must not exceed maxval; got {minval!r} and {maxval!r}")

    def sample(self, generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        return generator.uniform(self.minval, self.maxval, shape)


class RandomNormal(Initializer):
    """Normal with the given mean and standard deviation."""

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: int | None = None) -> None:
        super().__init__(seed)
        self.mean = checks.number("mean", mean, -math.inf, above=True)
        self.stddev = checks.number("stddev", stddev, 0.0)

    def sample(self, generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        return generator.normal(self.mean, self.stddev, shape)


class TruncatedNormal(RandomNormal):
    """Normal, with values further than two standard deviations from the mean drawn again."""

    def sample(self, generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        return self.mean + self.stddev * _truncated_normal(generator, shape)


class Constant(Initializer):
    """The same value everywhere."""

    def __init__(self, value: float = 0.0) -> None:
        self.value = checks.number("value", value, -math.inf, above=True)
        self.seed = None

    def sample(self, generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        return np.full(shape, self.value)

    def get_config(self) -> dict[str, Any]:
        return {"value": self.value}


class Zeros(Constant):
    """All zero."""

    def __init__(self) -> None:
        super().__init__(0.0)

    def get_config(self) -> dict[str, Any]:
        return {}


class Ones(Constant):
    """All one."""

    def __init__(self) -> None:
        super().__init__(1.0)

    def get_config(self) -> dict[str, Any]:
        return {}


class Orthogonal(Initializer):
    """Rows or columns orthonormal, times `gain` (Saxe et al., 2014).

    A convolution's kernel is seen as a matrix, whose columns are its filters.
    """

    def __init__(self, gain: float = 1.0, seed: int | None = None) -> None:
        super().__init__(seed)
        self.gain = checks.number("gain", gain, -math.inf, above=True)

    def sample(self, generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        if len(shape) < 2:
            raise ValueError(f"Orthogonal fills matrices and kernels of convolutions; got the shape {shape}")
        rows, columns = math.prod(shape[:-1]), shape[-1]
        q, r = np.linalg.qr(generator.standard_normal((max(rows, columns), min(rows, columns))))
        q *= np.sign(np.diagonal(r))  # makes the distribution uniform
        return self.gain * (q if rows >= columns else q.T).reshape(shape)


class Identity(Initializer):
    """Ones on the diagonal, times `gain`; for matrices."""

    def __init__(self, gain: float = 1.0) -> None:
        self.gain = checks.number("gain", gain, -math.inf, above=True)
        self.seed = None

    def sample(self, generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        if len(shape) != 2:
            raise ValueError(f"Identity fills matrices only; got the shape {shape}")
        return self.gain * np.eye(shape[0], shape[1])

    def get_config(self) -> dict[str, Any]:
        return {"gain": self.gain}


_TABLE: dict[str, Callable[..., Initializer]] = {
    "glorot_uniform": GlorotUniform,
    "glorot_normal": GlorotNormal,
    "he_uniform": HeUniform,
    "he_normal": HeNormal,
    "lecun_uniform": LecunUniform,
    "lecun_normal": LecunNormal,
    "variance_scaling": VarianceScaling,
    "random_uniform": RandomUniform,
    "uniform": RandomUniform,
    "random_normal": RandomNormal,
    "normal": RandomNormal,
    "truncated_normal": TruncatedNormal,
    "constant": Constant,
    "zeros": Zeros,
    "zero": Zeros,
    "ones": Ones,
    "one": Ones,
    "orthogonal": Orthogonal,
    "identity": Identity,
}


def get(identifier: Any) -> Initializer:
    """Return an initializer by name, object, class or configuration dict.

    Raises
    ------
    ValueError
        For an unknown name; the message lists the known ones.
    """
    return resolve(identifier, _TABLE, Initializer, "initializer")


absent.explain(__name__)
