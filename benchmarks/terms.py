"""Equal terms, enforced: threads, arrays, and results that may be compared.

Every contender runs in a process of its own that sees no more cores than the task allows, is told so in the language
of every library, and is asked afterwards. Nobody's time is reported before what it computed was compared with the
others': a fit must have learned, and its loss must be near the median; anything else must agree with a float64 oracle.
"""

from __future__ import annotations

import importlib
import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from statistics import median_low
from typing import Any

from benchmarks.contenders.base import Contender
from benchmarks.kinds import Estimator, Fit, Script, Search, Task
from benchmarks.problems import Quality

LARGEST_ERROR = 1e-4  # of float32 results, as a share of the largest number
_THREAD_VARIABLES = (
    "FASTNN_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS", "NPROC",
)  # fmt: skip


class TermsBroken(Exception):
    """A contender would not have been measured on the same terms as the others."""


def available_cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def load() -> float:
    """Programs that wanted to run on each core of the machine during the last minute; 0 where nobody counts them."""
    return os.getloadavg()[0] / (os.cpu_count() or 1) if hasattr(os, "getloadavg") else 0.0


@contextmanager
def limited(threads: int) -> Iterator[None]:
    """Let processes that are started within see so many cores, the thread numbers they read, and no accelerator."""
    variables = dict.fromkeys(_THREAD_VARIABLES, str(threads))
    variables |= {"CUDA_VISIBLE_DEVICES": "", "JAX_PLATFORMS": "cpu", "FASTNN_QUIET": "1"}
    variables["PYTHONWARNINGS"] = "ignore:Stochastic Optimizer"  # from joblib's processes: that all epochs are done
    if threads == 1:
        variables["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_cpu_multi_thread_eigen=false".strip()
    before = dict(os.environ)
    os.environ.update(variables)
    cores = os.sched_getaffinity(0) if hasattr(os, "sched_setaffinity") else None
    try:
        if cores:
            os.sched_setaffinity(0, sorted(cores)[:threads])
        yield
    finally:
        if cores:
            os.sched_setaffinity(0, cores)
        os.environ.clear()
        os.environ.update(before)


def limit_instructions(level: str) -> None:
    """Make this process and those it starts do without the instructions beyond a level.

    Parameters
    ----------
    level : {"avx512", "avx2", "none"}
        As for ``FASTNN_SIMD``. With ``"avx2"`` every library that knows how is told, as if the CPU had no more; with
        ``"none"`` only fastnn's kernels are plain loops.

    Raises
    ------
    ValueError
        If this CPU does not offer the level.
    """
    from fastnn.kernels.host.cpu import simd_level

    os.environ["FASTNN_SIMD"] = level
    simd_level.cache_clear()
    simd_level()
    if level == "avx2":
        os.environ |= {
            "OPENBLAS_CORETYPE": "Haswell", "MKL_ENABLE_INSTRUCTIONS": "AVX2", "ONEDNN_MAX_CPU_ISA": "AVX2",
            "ATEN_CPU_CAPABILITY": "avx2", "XLA_FLAGS": "--xla_cpu_max_isa=AVX2",
            "NPY_DISABLE_CPU_FEATURES": " ".join(_numpy_features_beyond_avx2()),
        }  # fmt: skip


def _numpy_features_beyond_avx2() -> list[str]:
    core = importlib.import_module("numpy._core._multiarray_umath")
    return [name for name in core.__cpu_dispatch__ if name.startswith(("AVX512", "X86_V4"))]


def check_instructions() -> None:
    """Raise TermsBroken if ``FASTNN_SIMD`` is ``avx2`` and a BLAS of this process uses AVX-512 all the same."""
    import threadpoolctl

    wide = ("SkylakeX", "Cooperlake", "SapphireRapids")
    for pool in threadpoolctl.threadpool_info():
        if os.environ.get("FASTNN_SIMD") == "avx2" and pool.get("architecture") in wide:
            raise TermsBroken(f"{pool['internal_api']} uses AVX-512 kernels where AVX2 is allowed")


def check_threads(contender: Contender, threads: int) -> None:
    """Raise TermsBroken if the library, or any BLAS or OpenMP in this process, would use more threads."""
    import threadpoolctl

    pools = {pool["internal_api"]: pool["num_threads"] for pool in threadpoolctl.threadpool_info()}
    for name, number in {**pools, contender.name: contender.threads()}.items():
        if number is not None and number > threads:
            raise TermsBroken(f"{name} would use {number} threads where {threads} are allowed")


def refusals(task: Task, start: Quality, qualities: Mapping[str, Quality]) -> dict[str, str]:
    """Judge the contenders of a task.

    Parameters
    ----------
    task : Task
    start : dict
        Quality of the weights that fits start from; empty for other tasks.
    qualities : mapping of str to dict
        What each contender reached.

    Returns
    -------
    dict of str to str
        Why a contender's time must not be reported.
    """
    if isinstance(task, Search):
        scores = {name: found["score"] for name, found in qualities.items()}
        middle = median_low(scores.values()) if scores else math.nan
        return {
            name: f"best score {score:.3f}, too far from the others' {middle:.3f}"
            for name, score in scores.items()
            if not abs(score - middle) <= task.tolerance
        }
    if not isinstance(task, (Estimator, Fit, Script)):
        errors = {name: found["error"] for name, found in qualities.items()}
        return {
            name: f"error {error:.2g}, more than {LARGEST_ERROR:g}"
            for name, error in errors.items()
            if not error <= LARGEST_ERROR
        }
    losses = {name: found["loss"] for name, found in qualities.items()}
    finite = [loss for loss in losses.values() if math.isfinite(loss)]
    middle = median_low(finite) if finite else math.nan
    reasons = {}
    for name, loss in losses.items():
        if not math.isfinite(loss):
            reasons[name] = f"loss {loss}"
        elif start and loss >= start["loss"]:
            reasons[name] = f"loss {loss:.4g}, not below the {start['loss']:.4g} it started from"
        elif abs(loss - middle) > task.tolerance * middle:
            reasons[name] = f"loss {loss:.4g}, too far from the others' {middle:.4g}"
    return reasons


def check_same(what: str, values: Mapping[str, Any]) -> None:
    """Raise TermsBroken if contenders were given different things."""
    if len(set(values.values())) > 1:
        raise TermsBroken(f"{what} differ: " + ", ".join(f"{name} {value}" for name, value in values.items()))
