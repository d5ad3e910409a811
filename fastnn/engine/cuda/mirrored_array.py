"""Arrays that lie on the host and on a GPU."""

from __future__ import annotations

from typing import Any, cast

import numpy as np

from fastnn.kernels.cuda.jit import check_process, cuda


class Mirror:
    """An array on the host and on the device, copied from where it was changed last to where it is looked at.

    Changes are counted on both sides, so that a handler of a signal that strikes in the midst of a copy and looks, or
    writes, leaves it right.

    Parameters
    ----------
    array : ndarray
        Flat and contiguous; the array on the host.
    """

    def __init__(self, array: np.ndarray) -> None:
        self._host, self._device = array, cast(Any, None)
        self._written, self._sent = 1, 0  # changes here, and how many of them the device has
        self._changed, self._fetched = 0, 0  # changes there, and how many of them the host has
        self._based_on = 0  # changes here that the last change there began with

    def read(self) -> np.ndarray:
        """Return the array on the host, to be looked at only."""
        changed = self._changed
        if self._fetched != changed:
            check_process()
            self._device.copy_to_host(self._host)
            self._fetched = changed  # what has changed during the copy has to be copied again
        return self._host

    def write(self) -> np.ndarray:
        """Return the array on the host, to be changed at once."""
        array = self.read()
        self._written += 1
        return array

    def replace(self, array: np.ndarray) -> None:
        """Put another array instead of what is here and there, in one step."""
        self._host, self._written, self._fetched = array, self._written + 1, self._changed

    def there(self) -> Any:
        """Return the array on the device, to be looked at only."""
        check_process()
        if self._device is None:
            self._device = cuda.device_array(max(1, self._host.size), self._host.dtype)[: self._host.size]
        written = self._written
        if self._sent != written:
            self._device.copy_to_device(self._host)
            self._sent = written
        return self._device

    def change_there(self) -> Any:
        """Return the array on the device, for a kernel that changes it and is launched before the next look at it."""
        array = self.there()
        self._based_on = self._sent
        self._changed += 1
        return array

    def changed_there(self) -> None:
        """Note that such a kernel was launched: a handler of a signal may have looked before, which is no matter now.

        What it has written since is newer than what the kernel has done.
        """
        if self._based_on == self._written:
            self._changed += 1
