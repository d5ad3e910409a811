"""Validation data of the estimators, and early stopping by any score on them."""


import numpy as np
import pytest
import sklearn
from harness import same_weights
from sklearn.base import clone
from sklearn.datasets import make_classification
from sklearn.metrics import log_loss
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from fastnn import MLPClassifier, MLPRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X, Y = make_classification(160, 6, n_informative=4, n_classes=3, random_state=0)
X_NEW, Y_NEW = X[100:], Y[100:]
X, Y = X[:100], Y[:100]
RARE = np.arange(100) % 10 == 0


def test_validation_data_are_watched_only():
    settings = {"max_iter": 15, "alpha": 0.5, "dtype": "float64", "random_state": 0}
    plain = MLPClassifier(**settings).fit(X, Y)
    watched = MLPClassifier(**settings).fit(X, Y, validation_data=(X_NEW, Y_NEW))
    same_weights(plain, watched)
    assert plain.validation_loss_curve_ is None
    assert watched.validation_scores_ is None
    assert len(watched.validation_loss_curve_) == 15
    assert watched.validation_loss_curve_[-1] == pytest.approx(log_loss(Y_NEW, watched.predict_proba(X_NEW)))
    apart = MLPClassifier(**settings).fit(X, Y, X_val=X_NEW, y_val=Y_NEW)
    assert apart.validation_loss_curve_ == watched.validation_loss_curve_


@pytest.mark.parametrize("columns", [1, 3])
def test_validation_loss_of_a_regressor(columns):
    y, y_new = X[:, :columns].squeeze(), X_NEW[:, :columns].squeeze()
    weights = np.arange(60.0)
    model = MLPRegressor(max_iter=5, dtype="float64").fit(X, y, validation_data=(X_NEW, y_new, weights))
    errors = (model.predict(X_NEW) - y_new) ** 2 / 2
    expected = np.average(errors.reshape(60, -1).mean(axis=1), weights=weights)
    assert model.validation_loss_curve_[-1] == pytest.approx(expected)


def test_early_stopping_on_validation_data():
    settings = {"early_stopping": True, "learning_rate_init": 0.03, "random_state": 0}
    model = MLPClassifier(**settings).fit(X, Y, validation_data=(X_NEW, Y_NEW))
    assert model.best_validation_score_ == max(model.validation_scores_) == model.score(X_NEW, Y_NEW)
    assert len(model.validation_scores_) == len(model.validation_loss_curve_) == model.n_iter_ < 200
    assert model.stop_reason_ == "no_improvement"
    assert model.t_ == model.n_iter_ * len(X)  # no row was split off


def hits(estimator, X, y):
    return float(np.mean(estimator.predict(X) == y))


@pytest.mark.parametrize("scoring", ["neg_log_loss", "loss", "balanced_accuracy", "roc_auc_ovr", hits])
def test_early_stopping_by_any_score(scoring):
    words, words_new = np.array(["a", "b", "c"])[Y], np.array(["a", "b", "c"])[Y_NEW]
    settings = {"early_stopping": True, "learning_rate_init": 0.03, "dtype": "float64", "random_state": 0}
    model = MLPClassifier(**settings, scoring=scoring).fit(X, words, validation_data=(X_NEW, words_new))
    assert len(model.validation_scores_) == model.n_iter_ < 200
    assert model.best_validation_score_ == max(model.validation_scores_) > model.validation_scores_[0]
    scorer = sklearn.metrics.get_scorer("neg_log_loss" if scoring == "loss" else scoring)
    assert scorer(model, X_NEW, words_new) == pytest.approx(model.best_validation_score_)
    if scoring == hits:
        assert model.validation_scores_ == clone(model).set_params(scoring=None).fit(
            X, words, validation_data=(X_NEW, words_new)
        ).validation_scores_  # fmt: skip


def test_scores_of_a_split_see_weights_and_labels():
    weights = np.linspace(0.1, 1.0, 100)
    seen = []

    def scorer(estimator, X, y, sample_weight=None):
        seen.append((len(X), set(y), sample_weight is not None))
        return estimator.score(X, y, sample_weight)

    settings = {"early_stopping": True, "max_iter": 5, "validation_fraction": 0.2, "random_state": 0}
    named = MLPClassifier(**settings, scoring=scorer).fit(X, np.where(RARE, "x", "y"), sample_weight=weights)
    assert seen[0] == (20, {"x", "y"}, True)
    plain = MLPClassifier(**settings).fit(X, np.where(RARE, "x", "y"), sample_weight=weights)
    np.testing.assert_allclose(named.validation_scores_, plain.validation_scores_)


def test_validation_data_go_through_a_pipeline():
    with sklearn.config_context(enable_metadata_routing=True):
        model = MLPClassifier(max_iter=5, random_state=0).set_fit_request(X_val=True, y_val=True)
        steps = [("scale", StandardScaler()), ("model", model)]
        pipeline = Pipeline(steps, transform_input=["X_val"]).fit(5 * X, Y, X_val=5 * X_NEW, y_val=Y_NEW)
    scale = StandardScaler().fit(5 * X)
    direct = MLPClassifier(max_iter=5, random_state=0)
    direct.fit(scale.transform(5 * X), Y, validation_data=(scale.transform(5 * X_NEW), Y_NEW))
    assert pipeline[-1].validation_loss_curve_ == direct.validation_loss_curve_


def test_validation_over_warm_fits():
    model = MLPClassifier(max_iter=3, warm_start=True, random_state=0).fit(X, Y)
    model.fit(X, Y, validation_data=(X_NEW, Y_NEW)).fit(X, Y, validation_data=(X_NEW, Y_NEW))
    assert len(model.validation_loss_curve_) == len(model.loss_curve_) == 9
    assert np.isnan(model.validation_loss_curve_).tolist() == [True] * 3 + [False] * 6


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"validation_data": X_NEW}, "must be a tuple"),
        ({"validation_data": (X_NEW, Y_NEW), "X_val": X_NEW}, "not both"),
        ({"X_val": X_NEW}, "must be given together"),
        ({"validation_data": (X_NEW[:, :3], Y_NEW)}, "3 features"),
        ({"validation_data": (X_NEW, Y_NEW[:3])}, "inconsistent numbers"),
        ({"validation_data": (X_NEW, Y_NEW + 1)}, "`y of the validation data` has classes not in"),
        ({"validation_data": (X_NEW, np.full(60, np.nan))}, "NaN"),
    ],
)
def test_errors_in_validation_data(arguments, words):
    with pytest.raises(ValueError, match=words):
        MLPClassifier(max_iter=2).fit(X, Y, **arguments)


def test_lbfgs_takes_no_validation_data():
    with pytest.raises(ValueError, match="takes no validation data"):
        MLPClassifier(solver="lbfgs").fit(X, Y, validation_data=(X_NEW, Y_NEW))
