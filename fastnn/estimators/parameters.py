"""Parameters of the two estimators: their ranges, and the layers, first weights and optimizer that they ask for."""

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from inspect import signature
from itertools import pairwise
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils._param_validation import Interval, Options, StrOptions, validate_parameter_constraints

from fastnn import activations, optimizers
from fastnn.callbacks import Callback
from fastnn.common.identifiers import is_own
from fastnn.common.keras_arguments import accepting
from fastnn.common.precisions import DTYPES
from fastnn.common.user_warnings import warn
from fastnn.engine.devices import DEVICES
from fastnn.engine.training_record import MOST_EPOCHS
from fastnn.estimators.schedules import SCHEDULES
from fastnn.layers import Activation, BatchNormalization, Dense, Dropout, Layer, LayerNormalization
from fastnn.layers.shapes import MOST_SIZE
from fastnn.optimizers import Optimizer
from fastnn.optimizers.schedules import LearningRateSchedule
from fastnn.regularizers import L2

_GLOROT_FACTOR = {"sigmoid": 2.0}  # 6 for the other activations
NORMALIZATIONS: dict[str, Callable[[], Layer]] = {
    "batch": partial(BatchNormalization, momentum=0.9),  # fits may have few steps
    "layer": LayerNormalization,
}
# of an optimizer, under the same names; those of Adam and its kin are beta_1, beta_2 and epsilon
_OWN_PARAMETERS = {"sgd": (), "rmsprop": ("rho", "epsilon"), "adagrad": ("epsilon",), "lion": ("beta_1", "beta_2")}
CLIPPING = ("clipvalue", "clipnorm", "global_clipnorm")
# of fastnn's parameters, those that only count beside a value of another
_ONLY_WITH = {
    "focal_gamma": ("loss", "focal"), "quantile": ("loss", "quantile"), "huber_delta": ("loss", "huber"),
    "scoring": ("early_stopping", True),
}  # fmt: skip
_MOST_LAYERS = 10**6
_WIDTH = 100  # of a hidden layer that nothing is said about


def _whole(low: int) -> Interval:
    return Interval(Integral, low, None, closed="left")


def _real(low: float, high: float | None = None, closed: str = "left") -> Interval:
    return Interval(Real, low, high, closed=closed)


