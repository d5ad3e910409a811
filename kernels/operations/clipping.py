"""What limits of gradients, and of their norms, leave of them."""

from __future__ import annotations

from ..formulas.elementary import select
from ..llvm.instructions import sqrt
from ..llvm.vector_loops import vector_loop


def limited(g, limit):
    """Gradient with a magnitude of at most ``limit``."""
    return select(g > limit, limit, select(g < -limit, -limit, g))


limit_vectors = vector_loop(limited, 1, 1, 1)


def norm_of(sums, first, last, step):
    """Norm of the units from ``first`` to ``last`` - 1, of both arrays or of one: every, or every other element."""
    total = 0.0
    for i in range(2 * first, 2 * last, step):
        total += sums[i]
    return sqrt(total)


def factor_within(limit, norm):
    """Factor that makes a norm at most ``limit``, where there is one; NaN if it is NaN."""
    return 1.0 if limit == 0.0 or norm <= limit else limit / norm
