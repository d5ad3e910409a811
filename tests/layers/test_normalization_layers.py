"""Layers of normalization as users of Keras see them: weights, files, adaptation, errors."""

import copy
import pickle

import numpy as np
import pytest
from harness import Problem, assert_same_bits

from fastnn import models
from fastnn.layers import (
    Activation,
    BatchNormalization,
    Dense,
    Dropout,
    Flatten,
    Input,
    LayerNormalization,
    Normalization,
    get,
)
from fastnn.models import Sequential
from fastnn.optimizers import SGD
from fastnn.utils import set_random_seed


@pytest.mark.parametrize("axis", [-1, 3, [3]])
@pytest.mark.parametrize("kind", [BatchNormalization, LayerNormalization])
def test_channels_of_pictures(kind, axis):
    layer = kind(axis)
    layer.build((None, 8, 9, 5))
    assert layer.output_shape == (None, 8, 9, 5)
    assert set(layer.weight_shapes.values()) == {(5,)}
    assert kind.from_config(layer.get_config()).axis == layer.axis == (3 if axis == [3] else axis)


def trained(dtype="float32"):
    set_random_seed(1)
    model = Sequential(
        [
            Input((2, 3)),
            Flatten(),
            BatchNormalization(momentum=0.8),
            Dense(19, use_bias=False),
            BatchNormalization(scale=False, name="norm"),
            Activation("relu"),
            Dropout(0.2),
            LayerNormalization(epsilon=1e-5),
            Dense(3, "softmax"),
        ],
        dtype=dtype,
    )
    model.compile("adam", "sparse_categorical_crossentropy", ["accuracy"])
    model.fit(X, Y, epochs=3, batch_size=8, verbose=0)
    return model


X = np.random.default_rng(0).normal(size=(30, 2, 3))
Y = np.arange(30) % 3


def test_names_order_and_counts_of_weights():
    model = trained()
    assert list(model.weight_shapes()) == [
        "batch_normalization/gamma", "batch_normalization/beta",
        "batch_normalization/moving_mean", "batch_normalization/moving_variance",
        "dense/kernel", "norm/beta", "norm/moving_mean", "norm/moving_variance",
        "layer_normalization/gamma", "layer_normalization/beta", "dense_1/kernel", "dense_1/bias",
    ]  # fmt: skip
    assert [w.shape for w in model.get_weights()] == list(model.weight_shapes().values())
    trainable, others = model.trainable_weights, model.non_trainable_weights
    assert (len(trainable), len(others)) == (8, 4)
    assert model.layers[3].gamma is None
    lines = []
    model.summary(print_fn=lines.append)
    held = 2 * 6 + 2 * 19
    learned = 2 * 6 + 6 * 19 + 19 + 2 * 19 + 19 * 3 + 3
    assert f"Total params: {3 * learned + held + 2} " in lines[0]
    assert f"Trainable params: {learned} " in lines[0]
    assert f"Non-trainable params: {held} " in lines[0]
    assert f"Optimizer params: {2 * learned + 2} " in lines[0]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_copies_and_files(tmp_path, dtype):
    model = trained(dtype)
    assert not np.array_equal(model.layers[1].moving_mean, np.zeros(6))
    model.save(tmp_path / "model")
    for again in (models.load_model(tmp_path / "model"), pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):
        assert again.get_config() == model.get_config()
        assert_same_bits(again.get_weights(), model.get_weights())
        assert_same_bits(again.predict(X), model.predict(X))
        assert again.evaluate(X, Y, verbose=0) == model.evaluate(X, Y, verbose=0)
        again.fit(X, Y, verbose=0)
    part = Sequential([layer.copy() for layer in model.layers[:-1]])
    for given, expected in zip(part.layers[1].get_weights(), model.layers[1].get_weights(), strict=True):
        np.testing.assert_array_equal(given, expected.astype(np.float32))


def test_setting_weights_of_a_layer_in_use():
    model = Sequential([Input((2,)), BatchNormalization(), LayerNormalization(center=False), Dense(1)])
    model.predict(np.zeros((1, 2)))
    weights = [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0], [7.0, 8.0]]
    model.layers[0].set_weights(weights)
    np.testing.assert_array_equal(model.layers[0].get_weights(), weights)
    np.testing.assert_array_equal(model.layers[1].get_weights(), [[1.0, 1.0]])
    with pytest.raises(ValueError, match=r"expected 1 weight arrays \(layer_normalization/gamma \(2,\)\); got 2"):
        model.layers[1].set_weights([[1.0, 1.0], [1.0, 1.0]])


def test_state_of_the_optimizer():
    engine, *_ = Problem([Dense(5), BatchNormalization(scale=False), Dense(2)], 3, "mean_squared_error").train()
    state = engine.get_state()
    assert [[m.shape for m in moments] for moments in state["moments"]] == [[(3, 5), (5,), (5,), (5, 2), (2,)]] * 2
    assert all(np.any(m) for m in state["moments"][1])
    before = engine.slots.copy()
    engine.slots[:] = 0.0
    engine.set_state(state)
    assert_same_bits(engine.slots, before)


@pytest.mark.parametrize(
    "layer",
    [
        BatchNormalization(1, 0.5, 0.1, False, beta_initializer="ones", name="x"),
        LayerNormalization(scale=False),
        Normalization(mean=[1.0, 2.0], variance=3.0),
    ],
)
def test_configuration_makes_an_equal_layer(layer):
    again = get({"class_name": type(layer).__name__, "config": layer.get_config()})
    assert type(again) is type(layer)
    assert again.get_config() == layer.get_config()


