"""The GPU in use, and memory there that others own: what is known of NVIDIA's driver beside ``cuda/jit.py``."""

from __future__ import annotations

import functools
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np

from .jit import SIMULATED, check_process, cuda

# Numba's default stream as DLPack counts: what others began on theirs is waited for
DEFAULT_STREAM = 2 if getattr(cuda.config, "CUDA_PER_THREAD_DEFAULT_STREAM", 0) else 1


def refusal() -> str:
    """Say why no GPU can be used, and what to do about it; empty if one can."""
    check_process()
    if SIMULATED:
        return ""
    try:
        count = len(cuda.gpus)
    except Exception:  # the driver's library is missing, or too old, or does not start
        return "no NVIDIA driver answers; install the driver of the GPU, and see whether nvidia-smi works"
    return "" if count else "the NVIDIA driver finds no GPU; CUDA_VISIBLE_DEVICES may hide it"


def device_name() -> str:
    """Name of the GPU in use."""
    return "simulator" if SIMULATED else cuda.get_current_device().name


def has_bfloat16() -> bool:
    """Whether the GPU in use multiplies bfloat16: since the Ampere generation."""
    return SIMULATED or tuple(cuda.get_current_device().compute_capability) >= (8, 0)


def shared_bytes() -> int:
    """Shared memory that a block may use without asking for more."""
    return 48 * 1024


def free_bytes() -> float:
    """Free memory of the GPU; without limit in the simulator."""
    return cuda.current_context().get_memory_info().free


@functools.cache
def copies() -> Any:
    """The stream of copies, which runs beside the default stream and does not wait for it.

    Raises
    ------
    RuntimeError
        If the driver makes none.
    """
    check_process()
    cuda.current_context()  # the driver wants one
    if SIMULATED:
        return cuda.stream()
    from cuda.bindings import driver

    failure, stream = driver.cuStreamCreate(driver.CUstream_flags.CU_STREAM_NON_BLOCKING.value)
    if failure != driver.CUresult.CUDA_SUCCESS:
        raise RuntimeError(f"no stream of copies could be made on the GPU: {failure.name}")
    return cuda.external_stream(int(stream))


class Shared(NamedTuple):
    """Memory on the GPU that another library's array shares."""

    pointer: int
    dtype: np.dtype | None  # None for what NumPy has no name for
    shape: tuple[int, ...]
    strides: tuple[int, ...] | None  # in bytes; None if the numbers stand one after the other
    owner: Any  # keeps it alive


def shared(value: Any, name: str) -> Shared:
    """Return the memory of another library's array, whose own stream is waited for; ``name`` is for messages.

    Raises
    ------
    TypeError
        If it cannot be shared.
    ValueError
        If it is that of another GPU.
    """
    if getattr(value, "__cuda_ndarray__", False) and SIMULATED:
        return Shared(value.ctypes.data, value.dtype, tuple(value.shape), value.strides, value)
    if hasattr(value, "__dlpack_device__"):
        return _shared_by_dlpack(value, name)
    interface = value.__cuda_array_interface__
    if interface.get("mask") is not None:
        raise TypeError(f"{name} has masked values, which are not read: fill them, or leave their rows out")
    if interface.get("stream") is not None and not SIMULATED:
        cuda.external_stream(interface["stream"]).synchronize()
    dtype, shape = np.dtype(interface["typestr"]), tuple(interface["shape"])
    return Shared(interface["data"][0], dtype, shape, interface.get("strides"), value)


def _shared_by_dlpack(value: Any, name: str) -> Shared:
    from cuda.core.utils import StridedMemoryView

    own, other = 0 if SIMULATED else cuda.get_current_device().id, int(value.__dlpack_device__()[1])
    if own != other:
        raise ValueError(f"{name} lies on GPU {other}, but fastnn computes on GPU {own}: move it there")
    try:
        view = StridedMemoryView.from_dlpack(value, stream_ptr=DEFAULT_STREAM)
    except (BufferError, RuntimeError) as error:
        raise TypeError(f"{name} on the GPU cannot be shared: {error}") from error
    try:
        dtype, strides = view.dtype, view.strides
    except NotImplementedError:  # bfloat16, which NumPy does not know
        return Shared(view.ptr, None, tuple(view.shape), None, view)
    if dtype is not None and strides is not None:
        strides = tuple(step * dtype.itemsize for step in strides)
    return Shared(view.ptr, dtype, tuple(view.shape), strides, view)


def foreign_memory(pointer: int, dtype: np.dtype, size: int, owner: Any) -> Any:
    """Device array of one dimension in memory that somebody else owns."""
    check_process()
    interface = {"shape": (size,), "typestr": dtype.str, "data": (pointer, False), "version": 3}
    if not SIMULATED:
        return cuda.from_cuda_array_interface(interface, owner=owner)
    from numba.cuda.simulator.cudadrv.devicearray import FakeCUDAArray

    return FakeCUDAArray(np.asarray(SimpleNamespace(__array_interface__=interface, owner=owner)))


def pointer(memory: Any) -> int:
    """Address of a device array's first number."""
    return memory._ary.ctypes.data if SIMULATED else memory.__cuda_array_interface__["data"][0]


def exporter(array: Any) -> Any:
    """What gives DLPack capsules of an array that has ``__cuda_array_interface__``."""
    interface = array.__cuda_array_interface__
    if SIMULATED:  # the device's memory is the host's
        return np.asarray(SimpleNamespace(__array_interface__=interface, owner=array))
    from cuda.core.utils import StridedMemoryView

    return StridedMemoryView.from_cuda_array_interface(array, stream_ptr=-1)
