"""Memory that other libraries share, read by the real packages; no GPU is needed, since nothing is touched there."""

import gc
import weakref
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("numba_cuda", reason="needs the extra fastnn-core[cuda]")
device_cuda = pytest.importorskip("fastnn.kernels.cuda.device")


class OnGPU:
    """An array on the host that says it lies on a GPU."""

    def __init__(self, array, device=0):
        self.array, self.device, self.streams = array, device, []

    def __dlpack_device__(self):
        return 2, self.device

    def __dlpack__(self, stream=None, **options):
        self.streams.append(stream)
        return self.array.__dlpack__(**options)


class OnHost:
    """Says of memory that it lies on the host, and else what its owner says."""

    def __init__(self, owner):
        self.owner = owner

    def __dlpack_device__(self):
        return 1, 0

    def __dlpack__(self, **options):
        return self.owner.__dlpack__(**options)


@pytest.fixture(autouse=True)
def first_gpu(monkeypatch):
    monkeypatch.setattr(device_cuda.cuda, "get_current_device", lambda: SimpleNamespace(id=0))


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "int64", "uint8", "bool"])
def test_memory_by_dlpack(dtype):
    base = np.arange(24).reshape(4, 6).astype(dtype)
    for array in (base, base[1:, 2:5], base.T, base[::2]):
        value = OnGPU(array)
        pointer, found, shape, strides, owner = device_cuda.shared(value, "x")
        assert (pointer, found, shape) == (array.ctypes.data, array.dtype, array.shape)
        assert (strides or base.strides) == array.strides
        assert owner is not None
        assert set(value.streams) == {device_cuda.DEFAULT_STREAM}  # NumPy 2.0 knows no versions and is asked again


def test_whoever_reads_memory_keeps_it_alive():
    value = OnGPU(np.arange(6.0))
    there = weakref.ref(value)
    view = device_cuda.shared(value, "x").owner
    reader = np.from_dlpack(OnHost(view))
    del value, view
    gc.collect()
    assert there() is not None
    np.testing.assert_array_equal(reader, np.arange(6.0))
    del reader
    gc.collect()
    assert there() is None


def test_types_that_numpy_has_not():
    torch = pytest.importorskip("torch")
    dtype = device_cuda.shared(OnGPU(torch.zeros(3, 2, dtype=torch.bfloat16)), "x").dtype
    assert dtype is None or dtype.kind == "V"  # where ml_dtypes is installed


def test_what_cannot_be_shared():
    torch = pytest.importorskip("torch")
    with pytest.raises(TypeError, match=r"x on the GPU cannot be shared: .*detach\(\)"):
        device_cuda.shared(OnGPU(torch.zeros(3, requires_grad=True)), "x")
    with pytest.raises(ValueError, match="x lies on GPU 2, but fastnn computes on GPU 0"):
        device_cuda.shared(OnGPU(np.zeros(3), device=2), "x")


def test_the_stream_of_an_interface_is_waited_for(monkeypatch):
    waited = []
    stream = SimpleNamespace(synchronize=lambda: waited.append("done"))
    monkeypatch.setattr(device_cuda.cuda, "external_stream", lambda number: waited.append(number) or stream)
    interface = {"data": (4096, True), "typestr": "<f4", "shape": (2, 3), "strides": None, "version": 3, "stream": 7}
    value = SimpleNamespace(__cuda_array_interface__=interface)
    assert device_cuda.shared(value, "x") == (4096, np.dtype(np.float32), (2, 3), None, value)
    assert waited == [7, "done"]


def test_copies_do_not_wait_for_the_default_stream(monkeypatch):
    driver = pytest.importorskip("cuda.bindings.driver")
    made = []

    def make(flags):
        made.append(flags)
        return driver.CUresult.CUDA_SUCCESS, driver.CUstream(96)

    monkeypatch.setattr(driver, "cuStreamCreate", make)
    monkeypatch.setattr(device_cuda.cuda, "current_context", lambda: None)
    monkeypatch.setattr(device_cuda.cuda, "external_stream", lambda number: ("stream", number))
    assert device_cuda.copies.__wrapped__() == ("stream", 96)
    assert made == [1]  # CU_STREAM_NON_BLOCKING
    monkeypatch.setattr(driver, "cuStreamCreate", lambda flags: (driver.CUresult.CUDA_ERROR_OUT_OF_MEMORY, None))
    with pytest.raises(RuntimeError, match="no stream of copies could be made on the GPU: CUDA_ERROR_OUT_OF_MEMORY"):
        device_cuda.copies.__wrapped__()
