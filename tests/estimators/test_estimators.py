"""MLPClassifier and MLPRegressor: scikit-learn's rules, its own checks, and errors."""

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import make_classification, make_multilabel_classification, make_regression
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

import fastnn

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

ROWS = 120
X, BINARY = make_classification(ROWS, 6, random_state=0)
TARGETS = {
    "binary": BINARY,
    "multiclass": X[:, :2].argmax(axis=1) + (X[:, 2] > 0),
    "multilabel": make_multilabel_classification(ROWS, 6, random_state=0)[1],
    "regression": make_regression(ROWS, 6, noise=5.0, random_state=0)[1] / 100,
    "multioutput": make_regression(ROWS, 6, n_targets=3, random_state=0)[1] / 100,
}


def class_for(kind):
    return getattr(fastnn, "MLPRegressor" if kind in ("regression", "multioutput") else "MLPClassifier")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kind", ["MLPClassifier", "MLPRegressor"])
@pytest.mark.filterwarnings("ignore")
def test_scikit_learns_own_checks(kind, dtype):
    results = check_estimator(getattr(fastnn, kind)(max_iter=100, dtype=dtype), on_fail=None)
    assert len(results) > 50
    left = {status: {r["check_name"] for r in results if r["status"] == status} for status in ("failed", "skipped")}
    assert not left["failed"]
    assert left["skipped"] <= {"check_array_api_input", "check_classifiers_multilabel_output_format_decision_function"}


@pytest.mark.parametrize("kind", TARGETS)
def test_shuffled_fits_learn_in_both_precisions(kind):
    for dtype in ("float32", "float64"):
        model = class_for(kind)(dtype=dtype, max_iter=300, learning_rate_init=0.01, random_state=0)
        assert model.fit(X, TARGETS[kind]).score(X, TARGETS[kind]) > 0.85
        assert model._get_engine().plan.dtype == dtype
        assert {a.dtype for a in model.coefs_ + model.intercepts_} == {np.dtype(np.float64)}


def test_seeds():
    first, again, other = (fastnn.MLPClassifier(max_iter=5, random_state=s).fit(X, BINARY) for s in (1, 1, 2))
    ordered = fastnn.MLPClassifier(max_iter=5, random_state=1, shuffle=False).fit(X, BINARY)
    assert first.loss_curve_ == again.loss_curve_
    assert first.loss_curve_ != other.loss_curve_
    small_batches = [
        fastnn.MLPClassifier(max_iter=5, random_state=1, batch_size=20, shuffle=s).fit(X, BINARY) for s in (True, False)
    ]
    assert small_batches[0].loss_curve_ != small_batches[1].loss_curve_
    assert ordered.n_iter_ == 5


@pytest.mark.parametrize("kind", ["multiclass", "regression"])
def test_partial_fits_equal_a_fit(kind):
    y, settings = TARGETS[kind], {"batch_size": 32, "max_iter": 20, "tol": 0.0, "random_state": 0}
    whole = class_for(kind)(**settings).fit(X, y)
    parts = class_for(kind)(**settings)
    classes = {"classes": np.unique(y)} if kind == "multiclass" else {}
    for _ in range(20):
        parts.partial_fit(X, y, **classes)
    for mine, other in zip(parts.coefs_, whole.coefs_, strict=True):
        np.testing.assert_array_equal(mine, other)
    assert parts.loss_curve_ == whole.loss_curve_
    assert parts.n_iter_ == 1


def test_partial_fit_knows_all_classes_from_the_start():
    labels = np.array(["a", "b", "c"])[TARGETS["multiclass"] % 3]
    model = fastnn.MLPClassifier(random_state=0)
    model.partial_fit(X[labels != "c"], labels[labels != "c"], classes=["a", "b", "c"])
    assert model.predict_proba(X).shape == (ROWS, 3)
    model.partial_fit(X, labels)
    with pytest.raises(ValueError, match="classes not in"):
        model.partial_fit(X[:2], ["a", "d"])


def test_early_stopping_keeps_the_best_weights():
    model = fastnn.MLPClassifier(early_stopping=True, learning_rate_init=0.05, validation_fraction=0.3, random_state=0)
    model.fit(X, BINARY)
    assert model.best_validation_score_ == max(model.validation_scores_) > model.validation_scores_[-1]
    assert len(model.validation_scores_) == model.n_iter_ < 200
    from sklearn.model_selection import train_test_split

    rng = np.random.RandomState(0)
    for coef, intercept in zip(model.coefs_, model.intercepts_, strict=True):  # what was drawn before the split
        rng.uniform(size=coef.size + intercept.size)
    _, held_out = train_test_split(np.arange(ROWS), test_size=0.3, random_state=rng, stratify=BINARY)
    assert model.score(X[held_out], BINARY[held_out]) == model.best_validation_score_


