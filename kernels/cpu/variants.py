"""Programs with some kernels replaced: what few trainings need is left out of the programs of the others."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable
from typing import Any

import numpy as np

from ..compiler import jit
from ..compiler.jit import Known, Twins
from ..host.cpu import tile_choice

TRAITS = {  # what a program may be made for, and the module that has its table of twins
    "normalized": "cpu.normalization",  # networks with normalizations, else there is no code for them
    "clipped": "cpu.clipping",  # training that clips gradients
    "pictures": "cpu.pictures",  # networks with operations on pictures
    "mixed": "cpu.mixed",  # products of bfloat16, on tiles where there are any
}


def program(
    function: Callable,
    dtype: np.dtype,
    variant: str = "",
    known: Known = (),
    *,
    normalized: bool = False,
    clipped: bool = False,
    pictures: bool = False,
    mixed: bool = False,
) -> Any:
    """``jit.program`` for what has these of the ``TRAITS``."""
    return jit.program(function, dtype, variant, known, _twins((normalized, clipped, pictures, mixed)))


@functools.cache
def _twins(present: tuple[bool, ...]) -> Twins:
    """What replaces kernels in programs with these traits, one table after the other."""
    traits = list(itertools.compress(TRAITS, present))
    suffix, modules = "".join(f"_{trait}" for trait in traits), [TRAITS[trait] for trait in traits]
    if "mixed" in traits and tile_choice()[0] != "none":
        suffix += f"_{tile_choice()[0]}"
        modules.append("cpu.amx")
    return Twins(suffix, tuple(jit.kernels(module).TWINS for module in modules))
