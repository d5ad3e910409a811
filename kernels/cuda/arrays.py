"""What users' arrays on a GPU go through before a network sees them: conversion, checks, choice of rows."""

from __future__ import annotations

import math

from ..element_types import NUMBER
from .jit import cuda, entry


@entry("SiiiN")
def convert(source, row_stride, column_stride, columns, target):
    """target (rows * columns,) = numbers of any type, rows and columns so many elements apart."""
    i = cuda.grid(1)
    while i < target.size:
        r = i // columns
        target[i] = NUMBER(source[r * row_stride + (i - r * columns) * column_stride])
        i += cuda.gridsize(1)


@entry("UiiiU", dtypes=("float32",))
def convert_bytes(source, row_stride, column_stride, columns, target):
    """The same for pixels, which stay bytes."""
    i = cuda.grid(1)
    while i < target.size:
        r = i // columns
        target[i] = source[r * row_stride + (i - r * columns) * column_stride]
        i += cuda.gridsize(1)


@entry("NddiI")
def first_outside(numbers, low, high, whole, found):
    """Lower ``found[0]`` to the index of the first number that is not in [low, high], or not whole if asked for."""
    i = cuda.grid(1)
    while i < numbers.size:
        number = float(numbers[i])
        inside = number >= low and number <= high
        if not inside or (whole != 0 and math.floor(number) != number):
            cuda.atomic.min(found, 0, i)
        i += cuda.gridsize(1)


@entry("XIiX")
def take_rows(source, index, columns, target):
    """target (rows, columns) = rows ``index`` of the source, flat."""
    i = cuda.grid(1)
    while i < target.size:
        r = i // columns
        target[i] = source[index[r] * columns + i - r * columns]
        i += cuda.gridsize(1)
