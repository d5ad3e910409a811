"""What the tests of the CUDA backend share; they run in the simulator, or on a GPU with FASTNN_TEST_GPU=1."""

import numpy as np
import pytest
from fastnn.kernels.cuda import device, jit
from fastnn.kernels.cuda.jit import cuda
from foreign import KINDS

from fastnn.engine.cuda import inference, inference_launches
from fastnn.engine.cuda import run as runs_cuda


@pytest.fixture(autouse=True)
def poisoned_memory(monkeypatch):
    """NaN in new memory of the device: whatever is read before it is written shows."""
    make = cuda.device_array

    def poisoned(size, dtype=np.float64):
        array = make(size, dtype)
        array.copy_to_device(np.full(size, np.nan, dtype) if np.dtype(dtype).kind == "f" else np.zeros(size, dtype))
        return array

    monkeypatch.setattr(cuda, "device_array", poisoned)


@pytest.fixture(autouse=True)
def no_races(monkeypatch):
    """Simulated kernels are watched, see ``races.py``."""
    if jit.SIMULATED:
        import watched
        from numba.cuda.simulator import kernel

        monkeypatch.setattr(kernel, "BlockManager", watched.Block)


@pytest.fixture(params=["few threads", "many threads", "global memory", "many launches"])
def blocks(request, monkeypatch):
    """Blocks of two sizes, networks that do not fit in shared memory, and a launch for each product."""
    if request.param == "few threads":
        monkeypatch.setattr(inference, "WARP", 3 if jit.SIMULATED else 32)
        monkeypatch.setattr(inference, "MOST_THREADS", 3 if jit.SIMULATED else 32)
    elif request.param == "global memory":
        monkeypatch.setattr(device, "shared_bytes", lambda: 0)
    elif request.param == "many launches":
        monkeypatch.setattr(runs_cuda, "FLOPS_WORTH_LAUNCHES", 0.0)
        monkeypatch.setattr(inference_launches, "FLOPS_OF_ROW", 0.0)
        monkeypatch.setattr(inference_launches, "FLOPS_OF_ALL", 0.0)
    return request.param


@pytest.fixture
def simulated():
    """Whether there is no GPU, so that shapes have to be small."""
    return jit.SIMULATED


@pytest.fixture(params=KINDS)
def lay(request):
    """What makes an array on the device."""
    return KINDS[request.param]
