"""Every Numba option in one place: CPU features, fast-math flags, and how plain functions become programs.

Kernels are plain Python functions. ``program(function, dtype)`` rebuilds a function and all kernels it
calls for one element type: float constants become constants of that type (Numba would compute in float64
otherwise), formulas with precision-dependent coefficients pick theirs, and the primitives of ``scalar.py``
become single instructions. So each formula stands once, in Python, for every type and target.
"""

from __future__ import annotations

import functools
import gc
import importlib
import os
import types
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from .undisturbed import undisturbed

# NaN and infinity keep their meaning and sums keep their order: the same bits however the work is cut.
FASTMATH = {"nsz", "contract"}
OPTIONS = {"error_model": "numpy", "nogil": True, "fastmath": FASTMATH}

SIMD_LEVELS = {"avx512": 64, "avx2": 32, "neon": 16, "none": 0}  # name -> vector register width in bytes
FALLBACK_VECTOR_BYTES = 32  # panel width of the plain loops


undisturbed(importlib.import_module)("numba")  # half imported it would stay unusable


@functools.cache
def cpu_features() -> frozenset[str]:
    """Features of this CPU that compiled code may use; ``NUMBA_CPU_FEATURES`` overrides the detection."""
    from numba.core import config

    listed = config.CPU_FEATURES
    if listed is None:
        import llvmlite.binding

        try:
            listed = llvmlite.binding.get_host_cpu_features().flatten()
        except RuntimeError:  # LLVM cannot tell on this platform
            listed = ""
    return frozenset(name[1:] for name in listed.split(",") if name.startswith("+"))


@functools.cache
def simd_level() -> str:
    """The best of ``avx512``, ``avx2``, ``neon``, ``none`` here; ``FASTNN_SIMD`` asks for a lesser one.

    Raises
    ------
    ValueError
        If ``FASTNN_SIMD`` names no level, or one that this CPU lacks.
    """
    features = cpu_features()
    available = ["none"]
    if "neon" in features:
        available.append("neon")
    if {"avx2", "fma"} <= features:
        available.append("avx2")
    if {"avx512f", "avx512vl", "avx512dq"} <= features:
        available.append("avx512")
    wanted = os.environ.get("FASTNN_SIMD")
    if wanted and wanted not in available:
        raise ValueError(f"FASTNN_SIMD={wanted!r}: this CPU offers {', '.join(available)}; choose one or unset it")
    return wanted or available[-1]


def has_bfloat16() -> bool:
    """Whether programs of mixed precision run here: a CPU with products of bfloat16, and vectors to hold them."""
    return simd_level() == "avx512" and "avx512bf16" in cpu_features()


@functools.cache
def tile_choice() -> tuple[str, str]:
    """What multiplies tiles of bfloat16: ``amx``, ``emulated`` or ``none``; and, if not AMX, the reason.

    Where the CPU has AMX, the first call asks the system for permission to use it. ``FASTNN_AMX=off`` goes without;
    ``FASTNN_AMX=emulate`` computes what AMX would, slowly, for tests.

    Raises
    ------
    ValueError
        If ``FASTNN_AMX`` is something else.
    """
    wanted = os.environ.get("FASTNN_AMX")
    if wanted not in (None, "", "off", "emulate"):
        raise ValueError(f"FASTNN_AMX={wanted!r}: choose 'off' or 'emulate', or unset it to use AMX where there is any")
    if not has_bfloat16():
        return "none", "this CPU has no AVX512-BF16, or FASTNN_SIMD leaves it out"
    if wanted:
        return "none" if wanted == "off" else "emulated", f"FASTNN_AMX={wanted}"
    if not {"amx-tile", "amx-bf16"} <= cpu_features():
        return "none", "this CPU has no AMX"
    from .tiles import refusal

    reason = refusal()
    return ("none", reason) if reason else ("amx", "")


def vector_bytes() -> int:
    """Width in bytes of one panel of weights: a vector register, or the plain loops' unit."""
    return SIMD_LEVELS[simd_level()] or FALLBACK_VECTOR_BYTES


def lanes(dtype: np.dtype) -> int:
    """Elements of ``dtype`` in a vector, which is the width of a panel of weights."""
    return vector_bytes() // np.dtype(dtype).itemsize


def target_description() -> str:
    """All that decides which machine code is right here, for the key of the disk cache."""
    from numba.core import config

    parts = (config.CPU_NAME, config.OPT, config.BOUNDSCHECK, config.SLP_VECTORIZE, config.LOOP_VECTORIZE)
    return "|".join(map(str, (simd_level(), *parts, *sorted(cpu_features()))))


def _is_kernel(value: Any) -> bool:
    return isinstance(value, types.FunctionType) and value.__module__.startswith("fastnn.kernels.")