def test_warm_start_goes_on_and_keeps_the_classes():
    model = fastnn.MLPClassifier(max_iter=10, warm_start=True, random_state=0).fit(X, BINARY)
    before = model.loss_
    model.fit(X, BINARY)
    assert model.n_iter_ == 10
    assert len(model.loss_curve_) == 20
    assert model.loss_ < before
    assert model.t_ == 20 * ROWS
    with pytest.raises(ValueError, match="warm_start can only be used"):
        model.fit(X, BINARY + 1)


def test_early_stopping_may_be_switched_on_between_warm_fits():
    model = fastnn.MLPClassifier(max_iter=4, warm_start=True, random_state=0).fit(X, BINARY)
    model.set_params(early_stopping=True).fit(X, BINARY)
    assert len(model.validation_scores_) == 4
    assert len(model.loss_curve_) == 8
    assert model.best_loss_ is None


def test_convergence_warning():
    with pytest.warns(ConvergenceWarning, match=r"Maximum iterations \(3\)"):
        fastnn.MLPClassifier(max_iter=3).fit(X, BINARY)


@pytest.mark.filterwarnings("error")
def test_no_warning_when_it_converged():
    model = fastnn.MLPClassifier(learning_rate_init=0.01, tol=1e-2, random_state=0).fit(X, BINARY)
    assert model.n_iter_ < 200


def test_a_fit_without_looks_is_one_run(monkeypatch):
    calls = []
    train = fastnn.engine.engine.Engine.train

    def counted(*arguments, **keywords):
        run = train(*arguments, **keywords)
        advance = run.advance
        run.advance = lambda steps: calls.append(steps) or advance(steps)
        return run

    monkeypatch.setattr(fastnn.engine.engine.Engine, "train", counted)
    fastnn.MLPClassifier(max_iter=50, n_iter_no_change=np.inf).fit(X, BINARY)
    assert calls[0] == 50
    calls.clear()
    fastnn.MLPClassifier(max_iter=44, tol=0.0, random_state=0).fit(X, BINARY)
    assert len(calls) < 10


def test_verbose_prints_each_epoch(capsys):
    fastnn.MLPRegressor(max_iter=3, verbose=True).fit(X, TARGETS["regression"])
    assert [line.split(",")[0] for line in capsys.readouterr().out.splitlines()] == [
        f"Iteration {i}" for i in (1, 2, 3)
    ]


@pytest.mark.parametrize("kind", ["binary", "multilabel", "multioutput"])
@pytest.mark.filterwarnings("ignore:Got `batch_size`")
def test_weights_of_rows(kind):
    """In one full batch a weight of two is the row twice, and zero is no row."""
    y, weights = TARGETS[kind], np.random.default_rng(0).integers(0, 3, ROWS)
    settings = {"alpha": 0.1, "shuffle": False, "batch_size": 2 * ROWS, "max_iter": 10, "random_state": 0}
    model = class_for(kind)(dtype="float64", **settings)
    weighted = clone(model).fit(X, y, sample_weight=weights)
    repeated = clone(model).fit(np.repeat(X, weights, axis=0), np.repeat(y, weights, axis=0))
    np.testing.assert_allclose(weighted.coefs_[0], repeated.coefs_[0], rtol=1e-9)
    np.testing.assert_allclose(weighted.loss_curve_, repeated.loss_curve_, rtol=1e-9)


def test_pickled_models_predict_and_go_on():
    model = fastnn.MLPClassifier(max_iter=5, random_state=0).fit(X, TARGETS["multiclass"])
    copy = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(copy.predict_proba(X), model.predict_proba(X))
    copy.partial_fit(X, TARGETS["multiclass"])
    assert copy.t_ == 6 * ROWS
    assert (copy.coefs_[0] != model.coefs_[0]).any()


def test_weights_set_by_the_user_are_used():
    model = fastnn.MLPRegressor(hidden_layer_sizes=(), max_iter=2, dtype="float64").fit(X, TARGETS["regression"])
    kernel = np.arange(6.0).reshape(6, 1)
    model.coefs_ = [kernel]
    model.intercepts_ = [np.array([1.0])]
    np.testing.assert_allclose(model.predict(X), X @ np.arange(6) + 1)
    kernel *= 2  # is the user's, the model has its own
    np.testing.assert_allclose(model.predict(X), X @ np.arange(6) + 1)


