"""Metrics of one row that are no losses, and the table of them.

A metric's kernel writes its columns, ``width`` of them, to ``stats``. Letters: C outputs y of a row (logits where the
network gives logits); t is the row's target: C values, or the class number for the sparse metrics. ``factors`` are its
parameters, as for losses.
"""

from __future__ import annotations

from .. import codes


def index_of_largest(y, columns):
    """Index of the first largest of C values."""
    largest = 0
    for j in range(1, columns):
        if y[j] > y[largest]:
            largest = j
    return largest


def binary_accuracy(y, t, columns, factors, width, stats):
    """Fraction of outputs on the right side of the threshold."""
    right, threshold = 0.0, factors[codes.SHAPE]
    for j in range(columns):
        right += 1.0 if (y[j] > threshold) == (t[j] == 1.0) and (t[j] == 0.0 or t[j] == 1.0) else 0.0
    stats[0] = right / float(columns)


def categorical_accuracy(y, t, columns, factors, width, stats):
    """Whether the largest output is that of the largest target."""
    stats[0] = 1.0 if index_of_largest(y, columns) == index_of_largest(t, columns) else 0.0


def sparse_categorical_accuracy(y, t, columns, factors, width, stats):
    """Whether the largest output is that of the class."""
    stats[0] = 1.0 if index_of_largest(y, columns) == t[0] else 0.0


def exact_accuracy(y, t, columns, factors, width, stats):
    """Fraction of outputs that are equal to their targets."""
    right = 0.0
    for j in range(columns):
        right += 1.0 if y[j] == t[j] else 0.0
    stats[0] = right / float(columns)


# By name. Every loss is a metric too: the codes of these continue those of the losses.
METRICS = {
    "binary_accuracy": binary_accuracy,
    "categorical_accuracy": categorical_accuracy,
    "sparse_categorical_accuracy": sparse_categorical_accuracy,
    "exact_accuracy": exact_accuracy,
}


def code_of(name: str) -> int:
    """Return the code of a loss, or of another metric, by its name.

    Raises
    ------
    ValueError
        If there is none.
    """
    return [*codes.LOSSES, *METRICS].index(name)
