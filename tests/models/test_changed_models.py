"""Models that are changed between calls, or by callbacks in a fit: what is asked for is done, or refused."""

import pickle
import sys
import threading

import numpy as np
import pytest
from sklearn import neural_network

import fastnn
from fastnn import Dense, Dropout, LambdaCallback, Sequential, layers, optimizers

X = np.random.default_rng(0).normal(size=(20, 3))
Y = (X[:, 0] > 0.0).astype(int)


def small_model():
    fastnn.utils.set_random_seed(0)
    model = Sequential([Dense(4, "tanh", input_shape=(3,)), Dense(1)])
    model.compile("adam", "mse")
    return model


@pytest.mark.parametrize("hook", ["on_train_begin", "on_epoch_end", "on_train_batch_begin"])
@pytest.mark.parametrize(
    "change",
    [
        lambda model: model.fit(X, Y, verbose=0),
        lambda model: model.train_on_batch(X, Y),
        lambda model: model.compile("sgd", "mse"),
        lambda model: model.add(Dropout(0.1)),
        lambda model: model.pop(),
    ],
    ids=["fit", "train_on_batch", "compile", "add", "pop"],
)
def test_a_callback_cannot_start_another_training(hook, change):
    """Steps of one would be counted as those of the other."""
    model, undisturbed = small_model(), small_model()
    with pytest.raises(RuntimeError, match="within a fit of the same model"):
        model.fit(X, Y, verbose=0, callbacks=LambdaCallback(**{hook: lambda *_: change(model)}))
    change(model)
    if hook == "on_train_begin":
        change(undisturbed)
        for mine, theirs in zip(model.get_weights(), undisturbed.get_weights(), strict=True):
            np.testing.assert_array_equal(mine, theirs)


def test_a_file_is_restored_before_the_first_step_only(tmp_path):
    model = small_model()
    model.save(tmp_path / "model")
    with pytest.raises(RuntimeError, match="within a fit"):
        model.fit(X, Y, verbose=0, callbacks=LambdaCallback(on_epoch_end=lambda *_: model.restore(tmp_path / "model")))


def test_a_fit_after_a_restored_file_does_its_epochs(tmp_path):
    """`restore` brings the optimizer's state; only within a fit does it tell which epochs are done."""
    model = small_model()
    model.fit(X, Y, epochs=5, verbose=0)
    model.save(tmp_path / "model")
    model = small_model()
    model.restore(tmp_path / "model")
    history = model.fit(X, Y, epochs=3, verbose=0)
    assert history.epoch == [0, 1, 2]
    assert model.engine.step == 8


def test_an_assigned_optimizer_is_used():
    model = small_model()
    model.fit(X, Y, verbose=0)
    before = model.get_weights()
    model.optimizer = optimizers.SGD(1e-30)
    model.fit(X, Y, verbose=0)
    model.train_on_batch(X, Y)
    for now, then in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(now, then)


@pytest.mark.parametrize(
    ("layer", "name", "value"),
    [
        (Dense(3), "activation", fastnn.activations.relu),
        (Dense(3), "units", 4),
        (Dense(3), "kernel_regularizer", fastnn.regularizers.L2()),
        (Dropout(0.1), "rate", 0.2),
        (layers.BatchNormalization(), "momentum", 0.5),
        (layers.Rescaling(2.0), "scale", 3.0),
    ],
)
def test_a_layer_at_work_stays_as_it_was_declared(layer, name, value):
    """The engine would go on with what it was made of, and a saved file would hold the other."""
    model = Sequential([layers.Input((3,)), layer, Dense(1)])
    before = model.predict(X)
    with pytest.raises(AttributeError, match=f"its {name} cannot be changed any more"):
        setattr(layer, name, value)
    layer.name = "renamed"
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(model)).predict(X), before)


@pytest.mark.parametrize(
    ("part", "name"), [(fastnn.regularizers.L2(0.1), "l2"), (fastnn.activations.leaky_relu, "alpha")]
)
def test_parts_of_layers_stay_as_they_were_declared(part, name):
    with pytest.raises(AttributeError, match=name):
        setattr(part, name, 0.5)


def test_layers_and_models_cannot_be_left_untrained():
    model = small_model()
    for part in (model, model.layers[0]):
        part.trainable = True
        with pytest.raises(ValueError, match=f"trainable=False: .* '{part.name}'"):
            part.trainable = False


