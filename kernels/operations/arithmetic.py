"""Sums, products and copies of whole vectors."""

from __future__ import annotations

from ..llvm.vector_loops import vector_loop


def scaled(x, factor):
    """x * factor."""
    return x * factor


def times(x, y):
    """x * y."""
    return x * y


def plus(x, y):
    """x + y."""
    return x + y


def product_of(out, x, y):
    """x * y, written to ``out``."""
    return x * y


def copy_of(out, x):
    """x, written to ``out``."""
    return x


scale_vectors = vector_loop(scaled, 1, 1, 1)
multiply_vectors = vector_loop(times, 1, 2, 0)
add_vectors = vector_loop(plus, 1, 2, 0)
product_vectors = vector_loop(product_of, 1, 3, 0)
copy_vectors = vector_loop(copy_of, 1, 2, 0)


def clear(target, count):
    """Set ``count`` elements to 0."""
    for i in range(count):
        target[i] = 0.0
