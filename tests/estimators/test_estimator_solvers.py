"""Solvers and learning rates of the estimators that scikit-learn's do not have."""

import math
import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import make_classification
from sklearn.model_selection import GridSearchCV

import fastnn
from fastnn import MLPClassifier, MLPRegressor, Sequential, optimizers
from fastnn.estimators.schedules import SCHEDULES

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
X, Y = make_classification(120, 6, n_informative=4, n_classes=3, random_state=0)
SETTINGS = {"hidden_layer_sizes": (7,), "batch_size": 30, "shuffle": False, "alpha": 0.0, "dtype": "float64"}


@pytest.mark.parametrize(
    ("settings", "optimizer"),
    [
        ({"solver": "adamw"}, optimizers.AdamW(epsilon=1e-8)),
        ({"solver": "adamw", "weight_decay": 0.3, "beta_1": 0.8}, optimizers.AdamW(0.001, 0.3, 0.8, epsilon=1e-8)),
        ({"solver": "rmsprop"}, optimizers.RMSprop(epsilon=1e-8)),
        ({"solver": "rmsprop", "rho": 0.5, "epsilon": 1e-3}, optimizers.RMSprop(rho=0.5, epsilon=1e-3)),
        ({"solver": "nadam", "beta_2": 0.9}, optimizers.Nadam(beta_2=0.9, epsilon=1e-8)),
        ({"solver": "adamax", "weight_decay": 0.1}, optimizers.Adamax(epsilon=1e-8, weight_decay=0.1)),
        ({"solver": "adagrad", "epsilon": 0.1}, optimizers.Adagrad(epsilon=0.1)),
        ({"solver": "lion", "beta_2": 0.99}, optimizers.Lion()),
        ({"solver": "sgd", "clipvalue": 0.01}, optimizers.SGD(0.001, 0.9, True, clipvalue=0.01)),
        ({"solver": "sgd", "clipnorm": 0.1}, optimizers.SGD(0.001, 0.9, True, clipnorm=0.1)),
        ({"global_clipnorm": 0.1}, optimizers.Adam(epsilon=1e-8, global_clipnorm=0.1)),
    ],
)
def test_solvers_are_those_of_sequential(settings, optimizer):
    model = MLPClassifier(**SETTINGS, **settings, max_iter=1, random_state=0).fit(X, Y)
    start = MLPClassifier(**SETTINGS, max_iter=1, learning_rate_init=1e-300, random_state=0).fit(X, Y)
    network = Sequential([fastnn.Dense(7, "relu"), fastnn.Dense(3, "softmax")], dtype="float64")
    network.compile(optimizer, "sparse_categorical_crossentropy")
    network.build((None, 6))
    network.set_weights(start._weights())
    network.fit(X, Y, batch_size=30, shuffle=False, verbose=0)
    for mine, other in zip(model._weights(), network.get_weights(), strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("solver", sorted({*optimizers.names()} - {"adam", "sgd"}))
def test_new_solvers_learn_and_go_on_after_a_pickle(solver):
    rate = 0.2 if solver == "adagrad" else 0.01
    model = MLPClassifier(solver=solver, learning_rate_init=rate, batch_size=30, max_iter=60, random_state=0).fit(X, Y)
    assert model.score(X, Y) > 0.8
    twin = pickle.loads(pickle.dumps(model))
    for part in (model, twin):
        part.partial_fit(X, Y).partial_fit(X, Y)
    np.testing.assert_array_equal(model.predict_proba(X), twin.predict_proba(X))
    with pytest.warns(UserWarning, match=f"solver='{solver}': left out"):
        assert model.to_sklearn().solver == "adam"


@pytest.mark.parametrize("solver", ["adam", "sgd", "nadam", "rmsprop"])
@pytest.mark.parametrize("name", SCHEDULES)
def test_schedules_set_the_rate_of_each_step(name, solver):
    rates = []
    hook = fastnn.LambdaCallback(on_train_batch_begin=lambda batch, logs: rates.append(model._optimizer.learning_rate))
    settings = {"solver": solver, "learning_rate": name, "learning_rate_init": 0.02, "n_iter_no_change": np.inf}
    settings |= {"batch_size": 50, "max_iter": 40, "random_state": 0}
    model = MLPClassifier(**settings, callbacks=hook)
    model.fit(X, Y)
    np.testing.assert_allclose(rates, SCHEDULES[name](0.02, 120)(np.arange(120)))
    plain = MLPClassifier(**settings).fit(X, Y)
    np.testing.assert_array_equal(plain.loss_curve_, model.loss_curve_)
    assert plain.loss_curve_[-1] < plain.loss_curve_[0]
    pickle.loads(pickle.dumps(plain))


def test_clipping():
    """Steps of plain gradient descent are no longer than the rate times the limit; searches may look for one."""
    settings = {"solver": "sgd", "momentum": 0.0, "learning_rate_init": 1.0, "max_iter": 1, "random_state": 0}
    plain = MLPRegressor(**settings).fit(1e3 * X[:, :3], 1e3 * X[:, 3])
    start = MLPRegressor(**settings | {"learning_rate_init": 1e-30}).fit(1e3 * X[:, :3], 1e3 * X[:, 3])
    clipped = MLPRegressor(**settings, global_clipnorm=0.25).fit(1e3 * X[:, :3], 1e3 * X[:, 3])
    lengths = [
        np.sqrt(sum(np.sum((a - b) ** 2) for a, b in zip(model._weights(), start._weights(), strict=True)))
        for model in (plain, clipped)
    ]
    assert lengths[0] > 1e3
    assert lengths[1] == pytest.approx(0.25, rel=1e-5)
    search = GridSearchCV(MLPClassifier(max_iter=2), {"clipnorm": [None, 0.5], "solver": ["adam", "nadam"]}, cv=2)
    assert len(search.fit(X, Y).cv_results_["params"]) == 4
    with pytest.warns(UserWarning, match=r"clipnorm=0\.5: left out"):
        MLPClassifier(clipnorm=0.5, max_iter=2).fit(X, Y).to_sklearn()


def test_shapes_of_schedules():
    for name, peak in (("cosine", 0), ("one_cycle", 299), ("warmup", 100)):
        curve = SCHEDULES[name](1.0, 1000)(np.arange(1000))
        assert np.argmax(curve) == peak
        assert max(curve) == pytest.approx(1.0)
        assert curve[-1] < 1e-4
        assert (curve > 0).all()


def test_schedules_as_objects():
    schedule = optimizers.schedules.ExponentialDecay(0.05, 10, 0.5)
    model = MLPClassifier(learning_rate=schedule, max_iter=30, n_iter_no_change=np.inf, batch_size=50).fit(X, Y)
    assert model._optimizer.learning_rate == pytest.approx(0.05 * 0.5 ** (model._optimizer.iterations / 10))
    assert clone(model).learning_rate is not schedule
    stopped = MLPClassifier(learning_rate="cosine", early_stopping=True, max_iter=20, batch_size=20).fit(X, Y)
    assert stopped._optimizer.schedule.decay_steps == 20 * math.ceil(108 / 20)  # rows that were trained on


def test_partial_fits_follow_a_schedule():
    model = MLPClassifier(learning_rate="cosine", max_iter=10, learning_rate_init=0.02, random_state=0)
    for epoch in range(12):
        model.partial_fit(X, Y, classes=[0, 1, 2])
        assert model._optimizer.learning_rate == pytest.approx(SCHEDULES["cosine"](0.02, 10)(epoch + 1))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"solver": "lbfgs", "learning_rate": "cosine"}, "takes no learning_rate='cosine'"),
        ({"learning_rate": "cosin"}, "'learning_rate' parameter"),
        ({"solver": "adamw", "weight_decay": -1.0}, "'weight_decay' parameter"),
        ({"solver": "rmsprop", "rho": 1.0}, "'rho' parameter"),
        ({"clipnorm": 0.0}, "'clipnorm' parameter"),
        ({"clipnorm": 1.0, "clipvalue": 0.5}, "only one of clipnorm, clipvalue and global_clipnorm"),
        ({"solver": "lbfgs", "global_clipnorm": 0.5}, "takes no global_clipnorm=0.5"),
    ],
)
def test_errors(settings, words):
    with pytest.raises(ValueError, match=words):
        MLPRegressor(**settings).fit(X, Y)
