"""Arrays that lie in the memory of a GPU: how they are told from others, without loading anything of CUDA."""

from __future__ import annotations

from typing import Any

import numpy as np

CUDA_DEVICES = (2, 13)  # kDLCUDA and kDLCUDAManaged of DLPack


class OnGPU:
    """Base of fastnn's own arrays on a GPU."""


def is_on_gpu(value: Any) -> bool:
    """Whether an array lies in the memory of an NVIDIA GPU: CuPy's, PyTorch's, JAX's, Numba's or fastnn's own."""
    if isinstance(value, (np.ndarray, list, tuple)):
        return False
    if isinstance(value, OnGPU) or getattr(value, "__cuda_ndarray__", False):  # Numba's have that
        return True
    device = getattr(value, "__dlpack_device__", None)
    if device is not None:
        return int(device()[0]) in CUDA_DEVICES
    return hasattr(value, "__cuda_array_interface__")


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
        raise TypeError(
            f"{name} lies in the memory of a GPU, but the model computes on the CPU: bring it to the host first, with "
            f"{name}.cpu() of PyTorch or {name}.get() of CuPy, or give the model device='cuda'"
        )
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
