"""How plain functions become CUDA kernels: with ``cuda/device.py`` all that knows the packages behind them.

``kernel(function, dtype)`` copies a function and all it calls for one element type, as ``jit.program`` does for the
CPU. On a GPU a vector has one element: ``LANES`` is 1, a vector loop becomes a plain loop, and code of the CPU that
is written with them works as it stands. With ``NUMBA_ENABLE_CUDASIM=1`` the same source runs as plain Python.
"""

from __future__ import annotations

import functools
import hashlib
import os
import types
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

# isort: off
from ..element_types import PerType, specialized  # imports numba first, so that no interrupt leaves it half imported
from ..formulas import elementary

# isort: on
from numba import cuda

from ..compiler.jit import NO_TWINS, Twins
from ..compiler.program_cache import ProgramCache
from ..host.numba_settings import deciding
from .plain_loops import plain_loop

SIMULATED = bool(cuda.config.ENABLE_CUDASIM)
# Functions of the CPU that are not inlined: large ones side by side would need more registers than there are.
APART = (
    "activation_forward", "activation_backward", "derivatives", "elementwise_row", "loss_row",
    "metric_row", "normalize_backward_share", "normalize_forward_share", "row_metrics", "shuffle", "simple_forward",
    "softmax",
)  # fmt: skip

if SIMULATED:

    def at(base, offset):
        """View of an array from element ``offset`` on: what stands for a pointer."""
        return base[offset:]

    def apart():
        """Nothing here; see below."""

    FLOATS: dict[int, dict[str, Any]] = {
        size: {name: getattr(elementary, name) for name in elementary.PRIMITIVES} for size in (4, 8)
    }
else:
    import math
    from importlib import metadata

    from numba.cuda import dispatcher as cuda_dispatcher
    from numba.cuda import libdevice, serialize
    from numba.cuda import types as cuda_types
    from numba.cuda.extending import intrinsic
    from numba.cuda.np import numpy_support
    from numba.cuda.types import unliteral

    @intrinsic
    def at(typingctx, base, offset):
        """Pointer to element ``offset`` of an array or behind a pointer."""

        def codegen(context, builder, signature, arguments):
            address, offset = arguments
            if isinstance(base, cuda_types.Array):
                address = context.make_array(base)(context, builder, address).data
            return builder.gep(address, [offset])

        return cuda_types.CPointer(base.dtype)(base, cuda_types.intp), codegen

    @intrinsic
    def apart(typingctx):
        """Keep the function that this stands in from being inlined."""

        def codegen(context, builder, signature, arguments):
            builder.function.attributes.add("noinline")
            return context.get_dummy_value()

        return cuda_types.void(), codegen

    def _primitives(kind, integer, bits, value, floor, mantissa_bits, bias, root_half):
        """``elementary.PRIMITIVES`` of one element type, through its bit pattern."""

        def pow2(n):
            return value(integer((integer(n) + bias) << mantissa_bits))

        def exponent(x):
            return kind((bits(x) - root_half) >> mantissa_bits)

        def mantissa(x):
            pattern = bits(x)
            return value(integer(pattern - (((pattern - root_half) >> mantissa_bits) << mantissa_bits)))

        def sqrt(x):
            return math.sqrt(x)

        def absolute(x):
            return abs(x)

        def select(condition, x, y):
            return x if condition else y

        functions = (pow2, exponent, mantissa, sqrt, absolute, select)
        made = {function.__name__: cuda.jit(device=True)(function) for function in functions}
        return {**made, "floor": floor}

    FLOATS = {
        4: _primitives(
            np.float32, np.int32, libdevice.float_as_int, libdevice.int_as_float, libdevice.floorf, 23, 127, 0x3F3504F3
        ),
        8: _primitives(
            np.float64, np.int64, libdevice.double_as_longlong, libdevice.longlong_as_double, libdevice.floor, 52, 1023,
            0x3FE6A09E667F3BCD,
        ),
    }  # fmt: skip

    class KernelCache(ProgramCache):
        """The disk cache of a kernel: a file for each signature."""

        def __init__(self, name: str) -> None:
            capability = cuda.get_current_device().compute_capability
            parts = ("cuda", metadata.version("numba-cuda"), capability, *deciding(cuda.config).items())
            super().__init__(name, "|".join(map(str, parts)))
            self._folder, self._name = self.path and self.path.parent, name

        def load_overload(self, signature: Any, target_context: Any) -> Any:
            digest = hashlib.sha256(str(signature).encode()).hexdigest()[:16]
            self.path = self._folder and self._folder / f"{self._name}-{digest}.bin"
            return super().load_overload(signature, target_context)

        def _payload(self, signature: str, result: Any) -> bytes:
            return serialize.dumps((signature, result._reduce_states()))

        def _restored(self, target_context: Any, reduced: Any) -> Any:
            return cuda_dispatcher._Kernel._rebuild(**reduced)


ELEMENT = PerType(lambda dtype: dtype if SIMULATED else numpy_support.from_dtype(dtype))  # type of shared arrays


def barrier(sync, size):
    """Wait for all threads of the block, as ``team.barrier`` does for those of a team."""
    cuda.syncthreads()
    return True


