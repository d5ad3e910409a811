"""The CUDA backend without a GPU: its tests in Numba's simulator, which needs processes of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("numba_cuda", reason="needs the extra fastnn-core[cuda]")
FOLDER = Path(__file__).parent / "cuda"


def simulate(marks):
    """Overflow is no matter here: arithmetic of NumPy's numbers would warn where compiled code does not."""
    options = ["-q", "-p", "no:cacheprovider", "-W", "ignore::RuntimeWarning", "-m", marks]
    command = [sys.executable, "-m", "pytest", *options, FOLDER]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    # as a worker's would, the process inherits the cache folder
    environment |= {"NUMBA_ENABLE_CUDASIM": "1", "PYTEST_XDIST_WORKER": "simulator"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=FOLDER.parents[1])
    assert done.returncode == 0, done.stdout + done.stderr


def test_in_the_simulator():
    simulate("not slow")


@pytest.mark.slow
def test_slow_ones_in_the_simulator():
    simulate("slow")
