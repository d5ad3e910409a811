"""Normalizations: gradients, statistics, and whole trainings beside PyTorch."""

import numpy as np
import pytest
from fastnn.kernels.host import cpu
from harness import Problem, assert_close, assert_same_bits, tolerance

from fastnn import initializers
from fastnn.data.samples import Samples
from fastnn.engine.evaluation import LossGradient
from fastnn.layers import Activation, BatchNormalization, Dense, Input, LayerNormalization
from fastnn.models import Sequential
from fastnn.optimizers import SGD

BOTH = [BatchNormalization, LayerNormalization]


def assert_gradients_close(given, expected, relative):
    """Compare gradients to within ``relative`` of the largest: that of a bias below a batch normalization is zero."""
    flat = [np.concatenate([array.ravel() for array in arrays]) for arrays in (given, expected)]
    assert_close(*flat, relative)


def networks():
    """Every normalization as first, hidden and last layer, before and after activations, as (layers, loss)."""
    for kind in BOTH:
        yield [Dense(7), kind(), Activation("tanh"), Dense(3)], "mean_squared_error"
        yield [kind(), Dense(6, "gelu"), kind(scale=False), Dense(4, "softmax")], "categorical_crossentropy"
        yield [Dense(6, "softmax"), kind(center=False), Activation("silu"), Dense(2)], "mean_squared_error"
        yield [Dense(9, "elu"), Activation("softmax"), kind(), kind(), Dense(3, "sigmoid")], "binary_crossentropy"
        yield [Dense(18), kind(), Activation("softmax")], "sparse_categorical_crossentropy"
        yield [Dense(1, "tanh"), kind(), Activation("tanh"), Dense(2)], "mean_squared_error"


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("layers", "loss"), list(networks()))
def test_gradient_is_the_slope_of_the_training_loss(layers, loss, weighted):
    problem = Problem(layers, 4, loss, rows=11, weighted=weighted)
    engine, objective = problem.engine("float64")
    of = LossGradient(engine, objective, problem.samples("float64"))
    flat = engine.params[: engine.plan.n_parameters].copy()
    value, gradient = of(flat)[0][0], of(flat)[1].copy()
    expected_value, expected = problem.gradients()
    assert value == pytest.approx(expected_value, rel=1e-13)
    assert_gradients_close(engine.plan.unpack(gradient, trained=True), expected, 1e-12)
    slopes = np.zeros_like(flat)
    padding = np.ones_like(flat, bool)
    for place in engine.plan.weights:
        if place.trained:
            marks = np.zeros(len(flat))
            place.write(marks, np.ones(place.shape))
            padding[marks > 0] = False
    for i in np.flatnonzero(~padding):
        losses = []
        for step in (1e-5, -1e-5):
            moved = flat.copy()
            moved[i] += step
            losses.append(of(moved)[0][0])
        slopes[i] = (losses[0] - losses[1]) / 2e-5
    np.testing.assert_allclose(gradient, slopes, rtol=1e-6, atol=1e-6 * np.abs(slopes).max())
    assert (gradient[padding] == 0.0).all()


def test_weights_at_a_point_have_the_statistics_of_all_rows():
    problem = Problem([BatchNormalization(), Dense(4), BatchNormalization(), Dense(2)], 3, "mean_squared_error")
    engine, objective = problem.engine("float64")
    x, y, _ = problem.data("float64")
    of, before = LossGradient(engine, objective, Samples(x, y)), engine.get_weights()
    flat = 0.5 * engine.params[: engine.plan.n_parameters]
    value = of(flat)[0][0]
    weights = of.weights(flat)
    np.testing.assert_allclose(weights[2:4], [x.mean(axis=0), x.var(axis=0)], rtol=1e-12)
    assert_close(weights[4], 0.5 * before[4], 0.0)
    assert_same_bits(engine.get_weights(), before)
    engine.set_weights(weights)
    assert engine.evaluate(objective, Samples(x, y))[0] == pytest.approx(value, rel=1e-12)


