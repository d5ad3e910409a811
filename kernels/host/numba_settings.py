"""Numba's settings, from variables ``NUMBA_...``, a ``.numba_config.yaml`` or set in ``numba.config``, and programs.

They are read once, when a process first asks: programs are found and compiled by the same ones, whatever is set later.
All of them decide which code is kept, but for those that are known not to change any.
"""

from __future__ import annotations

import contextlib
import functools
import os
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from .uninterrupted import import_whole

# Meant for the user's own functions: kernels have no form without compilation, and none that a debugger can step in.
FIXED = {"DISABLE_JIT": 0, "DEBUGINFO_DEFAULT": 0, "EXTEND_VARIABLE_LIFETIMES": 0}
# Of what is shown while code is made, how errors look, how many threads Numba has, where it looks for what.
NEUTRAL = re.compile(
    "_.*|DEVELOPER_MODE|DISABLE_PERFORMANCE_WARNINGS|SHOW_HELP|COLOR_SCHEME|ALWAYS_WARN_UNINIT_VAR"
    "|DEBUG|DEBUG_(PRINT_.*|JIT|FRONTEND|CACHE|TYPEINFER|ARRAY_OPT|ARRAY_OPT_STATS|INLINE_CLOSURE|NRT_STACK_LIMIT)"
    "|DUMP_.*|HIGHLIGHT_DUMPS|ANNOTATE|DIFF_IR|HTML|TRACE|CHROME_TRACE|PARALLEL_DIAGNOSTICS|LLVM_PASS_TIMINGS"
    "|CACHE_DIR|CACHE_LOCATOR_CLASSES|FUNCTION_CACHE_SIZE|DISABLE_TYPEINFER_FAIL_CACHE|PARFOR_MAX_TUPLE_SIZE"
    "|THREADING_LAYER.*|NUMBA_.*NUM_THREADS|ENABLE_SYS_MONITORING|JIT_COVERAGE|GDB_BINARY"
    "|RUNNING_UNDER_PROFILER|ENABLE_PROFILING|USE_LLVMLITE_MEMORY_MANAGER"
    "|CUDA_(LOW_OCCUPANCY_WARNINGS|WARN_ON_IMPLICIT_COPY|LOG_.*|DEALLOCS_.*|VERBOSE_JIT_LOG)"
)
FOR_GPUS = re.compile("CUDA_.*|FORCE_CUDA_CC|DISABLE_CUDA|ENABLE_CUDASIM")
NEEDED = {"64bit", "sse", "sse2", "cx8"}  # every x86-64 has them: LLVM ends the process where it should do without


def import_numba() -> None:
    """Import Numba, or say which settings it refuses.

    Raises
    ------
    ValueError
        If it does.
    """
    try:
        import_whole("numba")
    except (ImportError, MemoryError, RecursionError):
        raise
    except Exception as error:  # its settings are all that it reads
        named = [f"{name}={value!r}" for name, value in os.environ.items() if name.startswith("NUMBA_")]
        named += [str(path) for path in [Path(".numba_config.yaml").absolute()] if path.exists()]
        if not named:
            raise
        raise ValueError(f"Numba refuses its settings ({', '.join(named)}): {error}") from error


@functools.cache
def settings() -> dict[str, Any]:
    """What decides the code of programs for CPUs, by name."""
    from numba.core import config

    config.reload_config()
    return {name: value for name, value in deciding(config).items() if not FOR_GPUS.fullmatch(name)} | FIXED


def deciding(config: ModuleType) -> dict[str, Any]:
    """All settings in a module of them that may change code, by name."""
    return {
        name: value for name, value in sorted(vars(config).items()) if name.isupper() and not NEUTRAL.fullmatch(name)
    }


@contextlib.contextmanager
def prescribed(**others: Any) -> Iterator[None]:
    """Let Numba compile with `settings`, and with ``others``; one thread at a time."""
    from numba.core import config

    config.reload_config()  # now, as Numba does it in the midst of a compilation if its variables have changed
    wanted = settings() | others
    kept = {name: getattr(config, name) for name in wanted}
    try:
        vars(config).update(wanted)
        yield
    finally:
        vars(config).update(kept)


def features() -> list[str]:
    """Features of the CPU that code is made for, each with a + or - before it.

    Raises
    ------
    ValueError
        If ``NUMBA_CPU_FEATURES`` is not of that form, or asks for what this CPU lacks, or goes without what all have.
    """
    import llvmlite.binding

    named, without_avx = settings()["CPU_FEATURES"], not settings()["ENABLE_AVX"]
    try:
        here = dict(llvmlite.binding.get_host_cpu_features())
    except RuntimeError:  # LLVM cannot tell on this platform
        here = {}
    if named is None:  # as Numba takes them then
        return [f"{'-+'[has and not (without_avx and name.startswith('avx'))]}{name}" for name, has in here.items()]
    listed = named.split(",") if named else []
    lacking = [name[1:] for name in listed if name[:1] == "+" and here.get(name[1:]) is False]
    needed = [name[1:] for name in listed if name[:1] == "-" and name[1:] in NEEDED and here.get("64bit")]
    if not all(re.fullmatch(r"[+-][\w.-]+", name) for name in listed):
        fault = "expected names with + or - before each and commas between, such as '+avx2,+fma'"
    elif lacking:
        fault = f"this CPU lacks {', '.join(lacking)}"
    elif needed:
        fault = f"there is no code without {', '.join(needed)}"
    else:
        return listed
    raise ValueError(f"NUMBA_CPU_FEATURES={named!r}: {fault}; change it or unset it")