class NetworkOptions(BaseEstimator):
    """Keeps, checks and reads the parameters of an estimator."""

    _parameter_constraints: ClassVar[dict[str, list]] = {
        "hidden_layer_sizes": ["array-like", _whole(1)],
        "activation": [StrOptions(set(activations.names())), activations.Activation, "array-like"],
        "solver": [StrOptions({"lbfgs", *optimizers.names()})],
        "alpha": [_real(0)],
        "batch_size": [StrOptions({"auto"}), _whole(1)],
        "learning_rate": [StrOptions({"constant", "invscaling", "adaptive", *SCHEDULES}), LearningRateSchedule],
        "learning_rate_init": [_real(0, closed="neither")],
        "power_t": [_real(0)],
        "max_iter": [_whole(1)],
        "shuffle": ["boolean"],
        "random_state": ["random_state"],
        "tol": [_real(0)],
        "verbose": ["verbose"],
        "warm_start": ["boolean"],
        "momentum": [_real(0, 1, closed="both")],
        "nesterovs_momentum": ["boolean"],
        "early_stopping": ["boolean"],
        "validation_fraction": [_real(0, 1)],
        "beta_1": [_real(0, 1)],
        "beta_2": [_real(0, 1)],
        "epsilon": [_real(0, closed="neither")],
        "n_iter_no_change": [_whole(1), Options(Real, {np.inf})],
        "max_fun": [_whole(1)],
        "dtype": [StrOptions({*DTYPES, "auto"})],
        "threads": [_whole(1), None],
        "device": [StrOptions({*DEVICES}), None],
        "jit_compile": ["boolean", StrOptions({"auto"})],
        "n_layers": [Interval(Integral, 0, _MOST_LAYERS, closed="both"), None],
        "width": [_whole(1), None],
        "dropout": [_real(0, 1), "array-like"],
        "normalization": [StrOptions({"batch", "layer"}), None],
        "scoring": [str, callable, None],
        "weight_decay": [_real(0), None],
        "rho": [_real(0, 1)],
        "clipvalue": [_real(0, closed="neither"), None],
        "clipnorm": [_real(0, closed="neither"), None],
        "global_clipnorm": [_real(0, closed="neither"), None],
        "callbacks": [Callback, list, tuple, None],
        "time_limit": [_real(0, closed="neither"), None],
    }

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if is_own(cls) and "__init__" in vars(cls):
            cls.__init__ = accepting(vars(cls)["__init__"])  # type: ignore[method-assign]

    n_features_in_: int
    n_outputs_: int
    out_activation_: str

    @classmethod
    @functools.cache
    def _defaults(cls) -> dict[str, Any]:
        """Return the parameters of fastnn's constructor and their defaults; classes derived from it may have others."""
        ours = next(kind for kind in cls.__mro__ if kind.__module__.startswith("fastnn."))
        return {name: parameter.default for name, parameter in signature(ours).parameters.items()}

    @classmethod
    @functools.cache
    def _get_param_names(cls) -> list[str]:
        return super()._get_param_names()  # found once: searches ask for them many times a fit

    def _keep(self, arguments: Mapping[str, Any]) -> None:
        """Store the arguments of a constructor, its ``locals()``, unchanged and unchecked, as scikit-learn asks."""
        for name, value in arguments.items():
            if name != "self":
                setattr(self, name, value)

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Give parameters that are younger than a pickle their defaults."""
        super().__setstate__(self._defaults() | state)

    def _validate_params(self) -> None:
        """Check the parameters that are not at their defaults against ``_parameter_constraints``."""
        defaults, constraints = self._defaults(), self._parameter_constraints
        given = {name: getattr(self, name) for name in constraints}
        given = {name: value for name, value in given.items() if name not in defaults or value is not defaults[name]}
        constraints = {name: constraints[name] for name in given}
        validate_parameter_constraints(constraints, given, caller_name=type(self).__name__)
        if self.max_iter > MOST_EPOCHS:
            raise ValueError(f"max_iter must be at most {MOST_EPOCHS}; got {self.max_iter!r}")

    def _warn_of_idle_parameters(self) -> None:
        """Warn of parameters that were given and have no effect, as another one is not what they belong to."""
        for name, (other, needed) in _ONLY_WITH.items():
            given: Any = getattr(self, name, None)
            default: Any = self._defaults().get(name)
            if getattr(self, other) != needed and given is not default and not np.array_equal(given, default):
                warn(f"{name}={given!r} has no effect: it is for {other}={needed!r}, not {getattr(self, other)!r}")

    def _hidden_sizes(self) -> list[int]:
        """Neurons of each hidden layer, from `hidden_layer_sizes` or from `n_layers` and `width`.

        Raises
        ------
        ValueError
            For both at once, or a size that is not positive.
        TypeError
            For a size that is no whole number.
        """
        sizes = self.hidden_layer_sizes
        sizes = list(sizes) if np.iterable(sizes) else [sizes]
        if self.n_layers is not None or self.width is not None:
            if sizes != [_WIDTH]:
                raise ValueError(
                    f"hidden_layer_sizes={self.hidden_layer_sizes!r} and n_layers={self.n_layers}, width={self.width} "
                    "both say how large the network is: set either hidden_layer_sizes, or n_layers and width"
                )
            sizes = [self.width or _WIDTH] * (1 if self.n_layers is None else self.n_layers)
        if not all(isinstance(size, Integral) and not isinstance(size, bool) for size in sizes):
            raise TypeError(f"hidden_layer_sizes must be whole numbers, got {sizes}.")
        if any(size <= 0 for size in sizes):
            raise ValueError(f"hidden_layer_sizes must be > 0, got {sizes}.")
        if any(size >= MOST_SIZE for size in sizes):
            raise ValueError(f"hidden_layer_sizes must be < {MOST_SIZE}, got {sizes}.")
        return sizes

    def _layers(self, hidden_sizes: Sequence[int], normalization: str | None) -> list[Layer]:
        """Declare a network with hidden layers of these sizes, normalized or not.

        Raises
        ------
        ValueError
            For an unknown activation or an improper dropout rate, or a list of them that is not one for each layer.
        """
        penalty, count = L2(self.alpha / 2), len(hidden_sizes)
        functions = _for_each_layer("activation", self.activation, count)
        rates = _for_each_layer("dropout", self.dropout, count)
        layers: list[Layer] = []
        for units, function, rate in zip(hidden_sizes, functions, rates, strict=True):
            layers.append(Dense(units, kernel_regularizer=penalty))
            if normalization is not None:
                layers.append(NORMALIZATIONS[normalization]())
            layers.append(Activation(function))
            if rate:
                layers.append(Dropout(rate))
        return [*layers, Dense(self.n_outputs_, self.out_activation_, kernel_regularizer=penalty)]

    def _draw_weights(self, random_state: np.random.RandomState, dtype: np.dtype) -> list[np.ndarray]:
        """Draw weights and biases uniformly (Glorot and Bengio, 2010), in scikit-learn's order.

        Returns those of each layer in turn, and, behind those of a hidden layer, what its normalization starts with.
        """
        others = {None: (), "layer": (1.0, 0.0), "batch": (1.0, 0.0, 0.0, 1.0)}[self.normalization]
        sizes = [self.n_features_in_, *self._hidden_sizes(), self.n_outputs_]
        functions = _for_each_layer("activation", self.activation, len(sizes) - 2)
        if not functions and isinstance(self.activation, (str, activations.Activation)):
            functions = [self.activation]
        names = [activations.get(function).name for function in functions] or ["relu"]
        weights = []
        for (fan_in, fan_out), name in zip(pairwise(sizes), [*names, names[-1]], strict=False):
            bound = math.sqrt(_GLOROT_FACTOR.get(name, 6.0) / (fan_in + fan_out))
            weights.append(random_state.uniform(-bound, bound, (fan_in, fan_out)).astype(dtype))
            weights.append(random_state.uniform(-bound, bound, fan_out).astype(dtype))
            weights += [np.full(fan_out, value, dtype) for value in others]
        return weights[: len(weights) - len(others)]  # outputs are not normalized

    def _follows_schedule(self) -> bool:
        return isinstance(self.learning_rate, LearningRateSchedule) or self.learning_rate in SCHEDULES

    def _make_optimizer(self, steps_per_epoch: int) -> Optimizer:
        """Return the optimizer; a schedule that is given by name goes over the steps of `max_iter` epochs."""
        rate: Any = float(self.learning_rate_init)  # scikit-learn takes True and False for numbers
        if isinstance(self.learning_rate, LearningRateSchedule):
            rate = self.learning_rate
        elif self.learning_rate in SCHEDULES:
            rate = SCHEDULES[self.learning_rate](rate, self.max_iter * steps_per_epoch)
        names = _OWN_PARAMETERS.get(self.solver, ("beta_1", "beta_2", "epsilon"))
        own = {name: float(getattr(self, name)) for name in names}
        if self.solver == "sgd":
            own |= {"momentum": float(self.momentum), "nesterov": self.nesterovs_momentum}
        common = {name: getattr(self, name) for name in ("weight_decay", *CLIPPING) if getattr(self, name) is not None}
        return optimizers.get({"class_name": self.solver, "config": {"learning_rate": rate, **own, **common}})


def _for_each_layer(name: str, value: Any, layers: int) -> list:
    if isinstance(value, str) or not hasattr(value, "__len__") or getattr(value, "ndim", 1) == 0:
        return [value] * layers
    if len(value) != layers:
        raise ValueError(
            f"{name}={value!r} is a list for {len(value)} hidden layers, but there are {layers}: give one item for "
            f"each of them, or a single one for all"
        )
    return list(value)
