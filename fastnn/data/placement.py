"""Arrays on the host or in the memory of a GPU, treated alike: what is of CUDA is loaded when one lies there."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn.common.on_gpu import is_on_gpu, not_on_host


def device_array(value: Any, name: str, device: str) -> Any:
    """Return a ``DeviceArray`` of the same memory.

    Parameters
    ----------
    value : array on a GPU
    name : str
        What messages call it.
    device : {"cpu", "cuda"}
        Where the model computes.

    Raises
    ------
    TypeError
        If the model computes on the CPU, or the array does not hold real numbers or cannot be shared.
    ValueError
        If it lies on another GPU, or in an order that is not read.
    """
    if device != "cuda":
        raise not_on_host(name)
    from fastnn.data.device_array import DeviceArray

    return DeviceArray.of(value, name)


def on_host(value: Any, name: str, device: str) -> Any:
    """Return a copy on the host of an array on a GPU, and anything else as it is; raises what `device_array` does."""
    return device_array(value, name, device).to_host() if is_on_gpu(value) else value


def join(parts: list[Any]) -> Any:
    """Concatenate arrays of rows, all on the host or all on the GPU."""
    if isinstance(parts[0], np.ndarray):
        return np.concatenate(parts)
    from fastnn.data.device_array import joined

    return joined(parts)


def like(values: np.ndarray, array: Any) -> Any:
    """Return values where ``array`` lies: a copy of numbers on the GPU, or themselves."""
    if isinstance(array, np.ndarray) or values.dtype.kind not in "biuf":
        return values
    from fastnn.data.device_array import send

    return send(values)
