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


def not_on_host(name: str) -> TypeError:
    """Return the error for an array on a GPU that a model on the CPU, or a layer, was given."""
    return TypeError(
        f"{name} lies in the memory of a GPU, but the model computes on the CPU: bring it to the host first, with "
        f"{name}.cpu() of PyTorch or {name}.get() of CuPy, or give the model device='cuda'"
    )
