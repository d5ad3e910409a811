"""The network behind an estimator: its weights as attributes, and the engine that holds them for the programs."""

import contextlib
import operator
import os
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from sklearn.base import is_classifier

from fastnn.common.precisions import MIXED
from fastnn.engine.devices import resolve
from fastnn.engine.engine import Engine
from fastnn.engine.factory import make_engine
from fastnn.estimators.parameters import NetworkOptions
from fastnn.estimators.weights import assigned_weights, attributes, flattened
from fastnn.lowering.lower import lower
from fastnn.optimizers import Optimizer

_WEIGHTS = ("coefs_", "intercepts_", "normalizations_")
_fits: set[tuple[int, int, int]] = set()  # in progress: process, estimator and thread
_EDITABLE = (list, np.ndarray)  # a copy is compared, as they may be edited in place
_OF_ENGINE = ("_engine", "_engine_weights", "_engine_parameters")


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
    _engine_weights: list[np.ndarray]  # the `_kept` that it was given, or gave
    _kept: list[np.ndarray]  # the arrays of the attributes as they were left here
    _kept_dtype: np.dtype
    _engine_parameters: list[Any]

    @contextlib.contextmanager
    def _in_fit(self, what: str) -> Iterator[None]:
        """Refuse a fit within a fit of this estimator, and what would be lost at its end."""
        fit = os.getpid(), id(self), threading.get_ident()
        if fit in _fits:
            raise RuntimeError(
                f"{what} within a fit of the same estimator, that is by a callback or a handler of a signal, would mix "
                "up two trainings: do it before or after the fit"
            )
        _fits.add(fit)
        try:
            yield
        finally:
            _fits.discard(fit)

    def _is_in_fit(self) -> bool:
        return any(fit[:2] == (os.getpid(), id(self)) for fit in list(_fits))

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _WEIGHTS and _fits and self._is_in_fit():
            raise RuntimeError(
                f"{name} cannot be assigned within a fit of the estimator, whose end would replace it: do it before or "
                "after the fit; a callback can set the weights in training by self.model.set_weights"
            )
        super().__setattr__(name, value)

    @property
    def _computing_dtype(self) -> np.dtype:
        """Type that predictions and most fits compute in; ``dtype="auto"`` takes that of the weights."""
        if self.dtype == "auto":
            return self._weights_dtype()
        return np.dtype(np.float64 if self.dtype == "float64" else np.float32)

    def _weights_dtype(self) -> np.dtype:
        """Type of ``coefs_`` as scikit-learn's arithmetic takes it: float64 if one of them is."""
        single = all(getattr(coef, "dtype", None) == np.float32 for coef in self.coefs_)
        return np.dtype(np.float32 if single else np.float64)

    def _keep_weights(self, weights: Sequence[np.ndarray], dtype: Any = None) -> None:
        """Make the weights of an engine attributes, of another type if one is given."""
        kept = [array if dtype is None else array.astype(dtype, copy=False) for array in weights]
        for array in kept:  # who edits them in place is told, as the engine would not notice
            array.flags.writeable = False
        named = attributes(kept, self._normalization)
        self.__dict__.update(named, _kept=flattened(named), n_layers_=len(named["coefs_"]) + 1)
        self._kept_dtype = self._weights_dtype()
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
        lists = self.activation, self.dropout
        activation, dropout = (tuple(np.ravel(value)) if isinstance(value, _EDITABLE) else value for value in lists)
        return [
            activation, self.alpha, dropout, self.dtype, self.threads, self.device, self.jit_compile,
            self.out_activation_,
        ]  # fmt: skip

    def _get_engine(self) -> Engine:
        """Return the engine, holding ``coefs_`` and ``intercepts_``.

        It is made anew after unpickling, when a parameter that it was made for was set, and when weights of other
        shapes were assigned, whose optimizer begins anew.
        """
        changed = hasattr(self, "_engine") and self._parameters_of_engine() != self._engine_parameters
        if changed and not self._engine.in_fit:  # else the fit goes on as it began
            if self._engine.step:
                self._optimizer_state = self._engine.get_state()
            del self._engine  # the next one goes on with other parameters
        if not hasattr(self, "_engine"):
            self._take_assigned_weights()
            self._engine, self._engine_weights = self._new_engine(), self._kept
            self._engine_parameters = self._parameters_of_engine()
        elif self._has_other_weights():
            with self._engine.turn():
                if self._has_other_weights():  # still, if another thread was about to tell what it learned
                    self._take_assigned_weights()
                    weights = self._weights()
                    plan, shapes = self._engine.plan, [array.shape for array in weights]
                    if plan.weight_shapes == shapes and plan.dtype == self._computing_dtype:
                        self._engine.set_weights(weights)
                    else:
                        if self._engine.step:
                            self._optimizer_state = self._engine.get_state()
                        self._engine = self._new_engine()
                    self._engine_weights = self._kept
        return self._engine

    def _new_engine(self) -> Engine:
        """Return an engine with the present weights, and with the optimizer of partial fits where it was.

        It begins anew if its moments are those of another network.
        """
        engine = self._make_engine(MIXED if self.dtype == MIXED else self._computing_dtype.name)
        engine.set_weights(self._weights())
        if hasattr(self, "_optimizer"):
            engine.reset_optimizer(self._optimizer)
            state = self.__dict__.get("_optimizer_state")  # left there, as another thread may be making an engine too
            shapes = [place.shape for place in engine.plan.weights if place.trained]
            if state and all([moment.shape for moment in moments] == shapes for moments in state["moments"]):
                engine.set_state(state)
            else:
                self.__dict__.pop("_optimizer_state", None)
        return engine

    def _has_other_weights(self) -> bool:
        """Whether the attributes are not those that the engine was given, or gave, last."""
        return self._engine_weights is not self.__dict__.get("_kept") or self._weights_are_assigned()

    def _weights_are_assigned(self) -> bool:
        """Whether somebody else has set one of the attributes."""
        kept = self.__dict__.get("_kept")
        if kept is None or not (type(self.coefs_) is type(self.intercepts_) is list):
            return True
        try:
            now = flattened(self.__dict__)
        except TypeError:
            return True
        different = len(now) != len(kept) or self.n_layers_ != len(self.coefs_) + 1
        different |= ("normalizations_" in self.__dict__) != (self._normalization is not None)
        return different or not all(map(operator.is_, now, kept))

    def _take_assigned_weights(self) -> None:
        """Replace weights that somebody else has set by checked copies, so that they go on with theirs."""
        if self._weights_are_assigned():
            dtype = np.dtype(np.float64) if self.dtype == "auto" else self._computing_dtype
            self._keep_weights(assigned_weights(self, dtype))
            if not is_classifier(self):
                self.n_outputs_ = self.coefs_[-1].shape[1]

    def _forget_engine(self) -> None:
        for name in (*_OF_ENGINE, "_optimizer_state"):
            self.__dict__.pop(name, None)

    def __getstate__(self) -> dict[str, Any]:
        """Replace the engine by what it is rebuilt from: ``coefs_``, ``intercepts_`` and the optimizer's state."""
        state = {**super().__getstate__()}
        engine = self.__dict__.get("_engine")
        if engine is not None and engine.in_fit and engine.step and not self._has_other_weights():
            weights, optimizer_state, _ = engine.snapshot(bool)
            state |= attributes([weight.astype(self._kept_dtype) for weight in weights], self._normalization)
        else:
            optimizer_state = self._get_optimizer_state()
        for name in (*_OF_ENGINE, "_kept", "_kept_dtype"):
            state.pop(name, None)
        if optimizer_state is not None:
            state["_optimizer_state"] = optimizer_state
        return state

    def _get_optimizer_state(self) -> dict[str, Any] | None:
        """Counters and moments of the optimizer, None before its first step."""
        engine = self.__dict__.get("_engine")
        if engine is not None and engine.step:
            return engine.get_state()
        return self.__dict__.get("_optimizer_state")
