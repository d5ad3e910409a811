"""Convolutions and pooling in compiled programs against the float64 oracle: outputs, gradients, bits for any team."""

import numpy as np
import pytest
from fastnn.kernels.formulas.activations import ACTIVATIONS
from fastnn.kernels.records import Windows
from fastnn.kernels.reference import convolution as oracle
from harness import assert_close, assert_same_bits, tolerance

from fastnn import losses
from fastnn.data.samples import Samples
from fastnn.engine.engine import Engine
from fastnn.engine.run_options import RunOptions
from fastnn.layers import (
    Activation,
    AveragePooling2D,
    Conv1D,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    GlobalAveragePooling2D,
    GlobalMaxPooling2D,
    MaxPooling2D,
)
from fastnn.lowering.lower import lower
from fastnn.optimizers import SGD, Adam

SHAPES = [(1, 1, 1), (5, 7, 3), (3, 2, 16), (13, 5, 6), (28, 28, 1), (7, 7, 25), (33, 4, 2), (6, 9, 33), (4, 4, 50)]
WINDOWS = [  # kernel, strides, dilation
    (3, 1, 1), (1, 1, 1), (5, 1, 1), ((2, 3), 1, 1), ((4, 1), 1, 1), (3, 2, 1), (2, 3, 1), (1, 2, 1),
    ((3, 2), (1, 3), 1), (3, 1, 2), ((2, 3), 1, (3, 1)), ((3, 2), 1, (1, 3)),
]  # fmt: skip
FILTERS = (1, 6, 16, 25, 33, 75)


def built(layers, shape):
    """Layers that know their shapes."""
    for layer in layers:
        layer.build((None, *shape))
        shape = layer.output_shape[1:]
    return layers


def engine_of(layers, shape, dtype, threads=1, seed=0):
    """Engine of layers with weights that were drawn."""
    plan = lower(built(layers, shape), int(np.prod(shape)), dtype)
    engine, rng = Engine(plan, threads), np.random.default_rng(seed)
    engine.set_weights([rng.normal(0, 0.3, each) for each in plan.weight_shapes])
    return engine


def sums_of(engine, x):
    """Outputs of the engine, and the gradients of weights for one of ones, of rows as one batch."""
    n, outputs = len(x), engine.plan.n_outputs
    flat = x.reshape(n, -1).astype(engine.plan.dtype)
    y = engine.predict(flat)
    target = (y - n * outputs / 2).astype(engine.plan.dtype)  # the gradient of the mean squared error is then 1
    return y, engine.gradient(engine.plan.objective(losses.get("mse")), Samples(flat, target))


def close(found, expected, dtype):
    assert_close(found, expected, tolerance(dtype, 3e-5, 1e-11))


def fits(shape, kernel, dilation, padding):
    spans = (np.broadcast_to(kernel, 2) - 1) * np.broadcast_to(dilation, 2) + 1
    return padding == "same" or (spans <= shape[:2]).all()


CASES = [
    (shape, window, padding, FILTERS[(7 * i + j) % len(FILTERS)])
    for i, shape in enumerate(SHAPES)
    for j, window in enumerate(WINDOWS)
    for padding in ("same", "valid")
    if fits(shape, window[0], window[2], padding)
]


@pytest.mark.covering
@pytest.mark.parametrize(("shape", "window", "padding", "filters"), CASES, ids=str)
def test_convolution(dtype, shape, window, padding, filters):
    """The second one's input gradient is the first one's: it is seen in the gradient of the first kernel."""
    kernel, strides, dilation = window
    first = Conv2D(filters, kernel, strides, padding, dilation_rate=dilation)
    second = Conv2D(5, (2, 3), 2 if strides == 1 else 1, "same", activation="relu", use_bias=filters % 2 == 0)
    engine = engine_of([first, second, Flatten()], shape, dtype)
    x = np.random.default_rng(1).normal(size=(3, *shape)).astype(dtype)
    w1, b1, w2, *b2 = (weight.astype(np.float64) for weight in engine.get_weights())
    g1, g2 = Windows(*first.geometry()), Windows(*second.geometry())
    hidden = oracle.convolution(x, w1, b1, g1)
    sums = oracle.convolution(hidden, w2, b2[0] if b2 else 0.0, g2)
    found, gradients = sums_of(engine, x)
    close(found, np.maximum(sums, 0.0).reshape(3, -1), dtype)
    decided = np.abs(sums) > 1e-4 * np.abs(sums).max()
    dy = (sums > 0.0).astype(float)
    if not decided.all():
        dy = found.reshape(sums.shape) > 0.0
    dx, *of_second = oracle.convolution_gradients(hidden, w2, dy, g2)
    expected = [*oracle.convolution_gradients(x, w1, dx, g1)[1:], *of_second[: 1 + len(b2)]]
    for one, other in zip(gradients, expected, strict=True):
        close(one, other, dtype)


