"""Weight penalties added to the loss."""

from dataclasses import dataclass
from typing import Any

from fastnn.common import absent, checks
from fastnn.common.declarations import Declared
from fastnn.common.identifiers import resolve


@dataclass(frozen=True)
class L2(Declared):
    """Squared weights: adds ``l2 * sum(W**2)`` to the loss.

    Parameters
    ----------
    l2 : float, default=0.01
        Strength, >= 0.
    """

    l2: float = 0.01

    def __post_init__(self) -> None:
        object.__setattr__(self, "l2", checks.number("l2", self.l2, 0.0))

    def get_config(self) -> dict[str, float]:
        """Return arguments that make an equal object."""
        return {"l2": self.l2}


l2 = L2
_TABLE = {"l2": L2}


def get(identifier: Any) -> L2 | None:
    """Return a regularizer by name (``"l2"``), object or configuration dict; None for none."""
    return None if identifier is None else resolve(identifier, _TABLE, L2, "regularizer")


absent.explain(__name__)
