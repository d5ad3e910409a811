"""What this CPU offers, and what compiled code makes use of."""

from __future__ import annotations

import functools
import os

import numpy as np

from . import amx_permission
from .numba_settings import features, import_numba, settings

import_numba()

SIMD_LEVELS = {"avx512": 64, "avx2": 32, "neon": 16, "none": 0}  # name -> vector register width in bytes
FALLBACK_VECTOR_BYTES = 32  # panel width of the plain loops


@functools.cache
def cpu_features() -> frozenset[str]:
    """Features of this CPU that compiled code may use; ``NUMBA_CPU_FEATURES`` overrides the detection.

    Raises
    ------
    ValueError
        As `numba_settings.features`.
    """
    return frozenset(name[1:] for name in features() if name.startswith("+"))


@functools.cache
def simd_level() -> str:
    """The best of ``avx512``, ``avx2``, ``neon``, ``none`` here; ``FASTNN_SIMD`` asks for a lesser one.

    Raises
    ------
    ValueError
        If ``FASTNN_SIMD`` names no level, or one that this CPU lacks.
    """
    features = cpu_features()
    available = ["none"]
    if "neon" in features:
        available.append("neon")
    if {"avx2", "fma"} <= features:
        available.append("avx2")
    if {"avx512f", "avx512vl", "avx512dq"} <= features:
        available.append("avx512")
    wanted = os.environ.get("FASTNN_SIMD")
    if wanted and wanted not in available:
        raise ValueError(f"FASTNN_SIMD={wanted!r}: this CPU offers {', '.join(available)}; choose one or unset it")
    return wanted or available[-1]


def has_bfloat16() -> bool:
    """Whether programs of mixed precision run here: a CPU with products of bfloat16, and vectors to hold them."""
    return simd_level() == "avx512" and "avx512bf16" in cpu_features()


@functools.cache
def tile_choice() -> tuple[str, str]:
    """What multiplies tiles of bfloat16: ``amx``, ``emulated`` or ``none``; and, if not AMX, the reason.

    Where the CPU has AMX, the first call asks the system for permission to use it. ``FASTNN_AMX=off`` goes without;
    ``FASTNN_AMX=emulate`` computes what AMX would, slowly, for tests.

    Raises
    ------
    ValueError
        If ``FASTNN_AMX`` is something else.
    """
    wanted = os.environ.get("FASTNN_AMX")
    if wanted not in (None, "", "off", "emulate"):
        raise ValueError(f"FASTNN_AMX={wanted!r}: choose 'off' or 'emulate', or unset it to use AMX where there is any")
    if not has_bfloat16():
        return "none", "this CPU has no AVX512-BF16, or FASTNN_SIMD leaves it out"
    if wanted:
        return "none" if wanted == "off" else "emulated", f"FASTNN_AMX={wanted}"
    if not {"amx-tile", "amx-bf16"} <= cpu_features():
        return "none", "this CPU has no AMX"
    reason = amx_permission.refusal()
    return ("none", reason) if reason else ("amx", "")


def vector_bytes() -> int:
    """Width in bytes of one panel of weights: a vector register, or the plain loops' unit."""
    return SIMD_LEVELS[simd_level()] or FALLBACK_VECTOR_BYTES


def lanes(dtype: np.dtype) -> int:
    """Elements of ``dtype`` in a vector, which is the width of a panel of weights."""
    return vector_bytes() // np.dtype(dtype).itemsize


def target_description() -> str:
    """All that decides which machine code is right here, for the key of the disk cache.

    Raises
    ------
    ValueError
        As `cpu_features` and `simd_level`.
    """
    from numba.core.registry import cpu_target

    known = simd_level(), sorted(settings().items()), *sorted(cpu_features())  # checked before LLVM is given them
    # what LLVM was given, which is older than the settings if the user's own functions have been compiled
    return "|".join(map(str, (*known, *cpu_target.target_context.codegen().magic_tuple())))
