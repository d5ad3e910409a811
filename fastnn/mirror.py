"""Arrays that lie on the host and on a GPU."""

from __future__ import annotations

from typing import Any, cast

import numpy as np

from fastnn.kernels.jit_cuda import check_process, cuda


class Mirror:
    """An array on the host and on the device, copied from where it was changed last to where it is looked at.

    Parameters
    ----------
    array : ndarray
        Flat and contiguous; the array on the host.
    """

    def __init__(self, array: np.ndarray) -> None:
        self._host, self._device = array, cast(Any, None)
        self._newer_here, self._newer_there = True, False

    def read(self) -> np.ndarray:
        """Return the array on the host, to be looked at only."""
        if self._newer_there:
            check_process()
            self._newer_there = False  # before the copy: what changes during it has to be copied again
            try:
                self._device.copy_to_host(self._host)
            except BaseException:
                self._newer_there = True
                raise
        return self._host

    def write(self) -> np.ndarray:
        """Return the array on the host, to be changed at once."""
        array = self.read()
        self._newer_here = True
        return array

    def there(self) -> Any:
        """Return the array on the device, to be looked at only."""
        check_process()
        if self._device is None:
            self._device = cuda.device_array(max(1, self._host.size), self._host.dtype)[: self._host.size]
        if self._newer_here:
            self._device.copy_to_device(self._host)
            self._newer_here = False
        return self._device

    def change_there(self) -> Any:
        """Return the array on the device, for a kernel that changes it and is launched before the next look at it."""
        array = self.there()
        self._newer_there = True
        return array
