"""Estimators that go on: with parameters that changed in between, and as scikit-learn's that was converted."""

import copy
import pickle

import numpy as np
import pytest
import sklearn
import sklearn.neural_network as scikit_learn
from sklearn.datasets import make_classification
from sklearn.utils.fixes import parse_version

import fastnn

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X, Y = make_classification(150, 6, n_informative=4, n_classes=3, random_state=0)
TARGETS = {"binary": Y == 1, "words": np.array(["a", "b", "c"])[Y], "regression": X[:, 0], "several": X[:, :2]}
SETTINGS = {"hidden_layer_sizes": (6,), "batch_size": 40, "max_iter": 3, "random_state": 0, "dtype": "float64"}
Y_WORDS = TARGETS["words"]
SCHEDULE = fastnn.optimizers.schedules.ExponentialDecay(0.05, 4, 0.5)


def started(how, kind="words", **settings):
    """A model that was fitted, and the method that goes on with it."""
    name = "MLPRegressor" if kind in ("regression", "several") else "MLPClassifier"
    model = getattr(fastnn, name)(**SETTINGS | settings).fit(X, TARGETS[kind])
    return model.set_params(warm_start=how == "fit"), getattr(model, how)


def same_weights(one, other, **tolerance):
    for mine, theirs in zip(one.coefs_ + one.intercepts_, other.coefs_ + other.intercepts_, strict=True):
        np.testing.assert_allclose(mine, theirs, **{"rtol": 1e-9, "atol": 1e-12} | tolerance)


@pytest.mark.parametrize("how", ["fit", "partial_fit"])
@pytest.mark.parametrize(
    ("before", "change", "message"),
    [
        ({}, {"hidden_layer_sizes": (9,)}, r"hidden_layer_sizes=\(9,\) cannot go on from .* layers of \[6\] neurons"),
        ({}, {"hidden_layer_sizes": (6, 6)}, r"hidden_layer_sizes=\(6, 6\) .* set hidden_layer_sizes=\(6,\), or"),
        ({}, {"hidden_layer_sizes": ()}, r"hidden_layer_sizes=\(\) cannot go on from"),
        ({"hidden_layer_sizes": 100, "width": 5}, {"width": 6}, r"width=6 cannot .* layers of \[5\] .* set them back"),
        ({"hidden_layer_sizes": 100, "n_layers": 2}, {"n_layers": 1}, r"n_layers=1 cannot go on from .* \[100, 100\]"),
        ({"hidden_layer_sizes": 100, "n_layers": 2}, {"n_layers": None}, r"sizes=100 cannot .* \[100, 100\]"),
        ({}, {"normalization": "batch"}, "normalization='batch' cannot go on from a network with normalization=None"),
    ],
)  # fmt: skip
def test_another_network_is_refused(how, before, change, message):
    model, go_on = started(how, **before)
    weights, curve = model.coefs_, list(model.loss_curve_)
    model.set_params(**change)
    with pytest.raises(ValueError, match=message):
        go_on(X, Y_WORDS)
    assert model.coefs_ is weights
    assert model.loss_curve_ == curve
    model.set_params(warm_start=False).fit(X, Y_WORDS)
    same_weights(model, started("fit", **before | change)[0], rtol=0, atol=0)


@pytest.mark.parametrize("how", ["fit", "partial_fit"])
@pytest.mark.parametrize(
    ("before", "change", "message"),
    [
        ({}, {"loss": "poisson"}, "loss='poisson', .*'identity'"),
        ({"loss": "poisson"}, {"loss": "absolute_error"}, "loss='absolute_error', .*'exp'"),
        ({"loss": "quantile", "quantile": [0.1, 0.9]}, {"quantile": 0.5}, "quantile=0.5 .* outputs for 2 quantiles"),
        ({}, {"loss": "quantile", "quantile": [0.1, 0.9]}, r"quantile=\[0.1, 0.9\] cannot"),
    ],
)
def test_other_outputs_are_refused(how, before, change, message):
    model = fastnn.MLPRegressor(**SETTINGS | before).fit(X, np.abs(X[:, 0]))
    model.set_params(warm_start=how == "fit", **change)
    with pytest.raises(ValueError, match=message):
        getattr(model, how)(X, np.abs(X[:, 0]))


