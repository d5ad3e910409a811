"""Mixed precision in networks that a block of threads has to itself: operands of products are rounded to bfloat16.

Sums and all else are float32, as on the CPU (``cpu/mixed.py``), and the same operands are rounded. Large
networks have methods of multiplying for it (``cuda/tensor_cores.py``).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..compiler.jit import NO_TWINS, Twins
from . import elements, jit
from .tensor_cores import to_bfloat16


def operand(x):
    """Twin of ``elements.operand``: the nearest bfloat16."""
    return to_bfloat16(x)


MIXED = Twins("_mixed", ({elements.operand: operand},))


def kernel(function: Callable, dtype: np.dtype, mixed: bool) -> Any:
    """``jit.kernel``, or that of mixed precision."""
    return jit.kernel(function, dtype, MIXED if mixed else NO_TWINS)