class PerType:
    """A global of a kernel module whose value is a function of the element type."""

    def __init__(self, value_for: Callable[[np.dtype], Any]) -> None:
        self.value_for = value_for


LANES = PerType(lanes)
NUMBER = PerType(lambda dtype: importlib.import_module("numba").from_dtype(dtype))  # converts to the element type


def specialised(function: Callable, dtype: np.dtype, twin: Callable[[Callable], Any]) -> types.FunctionType:
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
        return twin(value) if _is_kernel(value) else value

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


class Traits(NamedTuple):
    """What a program is made for; each has twins of some kernels, which replace them."""

    normalised: bool = False  # networks with normalizations, else there is no code for them
    clipped: bool = False  # training that clips gradients
    mixed: bool = False  # products of bfloat16, on tiles where there are any


PLAIN = Traits()


@functools.cache
def _twins(traits: Traits) -> list[dict]:
    """What replaces kernels in programs with these traits, one table after the other."""
    modules = []
    if traits.normalised:
        modules.append("normalised_cpu")
    if traits.clipped:
        modules.append("clipping_cpu")
    if traits.mixed:
        modules.append("mixed_cpu")
        if tile_choice()[0] != "none":
            modules.append("amx_cpu")
    return [importlib.import_module(f"fastnn.kernels.{module}").TWINS for module in modules]


def _for_cpu(function: Callable, dtype: np.dtype, traits: Traits, **options: Any) -> Any:
    import numba

    copy = specialised(function, dtype, lambda kernel: _inner(kernel, dtype, traits))
    return numba.njit(**OPTIONS, **options)(copy)


@functools.cache
def _inner(function: Callable, dtype: np.dtype, traits: Traits) -> Any:
    """Dispatcher of a kernel that programs call; it must not be called from Python."""
    from numba.types import unliteral

    from . import intrinsics, scalar
    from .linking import InnerCompiler

    for twins in _twins(traits):
        function = twins.get(function, function)
    if function.__name__ in scalar.PRIMITIVES:
        return getattr(intrinsics, function.__name__)
    if function.__name__ in scalar.BY_PRECISION:
        function = scalar.BY_PRECISION[function.__name__][dtype.itemsize == 8]
    options = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True, "pipeline_class": InnerCompiler}
    dispatcher = _for_cpu(function, dtype, traits, **options)
    typed = dispatcher.get_call_template
    # Numba would compile a kernel again for every combination of constants that it is called with
    dispatcher.get_call_template = lambda arguments, named: typed(tuple(map(unliteral, arguments)), named)
    return dispatcher


_programs: dict[tuple, Any] = {}


def program(function: Callable, dtype: np.dtype, variant: str = "", **traits: bool) -> Any:
    """Compiled entry point that Python calls, for element type ``dtype``; kept in the disk cache.

    A dispatcher has one signature. Where arguments come in several types, ``variant`` names the one of this program.
    ``traits`` are those of ``Traits``.
    """
    key = (function, dtype, variant, Traits(**traits))
    if key not in _programs:
        _programs.setdefault(key, undisturbed(_program)(*key))
    return _programs[key]


def _with_settings(compile_program: Callable) -> Callable:
    """Compile with Numba set up for kernels, for as long as it takes."""

    @functools.wraps(compile_program)
    def call(*arguments, **options):
        from numba.core import config
        from numba.core.compiler_lock import global_compiler_lock

        with global_compiler_lock:
            kept = gc.isenabled(), config.LOOP_VECTORIZE, config.SLP_VECTORIZE
            try:
                gc.disable()  # the collector finds little garbage in the millions of objects of a compilation
                if simd_level() != "none":  # vectorised by hand; more would only make more code
                    config.LOOP_VECTORIZE = config.SLP_VECTORIZE = 0
                return compile_program(*arguments, **options)
            finally:
                collects, config.LOOP_VECTORIZE, config.SLP_VECTORIZE = kept
                if collects:
                    if gc.get_freeze_count() == 0:  # as if it were old: nobody need search it now
                        gc.freeze()
                        gc.unfreeze()
                    gc.enable()

    return call


def _program(function: Callable, dtype: np.dtype, variant: str = "", traits: Traits = PLAIN) -> Any:
    from .cache import ProgramCache
    from .linking import ProgramCompiler

    dispatcher = _for_cpu(function, dtype, traits, no_cfunc_wrapper=True, pipeline_class=ProgramCompiler)
    name = dispatcher.py_func.__qualname__ + variant
    for trait, present in traits._asdict().items():
        name += f"_{trait}" * present
    if traits.mixed and tile_choice()[0] != "none":
        name += f"_{tile_choice()[0]}"
    dispatcher._cache = ProgramCache(name, target_description())
    dispatcher.compile = undisturbed(_with_settings(dispatcher.compile))
    return dispatcher
