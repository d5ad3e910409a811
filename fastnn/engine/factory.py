"""Engines for the device that was asked for."""

from __future__ import annotations

from fastnn.engine.devices import resolve
from fastnn.engine.engine import Engine
from fastnn.lowering.plan import Plan


def make_engine(plan: Plan, device: str | None = None, threads: int | None = None) -> Engine:
    """Return a new engine on a device, None being what `set_device` said.

    Raises
    ------
    ValueError
        For an unknown device or number of threads, or a network that the device cannot run.
    RuntimeError
        If the device cannot be used.
    """
    if resolve(device) == "cpu":
        return Engine(plan, threads)
    from fastnn.engine.cuda.engine import CudaEngine

    return CudaEngine(plan, threads)