def test_weights_cannot_be_edited_unnoticed():
    model = fastnn.MLPRegressor(max_iter=2).fit(X, TARGETS["regression"])
    model.coefs_[0] = 2 * model.coefs_[0]
    for fitted in (model, pickle.loads(pickle.dumps(model))):
        fitted.predict(X)
        with pytest.raises(ValueError, match="read-only"):
            fitted.coefs_[0] *= 0
        with pytest.raises(ValueError, match="read-only"):
            fitted.intercepts_[-1][0] = 3


def test_inside_scikit_learns_tools():
    model = make_pipeline(StandardScaler(), fastnn.MLPClassifier(max_iter=20, random_state=0))
    search = GridSearchCV(model, {"mlpclassifier__hidden_layer_sizes": [(4,), (8, 4)]}, cv=2).fit(X, BINARY)
    assert search.best_score_ > 0.6


def test_an_interrupted_fit_leaves_a_model(monkeypatch):
    train = fastnn.engine.engine.Engine.train

    def interrupted(*arguments, **keywords):
        run = train(*arguments, **keywords)
        advance = run.advance

        def advance_once(steps):
            if run.done:
                raise KeyboardInterrupt
            return advance(1)

        run.advance = advance_once
        return run

    monkeypatch.setattr(fastnn.engine.engine.Engine, "train", interrupted)
    with pytest.warns(UserWarning, match="interrupted"):
        model = fastnn.MLPClassifier(batch_size=10).fit(X, BINARY)
    assert model.predict(X).shape == (ROWS,)


CLASSIFIER, REGRESSOR = fastnn.MLPClassifier, fastnn.MLPRegressor


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: CLASSIFIER(solver="newton").fit(X, BINARY), "lbfgs"),
        (lambda: REGRESSOR(loss="poisson").fit(X, -BINARY), "poisson"),
        (lambda: CLASSIFIER(activation="gaussian").fit(X, BINARY), "activation"),
        (lambda: CLASSIFIER(dtype="float16").fit(X, BINARY), "dtype"),
        (lambda: CLASSIFIER(hidden_layer_sizes=(3, 0)).fit(X, BINARY), "hidden_layer_sizes must be > 0"),
        (lambda: CLASSIFIER().fit(X, BINARY, sample_weight=np.zeros(ROWS)), "zero"),
        (lambda: CLASSIFIER().fit(X, TARGETS["regression"]), "Unknown label type"),
        (lambda: CLASSIFIER().fit(X, np.tile([[1, 2], [3, 4], [5, 6]], (40, 1))), "Multioutput target data"),
        (lambda: REGRESSOR(early_stopping=True, validation_fraction=0.001).fit(X, BINARY), "validation set is too"),
        (lambda: CLASSIFIER(early_stopping=True).partial_fit(X, BINARY, classes=[0, 1]), "partial_fit does not"),
        (lambda: CLASSIFIER().partial_fit(X, BINARY), "classes must be passed"),
        (lambda: REGRESSOR(max_iter=2).fit(X, BINARY).partial_fit(X, TARGETS["multioutput"]), "3 columns"),
        (lambda: REGRESSOR(solver="sgd").fit(X, 1e30 * TARGETS["regression"]), "non-finite"),
    ],
)  # fmt: skip
def test_errors(make, words):
    with pytest.raises(ValueError, match=words):
        make()


@pytest.mark.parametrize("sizes", [(2.5,), ("a",), [[3]], True, np.array(3)], ids=str)
def test_sizes_that_are_no_whole_numbers(sizes):
    with pytest.raises(TypeError, match="hidden_layer_sizes must be whole numbers"):
        CLASSIFIER(hidden_layer_sizes=sizes).fit(X, BINARY)


def test_another_kind_of_labels_is_refused():
    model = fastnn.MLPClassifier(max_iter=2).fit(X, X[:, :3].argmax(axis=1))
    with pytest.raises(ValueError, match="another kind of labels"):
        model.partial_fit(X, np.eye(3, dtype=int)[X[:, :3].argmax(axis=1)] | np.eye(3, dtype=int)[0])


def test_a_failed_fit_leaves_a_usable_model():
    model = fastnn.MLPRegressor(solver="sgd", dtype="float32").fit(X, TARGETS["regression"])
    with pytest.raises(ValueError, match="non-finite"):
        model.fit(X, 1e30 * TARGETS["regression"])
    assert np.isfinite(model.predict(X)).all()


def test_importing_the_estimators_does_not_import_scikit_learns(run_python):
    assert (
        run_python("import sys, fastnn.estimators; print('sklearn.neural_network' in sys.modules)").strip() == "False"
    )
