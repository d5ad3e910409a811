"""Where weights lie in the flat vector of a plan: trained ones first, then what is kept beside them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from fastnn.kernels import codes
from fastnn.kernels.sizes import half, whole

NORMALIZATIONS = (codes.BATCH_NORM, codes.LAYER_NORM)
WITH_WEIGHTS = (codes.DENSE, *NORMALIZATIONS)  # kinds of operations, of weights that are trained
WITH_STATISTICS = (codes.STANDARDIZE, codes.BATCH_NORM)
ROW_UNIT = 4  # numbers that a device loads at once: rows of weights start on a multiple of it


def vectors(columns: Any, lanes: int) -> Any:
    """Vectors that hold so many columns; those of one element are taken in whole units."""
    return -(-columns // lanes) if lanes > 1 else -(-columns // ROW_UNIT) * ROW_UNIT


@dataclass(frozen=True)
class Place:
    """A weight array in a flat vector: rows of one vector's width in panels of columns, padded with zeros.

    Attributes
    ----------
    shape : (rows, columns), or (columns,) of a single row
    start : first element
    panel : elements from one panel to the next
    lanes : columns of a panel
    trained : whether it lies among the trained parameters
    """

    shape: tuple[int, ...]
    start: int
    panel: int
    lanes: int
    trained: bool = True

    def _panels(self, flat: np.ndarray) -> np.ndarray:
        """View of the weights, (panels, rows, lanes)."""
        rows, panels = self.shape[0] if len(self.shape) == 2 else 1, -(-self.shape[-1] // self.lanes)
        strides = (self.panel * flat.itemsize, self.lanes * flat.itemsize, flat.itemsize)
        end = self.start + (panels - 1) * self.panel + rows * self.lanes
        return np.lib.stride_tricks.as_strided(flat[self.start : end], (panels, rows, self.lanes), strides)

    def write(self, flat: np.ndarray, weight: np.ndarray) -> None:
        """Write an array of this shape to its place, zeros around it."""
        panels = self._panels(flat)
        rows = np.zeros((panels.shape[1], panels.shape[0] * self.lanes), flat.dtype)
        rows[:, : self.shape[-1]] = weight
        panels[...] = rows.reshape(len(rows), -1, self.lanes).transpose(1, 0, 2)

    def read(self, flat: np.ndarray) -> np.ndarray:
        """Return a copy of the array."""
        panels = self._panels(flat)
        rows = panels.transpose(1, 0, 2).reshape(panels.shape[1], -1)[:, : self.shape[-1]]
        return rows.reshape(self.shape).copy()


def place_parameters(ops: np.ndarray, lanes: int) -> int:
    """Place the trained weights of ``ops`` one after the other; return the number of elements used."""
    used = 0
    for op in ops:
        if op[codes.KIND] == codes.DENSE:
            op[codes.WEIGHTS] = used
            used += int(op[codes.PANEL] * op[codes.PANELS])
        elif op[codes.KIND] in NORMALIZATIONS:
            for trained, column in ((codes.SCALES, codes.GAMMA), (codes.CENTERS, codes.BETA)):
                if op[trained]:
                    op[column] = used
                    used += int(op[codes.PANELS]) * lanes
    return used


def place_statistics(ops: np.ndarray, used: int, lanes: int) -> int:
    """Place what normalizations keep but do not train from element ``used`` on; return the number of elements used."""
    for op in ops:
        if op[codes.KIND] in NORMALIZATIONS:
            size = int(op[codes.PANELS]) * lanes
            for trained, column in ((codes.SCALES, codes.GAMMA), (codes.CENTERS, codes.BETA)):
                if not op[trained]:
                    op[column] = used
                    used += size
        if op[codes.KIND] in WITH_STATISTICS:
            op[codes.MOVING] = used
            used += 2 * int(op[codes.PANELS]) * lanes
    return used


def place_pairs(ops: np.ndarray, used: int, lanes: int) -> int:
    """Place the rounded weights of ``ops`` from element ``used`` on; return the number of elements then used."""
    has_weights_below = False
    for op in ops:
        if op[codes.KIND] == codes.DENSE:
            op[codes.W_PAIRS] = used
            used += int(op[codes.PANELS] * whole(op[codes.INPUTS], lanes)) * lanes
            if has_weights_below:
                op[codes.WT_PAIRS] = used
                used += int(-(-op[codes.INPUTS] // lanes) * half(op[codes.PANELS])) * lanes * lanes
        has_weights_below |= op[codes.KIND] in WITH_WEIGHTS
    return used


def row_major(ops: np.ndarray) -> np.ndarray:
    """Copy of ``ops`` for vectors of one element, whose dense layers have their weights in one panel, row by row."""
    ops = ops.copy()
    ops[:, codes.PANELS] = vectors(ops[:, codes.OUTPUTS], 1)
    ops[:, codes.PANEL] = np.where(ops[:, codes.KIND] == codes.DENSE, ops[:, codes.INPUTS] + ops[:, codes.BIAS], 0)
    return ops


def weight_places(ops: np.ndarray, lanes: int) -> tuple[list[Place], list[Place]]:
    """Places of all weights in the order of the layers, and of constant factors, which are ones."""
    weights: list[Place] = []
    ones: list[Place] = []
    for op in ops:
        columns, panel = int(op[codes.OUTPUTS]), int(op[codes.PANEL])
        width = lanes if lanes > 1 else int(op[codes.PANELS])  # of a panel
        if op[codes.KIND] == codes.DENSE:
            bias, start = int(op[codes.BIAS]), int(op[codes.WEIGHTS])
            weights.append(Place((int(op[codes.INPUTS]), columns), start + bias * width, panel, width))
            if bias:
                weights.append(Place((columns,), start, panel, width))
        elif op[codes.KIND] in NORMALIZATIONS:
            if op[codes.SCALES]:
                weights.append(Place((columns,), int(op[codes.GAMMA]), width, width))
            else:
                ones.append(Place((columns,), int(op[codes.GAMMA]), width, width, trained=False))
            if op[codes.CENTERS]:
                weights.append(Place((columns,), int(op[codes.BETA]), width, width))
        if op[codes.KIND] in WITH_STATISTICS:
            start, size = int(op[codes.MOVING]), int(op[codes.PANELS]) * lanes
            weights += [Place((columns,), start + k * size, width, width, trained=False) for k in range(2)]
    return weights, ones
