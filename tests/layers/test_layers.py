"""Layers: shapes, names, arguments, weights and their configuration."""

import warnings

import numpy as np
import pytest

from fastnn import layers
from fastnn.common import identifiers
from fastnn.models import Sequential
from fastnn.utils import set_random_seed


def test_names_are_numbered_within_a_model():
    model = Sequential([layers.Dense(2), layers.Dropout(0.5), layers.Dense(3), layers.Dense(1)])
    assert [layer.name for layer in model.layers] == ["dense", "dropout", "dense_1", "dense_2"]
    assert Sequential([layers.Dense(2)]).layers[0].name == "dense"


def test_a_name_given_twice():
    with pytest.raises(ValueError, match="'hidden' is taken"):
        Sequential([layers.Dense(2, name="hidden"), layers.Dense(2, name="hidden")])


@pytest.mark.parametrize("name", ["", "a/b", 3])
def test_names_that_files_could_not_hold(name):
    with pytest.raises(ValueError, match="name must be"):
        layers.Dense(2, name=name)


@pytest.mark.parametrize(
    "first",
    [
        [layers.Input((8,))],
        [layers.Input(shape=[8])],
        [layers.Dense(4, input_dim=8)],
        [layers.Dense(4, input_shape=(8,))],
        [layers.Activation("relu", input_shape=(8,))],
    ],
)
def test_ways_to_say_the_shape_of_the_input(first):
    model = Sequential([*first, layers.Dense(1)])
    assert model.built
    assert model.input_shape == (None, 8)
    assert model.output_shape == (None, 1)


def test_input_is_no_layer_of_the_model_and_stands_first():
    model = Sequential([layers.Input((8,)), layers.Dense(1)])
    assert [type(layer) for layer in model.layers] == [layers.Dense]
    with pytest.raises(ValueError, match="Input stands first"):
        model.add(layers.Input((8,)))


def test_shapes_through_a_model():
    model = Sequential([layers.Input((4, 3)), layers.Dropout(0.1), layers.Flatten(), layers.Dense(5)])
    assert [layer.output_shape for layer in model.layers] == [(None, 4, 3), (None, 12), (None, 5)]
    assert model.layers[-1].kernel.shape == (12, 5)


def test_dense_wants_flat_rows():
    with pytest.raises(ValueError, match=r"'dense' takes flat rows.*\(None, 4, 3\).*Flatten"):
        Sequential([layers.Input((4, 3)), layers.Dense(5)])


def test_softmax_wants_flat_rows():
    with pytest.raises(ValueError, match="softmax takes flat rows"):
        Sequential([layers.Input((4, 3)), layers.Activation("softmax")])


def test_a_layer_that_does_not_fit_leaves_the_model_as_it_was():
    model = Sequential([layers.Input((4, 3))])
    with pytest.raises(ValueError, match="flat rows"):
        model.add(layers.Dense(5))
    model.add(layers.Flatten())
    model.add(layers.Dense(5))
    assert model.output_shape == (None, 5)


@pytest.mark.parametrize("units", [0, -1, 2.5, "3", None, True])
def test_wrong_units(units):
    with pytest.raises(ValueError, match="units must be an integer >= 1"):
        layers.Dense(units)


@pytest.mark.parametrize("rate", [-0.1, 1.0, float("nan")])
def test_wrong_rates(rate):
    with pytest.raises(ValueError, match="rate must be >= 0 and < 1"):
        layers.Dropout(rate)


@pytest.mark.parametrize("shape", [(0,), (None,), (2.5,), ("8",)])
def test_wrong_input_shapes(shape):
    with pytest.raises(ValueError, match="every size of an input shape must be an integer >= 1"):
        layers.Input(shape)


def test_unknown_argument():
    with pytest.raises(TypeError, match="W_regularizer"):
        layers.Dense(3, W_regularizer="l2")


def test_old_spellings_warn_once(monkeypatch):
    monkeypatch.setattr(identifiers, "_warned", set())
    with pytest.warns(FutureWarning) as caught:
        layer = layers.Dense(output_dim=3, init="uniform", bias=False)
    assert (layer.units, layer.use_bias) == (3, False)
    assert type(layer.kernel_initializer).__name__ == "RandomUniform"
    assert [str(warning.message).split("'")[1] for warning in caught] == ["output_dim", "init", "bias"]
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        layers.Dense(output_dim=3, init="uniform", bias=False)