def test_weights_that_the_user_replaced_go_on():
    """A network of other sizes than the parameter says goes on as in scikit-learn; set to them, the parameter fits."""
    for parameter in (6, 4):
        model, _ = started("fit")
        model.coefs_ = [model.coefs_[0][:, :4].copy(), model.coefs_[1][:4].copy()]
        model.intercepts_ = [model.intercepts_[0][:4].copy(), model.intercepts_[1].copy()]
        model.set_params(hidden_layer_sizes=parameter).fit(X, Y_WORDS)
        assert [coef.shape for coef in model.coefs_] == [(6, 4), (4, 3)]
        model.set_params(hidden_layer_sizes=7)
        with pytest.raises(ValueError, match=r"hidden_layer_sizes=7 cannot go on from .* \[4\] neurons"):
            model.fit(X, Y_WORDS)


@pytest.mark.parametrize("how", ["fit", "partial_fit"])
@pytest.mark.parametrize(
    "change",
    [
        {"activation": "tanh"}, {"alpha": 0.5}, {"batch_size": 25}, {"shuffle": False}, {"max_iter": 2}, {"tol": 1e-2},
    ],
    ids=lambda change: next(iter(change)),
)  # fmt: skip
def test_what_can_change_goes_on_as_in_scikit_learn(how, change):
    model, go_on = started(how)
    twin = model.to_sklearn().set_params(**change)
    model.set_params(**change)
    go_on(X, Y_WORDS)
    getattr(twin, how)(X, Y_WORDS)
    same_weights(model, twin)


@pytest.mark.parametrize(
    ("solver", "change"),
    [
        ("adam", {"learning_rate_init": 0.02}), ("adam", {"beta_1": 0.5}), ("adam", {"epsilon": 0.1}),
        ("adam", {"weight_decay": 0.5}), ("adam", {"clipvalue": 1e-4}), ("adam", {"learning_rate": SCHEDULE}),
        ("sgd", {"momentum": 0.1}), ("sgd", {"nesterovs_momentum": False}), ("sgd", {"learning_rate_init": 0.1}),
    ],
)  # fmt: skip
def test_partial_fits_follow_the_parameters_of_the_optimizer(solver, change):
    """With the moments that there are: as a model that was made with the new value and given weights and moments."""
    model, go_on = started("partial_fit", solver=solver)
    twin = fastnn.MLPClassifier.from_sklearn(model.to_sklearn())
    left = copy.deepcopy(twin)
    twin._optimizer = twin.set_params(**change)._make_optimizer(4)
    twin._keep_optimizer(twin._optimizer)
    model.set_params(**change)
    same_weights(go_on(X, Y_WORDS), twin.partial_fit(X, Y_WORDS))
    same_weights(pickle.loads(pickle.dumps(model)).partial_fit(X, Y_WORDS), twin.partial_fit(X, Y_WORDS))
    left.partial_fit(X, Y_WORDS)
    with pytest.raises(AssertionError):
        same_weights(model, left)


def test_partial_fits_follow_the_solver():
    model, go_on = started("partial_fit")
    weights = [array.copy() for array in model.coefs_ + model.intercepts_]
    model.set_params(solver="sgd", learning_rate_init=0.1)
    go_on(X, Y_WORDS)
    twin = fastnn.MLPClassifier(**SETTINGS, solver="sgd", learning_rate_init=0.1).fit(X, Y_WORDS)
    twin.coefs_, twin.intercepts_ = weights[:2], weights[2:]
    del twin._optimizer
    same_weights(model, twin.partial_fit(X, Y_WORDS))


def test_a_rate_that_has_adapted_stays_when_another_parameter_changes():
    settings = {"solver": "sgd", "learning_rate": "adaptive", "tol": 10.0, "n_iter_no_change": 1, "max_iter": 5}
    model, go_on = started("partial_fit", **settings)
    rate = model._optimizer.learning_rate
    assert rate < model.learning_rate_init
    model.set_params(momentum=0.5, tol=0.0)
    go_on(X, Y_WORDS)
    assert model._optimizer.learning_rate == rate
    assert model._optimizer.momentum == 0.5