def test_defaults_are_keras():
    config = BatchNormalization().get_config()
    assert (config["momentum"], config["epsilon"], config["center"], config["scale"]) == (0.99, 1e-3, True, True)
    assert LayerNormalization().epsilon == 1e-3


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: BatchNormalization(momentum=1.0), "momentum must be >= 0 and < 1"),
        (lambda: BatchNormalization(epsilon=0.0), "epsilon must be > 0 and finite"),
        (lambda: LayerNormalization(axis=2, input_shape=(3,)).build((None, 3)), "axis of .* must be -1 or 1, the last"),
        (lambda: LayerNormalization(axis=[1, 2]), r"axis must be an integer >= -1; got \[1, 2\]"),
        (lambda: BatchNormalization(axis=1).build((None, 3, 8, 8)), r"must be -1 or 3.*transpose\(0, 2, 3, 1\)"),
        (
            lambda: Sequential([Input((4, 3)), BatchNormalization(), Flatten(), Dense(1)]).predict(np.ones((1, 4, 3))),
            r"normalizes channels of inputs of shape \(None, 4, 3\).*put a Flatten\(\) layer before",
        ),
        (lambda: Sequential([Input((4, 3)), Normalization()]), r"takes flat rows.*put a Flatten\(\) layer before"),
        (lambda: Normalization(mean=1.0), "give both mean and variance"),
        (lambda: Normalization(mean=0.0, variance=-1.0), "variance must be one finite number >= 0"),
        (lambda: Normalization(mean=[0.0, np.nan], variance=1.0), "mean must be one finite number"),
        (lambda: Normalization(mean=[1.0, 2.0], variance=1.0, input_shape=(3,)).build((None, 3)), r"shape \(2,\)"),
        (lambda: Normalization().adapt([[np.nan]]), "adapt takes finite numbers of shape"),
        (lambda: Normalization().adapt([1.0, 2.0]), "adapt takes finite numbers of shape"),
        (
            lambda: Sequential([Input((3,)), Dense(2), Normalization()]).predict(np.ones((1, 3))),
            "scales inputs: it must stand before all layers that compute",
        ),
    ],
)
def test_wrong_arguments(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_network_of_a_normalization_alone_learns_scale_and_shift():
    rng = np.random.default_rng(3)
    x = rng.normal(5.0, 3.0, (200, 4))
    model = Sequential([Input((4,)), BatchNormalization(momentum=0.9)], dtype="float64")
    model.compile(SGD(0.5), "mse")
    model.fit(x, 2.0 * x + 1.0, epochs=100, batch_size=200, verbose=0)
    np.testing.assert_allclose(model.predict(x), 2.0 * x + 1.0, atol=1e-3)


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_adapted_inputs_are_standardized(tmp_path, precision):
    rng = np.random.default_rng(4)
    x, y = rng.normal([1000.0, -3.0, 0.1], [2.0, 1e-3, 50.0], (70, 3)), rng.normal(size=70)
    layer = Normalization()
    layer.adapt(x)
    model = Sequential([layer, Dense(20, "tanh"), Dense(1)], dtype=precision)
    model.compile(SGD(0.05), "mse")
    plain = Sequential([Input((3,)), Dense(20, "tanh"), Dense(1)], dtype=precision)
    plain.set_weights(model.get_weights()[2:])
    plain.compile(SGD(0.05), "mse")
    given = x.astype(precision).astype(np.float64)
    mean, variance = (weight.astype(np.float64) for weight in layer.get_weights())
    np.testing.assert_allclose([mean, variance], [x.mean(axis=0), x.var(axis=0)], rtol=1e-6)
    standard = (given - mean) / np.sqrt(variance)
    close = {"rtol": 1e-4 if precision == "float32" else 1e-10, "atol": 1e-4 if precision == "float32" else 1e-12}
    np.testing.assert_allclose(model.predict(x), plain.predict(standard), **close)
    losses = [
        each.fit(data, y, epochs=5, shuffle=False, batch_size=16, verbose=0).history["loss"]
        for each, data in ((model, x), (plain, standard))
    ]
    np.testing.assert_allclose(losses[0], losses[1], **close)
    assert (len(model.trainable_weights), len(model.non_trainable_weights)) == (4, 2)
    assert_same_bits([w.astype(np.float64) for w in model.get_weights()[:2]], [mean, variance])
    model.save(tmp_path / "model")
    assert_same_bits(models.load_model(tmp_path / "model").predict(x), model.predict(x))


def test_adapting_a_model_in_use():
    model = Sequential([Input((2,)), Normalization(), Normalization(mean=[1.0, 0.0], variance=4.0), Dense(1)])
    model.layers[2].set_weights([[[1.0], [1.0]], [0.0]])
    np.testing.assert_allclose(model.predict([[3.0, 6.0]]), [[1.0 + 3.0]])
    model.layers[0].adapt([[1.0, 2.0], [5.0, 10.0]])
    np.testing.assert_allclose(model.predict([[5.0, 10.0]]), [[(1.0 - 1.0) / 2.0 + 1.0 / 2.0]], rtol=1e-6)
    model.layers[0].adapt([[7.0, 7.0], [7.0, 7.0]])  # Keras' least deviation
    np.testing.assert_allclose(model.predict([[7.0, 7.0]]), [[-0.5]], rtol=1e-6)
    with pytest.raises(ValueError, match=r"normalization/mean has the shape \(2,\)"):
        model.layers[0].adapt([[1.0, 2.0, 3.0]])
