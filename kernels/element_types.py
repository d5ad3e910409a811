"""Functions of kernels copied for one element type, and globals of theirs that depend on it."""

from __future__ import annotations

import importlib
import types
from collections.abc import Callable
from typing import Any

import numpy as np

from .host.cpu import lanes


def is_kernel(value: Any) -> bool:
    """Whether a value is a plain function of a kernel module."""
    return isinstance(value, types.FunctionType) and value.__module__.startswith("fastnn.kernels.")


class PerType:
    """A global of a kernel module whose value is a function of the element type."""

    def __init__(self, value_for: Callable[[np.dtype], Any]) -> None:
        self.value_for = value_for


LANES = PerType(lanes)
NUMBER = PerType(lambda dtype: importlib.import_module("numba").from_dtype(dtype))  # converts to the element type


def specialized(function: Callable, dtype: np.dtype, twin: Callable[[Callable], Any]) -> types.FunctionType:
    """Copy ``function`` for one element type: float constants cast, every kernel it calls replaced by its twin.

    Parameters
    ----------
    function : plain function of a kernel module
    dtype : element type
    twin : callable
        Maps a kernel to its compiled form for the same type and target.
    """

    def adapted(value: Any) -> Any:
        if type(value) is float:
            return dtype.type(value)
        if type(value) is tuple:
            return tuple(map(adapted, value))
        if isinstance(value, PerType):
            return value.value_for(dtype)
        return twin(value) if is_kernel(value) else value

    code = function.__code__
    code = code.replace(co_consts=tuple(map(adapted, code.co_consts)))
    scope = dict(function.__globals__)
    scope.update({name: adapted(scope[name]) for name in code.co_names if name in scope})
    closure = tuple(types.CellType(adapted(cell.cell_contents)) for cell in function.__closure__ or ())
    name = f"{function.__name__}_{dtype.name}"
    copy = types.FunctionType(code, scope, name, function.__defaults__, closure)
    copy.__qualname__ = copy.__name__
    copy.__module__ = function.__module__
    copy.__doc__ = function.__doc__
    return copy