def test_a_first_partial_fit_that_fails_leaves_no_classes():
    model = fastnn.MLPClassifier(max_iter=2, early_stopping=True)
    with pytest.raises(ValueError, match="partial_fit does not support early_stopping"):
        model.partial_fit(X, Y, classes=[0, 1, 2, 3])
    assert not hasattr(model, "classes_")
    model.set_params(early_stopping=False).partial_fit(X, Y, classes=[0, 1, 2])
    assert len(model.classes_) == 3


def test_stochastic_after_lbfgs():
    model, go_on = started("fit", solver="lbfgs")
    model.set_params(solver="adam", max_iter=4)
    go_on(X, Y_WORDS)
    assert len(model.loss_curve_) == 4
    model.set_params(early_stopping=True).fit(X, Y_WORDS)
    assert len(model.validation_loss_curve_) == len(model.loss_curve_) == 8
    assert len(model.validation_scores_) == 4


@pytest.mark.parametrize("solver", ["adam", "sgd"])
@pytest.mark.parametrize("settings", [{}, {"learning_rate": "adaptive", "tol": 1.0, "n_iter_no_change": 2}], ids=str)
@pytest.mark.parametrize("kind", TARGETS)
def test_converted_estimators_go_on_as_scikit_learns(kind, settings, solver):
    """To within rounding, in warm starts and partial fits, from there and back again."""
    theirs = scikit_learns(kind, solver=solver, **settings).fit(X, TARGETS[kind])
    theirs.partial_fit(X[:60], TARGETS[kind][:60])
    ours = pickle.loads(pickle.dumps(converted(theirs)))
    for how in ("partial_fit", "fit", "partial_fit"):
        for model in (ours, theirs):
            getattr(model, how)(X, TARGETS[kind])
        assert_same_training(ours, theirs)
    back = ours.to_sklearn()
    for how in ("partial_fit", "fit", "partial_fit"):
        for model in (back, theirs):
            getattr(model, how)(X, TARGETS[kind])
        assert_same_training(back, theirs)


@pytest.mark.parametrize("solver", ["adam", "sgd"])
@pytest.mark.parametrize("kind", TARGETS)
def test_converted_estimators_go_on_with_early_stopping(kind, solver):
    if kind == "words" and parse_version("1.8") > parse_version(sklearn.__version__):
        pytest.skip("this scikit-learn cannot stop early with words as labels (its issue 33760)")
    settings = {"early_stopping": True, "learning_rate_init": 0.02, "validation_fraction": 0.3, "solver": solver}
    theirs = scikit_learns(kind, **settings, tol=0.0).fit(X, TARGETS[kind])
    ours = converted(theirs)
    best = theirs.best_validation_score_
    for model in (ours, theirs):
        model.set_params(max_iter=30).fit(X, TARGETS[kind])
    assert theirs.best_validation_score_ > best  # else scikit-learn's keeps its last weights, ours the best
    assert_same_training(ours, theirs)
    back = ours.to_sklearn()
    for model in (back, theirs):
        model.fit(X, TARGETS[kind])
    assert_same_training(back, theirs)


def scikit_learns(kind, **settings):
    settings = {**SETTINGS, "warm_start": True, **settings}
    del settings["dtype"]
    return getattr(scikit_learn, "MLPRegressor" if kind in ("regression", "several") else "MLPClassifier")(**settings)


def converted(theirs):
    return getattr(fastnn, type(theirs).__name__).from_sklearn(theirs)


def assert_same_training(one, other):
    same_weights(one, other)
    np.testing.assert_allclose(one.loss_curve_, other.loss_curve_, rtol=1e-9)
    assert one.best_loss_ == pytest.approx(other.best_loss_)
    assert one.validation_scores_ == pytest.approx(other.validation_scores_)
    assert (one.t_, one.n_iter_) == (other.t_, other.n_iter_)


@pytest.mark.parametrize("early_stopping", [False, True])
def test_converted_estimators_take_all_that_ours_do(early_stopping):
    theirs = scikit_learn.MLPClassifier((6,), max_iter=3, early_stopping=early_stopping, random_state=0).fit(X, Y)
    ours = fastnn.MLPClassifier.from_sklearn(theirs).set_params(warm_start=True)
    seen = fastnn.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: epochs.append((epoch, *sorted(logs))))
    epochs = []
    ours.set_params(callbacks=[seen]).fit(X, Y, validation_data=(X, Y))
    assert ours.validation_loss_curve_[3:] == pytest.approx([*ours.validation_loss_curve_[3:]])
    assert np.isnan(ours.validation_loss_curve_[:3]).all()
    assert [epoch for epoch, *_ in epochs] == [3, 4, 5]
    assert "val_loss" in epochs[0]
    ours.set_params(early_stopping=not early_stopping).fit(X, Y)
    assert (ours.best_validation_score_ is None) == early_stopping
    ours.set_params(early_stopping=False).partial_fit(X, Y)


