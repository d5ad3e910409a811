"""The quick checks of estimators give what scikit-learn's give."""

import numpy as np
import pytest
from sklearn.utils.validation import validate_data

from fastnn import MLPClassifier, MLPRegressor
from fastnn.estimators import input_checks
from fastnn.estimators.input_checks import check_rows, check_rows_and_targets

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
RNG = np.random.default_rng(0)
ROWS = RNG.normal(size=(30, 4))
LABELS = RNG.integers(0, 2, 30)
DTYPES = ["float32", "float64", "auto"]
MATRICES = {
    "float64": ROWS,
    "float32": ROWS.astype("f4"),
    "float16": ROWS.astype("f2"),
    "int": (ROWS * 10).astype(int),
    "bool": ROWS > 0,
    "Fortran": np.asfortranarray(ROWS),
    "stripes": np.repeat(ROWS, 2, axis=1)[::1, ::2],
    "list": ROWS.tolist(),
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", MATRICES)
def test_rows(kind, dtype):
    mine, theirs = MLPClassifier(), MLPClassifier()
    X = MATRICES[kind]

    def chosen(rows, given):
        assert rows == len(X)
        return np.dtype(given if dtype == "auto" else dtype)

    rows, y, given = check_rows_and_targets(mine, X, LABELS, chosen, reset=True)
    types = (np.float64, np.float32)
    expected, _ = validate_data(theirs, X, LABELS, dtype=types, order="C", reset=True)
    assert given == expected.dtype
    assert rows.dtype == (given if dtype == "auto" else dtype)
    assert rows.flags.c_contiguous
    np.testing.assert_array_equal(rows, expected.astype(rows.dtype))
    assert y is LABELS
    assert vars(mine) == vars(theirs)
    fits = isinstance(X, np.ndarray) and X.dtype == rows.dtype and X.flags.c_contiguous
    assert (X is rows) == fits  # copied when, and only when, it must be
    again, given = check_rows(mine, X, rows.dtype)
    np.testing.assert_array_equal(again, rows)
    assert given == np.asarray(X).dtype


def test_plain_arrays_need_only_the_quick_checks(monkeypatch):
    model = MLPClassifier(max_iter=2).fit(ROWS, LABELS)
    monkeypatch.setattr(input_checks, "validate_data", None)
    assert model.fit(ROWS, LABELS).predict(ROWS[:1]).shape == (1,)


@pytest.mark.parametrize(
    ("X", "words"),
    [
        (np.where(ROWS > 2, np.nan, ROWS), "Input X contains NaN"),
        (np.where(ROWS > 2, np.inf, ROWS), "Input X contains infinity"),
        (ROWS * 1e300, "too large for dtype.*dtype=.float64"),
        (ROWS[0], "Expected 2D array"),
        (ROWS[:0], "0 sample"),
        (ROWS[:, :0], "0 feature"),
        (ROWS[:, :3], "3 features"),
        (ROWS * 1j, "Complex data"),
        ([["a", "b", "c", "d"]], "not compatible with arrays of bytes/strings"),
    ],
)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_errors_are_scikit_learns(X, words):
    model = MLPClassifier(max_iter=2).fit(ROWS, LABELS)
    with pytest.raises(ValueError, match=words):
        model.predict(X)


@pytest.mark.parametrize(
    ("y", "words"),
    [
        (LABELS[:9], "inconsistent numbers"),
        (np.where(LABELS, np.nan, 1.0), "Input y contains NaN"),
        (None, "requires y"),
        (LABELS + 0.5j, "Complex data"),
    ],
)
def test_errors_in_targets_are_scikit_learns(y, words):
    with pytest.raises(ValueError, match=words):
        MLPRegressor().fit(ROWS, y)


def test_a_number_for_rows_is_refused():
    with pytest.raises(ValueError, match="Expected 2D array, got scalar array"):
        MLPRegressor().fit(np.array(3.0), LABELS)


def test_scores_are_scikit_learns():
    from sklearn.base import ClassifierMixin

    words = np.array(["no", "yes"])
    for classes, y in ((words, words[LABELS]), (np.arange(2), LABELS), (np.arange(2), LABELS.astype(float))):
        model = MLPClassifier(max_iter=5).fit(ROWS, classes[LABELS])
        assert model.score(ROWS, y) == ClassifierMixin.score(model, ROWS, y)
        assert model.score(ROWS, y.tolist(), np.arange(30)) == ClassifierMixin.score(model, ROWS, y, np.arange(30))
    with pytest.raises(ValueError, match="inconsistent"):
        model.score(ROWS, LABELS[:5])
