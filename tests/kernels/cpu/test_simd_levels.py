"""The kernel tests again on every lesser vector level of this CPU, and on code for a CPU without any."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from fastnn.kernels.host import cpu

SUITES = ("gemm", "activation_kernels", "loss_kernels", "training_kernels")


# Environments that ask for another level than this process uses: (level, settings).
LESSER = [
    (level, {"FASTNN_SIMD": level})
    for level, needed in (("avx2", {"avx2", "fma"}), ("none", set()))
    if needed <= cpu.cpu_features() and level != cpu.simd_level()
]
LESSER += [("none", {"NUMBA_CPU_NAME": "generic"})] if cpu.cpu_features() else []


@pytest.mark.slow
@pytest.mark.parametrize(("level", "settings"), LESSER, ids=["-".join(settings.values()) for _, settings in LESSER])
def test_kernels(level, settings):
    environment = {**os.environ, **settings}
    code = f"from fastnn.kernels.host import cpu; assert cpu.simd_level() == {level!r}"
    subprocess.run([sys.executable, "-c", code], env=environment, check=True, timeout=60)
    folder = Path(__file__).parents[1]
    suites = [str(path) for suite in SUITES for path in folder.glob(f"*/test_{suite}.py")]
    assert len(suites) == len(SUITES)
    pictures = [str(folder / "cpu" / "test_pictures.py"), "-m", "not slow"]
    for tests in (suites, pictures):
        command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)
        assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
        assert " passed" in done.stdout
