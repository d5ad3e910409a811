"""Processes that fit, save and go on under the hands of another process, by default for three minutes."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from soak_victim import JOBS

SECONDS = os.environ.get("FASTNN_TEST_SOAK", "180")
SEED = os.environ.get("FASTNN_TEST_SEED", "1")
MOUNT = 'mount -t tmpfs -o size=64m none "$1" && shift && exec "$@"'  # a disk that can be filled


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="limits of other processes are Linux'")
def test_attacked_from_another_process(tmp_path):
    """Signals, limits, a full disk, a damaged cache: the bits of each fit are those of one that was left alone."""
    own = ["unshare", "--mount", *(["--user", "--map-root-user"] if os.geteuid() else [])]
    command = [sys.executable, "-m", "tests.whole.soak_attacker", str(tmp_path), SECONDS, SEED]
    mounts = [*own, "sh", "-c", MOUNT, "sh", str(tmp_path)]
    if shutil.which("unshare") and subprocess.run([*mounts, "true"], capture_output=True).returncode == 0:
        command = [*mounts, *command]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    print(report, "" if command[0] != sys.executable else "a full disk: NOT TESTED, no mounts here")
    assert min(report["victims"][job] for job in JOBS) >= 2