@pytest.mark.parametrize(
    "layer",
    [
        layers.Input((2, 3)),
        layers.Dense(4, "elu", False, "he_normal", kernel_regularizer="l2", name="x"),
        layers.Activation({"class_name": "leaky_relu", "config": {"alpha": 0.3}}),
        layers.Dropout(0.25, seed=1),
        layers.Flatten(),
        layers.Rescaling(1 / 255, offset=-0.5),
    ],
)
def test_configuration_makes_an_equal_layer(layer):
    again = layers.get(identifiers.serialize(layer))
    assert type(again) is type(layer)
    assert again.get_config() == layer.get_config()
    assert type(layer).from_config(layer.get_config()).get_config() == layer.get_config()


@pytest.mark.parametrize("odd", [layers.Dense, "dense", None, 3])
def test_what_is_no_layer(odd):
    with pytest.raises(TypeError, match=r"expected a layer such as Dense\(16\); got"):
        Sequential([odd])


def test_weights_of_layers():
    model = Sequential([layers.Input((3,)), layers.Dense(2), layers.Dense(1, use_bias=False)])
    dense, last = model.layers
    assert [weight.shape for weight in model.get_weights()] == [(3, 2), (2,), (2, 1)]
    assert (dense.count_params(), last.count_params(), model.count_params()) == (8, 2, 10)
    assert last.bias is None
    dense.set_weights([np.arange(6).reshape(3, 2), [7, 8]])
    np.testing.assert_array_equal(model.get_weights()[1], [7, 8])
    dense.kernel[:] = 0  # a copy
    np.testing.assert_array_equal(dense.kernel, [[0, 1], [2, 3], [4, 5]])
    assert dense.kernel.dtype == np.float32


def test_weights_of_layers_while_an_engine_holds_them():
    model = Sequential([layers.Input((3,)), layers.Dense(2), layers.Dense(1)])
    model.predict(np.zeros((1, 3)))
    model.layers[1].set_weights([[[1], [2]], [3]])
    np.testing.assert_array_equal(model.get_weights()[2], [[1], [2]])
    np.testing.assert_array_equal(model.layers[1].bias, [3])
    model.layers[0].set_weights([np.zeros((3, 2)), [1, 1]])
    np.testing.assert_array_equal(model.predict(np.ones((1, 3))), [[6]])


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([np.zeros((3, 2))], r"expected 2 weight arrays \(dense/kernel \(3, 2\), dense/bias \(2,\)\); got 1"),
        ([np.zeros((2, 3)), np.zeros(2)], r"dense/kernel has the shape \(3, 2\); got an array of shape \(2, 3\)"),
    ],
)
def test_wrong_weights(weights, message):
    model = Sequential([layers.Input((3,)), layers.Dense(2)])
    before = model.get_weights()
    for target in (model, model.layers[0]):
        with pytest.raises(ValueError, match=message):
            target.set_weights(weights)
    np.testing.assert_array_equal(model.get_weights()[0], before[0])


def test_weights_that_do_not_exist_yet():
    layer = layers.Dense(2)
    assert layer.get_weights() == []
    with pytest.raises(AttributeError, match="no kernel yet"):
        _ = layer.kernel
    with pytest.raises(AttributeError, match="no output_shape yet"):
        _ = layer.output_shape


def test_initial_weights_follow_the_seed():
    def weights():
        set_random_seed(7)
        return Sequential([layers.Input((3,)), layers.Dense(4), layers.Dense(2)]).get_weights()

    for first, second in zip(weights(), weights(), strict=True):
        np.testing.assert_array_equal(first, second)


def test_adding_and_taking_off_layers_keeps_trained_weights():
    model = Sequential([layers.Input((3,)), layers.Dense(4), layers.Dense(2)])
    model.predict(np.zeros((1, 3)))
    kernel = model.layers[0].kernel
    top = model.pop()
    assert model.output_shape == (None, 4)
    model.add(layers.Dense(5))
    assert model.predict(np.zeros((1, 3))).shape == (1, 5)
    np.testing.assert_array_equal(model.layers[0].kernel, kernel)
    assert not top.in_model
    for _ in range(2):
        model.pop()
    with pytest.raises(ValueError, match="no layers"):
        model.pop()
