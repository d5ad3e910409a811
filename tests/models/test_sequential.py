"""Models: declared, compiled, fitted, evaluated; the numbers agree with the oracle."""

import numpy as np
import pytest
from fastnn.kernels import reference

import fastnn
from fastnn import losses, metrics, optimizers
from fastnn.common import identifiers, seeding
from fastnn.layers import Activation, Dense, Dropout, Input
from fastnn.models import Sequential
from fastnn.utils import set_random_seed, to_categorical

RNG = np.random.default_rng(5)
X = RNG.normal(size=(45, 6))
BINARY = (X[:, 0] + X[:, 1] > 0).astype(int)
CLASSES = np.digitize(X[:, 0], [-0.5, 0.5])


def network(outputs=1, activation="sigmoid", **options):
    return Sequential([Input((6,)), Dense(7, "tanh"), Dense(outputs, activation)], **options)


def test_forward_propagation_by_hand():
    model = Sequential([Input((2,)), Dense(2, use_bias=False), Dense(1, use_bias=False)])
    model.set_weights([np.array([[1, 1], [-1, 1]]).T, [[2], [-1]]])
    np.testing.assert_array_equal(model.predict([[2, 3], [3, 4]]), [[9], [13]])
    np.testing.assert_array_equal(model([[2, 3]]), [[9]])
    np.testing.assert_array_equal(model.predict_on_batch([[2, 3]]), [[9]])


LAYERS = [
    {"kind": "dense", "activation": "tanh", "l2": 0.01},
    {"kind": "dropout", "rate": 0.3},
    {"kind": "dense", "activation": "softmax"},
]


@pytest.mark.parametrize("optimizer", ["sgd", "rmsprop", "adam", "adamw"])
def test_a_whole_fit_equals_the_oracle(monkeypatch, optimizer):
    monkeypatch.setattr(seeding, "fresh_seed", lambda: 99)
    model = Sequential(
        [Input((6,)), Dense(7, "tanh", kernel_regularizer="l2"), Dropout(0.3), Dense(3, "softmax")], dtype="float64"
    )
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    weights = model.get_weights()
    weighted = {0: 1.0, 1: 2.0, 2: 0.5}
    history = model.fit(X, CLASSES, epochs=3, batch_size=10, verbose=0, class_weight=weighted)
    expected, logs = reference.train(
        LAYERS, weights, "sparse_categorical_crossentropy", optimizer, model.optimizer.hyperparameters(),
        X, CLASSES[:, None], batch_size=10, epochs=3, seed=99, metrics=["sparse_categorical_accuracy"],
        sample_weights=np.array([weighted[label] for label in CLASSES]),
    )  # fmt: skip
    np.testing.assert_allclose(history.history["loss"], logs[:, 0], rtol=1e-6)
    np.testing.assert_allclose(history.history["accuracy"], logs[:, 1], rtol=1e-12)
    for mine, theirs in zip(model.get_weights(), expected, strict=True):
        np.testing.assert_allclose(mine, theirs, atol=1e-6)


@pytest.mark.parametrize(
    ("outputs", "activation", "loss", "y"),
    [
        (1, "sigmoid", "binary_crossentropy", BINARY),
        (1, "linear", losses.BinaryCrossentropy(from_logits=True), BINARY),
        (3, "softmax", "categorical_crossentropy", to_categorical(CLASSES)),
        (3, "softmax", "sparse_categorical_crossentropy", CLASSES),
        (3, "linear", losses.SparseCategoricalCrossentropy(from_logits=True), CLASSES),
        (1, "linear", "mse", X[:, 2]),
        (2, "linear", losses.mean_absolute_error, X[:, 2:4]),
    ],
)
@pytest.mark.filterwarnings("ignore:the metric 'accuracy' expects")
def test_losses_go_down_and_evaluate_agrees_with_predict(outputs, activation, loss, y):
    set_random_seed(2)
    model = network(outputs, activation)
    model.compile(optimizers.Adam(0.02), loss, metrics=["accuracy"])
    history = model.fit(X, y, epochs=20, batch_size=8, verbose=0).history
    assert history["loss"][-1] < 0.8 * history["loss"][0]
    result = model.evaluate(X, y, verbose=0)
    outputs = model.predict(X)
    assert result[0] == pytest.approx(model.loss(y, outputs), rel=1e-4)
    assert result[1] == pytest.approx(metrics.get("accuracy")(y, outputs))


