"""How data get to a GPU: through memory that the GPU reads by itself, in chunks where not all has room there.

Such memory is *pinned*: a copy from it goes on beside the host's and the GPU's work. There are two buffers of it, and
two chunks on the device: while the GPU works on one, the rows of the next are gathered and sent.
"""

from __future__ import annotations

import math
import os
from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np

from fastnn.kernels.cuda import device
from fastnn.kernels.cuda.device import copies
from fastnn.kernels.cuda.jit import cuda

FREE_FRACTION = 0.8  # of the device's free memory, which data may take
LIMIT = "FASTNN_GPU_MEMORY"
CHUNK_BYTES = 2**26  # pinned memory is scarce, and more brings no more speed


def room() -> float:
    """Bytes on the device that the data of a fit or a prediction may take.

    What ``FASTNN_GPU_MEMORY`` says, by default most of what is free.

    Raises
    ------
    ValueError
        If that is no number > 0.
    """
    given = os.environ.get(LIMIT)
    if not given:
        return FREE_FRACTION * device.free_bytes()
    try:
        wanted = float(given)
    except ValueError:
        wanted = math.nan
    if not wanted > 0:
        raise ValueError(f"{LIMIT}={given!r}: give a number of bytes > 0, or unset it for all that is free")
    return wanted


def chunk_rows(arrays: Sequence[Any], batch: int, more_bytes: int = 0) -> int | None:
    """Rows of a chunk, whole batches, of arrays that have no room on the device together; None if they have.

    Parameters
    ----------
    arrays : those on the host take room; with one that lies on the device, all must
    batch : int
    more_bytes : int
        That a row needs on the device beside them.
    """
    if not all(isinstance(array, np.ndarray) for array in arrays):
        return None
    row_bytes = sum(array[:1].nbytes for array in arrays) + more_bytes
    needed = len(arrays[0]) * row_bytes
    if needed <= CHUNK_BYTES and not os.environ.get(LIMIT):  # not worth a question to the driver
        return None
    there = room()
    if needed <= there:
        return None
    return batch * max(1, int(min(CHUNK_BYTES, there / 2) / (row_bytes * batch)))


class Buffer:
    """Pinned memory, and the event after which it may be written again."""

    def __init__(self, size: int, dtype: np.dtype) -> None:
        self.memory, self._sent = cuda.pinned_array(size, dtype), cuda.event()

    def send(self, target: Any, count: int) -> None:
        """Begin to copy the first so many elements to the device."""
        target[:count].copy_to_device(self.memory[:count], stream=copies())
        self._sent.record(copies())

    def wait(self) -> None:
        """Wait until nothing is copied from it."""
        self._sent.synchronize()


def up(array: np.ndarray) -> Any:
    """Copy an array to flat memory on the device."""
    flat = np.ascontiguousarray(array).reshape(-1)
    if flat.nbytes <= CHUNK_BYTES:
        return cuda.to_device(flat)
    target, count = cuda.device_array(flat.size, flat.dtype), CHUNK_BYTES // flat.itemsize
    buffers = Buffer(count, flat.dtype), Buffer(count, flat.dtype)
    for number, first in enumerate(range(0, flat.size, count)):
        part, buffer = flat[first : first + count], buffers[number % 2]
        buffer.wait()
        buffer.memory[: part.size] = part
        buffer.send(target[first : first + part.size], part.size)
    copies().synchronize()
    return target


class _Side:
    """One of the two chunks: memory for its rows on both sides, and what is in it."""

    def __init__(self, arrays: Sequence[np.ndarray], rows: int) -> None:
        self.key: Hashable = None
        self.used = cuda.event()  # after which the device's memory may be written again
        self.there = [cuda.device_array(rows * _width(array), array.dtype) for array in arrays]
        self._here = [Buffer(rows * _width(array), array.dtype) for array in arrays]
        self._arrived = cuda.event()

    def send(self, arrays: Sequence[np.ndarray], rows: np.ndarray | slice) -> None:
        self.used.wait(copies())
        for array, buffer, target in zip(arrays, self._here, self.there, strict=True):
            buffer.wait()
            count = len(rows) if isinstance(rows, np.ndarray) else len(range(*rows.indices(len(array))))
            memory = buffer.memory[: count * _width(array)]
            pinned = memory.reshape(count, *array.shape[1:])
            if isinstance(rows, np.ndarray):
                np.take(array, rows, axis=0, out=pinned, mode="clip")
            else:
                pinned[...] = array[rows]
            buffer.send(target, memory.size)
        self._arrived.record(copies())

    def await_arrival(self) -> None:
        """Let the default stream wait for the rows."""
        self._arrived.wait()


class Chunks:
    """Rows of arrays on the host, chunk by chunk on the device.

    Parameters
    ----------
    arrays : sequence of ndarray
        C-contiguous, of as many rows each.
    rows : int
        Most rows of a chunk.
    """

    def __init__(self, arrays: Sequence[np.ndarray], rows: int) -> None:
        self._arrays = arrays
        self._present, self._next = _Side(arrays, rows), _Side(arrays, rows)

    def begin(self, key: Hashable, rows: np.ndarray | slice) -> None:
        """Begin to send rows that `take` will ask for under this key; those before the present ones are overwritten."""
        if key not in (self._present.key, self._next.key):
            self._next.key = None
            self._next.send(self._arrays, rows)
            self._next.key = key

    def take(self, key: Hashable, rows: np.ndarray | slice) -> list[Any]:
        """Return flat arrays on the device with these rows, for launches on the default stream."""
        self.begin(key, rows)
        if self._present.key != key:
            self._present.used.record()
            self._next.await_arrival()
            self._present, self._next = self._next, self._present
        return self._present.there


def _width(array: np.ndarray) -> int:
    return math.prod(array.shape[1:])
