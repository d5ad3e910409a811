"""What the tests of the CUDA backend share; they run in the simulator, or on a GPU with FASTNN_TEST_GPU=1."""

import sys
import threading

import numpy as np
import pytest
from fastnn.kernels import device_cuda, jit_cuda
from fastnn.kernels.jit_cuda import cuda
from foreign import KINDS

from fastnn import blocks_cuda, forward_cuda, runs_cuda

if jit_cuda.SIMULATED:
    sys.setswitchinterval(1e-4)  # the simulator waits for its threads by looking at them again and again


@pytest.fixture(autouse=True)
def poisoned_memory(monkeypatch):
    """NaN in new memory of the device: whatever is read before it is written shows."""
    make = cuda.device_array

    def poisoned(size, dtype=np.float64):
        array = make(size, dtype)
        array.copy_to_device(np.full(size, np.nan, dtype) if np.dtype(dtype).kind == "f" else np.zeros(size, dtype))
        return array

    monkeypatch.setattr(cuda, "device_array", poisoned)


class Allocations(dict):
    """Shared arrays of a simulated block by the line that makes them, each made once.

    The simulator looks for an array and makes one if there is none; two threads may both find none.
    """

    def __init__(self):
        super().__init__()
        self._making = threading.Lock()

    def get(self, line):
        array = super().get(line)
        if array is None:
            self._making.acquire()
            array = super().get(line)
            if array is not None:
                self._making.release()
        return array

    def __setitem__(self, line, array):
        super().__setitem__(line, array)
        self._making.release()


@pytest.fixture(autouse=True)
def shared_arrays_made_once(monkeypatch):
    if jit_cuda.SIMULATED:
        from numba.cuda.simulator.kernelapi import FakeCUDAShared

        prepare = FakeCUDAShared.__init__

        def prepared(self, size):
            prepare(self, size)
            self._allocations = Allocations()

        monkeypatch.setattr(FakeCUDAShared, "__init__", prepared)


@pytest.fixture(params=["few threads", "many threads", "global memory", "many launches"])
def blocks(request, monkeypatch):
    """Blocks of two sizes, networks that do not fit in shared memory, and a launch for each product."""
    if request.param == "few threads":
        monkeypatch.setattr(blocks_cuda, "WARP", 3 if jit_cuda.SIMULATED else 32)
        monkeypatch.setattr(blocks_cuda, "MOST_THREADS", 3 if jit_cuda.SIMULATED else 32)
    elif request.param == "global memory":
        monkeypatch.setattr(device_cuda, "shared_bytes", lambda: 0)
    elif request.param == "many launches":
        monkeypatch.setattr(runs_cuda, "FLOPS_WORTH_LAUNCHES", 0.0)
        monkeypatch.setattr(forward_cuda, "FLOPS_OF_ROW", 0.0)
        monkeypatch.setattr(forward_cuda, "FLOPS_OF_ALL", 0.0)
    return request.param


@pytest.fixture
def simulated():
    """Whether there is no GPU, so that shapes have to be small."""
    return jit_cuda.SIMULATED


@pytest.fixture(params=KINDS)
def lay(request):
    """What makes an array on the device."""
    return KINDS[request.param]
