"""Mixed precision in networks that a block of threads has to itself: operands of products are rounded to bfloat16.

Sums and all else are float32, as on the CPU (``mixed_cpu.py``), and operands are rounded in the same places. Large
networks have ways of multiplying for it (``mma_cuda.py``).
"""

from __future__ import annotations

from . import dense_cuda
from .mma_cuda import to_bfloat16


def operand(x):
    """Twin of ``dense_cuda.operand``: the nearest bfloat16."""
    return to_bfloat16(x)


TWINS = {dense_cuda.operand: operand}
