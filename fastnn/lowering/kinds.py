"""Kinds of operations: which weights each has, and what it needs in the workspace."""

from __future__ import annotations

from typing import Any, NamedTuple

from fastnn.kernels import codes


class Vector(NamedTuple):
    """Numbers that a kind of operation has for every column, one vector of them after the other.

    Attributes
    ----------
    column : int
        Of the table of operations: where the first one stands.
    trained_if : int or None
        Column of that table which is 1 if they are trained; None: they never are.
    number : int
        How many vectors stand side by side.
    constant : float or None
        What they are if they are not trained and no weights of the layer; None: they are always weights.
    """

    column: int
    trained_if: int | None
    number: int = 1
    constant: float | None = None

    def is_trained(self, op: Any) -> bool:
        """Whether an operation trains them."""
        return self.trained_if is not None and bool(op[self.trained_if])


class Buffer(NamedTuple):
    """Memory that a kind of operation has in the workspace, besides its output.

    Attributes
    ----------
    column : int
        Of the table of operations: where it begins.
    rows : int
        How many rows like those of the output; 0: one for each row of the batch.
    of_rows : bool
        Whether it must also hold a number for each row of the batch.
    """

    column: int
    rows: int = 0
    of_rows: bool = False


class Kind(NamedTuple):
    """What a plan has to know of a kind of operation.

    Attributes
    ----------
    has_matrix : bool
        Whether it has weights in panels of columns, and so a width of its own.
    vectors : tuple of Vector
    buffers : tuple of Buffer
    in_lanes : bool
        Whether there are kernels that work on one row in each lane.
    """

    has_matrix: bool = False
    vectors: tuple[Vector, ...] = ()
    buffers: tuple[Buffer, ...] = ()
    in_lanes: bool = False

    @property
    def is_trained(self) -> bool:
        """Whether it has weights that may be trained."""
        return self.has_matrix or any(vector.trained_if is not None for vector in self.vectors)


_TRAINED = Vector(codes.GAMMA, codes.SCALES, constant=1.0), Vector(codes.BETA, codes.CENTERS, constant=0.0)
_MOVING = Vector(codes.MOVING, None, number=2)  # means, then variances
_NORMALIZED = (Buffer(codes.NORMAL), Buffer(codes.SUMS, rows=2), Buffer(codes.DEVIATIONS, rows=1, of_rows=True))
KINDS = {
    codes.DENSE: Kind(has_matrix=True, in_lanes=True),
    codes.ACTIVATION: Kind(in_lanes=True),
    codes.DROPOUT: Kind(buffers=(Buffer(codes.MASK),), in_lanes=True),
    codes.STANDARDIZE: Kind(vectors=(_MOVING,), buffers=(Buffer(codes.DEVIATIONS, rows=1),)),
    codes.BATCH_NORM: Kind(vectors=(*_TRAINED, _MOVING), buffers=_NORMALIZED),
    codes.LAYER_NORM: Kind(vectors=_TRAINED, buffers=_NORMALIZED),
    codes.CONVOLUTION: Kind(has_matrix=True),
    codes.MAX_POOL: Kind(),
    codes.AVERAGE_POOL: Kind(),
}
WITH_WEIGHTS = tuple(code for code, kind in KINDS.items() if kind.is_trained)  # that are trained
NORMALIZATIONS = tuple(code for code in WITH_WEIGHTS if not KINDS[code].has_matrix)  # of the whole batch at once


def kind_of(op: Any) -> Kind:
    """Kind of an operation, a row of a plan's table."""
    return KINDS[int(op[codes.KIND])]
