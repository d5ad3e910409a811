"""Estimators on the device: the same results as on the CPU, from arrays on the host and there."""

import pickle

import numpy as np
import pytest
from harness import assert_close, assert_same_bits

from fastnn import MLPClassifier, MLPRegressor
from fastnn.callbacks import LambdaCallback

RNG = np.random.default_rng(0)
X = RNG.normal(size=(31, 4)).astype(np.float32)
Y = RNG.integers(0, 3, 31)
WEIGHTS = RNG.uniform(0.5, 2.0, 31).astype(np.float32)


@pytest.mark.parametrize(
    "options",
    [
        {"dtype": "float64"},
        {"early_stopping": True, "solver": "sgd", "learning_rate_init": 0.1, "learning_rate": "invscaling"},
        {"normalization": "layer", "activation": "gelu"},
        {"normalization": "batch", "dropout": 0.3, "class_weight": "balanced", "dtype": "float64"},
        {"solver": "lbfgs"},
        {"solver": "adamw", "learning_rate": "cosine", "clipnorm": 0.1},
        {"loss": "focal", "label_smoothing": 0.1, "early_stopping": True, "scoring": "loss", "n_iter_no_change": 1},
        {"warm_start": True, "alpha": 0.1, "shuffle": False},
    ],
    ids=lambda options: " ".join(options),
)
def test_an_estimator_learns_the_same(options):
    found = {}
    for device in ("cpu", "cuda"):
        seen = []
        listener = LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(logs["loss"]))  # noqa: B023
        listened = {} if options.get("solver") == "lbfgs" else {"callbacks": [listener]}
        model = MLPClassifier((4,), max_iter=3, batch_size=10, random_state=1, device=device, **listened, **options)
        for _ in range(2 if options.get("warm_start") else 1):
            with pytest.warns(UserWarning, match="Maximum iterations|converge"):
                model.fit(X, Y, WEIGHTS)
        assert not listened or seen == model.loss_curve_
        found[device] = [model.predict_proba(X), *model.coefs_, np.array([model.loss_, model.score(X, Y)])]
    assert_close(found["cuda"], found["cpu"], 1e-9 if options.get("dtype") == "float64" else 2e-4)


@pytest.mark.parametrize("loss", ["poisson", "huber", "quantile", "absolute_error"])
def test_a_regressor_learns_the_same(loss):
    found = {}
    for device in ("cpu", "cuda"):
        model = MLPRegressor(loss, (4,), max_iter=2, batch_size=10, random_state=1, device=device)
        model.set_params(quantile=[0.2, 0.8] if loss == "quantile" else 0.5, early_stopping=True)
        with pytest.warns(UserWarning, match="Maximum iterations"):
            model.fit(X, np.abs(X[:, 0]), WEIGHTS)
        found[device] = [model.predict(X), *model.coefs_, np.array(model.validation_scores_)]
    assert_close(found["cuda"], found["cpu"], 2e-4)


def test_partial_fits():
    found = {}
    for device in ("cpu", "cuda"):
        model = MLPRegressor(hidden_layer_sizes=(3,), random_state=1, batch_size=10, device=device)
        for _ in range(2):
            model.partial_fit(X, X[:, :2])
        twin = pickle.loads(pickle.dumps(model))
        for other in (model, twin):
            other.partial_fit(X, X[:, :2])
        np.testing.assert_array_equal(twin.predict(X), model.predict(X))
        found[device] = model.predict(X)
    assert_close(found["cuda"], found["cpu"], 1e-4)


@pytest.mark.covering
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"early_stopping": True},
        {"early_stopping": True, "scoring": "accuracy"},
        {"dtype": "float64"},
        {"solver": "lbfgs"},
    ],
    ids=str,
)
@pytest.mark.parametrize("labels", [2, 3])
def test_classifiers(lay, options, labels):
    y = Y % labels
    fit = {"hidden_layer_sizes": (4,), "max_iter": 2, "random_state": 1, "batch_size": 8, "device": "cuda", **options}
    found = []
    for put in (np.asarray, lay):
        model = MLPClassifier(**fit)
        with pytest.warns(UserWarning, match="Maximum iterations|converge"):
            model.fit(put(X), put(y), put(WEIGHTS))
        probabilities, labels_found = model.predict_proba(put(X)), model.predict(put(X))
        assert isinstance(probabilities, np.ndarray) == (put is np.asarray)
        assert isinstance(labels_found, np.ndarray) == (put is np.asarray)
        logs = np.array([model.score(put(X), put(y)), model.score(put(X), put(y), put(WEIGHTS))])
        outputs = [np.asarray(probabilities), np.asarray(labels_found), np.asarray(model.predict_log_proba(put(X)))]
        found.append(([*model.coefs_, logs], [array.astype(np.float64) for array in outputs]))
    assert_same_bits(found[1][0], found[0][0])
    assert_close(found[1][1], found[0][1], 1e-5)  # the last link of rows on the host is computed there
    assert (
        MLPClassifier(device="cuda", max_iter=1, batch_size=8).partial_fit(lay(X), y, classes=[0, 1, 2]).n_features_in_
        == 4
    )


def test_labels_that_are_no_numbers_come_home(lay):
    y = np.array(["a", "b", "c"])[Y]
    model = MLPClassifier(max_iter=1, batch_size=8, device="cuda").partial_fit(lay(X), y, classes=["a", "b", "c"])
    assert isinstance(model.predict(lay(X)), np.ndarray)
    assert 0 <= model.score(lay(X), y) <= 1


@pytest.mark.parametrize("outputs", [1, 2])
def test_regressors(lay, outputs):
    found, y = [], X[:, :outputs] if outputs > 1 else X[:, 0].copy()
    for put in (np.asarray, lay):
        model = MLPRegressor(hidden_layer_sizes=(4,), random_state=1, batch_size=8, device="cuda").partial_fit(
            put(X), put(y)
        )
        predicted = model.predict(put(X))
        assert isinstance(predicted, np.ndarray) == (put is np.asarray)
        assert predicted.shape == y.shape
        found.append((model.coefs_, [np.asarray(predicted, np.float64), np.array(model.score(put(X), put(y)))]))
    assert_same_bits(found[1][0], found[0][0])
    assert_close(found[1][1], found[0][1], 1e-5)


def test_estimators_say_what_is_wrong(lay):
    model = MLPRegressor(hidden_layer_sizes=(4,), batch_size=8, device="cuda").partial_fit(X, X[:, 0])
    with pytest.raises(ValueError, match="X has 3 features, but MLPRegressor is expecting 4 features"):
        model.predict(lay(X[:, :3].copy()))
    with pytest.raises(ValueError, match="X must have rows and columns"):
        model.predict(lay(X[:, 0].copy()))
    bad = X.copy()
    bad[7, 2] = np.inf
    with pytest.raises(ValueError, match="X holds inf in row 7, column 2"):
        model.fit(lay(bad), X[:, 0])
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        model.fit(lay(X), X[:9, 0])
