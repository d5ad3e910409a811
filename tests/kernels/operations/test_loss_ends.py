"""Losses where outputs lie at the ends of what they are made for and beyond: finite, with finite gradients, as Keras'.

A gradient that is infinite would make NaN of all weights as soon as it meets a derivative that is 0.
"""

import itertools

import numpy as np
import pytest
from fastnn.kernels import codes, reference
from fastnn.kernels.codes import LOSSES
from harness import tolerance
from test_loss_kernels import loss_of, options_of

from fastnn import losses, optimizers
from fastnn.layers import Dense
from fastnn.models import Sequential

ENDS = (0.0, 1.0, 0.5, -0.5, 1.5, 30.0)
FURTHER = (*ENDS, 1e-7, 1.0 - 1e-7, 1e-30, -1e-30, 3e-28, -1e4, 1e15)
OF_OUTPUTS = [name for name in LOSSES if not name.endswith("from_logits")]


def targets_of(name, columns, rows):
    """Targets at the ends of their range, and some within, for so many rows."""
    if name.startswith("sparse"):
        return np.arange(rows)[:, None] % columns
    ends = [0.0, 1.0, 4.0] if name.startswith("poisson") else [0.0, 1.0, 0.3] if "entropy" in name else [-1e4, 0.0, 1e4]
    if name.startswith("categorical"):
        return np.eye(columns)[np.arange(rows) % columns]
    return np.array([[ends[(r + j) % 3] for j in range(columns)] for r in range(rows)])


def rows_of(ends, columns):
    """Each combination of the ends, three times, as there are three targets."""
    return np.repeat(list(itertools.product(ends, repeat=columns)), 3, axis=0)


@pytest.mark.parametrize("columns", [1, 2])
@pytest.mark.parametrize("name", LOSSES)
def test_losses_and_gradients_at_the_ends(dtype, name, columns):
    output = rows_of(ENDS, columns).astype(dtype)
    target = targets_of(name, columns, len(output)).astype(dtype)
    values, gradients, _ = loss_of(dtype, name, target, output, **options_of(name))
    close = tolerance(dtype, 0.02, 1e-9)  # in float32 1 - 1e-7 is 1 - 1.2e-7
    np.testing.assert_allclose(values, reference.loss(name, target, output, **options_of(name)), close, 1e-6)
    expected = reference.loss_gradient(name, target, output, **options_of(name))
    np.testing.assert_allclose(gradients, expected, close, 1e-6)


@pytest.mark.parametrize("columns", [1, 2, 3])
@pytest.mark.parametrize("name", LOSSES)
def test_losses_and_gradients_are_finite(dtype, name, columns):
    if columns == 3 and "categorical" not in name:
        return
    ends = [end for end in FURTHER if abs(end) < 80 or "poisson" not in name or name in OF_OUTPUTS]
    output = rows_of(ends, columns).astype(dtype)
    target = targets_of(name, columns, len(output)).astype(dtype)
    values, gradients, _ = loss_of(dtype, name, target, output, **options_of(name))
    assert np.isfinite(values).all()
    assert np.isfinite(gradients).all()
    assert np.isfinite(reference.loss(name, target, output, **options_of(name))).all()
    assert np.isfinite(reference.loss_gradient(name, target, output, **options_of(name))).all()


EPSILON = 1e-7  # keras.config.epsilon()


def keras_binary(t, p):
    p = np.clip(p, EPSILON, 1.0 - EPSILON)
    return -(t * np.log(p) + (1.0 - t) * np.log(1.0 - p))


def keras_shares(y):
    return np.clip(y / y.sum(axis=-1, keepdims=True), EPSILON, 1.0 - EPSILON)


KERAS = {  # as Keras 3.15 defines them, of a row
    "poisson": lambda t, y: np.mean(y - t * np.log(y + EPSILON), axis=-1),
    "binary_crossentropy": lambda t, y: np.mean(keras_binary(t, y), axis=-1),
    "binary_focal_crossentropy": lambda t, y: np.mean(
        (1.0 - (t * y + (1.0 - t) * (1.0 - y))) ** 2.0 * keras_binary(t, y), axis=-1
    ),
    "categorical_crossentropy": lambda t, y: -np.sum(t * np.log(keras_shares(y)), axis=-1),
    "categorical_focal_crossentropy": lambda t, y: np.sum(
        0.25 * (1.0 - keras_shares(y)) ** 2.0 * -t * np.log(keras_shares(y)), axis=-1
    ),
    "log_cosh": lambda t, y: np.mean(y - t + np.logaddexp(0.0, -2.0 * (y - t)) - np.log(2.0), axis=-1),
}


