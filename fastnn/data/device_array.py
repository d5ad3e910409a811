"""Arrays in the memory of a GPU: those that users pass are read where they lie, and predictions for them stay there."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from fastnn.common.on_gpu import OnGPU
from fastnn.data.streaming import up
from fastnn.kernels.cuda import arrays, device, jit
from fastnn.kernels.cuda.jit import SIMULATED, cuda

THREADS = 8 if SIMULATED else 256
MOST_BLOCKS = 4 if SIMULATED else 4096


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
        """Return the same memory as an array of another library's; see `placement.device_array`."""
        if isinstance(value, cls):
            return value
        pointer, dtype, shape, strides, owner = device.shared(value, name)
        if dtype is None or dtype.kind not in "biuf":
            raise TypeError(
                f"{name} holds {'bfloat16' if dtype is None else dtype}, expected booleans, integers, or floats of 16, "
                "32 or 64 bits as NumPy knows them"
            )
        packed = _packed(shape)
        steps = packed if strides is None else tuple(stride // dtype.itemsize for stride in strides)
        steps = tuple(own if size < 2 else step for own, step, size in zip(packed, steps, shape, strict=True))
        if steps != packed and (len(shape) > 2 or min(steps) < 0):
            raise ValueError(
                f"{name} of shape {shape} on the GPU lies in memory in an order that is not read there: pass "
                f"{name}.contiguous() of PyTorch, or cupy.ascontiguousarray({name})"
            )
        extent = 1 + sum((size - 1) * step for size, step in zip(shape, steps, strict=True)) if math.prod(shape) else 0
        memory = device.foreign_memory(pointer, dtype, extent, owner) if extent else _memory(0, dtype)
        return cls(memory, shape, steps)

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
        """Rows as NumPy chooses them: one, or a slice without step, in the same memory; others copied.

        A pair of an empty slice and a number stands for a column, in the same memory.

        Raises
        ------
        IndexError
            If there is no such row, or something else is asked for.
        """
        width = math.prod(self.shape[1:])
        if isinstance(rows, tuple) or not self.is_packed:
            if self.ndim != 2 or not isinstance(rows, tuple) or rows[0] != slice(None) or len(rows) != 2:
                raise IndexError(f"{self!r} gives rows and single columns; numpy.asarray(array) gives everything")
            return DeviceArray(self.memory[range(width)[rows[1]] :], (len(self),), (width,))
        if isinstance(rows, (int, np.integer)):
            offset = range(len(self))[rows] * width
            return DeviceArray(self.memory[offset : offset + width], self.shape[1:])
        if isinstance(rows, slice) and rows.step in (None, 1):
            several = range(len(self))[rows]
            offset, count = several.start * width, len(several)
            return DeviceArray(self.memory[offset : offset + count * width], (count, *self.shape[1:]))
        chosen = np.ascontiguousarray(np.arange(len(self))[rows])
        if self.dtype not in (np.float32, np.float64):
            return send(self.to_host()[chosen])
        taken, index = DeviceArray.empty((len(chosen), *self.shape[1:]), self.dtype), cuda.to_device(chosen)
        _launch(arrays.take_rows, taken.size, self.dtype, self.memory, index, width, taken.memory)
        return taken

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
        function = arrays.convert_bytes if dtype == np.uint8 else arrays.convert
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
        _launch(arrays.first_outside, self.size, self.dtype, numbers, float(low), float(high), int(whole), found)
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
        return {
            "shape": self.shape, "typestr": self.dtype.str, "data": (device.pointer(self.memory), False),
            "version": 3, "stream": None,
            "strides": None if self.is_packed else tuple(step * self.dtype.itemsize for step in self.strides),
        }  # fmt: skip

    def __dlpack__(self, **options: Any) -> Any:
        """Return a DLPack capsule; nothing is left to wait for."""
        return device.exporter(self).__dlpack__(**options)

    def __dlpack_device__(self) -> tuple[int, int]:
        return device.exporter(self).__dlpack_device__()


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
    jit.check_process()
    return cuda.device_array(max(1, size), np.dtype(dtype))[:size]


def _launch(function: Any, items: int, dtype: np.dtype, *arguments: Any) -> None:
    """Launch with about as many threads as there are items, and wait."""
    if items:
        blocks = min(MOST_BLOCKS, -(-items // THREADS))
        jit.configured(jit.kernel(function, dtype), blocks, THREADS)(*arguments)
        cuda.synchronize()
