"""The network behind an estimator: its weights as attributes, and the engine that holds them for the programs."""

import operator
from typing import Any

import numpy as np

from fastnn.backend import Engine, make_engine
from fastnn.devices import resolve
from fastnn.estimator_options import NetworkOptions
from fastnn.optimizers import Optimizer
from fastnn.plan import MIXED, lower

_ARRAYS_PER_LAYER = {None: 2, "layer": 4, "batch": 6}  # of a hidden layer


class EngineKeeper(NetworkOptions):
    """Keeps an engine in step with ``coefs_``, ``intercepts_`` and ``normalizations_``."""

    dtype: str
    device: str | None
    threads: int | None
    jit_compile: bool | str
    time_limit: float | None
    coefs_: list[np.ndarray]
    intercepts_: list[np.ndarray]
    normalizations_: list[tuple[np.ndarray, ...]]
    _normalization: str | None = None  # of the network that was drawn last
    _optimizer: Optimizer
    _engine: Engine
    _engine_weights: list[np.ndarray]
    _engine_parameters: list[Any]

    def _named_weights(self, weights: list[np.ndarray]) -> dict[str, list]:
        """Return what the weights of an engine are as attributes."""
        step = _ARRAYS_PER_LAYER[self._normalization]
        named: dict[str, list] = {"coefs_": weights[::step], "intercepts_": weights[1::step]}
        if step > 2:
            hidden = range(0, len(weights) - 2, step)
            named["normalizations_"] = [tuple(weights[first + 2 : first + step]) for first in hidden]
        return named

    def _keep_weights(self, weights: list[np.ndarray]) -> None:
        for array in weights:  # who edits them in place is told, as the engine would not notice
            array.flags.writeable = False
        named = self._named_weights(weights)
        self.__dict__.update(named)
        if "normalizations_" not in named:
            self.__dict__.pop("normalizations_", None)

    def _make_engine(self, dtype: Any) -> Engine:
        """Return a new engine without weights."""
        layers = self._layers([coef.shape[1] for coef in self.coefs_[:-1]], self._normalization)
        plan = lower(layers, self.n_features_in_, dtype, l2_per_row=True, device=resolve(self.device))
        engine = make_engine(plan, self.device, self.threads)
        unasked = self.jit_compile == "auto"
        engine.jit_compile = False if unasked and self.time_limit is not None else self.jit_compile
        return engine

    def _weights(self) -> list[np.ndarray]:
        """Return ``coefs_``, ``intercepts_`` and ``normalizations_`` in the order of an engine."""
        others = [*getattr(self, "normalizations_", [()] * (len(self.coefs_) - 1)), ()]
        layers = zip(self.coefs_, self.intercepts_, others, strict=True)
        return [array for coef, intercept, other in layers for array in (coef, intercept, *other)]

    def _parameters_of_engine(self) -> list[Any]:
        """Return the parameters that an engine is made for, and that may be set between two calls."""
        return [
            self.activation, self.alpha, self.dropout, self.dtype, self.threads, self.device, self.jit_compile
        ]  # fmt: skip

    def _get_engine(self) -> Engine:
        """Return the engine, holding ``coefs_`` and ``intercepts_``.

        It is made anew after unpickling, and when a parameter that it was made for was set.
        """
        parameters = self._parameters_of_engine()
        if hasattr(self, "_engine") and any(map(operator.is_not, parameters, self._engine_parameters)):
            if self._engine.step:
                self._optimizer_state = self._engine.get_state()
            del self._engine  # the next one goes on with other parameters
        if not hasattr(self, "_engine"):
            engine = self._make_engine(MIXED if self.dtype == MIXED else self.coefs_[0].dtype.name)
            if hasattr(self, "_optimizer"):
                engine.reset_optimizer(self._optimizer)
                if hasattr(self, "_optimizer_state"):
                    engine.set_state(self._optimizer_state)
            self._engine, self._engine_weights, self._engine_parameters = engine, [], parameters
        if self._has_other_weights():
            with self._engine.turn():
                if self._has_other_weights():  # still, if another thread was about to tell what it learned
                    weights = self._weights()
                    self._engine.set_weights(weights)
                    self._keep_weights([np.array(array) for array in weights])  # whoever set them goes on with theirs
                    self._engine_weights = self._weights()
        return self._engine

    def _has_other_weights(self) -> bool:
        """Whether the attributes are not those that the engine was given, or gave, last."""
        return [id(array) for array in self._weights()] != [id(array) for array in self._engine_weights]

    def _forget_engine(self) -> None:
        for name in ("_engine", "_engine_weights", "_engine_parameters", "_optimizer_state"):
            self.__dict__.pop(name, None)

    def __getstate__(self) -> dict[str, Any]:
        """Replace the engine by what it is rebuilt from: ``coefs_``, ``intercepts_`` and the optimizer's state."""
        state = {**super().__getstate__()}
        for name in ("_engine", "_engine_weights", "_engine_parameters"):
            state.pop(name, None)
        optimizer_state = self._get_optimizer_state()
        if optimizer_state is not None:
            state["_optimizer_state"] = optimizer_state
        return state

    def _get_optimizer_state(self) -> dict[str, Any] | None:
        """Counters and moments of the optimizer, None before its first step."""
        engine = self.__dict__.get("_engine")
        if engine is not None and engine.step:
            return engine.get_state()
        return self.__dict__.get("_optimizer_state")
