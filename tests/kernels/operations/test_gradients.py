"""Gradients of whole networks against central differences of the evaluated loss, in float64."""

import numpy as np
import pytest
from harness import Problem, assert_close

from fastnn.activations import Activation as Function
from fastnn.data.samples import Samples
from fastnn.layers import Activation, Dense, Dropout
from fastnn.losses import (
    BinaryCrossentropy,
    BinaryFocalCrossentropy,
    CategoricalCrossentropy,
    CategoricalFocalCrossentropy,
    Huber,
    LogCosh,
    Quantile,
    SparseCategoricalCrossentropy,
    SparseCategoricalFocalCrossentropy,
)
from fastnn.regularizers import L2


def networks():
    """Every activation in a hidden and a last layer, every loss, as (name, layers, loss)."""
    leaky, elu = Function("leaky_relu", 0.3), Function("elu", 0.7)
    yield "relu, sigmoid + binary", [Dense(7, "relu"), Dense(5, leaky), Dense(3, "sigmoid")], "binary_crossentropy"
    yield "softmax + one-hot", [Dense(9, "tanh"), Dense(4, "softmax")], "categorical_crossentropy"
    yield "softmax + classes", [Dense(9, elu), Dense(6, "selu"), Dense(4, "softmax")], "sparse_categorical_crossentropy"
    yield "binary logits", [Dense(6, "gelu"), Dense(2)], BinaryCrossentropy(from_logits=True)
    yield "one-hot logits", [Dense(6, "silu"), Dense(5)], CategoricalCrossentropy(from_logits=True)
    yield "class logits", [Dense(18, "softplus"), Dense(17)], SparseCategoricalCrossentropy(from_logits=True)
    yield "probabilities of sigmoids", [Dense(6, "sigmoid"), Dense(5, "sigmoid")], "categorical_crossentropy"
    yield "squared error", [Dense(17, "gelu"), Dense(3, "silu"), Dense(2, "softplus")], "mean_squared_error"
    yield "absolute error", [Dense(5, "tanh", use_bias=False), Dense(3, "gelu")], "mean_absolute_error"
    yield "hidden softmax", [Dense(7, "softmax"), Dense(20), Dropout(0.0), Dense(3)], "mean_squared_error"
    yield "softmax of squared error", [Dense(7, "tanh"), Dense(5, "softmax")], "mean_squared_error"
    yield "layers of their own", [
        Activation("tanh"), Dense(6, "relu"), Activation("gelu"), Dense(5), Activation(elu), Activation("silu"),
        Activation("softmax"), Dense(7, "softmax"), Activation("selu"), Dense(2, "sigmoid"), Activation("tanh"),
    ], "mean_squared_error"  # fmt: skip
    yield (
        "last activation of its own",
        [Dense(6, "relu"), Activation("tanh"), Activation("softmax")],
        "categorical_crossentropy",
    )
    yield "rates", [Dense(7, "exponential"), Dense(3, "softplus")], "poisson_deviance"
    yield "exponential rates", [Dense(7, "tanh"), Dense(3, "exponential")], "poisson_deviance"
    yield "counts", [Dense(7, "tanh"), Dense(3, "exponential")], "poisson"
    yield "huber", [Dense(7, "tanh"), Dense(3)], Huber(0.7)
    yield "log-cosh", [Dense(7, "tanh"), Dense(1)], LogCosh()
    yield "quantiles", [Dense(7, "tanh"), Dense(6)], Quantile([0.1, 0.5, 0.9])
    yield "quantile", [Dense(7, "tanh"), Dense(1)], Quantile(0.9)
    yield "smooth", [Dense(7, "tanh"), Dense(3, "softmax")], SparseCategoricalCrossentropy(label_smoothing=0.2)
    yield "focal", [Dense(7, "tanh"), Dense(1, "sigmoid")], BinaryFocalCrossentropy(True, gamma=1.5)
    yield "focal probabilities", [Dense(7, "tanh"), Dense(3, "softmax")], BinaryFocalCrossentropy(gamma=0.5)
    yield "focal classes", [Dense(7, "tanh"), Dense(3, "softmax")], SparseCategoricalFocalCrossentropy([0.2, 0.3, 0.5])
    yield (
        "focal classes of sigmoids",
        [Dense(7, "tanh"), Dense(3, "sigmoid")],
        CategoricalFocalCrossentropy(gamma=1.3, label_smoothing=0.1),
    )
    yield "penalties", [Dense(6, "tanh", kernel_regularizer=L2(0.1)), Dense(2, kernel_regularizer=L2(0.3))], "mse"


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("layers", "loss"), [n[1:] for n in networks()], ids=[n[0] for n in networks()])
def test_gradient_is_the_slope_of_the_loss(layers, loss, weighted):
    problem = Problem(layers, 4, loss, rows=11, weighted=weighted)
    engine, objective = problem.engine("float64")
    x, y, sample_weights = problem.data("float64")
    gradients = engine.gradient(objective, Samples(x, y, sample_weights))
    weights = engine.get_weights()

    def slope(array, index, step=1e-5):
        kept, values = array[index], []
        for moved in (kept + step, kept - step):
            array[index] = moved
            engine.set_weights(weights)
            values.append(engine.evaluate(objective, Samples(x, y, sample_weights))[0])
        array[index] = kept
        return (values[0] - values[1]) / (2.0 * step)

    slopes = [np.reshape([slope(w, i) for i in np.ndindex(w.shape)], w.shape) for w in weights]
    largest = max(np.abs(s).max() for s in slopes)
    assert largest > 1e-3
    for gradient, expected in zip(gradients, slopes, strict=True):
        np.testing.assert_allclose(gradient, expected, rtol=1e-6, atol=1e-6 * largest)


def test_asking_for_a_gradient_changes_nothing(dtype):
    problem = Problem([Dense(5, "tanh"), Dropout(0.5), Dense(2)], 4, "mean_squared_error", rows=11)
    engine, objective, _ = problem.train(dtype)
    before, step, slots = engine.get_weights(), engine.step, engine.slots.copy()
    gradients = engine.gradient(objective, problem.samples(dtype))
    assert [g.shape for g in gradients] == engine.plan.weight_shapes
    assert_close(engine.get_weights(), before, 0.0)
    assert engine.step == step
    np.testing.assert_array_equal(engine.slots, slots)


def test_gradient_of_one_step_is_what_sgd_subtracts():
    problem = Problem(
        [Dense(33, "gelu"), Dense(18, "softmax"), Dense(3, "sigmoid")], 20, "binary_crossentropy", rows=50
    )
    engine, objective = problem.engine("float64")
    expected = problem.gradients()[1]
    assert_close(engine.gradient(objective, problem.samples("float64")), expected, 1e-12)
