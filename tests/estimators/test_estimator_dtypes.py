"""What estimators hand out has the dtype and the range of scikit-learn's, whatever they compute in."""

import copy
import json
import pickle

import numpy as np
import pandas as pd
import pytest
import sklearn.neural_network as scikit_learn
from scipy.sparse import csr_array, csr_matrix
from sklearn.compose import TransformedTargetRegressor
from sklearn.datasets import make_regression
from sklearn.metrics import log_loss
from sklearn.preprocessing import StandardScaler
from sklearn.utils import get_tags

import fastnn

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore:lbfgs failed"),
]
RNG = np.random.default_rng(0)
X = np.rint(3 * RNG.normal(size=(60, 4)))
TARGETS = {
    "binary": (X[:, 0] > 0).astype(int),
    "multiclass": np.arange(60) % 3,
    "multilabel": (X[:, :3] > 0).astype(int),
    "regression": X @ [1.0, 2.0, 0.5, -1.0] / 10,
    "multioutput": X[:, :2] / 3,
    "counts": np.abs(X[:, 0]),
}
ROWS = {
    **{name: X.astype(name) for name in ("float64", "float32", "int64", "int32", "int16", "int8")},
    "float16": X.astype(np.float16),
    "uint8": np.abs(X).astype(np.uint8),
    "bool": X > 0,
    "big-endian": X.astype(">f4"),
    "list of floats": X.tolist(),
    "list of integers": X.astype(int).tolist(),
    "frame": pd.DataFrame(X),
    "frame of float32": pd.DataFrame(X.astype(np.float32)),
    "mixed frame": pd.DataFrame(X.astype(np.float32)).astype({0: np.int64}),
    "sparse": csr_matrix(X),
    "sparse float32": csr_array(X.astype(np.float32)),
    "Fortran": np.asfortranarray(X.astype(np.float32)),
}


def pair(kind, **settings):
    """Our estimator in the default dtype, and scikit-learn's."""
    name = "MLPRegressor" if kind in ("regression", "multioutput", "counts") else "MLPClassifier"
    settings = {"hidden_layer_sizes": (5,), "max_iter": 3, "random_state": 0, **settings}
    if kind == "counts":
        settings["loss"] = "poisson"
    return getattr(fastnn, name)(**settings), getattr(scikit_learn, name)(**settings)


