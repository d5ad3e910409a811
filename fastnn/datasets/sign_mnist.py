"""Sign-language MNIST, and a synthetic set of its shape."""

import os
from pathlib import Path

import numpy as np

from fastnn.datasets.published_file import Array, PublishedFile, Split, numbers_of, read_plain

SIGN_MNIST_LETTERS = "ABCDEFGHIKLMNOPQRSTUVWXY"
"""Letter of each class of `load_sign_mnist`; J and Z are signed by moving and have no picture."""


def load_sign_mnist(path: str | os.PathLike[str] | None = None) -> Split:
    """Sign-language MNIST: grey pictures of hands that sign a letter, 24 classes.

    Parameters
    ----------
    path : path, optional
        The folder that holds ``sign_mnist_train.csv`` and ``sign_mnist_test.csv`` (plain, ``.gz`` or ``.zip``), or
        Kaggle's zip archive of both. Default: look them up, see `fastnn.datasets`.

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
    return SIGN_TRAIN.load(path), SIGN_TEST.load(path)


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


def _parse_sign_mnist(csv: bytes) -> tuple[Array, Array]:
    table = numbers_of(csv.partition(b"\n")[2], np.uint8, 785)
    labels = table[:, 0].astype(np.int64)
    return table[:, 1:].reshape(-1, 28, 28), labels - (labels > 9)


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


SIGN_TRAIN = _sign_mnist("sign_mnist_train.csv", "b7ff39ad5f1210fa765ce11aa5f20c2e97fe467ffc22231aac923c863eef75c4")
SIGN_TEST = _sign_mnist("sign_mnist_test.csv", "178c0dd21c4b0e86d58df12f14ea1e9efa795ad19d146802b3b28094a16d56ae")
