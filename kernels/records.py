"""What travels together through kernels: named tuples, which the compiler takes apart.

Kernels make them themselves, or get them from the host with arrays as their fields.
"""

from __future__ import annotations

from typing import NamedTuple


class Descent(NamedTuple):
    """What the optimizer does in one step, the same for all weights.

    ``rate``, ``momentum`` and ``epsilon`` are those of ``operations/optimizers.py: constants``; the shares are
    1 - beta_1 and 1 - beta_2; ``decay`` is the share of itself that every weight loses first.
    """

    optimizer: int
    rate: float
    momentum: float
    share_1: float
    share_2: float
    epsilon: float
    decay: float
    nesterov: bool