def _copy(function: Callable, dtype: np.dtype, twins: Twins) -> types.FunctionType:
    """Copy a function for one element type; all it calls becomes device code."""
    copy = specialized(function, dtype, lambda kernel: _device(kernel, dtype, twins))
    for name in copy.__code__.co_names:
        value: Any = copy.__globals__.get(name)
        if name in FLOATS[dtype.itemsize]:
            copy.__globals__[name] = FLOATS[dtype.itemsize][name]
        elif name == "at":
            copy.__globals__[name] = at
        elif name in ("LANES", "NUMBER"):
            copy.__globals__[name] = 1 if name == "LANES" else dtype.type
        elif hasattr(value, "loop"):
            copy.__globals__[name] = _device(plain_loop(value.loop), dtype, twins)
    return copy


@functools.cache
def _device(function: Callable, dtype: np.dtype, twins: Twins) -> Any:
    """Device function that kernels call."""
    function = twins.of(function)
    name = function.__name__
    if name in elementary.PRIMITIVES:
        return FLOATS[dtype.itemsize][name]
    if name in elementary.BY_PRECISION:
        function = elementary.BY_PRECISION[name][dtype.itemsize == 8]
    if name == "barrier":
        function = barrier
    copy = _copy(function, dtype, twins)
    if SIMULATED and "cuda" not in copy.__code__.co_names:
        return copy
    made = _device_code(copy)
    return made if SIMULATED or name not in APART else _device_code(_kept_apart(made))


def _device_code(function: Callable) -> Any:
    """Compile a device function, once for all constants that it is called with."""
    dispatcher = cuda.jit(device=True)(function)
    if not SIMULATED:
        typed = dispatcher.get_call_template
        dispatcher.get_call_template = lambda arguments, named: typed(tuple(map(unliteral, arguments)), named)
    return dispatcher


def _kept_apart(function: Any) -> Callable:
    """Wrap a device function so that it is not inlined."""

    def call(*arguments):
        apart()
        return function(*arguments)

    return call


@dataclass(frozen=True)
class Entry:
    """What is known of a function that is launched.

    It takes numbers and arrays one by one, however many: Numba's simulator knows no other arguments. What it calls gets
    pointers, in records (``cuda/records.py``) where they travel together.

    Attributes
    ----------
    arguments : str
        A letter for each argument: a number, or in upper case an array of one dimension. ``n`` is the element type,
        ``x`` that or uint8, ``u`` uint8, ``s`` any real numbers, ``i`` int64, ``j`` int32, ``d`` float64.
    threads : most threads of a block: the fewer, the more registers each may have
    dtypes : element types that it is compiled for
    mixed : whether it also has a version of mixed precision, for float32
    """

    arguments: str
    threads: int = 256
    dtypes: tuple[str, ...] = ("float32", "float64")
    mixed: bool = False


ENTRIES: dict[Callable, Entry] = {}  # every function that is launched


def entry(*arguments: Any, **options: Any) -> Callable:
    """Decorate a function that is launched as a kernel, which stays as it is; the arguments are those of `Entry`."""

    def register(function: Callable) -> Callable:
        ENTRIES[function] = Entry(*arguments, **options)
        return function

    return register


def source(function: Callable, dtype: np.dtype, twins: Twins = NO_TWINS) -> types.FunctionType:
    """Python function that is compiled for the kernel of one element type; ``twins`` are those of mixed precision.

    Raises
    ------
    KeyError
        For a function that is no `entry`, or not for this type.
    """
    known = ENTRIES[function]
    if dtype.name not in known.dtypes or (twins != NO_TWINS and not (known.mixed and dtype == np.float32)):
        raise KeyError(f"{dtype.name}{twins.suffix}")
    copy = _copy(function, dtype, twins)
    copy.__name__ = copy.__qualname__ = copy.__name__ + twins.suffix
    return copy


@functools.cache
def kernel(function: Callable, dtype: np.dtype, twins: Twins = NO_TWINS) -> Any:
    """Kernel for one element type, to be launched as ``kernel[blocks, threads, stream, shared_bytes](*arguments)``.

    Raises
    ------
    KeyError
        As `source` does.
    """
    options = {} if SIMULATED else {"launch_bounds": ENTRIES[function].threads}
    dispatcher = cuda.jit(**options)(source(function, dtype, twins))
    if not SIMULATED:
        dispatcher._cache = KernelCache(dispatcher.py_func.__qualname__)
    return dispatcher


def configured(kernel: Any, blocks: Any, threads: Any, shared_bytes: int = 0) -> Any:
    """Return a kernel ready to be launched on the default stream.

    Numba warns of grids that leave most of a GPU idle, in the belief that nobody wants one.
    """
    check_process()
    if SIMULATED:  # a kernel is configured in place there
        return lambda *arguments: kernel[blocks, threads, 0, shared_bytes](*arguments)
    config = cuda.config
    warns = getattr(config, "CUDA_LOW_OCCUPANCY_WARNINGS", 0)
    config.CUDA_LOW_OCCUPANCY_WARNINGS = 0
    try:
        return kernel[blocks, threads, 0, shared_bytes]
    finally:
        config.CUDA_LOW_OCCUPANCY_WARNINGS = warns


_process: int | None = None  # that has begun to use the GPU


def check_process() -> None:
    """Raise RuntimeError in a fork of a process that has used the GPU: no driver survives that."""
    global _process
    _process = _process or os.getpid()
    if os.getpid() != _process:
        raise RuntimeError(
            "device 'cuda' cannot be used in a fork of a process that has used it: start processes with "
            "multiprocessing's 'spawn' or 'forkserver', or with joblib's 'loky'"
        )
