"""float64 estimators repeat scikit-learn's: loss curves, scores, weights and predictions over a grid of settings."""

import pickle

import numpy as np
import pytest
import sklearn
import sklearn.neural_network as scikit_learn
from sklearn.datasets import make_classification, make_multilabel_classification, make_regression
from sklearn.utils.fixes import parse_version

import fastnn

SCIKIT_LEARN_VERSION = parse_version(sklearn.__version__)
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

ROWS = 120
X, BINARY = make_classification(ROWS, 6, random_state=0)
COUNTS = np.random.default_rng(0).poisson(np.exp(X[:, :2]).clip(0, 20))
TARGETS = {
    "binary": BINARY,
    "multiclass": X[:, :2].argmax(axis=1) + (X[:, 2] > 0),
    "words": np.array(["no", "yes"])[BINARY],
    "multilabel": make_multilabel_classification(ROWS, 6, random_state=0)[1],
    "regression": make_regression(ROWS, 6, noise=5.0, random_state=0)[1] / 100,
    "multioutput": make_regression(ROWS, 6, n_targets=3, random_state=0)[1] / 100,
    "counts": COUNTS[:, 0],
    "several counts": COUNTS,
}
WEIGHTS = np.random.default_rng(1).uniform(0.0, 2.0, ROWS) * (np.arange(ROWS) % 5 > 0)
SETTINGS = [
    {},
    {"shuffle": False, "hidden_layer_sizes": 20},
    {"activation": "tanh", "hidden_layer_sizes": (5, 3), "alpha": 0.1, "batch_size": 40},
    {"activation": "logistic", "hidden_layer_sizes": 7, "tol": 1e-2, "learning_rate_init": 0.02, "n_iter_no_change": 4},
    {"activation": "identity", "beta_1": 0.5, "beta_2": 0.9, "epsilon": 1e-3, "batch_size": 24},
    {"hidden_layer_sizes": (), "solver": "sgd", "learning_rate_init": 0.01, "momentum": 0.5},
    {"solver": "sgd", "learning_rate": "invscaling", "learning_rate_init": 0.05, "nesterovs_momentum": False},
    {"solver": "sgd", "learning_rate": "adaptive", "learning_rate_init": 0.1, "tol": 1e-2, "n_iter_no_change": 2},
    {"early_stopping": True, "learning_rate_init": 0.01, "n_iter_no_change": 3, "batch_size": 25},
    {"solver": "sgd", "early_stopping": True, "validation_fraction": 0.3, "learning_rate_init": 0.01},
    {"solver": "lbfgs", "max_iter": 25},
    {"solver": "lbfgs", "activation": "tanh", "hidden_layer_sizes": (8, 4), "alpha": 0.5, "max_iter": 25},
    {"solver": "lbfgs", "hidden_layer_sizes": (), "max_fun": 12},
]


def pair(kind, **settings):
    """Our estimator and scikit-learn's, fitted on the same rows."""
    name = "MLPClassifier" if kind in ("binary", "multiclass", "words", "multilabel") else "MLPRegressor"
    if "counts" in kind:
        settings["loss"] = "poisson"
    return getattr(fastnn, name)(dtype="float64", **settings), getattr(scikit_learn, name)(**settings)


def assert_equal(ours, theirs, close=1e-6):
    """Compare everything that was learned."""
    for name in ("coefs_", "intercepts_"):
        for mine, other in zip(getattr(ours, name), getattr(theirs, name), strict=True):
            np.testing.assert_allclose(mine, other, rtol=close, atol=close)
    for name in ("loss_curve_", "validation_scores_"):
        assert hasattr(ours, name) == hasattr(theirs, name)
        if hasattr(theirs, name):
            curves = (np.asarray(getattr(model, name), float) for model in (ours, theirs))
            np.testing.assert_allclose(*curves, rtol=close)
    for name in ("n_iter_", "t_", "n_layers_", "n_outputs_", "n_features_in_", "out_activation_"):
        assert getattr(ours, name) == getattr(theirs, name)
    for name in ("loss_", "best_loss_", "best_validation_score_"):
        value = getattr(theirs, name, None)
        assert getattr(ours, name, None) == (value and pytest.approx(value, rel=close))
    np.testing.assert_array_equal(getattr(ours, "classes_", 0), getattr(theirs, "classes_", 0))


@pytest.mark.covering
@pytest.mark.parametrize("settings", SETTINGS, ids=lambda s: ",".join(f"{k}={v}" for k, v in s.items()) or "default")
@pytest.mark.parametrize("kind", TARGETS)
@pytest.mark.parametrize("weighted", [False, True])
def test_whole_fits(kind, settings, weighted):
    if kind == "words" and settings.get("early_stopping") and parse_version("1.8") > SCIKIT_LEARN_VERSION:
        pytest.skip("this scikit-learn cannot stop early with words as labels (its issue 33760)")
    ours, theirs = pair(kind, **({"max_iter": 30, "random_state": 3} | settings))
    for model in (ours, theirs):
        model.fit(X, TARGETS[kind], sample_weight=WEIGHTS if weighted else None)
    assert_equal(ours, theirs)
    y = TARGETS[kind]
    if hasattr(theirs, "predict_proba"):
        np.testing.assert_array_equal(ours.predict(X), theirs.predict(X))
        np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), rtol=1e-5, atol=1e-9)
        with np.errstate(divide="ignore"):
            mine, other = ours.predict_log_proba(X), theirs.predict_log_proba(X)
        small = other < -25.0  # what scikit-learn subtracts from 1 has lost its digits there; ours is of the logits
        np.testing.assert_allclose(mine[~small], other[~small], rtol=1e-5, atol=1e-9)
        assert (mine[small] < -24.9).all()
        assert np.isfinite(mine).all()
    else:
        np.testing.assert_allclose(ours.predict(X), theirs.predict(X), rtol=1e-5, atol=1e-6)
    assert ours.score(X, y) == pytest.approx(theirs.score(X, y), rel=1e-6)


