"""Data sets: the two tasks fastnn is measured on, small real sets that need no download, and a synthetic one.

The two tasks are read from their publishers' CSV files, plain or compressed. A file is looked for in an explicit
`path`, then in the folder that the environment variable ``FASTNN_DATA`` names, then in ``data`` below the cache folder
(``FASTNN_CACHE_DIR``), and last it is downloaded where there is a public source. Its SHA-256 is checked.
Without an explicit `path` the parsed arrays are kept in the cache folder, so that later calls take milliseconds.
"""

from pathlib import Path

from fastnn.common import absent
from fastnn.datasets import pima, sign_mnist
from fastnn.datasets.bundled import load_breast_cancer, load_digits
from fastnn.datasets.pima import PIMA_FEATURES, load_pima
from fastnn.datasets.sign_mnist import SIGN_MNIST_LETTERS, load_sign_mnist, make_sign_mnist_like

__all__ = [
    "PIMA_FEATURES",
    "SIGN_MNIST_LETTERS",
    "load_breast_cancer",
    "load_digits",
    "load_pima",
    "load_sign_mnist",
    "make_sign_mnist_like",
]


def local_files() -> list[Path]:
    """Files on this machine that the functions above may read when no path is given."""
    files = (pima.PIMA, sign_mnist.SIGN_TRAIN, sign_mnist.SIGN_TEST)
    return [path for published in files for path in published.local_files()]


absent.explain(__name__)
