"""Networks that scikit-learn's estimators do not have: activations, dropout, normalization, precision."""

import pickle

import numpy as np
import pytest
from harness import same_weights
from sklearn.datasets import make_classification
from sklearn.model_selection import GridSearchCV

import fastnn
from fastnn import Dense, MLPClassifier, MLPRegressor, Sequential, activations

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X, Y = make_classification(160, 6, n_informative=4, n_classes=3, random_state=0)
X, Y = X[:100], Y[:100]


def test_depth_and_width_are_numbers_to_search():
    made = [MLPClassifier(max_iter=2, **size).fit(X, Y).n_layers_ - 2 for size in ({"n_layers": 3}, {"n_layers": 0})]
    assert made == [3, 0]
    model = MLPClassifier(n_layers=2, width=7, max_iter=2, random_state=0).fit(X, Y)
    same_weights(model, MLPClassifier((7, 7), max_iter=2, random_state=0).fit(X, Y))
    assert [coef.shape[1] for coef in MLPClassifier(width=9, max_iter=2).fit(X, Y).coefs_] == [9, 3]
    search = GridSearchCV(MLPClassifier(max_iter=2), {"n_layers": [1, 2], "width": [4, 8]}, cv=2).fit(X, Y)
    assert len(search.cv_results_["params"]) == 4
    with pytest.raises(ValueError, match=r"hidden_layer_sizes=\(5,\) and n_layers=2, width=None"):
        MLPClassifier((5,), n_layers=2).fit(X, Y)


def test_an_activation_for_each_layer():
    functions = ["gelu", activations.Activation("leaky_relu", 0.3), "identity"]
    model = MLPRegressor(hidden_layer_sizes=(5, 4, 3), activation=functions, dtype="float64", max_iter=3)
    model.fit(X, X[:, 0])
    layers = [Dense(units, function) for units, function in zip((5, 4, 3), functions, strict=True)]
    network = Sequential([*layers, Dense(1)], dtype="float64")
    network.build((None, 6))
    network.set_weights([array for pair in zip(model.coefs_, model.intercepts_, strict=True) for array in pair])
    np.testing.assert_allclose(model.predict(X), network.predict(X)[:, 0], rtol=1e-12)
    listed = MLPClassifier((5, 4), ["tanh", "tanh"], max_iter=3, random_state=0).fit(X, Y)
    same_weights(listed, MLPClassifier((5, 4), "tanh", max_iter=3, random_state=0).fit(X, Y))


@pytest.mark.parametrize("name", sorted(set(activations.names()) - {"step"}))
def test_all_activations_train(name):
    model = MLPClassifier(8, name, max_iter=60, learning_rate_init=0.01, random_state=0).fit(X, Y)
    assert model.loss_curve_[-1] < model.loss_curve_[0]


def test_dropout():
    settings = {"hidden_layer_sizes": (30, 20), "max_iter": 20}
    plain = MLPClassifier(**settings, random_state=0).fit(X, Y)
    dropped = [MLPClassifier(**settings, dropout=rate, random_state=0).fit(X, Y) for rate in (0.3, [0.3, 0.3])]
    same_weights(*dropped)
    assert dropped[0].loss_ > plain.loss_
    np.testing.assert_array_equal(dropped[0].predict_proba(X), dropped[0].predict_proba(X))
    one_layer = MLPClassifier(**settings, dropout=[0.3, 0.0], random_state=0).fit(X, Y)
    assert (one_layer.coefs_[0] != dropped[0].coefs_[0]).any()
    seeds = [MLPClassifier(**settings, dropout=0.3, dtype="float64", random_state=s).fit(X, Y) for s in (1, 1, 2)]
    same_weights(*seeds[:2])
    assert seeds[0].loss_curve_ != seeds[2].loss_curve_


@pytest.mark.parametrize("kind", ["batch", "layer"])
def test_normalization(kind):
    settings = {"hidden_layer_sizes": (8, 5), "activation": ["gelu", "tanh"], "normalization": kind, "random_state": 0}
    model = MLPClassifier(**settings, dtype="float64", batch_size=20, dropout=0.1, max_iter=30).fit(X, Y)
    assert model.loss_curve_[-1] < model.loss_curve_[0]
    assert [len(arrays) for arrays in model.normalizations_] == [{"batch": 4, "layer": 2}[kind]] * 2
    layer = fastnn.BatchNormalization if kind == "batch" else fastnn.LayerNormalization
    layers = [Dense(8), layer(), fastnn.Activation("gelu"), Dense(5), layer(), fastnn.Activation("tanh")]
    network = Sequential([*layers, Dense(3, "softmax")], dtype="float64")
    network.build((None, 6))
    network.set_weights(model._weights())
    np.testing.assert_allclose(model.predict_proba(X), network.predict(X), rtol=1e-10)
    twin = pickle.loads(pickle.dumps(model))
    for part in (model, twin):
        part.partial_fit(X, Y).partial_fit(X, Y)
    np.testing.assert_array_equal(model.predict_proba(X), twin.predict_proba(X))
    searched = GridSearchCV(MLPClassifier(max_iter=3), {"normalization": [None, "batch", "layer"]}, cv=2).fit(X, Y)
    assert len(searched.cv_results_["params"]) == 3


@pytest.mark.parametrize("kind", ["batch", "layer"])
@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_normalization_goes_with_everything(kind, solver):
    settings = {"normalization": kind, "solver": solver, "max_iter": 25, "learning_rate_init": 0.01, "random_state": 0}
    model = MLPRegressor(**settings, early_stopping=True).fit(X, X[:, :2])
    assert model.score(X, X[:, :2]) > 0.5
    plain = MLPRegressor(max_iter=2).fit(X, X[:, 0])
    plain.set_params(**settings).fit(X, X[:, 0])  # another network with the same object
    assert len(plain.normalizations_) == 1
    plain.set_params(normalization=None)
    assert plain.predict(X).shape == (100,)  # still with the network that was trained
    with pytest.raises(ValueError, match=r"normalization=None cannot go on from a network with normalization="):
        plain.set_params(warm_start=True).fit(X, X[:, 0])
    plain.set_params(warm_start=False).fit(X, X[:, 0])
    assert not hasattr(plain, "normalizations_")


def test_mixed_precision():
    if not fastnn.kernels.host.cpu.has_bfloat16():
        pytest.skip("this CPU has no products of bfloat16")
    settings = {"max_iter": 40, "learning_rate_init": 0.01, "random_state": 0}
    mixed, full = (MLPClassifier(dtype=dtype, **settings).fit(X, Y) for dtype in ("mixed_bfloat16", "float32"))
    assert all((coef == coef.astype(np.float32)).all() for coef in mixed.coefs_)
    assert (mixed.coefs_[0] != full.coefs_[0]).any()
    np.testing.assert_allclose(mixed.loss_curve_, full.loss_curve_, rtol=0.05)
    twin = pickle.loads(pickle.dumps(mixed))
    np.testing.assert_array_equal(twin.predict_proba(X), mixed.predict_proba(X))
    assert twin._get_engine().plan.mixed
