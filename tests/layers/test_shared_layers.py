"""A layer belongs to one model: where it comes in a second time it is refused, with a way out."""

import copy
import pickle

import numpy as np
import pytest

import fastnn
from fastnn import BatchNormalization, Dense, Dropout, Flatten, Input, Normalization, Sequential
from fastnn.models import load_model

X, Y = np.linspace(0, 1, 24, dtype=np.float32).reshape(8, 3), np.arange(8.0) % 2


def network():
    fastnn.set_random_seed(0)
    model = Sequential([Input((3,)), Dense(4, "relu"), Dense(2, name="top")])
    model.compile("sgd", "mse")
    model.fit(X, X[:, :2], verbose=0)
    return model


WAYS = {
    "list": lambda layer: Sequential([layer]),
    "one": lambda layer: Sequential(layer),
    "generator": lambda layer: Sequential(each for each in (Input((3,)), layer)),
    "add": lambda layer: Sequential([Input((3,))]).add(layer),
    "last": lambda layer: Sequential([Dense(3, input_shape=(3,)), layer]),
    "config": lambda layer: Sequential.from_config({"name": "a", "dtype": "float32", "layers": [layer]}),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_layer_of_another_model_is_refused(way):
    model = network()
    before = model.predict(X)
    with pytest.raises(ValueError, match=r"'dense' belongs to another model, .* layer.copy\(\).*set_weights.*pop\(\)"):
        WAYS[way](model.layers[0])
    np.testing.assert_array_equal(model.predict(X), before)
    model.fit(X, X[:, :2], verbose=0)
    assert not np.array_equal(model.predict(X), before)


@pytest.mark.parametrize("layer", [Dense(3), Dropout(0.5), Flatten(), BatchNormalization(), Normalization()])
def test_a_layer_twice_in_one_model_is_refused(layer):
    with pytest.raises(ValueError, match="stands in this model already"):
        Sequential([Input((3,)), layer, layer])
    model = Sequential([Input((3,)), layer])  # the model that was not made has let it go
    with pytest.raises(ValueError, match="stands in this model already"):
        model.add(layer)
    assert model.layers == [layer]
    model.add(Dense(2))
    assert model.predict(X).shape == (8, 2)


@pytest.mark.parametrize("make", [lambda m: copy.deepcopy(m), lambda m: pickle.loads(pickle.dumps(m)), None])
def test_layers_of_loaded_and_copied_models_too(make, tmp_path):
    model = network()
    model.save(tmp_path / "model")
    other = load_model(tmp_path / "model") if make is None else make(model)
    with pytest.raises(ValueError, match="belongs to another model"):
        Sequential(other.layers)


def test_a_model_within_a_model():
    model = network()
    for make in (lambda: Sequential([model]), lambda: Sequential(model), lambda: Sequential([Dense(3)]).add(model)):
        with pytest.raises(TypeError, match=r"Sequential\(\[layer.copy\(\) for layer in sequential.layers\]\)"):
            make()


@pytest.mark.parametrize(
    "duplicate", [Dense.copy, copy.copy, copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))]
)
def test_copies_have_the_weights_and_are_trained_by_themselves(duplicate):
    model = network()
    before = model.predict(X)
    twin = Sequential([duplicate(layer) for layer in model.layers])
    np.testing.assert_array_equal(twin.predict(X), before)
    features = Sequential([duplicate(layer) for layer in model.layers[:-1]])
    kernel, bias = model.layers[1].get_weights()
    np.testing.assert_allclose(features.predict(X) @ kernel + bias, before, rtol=1e-5, atol=1e-6)
    twin.set_weights([np.zeros_like(weight) for weight in twin.get_weights()])
    np.testing.assert_array_equal(model.predict(X), before)


def test_an_encoder_takes_the_weights_after_the_training():
    fastnn.set_random_seed(0)
    autoencoder = Sequential([Input((3,)), Dense(2, "tanh"), Dense(3)])
    autoencoder.compile("adam", "mse")
    encoder = Sequential([Input((3,)), Dense(2, "tanh")])
    autoencoder.fit(X, X, epochs=3, verbose=0)
    encoder.layers[0].set_weights(autoencoder.layers[0].get_weights())
    hidden = encoder.predict(X)
    kernel, bias = autoencoder.layers[1].get_weights()
    np.testing.assert_allclose(hidden @ kernel + bias, autoencoder.predict(X), rtol=1e-5, atol=1e-6)


def test_layers_that_were_popped_are_free():
    model = network()
    expected = model.predict(X)
    top = model.pop()
    other = Sequential([layer.copy() for layer in model.layers])
    other.add(top)
    np.testing.assert_array_equal(other.predict(X), expected)
    with pytest.raises(ValueError, match="'top' belongs to another model"):
        model.add(top)
    model.add(Dense(1))
    assert model.predict(X).shape == (8, 1)
    other.pop()
    other.add(top)
    np.testing.assert_array_equal(other.predict(X), expected)


def test_a_popped_layer_keeps_its_weights_or_is_refused():
    model = network()
    top = model.pop()
    with pytest.raises(
        ValueError, match=r"'top' has weights for inputs of shape \(None, 4\), and would get \(None, 3\)"
    ):
        Sequential([Input((3,)), top])
    alone = Sequential([top])
    assert alone.input_shape == (None, 4)
    alone.pop()
    later = Sequential([Dense(4), top])  # whose shapes are not known yet
    assert not later.built
    kernel = top.kernel
    later.build((None, 7))
    np.testing.assert_array_equal(later.layers[1].kernel, kernel)
    adapted = Normalization()
    adapted.adapt(X)
    with pytest.raises(ValueError, match="has weights for inputs of shape"):
        Sequential([Input((5,)), adapted])


@pytest.mark.parametrize("bad", [Input((3,)), "dense", Dense(2, name="a"), Dense(2, input_shape=(5,)), 7])
def test_a_model_that_cannot_be_made_leaves_the_layers_as_they_were(bad):
    first, second = Dense(4), Dense(5, name="a")
    before = dict(vars(first)), dict(vars(second))
    flat = [Flatten()] if isinstance(bad, Dense) and bad.declared_shape else []
    if flat:
        bad = Dense(2, name="a")
    with pytest.raises((TypeError, ValueError)):
        Sequential([Input((3,)), first, second, *flat, bad])
    assert (vars(first), vars(second)) == before
    assert Sequential([Input((2,)), first, second]).predict(X[:, :2]).shape == (8, 5)


def test_an_input_may_say_its_shape_to_several_models():
    given = Input((3,))
    first, second = Sequential([given, Dense(2)]), Sequential([given, Dense(4)])
    assert (first.predict(X).shape, second.predict(X).shape) == ((8, 2), (8, 4))


def test_a_layer_cannot_come_in_or_go_in_a_fit():
    model, layer, said = network(), Dense(3), []

    def change(epoch, logs):
        for do in (lambda: model.add(layer), model.pop):
            with pytest.raises(RuntimeError, match="within a fit") as caught:
                do()
            said.append(caught)

    model.fit(X, X[:, :2], verbose=0, callbacks=[fastnn.LambdaCallback(on_epoch_end=change)])
    assert len(said) == 2
    assert Sequential([Input((9,)), layer]).output_shape == (None, 3)
