"""Numbers that need more digits, or more room, than float32 has: the message names them and the way out."""

import re
import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_diabetes

import fastnn
from fastnn.layers import Dense
from fastnn.models import Sequential

RNG = np.random.default_rng(0)
N = 60
GOOD = RNG.normal(size=(N, 2))
BINARY = (GOOD[:, 0] > 0).astype(int)
NANOSECONDS = 1_700_000_000_000_000_000 + RNG.integers(0, 10**10, N)  # within ten seconds; float32 has steps of 137
SECONDS = 1.7e9 + RNG.uniform(0, 600, N)  # within ten minutes; float32 has steps of two
WAY_OUT = r'subtract the mean and scale \(sklearn.preprocessing.StandardScaler\), or use dtype="float64"'


def fit_classifier(x, **options):
    return fastnn.MLPClassifier((3,), max_iter=2, n_iter_no_change=9, **options).fit(x, BINARY)


def fit_regressor(x, **options):
    return fastnn.MLPRegressor(hidden_layer_sizes=(3,), max_iter=2, n_iter_no_change=9, **options).fit(x, GOOD[:, 0])


def partial_fit(x, **options):
    return fastnn.MLPClassifier((3,), **options).partial_fit(x, BINARY, classes=[0, 1])


def fit_model(x, **options):
    model = Sequential([Dense(1, "sigmoid", input_dim=np.shape(x)[1])], **options)
    model.compile("sgd", "binary_crossentropy")
    model.fit(x, BINARY, verbose=0)


FACES = [fit_classifier, fit_regressor, partial_fit, fit_model]


def lost_in(call):
    """Messages about digits; how well so short a fit has converged is no matter here."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        call()
    return [warning for warning in caught if "float32 has too few digits" in str(warning.message)]


@pytest.mark.parametrize("fit", FACES)
@pytest.mark.parametrize("kind", ["array", "list", "frame"])
@pytest.mark.parametrize(("column", "left"), [(NANOSECONDS, "is constant"), (SECONDS, "different values")])
def test_columns_that_float32_cannot_tell_apart(fit, kind, column, left):
    x = np.column_stack([GOOD, column.astype(np.float64)])
    if kind == "list":
        x = x.tolist()
    elif kind == "frame":
        x = pd.DataFrame({"a": GOOD[:, 0], "b": GOOD[:, 1], "time": column})
    (warning,) = lost_in(lambda: fit(x))
    name = "column 'time' of X" if kind == "frame" and fit is not fit_model else f"column 2 of {'Xx'[fit is fit_model]}"
    message = str(warning.message)
    assert message.startswith(f"float32 has too few digits for {name}, which varies by ")
    assert left in message
    assert re.search(WAY_OUT + "$", message)
    assert warning.filename == __file__
    assert not lost_in(lambda: fit(x, dtype="float64"))


def test_whole_numbers_and_several_columns():
    """Of int64 the last digits may be gone in float64 too; many columns do not make a long message."""
    x = np.column_stack([NANOSECONDS + i for i in range(5)])
    (warning,) = lost_in(lambda: fit_model(x))
    assert "column 0 of x" in str(warning.message)
    assert "; and 2 columns more: " in str(warning.message)


def test_targets():
    y = 1.7e12 + RNG.uniform(0, 1000, N)
    (warning,) = lost_in(lambda: fastnn.MLPRegressor(max_iter=1, n_iter_no_change=9).fit(GOOD, y))
    assert str(warning.message).startswith("float32 has too few digits for y, which varies by ")
    model = Sequential([Dense(1, input_dim=2)])
    model.compile("sgd", "mae")
    (warning,) = lost_in(lambda: model.fit(GOOD, y, verbose=0))
    assert str(warning.message).startswith("float32 has too few digits for y, which varies by ")


@pytest.mark.parametrize("fit", FACES)
def test_columns_that_lose_nothing(fit):
    """Constants, whole numbers, rounding noise, numbers next to zero, few values, float32 itself, pixels."""
    rows = np.arange(N)
    x = np.column_stack([
        np.full(N, 0.1), np.full(N, 1e17), 0.1 + 1e-16 * (rows % 3), 2_000_000.0 + rows % 2, rows * 1e-40,
        rows * 1e-300, 1990.0 + rows % 30, (rows == 7).astype(float), GOOD[:, 0],
    ])  # fmt: skip
    assert not lost_in(lambda: fit(x))
    assert not lost_in(lambda: fit(np.column_stack([GOOD, SECONDS]).astype(np.float32)))
    assert not lost_in(lambda: fit(np.full((N, 3), 250, np.uint8) + (rows % 2)[:, None].astype(np.uint8)))
    assert not lost_in(lambda: fit(RNG.integers(0, 2, (N, 4)).astype(bool)))


def test_only_the_first_of_partial_fits_tells():
    x, model = np.column_stack([GOOD, NANOSECONDS]), fastnn.MLPClassifier((3,))
    assert len(lost_in(lambda: model.partial_fit(x, BINARY, classes=[0, 1]))) == 1
    assert not lost_in(lambda: model.partial_fit(x, BINARY))


# --- fits that end ------------------------------------------------------------------------------------------------


ENDLESS = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
NONFINITE = "^Solver produced non-finite parameter weights. The input data may contain large values and need to be prep"


@ENDLESS
def test_a_fit_that_ends_names_columns_and_way_out():
    x, y = load_diabetes(return_X_y=True, scaled=False, as_frame=True)
    model = fastnn.MLPRegressor("poisson", random_state=0)
    with pytest.raises(ValueError, match=f"{NONFINITE}.*'s1' of X up to 301, .*, y up to 346.*float32.*{WAY_OUT}"):
        model.fit(x, y)


@ENDLESS
@pytest.mark.parametrize("kind", ["regressor", "classifier", "sparse"])
def test_large_values(kind):
    x = RNG.lognormal(20, 2, size=(N, 3))
    model = fastnn.MLPClassifier((3,)) if kind == "classifier" else fastnn.MLPRegressor(hidden_layer_sizes=(3,))
    model.set_params(solver="sgd", batch_size=10, activation="identity", random_state=0)
    if kind == "sparse":
        from scipy.sparse import csr_matrix

        x = csr_matrix(x)
    message = NONFINITE if kind == "sparse" else f"{NONFINITE}.*Largest are column [0-2] of X up to [0-9.]*e"
    with pytest.raises(ValueError, match=rf"{message}.*This fit computed in float32: .*{WAY_OUT}\.$"):
        model.fit(x, BINARY)


@ENDLESS
def test_a_float64_fit_that_ends_speaks_as_scikit_learn():
    model = fastnn.MLPRegressor(dtype="float64", solver="sgd", batch_size=10, activation="identity")
    with pytest.raises(ValueError, match=NONFINITE + r"rocessed\.$"):
        model.fit(1e100 * GOOD, BINARY)


def test_what_float32_cannot_hold():
    with pytest.raises(ValueError, match=r'too large for dtype\(.*\)\. Scale its column, or use dtype="float64"'):
        fastnn.MLPRegressor(batch_size=10).fit(np.where(BINARY[:, None], 1e200, GOOD), BINARY)
    with pytest.raises(ValueError, match='which is too large for float32; scale it, or use dtype="float64"'):
        fit_model(np.where(BINARY[:, None], 1e200, GOOD))