POOLS = {
    MaxPooling2D: (oracle.max_pool, oracle.max_pool_gradient),
    AveragePooling2D: (oracle.average_pool, oracle.average_pool_gradient),
}
POOL_CASES = [
    (shape, window, padding)
    for shape in SHAPES
    for window in ((2, None), (3, 2), ((2, 3), 1), (5, 4), ((1, 2), (2, 1)))  # size, strides
    for padding in ("same", "valid")
    if fits(shape, window[0], 1, padding)
]


@pytest.mark.covering
@pytest.mark.parametrize("kind", POOLS, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize(("shape", "window", "padding"), POOL_CASES, ids=str)
def test_pooling(dtype, kind, shape, window, padding):
    first, pool = Conv2D(shape[2], 1), kind(*window, padding)
    engine = engine_of([first, pool, Flatten()], shape, dtype)
    x = np.random.default_rng(1).normal(size=(3, *shape)).astype(dtype)
    w, b = (weight.astype(np.float64) for weight in engine.get_weights())
    geometry, of_pool = Windows(*first.geometry()), Windows(*pool.geometry())
    forward, backward = POOLS[kind]
    hidden = oracle.convolution(x, w, b, geometry)
    expected = forward(hidden, of_pool)
    found, gradients = sums_of(engine, x)
    expected = expected[0] if kind is MaxPooling2D else expected
    close(found, expected.reshape(3, -1), dtype)
    dx = backward(hidden, np.ones_like(expected), of_pool)
    for one, other in zip(gradients, oracle.convolution_gradients(x, w, dx, geometry)[1:], strict=True):
        close(one, other, dtype)


@pytest.mark.parametrize("between", ["tanh", "gelu"])
@pytest.mark.parametrize("kernel", [2, 3, (1, 2), (2, 1), (4, 3)], ids=str)
def test_an_activation_before_a_border(dtype, kernel, between):
    """Also where the border is only below and on the right, as that of even kernels."""
    shape = (5, 6, 3)
    layers = [Conv2D(7, 1), Activation(between), Conv2D(4, kernel, padding="same"), Flatten()]
    engine = engine_of(layers, shape, dtype)
    x = np.random.default_rng(1).normal(size=(3, *shape)).astype(dtype)
    w1, b1, w2, b2 = (weight.astype(np.float64) for weight in engine.get_weights())
    formula = ACTIVATIONS[between].formula
    hidden = np.vectorize(formula)(oracle.convolution(x, w1, b1, Windows(*layers[0].geometry())))
    expected = oracle.convolution(hidden, w2, b2, Windows(*layers[2].geometry()))
    close(engine.predict(x.reshape(3, -1)), expected.reshape(3, -1), dtype)


@pytest.mark.parametrize("kind", [GlobalAveragePooling2D, GlobalMaxPooling2D])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_global_pooling(dtype, kind, shape):
    engine = engine_of([kind()], shape, dtype)
    x = np.random.default_rng(1).normal(size=(3, *shape)).astype(dtype)
    expected = x.astype(np.float64).mean((1, 2)) if kind is GlobalAveragePooling2D else x.max((1, 2))
    close(engine.predict(x.reshape(3, -1)), expected, dtype)


def test_nan_wins(dtype):
    engine = engine_of([MaxPooling2D(), Flatten()], (4, 4, 3), dtype)
    x = np.random.default_rng(1).normal(size=(2, 4, 4, 3)).astype(dtype)
    x[0, 1, 2, 1] = np.nan
    found = engine.predict(x.reshape(2, -1)).reshape(2, 2, 2, 3)
    assert np.isnan(found[0, 0, 1, 1])
    assert np.isnan(found).sum() == 1


NETWORKS = {
    "pools": (
        (12, 11, 1),
        [
            lambda: Conv2D(6, 3, activation="relu"), MaxPooling2D, lambda: Conv2D(17, 3, padding="same"),
            lambda: Activation("tanh"), lambda: AveragePooling2D(3, 2, "same"), Flatten, lambda: Dense(3),
        ],
    ),
    "dropout": (
        (9, 8, 3),
        [
            lambda: Dropout(0.2), lambda: Conv2D(5, 3, activation="elu"), lambda: Dropout(0.4),
            lambda: Conv2D(4, 2, 2, activation="sigmoid"), Flatten, lambda: Dropout(0.3), lambda: Dense(4, "relu"),
            lambda: Dense(2),
        ],
    ),
    "even": (
        (6, 7, 2),
        [
            lambda: Activation("tanh"), lambda: Conv2D(5, 2, padding="same", activation="elu"),
            lambda: Conv2D(3, (2, 4), padding="same"), lambda: Dropout(0.2), lambda: Activation("silu"),
            lambda: Conv2D(4, 2, padding="same", activation="relu"), Flatten, lambda: Dense(2),
        ],
    ),
    "global": (
        (7, 9, 2),
        [
            lambda: Conv2D(20, 3, activation="gelu", kernel_regularizer="l2"), GlobalMaxPooling2D, lambda: Dense(2),
        ],
    ),
    "sequence": (
        (20, 3),
        [
            lambda: Conv1D(8, 3, padding="causal", activation="relu"), lambda: Conv1D(5, 3, dilation_rate=2), Flatten,
            lambda: Dense(1),
        ],
    ),
}  # fmt: skip


def trained(name, threads, jit_compile=False, dtype="float32", optimizer=Adam, **options):
    shape, makers = NETWORKS[name]
    engine, rng = engine_of([make() for make in makers], shape, dtype, threads), np.random.default_rng(2)
    engine.jit_compile = jit_compile
    x = rng.normal(size=(37, int(np.prod(shape)))).astype(dtype)
    y = rng.normal(size=(37, engine.plan.n_outputs)).astype(dtype)
    engine.reset_optimizer(optimizer(**options))
    run = engine.train(
        engine.plan.objective(losses.get("mse")), Samples(x, y), RunOptions(10, epochs=3, shuffle=True, seed=1)
    )
    while run.advance(100):
        pass
    return [engine.params, engine.predict(x), run.logs(2)]


@pytest.mark.parametrize("name", NETWORKS)
def test_same_bits_for_any_team(dtype, name):
    expected = trained(name, 1, dtype=dtype)
    for threads in (2, 3):
        assert_same_bits(trained(name, threads, dtype=dtype), expected)


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_same_bits_by_programs_of_their_own(name):
    for threads in (1, 2):
        assert_same_bits(trained(name, threads, jit_compile=True), trained(name, threads))


@pytest.mark.parametrize("name", NETWORKS)
def test_gradients_against_central_differences(name):
    shape, makers = NETWORKS[name]
    engine, rng = (
        engine_of([each for each in [make() for make in makers] if each.kind != "dropout"], shape, "float64"),
        np.random.default_rng(3),
    )
    objective = engine.plan.objective(losses.get("mse"))
    samples = Samples(rng.normal(size=(5, int(np.prod(shape)))), rng.normal(size=(5, engine.plan.n_outputs)))
    found, weights, step = engine.gradient(objective, samples), engine.get_weights(), 1e-5
    for index, weight in enumerate(weights):
        for element in rng.choice(weight.size, min(weight.size, 10), replace=False):
            ends = []
            for moved in (step, -step):
                changed = [each.copy() for each in weights]
                changed[index].flat[element] += moved
                engine.set_weights(changed)
                ends.append(engine.evaluate(objective, samples)[0])
            assert found[index].flat[element] == pytest.approx((ends[0] - ends[1]) / (2 * step), rel=1e-5, abs=1e-7)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["pools", "global"])
def test_clipped_gradients(name):
    """As many threads as there are, the same bits; and a limit that none reaches changes nothing."""
    options = {"optimizer": SGD, "learning_rate": 0.001}
    expected = trained(name, 1, clipnorm=0.05, **options)
    assert_same_bits(trained(name, 2, clipnorm=0.05, **options), expected)
    assert not np.array_equal(expected[0], trained(name, 1, **options)[0])
    close(trained(name, 1, clipnorm=1e9, **options)[0], trained(name, 1, **options)[0], "float32")
