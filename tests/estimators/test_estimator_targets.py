"""Targets as users have them: frames, columns in memory one by one, sparse labels, few classes."""

import pickle

import numpy as np
import pytest
import sklearn
from scipy import sparse
from sklearn.datasets import make_classification, make_multilabel_classification, make_regression
from sklearn.utils.fixes import parse_version

import fastnn

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

ROWS = 60
X, BINARY = make_classification(ROWS, 5, random_state=0)
LABELS = make_multilabel_classification(ROWS, 5, n_classes=4, random_state=0)[1]
NUMBERS = make_regression(ROWS, 5, n_targets=3, random_state=0)[1] / 100


def fitted(y, **settings):
    kind = fastnn.MLPRegressor if y is NUMBERS or np.asarray(y).dtype.kind == "f" else fastnn.MLPClassifier
    model = kind(hidden_layer_sizes=4, random_state=0, **{"max_iter": 5, "dtype": "float64"} | settings)
    return model.fit(X, y, validation_data=(X, y)) if settings.get("solver") != "lbfgs" else model.fit(X, y)


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
@pytest.mark.parametrize("y", [LABELS, NUMBERS], ids=["labels", "numbers"])
def test_targets_that_lie_column_by_column(y, solver):
    """As those of a data frame do."""
    rows, columns = fitted(y, solver=solver), fitted(np.asfortranarray(y), solver=solver)
    np.testing.assert_array_equal(rows.coefs_[0], columns.coefs_[0])
    assert rows.loss_ == columns.loss_
    if solver == "adam":
        assert rows.validation_loss_curve_ == columns.validation_loss_curve_
    frame = pytest.importorskip("pandas").DataFrame(y)
    np.testing.assert_array_equal(rows.coefs_[0], fitted(frame, solver=solver).coefs_[0])


def assert_same_as_scikit_learns(y, **settings):
    import sklearn.neural_network as scikit_learn

    settings = {"hidden_layer_sizes": 4, "random_state": 0, "max_iter": 8} | settings
    ours = fastnn.MLPClassifier(dtype="float64", **settings).fit(X, y)
    theirs = scikit_learn.MLPClassifier(**settings).fit(X, y)
    np.testing.assert_allclose(ours.coefs_[0], theirs.coefs_[0], rtol=1e-6)
    return ours, theirs


@pytest.mark.parametrize("kind", [sparse.csr_matrix, sparse.csc_array, sparse.coo_matrix])
@pytest.mark.parametrize("settings", [{}, {"early_stopping": True}, {"solver": "lbfgs"}], ids=str)
def test_sparse_labels(kind, settings):
    """Predictions for them are sparse, as scikit-learn's are."""
    if settings.get("early_stopping") and parse_version("1.8") > parse_version(sklearn.__version__):
        pytest.skip("this scikit-learn cannot stop early with sparse labels")
    y = kind(LABELS)
    ours, theirs = assert_same_as_scikit_learns(y, **settings)
    for model in (ours, pickle.loads(pickle.dumps(ours)), ours.to_sklearn(), fastnn.MLPClassifier.from_sklearn(theirs)):
        predicted, expected = model.predict(X), theirs.predict(X)
        assert type(predicted) is type(expected)
        np.testing.assert_array_equal(predicted.toarray(), expected.toarray())
        assert model.score(X, y.tocsr()) == theirs.score(X, y.tocsr())
    assert isinstance(ours.fit(X, LABELS).predict(X), np.ndarray)


def test_sparse_labels_in_parts_and_held_out():
    y = sparse.csr_matrix(LABELS)
    model = fastnn.MLPClassifier(random_state=0).partial_fit(X, y, classes=range(4))
    assert sparse.issparse(model.partial_fit(X, y).predict(X))
    watched, dense = fitted(y, early_stopping=True), fitted(LABELS, early_stopping=True)
    assert watched.validation_loss_curve_ == dense.validation_loss_curve_
    assert watched.validation_scores_ == dense.validation_scores_


@pytest.mark.parametrize("y", [sparse.csr_matrix(LABELS), np.full(ROWS, np.datetime64("2026-01-01"))], ids=type)
def test_targets_that_are_no_numbers(y):
    with pytest.raises(TypeError, match="y must be an array of numbers"):
        fastnn.MLPRegressor().fit(X, y)


def test_one_class_is_always_right():
    ours, theirs = assert_same_as_scikit_learns(np.zeros(ROWS), early_stopping=True, max_iter=20)
    assert ours.validation_scores_ == theirs.validation_scores_
    assert set(ours.predict(X)) == {0.0}


def test_labels_in_another_byte_order():
    ours, theirs = assert_same_as_scikit_learns(BINARY.astype(">i8"))
    assert ours.classes_.dtype == theirs.classes_.dtype


@pytest.mark.parametrize("kind", [fastnn.MLPClassifier, fastnn.MLPRegressor])
def test_held_out_rows_without_weight_are_refused(kind):
    weights = np.eye(ROWS)[3]  # a row that this seed trains on
    with pytest.raises(ValueError, match="at least one non-zero number. Those of the held-out rows"):
        kind(early_stopping=True, random_state=0).fit(X, BINARY, weights)
