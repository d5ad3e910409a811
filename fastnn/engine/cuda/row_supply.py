"""The rows of a run on a GPU: all of them there at once or, where they have no room, chunk by chunk in their order."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn.data.device_array import there
from fastnn.data.samples import Samples
from fastnn.data.streaming import Chunks, chunk_rows
from fastnn.engine.programs import shuffled
from fastnn.engine.run_options import RunOptions
from fastnn.kernels.cuda.jit import cuda


class Rows:
    """Rows, targets and sample weights of a run, as its launches take them.

    Where they have no room on the device, a chunk holds the rows of so many steps, in the order of the epoch, which is
    then drawn on the host. A kernel finds them as it finds all rows: by an order, here that of the rows of a chunk.

    Parameters
    ----------
    samples : Samples
        Of ndarray or DeviceArray.
    options : RunOptions
    models : int
        That are trained at once; more than one need all rows at once.
    dtype : numpy.dtype

    Attributes
    ----------
    order : int32 (models * n,) on the device
    in_chunks : bool
    first_epoch : int
    """

    def __init__(self, samples: Samples, options: RunOptions, models: int, dtype: np.dtype) -> None:
        n, batch_size, sample_weights = len(samples), options.batch_size, samples.sample_weights
        data = [array for array in (samples.x, samples.y, sample_weights) if array is not None]
        chunk = chunk_rows(data, batch_size) if models == 1 else None
        self.in_chunks = chunk is not None
        self._order = np.arange(n)
        self._no_sample_weights = [there(np.zeros(1, dtype))] if sample_weights is None else []
        self._shuffle, self.first_epoch, self._dtype = options.shuffle, options.first_epoch, dtype
        self._drawn: tuple[int, int] | None = None
        self._steps_per_epoch = -(-n // batch_size)
        if chunk is None:
            self._data = [there(array) for array in data] + self._no_sample_weights
            self.order = cuda.to_device(np.tile(self._order.astype(np.int32), models))
        else:
            self._chunks, self._chunk, self._steps = Chunks(data, chunk), chunk, chunk // batch_size
            self.order = cuda.to_device((self._order % chunk).astype(np.int32))

    def set_order(self, order: np.ndarray) -> None:
        """Give the order of the rows, of a single model."""
        if self.in_chunks:
            self._order[:] = order
        else:
            self.order.copy_to_device(order.astype(np.int32))

    def bring(self, step: int, stop: int, seed: int) -> tuple[list[Any], int]:
        """Return x, y and sample weights on the device for steps ``step`` .. last - 1 of a run, and last <= stop."""
        if not self.in_chunks:
            return self._data, stop
        epoch, number = self._chunk_of(step)
        if self._shuffle and self._drawn != (seed, epoch):
            shuffled(self._order, self.first_epoch + epoch, seed, self._dtype)
            self._drawn = seed, epoch
        data = self._chunks.take((seed, epoch, number), self._rows(number))
        last = epoch * self._steps_per_epoch + min((number + 1) * self._steps, self._steps_per_epoch)
        return data + self._no_sample_weights, min(stop, last)

    def bring_next(self, step: int, seed: int) -> None:
        """Begin to bring the chunk after that of a step, unless it is of an epoch whose order is not known yet."""
        if self.in_chunks:
            epoch, number = self._chunk_of(step)
            if (number + 1) * self._steps < self._steps_per_epoch:
                self._chunks.begin((seed, epoch, number + 1), self._rows(number + 1))

    def _chunk_of(self, step: int) -> tuple[int, int]:
        """Epoch and number of the chunk with the rows of a step."""
        epoch, step = divmod(step, self._steps_per_epoch)
        return epoch, step // self._steps

    def _rows(self, number: int) -> np.ndarray:
        return self._order[number * self._chunk : (number + 1) * self._chunk]