def outputs(model, rows):
    """All that a model hands out for rows."""
    found = {"predict": model.predict(rows)}
    for name in ("predict_proba", "predict_log_proba"):
        if hasattr(model, name):
            found[name] = getattr(model, name)(rows)
    return found


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
@pytest.mark.parametrize("fitted", ["float64", "float32", "int64", "list of floats", "frame of float32", "sparse"])
@pytest.mark.parametrize("kind", TARGETS)
def test_dtypes_and_values_are_scikit_learns(kind, fitted, solver):
    ours, theirs = pair(kind, solver=solver)
    for model in (ours, theirs):
        model.fit(ROWS[fitted], TARGETS[kind])
    for name in ("coefs_", "intercepts_"):
        for mine, other in zip(getattr(ours, name), getattr(theirs, name), strict=True):
            assert mine.dtype == other.dtype, name
            np.testing.assert_array_equal(mine, mine.astype(np.float32))
            np.testing.assert_allclose(mine, other, rtol=1e-3, atol=1e-4)
    for rows in ROWS.values():
        if isinstance(ROWS[fitted], pd.DataFrame) != isinstance(rows, pd.DataFrame):
            continue
        mine, other = outputs(ours, rows), outputs(theirs, rows)
        for name, expected in other.items():
            assert mine[name].dtype == expected.dtype, name
            assert mine[name].shape == expected.shape, name
            np.testing.assert_allclose(mine[name], expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("dtype", ["float32", "float64", "auto"])
@pytest.mark.parametrize("kind", ["multiclass", "regression"])
def test_warm_starts_keep_the_dtype(kind, dtype):
    for first, second in (("float32", "float64"), ("float64", "float32")):
        ours, theirs = pair(kind, warm_start=True)
        ours.set_params(dtype=dtype)
        for model in (ours, theirs):
            model.fit(ROWS[first], TARGETS[kind]).fit(ROWS[second], TARGETS[kind])
            model.partial_fit(ROWS[second], TARGETS[kind])
        expected = np.float64 if dtype == "float64" else theirs.coefs_[0].dtype
        assert {array.dtype for array in ours.coefs_ + ours.intercepts_} == {np.dtype(expected)}


@pytest.mark.parametrize("kind", TARGETS)
def test_nothing_is_lost_on_the_way(kind):
    ours, _ = pair(kind, batch_size=20)
    ours.fit(X, TARGETS[kind])
    for twin in (pickle.loads(pickle.dumps(ours)), copy.deepcopy(ours), copy.copy(ours)):
        for name, expected in outputs(ours, X).items():
            np.testing.assert_array_equal(outputs(twin, X)[name], expected)
    there = ours.to_sklearn()
    for name, expected in outputs(there, X).items():
        np.testing.assert_allclose(outputs(ours, X)[name], expected, rtol=1e-4, atol=1e-5)
    again = pickle.loads(pickle.dumps(ours))
    for model in (ours, again):
        model.partial_fit(X, TARGETS[kind])
    for mine, other in zip(ours.coefs_, again.coefs_, strict=True):
        np.testing.assert_array_equal(mine, other)


def test_probabilities_are_numbers_that_others_take():
    model, _ = pair("binary")
    assert json.dumps(model.fit(X, TARGETS["binary"]).predict_proba(X)[0, 1])
    assert isinstance(model.predict_log_proba(X)[0, 0], float)


@pytest.mark.parametrize("kind", ["binary", "multiclass", "multilabel"])
def test_saturated_probabilities(kind):
    """They do not tie, their logarithms are finite, and so are entropies; log_loss is not cut at float32's epsilon."""
    ours, _ = pair(kind, solver="lbfgs", max_iter=30, alpha=0.0)
    theirs = ours.fit(X, TARGETS[kind]).to_sklearn()
    far = np.linspace(1.0, 30.0, 60)[:, np.newaxis] * X
    proba, log_proba = ours.predict_proba(far), ours.predict_log_proba(far)
    expected = theirs.predict_proba(far)
    np.testing.assert_allclose(proba, expected, rtol=2e-2, atol=1e-12)
    positive, scikit_learns = (p[:, 0] for p in (proba, expected))
    assert len(np.unique(positive)) >= 0.95 * len(np.unique(scikit_learns))
    assert np.isfinite(log_proba).all()
    there = expected > 1e-10
    np.testing.assert_allclose(log_proba[there], np.log(expected[there]), rtol=1e-3, atol=1e-5)
    np.testing.assert_array_equal(proba.argmax(axis=1), log_proba.argmax(axis=1))
    if kind != "multilabel":
        wrong = (TARGETS[kind] + 1) % (TARGETS[kind].max() + 1)
        assert log_loss(wrong, proba) == pytest.approx(log_loss(wrong, expected), rel=1e-3)


def test_predictions_are_of_the_largest_probability():
    for kind in ("binary", "multiclass", "multilabel"):
        model, _ = pair(kind, max_iter=50)
        for rows in (X, 50 * X, X.astype(np.float32)):
            proba = model.fit(rows, TARGETS[kind]).predict_proba(rows)
            expected = (proba > 0.5).astype(int) if kind == "multilabel" else proba.argmax(axis=1)
            np.testing.assert_array_equal(model.predict(rows), expected)


def test_scaled_targets_far_from_zero():
    rows, y = make_regression(300, 5, noise=1.0, random_state=0)
    scores = []
    for kind in (fastnn.MLPRegressor, scikit_learn.MLPRegressor):
        network = kind(hidden_layer_sizes=(20,), max_iter=200, learning_rate_init=0.01, random_state=0)
        model = TransformedTargetRegressor(network, transformer=StandardScaler())
        scores.append(model.fit(rows, 1.7e9 + y).score(rows, 1.7e9 + y))
    assert scores[0] == pytest.approx(scores[1], abs=0.01)


@pytest.mark.parametrize("batch_size", ["auto", 20])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("kind", ["binary", "multiclass", "multilabel"])
def test_reported_losses_are_cut_as_scikit_learns(kind, dtype, batch_size):
    settings = {"max_iter": 3, "shuffle": False, "batch_size": batch_size, "learning_rate_init": 1e-5}
    ours, theirs = pair(kind, **settings)
    rows = (X * 2.0 ** np.arange(4) * 8).astype(dtype)
    for model in (ours, theirs):
        model.fit(rows, TARGETS[kind])
    np.testing.assert_allclose(ours.loss_curve_, theirs.loss_curve_, rtol=1e-3)
    assert max(theirs.loss_curve_) > 6.0


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("kind", ["binary", "multiclass", "multilabel"])
def test_validation_losses_are_cut_likewise(kind, dtype):
    ours, _ = pair(kind, max_iter=1, batch_size=20)
    rows, y = (X * 300).astype(dtype), TARGETS[kind]
    ours.fit(rows, y, validation_data=(rows, y))
    p, eps = ours.predict_proba(rows), np.finfo(dtype).eps
    p = np.clip(p, eps, 1 - eps)
    one_hot = y if kind == "multilabel" else np.eye(p.shape[1])[y]
    losses = -np.log(np.where(one_hot, p, 1 - p if kind == "multilabel" else 1.0)).sum(axis=1)
    assert losses.max() > 15
    assert ours.validation_loss_curve_ == pytest.approx([losses.mean()], rel=1e-3)


BEYOND = X * 1e300


def test_a_fit_in_float64_takes_what_float32_does_not():
    with pytest.raises(ValueError, match="Solver produced non-finite parameter weights"):
        fastnn.MLPRegressor(max_iter=5).fit(np.finfo(np.float64).max * RNG.uniform(size=(10, 2)), np.arange(10.0))


@pytest.mark.parametrize("wrap", [np.asarray, pd.DataFrame, csr_matrix, np.asfortranarray, list], ids=str)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_rows_beyond_float32(wrap):
    model = fastnn.MLPRegressor(max_iter=2, batch_size=10)
    with pytest.raises(ValueError, match=r"too large for dtype\('float32'\).*dtype=.float64"):
        model.fit(wrap(BEYOND), TARGETS["regression"])
    model.fit(X, TARGETS["regression"])
    with pytest.raises(ValueError, match=r"too large for dtype\('float32'\).*dtype=.float64"):
        model.predict(wrap(BEYOND) if wrap is not pd.DataFrame else BEYOND)


def test_threads_do_not_matter():
    rows = RNG.normal(size=(50_000, 4))
    for kind in ("binary", "multiclass", "regression"):
        model, _ = pair(kind)
        model.fit(X, TARGETS[kind])
        for name, expected in outputs(model.set_params(threads=1), rows).items():
            np.testing.assert_array_equal(outputs(model.set_params(threads=3), rows)[name], expected)


def test_the_last_activation_is_what_the_attribute_says():
    for kind in ("multiclass", "binary"):
        ours, theirs = pair(kind)
        for model in (ours, theirs):
            model.fit(X, TARGETS[kind]).out_activation_ = "identity"
        np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), rtol=1e-3, atol=1e-4)
        np.testing.assert_array_equal(ours.predict(X), theirs.predict(X))