def test_names_and_order_of_results():
    model = network()
    model.compile("sgd", "binary_crossentropy", ["mse", "acc", metrics.RootMeanSquaredError()])
    assert model.metrics_names == ["loss", "mse", "acc", "root_mean_squared_error"]
    history = model.fit(X, BINARY, verbose=0, validation_data=(X, BINARY)).history
    names = ["acc", "loss", "mse", "root_mean_squared_error"]
    assert list(history) == [*names, *(f"val_{name}" for name in names)]
    by_name = model.evaluate(X, BINARY, verbose=0, return_dict=True)
    assert list(by_name) == names
    assert model.evaluate(X, BINARY, verbose=0) == [by_name[name] for name in model.metrics_names]
    assert by_name["root_mean_squared_error"] == pytest.approx(by_name["mse"] ** 0.5)
    model.compile("sgd", "mse")
    assert isinstance(model.evaluate(X, BINARY, verbose=0), float)


def test_metrics_beside_their_own_loss():
    model = network()
    model.compile("sgd", "binary_crossentropy", ["binary_crossentropy", "mae"])
    loss, same, mae = model.evaluate(X, BINARY, verbose=0)
    assert same == pytest.approx(loss, rel=1e-5)
    assert mae == pytest.approx(np.abs(model.predict(X)[:, 0] - BINARY).mean(), rel=1e-5)


def test_validation_split_takes_the_last_rows():
    model = network()
    model.compile("sgd", "binary_crossentropy", ["accuracy"])
    history = model.fit(X, BINARY, epochs=2, verbose=0, validation_split=0.2).history
    expected = model.evaluate(X[36:], BINARY[36:], verbose=0)
    assert [history["val_loss"][-1], history["val_accuracy"][-1]] == expected
    weights = np.arange(45)
    history = model.fit(X, BINARY, verbose=0, validation_data=(X, BINARY, weights)).history
    assert history["val_loss"] == [model.evaluate(X, BINARY, sample_weight=weights, verbose=0)[0]]


def test_seeds_repeat_a_fit_and_no_seed_does_not():
    def weights():
        model = network()
        model.compile("adam", "binary_crossentropy")
        model.fit(X, BINARY, epochs=2, verbose=0)
        return model.get_weights()[0]

    def seeded():
        set_random_seed(11)
        return weights()

    np.testing.assert_array_equal(seeded(), seeded())
    assert not np.array_equal(weights(), weights())


def test_shuffling():
    def losses_of(shuffle, rows):
        set_random_seed(4)
        model = network(dtype="float64")
        model.compile("sgd", "binary_crossentropy")
        return model.fit(X[rows], BINARY[rows], batch_size=5, verbose=0, shuffle=shuffle).history["loss"][0]

    rows = np.arange(45)
    assert losses_of(True, rows) != losses_of(False, rows)
    assert losses_of(False, rows) != losses_of(False, rows[::-1])


def test_fitting_goes_on_where_it_stopped():
    def fitted(*parts):
        set_random_seed(8)
        model = network(dtype="float64")
        model.compile("adam", "binary_crossentropy")
        for epochs in parts:
            model.fit(X, BINARY, epochs=epochs, verbose=0, shuffle=False)
        return model.get_weights()[0]

    np.testing.assert_array_equal(fitted(2, 3), fitted(5))  # the optimizer's state is kept


