"""Where weights lie in the flat vector of a plan: trained ones first, then what is kept beside them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastnn.kernels import codes
from fastnn.kernels.sizes import half, whole
from fastnn.lowering.kinds import kind_of

ROW_UNIT = 4  # numbers that a device loads at once: rows of weights start on a multiple of it


def vectors(columns: Any, lanes: int) -> Any:
    """Vectors that hold so many columns; those of one element are taken in whole units."""
    return -(-columns // lanes) if lanes > 1 else -(-columns // ROW_UNIT) * ROW_UNIT


@dataclass(frozen=True)
class Place:
    """A weight array in a flat vector: rows of one vector's width in panels of columns, padded with zeros.

    Attributes
    ----------
    shape : (rows, columns), (columns,) of a single row, or (..., columns) of several axes of rows
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
        rows, panels = math.prod(self.shape[:-1]), -(-self.shape[-1] // self.lanes)
        strides = (self.panel * flat.itemsize, self.lanes * flat.itemsize, flat.itemsize)
        end = self.start + (panels - 1) * self.panel + rows * self.lanes
        return np.lib.stride_tricks.as_strided(flat[self.start : end], (panels, rows, self.lanes), strides)

    def write(self, flat: np.ndarray, weight: np.ndarray) -> None:
        """Write an array of this shape to its place, zeros around it."""
        panels = self._panels(flat)
        rows = np.zeros((panels.shape[1], panels.shape[0] * self.lanes), flat.dtype)
        rows[:, : self.shape[-1]] = np.reshape(weight, (len(rows), -1))
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
        if kind_of(op).has_matrix:
            op[codes.WEIGHTS] = used
            used += int(op[codes.PANEL] * op[codes.PANELS])
        used = _place_vectors(op, used, lanes, trained=True)
    return used


def place_statistics(ops: np.ndarray, used: int, lanes: int) -> int:
    """Place what is kept but not trained from element ``used`` on; return the number of elements used."""
    for op in ops:
        used = _place_vectors(op, used, lanes, trained=False)
    return used


def _place_vectors(op: np.ndarray, used: int, lanes: int, trained: bool) -> int:
    for vector in kind_of(op).vectors:
        if vector.is_trained(op) == trained:
            op[vector.column] = used
            used += vector.number * int(op[codes.PANELS]) * lanes
    return used


def place_pairs(ops: np.ndarray, used: int, lanes: int) -> int:
    """Place the rounded weights of ``ops`` from element ``used`` on; return the number of elements then used."""
    has_weights_below = False
    for op in ops:
        if kind_of(op).has_matrix:
            op[codes.W_PAIRS] = used
            used += int(op[codes.PANELS] * whole(op[codes.INPUTS], lanes)) * lanes
            if has_weights_below:
                op[codes.WT_PAIRS] = used
                used += int(-(-op[codes.INPUTS] // lanes) * half(op[codes.PANELS])) * lanes * lanes
        has_weights_below |= kind_of(op).is_trained
    return used


def row_major(ops: np.ndarray) -> np.ndarray:
    """Copy of ``ops`` for vectors of one element, whose layers have their weights in one panel, row by row."""
    ops = ops.copy()
    ops[:, codes.PANELS] = vectors(ops[:, codes.OUTPUTS], 1)
    with_matrix = [kind_of(op).has_matrix for op in ops]
    ops[:, codes.PANEL] = np.where(with_matrix, ops[:, codes.INPUTS] + ops[:, codes.BIAS], 0)
    return ops


def weight_places(ops: np.ndarray, lanes: int) -> tuple[list[Place], list[Place]]:
    """Places of all weights in the order of the layers, and of constant factors, which are ones."""
    weights: list[Place] = []
    ones: list[Place] = []
    for op in ops:
        columns, panel = int(op[codes.OUTPUTS]), int(op[codes.PANEL])
        width = lanes if lanes > 1 else int(op[codes.PANELS])  # of a panel
        if kind_of(op).has_matrix:
            bias, start = int(op[codes.BIAS]), int(op[codes.WEIGHTS])
            of_windows = op[[codes.KERNEL_HEIGHT, codes.KERNEL_WIDTH, codes.CHANNELS]][2 - op[codes.AXES] :]
            rows = of_windows if op[codes.HEIGHT] else [op[codes.INPUTS]]
            weights.append(Place((*map(int, rows), columns), start + bias * width, panel, width))
            if bias:
                weights.append(Place((columns,), start, panel, width))
        for vector in kind_of(op).vectors:
            trained, size = vector.is_trained(op), int(op[codes.PANELS]) * lanes
            starts = [int(op[vector.column]) + index * size for index in range(vector.number)]
            places = [Place((columns,), start, width, width, trained) for start in starts]
            if trained or vector.constant is None:
                weights += places
            elif vector.constant == 1.0:  # memory is full of zeros
                ones += places
    return weights, ones