def test_sparse_tags_tell_the_truth():
    sparse = {dtype: fastnn.MLPClassifier(dtype=dtype) for dtype in ("float32", "float64", "auto", "mixed_bfloat16")}
    assert [get_tags(model).input_tags.sparse for model in sparse.values()] == [True, True, True, False]
    assert not get_tags(fastnn.MLPRegressor(device="cuda")).input_tags.sparse
    with pytest.raises(TypeError, match="Sparse data was passed for X, but dense data is required"):
        sparse["mixed_bfloat16"].fit(ROWS["sparse"], TARGETS["binary"])


CLASSES = {
    **{name: np.array([1, 0, 3], name) for name in ("int8", "uint8", "int16", "int64", "float32", ">i4", ">f8")},
    "bool": np.array([True, False, True]),
    "words": np.array(["no", "yes", "maybe"]),
    "wide words": np.array(["no", "yes", "maybe"], "U20"),
    "objects": np.array(["no", "yes", "maybe"], object),
    "negative": np.array([-1, 1, 0]),
}


@pytest.mark.parametrize("classes", CLASSES.values(), ids=CLASSES)
@pytest.mark.parametrize("kind", ["binary", "multiclass"])
def test_labels_come_out_as_they_went_in(kind, classes):
    y = classes[TARGETS[kind]]
    ours, theirs = (model.fit(X, y) for model in pair(kind))
    part, their_part = (model.partial_fit(X, y, classes=np.unique(y)) for model in pair(kind))
    for mine, other in ((ours, theirs), (part, their_part), (pickle.loads(pickle.dumps(ours)), theirs)):
        assert mine.classes_.dtype == mine.predict(X).dtype == other.predict(X).dtype
        np.testing.assert_array_equal(mine.classes_, other.classes_)
        assert set(mine.predict(X)) <= set(y)
    if y.dtype.kind in "biuf" and y.dtype.isnative:
        assert ours.predict(X).dtype == y.dtype


@pytest.mark.parametrize("dtype", ["Int8", "Int64", "boolean", "category", "UInt16"])
def test_labels_of_pandas(dtype):
    y = pd.Series(TARGETS["binary"] > 0 if dtype == "boolean" else TARGETS["binary"], dtype=dtype)
    expected = {"boolean": "bool", "category": "int64"}.get(dtype, dtype.lower())
    model = fastnn.MLPClassifier(max_iter=2).fit(X, y)
    assert model.classes_.dtype == model.predict(X).dtype == expected


@pytest.mark.parametrize("dtype", ["int64", "int8", "bool", "float32"])
def test_several_labels_are_integers(dtype):
    ours, theirs = pair("multilabel")
    for wrap in (np.asarray, csr_matrix):
        y = wrap(TARGETS["multilabel"].astype(dtype))
        mine, other = (model.fit(X, y).predict(X) for model in (ours, theirs))
        assert type(mine) is type(other)
        assert mine.dtype == other.dtype
