"""Every Numba option: fast-math flags, and how plain functions become programs.

Kernels are plain Python functions. ``program(function, dtype)`` rebuilds a function and all kernels it
calls for one element type: float constants become constants of that type (Numba would compute in float64
otherwise), formulas with precision-dependent coefficients pick theirs, and the primitives of ``formulas/elementary.py``
become single instructions. So each formula stands once, in Python, for every type and target.
"""

from __future__ import annotations

import functools
import gc
import hashlib
import inspect
import sys
import types
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..element_types import PerType, is_kernel, specialized
from ..host.cpu import simd_level, target_description
from ..host.numba_settings import prescribed
from ..host.room import check_room
from ..host.uninterrupted import imported, undisturbed

# NaN and infinity keep their meaning and sums keep their order: the same bits however the work is cut. Multiply-adds
# are not fused, as the compiler would do it in one program and not in another.
FASTMATH = {"nsz"}
ROOM_TO_LOAD = 32  # MiB, for one program
ROOM_TO_BEGIN = 128  # MiB, for what Numba imports at its first
OPTIONS = {"error_model": "numpy", "nogil": True, "fastmath": FASTMATH}


@dataclass(frozen=True)
class Twins:
    """Kernels that replace others in some programs.

    Attributes
    ----------
    suffix : str
        Tells these programs from others: their names end in it.
    tables : tuple of dict
        Replacements by the kernels that they replace, one table after the other.
    """

    suffix: str = ""
    tables: tuple[dict, ...] = field(default=(), compare=False, repr=False)

    def of(self, function: Any) -> Any:
        """What these programs have instead of a kernel, or the kernel."""
        for table in self.tables:
            function = table.get(function, function)
        return function


NO_TWINS = Twins()


def _for_cpu(
    function: Callable,
    dtype: np.dtype,
    twins: Twins,
    pipeline_class: type,
    twin: Callable[[Callable], Any] | None = None,
    **options: Any,
) -> Any:
    from numba.core.registry import CPUDispatcher

    copy = specialized(function, dtype, twin or (lambda kernel: _inner(kernel, dtype, twins)))
    # what numba.njit makes, but where NUMBA_DISABLE_JIT tells that to leave functions as they are
    return CPUDispatcher(
        copy,
        targetoptions={"nopython": True, "boundscheck": None, **OPTIONS, **options},
        pipeline_class=pipeline_class,
    )


@functools.cache
def _inner(function: Callable, dtype: np.dtype, twins: Twins) -> Any:
    """What programs call for a kernel; it must not be called from Python."""
    from ..formulas import elementary
    from ..llvm import instructions

    function = twins.of(function)
    dtype = function.__globals__.get("ELEMENT_TYPE", dtype)  # a module may have one in programs of any type
    if function.__name__ in elementary.PRIMITIVES:
        return getattr(instructions, function.__name__)
    if function.__name__ in elementary.BY_PRECISION:
        function = elementary.BY_PRECISION[function.__name__][dtype.itemsize == 8]
    return _dispatcher(function, dtype, twins)


def _dispatcher(
    function: Callable, dtype: np.dtype, twins: Twins, twin: Callable[[Callable], Any] | None = None
) -> Any:
    """Dispatcher of a kernel that programs call; other kernels that it calls are found by ``twin``."""
    from numba.types import unliteral

    from .linking import InnerCompiler

    dispatcher = _for_cpu(function, dtype, twins, InnerCompiler, twin, no_cpython_wrapper=True, no_cfunc_wrapper=True)
    typed = dispatcher.get_call_template
    # Numba would compile a kernel again for every combination of constants that it is called with
    dispatcher.get_call_template = lambda arguments, named: typed(tuple(map(unliteral, arguments)), named)
    return dispatcher


def kernels(name: str) -> Any:
    """Return a module of kernels, which is imported whole."""
    return imported(f"fastnn.kernels.{name}")


KEPT_NETWORKS = 64  # programs for single networks that a process keeps; there may be thousands in a search
Known = tuple[tuple[str, Any], ...]
_programs: dict[tuple, Any] = {}


def program(function: Callable, dtype: np.dtype, variant: str = "", known: Known = (), twins: Twins = NO_TWINS) -> Any:
    """Compiled entry point that Python calls, for element type ``dtype``; kept in the disk cache.

    A dispatcher has one signature, and behind it, once that is compiled, the function ``entry_point``. Where arguments
    come in several types, ``variant`` names the one of this program. ``known`` are names and values of arguments that
    it is made for, see ``partial_evaluation.py``; calls give them all the same. ``twins`` replace kernels in
    it, see ``cpu/variants.py``.
    """
    key = (function, dtype, variant, twins, known)
    found = _programs.get(key)
    if found is None:
        found = undisturbed(_kept)(key)
    return found