@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize("width", [1, 15, 16, 17, 33, 513])
@pytest.mark.parametrize("rows", [1, 2, 3, 5, 40])
def test_odd_shapes(dtype, kind, width, rows):
    """First step and prediction against the oracle, with values far from zero."""
    problem = Problem([kind(), Dense(3)], width, "mean_squared_error", rows=rows)
    problem.x = problem.x * 3 + 5
    engine, objective = problem.engine(dtype)
    x, y, _ = problem.data(dtype)
    assert_close(engine.predict(x), problem.outputs(), tolerance(dtype, 1e-5, 1e-13))
    found = engine.gradient(objective, Samples(x, y))
    assert_gradients_close(found, problem.gradients()[1], tolerance(dtype, 1e-5, 1e-13))


def test_a_batch_of_one_row_gives_beta():
    model = Sequential([Input((3,)), BatchNormalization(beta_initializer=initializers.Constant(0.5))], dtype="float64")
    model.compile("sgd", "mean_squared_error")
    assert model.train_on_batch([[7.0, -2.0, 3.0]], [[0.5, 0.5, 1.5]]) == pytest.approx(1 / 3)


def test_statistics_move_by_the_momentum_and_ignore_row_weights():
    x = np.random.default_rng(0).normal(3.0, 2.0, (7, 5))
    for weights in (None, np.arange(7.0)):
        model = Sequential([Input((5,)), BatchNormalization(momentum=0.75), Dense(1)], dtype="float64")
        model.compile("sgd", "mse")
        model.fit(x, np.zeros(7), batch_size=4, shuffle=False, sample_weight=weights, verbose=0)
        mean, variance = np.zeros(5), np.ones(5)
        for batch in (x[:4], x[4:]):
            mean, variance = 0.75 * mean + 0.25 * batch.mean(axis=0), 0.75 * variance + 0.25 * batch.var(axis=0)
        np.testing.assert_allclose(model.layers[0].moving_mean, mean, rtol=1e-13)
        np.testing.assert_allclose(model.layers[0].moving_variance, variance, rtol=1e-13)


def test_predictions_use_the_moving_statistics(dtype):
    model = Sequential([Input((2,)), BatchNormalization(epsilon=0.5)], dtype=dtype)
    model.set_weights([[2.0, 3.0], [10.0, 20.0], [1.0, -1.0], [3.5, 0.0]])
    expected = [[10.0 + 2.0 * 3.0 / 2.0, 20.0 - 3.0 * 1.0 / np.sqrt(0.5)]]
    np.testing.assert_allclose(model.predict([[4.0, -2.0]]), expected, rtol=1e-6)
    before = model.get_weights()
    model.compile("adam", "mse")
    model.evaluate([[4.0, -2.0]], [[0.0, 0.0]], verbose=0)
    assert_same_bits(model.get_weights(), before)


def test_penalties_leave_gamma_and_beta_alone():
    layers = [Dense(4, kernel_regularizer="l2"), BatchNormalization(), Dense(1)]
    plain = [Dense(4), BatchNormalization(), Dense(1)]
    problems = [Problem(each, 3, "mean_squared_error") for each in (layers, plain)]
    gradients = []
    for problem in problems:
        engine, objective = problem.engine("float64")
        gradients.append(engine.gradient(objective, problem.samples("float64")))
    assert [np.allclose(a, b, rtol=1e-12) for a, b in zip(*gradients, strict=True)] == [False] + [True] * 5


@pytest.mark.slow
@pytest.mark.skipif(not cpu.has_bfloat16(), reason="needs AVX512-BF16")
@pytest.mark.parametrize("kind", BOTH)
def test_mixed_precision(kind):
    layers = [kind(), Dense(40), kind(), Activation("relu"), Dense(70, "tanh"), kind(), Dense(3)]
    problem = Problem(layers, 20, "mean_squared_error", rows=64, mixed=True)
    engine, objective, logs = problem.train("float32", SGD(0.05), batch_size=20)
    weights, expected = problem.oracle(SGD(0.05), batch_size=20)
    np.testing.assert_allclose(logs, expected, rtol=2e-3)
    assert_close(engine.get_weights(), weights, 2e-2)
    again, _, other = problem.train("float32", SGD(0.05), threads=3, batch_size=20)
    assert_same_bits([again.params, other], [engine.params, logs])
    assert np.isfinite(engine.evaluate(objective, problem.samples("float32"))).all()


