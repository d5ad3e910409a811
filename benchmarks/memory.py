"""How much memory a call needs at its height, beyond what the process had before: Linux only, NaN elsewhere."""

from __future__ import annotations

import ctypes
import gc
import math
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

# Printed by a script at its end: the largest resident memory of its process in bytes, or nothing.
PRINT_PEAK = """
from pathlib import Path
status = Path("/proc/self/status")
lines = status.read_text().splitlines() if status.exists() else []
print(*(1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM")))
"""
_STATUS, _RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def _resident(key: str) -> int:
    lines = _STATUS.read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith(key))


def growth(run: Callable[[], Any]) -> float:
    """Call ``run`` and return by how many bytes the process grew meanwhile at most.

    What earlier calls freed is given back to the system before, since memory that a process keeps is not seen to grow.
    """
    gc.collect()
    with suppress(OSError, AttributeError):  # another C library than glibc
        ctypes.CDLL(None).malloc_trim(0)
    try:
        _RESET.write_text("5")  # the largest size begins anew
        before = _resident("VmRSS")
    except OSError:
        run()
        return math.nan
    run()
    return float(_resident("VmHWM") - before)