def test_generators_of_random_numbers_are_not_shared():
    theirs = scikit_learn.MLPClassifier((6,), max_iter=2, random_state=np.random.RandomState(0)).fit(X, Y)
    ours = fastnn.MLPClassifier.from_sklearn(theirs)
    back = ours.to_sklearn()
    for model in (ours, theirs, back):
        model.partial_fit(X, Y)
    same_weights(ours, theirs)
    same_weights(back, theirs)


def test_another_number_of_layers():
    """A network that the user has put in the place of the first one goes on; the parameter is of the first one."""
    model, _ = started("fit")
    model.coefs_ = [np.ones((6, 3))]
    model.intercepts_, model.n_layers_ = [np.zeros(3)], 2
    model.fit(X, Y_WORDS)
    assert [coef.shape for coef in model.coefs_] == [(6, 3)]
    assert (model.coefs_[0] != 1.0).all()


def test_what_is_dropped_is_said():
    theirs = scikit_learn.MLPClassifier((6,), max_iter=2, random_state=0).fit(X, Y)
    theirs.coefs_ = [theirs.coefs_[0][:, :4], theirs.coefs_[1][:4]]
    theirs.intercepts_ = [theirs.intercepts_[0][:4], theirs.intercepts_[1]]
    with pytest.warns(UserWarning, match="moments of the optimizer do not have the shapes"):
        ours = fastnn.MLPClassifier.from_sklearn(theirs)
    ours.partial_fit(X, Y)
    for settings in ({"solver": "rmsprop"}, {"normalization": "batch"}):
        model = fastnn.MLPClassifier(max_iter=2, **settings).fit(X, Y)
        with pytest.warns(UserWarning, match="left out, .* partial_fit begins with a new optimizer"):
            twin = model.to_sklearn()
        twin.partial_fit(X, Y)


@pytest.mark.parametrize("dtypes", [("float32", "float64"), ("float64", "float32"), ("float32", "auto")])
@pytest.mark.parametrize("how", ["fit", "partial_fit"])
def test_another_precision_goes_on_in_it(how, dtypes):
    """As a model of the new precision does that was given the weights (and, in `partial_fit`, the moments)."""
    model, go_on = started(how, dtype=dtypes[0])
    twin = fastnn.MLPClassifier.from_sklearn(model.to_sklearn()).set_params(dtype=dtypes[1])
    model.set_params(dtype=dtypes[1])
    go_on(X, Y_WORDS)
    getattr(twin, how)(X, Y_WORDS)
    same_weights(model, twin, atol=1e-12 if dtypes[1] != "float32" else 1e-6)
    assert model._get_engine().plan.dtype == np.dtype(dtypes[1].replace("auto", "float64"))


@pytest.mark.parametrize("name", ["activation", "dropout"])
def test_lists_edited_in_place(name):
    before, after = {"activation": (["relu"], "tanh"), "dropout": ([0.0], 0.9)}[name]
    model, _ = started("partial_fit", **{name: before})
    other = copy.deepcopy(model).set_params(**{name: [after]})
    getattr(model, name)[0] = after
    np.testing.assert_array_equal(model.predict_proba(X), other.predict_proba(X))
    same_weights(model.partial_fit(X, Y_WORDS), other.partial_fit(X, Y_WORDS), rtol=0, atol=0)


def test_two_threads_that_make_an_engine_find_the_same_optimizer():
    """As first predictions of a model that was unpickled may do."""
    model = fastnn.MLPClassifier(**SETTINGS).partial_fit(X, Y, classes=[0, 1, 2])
    steps = model._engine.step
    twin = pickle.loads(pickle.dumps(model))
    assert twin._new_engine().step == steps
    assert twin._get_engine().step == steps > 0
    same_weights(twin.partial_fit(X, Y), model.partial_fit(X, Y), rtol=1e-12)