def test_compiling_again_starts_the_optimizer_afresh():
    model = network()
    model.compile("adam", "binary_crossentropy")
    model.fit(X, BINARY, verbose=0)
    kept = model.get_weights()[0]
    assert model.engine.step == 2
    model.compile("sgd", "mse")
    assert model.engine.step == 0
    np.testing.assert_array_equal(model.get_weights()[0], kept)


def test_train_on_batch_is_one_step():
    set_random_seed(6)
    model = network(dtype="float64")
    model.compile(optimizers.SGD(0.1), "binary_crossentropy", ["accuracy"])
    before = model.test_on_batch(X, BINARY)
    assert model.train_on_batch(X, BINARY) == pytest.approx(before)
    assert model.engine.step == 1
    assert model.train_on_batch(X, BINARY, return_dict=True)["loss"] < before[0]


def test_more_epochs_than_asked_for_are_not_run():
    model = network()
    model.compile("sgd", "binary_crossentropy")
    before = model.get_weights()[0]
    assert model.fit(X, BINARY, epochs=3, initial_epoch=3, verbose=0).epoch == []
    np.testing.assert_array_equal(model.get_weights()[0], before)


def test_old_spelling_of_epochs(monkeypatch):
    monkeypatch.setattr(identifiers, "_warned", set())
    model = network()
    model.compile("sgd", "binary_crossentropy")
    with pytest.warns(FutureWarning, match="'nb_epoch' is an old spelling of 'epochs'") as caught:
        assert model.fit(X, BINARY, nb_epoch=3, verbose=0).epoch == [0, 1, 2]
    assert caught[0].filename == __file__
    model.fit(X, BINARY, nb_epoch=3, verbose=0)


def test_printed_lines(capsys):
    model = network()
    model.compile("sgd", "binary_crossentropy", ["accuracy"])
    model.fit(X, BINARY, epochs=2, validation_split=0.2)
    lines = capsys.readouterr().out.splitlines()
    assert lines[::2] == ["Epoch 1/2", "Epoch 2/2"]
    assert lines[1].startswith("2/2 ━━━━━━━━━━━━━━━━━━━━ 0s ")
    assert [part.split(":")[0] for part in lines[1].split(" - ")[1:]] == [
        "accuracy",
        "loss",
        "val_accuracy",
        "val_loss",
    ]
    model.fit(X, BINARY)
    assert capsys.readouterr().out.count("\n") == 1  # no title for a single epoch
    model.fit(X, BINARY, epochs=3, verbose=2)
    assert capsys.readouterr().out.splitlines()[5].startswith("2/2 - 0s - ")
    model.evaluate(X, BINARY)
    assert capsys.readouterr().out.startswith("2/2 ━")
    model.predict(X)
    assert capsys.readouterr().out == ""
    model.predict(X, verbose=1)
    assert capsys.readouterr().out.startswith("2/2 ━")
    model.fit(X, BINARY, epochs=3, verbose=0)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("method", ["fit", "evaluate", "train_on_batch", "test_on_batch"])
def test_models_that_are_not_compiled(method):
    model = network()
    with pytest.raises(ValueError, match=r"needs a compiled model: call compile\(optimizer, loss\) first"):
        getattr(model, method)(X, BINARY)
    model.compile("sgd")
    with pytest.raises(ValueError, match="call compile with a loss first"):
        getattr(model, method)(X, BINARY)


def test_an_unknown_name_leaves_the_model_compiled_as_before():
    model = network()
    model.compile("adam", "mse", ["mae"])
    for wrong in ({"optimizer": "adamm"}, {"loss": "msee"}, {"metrics": ["maee"]}):
        with pytest.raises(ValueError, match="Did you mean"):
            model.compile(**{"optimizer": "sgd", "loss": "mse"} | wrong)
    assert (model.optimizer.name, model.metrics_names) == ("adam", ["loss", "mae"])


