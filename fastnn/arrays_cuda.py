"""Arrays in the memory of a GPU: those that users pass are read where they lie, and predictions for them stay there."""

from __future__ import annotations

import math
from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

import numpy as np

from fastnn.gpu_arrays import OnGPU
from fastnn.kernels import arrays_cuda, jit_cuda
from fastnn.kernels.jit_cuda import SIMULATED, cuda
from fastnn.streaming_cuda import up

THREADS = 8 if SIMULATED else 256
MOST_BLOCKS = 4 if SIMULATED else 4096
# Numba's default stream as DLPack counts: what was begun on others is waited for
DEFAULT_STREAM = 2 if getattr(cuda.config, "CUDA_PER_THREAD_DEFAULT_STREAM", 0) else 1


class DeviceArray(OnGPU):
    """Numbers in the memory of a GPU, for anything that reads ``__cuda_array_interface__`` or DLPack.

    CuPy takes one with ``cupy.asarray(array)``, PyTorch with ``torch.from_dlpack(array)``, both without a copy;
    ``numpy.asarray(array)`` copies it to the host.

    Parameters
    ----------
    memory : device array of one dimension
        Holds the first number and all behind it.
    shape, strides : tuple of int
        Strides count elements.
    """

    def __init__(self, memory: Any, shape: tuple[int, ...], strides: tuple[int, ...] | None = None) -> None:
        self.memory, self.shape, self.strides = memory, shape, strides or _packed(shape)
        self.dtype = np.dtype(memory.dtype)

    @classmethod
    def empty(cls, shape: tuple[int, ...], dtype: Any) -> DeviceArray:
        """Memory for an array, which holds anything."""
        return cls(_memory(math.prod(shape), dtype), shape)

    @classmethod
    def of(cls, value: Any, name: str) -> DeviceArray:
        """Return the same memory as an array of another library's; see `gpu_arrays.device_array`."""
        if isinstance(value, cls):
            return value
        if getattr(value, "__cuda_ndarray__", False) and SIMULATED:
            pointer, dtype, shape, strides = value.ctypes.data, value.dtype, tuple(value.shape), value.strides
        else:
            pointer, dtype, shape, strides, value = _shared(value, name)
        if dtype is None or dtype.kind not in "biuf":
            raise TypeError(f"{name} holds {'bfloat16' if dtype is None else dtype}, expected real numbers")
        packed = _packed(shape)
        steps = packed if strides is None else tuple(stride // dtype.itemsize for stride in strides)
        steps = tuple(own if size < 2 else step for own, step, size in zip(packed, steps, shape, strict=True))
        if steps != packed and (len(shape) > 2 or min(steps) < 0):
            raise ValueError(
                f"{name} of shape {shape} on the GPU lies in memory in an order that is not read there: pass "
                f"{name}.contiguous() of PyTorch, or cupy.ascontiguousarray({name})"
            )
        extent = 1 + sum((size - 1) * step for size, step in zip(shape, steps, strict=True)) if math.prod(shape) else 0
        return cls(_foreign(pointer, dtype, extent, value), shape, steps)

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @property
    def is_packed(self) -> bool:
        """Whether the numbers stand one after the other."""
        return self.strides == _packed(self.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __repr__(self) -> str:
        return f"DeviceArray(shape={self.shape}, dtype={self.dtype})"

    def __getitem__(self, rows: Any) -> DeviceArray:
        """Rows of a packed array: a slice without step, in the same memory, or an index of rows, copied.

        A pair of an empty slice and a number stands for a column.
        """
        width = math.prod(self.shape[1:])
        if isinstance(rows, tuple):
            return DeviceArray(self.memory[rows[1] :], (len(self),), (width,))
        if isinstance(rows, slice):
            first, last, _ = rows.indices(len(self))
            last = max(first, last)
            return DeviceArray(self.memory[first * width : last * width], (last - first, *self.shape[1:]))
        chosen = DeviceArray.empty((len(rows), *self.shape[1:]), self.dtype)
        index = cuda.to_device(np.asarray(rows, np.int64))
        _launch(arrays_cuda.take_rows, chosen.size, self.dtype, self.memory, index, width, chosen.memory)
        return chosen

    def rows(self) -> DeviceArray:
        """The same with one dimension for rows and one for all others."""
        width = math.prod(self.shape[1:])
        if self.is_packed:
            return DeviceArray(self.memory, (len(self), width))
        return DeviceArray(self.memory, (len(self), width), (self.strides[0], self.strides[1] if self.ndim > 1 else 1))

    def astype(self, dtype: Any, copy: bool = False) -> DeviceArray:
        """Return the numbers packed and of another type; this very array if that is what it is."""
        dtype = np.dtype(dtype)
        if dtype == self.dtype and self.is_packed and not copy:
            return self
        rows, converted = self.rows(), DeviceArray.empty(self.shape, dtype)
        function = arrays_cuda.convert_bytes if dtype == np.uint8 else arrays_cuda.convert
        kernel_dtype = np.dtype(np.float32) if dtype == np.uint8 else dtype
        _launch(
            function, converted.size, kernel_dtype, self.memory, *rows.strides, max(1, rows.shape[1]), converted.memory
        )
        return converted

    def is_within(self, low: float, high: float, whole: bool = False) -> bool:
        """Whether all numbers of a packed array are in [low, high], none of them NaN, and whole if asked for."""
        nothing = np.iinfo(np.int64).max
        found = cuda.to_device(np.array([nothing]))
        numbers = self.memory[: self.size]
        _launch(arrays_cuda.first_outside, self.size, self.dtype, numbers, float(low), float(high), int(whole), found)
        return int(found.copy_to_host()[0]) == nothing

    def to_host(self) -> np.ndarray:
        """Return a copy on the host."""
        numbers = self.memory.copy_to_host()
        strides = [step * self.dtype.itemsize for step in self.strides]
        return np.ascontiguousarray(np.lib.stride_tricks.as_strided(numbers, self.shape, strides, writeable=False))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if copy is False:
            raise ValueError("an array on a GPU cannot be read by NumPy without a copy")
        array = self.to_host()
        return array if dtype is None else array.astype(dtype)

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        pointer = _host_view(self).ctypes.data if SIMULATED else self.memory.__cuda_array_interface__["data"][0]
        return {
            "shape": self.shape, "typestr": self.dtype.str, "data": (pointer, False), "version": 3, "stream": None,
            "strides": None if self.is_packed else tuple(step * self.dtype.itemsize for step in self.strides),
        }  # fmt: skip

    def __dlpack__(self, **options: Any) -> Any:
        """Return a DLPack capsule; nothing is left to wait for."""
        return _dlpack_view(self).__dlpack__(**options)

    def __dlpack_device__(self) -> tuple[int, int]:
        return _dlpack_view(self).__dlpack_device__()


def joined(parts: list[DeviceArray]) -> DeviceArray:
    """Concatenate packed arrays of rows."""
    joined = DeviceArray.empty((sum(map(len, parts)), *parts[0].shape[1:]), parts[0].dtype)
    start = 0
    for part in parts:
        joined.memory[start : start + part.size].copy_to_device(part.memory[: part.size])
        start += part.size
    return joined


def send(array: np.ndarray) -> DeviceArray:
    """Copy an array to the device."""
    return DeviceArray(up(array), array.shape)


def there(array: Any) -> Any:
    """Return memory on the device that holds all numbers of an array in order; a packed one there is used as it is."""
    return array.memory if isinstance(array, DeviceArray) else up(array)


def _packed(shape: Iterable[int]) -> tuple[int, ...]:
    """Strides of numbers that stand one after the other."""
    strides, step = [], 1
    for size in reversed(tuple(shape)):
        strides.append(step)
        step *= max(1, size)
    return tuple(reversed(strides))


def _memory(size: int, dtype: Any) -> Any:
    jit_cuda.check_process()
    return cuda.device_array(max(1, size), np.dtype(dtype))[:size]


def _launch(function: Any, items: int, dtype: np.dtype, *arguments: Any) -> None:
    """Launch with about as many threads as there are items, and wait."""
    if items:
        blocks = min(MOST_BLOCKS, -(-items // THREADS))
        jit_cuda.configured(jit_cuda.kernel(function, dtype), blocks, THREADS)(*arguments)
        cuda.synchronize()


def _shared(value: Any, name: str) -> tuple[int, np.dtype | None, tuple[int, ...], tuple[int, ...] | None, Any]:
    """Address, type, shape and strides in bytes of another library's array, and what keeps its memory alive."""
    if hasattr(value, "__dlpack_device__"):
        from cuda.core.utils import StridedMemoryView

        own, other = 0 if SIMULATED else cuda.get_current_device().id, int(value.__dlpack_device__()[1])
        if own != other:
            raise ValueError(f"{name} lies on GPU {other}, but fastnn computes on GPU {own}: move it there")
        try:
            view = StridedMemoryView.from_dlpack(value, stream_ptr=DEFAULT_STREAM)
        except (BufferError, RuntimeError) as error:
            raise TypeError(f"{name} on the GPU cannot be shared: {error}") from error
        dtype, strides = view.dtype, view.strides
        if dtype is not None and strides is not None:
            strides = tuple(step * dtype.itemsize for step in strides)
        return view.ptr, dtype, tuple(view.shape), strides, view
    interface = value.__cuda_array_interface__
    if interface.get("mask") is not None:
        raise TypeError(f"{name} has masked values, which are not read: fill them, or leave their rows out")
    if interface.get("stream") is not None and not SIMULATED:
        cuda.external_stream(interface["stream"]).synchronize()
    dtype = np.dtype(interface["typestr"])
    return interface["data"][0], dtype, tuple(interface["shape"]), interface.get("strides"), value


def _foreign(pointer: int, dtype: np.dtype, size: int, owner: Any) -> Any:
    """Device array of memory that somebody else owns."""
    jit_cuda.check_process()
    if size == 0:
        return _memory(0, dtype)
    interface = {"shape": (size,), "typestr": dtype.str, "data": (pointer, False), "version": 3}
    if not SIMULATED:
        return cuda.from_cuda_array_interface(interface, owner=owner)
    from numba.cuda.simulator.cudadrv.devicearray import FakeCUDAArray

    return FakeCUDAArray(np.asarray(SimpleNamespace(__array_interface__=interface, owner=owner)))


def _host_view(array: DeviceArray) -> np.ndarray:
    """The memory of a simulated device, which is the host's."""
    strides = [step * array.dtype.itemsize for step in array.strides]
    return np.lib.stride_tricks.as_strided(array.memory._ary, array.shape, strides)


def _dlpack_view(array: DeviceArray) -> Any:
    """What exports an array by DLPack."""
    if SIMULATED:
        return _host_view(array)
    from cuda.core.utils import StridedMemoryView

    return StridedMemoryView.from_cuda_array_interface(array, stream_ptr=-1)
