"""Small real sets that scikit-learn brings along."""

import numpy as np

from fastnn.datasets.published_file import Array, Split


def load_breast_cancer() -> Split:
    """Wisconsin breast cancer, shipped with scikit-learn: 30 features, two classes, always the same split.

    Returns
    -------
    (x_train, y_train), (x_test, y_test) : tuple of tuples of ndarrays
        Features of shape (426, 30) and (143, 30), float64, not scaled; classes int64, 1 for benign.
    """
    from sklearn import datasets

    return _split(*datasets.load_breast_cancer(return_X_y=True))


def load_digits() -> Split:
    """Handwritten digits, shipped with scikit-learn: pictures of 8 by 8 pixels, always the same split.

    Returns
    -------
    (x_train, y_train), (x_test, y_test) : tuple of tuples of ndarrays
        Pictures of shape (1347, 8, 8) and (450, 8, 8), uint8 from 0 to 16; classes 0 to 9, int64.
    """
    from sklearn import datasets

    digits = datasets.load_digits()
    return _split(digits.images.astype(np.uint8), digits.target)


def _split(x: Array, y: Array) -> Split:
    """Keep a quarter of each class for testing."""
    from sklearn.model_selection import train_test_split

    x_train, x_test, y_train, y_test = train_test_split(x, y, test_size=0.25, stratify=y, random_state=0)
    return (x_train, y_train), (x_test, y_test)