def with_torch(kind, activation):
    """A model, and the same network in PyTorch with the same weights."""
    torch = pytest.importorskip("torch")
    model = Sequential(
        [Input((5,)), Dense(9), kind(), Activation(activation), Dense(6), Activation(activation), kind(), Dense(2)],
        dtype="float64",
    )
    theirs = {
        BatchNormalization: lambda width: torch.nn.BatchNorm1d(width, eps=1e-3, momentum=0.01),
        LayerNormalization: lambda width: torch.nn.LayerNorm(width, eps=1e-3),
    }[kind]
    function = {"relu": torch.nn.ReLU, "tanh": torch.nn.Tanh}[activation]
    modules = [torch.nn.Linear(5, 9), theirs(9), function(), torch.nn.Linear(9, 6), function(), theirs(6)]
    network = torch.nn.Sequential(*modules, torch.nn.Linear(6, 2)).double()
    rng = np.random.default_rng(1)
    for layer in model.layers:
        if layer.kind == kind.kind:
            fresh = layer.get_weights()
            layer.set_weights([w + 0.1 * rng.normal(size=w.shape) for w in fresh[:2]] + fresh[2:])
    ours = [layer for layer in model.layers if layer.kind != "activation"]
    parts = [module for module in network if list(module.parameters())]
    with torch.no_grad():
        for layer, module in zip(ours, parts, strict=True):
            for value, parameter in zip(layer.get_weights(), module.parameters(), strict=False):
                parameter[...] = torch.tensor(value.T)
    return torch, model, network, list(zip(ours, parts, strict=True))


@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize("activation", ["relu", "tanh"])
@pytest.mark.parametrize("rows", [40, 37])
def test_trainings_are_pytorchs(kind, activation, rows):
    torch, model, network, pairs = with_torch(kind, activation)
    rng = np.random.default_rng(2)
    x, y = rng.normal(1.0, 2.0, (rows, 5)), rng.normal(size=(rows, 2))
    model.compile(SGD(0.05, momentum=0.9), "mean_squared_error")
    history = model.fit(x, y, batch_size=10, epochs=5, shuffle=False, verbose=0).history["loss"]
    step = torch.optim.SGD(network.parameters(), 0.05, momentum=0.9)
    for epoch in range(5):
        total = 0.0
        for batch in torch.arange(rows).split(10):
            value = torch.nn.functional.mse_loss(network(torch.tensor(x)[batch]), torch.tensor(y)[batch])
            step.zero_grad()
            value.backward()
            step.step()
            total += value.item() * len(batch)
        assert history[epoch] == pytest.approx(total / rows, rel=1e-10)
    for layer, module in pairs:
        for value, parameter in zip(layer.get_weights(), module.parameters(), strict=False):
            np.testing.assert_allclose(value.T, parameter.detach().numpy(), rtol=1e-8, atol=1e-10)
        if kind is BatchNormalization and layer.kind == kind.kind:
            np.testing.assert_allclose(layer.moving_mean, module.running_mean.numpy(), rtol=1e-9)
            if rows % 10 == 0:  # PyTorch's moving variance has Bessel's correction
                kept = 0.99 ** (5 * rows // 10)
                biased = kept + (module.running_var.numpy() - kept) * 9 / 10
                np.testing.assert_allclose(layer.moving_variance, biased, rtol=1e-9)
                module.running_var[...] = torch.tensor(layer.moving_variance)
    if kind is LayerNormalization or rows % 10 == 0:
        network.eval()
        np.testing.assert_allclose(model.predict(x), network(torch.tensor(x)).detach().numpy(), rtol=1e-9, atol=1e-10)
