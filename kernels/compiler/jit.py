"""Every Numba option in one place: fast-math flags, and how plain functions become programs.

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
from typing import Any, NamedTuple

import numpy as np

from ..element_types import PerType, is_kernel, specialised
from ..host.cpu import simd_level, target_description, tile_choice
from ..host.numba_settings import prescribed
from ..host.room import check_room
from ..host.uninterrupted import imported, undisturbed

# NaN and infinity keep their meaning and sums keep their order: the same bits however the work is cut. Multiply-adds
# are not fused, as the compiler would do it in one program and not in another.
FASTMATH = {"nsz"}
IN_FLOAT64 = "fastnn.kernels.cpu.output_links"  # its kernels compute in float64 in programs of any element type
ROOM_TO_LOAD = 32  # MiB, for one program
ROOM_TO_BEGIN = 128  # MiB, for what Numba imports at its first
OPTIONS = {"error_model": "numpy", "nogil": True, "fastmath": FASTMATH}


class Traits(NamedTuple):
    """What a program is made for; each has twins of some kernels, which replace them."""

    normalised: bool = False  # networks with normalizations, else there is no code for them
    clipped: bool = False  # training that clips gradients
    mixed: bool = False  # products of bfloat16, on tiles where there are any


PLAIN = Traits()


@functools.cache
def _twins(traits: Traits) -> list[dict]:
    """What replaces kernels in programs with these traits, one table after the other."""
    modules: list[Any] = []
    if traits.normalised:
        from ..cpu import variants

        modules.append(variants)
    if traits.clipped:
        from ..cpu import clipping

        modules.append(clipping)
    if traits.mixed:
        from ..cpu import mixed as mixed_cpu

        modules.append(mixed_cpu)
        if tile_choice()[0] != "none":
            from ..cpu import amx

            modules.append(amx)
    return [module.TWINS for module in modules]


def _twin(function: Any, traits: Traits) -> Any:
    """What programs with these traits have in the place of a kernel."""
    for twins in _twins(traits):
        function = twins.get(function, function)
    return function


def _for_cpu(
    function: Callable,
    dtype: np.dtype,
    traits: Traits,
    pipeline_class: type,
    twin: Callable[[Callable], Any] | None = None,
    **options: Any,
) -> Any:
    from numba.core.registry import CPUDispatcher

    copy = specialised(function, dtype, twin or (lambda kernel: _inner(kernel, dtype, traits)))
    # what numba.njit makes, but where NUMBA_DISABLE_JIT tells that to leave functions as they are
    return CPUDispatcher(
        copy,
        targetoptions={"nopython": True, "boundscheck": None, **OPTIONS, **options},
        pipeline_class=pipeline_class,
    )


@functools.cache
def _inner(function: Callable, dtype: np.dtype, traits: Traits) -> Any:
    """What programs call in the place of a kernel; it must not be called from Python."""
    from ..formulas import elementary
    from ..llvm import instructions

    function = _twin(function, traits)
    if function.__module__ == IN_FLOAT64:
        dtype = np.dtype(np.float64)
    if function.__name__ in elementary.PRIMITIVES:
        return getattr(instructions, function.__name__)
    if function.__name__ in elementary.BY_PRECISION:
        function = elementary.BY_PRECISION[function.__name__][dtype.itemsize == 8]
    return _dispatcher(function, dtype, traits)


def _dispatcher(
    function: Callable, dtype: np.dtype, traits: Traits, twin: Callable[[Callable], Any] | None = None
) -> Any:
    """Dispatcher of a kernel that programs call; other kernels that it calls are found by ``twin``."""
    from numba.types import unliteral

    from .linking import InnerCompiler

    dispatcher = _for_cpu(
        function, dtype, traits, InnerCompiler, twin, no_cpython_wrapper=True, no_cfunc_wrapper=True
    )
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


def program(function: Callable, dtype: np.dtype, variant: str = "", known: Known = (), **traits: bool) -> Any:
    """Compiled entry point that Python calls, for element type ``dtype``; kept in the disk cache.

    A dispatcher has one signature. Where arguments come in several types, ``variant`` names the one of this program.
    ``known`` are names and values of arguments that it is made for, see ``partial_evaluation.py``; calls give them all
    the same. ``traits`` are those of ``Traits``.
    """
    key = (function, dtype, variant, Traits(**traits), known)
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
        # vectorised by hand; more would only make more code
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


def _program(
    function: Callable, dtype: np.dtype, variant: str = "", traits: Traits = PLAIN, known: Known = ()
) -> Any:
    from .linking import NetworkCompiler, ProgramCompiler
    from .network_programs import NetworkCache
    from .program_cache import ProgramCache

    target = target_description()  # before Numba looks at its settings: they are checked
    pipeline = NetworkCompiler if known else ProgramCompiler
    dispatcher = _for_cpu(function, dtype, traits, pipeline, no_cfunc_wrapper=True)
    name = dispatcher.py_func.__name__ + variant
    for trait, present in traits._asdict().items():
        name += f"_{trait}" * present
    if traits.mixed and tile_choice()[0] != "none":
        name += f"_{tile_choice()[0]}"
    if known:
        name += f"_for_{_digest(repr(known))}"
    # Numba makes the symbol of it; its own count of functions may be the same for two programs of two processes
    dispatcher.py_func.__qualname__ = f"{name}_on_{_digest(target)}"
    dispatcher._cache = (NetworkCache if known else ProgramCache)(name, target)
    if known:
        _rewrite(dispatcher, function, dtype, traits, known)
    compile_program, itself = type(dispatcher).compile, weakref.ref(dispatcher)  # a cycle would keep its machine code
    dispatcher.compile = undisturbed(_with_settings(lambda signature: compile_program(itself(), signature)))
    return dispatcher


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _rewrite(dispatcher: Any, function: Callable, dtype: np.dtype, traits: Traits, known: Known) -> None:
    """Let a dispatcher compile what is left of its function for known arguments, when it is not found on disk."""
    from .network_programs import forget

    compiler, cache, target_context = dispatcher._compiler, dispatcher._cache, dispatcher.targetctx
    compile_function = compiler.compile

    def call(*signature: Any) -> Any:
        kernels: list[Any] = []
        general, compiler.py_func = compiler.py_func, _for_known(function, dtype, traits, known, kernels)
        compiler.py_func.__qualname__ = general.__qualname__
        try:
            return cache.loaded(target_context, compile_function(*signature))
        finally:
            compiler.py_func = general
            forget(kernels)

    compiler.compile = call


def _for_known(
    function: Callable, dtype: np.dtype, traits: Traits, known: Known, kernels: list[Any]
) -> types.FunctionType:
    """What is left of a program's function for known arguments, ready to be compiled.

    Dispatchers made for this program alone are added to ``kernels``.
    """
    from ..formulas import elementary
    from .partial_evaluation import UNKNOWN, Evaluator

    def stands_for(value: Any) -> Callable | None:
        if not is_kernel(value) or value.__name__ in {*elementary.PRIMITIVES, *elementary.BY_PRECISION}:
            return None
        twin = _twin(value, traits)
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
            return _inner(kernel, dtype, traits)
        kernels.append(_dispatcher(kernel, dtype, traits, compiled))
        return kernels[-1]

    return specialised(left, dtype, compiled)
