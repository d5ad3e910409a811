"""What all tests share: a cache folder of their own, seeds, the real data sets, poisoned memory, fresh processes."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import zipfile
from pathlib import Path

import numpy as np
import pytest
from combinations import covering

# The tests of the CUDA backend run on a GPU, or in the simulator, which needs a process of its own: test_simulator.py.
collect_ignore = [] if {"NUMBA_ENABLE_CUDASIM", "FASTNN_TEST_GPU"} & os.environ.keys() else ["cuda"]

SHARED = "FASTNN_TEST_CACHE"  # names a folder for the programs of several sessions, kept by who made it
if "PYTEST_XDIST_WORKER" not in os.environ:  # workers and other child processes inherit the folder of the session
    os.environ["FASTNN_CACHE_DIR"] = os.environ.get(SHARED) or tempfile.mkdtemp(prefix="fastnn-tests-")
    os.environ["MPLBACKEND"] = "agg"
LONG = ("test_amx", "test_attacked", "test_bounds", "test_simd_levels", "test_simulator", "test_soak")
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # shells start so what runs in the background
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_unconfigure():
    if "PYTEST_XDIST_WORKER" not in os.environ and not os.environ.get(SHARED):
        shutil.rmtree(os.environ["FASTNN_CACHE_DIR"], ignore_errors=True)


@pytest.hookimpl(tryfirst=True)  # before tests are chosen by their marks
def pytest_collection_modifyitems(items):
    """Begin with what takes minutes, so that no core is without work at the end."""
    combinations = {}
    for item in items:
        if item.get_closest_marker("covering"):
            combinations.setdefault(item.nodeid.partition("[")[0], []).append(item)
    for cases in combinations.values():
        quick = covering([{(name, repr(value)) for name, value in case.callspec.params.items()} for case in cases])
        for number, case in enumerate(cases):
            if number not in quick:
                case.add_marker("slow")
    items.sort(key=lambda item: not item.path.name.startswith(LONG))


@pytest.fixture
def rng():
    """Random numbers that are the same in every run."""
    return np.random.default_rng(0)


@pytest.fixture(params=["float32", "float64"])
def dtype(request):
    """Each element type in turn."""
    return np.dtype(request.param)


@pytest.fixture
def poisoned():
    """A function like `np.empty` whose memory is full of NaN: whatever is read before it is written shows."""

    def poisoned(shape, dtype=np.float32):
        return np.full(shape, np.nan, dtype)

    return poisoned


@pytest.fixture
def fresh_cache(tmp_path, monkeypatch):
    """An empty cache folder for one test; returns its path."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("FASTNN_CACHE_DIR", str(folder))
    return folder


@pytest.fixture
def table(tmp_path):
    """A function that writes text to a CSV file and opens it."""

    def table(text, header=None):
        from fastnn.commands.csv_files import CsvFile

        path = tmp_path / "table.csv"
        path.write_text(text)
        return CsvFile(path, header)

    return table


@pytest.fixture
def run_python():
    """A function that runs code in a new Python process and returns what it printed; a failure shows its errors."""

    def run_python(code, *, cwd=None, timeout=300, **environment):
        command = [sys.executable, "-c", textwrap.dedent(code)]
        environment = {**os.environ, **{name: str(value) for name, value in environment.items()}}
        done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=timeout)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run_python


def _real_data(load):
    if not os.environ.get("FASTNN_DATA"):
        pytest.skip("FASTNN_DATA is not set: NOT TESTED on the real data")
    return load()


@pytest.fixture(scope="session")
def pima():
    """(X, y) of the Pima diabetes data; needs FASTNN_DATA."""
    from fastnn import datasets

    return _real_data(datasets.load_pima)


@pytest.fixture(scope="session")
def sign_mnist():
    """(x_train, y_train), (x_test, y_test) of sign-language MNIST; needs FASTNN_DATA."""
    from fastnn import datasets

    return _real_data(datasets.load_sign_mnist)


@pytest.fixture(scope="session")
def checkout():
    """The root of the source checkout; tests that need one are skipped where the wheel is tested without it."""
    root = Path(__file__).resolve().parent.parent
    if not (root / "fastnn" / "__init__.py").exists():
        pytest.skip("no source checkout around these tests")
    return root


@pytest.fixture(scope="session")
def wheel(checkout, tmp_path_factory):
    """The wheel, unpacked: built from the source archive, as an index would get both."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(checkout)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = folder.glob("fastnn_core-*.whl")
    zipfile.ZipFile(path).extractall(folder / "site")
    return folder / "site"
