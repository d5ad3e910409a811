"""The estimators inside scikit-learn's tools: conversion, pickles, routing, tags, meta-estimators, searches."""

import copy
import pickle
from dataclasses import asdict

import joblib
import numpy as np
import pytest
import sklearn
import sklearn.neural_network as scikit_learn
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import make_classification, make_multilabel_classification
from sklearn.ensemble import BaggingClassifier, BaggingRegressor
from sklearn.exceptions import NotFittedError
from sklearn.inspection import permutation_importance
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import fastnn

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X, Y = make_classification(150, 6, n_informative=4, n_classes=3, random_state=0)
TARGETS = {
    "binary": Y == 1,
    "multiclass": Y,
    "words": np.array(["a", "b", "c"])[Y],
    "multilabel": make_multilabel_classification(150, 6, random_state=0)[1],
    "regression": X[:, 0],
    "several": X[:, :2],
    "poisson": Y,
}


def pair(kind, **settings):
    name = "MLPRegressor" if kind in ("regression", "several", "poisson") else "MLPClassifier"
    settings |= {"loss": "poisson"} if kind == "poisson" else {}
    return getattr(fastnn, name)(**settings), getattr(scikit_learn, name)(**settings)


def assert_same_predictions(one, other):
    for method in ("predict_proba", "predict"):
        if hasattr(one, method):
            predicted = [getattr(model, method)(X) for model in (one, other)]
            compare = (
                np.testing.assert_array_equal if predicted[0].dtype.kind not in "f" else np.testing.assert_allclose
            )
            compare(*predicted, **({} if predicted[0].dtype.kind not in "f" else {"rtol": 2e-5, "atol": 1e-6}))


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kind", TARGETS)
def test_conversion(kind, dtype, solver):
    settings = {"hidden_layer_sizes": (9, 4), "solver": solver, "max_iter": 8, "random_state": 0}
    ours, theirs = pair(kind, **settings)
    ours.set_params(dtype=dtype).fit(X, TARGETS[kind])
    there = ours.to_sklearn()
    assert type(there) is type(theirs)
    assert_same_predictions(ours, there)
    back = type(ours).from_sklearn(there)
    assert back.get_params() == {**ours.get_params(), "dtype": "float64"}  # that of the weights
    assert_same_predictions(back, ours)
    ours = type(ours).from_sklearn(theirs.fit(X, TARGETS[kind]))
    assert_same_predictions(ours, theirs)
    assert ours.get_params().items() >= theirs.get_params().items()
    if solver == "adam":
        there.partial_fit(X, TARGETS[kind])
        ours.partial_fit(X, TARGETS[kind])
        assert ours.loss_curve_[:-1] == theirs.loss_curve_
        assert ours.t_ == theirs.t_ + len(X)


def test_conversion_of_what_cannot_be():
    with pytest.raises(NotFittedError):
        fastnn.MLPClassifier().to_sklearn()
    with pytest.raises(NotFittedError):
        fastnn.MLPClassifier.from_sklearn(scikit_learn.MLPClassifier())
    with pytest.raises(TypeError, match="takes scikit-learn's MLPClassifier"):
        fastnn.MLPClassifier.from_sklearn(scikit_learn.MLPRegressor())