def test_training_through_a_step():
    model = Sequential([Input((6,)), Dense(2), Activation("step"), Dense(1)])
    assert model.predict(X).shape == (45, 1)
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match=r"'step' .*fastnn.Perceptron"):
        model.fit(X, BINARY, verbose=0)
    assert np.isfinite(model.evaluate(X, BINARY, verbose=0))


@pytest.mark.parametrize(
    ("outputs", "activation", "loss", "message"),
    [
        (1, "softmax", "categorical_crossentropy", "needs one output for each class"),
        (1, "sigmoid", losses.BinaryCrossentropy(from_logits=True), "from_logits=True needs a last layer without"),
    ],
)
def test_losses_that_do_not_fit_the_last_layer(outputs, activation, loss, message):
    model = network(outputs, activation)
    model.compile("sgd", loss)
    with pytest.raises(ValueError, match=message):
        model.fit(X, BINARY, verbose=0)


def test_metrics_that_do_not_fit_the_targets():
    model = network(3, "softmax")
    model.compile("sgd", "sparse_categorical_crossentropy", ["mse"])
    with pytest.raises(ValueError, match="the metric 'mse' needs targets as one column per output"):
        model.fit(X, CLASSES, verbose=0)


def test_models_without_layers_or_shape():
    with pytest.raises(ValueError, match="the model has no layers yet"):
        Sequential().build((None, 3))
    model = Sequential([Dense(2)])
    assert not model.built
    for shape in (None, (8,), 8):
        with pytest.raises((ValueError, TypeError)):
            model.build(shape)
    model.build((None, 6))
    assert (model.input_shape, model.output_shape) == ((None, 6), (None, 2))
    model.build((None, 6))
    with pytest.raises(ValueError, match=r"is built for the shape \(None, 6\); got \(None, 7\)"):
        model.build((None, 7))


def test_finding_layers():
    model = network()
    assert model.get_layer("dense_1") is model.get_layer(index=1) is model.layers[-1]
    with pytest.raises(ValueError, match="unknown layer 'dens'. Did you mean 'dense'"):
        model.get_layer("dens")
    for arguments in ({}, {"name": "dense", "index": 0}, {"index": 2}):
        with pytest.raises(ValueError, match="layer"):
            model.get_layer(**arguments)


def test_dtypes():
    assert network().predict(X).dtype == np.float32
    assert network(dtype=np.float64).predict(X).dtype == np.float64
    with pytest.raises(ValueError, match="unknown dtype 'float23'. Did you mean 'float32'"):
        network(dtype="float23")


def test_threads_of_a_model():
    model = network(threads=2)
    model.compile("sgd", "binary_crossentropy")
    model.fit(X, BINARY, verbose=0)
    with pytest.raises(ValueError, match="threads must be a positive whole number"):
        network(threads=0).predict(X)


def test_common_names_come_straight_from_the_package():
    model = fastnn.Sequential([fastnn.Dense(1, input_dim=6), fastnn.Dropout(0.1)])
    model.compile(fastnn.SGD(0.1), "mse")
    assert isinstance(model.fit(X, BINARY, verbose=0, callbacks=[fastnn.Callback()]), fastnn.History)


@pytest.mark.parametrize("loss", [losses.CategoricalCrossentropy, losses.BinaryCrossentropy])
def test_metrics_on_logits(loss):
    x, y = np.random.default_rng(0).random((8, 3)), np.eye(4)[np.arange(8) % 4]
    metric = getattr(metrics, loss.__name__)(from_logits=True)
    model = Sequential([Dense(4, input_dim=3)])
    model.compile("adam", loss(from_logits=True), metrics=[metric])
    value, same = model.evaluate(x, y, verbose=0)
    assert same == pytest.approx(value, rel=1e-5)
    model.compile("adam", "mse", metrics=[metric])
    assert model.evaluate(x, y, verbose=0)[1] == pytest.approx(value, rel=1e-5)
