"""Bytes as inputs, and the Rescaling layer that scales inputs on their way into the kernels."""

import numpy as np
import pytest

from fastnn import Dense, Flatten, Input, Rescaling, Sequential, load_model
from fastnn.utils import set_random_seed


def network(*front):
    model = Sequential([Input((5, 7)), *front, Flatten(), Dense(9, "tanh"), Dense(3, "softmax")])
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def fitted(x, y, *front):
    set_random_seed(7)
    model = network(*front)
    return model, model.fit(x, y, batch_size=10, epochs=3, verbose=0).history


@pytest.fixture
def pixels(rng):
    return rng.integers(0, 256, (83, 5, 7), dtype=np.uint8), rng.integers(0, 3, 83)


def test_bytes_give_the_bits_of_floats(pixels):
    x, y = pixels
    from_bytes, history = fitted(x, y, Rescaling(1 / 255, -0.5))
    from_floats, expected = fitted(x.astype(np.float32), y, Rescaling(1 / 255, -0.5))
    assert history == expected
    for first, second in zip(from_bytes.get_weights(), from_floats.get_weights(), strict=True):
        np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(from_bytes.predict(x), from_floats.predict(x.astype(np.float32)))
    assert from_bytes.evaluate(x, y, verbose=0) == from_floats.evaluate(x.astype(np.float32), y, verbose=0)


@pytest.mark.parametrize("kind", ["uint8", "float32", "float64", "int16"])
def test_rescaling_is_scaling_beforehand(pixels, kind):
    x, y = pixels
    beforehand = (x.astype(np.float64) * 0.04 - 1.0).astype(np.float32)
    scaled, history = fitted(x.astype(kind), y, Rescaling(0.02), Rescaling(2.0, -1.0))
    given, expected = fitted(beforehand, y)
    np.testing.assert_allclose(history["loss"], expected["loss"], rtol=1e-5)
    np.testing.assert_allclose(scaled.predict(x.astype(kind)), given.predict(beforehand), rtol=1e-3, atol=1e-6)


def test_rescaling_is_saved(pixels, tmp_path):
    x, _ = pixels
    model = network(Rescaling(1 / 255, 0.25))
    model.save(tmp_path / "model.safetensors")
    np.testing.assert_array_equal(load_model(tmp_path / "model.safetensors").predict(x), model.predict(x))


def test_rescaling_after_a_dense_layer_is_refused():
    with pytest.raises(ValueError, match=r"'rescaling' rescales inputs: it must stand before"):
        Sequential([Input((4,)), Dense(3), Rescaling(0.5), Dense(1)]).predict(np.ones((1, 4)))


@pytest.mark.parametrize("scale", [float("nan"), float("inf"), "big", None])
def test_scale_must_be_a_finite_number(scale):
    with pytest.raises((TypeError, ValueError), match="scale must be"):
        Rescaling(scale)