@pytest.mark.parametrize("duplicate", [lambda m: pickle.loads(pickle.dumps(m)), copy.deepcopy], ids=["pickle", "copy"])
@pytest.mark.parametrize("solver", ["adam", "sgd"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_copies_go_on_as_the_original(duplicate, solver, dtype):
    settings = {"solver": solver, "batch_size": 32, "random_state": 0, "dtype": dtype}
    model = fastnn.MLPClassifier(**settings, max_iter=5).fit(X, Y)
    twin = duplicate(duplicate(model))  # the second copy never ran
    np.testing.assert_array_equal(twin.predict_proba(X), model.predict_proba(X))
    for part in (model, twin):
        part.partial_fit(X, Y).partial_fit(X, Y)
    for mine, other in zip(model.coefs_ + model.intercepts_, twin.coefs_ + twin.intercepts_, strict=True):
        np.testing.assert_array_equal(mine, other)
    assert model.loss_curve_ == twin.loss_curve_


def test_joblib_files_and_clones(tmp_path):
    model = fastnn.MLPRegressor(max_iter=5, random_state=0).fit(X, X[:, 0])
    joblib.dump(model, tmp_path / "model")
    mapped = joblib.load(tmp_path / "model", mmap_mode="r")
    np.testing.assert_array_equal(mapped.predict(X), model.predict(X))
    fresh = clone(model)
    assert fresh.get_params() == model.get_params()
    assert not hasattr(fresh, "coefs_")


@pytest.mark.parametrize("kind", ["multiclass", "regression"])
def test_tags_and_methods_are_scikit_learns(kind):
    ours, theirs = pair(kind)
    assert asdict(ours.__sklearn_tags__()) == asdict(theirs.__sklearn_tags__())
    public = {name for name in dir(type(theirs)) if not name.startswith("_")}
    assert public <= set(dir(type(ours)))
    assert "MLP" in ours._repr_html_()
    assert ours.get_params().items() >= theirs.get_params().items()


def test_no_partial_fit_for_lbfgs():
    for estimator in (fastnn.MLPClassifier, fastnn.MLPRegressor):
        assert hasattr(estimator(), "partial_fit")
        assert not hasattr(estimator(solver="lbfgs"), "partial_fit")
    with pytest.raises(AttributeError):
        fastnn.MLPClassifier(solver="lbfgs").partial_fit  # noqa: B018


def test_weights_are_routed():
    seen = {}

    class Watched(fastnn.MLPClassifier):
        def fit(self, X, y, sample_weight=None):
            seen["weights"] = sample_weight
            return super().fit(X, y, sample_weight)

    with sklearn.config_context(enable_metadata_routing=True):
        model = Watched(max_iter=3).set_fit_request(sample_weight=True).set_score_request(sample_weight=False)
        search = GridSearchCV(model, {"alpha": [0.1]}, cv=2)
        search.fit(X, Y, sample_weight=np.ones(len(X)))
    assert len(seen["weights"]) == len(X)


def test_feature_names():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(X, columns=list("abcdef"))
    model = fastnn.MLPClassifier(max_iter=3, early_stopping=True).fit(frame, Y)
    assert model.feature_names_in_.tolist() == list("abcdef")
    with pytest.raises(ValueError, match="feature names should match"):
        model.predict(frame[list("fedcba")])
    with pytest.warns(UserWarning, match="valid feature names"):
        model.predict(X)


@pytest.mark.parametrize(
    "tool",
    [
        lambda model: BaggingClassifier(model, 3),
        lambda model: CalibratedClassifierCV(model, cv=2),
        lambda model: make_pipeline(StandardScaler(), model),
        lambda model: GridSearchCV(model, {"hidden_layer_sizes": [(4,), 8], "solver": ["adam", "lbfgs"]}, cv=2),
    ],
    ids=["bagging", "calibration", "pipeline", "search"],
)
def test_tools(tool):
    model = tool(fastnn.MLPClassifier(max_iter=30, learning_rate_init=0.01, random_state=0)).fit(X, Y)
    assert model.score(X, Y) > 0.6
    assert cross_val_score(model, X, Y, cv=2).shape == (2,)


def test_tools_for_regression():
    model = BaggingRegressor(fastnn.MLPRegressor(max_iter=50, random_state=0), 3).fit(X, X[:, 0])
    importance = permutation_importance(model, X, X[:, 0], n_repeats=2, random_state=0)
    assert importance.importances_mean.argmax() == 0


@pytest.mark.parametrize("backend", ["threading", "loky"])
def test_parallel_searches_find_the_same(backend):
    """Fits in threads share nothing, and workers of their own are limited to their share of the cores."""
    grid = {"hidden_layer_sizes": [(4,), (8,), (8, 4)], "alpha": [1e-4, 0.1]}
    search = GridSearchCV(fastnn.MLPClassifier(max_iter=10, random_state=0), grid, cv=3)
    expected = clone(search).fit(X, Y).cv_results_["mean_test_score"]
    with joblib.parallel_config(backend, n_jobs=2):
        np.testing.assert_array_equal(clone(search).fit(X, Y).cv_results_["mean_test_score"], expected)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_searches_on_dask_workers_find_the_same(run_python):
    """In a process of its own: workers are started anew and must not run this file."""
    pytest.importorskip("distributed")
    printed = run_python("""
        import warnings
        warnings.simplefilter("ignore")
        import joblib, numpy as np
        from distributed import Client
        from sklearn.base import clone
        from sklearn.datasets import make_classification
        from sklearn.model_selection import GridSearchCV
        import fastnn

        if __name__ == "__main__":
            x, y = make_classification(150, 6, random_state=0)
            model = fastnn.MLPClassifier(max_iter=10, random_state=0)
            search = GridSearchCV(model, {"alpha": [1e-4, 0.1], "width": [4, 8]}, cv=3)
            expected = clone(search).fit(x, y).cv_results_["mean_test_score"]
            with Client(n_workers=2, threads_per_worker=1, dashboard_address=None) as client:
                with joblib.parallel_config("dask"):
                    found = clone(search).fit(x, y).cv_results_["mean_test_score"]
                share = client.submit(fastnn.get_num_threads).result()
            print((found == expected).all(), share)
        """)
    assert printed.split() == ["True", "1"]  # Dask gives a worker with one thread OMP_NUM_THREADS=1


class Watcher:
    """A callback that notes the scores after each epoch, and ends training after ``last`` epochs."""

    def __init__(self, last=None):
        self.last, self.scores, self.begun, self.ended = last, [], [], []

    def setup(self, estimator, context):
        pass

    def teardown(self, estimator, context):
        self.ended.append("teardown")

    def on_fit_task_begin(self, estimator, context):
        self.begun.append(context.task_name)

    def on_fit_task_end(self, estimator, context, *, X, y, fitted_estimator):
        self.ended.append(context.task_name)
        if context.task_name == "epoch":
            self.scores.append(fitted_estimator.score(X, y))
            return len(self.scores) == self.last
        return False


@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
def test_scikit_learns_callbacks(solver):
    pytest.importorskip("sklearn.callback")
    settings = {"solver": solver, "max_iter": 6, "random_state": 0}
    plain = fastnn.MLPClassifier(**settings).fit(X, Y)
    watcher = Watcher()
    model = fastnn.MLPClassifier(**settings).set_callbacks(watcher).fit(X, Y)
    np.testing.assert_array_equal(model.predict_proba(X), plain.predict_proba(X))
    assert watcher.scores[-1] == model.score(X, Y)
    assert watcher.begun[:7] == ["fit"] + ["epoch"] * 6
    assert watcher.ended == ["epoch"] * 6 + ["fit", "teardown"]
    stopped = Watcher(last=3)
    model = fastnn.MLPClassifier(**settings).set_callbacks(stopped).fit(X, Y)
    assert model.n_iter_ == 3
    assert stopped.scores == watcher.scores[:3]


def test_scoring_monitor():
    callback = pytest.importorskip("sklearn.callback")
    monitor = callback.ScoringMonitor(scoring="accuracy")
    fastnn.MLPClassifier(max_iter=4, random_state=0).set_callbacks(monitor).fit(X, Y)
    logged = monitor.get_logs()
    assert logged
