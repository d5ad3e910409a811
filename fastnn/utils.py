"""Small helpers around training: one-hot labels and repeatable runs."""

import random
from typing import Any

import numpy as np

from fastnn.common import absent, checks, seeding
from fastnn.data import arrays


def to_categorical(x: Any, num_classes: int | None = None) -> np.ndarray:
    """Turn class numbers into one-hot rows.

    Parameters
    ----------
    x : array-like of int, shape (n,), (n, 1) or any other
        Class numbers 0, 1, ..., num_classes - 1.
    num_classes : int, optional
        Number of columns, by default the largest class number plus one.

    Returns
    -------
    numpy.ndarray of float32, shape of x + (num_classes,)
        A last dimension of size one is dropped first.

    Raises
    ------
    ValueError
        If a number is negative, too large or not whole, or if x is empty.
    """
    labels = arrays.to_array(x, "x")
    if labels.ndim > 1 and labels.shape[-1] == 1:
        labels = labels[..., 0]
    if labels.size == 0:
        raise ValueError("x is empty: there are no class numbers in it")
    largest = labels.max()
    columns = int(largest) + 1 if num_classes is None else checks.integer("num_classes", num_classes, 1)
    arrays.check_class_numbers(labels.reshape(-1), columns, "x")
    return np.eye(columns, dtype=np.float32)[labels.astype(np.int64)]


def set_random_seed(seed: int) -> None:
    """Make what follows repeatable: initial weights, shuffling and dropout, and Python's and NumPy's own generators.

    Parameters
    ----------
    seed : int
        >= 0 and < 2**32.
    """
    if checks.integer("seed", seed, 0) >= 2**32:
        raise ValueError(f"seed must be < 2**32; got {seed!r}")
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - scripts may draw their data from it
    seeding.set_seed(seed)


absent.explain(__name__)
