"""Where to compute: what is asked for, what is missing, and that nothing of CUDA is touched unasked."""

import importlib.util

import pytest

import fastnn
from fastnn import MLPClassifier, Sequential
from fastnn.engine import devices
from fastnn.layers import Dense

ASKING = """
import fastnn
try:
    fastnn.set_device("cuda")
except RuntimeError as error:
    print(error)
fastnn.set_device("auto")
print(fastnn.get_device())
"""


@pytest.fixture
def without_package(monkeypatch):
    """An installation without numba-cuda."""
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "numba_cuda" else find(name))
    devices.cuda_refusal.cache_clear()
    yield
    devices.cuda_refusal.cache_clear()


def test_without_the_package(without_package):
    model = Sequential([Dense(1, input_shape=(1,))], device="cuda")
    estimator = MLPClassifier(max_iter=1, device="cuda")
    calls = (
        lambda: model.predict([[0.0]]),
        lambda: estimator.fit([[0.0], [1.0]], [0, 1]),
        lambda: fastnn.set_device("cuda"),
    )
    for call in calls:
        with pytest.raises(RuntimeError, match=r"device 'cuda' cannot be used: .* pip install 'fastnn-core\[cuda\]'"):
            call()
    assert fastnn.get_device() == "cpu"
    assert devices.resolve("auto") == "cpu"
    model = Sequential([Dense(1, input_shape=(1,))], device="auto")
    model.predict([[0.0]])
    assert model.engine.device == "cpu"


def test_without_a_gpu(run_python):
    pytest.importorskip("numba_cuda", reason="needs the extra fastnn-core[cuda]")
    printed = run_python(ASKING, CUDA_VISIBLE_DEVICES="")
    assert printed.splitlines()[1] == "cpu"
    assert printed.startswith("device 'cuda' cannot be used: ")
    assert "NVIDIA driver" in printed


def test_a_package_that_cannot_be_imported(run_python):
    pytest.importorskip("numba_cuda", reason="needs the extra fastnn-core[cuda]")
    broken = 'import sys; sys.modules["numba_cuda.numba.cuda"] = sys.modules["numba.cuda"] = None'
    printed = run_python(broken + ASKING)
    assert printed.splitlines()[1] == "cpu"
    assert printed.startswith("device 'cuda' cannot be used: numba-cuda ")
    assert "pip install --upgrade 'fastnn-core[cuda]'" in printed


def test_nothing_of_cuda_is_loaded_unasked(run_python):
    loaded = "print(sorted(name for name in sys.modules if name.startswith(('cuda', 'numba'))))"
    printed = run_python(f"import sys, fastnn, fastnn.models, fastnn.layers; {loaded}", NUMBA_ENABLE_CUDASIM="0")
    before = run_python(f"import sys; {loaded}", NUMBA_ENABLE_CUDASIM="0")
    assert printed == before


def test_a_fit_on_the_cpu_loads_no_driver(run_python):
    printed = run_python(
        """
        import sys
        from fastnn import MLPClassifier
        MLPClassifier(max_iter=1).partial_fit([[0.0], [1.0]], [0, 1], classes=[0, 1])
        print([name for name in sys.modules if name.startswith(("cuda.", "numba_cuda", "fastnn.kernels.cuda.jit"))])
        """
    )
    assert printed.strip() == "[]"
