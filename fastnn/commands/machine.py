"""Facts about this machine and installation: shown by ``fastnn info``, kept beside every benchmark."""

import functools
import os
import platform
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

# The features that decide which kernels run, of the hundred or so that a CPU reports.
_TELLING_FEATURES = ("neon", "sve", "avx", "avx2", "fma", "avx512f", "avx512vl", "avx512dq", "avx512bf16", "amx-bf16")
_DISTRIBUTIONS = ("numpy", "numba", "llvmlite", "numba-cuda", "scikit-learn")


def cpu_model() -> str:
    """Name of the processor as the operating system gives it."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            key, _, value = line.partition(":")
            if key.strip() in ("model name", "Model"):
                return value.strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def memory_bytes() -> int | None:
    """Physical memory, or None where the system does not tell."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return None


def versions() -> dict[str, str]:
    """Versions of fastnn, Python and the libraries that decide results and speed."""
    import fastnn

    found = {"fastnn": fastnn.__version__, "python": platform.python_version()}
    for name in _DISTRIBUTIONS:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def threads() -> dict[str, Any]:
    """How many threads a large enough fit takes, and what that number comes from."""
    from fastnn.engine.cores import quota_cores
    from fastnn.engine.threads import get_num_threads

    cores = os.cpu_count() or 1
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else cores
    return {
        "number": get_num_threads(),
        "cores": cores,
        "affinity": affinity,
        "quota": quota_cores(),
        "FASTNN_NUM_THREADS": os.environ.get("FASTNN_NUM_THREADS"),
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS"),
    }


def facts() -> dict[str, Any]:
    """Everything this module knows in one dict of plain values, ready for JSON.

    Returns
    -------
    dict
        Keys ``system``, ``cpu``, ``memory_bytes``, ``simd`` (the kernels chosen), ``tiles`` (``kind``: what multiplies
        tiles of bfloat16, "amx", "emulated" or "none"; ``reason``: why not AMX), ``device`` (``default``: that of
        models that are not given one; ``cuda``: name of the GPU, or empty; ``reason``: why it cannot be used),
        ``cpu_features`` (those that matter for the choice), ``threads``, ``cache`` and ``versions``.
    """
    from fastnn.engine.devices import cuda_name, cuda_refusal, get_device
    from fastnn.kernels.host.cpu import cpu_features, simd_level, tile_choice

    return {
        "system": platform.platform(),
        "cpu": cpu_model(),
        "memory_bytes": memory_bytes(),
        "simd": simd_level(),
        "tiles": dict(zip(("kind", "reason"), tile_choice(), strict=True)),
        "device": {"default": get_device(), "cuda": cuda_name(), "reason": cuda_refusal()},
        "cpu_features": [name for name in _TELLING_FEATURES if name in cpu_features()],
        "threads": threads(),
        "cache": cache_usage(),
        "versions": versions(),
    }


def cache_usage() -> dict[str, Any]:
    """Where compiled programs are kept and how much room they take.

    Returns
    -------
    dict
        ``folder`` (None if no folder can be read), ``writable``, ``current`` (subfolder of this version on this CPU),
        ``programs`` and ``bytes`` in it, ``old_bytes`` of other versions, ``unmarked`` (number of subfolders that are
        named alike, but are not fastnn's by their mark: they are left alone).
    """
    from fastnn.kernels.compiler.program_cache import kernel_folder
    from fastnn.kernels.host.cache_folder import cache_root, program_folders, unmarked_folders
    from fastnn.kernels.host.cpu import target_description

    root, current = cache_root(to_write=False), kernel_folder(target_description())
    if root is None or current is None:
        return {"folder": None}
    sizes = {folder: _sizes(folder) for folder in program_folders(root)}
    now = sizes.pop(current, [])
    return {
        "folder": str(root),
        "writable": os.access(root, os.W_OK),
        "current": current.name,
        "programs": len(now),
        "bytes": sum(now),
        "old_bytes": sum(map(sum, sizes.values())),
        "unmarked": len(unmarked_folders(root)),
    }


def clear_cache() -> tuple[int, int]:
    """Delete compiled programs of all versions, and nothing else; returns the number of folders and of bytes.

    Raises
    ------
    OSError
        If a folder may not be written.
    """
    from fastnn.kernels.host.cache_folder import cache_root, delete_programs, program_folders

    root = cache_root()
    folders = program_folders(root) if root else []
    size = sum(sum(_sizes(folder)) for folder in folders)
    for folder in folders:
        delete_programs(folder)
    return len(folders), size


def _sizes(folder: Path) -> list[int]:
    """Bytes of each program in a folder of them."""
    from fastnn.kernels.host.cache_folder import MARK, files_of

    return [file.stat().st_size for file in files_of(folder) if not file.name.startswith(MARK)]


def warm_up_steps(dtypes: Sequence[str] = ("float32", "float64")) -> list[tuple[str, Callable[[], Any]]]:
    """Return what must be called to compile or load the programs of some precisions, each with a name to show.

    Networks with normalizations have programs of their own.
    """
    from fastnn.layers import Dense, LayerNormalization
    from fastnn.models import Sequential

    steps: list[tuple[str, Callable[[], Any]]] = []
    x, y = [[0.0], [1.0]], [0.0, 1.0]
    for layers, kind in (([], ""), ([LayerNormalization()], " of normalizations")):
        for dtype in dtypes:
            model = Sequential([Dense(1, input_shape=(1,)), *layers], dtype=dtype)
            model.compile("sgd", "mean_squared_error")
            steps.append((f"training{kind}, {dtype}", functools.partial(model.fit, x, y, verbose=0)))
            steps.append((f"prediction{kind}, {dtype}", functools.partial(model.predict, x)))
    return steps
