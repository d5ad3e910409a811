"""Data sets: the two tasks fastnn is measured on, small real sets that need no download, and a synthetic one.

The two tasks are read from their publishers' CSV files, plain or compressed. A file is looked for in an explicit
`path`, then in the folder that the environment variable ``FASTNN_DATA`` names, then in ``data`` below the cache folder
(``FASTNN_CACHE_DIR``), and last it is downloaded where there is a public source. Its SHA-256 is checked.
Without an explicit `path` the parsed arrays are kept in the cache folder, so that later calls take milliseconds.
"""

import os
import socket
import warnings
from pathlib import Path

import numpy as np

from fastnn.common import absent
from fastnn.datasets.published_file import Array, PublishedFile, read_plain

__all__ = [
    "PIMA_FEATURES",
    "SIGN_MNIST_LETTERS",
    "load_breast_cancer",
    "load_digits",
    "load_pima",
    "load_sign_mnist",
    "make_sign_mnist_like",
]

Split = tuple[tuple[Array, Array], tuple[Array, Array]]

PIMA_FEATURES = (
    "pregnancies",
    "glucose",
    "blood_pressure",
    "skin_thickness",
    "insulin",
    "bmi",
    "pedigree",
    "age",
)
"""Names of the eight columns of `load_pima`."""

SIGN_MNIST_LETTERS = "ABCDEFGHIKLMNOPQRSTUVWXY"
"""Letter of each class of `load_sign_mnist`; J and Z are signed by moving and have no picture."""


def load_pima(path: str | os.PathLike[str] | None = None) -> tuple[Array, Array]:
    """Pima Indians diabetes: eight measurements of 768 women, and whether diabetes followed within five years.

    Parameters
    ----------
    path : path, optional
        The CSV file (plain, gzip or zip) or the folder that holds it. Default: look it up, see the module.

    Returns
    -------
    X : ndarray of shape (768, 8), float64
        Raw features in the order of `PIMA_FEATURES`; zeros in several columns stand for missing values.
    y : ndarray of shape (768,), int64
        1 for diabetes (268 rows), else 0.

    Raises
    ------
    FileNotFoundError
        If the file is nowhere to be had; the message says where to get it.
    ValueError
        If the file is not the published one.

    Notes
    -----
    J. W. Smith et al., "Using the ADAP learning algorithm to forecast the onset of diabetes mellitus", 1988.
    """
    return _PIMA.load(path)


def load_sign_mnist(path: str | os.PathLike[str] | None = None) -> Split:
    """Sign-language MNIST: grey pictures of hands that sign a letter, 24 classes.

    Parameters
    ----------
    path : path, optional
        The folder that holds ``sign_mnist_train.csv`` and ``sign_mnist_test.csv`` (plain, ``.gz`` or ``.zip``), or
        Kaggle's zip archive of both. Default: look them up, see the module.

    Returns
    -------
    (x_train, y_train), (x_test, y_test) : tuple of tuples of ndarrays
        Pictures of shape (27455, 28, 28) and (7172, 28, 28), uint8; classes 0 to 23, int64, in the order of
        `SIGN_MNIST_LETTERS` (the files' labels skip 9; here they do not).

    Raises
    ------
    FileNotFoundError
        If a file is nowhere to be had; the message says where to get it.
    ValueError
        If a file is not the published one.

    Notes
    -----
    The training file was augmented from about 1,700 photographs, so a split of it leaks: judge on the test set.
    """
    return _SIGN_TRAIN.load(path), _SIGN_TEST.load(path)


def load_breast_cancer() -> Split:
    """Wisconsin breast cancer, shipped with scikit-learn: 30 features, two classes, always the same split.

    Returns
    -------
    (x_train, y_train), (x_test, y_test) : tuple of tuples of ndarrays
        Features of shape (426, 30) and (143, 30), float64, not scaled; classes int64, 1 for benign.
    """
    from sklearn.datasets import load_breast_cancer as bundled

    return _split(*bundled(return_X_y=True))


def load_digits() -> Split:
    """Handwritten digits, shipped with scikit-learn: pictures of 8 by 8 pixels, always the same split.

    Returns
    -------
    (x_train, y_train), (x_test, y_test) : tuple of tuples of ndarrays
        Pictures of shape (1347, 8, 8) and (450, 8, 8), uint8 from 0 to 16; classes 0 to 9, int64.
    """
    from sklearn.datasets import load_digits as bundled

    digits = bundled()
    return _split(digits.images.astype(np.uint8), digits.target)