@pytest.mark.parametrize("name", KERAS)
def test_losses_at_the_ends_are_those_of_keras(dtype, name):
    ends = [end for end in ENDS if end >= 0.0 or name != "poisson"]  # of such a rate Keras' loss is NaN
    output = rows_of(ends, 2)
    target = targets_of(name, 2, len(output))
    if name.startswith("categorical"):  # of a row without a sum Keras' loss is NaN
        there = output.sum(axis=1) != 0.0
        output, target = output[there], target[there]
    output, target = output.astype(dtype), target.astype(dtype)
    values, _, _ = loss_of(dtype, name, target, output)
    np.testing.assert_allclose(values, KERAS[name](target, output), tolerance(dtype, 1e-5, 1e-12), 1e-7)


def test_what_has_no_loss_in_keras_has_a_large_one(dtype):
    """A row of zeros has no shares; a rate below 0 costs the more the lower it is, so that training can end it."""
    zeros = np.zeros((1, 3))
    for name, target in (("categorical_crossentropy", [[0.0, 1.0, 0.0]]), ("sparse_categorical_crossentropy", [[1.0]])):
        values, gradients, _ = loss_of(dtype, name, np.array(target), zeros)
        assert values == pytest.approx(-np.log(EPSILON), rel=1e-6)
        assert not gradients.any()
    rates, target = np.array([[0.0], [-1.0], [-2.0]]), np.full((3, 1), 2.0)
    values, gradients, _ = loss_of(dtype, "poisson", target, rates)
    np.testing.assert_allclose(values, [-2.0 * np.log(EPSILON), 2e7, 4e7], rtol=1e-5)
    np.testing.assert_allclose(gradients, [[-2e7]] * 3, rtol=1e-6)


def test_deviance_of_perfect_rates_is_zero(dtype):
    rates = np.array([[0.0], [1e-3], [1.0], [3.0], [1e4]], dtype)
    values, _, _ = loss_of(dtype, "poisson_deviance", rates, rates)
    assert not values.any()


@pytest.mark.parametrize("name", LOSSES)
def test_gradients_of_the_oracle_are_differences(name):
    """At outputs within and beyond the ends, where the loss has no kink."""
    columns = 2 if "categorical" in name else 1
    output = rows_of((-0.6, 0.3, 0.8, 1.7), columns)
    target, step, options = targets_of(name, columns, len(output)).clip(-2.0, 2.0), 1e-6, options_of(name)
    differences = np.empty_like(output)
    for j in range(columns):
        shift = step * np.eye(columns)[j]
        up, down = (reference.loss(name, target, output + sign * shift, **options) for sign in (1.0, -1.0))
        differences[:, j] = (up - down) / (2.0 * step)
    gradients = reference.loss_gradient(name, target, output, **options)
    np.testing.assert_allclose(gradients, differences, rtol=1e-5, atol=1e-6)


# --- in networks --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("outputs", [1, 3])
@pytest.mark.parametrize("name", OF_OUTPUTS)
def test_every_loss_behind_every_last_activation(name, outputs):
    """Outputs far out on both sides, and zero: the weights stay finite."""
    if outputs == 1 and "categorical" in name:
        return
    for function in codes.ACTIVATIONS:
        if function == "step" or (outputs == 1 and function == "softmax"):
            continue
        far = 9.0 if function == "exponential" else 40.0
        x = np.array([[0.0], [-1.0], [1.0], [-far], [far], [-1e-30], [1e-30]])
        y = targets_of(name, outputs, len(x)).clip(-9.0, 9.0)
        model = Sequential([Dense(outputs, function, input_dim=1, kernel_initializer="ones", use_bias=False)])
        model.compile(optimizers.SGD(1e-9), name)
        history = model.fit(x, y, epochs=2, batch_size=len(x), verbose=0).history
        assert np.isfinite(history["loss"]).all(), function
        assert np.isfinite(model.get_weights()[0]).all(), function


@pytest.mark.parametrize("loss", ["poisson", "poisson_deviance"])
def test_a_rate_of_zero_leaves_the_weights(loss):
    model = Sequential([Dense(1, "relu", input_dim=1, kernel_initializer="ones")])
    model.compile(optimizers.SGD(0.01), loss)
    model.fit([[-1.0], [2.0]], [[1.0], [1.0]], verbose=0)
    kernel, bias = model.get_weights()
    np.testing.assert_allclose([kernel[0, 0], bias[0]], [1.0 - 0.01 * 0.5, -0.01 * 0.25], rtol=1e-5)


@pytest.mark.parametrize("loss", ["categorical_crossentropy", "sparse_categorical_focal_crossentropy"])
def test_a_row_of_zeros_leaves_the_weights(loss):
    model = Sequential([Dense(3, "relu", input_dim=1, kernel_initializer="ones", use_bias=False)])
    model.compile(optimizers.SGD(0.01), losses.get(loss))
    y = [0, 1] if loss.startswith("sparse") else np.eye(3)[:2]
    model.fit([[-1.0], [2.0]], y, verbose=0)
    kernel = model.get_weights()[0]
    assert kernel[0, 1] > 1.0 > kernel[0, 0] == kernel[0, 2]