@pytest.mark.parametrize("kind", ["binary", "multiclass", "multilabel"])
@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
def test_saturated_probabilities(kind, solver):
    """Features far from unit scale: scikit-learn clips the probabilities that it reports the loss of."""
    ours, theirs = pair(kind, solver=solver, max_iter=12, random_state=1, learning_rate_init=1e-4)
    scale = 300.0 if kind == "multiclass" else 2.0 ** np.arange(6) * 4
    for model in (ours, theirs):
        model.fit(X * scale, TARGETS[kind])
    assert_equal(ours, theirs, 1e-4 if solver == "lbfgs" else 1e-6)
    if solver != "lbfgs":
        assert ours.loss_curve_[0] > 5.0


@pytest.mark.parametrize("kind", ["binary", "multiclass", "regression", "multioutput"])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_early_stopping_of_fits_that_diverge(kind):
    """scikit-learn counts what a classifier predicts from NaN, so that it stops; a regressor has no score then."""
    settings = {"solver": "sgd", "learning_rate_init": 0.3, "activation": "identity", "hidden_layer_sizes": (16, 8)}
    settings |= {"batch_size": 10, "early_stopping": True, "n_iter_no_change": 3, "max_iter": 20, "random_state": 0}
    ours, theirs = pair(kind, **settings)
    for model in (ours, theirs):
        model.fit(X, TARGETS[kind])
    assert np.isnan(ours.loss_)
    assert ours.n_iter_ == theirs.n_iter_
    np.testing.assert_array_equal(ours.validation_scores_[-3:], theirs.validation_scores_[-3:])
    np.testing.assert_allclose(ours.coefs_[0], theirs.coefs_[0], rtol=1e-6)


@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
def test_warm_fits(solver):
    ours, theirs = pair("multiclass", solver=solver, warm_start=True, max_iter=6, random_state=0)
    for _ in range(3):
        for model in (ours, theirs):
            model.fit(X, TARGETS["multiclass"])
    assert_equal(ours, theirs)


@pytest.mark.parametrize("solver", ["adam", "sgd"])
@pytest.mark.parametrize("kind", ["multiclass", "multilabel", "regression"])
def test_partial_fits(kind, solver):
    ours, theirs = pair(kind, solver=solver, batch_size=20, random_state=0)
    y = TARGETS[kind]
    classes = {"classes": np.unique(y)} if kind == "multiclass" else {}
    classes = {"classes": range(y.shape[1])} if kind == "multilabel" else classes
    for part in range(6):
        rows = slice(15 * part, 15 * part + 40)
        for model in (ours, theirs):
            model.partial_fit(X[rows], y[rows], **classes)
    assert_equal(ours, theirs)


def test_auto_follows_the_input():
    for dtype in (np.float32, np.float64):
        ours = fastnn.MLPRegressor(dtype="auto", max_iter=5, random_state=0).fit(X.astype(dtype), TARGETS["regression"])
        assert {array.dtype for array in ours.coefs_ + ours.intercepts_} == {np.dtype(dtype)}
        assert ours.predict(X.astype(dtype)).dtype == dtype
        assert ours.predict(X).dtype == np.float64
    _, theirs = pair("regression", max_iter=5, random_state=0)
    assert_equal(ours, theirs.fit(X, TARGETS["regression"]))


@pytest.mark.parametrize(
    "changed", [{"alpha": 20.0}, {"activation": "tanh"}, {"batch_size": 7, "shuffle": False}], ids=str
)
def test_parameters_changed_between_partial_fits(changed):
    ours, theirs = pair("regression", hidden_layer_sizes=5, random_state=0)
    for model in (ours, theirs):
        model.partial_fit(X, TARGETS["regression"]).set_params(**changed)
    np.testing.assert_allclose(ours.predict(X), theirs.predict(X), rtol=1e-9)
    np.testing.assert_array_equal(ours.predict(X), pickle.loads(pickle.dumps(ours)).predict(X))
    for model in (ours, theirs):
        for _ in range(3):
            model.partial_fit(X, TARGETS["regression"])
    assert_equal(ours, theirs)


@pytest.mark.parametrize(
    "settings",
    [{"max_iter": True}, {"learning_rate_init": True}, {"beta_1": False}, {"solver": "sgd", "momentum": False}],
    ids=str,
)
def test_truth_values_are_numbers(settings):
    ours, theirs = pair("binary", **{"max_iter": 3, "random_state": 0} | settings)
    assert_equal(ours.fit(X, BINARY), theirs.fit(X, BINARY))