def make_sign_mnist_like(n_train: int = 27455, n_test: int = 7172, seed: int = 0) -> Split:
    """Draw a synthetic set with the shape and value range of sign-language MNIST, for timing and for trying out.

    Each class is a smooth random picture; a sample is its class's picture, moved by up to two pixels, with
    its own contrast and brightness, plus noise.

    Parameters
    ----------
    n_train, n_test : int, default 27455 and 7172
        Numbers of pictures, at least 0.
    seed : int, default 0
        The same seed gives the same set.

    Returns
    -------
    (x_train, y_train), (x_test, y_test) : tuple of tuples of ndarrays
        As `load_sign_mnist` returns them.

    Raises
    ------
    ValueError
        If a number of pictures is negative.
    """
    if min(n_train, n_test) < 0:
        raise ValueError(f"n_train and n_test must be at least 0, got {n_train} and {n_test}")
    rng = np.random.default_rng(seed)
    n_classes = len(SIGN_MNIST_LETTERS)
    coarse = rng.standard_normal((n_classes, 7, 7), dtype=np.float32)
    smooth = np.kron(coarse, np.ones((4, 4), np.float32))
    for axis in (1, 2):
        smooth = np.mean([np.roll(smooth, step, axis) for step in range(-2, 3)], axis=0)
    smooth /= smooth.std(axis=(1, 2), keepdims=True)
    moves = [(dy, dx) for dy in range(-2, 3) for dx in range(-2, 3)]
    moved = np.stack([np.roll(smooth, move, axis=(1, 2)) for move in moves], axis=1)

    def draw(n: int) -> tuple[Array, Array]:
        y = rng.integers(n_classes, size=n)
        x = moved[y, rng.integers(len(moves), size=n)]
        x *= rng.uniform(25, 50, size=(n, 1, 1)).astype(np.float32)
        x += rng.uniform(120, 190, size=(n, 1, 1)).astype(np.float32)
        x += np.float32(20) * rng.standard_normal((n, 28, 28), dtype=np.float32)
        return np.clip(x, 0, 255, out=x).astype(np.uint8), y

    return draw(n_train), draw(n_test)


def _split(x: Array, y: Array) -> Split:
    """Keep a quarter of each class for testing."""
    from sklearn.model_selection import train_test_split

    x_train, x_test, y_train, y_test = train_test_split(x, y, test_size=0.25, stratify=y, random_state=0)
    return (x_train, y_train), (x_test, y_test)


def _numbers(csv: bytes, dtype: type, columns: int) -> Array:
    """Parse rows of bare numbers, some ten times faster than `numpy.loadtxt`; the digest vouches for the format."""
    return np.fromstring(csv.replace(b"\n", b","), dtype, sep=",").reshape(-1, columns)


def _parse_pima(csv: bytes) -> tuple[Array, Array]:
    table = _numbers(csv, np.float64, 9)
    return table[:, :8].copy(), table[:, 8].astype(np.int64)


def _parse_sign_mnist(csv: bytes) -> tuple[Array, Array]:
    table = _numbers(csv.partition(b"\n")[2], np.uint8, 785)
    labels = table[:, 0].astype(np.int64)
    return table[:, 1:].reshape(-1, 28, 28), labels - (labels > 9)


def _pima_from_openml() -> bytes:
    """Get OpenML's data set 37 and write it as the published file, so that the same SHA-256 checks it."""
    from sklearn.datasets import fetch_openml

    patience = socket.getdefaulttimeout()
    socket.setdefaulttimeout(20)  # fetch_openml itself would wait for ever
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # its remarks on retries; the last failure is reported
            data = fetch_openml(data_id=37, as_frame=False, cache=False, n_retries=1, delay=0.1)
    finally:
        socket.setdefaulttimeout(patience)
    row = "{:.0f},{:.0f},{:.0f},{:.0f},{:.0f},{:.1f},{:.3f},{:.0f},{:d}"
    rows = (row.format(*x, int(y == "tested_positive")) for x, y in zip(data.data, data.target, strict=True))
    return "\n".join(rows).encode()


_PIMA = PublishedFile(
    "pima-indians-diabetes.csv",
    "6bfe5d0f379d17a0e0819b996407e3c09bf80febd4287f2ed212190dfff154af",
    _parse_pima,
    _pima_from_openml,
    "With a network it is fetched from OpenML (https://www.openml.org/d/37) by itself.",
)


def _sign_mnist(name: str, sha256: str) -> PublishedFile:
    def from_kaggle() -> bytes:
        import kagglehub

        return read_plain(Path(kagglehub.dataset_download("datamunge/sign-language-mnist", path=name)), name)

    return PublishedFile(
        name,
        sha256,
        _parse_sign_mnist,
        from_kaggle,
        "Get it from https://www.kaggle.com/datasets/datamunge/sign-language-mnist, or let it be fetched from there: "
        "`pip install kagglehub`.",
        archives=("archive.zip", "sign-language-mnist.zip"),
    )


_SIGN_TRAIN = _sign_mnist("sign_mnist_train.csv", "b7ff39ad5f1210fa765ce11aa5f20c2e97fe467ffc22231aac923c863eef75c4")
_SIGN_TEST = _sign_mnist("sign_mnist_test.csv", "178c0dd21c4b0e86d58df12f14ea1e9efa795ad19d146802b3b28094a16d56ae")


def local_files() -> list[Path]:
    """Files on this machine that the functions above may read when no path is given."""
    return [path for published in (_PIMA, _SIGN_TRAIN, _SIGN_TEST) for path in published.local_files()]


absent.explain(__name__)
