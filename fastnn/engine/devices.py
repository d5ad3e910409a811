"""Which device computes: what was asked for, and what there is."""

from __future__ import annotations

import functools
import importlib.util
from importlib import metadata
from typing import Any

DEVICES = ("cpu", "cuda", "auto")
_default = "cpu"


def set_device(device: str) -> None:
    """Set the device of models and estimators that are not given one.

    Parameters
    ----------
    device : {"cpu", "cuda", "auto"}
        "cuda" is an NVIDIA GPU; "auto" is that where there is one that can be used, else the CPU.

    Raises
    ------
    ValueError
        For another name.
    RuntimeError
        If there is no GPU that can be used.
    """
    global _default
    resolve(device)
    _default = device


def get_device() -> str:
    """Return the device of models that are not given one: "cpu" or "cuda"."""
    return resolve(None)


def resolve(device: Any) -> str:
    """Return "cpu" or "cuda" for the name of a device, None being what `set_device` said.

    Raises
    ------
    ValueError
        For another name.
    RuntimeError
        If a GPU is asked for and none can be used.
    """
    device = _default if device is None else device
    if device not in DEVICES:
        raise ValueError(f"device must be one of {', '.join(map(repr, DEVICES))} or None; got {device!r}")
    if device == "cpu":
        return "cpu"
    refusal = cuda_refusal()
    if refusal and device == "cuda":
        raise RuntimeError(f"device 'cuda' cannot be used: {refusal}")
    return "cpu" if refusal else "cuda"


@functools.cache
def cuda_refusal() -> str:
    """Say why no GPU can be used, and what to do about it; empty if one can."""
    if importlib.util.find_spec("numba_cuda") is None:
        return "the package numba-cuda is not installed; pip install 'fastnn-core[cuda]' brings it"
    try:
        from fastnn.kernels.cuda.device import refusal
    except Exception as error:  # versions that do not go together fail in many ways
        return (
            f"numba-cuda {metadata.version('numba-cuda')} cannot be imported beside numba {metadata.version('numba')} "
            f"({type(error).__name__}: {error}); pip install --upgrade 'fastnn-core[cuda]' brings one that can"
        )

    return refusal()


def cuda_name() -> str:
    """Return the name of the GPU; empty if none can be used."""
    if cuda_refusal():
        return ""
    from fastnn.kernels.cuda.device import device_name

    return device_name()
