"""Losses of the estimators that scikit-learn's do not have."""

import numpy as np
import pytest
from sklearn.datasets import make_classification, make_multilabel_classification
from sklearn.linear_model import HuberRegressor, QuantileRegressor
from sklearn.metrics import d2_pinball_score, mean_pinball_loss

from fastnn import MLPClassifier, MLPRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
RNG = np.random.default_rng(0)
X = RNG.normal(size=(400, 3))
NOISE = RNG.standard_t(2, size=400)
Y = X @ [1.0, -2.0, 0.5] + 3.0 + (0.5 + 0.4 * (X[:, 0] > 0)) * NOISE
SIMPLE = {"hidden_layer_sizes": (), "alpha": 0.0, "dtype": "float64", "random_state": 0}
CAREFUL = {"max_iter": 3000, "learning_rate_init": 0.01, "tol": 1e-7, "n_iter_no_change": 50, "batch_size": 400}


def test_huber_without_hidden_layers_is_hubers_regression():
    """scikit-learn's also fits a scale, so its own is given to ours."""
    theirs = HuberRegressor(epsilon=1.35, alpha=0.0, tol=1e-8).fit(X, Y)
    delta = 1.35 * theirs.scale_
    ours = MLPRegressor(loss="huber", huber_delta=delta, solver="lbfgs", tol=1e-8, max_iter=1000, **SIMPLE).fit(X, Y)
    np.testing.assert_allclose(ours.coefs_[0][:, 0], theirs.coef_, atol=1e-3)
    np.testing.assert_allclose(ours.intercepts_[0], theirs.intercept_, atol=1e-3)


@pytest.mark.parametrize("loss", ["absolute_error", "quantile"])
def test_medians_without_hidden_layers_are_those_of_linear_programming(loss):
    theirs = QuantileRegressor(quantile=0.5, alpha=0.0).fit(X, Y)
    ours = MLPRegressor(loss=loss, **SIMPLE, **CAREFUL).fit(X, Y)
    best = mean_pinball_loss(Y, theirs.predict(X))
    assert mean_pinball_loss(Y, ours.predict(X)) == pytest.approx(best, rel=0.005)


def test_several_quantiles_at_once():
    levels = [0.1, 0.5, 0.9]
    model = MLPRegressor(loss="quantile", quantile=levels, **SIMPLE, **CAREFUL).fit(X, Y)
    predicted = model.predict(X)
    assert predicted.shape == (400, 3)
    np.testing.assert_allclose((Y[:, np.newaxis] < predicted).mean(axis=0), levels, atol=0.02)
    for level, column in zip(levels, predicted.T, strict=True):
        best = QuantileRegressor(quantile=level, alpha=0.0).fit(X, Y).predict(X)
        assert mean_pinball_loss(Y, column, alpha=level) < 1.02 * mean_pinball_loss(Y, best, alpha=level)
    scores = [d2_pinball_score(Y, column, alpha=level) for level, column in zip(levels, predicted.T, strict=True)]
    assert model.score(X, Y) == pytest.approx(np.mean(scores))
    losses = [mean_pinball_loss(Y, column, alpha=level) for level, column in zip(levels, predicted.T, strict=True)]
    assert model.loss_curve_[-1] == pytest.approx(sum(losses), rel=1e-3)


def test_several_quantiles_stop_early():
    settings = {"loss": "quantile", "quantile": (0.2, 0.8), "early_stopping": True, "learning_rate_init": 0.01}
    model = MLPRegressor(hidden_layer_sizes=16, random_state=0, **settings).fit(X, Y, validation_data=(X[:99], Y[:99]))
    assert model.best_validation_score_ == pytest.approx(model.score(X[:99], Y[:99]))
    assert model.partial_fit.__name__ == "partial_fit"
    later = MLPRegressor(hidden_layer_sizes=16, loss="quantile", quantile=(0.2, 0.8)).partial_fit(X, Y)
    assert later.partial_fit(X, Y).predict(X[:2]).shape == (2, 2)


@pytest.mark.parametrize("kind", ["binary", "multiclass", "multilabel"])
def test_focal_loss_and_smoothing(kind):
    labels = 2 if kind == "binary" else 3
    x, y = make_classification(200, 6, n_informative=4, n_classes=labels, flip_y=0.1, random_state=0)
    if kind == "multilabel":
        x, y = make_multilabel_classification(200, 6, n_classes=labels, random_state=0)
    settings = {"max_iter": 60, "learning_rate_init": 0.01, "dtype": "float64", "random_state": 0}
    plain = MLPClassifier(**settings).fit(x, y)
    same = MLPClassifier(loss="focal", focal_gamma=0.0, **settings).fit(x, y)
    np.testing.assert_allclose(same.loss_curve_, plain.loss_curve_, rtol=1e-9)
    focal = MLPClassifier(loss="focal", **settings).fit(x, y)
    smooth = MLPClassifier(label_smoothing=0.2, **settings).fit(x, y)
    surest = [np.maximum(p, 1 - p).mean() for p in (m.predict_proba(x) for m in (plain, focal, smooth))]
    assert surest[0] > max(surest[1:])
    for model in (focal, smooth):
        assert model.loss_curve_[-1] < model.loss_curve_[0]
        assert model.score(x, y) > plain.score(x, y) - 0.1
    if kind != "multilabel":
        truth = np.eye(labels)[y] * 0.8 + 0.2 / labels
        expected = -(truth * smooth.predict_log_proba(x)).sum(axis=1).mean()
        watched = MLPClassifier(label_smoothing=0.2, **settings).fit(x, y, validation_data=(x, y))
        assert watched.validation_loss_curve_[-1] == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("loss", ["absolute_error", "huber", "quantile"])
@pytest.mark.filterwarnings("ignore:quantile=.* has no effect")  # the parameter is there to be left out
def test_conversion_of_predictions(loss):
    model = MLPRegressor(loss=loss, max_iter=3, quantile=[0.1, 0.9]).fit(X, Y)
    with pytest.warns(UserWarning, match=f"loss='{loss}', quantile=.*: left out"):
        twin = model.to_sklearn()
    assert twin.loss == "squared_error"
    np.testing.assert_allclose(twin.predict(X), model.predict(X), rtol=1e-4, atol=1e-6)
    twin.partial_fit(X, model.predict(X))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: MLPRegressor(loss="quantile", quantile=1.0), "'quantile' parameter"),
        (lambda: MLPRegressor(loss="quantile", quantile=[0.1, 1.0]), "levels must be"),
        (lambda: MLPRegressor(loss="huber", huber_delta=0.0), "'huber_delta' parameter"),
        (lambda: MLPRegressor(loss="absolute"), "absolute_error"),
        (lambda: MLPClassifier(label_smoothing=1.0), "'label_smoothing' parameter"),
        (lambda: MLPClassifier(focal_gamma=-1.0), "'focal_gamma' parameter"),
        (lambda: MLPClassifier(loss="hinge"), "'loss' parameter"),
    ],
)
def test_errors(make, words):
    with pytest.raises(ValueError, match=words):
        make().fit(X, X[:, 0] > 0)


def test_several_quantiles_of_several_targets_are_refused():
    with pytest.raises(ValueError, match="need one target"):
        MLPRegressor(loss="quantile", quantile=[0.1, 0.9]).fit(X, X)
    model = MLPRegressor(loss="quantile", quantile=[0.1, 0.9], max_iter=2).fit(X, Y)
    with pytest.raises(ValueError, match="has 2 columns"):
        model.partial_fit(X, X[:, :2])