@pytest.mark.parametrize("name", ["leaky_relu", "elu"])
@pytest.mark.parametrize("alpha", [-0.1, np.nan])
def test_slopes_whose_derivative_would_be_wrong(name, alpha):
    with pytest.raises(ValueError, match="alpha must be >= 0"):
        fastnn.activations.Activation(name, alpha)


def partially_fitted(kind, **changes):
    """An estimator of ours or scikit-learn's whose parameters change between partial fits."""
    ours = {"dtype": "float64"} if kind.__module__.startswith("fastnn") else {}
    model = kind((6,), random_state=0, shuffle=False, **ours)
    for _ in range(3):
        model.partial_fit(X, Y, classes=[0, 1])
    return model.set_params(**changes)


@pytest.mark.parametrize("changes", [{"alpha": 5.0}, {"activation": "tanh"}, {"alpha": 0.0, "activation": "logistic"}])
def test_parameters_of_an_estimator_changed_between_partial_fits(changes):
    """As in scikit-learn, the next call heeds them."""
    ours, theirs = (partially_fitted(k, **changes) for k in (fastnn.MLPClassifier, neural_network.MLPClassifier))
    np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), rtol=1e-12)
    np.testing.assert_array_equal(ours.predict_proba(X), pickle.loads(pickle.dumps(ours)).predict_proba(X))
    for _ in range(3):
        ours.partial_fit(X, Y)
        theirs.partial_fit(X, Y)
    for mine, other in zip(ours.coefs_, theirs.coefs_, strict=True):
        np.testing.assert_allclose(mine, other, rtol=0, atol=1e-12)


def test_dropout_of_an_estimator_changed_between_partial_fits():
    """The engine is as one that is made anew after pickling."""
    kept = partially_fitted(fastnn.MLPClassifier, dropout=0.5)
    copied = pickle.loads(pickle.dumps(partially_fitted(fastnn.MLPClassifier, dropout=0.5)))
    unchanged = partially_fitted(fastnn.MLPClassifier)
    for model in (kept, copied, unchanged):
        model.partial_fit(X, Y)
    np.testing.assert_array_equal(kept.coefs_[0], copied.coefs_[0])
    assert not np.array_equal(kept.coefs_[0], unchanged.coefs_[0])


@pytest.mark.parametrize("fits", [100, pytest.param(600, marks=pytest.mark.slow)])
def test_predictions_beside_partial_fits_do_not_undo_them(fits):
    """A thread that predicts while another one tells what it learned must not take it for weights set by the user."""
    alone, beside = partially_fitted(fastnn.MLPClassifier), partially_fitted(fastnn.MLPClassifier)
    done = threading.Event()

    def predict():
        while not done.is_set():
            beside.predict(X[:2])

    interval, threads = sys.getswitchinterval(), [threading.Thread(target=predict) for _ in range(3)]
    sys.setswitchinterval(1e-5)
    try:
        for thread in threads:
            thread.start()
        for _ in range(fits):
            alone.partial_fit(X, Y)
            beside.partial_fit(X, Y)
    finally:
        done.set()
        sys.setswitchinterval(interval)
    for mine, theirs in zip(alone.coefs_, beside.coefs_, strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_weights_of_one_layer_set_beside_a_fit_leave_those_of_the_others():
    """With zeros for inputs and weights only the last bias learns, and shows every step that is undone."""

    def made():
        model = Sequential([Dense(4, "tanh", input_shape=(3,)), Dense(1)])
        model.compile(optimizers.SGD(1e-5), "mse")
        model.set_weights([np.zeros_like(weight) for weight in model.get_weights()])
        return model

    def fit(model):
        model.fit(np.zeros((20, 3)), np.ones(20), batch_size=1, epochs=2000, shuffle=False, verbose=0)

    alone, beside = made(), made()
    fit(alone)
    thread = threading.Thread(target=fit, args=(beside,))
    thread.start()
    zeros = beside.layers[0].get_weights()
    while thread.is_alive():
        beside.layers[0].set_weights(zeros)
    np.testing.assert_array_equal(beside.layers[1].get_weights()[1], alone.layers[1].get_weights()[1])
