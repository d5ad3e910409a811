"""The data of the tasks: float32 arrays, and a stand-in for each set that may not be had."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache

import numpy as np

from fastnn import datasets
from fastnn.datasets.published_file import Split

Array = np.ndarray


@dataclass
class Data:
    """Rows to train on and rows to judge on.

    Attributes
    ----------
    x, x_test : float32 (rows, features), array or CSR matrix; uint8 (rows, 784) for pictures, before `scaled`
    y, y_test : int64 (rows,) class numbers, or float32 (rows, outputs)
    about : str
        What these data are, for the report.
    """

    x: Array
    y: Array
    x_test: Array
    y_test: Array
    about: str

    def scaled(self) -> Data:
        """The same with pictures as float32 between 0 and 1."""
        if self.x.dtype != np.uint8:
            return self
        x, x_test = (part / np.float32(255) for part in (self.x, self.x_test))
        return Data(x, self.y, x_test, self.y_test, self.about)

    def standardized(self) -> Data:
        """The same with features of mean 0 and variance 1."""
        mean, deviation = self.x.mean(axis=0), self.x.std(axis=0)
        x, x_test = ((part - mean) / deviation for part in (self.x, self.x_test))
        return Data(x, self.y, x_test, self.y_test, f"{self.about.partition(';')[0]}; features standardized")


def _pima() -> Data:
    x, y = datasets.load_pima()
    x = x.astype(np.float32)
    return Data(x, y, x, y, "Pima diabetes, 768 rows, raw features; accuracy on the training rows")


def _instead_of_pima() -> Data:
    (x, y), (x_test, y_test) = datasets.load_breast_cancer()
    x, y = np.concatenate([x, x_test])[:, :8], np.concatenate([y, y_test])
    rows = np.arange(768) % len(x)
    x, y = x[rows].astype(np.float32), y[rows]
    about = "no Pima data: breast cancer of scikit-learn, 8 of its features, 569 rows repeated to 768"
    return Data(x, y, x, y, about)


def _pictures(split: Split, about: str) -> Data:
    (x, y), (x_test, y_test) = split
    return Data(x.reshape(len(x), -1), y, x_test.reshape(len(x_test), -1), y_test, about)


def _sign_mnist() -> Data:
    return _pictures(datasets.load_sign_mnist(), "sign-language MNIST, 27,455 pictures; accuracy on the test file")


@cache
def _instead_of_sign_mnist() -> Data:
    about = "no sign-MNIST data: synthetic pictures of the same shape and number, whose accuracy means nothing"
    return _pictures(datasets.make_sign_mnist_like(), about)


@cache
def _matrix_exponential() -> Data:
    """Draw the task of SimpleChains' published comparison: exponentials of 2 by 2 matrices, 10,000 to train on."""
    from scipy.linalg import expm

    a = np.random.default_rng(0).standard_normal((20_000, 2, 2))
    x, y = (part.reshape(-1, 4).astype(np.float32) for part in (a, expm(a)))
    return Data(x[:10_000], y[:10_000], x[10_000:], y[10_000:], "exponentials of random 2 by 2 matrices, 10,000 rows")


@cache
def _wide_table() -> Data:
    """Draw 50 features, and two classes by a random network of one hidden layer."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((60_000, 50), np.float32)
    score = np.tanh(x @ rng.standard_normal((50, 32), np.float32) / 7) @ rng.standard_normal(32, np.float32)
    y = (score + 0.5 * rng.standard_normal(60_000) > 0).astype(np.int64)
    return Data(x[:50_000], y[:50_000], x[50_000:], y[50_000:], "synthetic table, 50,000 rows, 50 features")


@cache
def _clouds() -> Data:
    """Draw ten overlapping clouds in 64 dimensions."""
    rng = np.random.default_rng(0)
    y = rng.integers(10, size=70_000)
    x = 0.25 * rng.standard_normal((10, 64), np.float32)[y] + rng.standard_normal((70_000, 64), np.float32)
    return Data(x[:65_536], y[:65_536], x[65_536:], y[65_536:], "synthetic, ten overlapping clouds in 64 dimensions")


@cache
def _sparse_text() -> Data:
    """Draw documents of 200 words out of 20,000, a fifth of them from the 400 favourites of their topic."""
    from scipy.sparse import csr_matrix

    rng = np.random.default_rng(0)
    rows, words, topics = 5000, 20_000, 10
    y = rng.integers(topics, size=rows)
    drawn = rng.integers(words, size=(rows, 200))
    drawn[:, :40] = rng.integers(words, size=(topics, 400))[y[:, None], rng.integers(400, size=(rows, 40))]
    starts = np.arange(0, drawn.size + 1, 200)
    counts = csr_matrix((np.ones(drawn.size, np.float32), drawn.ravel(), starts), (rows, words))
    counts.sum_duplicates()
    counts.data = np.log1p(counts.data)
    about = f"synthetic sparse text, 4,000 documents, 20,000 features, {counts.nnz / rows / words:.1%} filled"
    return Data(counts[:4000], y[:4000], counts[4000:], y[4000:], about)


SETS: dict[str, Callable[[], Data]] = {
    "Pima": _pima,
    "sign-MNIST": _sign_mnist,
    "matrix exponential": _matrix_exponential,
    "wide table": _wide_table,
    "clouds": _clouds,
    "sparse text": _sparse_text,
}
_STAND_INS: dict[str, Callable[[], Data]] = {"Pima": _instead_of_pima, "sign-MNIST": _instead_of_sign_mnist}


def missing(names: Iterable[str]) -> frozenset[str]:
    """Which of these sets cannot be had, so that all contenders take the stand-in."""
    found = set()
    for name in set(names) & set(_STAND_INS):
        try:
            SETS[name]()
        except OSError:
            found.add(name)
    return frozenset(found)


def load(name: str, stand_ins: frozenset[str] = frozenset(), rows: int | None = None) -> Data:
    """Return a set by its name, its first training rows if a number is given.

    Raises
    ------
    OSError
        The set cannot be had.
    """
    found = (_STAND_INS if name in stand_ins else SETS)[name]()
    if rows is None or rows >= found.x.shape[0]:
        return found
    x, y, about = found.x[:rows], found.y[:rows], f"{found.about}; the first {rows:,} rows"
    if found.x_test is found.x:
        return Data(x, y, x, y, about)
    return Data(x, y, found.x_test, found.y_test, about)
