"""How many cores this process may use."""

from __future__ import annotations

import math
import os
from pathlib import Path


def quota_cores(root: Path = Path("/sys/fs/cgroup")) -> int | None:
    """Whole cores that a Linux control group allows this process (version 2, else 1), or None if unlimited."""
    try:
        quota, period = (root / "cpu.max").read_text().split()[:2]
    except (OSError, ValueError):
        try:
            quota = (root / "cpu" / "cpu.cfs_quota_us").read_text()
            period = (root / "cpu" / "cpu.cfs_period_us").read_text()
        except OSError:
            return None
    try:
        cores = int(quota) / int(period)
    except (ValueError, ZeroDivisionError):  # "max"
        return None
    return max(1, math.floor(cores)) if cores > 0 else None


def available_cores() -> int:
    """Cores this process may use: affinity mask, reduced to the control group's quota."""
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS and Windows
        cores = os.cpu_count() or 1
    return min(cores, quota_cores() or cores)