def _kept(key: tuple) -> Any:
    """Make a program, unless another thread has made it, and free the oldest of those for networks.

    That takes Python code, which no interrupt must strike: so it is done here, and not when a run ends.
    """
    if key not in _programs:
        _programs[key] = _program(*key)
    for oldest in [each for each in list(_programs) if each[-1]][:-KEPT_NETWORKS]:
        program = _programs.pop(oldest)
        if sys.getrefcount(program) > 2:  # a run works with it
            _programs[oldest] = program
    return _programs[key]


def _with_settings(compile_program: Callable) -> Callable:
    """Compile with Numba set up for kernels, for as long as it takes."""

    @functools.wraps(compile_program)
    def call(*arguments, **options):
        from numba.core.compiler_lock import global_compiler_lock

        check_room(ROOM_TO_LOAD if "scipy.linalg" in sys.modules else ROOM_TO_BEGIN, "loading a compiled program")
        # vectorized by hand; more would only make more code
        by_hand = {} if simd_level() == "none" else {"LOOP_VECTORIZE": 0, "SLP_VECTORIZE": 0}
        with global_compiler_lock, prescribed(**by_hand):
            collects = gc.isenabled()
            try:
                gc.disable()  # the collector finds little garbage in the millions of objects of a compilation
                return compile_program(*arguments, **options)
            finally:
                if collects:
                    if gc.get_freeze_count() == 0:  # as if it were old: nobody need search it now
                        gc.freeze()
                        gc.unfreeze()
                    gc.enable()

    return call


def _program(function: Callable, dtype: np.dtype, variant: str = "", twins: Twins = NO_TWINS, known: Known = ()) -> Any:
    from .linking import NetworkCompiler, ProgramCompiler
    from .network_programs import NetworkCache
    from .program_cache import ProgramCache

    target = target_description()  # before Numba looks at its settings: they are checked
    pipeline = NetworkCompiler if known else ProgramCompiler
    dispatcher = _for_cpu(function, dtype, twins, pipeline, no_cfunc_wrapper=True)
    name = dispatcher.py_func.__name__ + variant + twins.suffix
    if known:
        name += f"_for_{_digest(repr(known))}"
    # Numba makes the symbol of it; its own count of functions may be the same for two programs of two processes
    dispatcher.py_func.__qualname__ = f"{name}_on_{_digest(target)}"
    dispatcher._cache = (NetworkCache if known else ProgramCache)(name, target)
    if known:
        _rewrite(dispatcher, function, dtype, twins, known)
    compile_program, itself = type(dispatcher).compile, weakref.ref(dispatcher)  # a cycle would keep its machine code

    def compiled(signature: Any) -> Callable:
        dispatcher: Any = itself()
        dispatcher.entry_point = compile_program(dispatcher, signature)
        return dispatcher.entry_point

    dispatcher.entry_point, dispatcher.compile = None, undisturbed(_with_settings(compiled))
    return dispatcher


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _rewrite(dispatcher: Any, function: Callable, dtype: np.dtype, twins: Twins, known: Known) -> None:
    """Let a dispatcher compile what is left of its function for known arguments, when it is not found on disk."""
    from .network_programs import forget

    compiler, cache, target_context = dispatcher._compiler, dispatcher._cache, dispatcher.targetctx
    compile_function = compiler.compile

    def call(*signature: Any) -> Any:
        kernels: list[Any] = []
        general, compiler.py_func = compiler.py_func, _for_known(function, dtype, twins, known, kernels)
        compiler.py_func.__qualname__ = general.__qualname__
        try:
            return cache.loaded(target_context, compile_function(*signature))
        finally:
            compiler.py_func = general
            forget(kernels)

    compiler.compile = call


def _for_known(
    function: Callable, dtype: np.dtype, twins: Twins, known: Known, kernels: list[Any]
) -> types.FunctionType:
    """What is left of a program's function for known arguments, ready to be compiled.

    Dispatchers made for this program alone are added to ``kernels``.
    """
    from ..formulas import elementary
    from .partial_evaluation import UNKNOWN, Evaluator

    def stands_for(value: Any) -> Callable | None:
        if not is_kernel(value) or value.__name__ in {*elementary.PRIMITIVES, *elementary.BY_PRECISION}:
            return None
        twin = twins.of(value)
        return twin if is_kernel(twin) else None

    def constant(value: Any) -> Any:
        value = value.value_for(dtype) if isinstance(value, PerType) else value
        return value if isinstance(value, int) else UNKNOWN

    evaluator, given = Evaluator(stands_for, constant), dict(known)
    values = tuple(given.get(name, UNKNOWN) for name in inspect.signature(function).parameters)
    left = evaluator.residual(function, values, entry=True).function
    rewritten = evaluator.functions

    @functools.cache
    def compiled(kernel: Callable) -> Any:
        if kernel not in rewritten:
            return _inner(kernel, dtype, twins)
        kernels.append(_dispatcher(kernel, dtype, twins, compiled))
        return kernels[-1]

    return specialized(left, dtype, compiled)
