"""Whole trainings on the device against the oracle: every layer, loss, optimizer and option."""

import functools
from dataclasses import replace

import numpy as np
import pytest
from fastnn.kernels import codes, reference
from harness import (
    Problem,
    assert_close,
    assert_same_bits,
    declared_loss,
    finish_run,
    small_problem,
    start_run,
    tolerance,
)

from fastnn import activations, optimizers
from fastnn.data import device_array
from fastnn.data.samples import Samples
from fastnn.engine.cuda import inference_launches
from fastnn.engine.cuda import run as runs_cuda
from fastnn.engine.run_options import RunOptions
from fastnn.layers import (
    Activation,
    BatchNormalization,
    Dense,
    Dropout,
    LayerNormalization,
    Normalization,
    Rescaling,
)
from fastnn.losses import BinaryCrossentropy
from fastnn.lowering.lower import lower
from fastnn.optimizers.schedules import ExponentialDecay
from fastnn.regularizers import L2

RUN = {"batch_size": 4, "epochs": 2}


def check(problem, dtype="float32", optimizer="adam", **options):
    """Train on the device and with the oracle, and compare weights and logs."""
    engine, objective, logs = problem.train(dtype, optimizer, **(RUN | options))
    weights, expected = problem.oracle(optimizer, **(RUN | options))
    relative = tolerance(dtype, 2e-4, 1e-11)
    assert_close(engine.get_weights(), weights, relative)
    assert_close(list(logs), list(expected), relative)
    return engine, objective


def problem(layers, inputs=3, loss="mean_squared_error", rows=9, **options):
    return Problem(layers, inputs, loss, rows=rows, device="cuda", **options)


@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (7, 3, 5, 2), (5, 9, 4, 3), (3, 6, 13, 1)], ids=str)
def test_dense_layers_of_odd_shapes(dtype, shape, blocks):
    rows, inputs, hidden, outputs = shape
    layers = [Dense(hidden, "tanh"), Dense(outputs, use_bias=False), Dense(outputs)]
    check(problem(layers, inputs, rows=rows), dtype, batch_size=max(1, rows - 2))


@pytest.mark.parametrize("name", [name for name in codes.ACTIVATIONS if name != "step"])
def test_activations(name):
    activation = activations.get(name)
    layers = [Dense(5, activation), Dropout(0.3), Activation(activation), Dense(3, activation), Dense(2)]
    check(problem(layers), epochs=1, optimizer=optimizers.SGD(0.05))


@pytest.mark.parametrize("name", codes.LOSSES)
def test_losses(name, blocks):
    on_logits = name.endswith("_from_logits")
    options = {"huber": {"delta": 0.6}, "quantile": {"levels": 0.2}}.get(name, {})
    if "focal" in name:
        options = {"gamma": 1.5, "alpha": 0.3}
    last = "softmax" if "categorical" in name else "sigmoid" if "binary" in name else "linear"
    if "poisson" in name:
        last = "exponential" if on_logits else "softplus"
    elif on_logits:
        last = "linear"
    for outputs in (1, 3):
        if outputs > 1 or "categorical" not in name:
            # behind a dropout, an activation does not become part of the loss
            layers = [Dense(4, "tanh"), Dense(outputs, last), *[Dropout(0.1)] * (last in ("sigmoid", "softmax"))]
            loss = declared_loss(name, **options)
            check(problem(layers, loss=loss, weighted=True), epochs=1, weighted_mean=True)


@pytest.mark.parametrize("name", [*codes.OPTIMIZERS[1:], "momentum", "nesterov"])
def test_optimizers(name, dtype):
    optimizer = {
        "momentum": optimizers.SGD(0.1, momentum=0.8),
        "nesterov": optimizers.SGD(0.1, momentum=0.8, nesterov=True),
        "rmsprop": optimizers.RMSprop(0.01, momentum=0.5),
    }.get(name) or optimizers.get(name)
    check(problem([Dense(4, "tanh", kernel_regularizer=L2(0.01)), Dense(2)], l2_per_row=True), dtype, optimizer)


@pytest.mark.covering
@pytest.mark.parametrize("limit", ["clipvalue", "clipnorm", "global_clipnorm"])
def test_clipped_gradients(limit, dtype, blocks):
    layers = [Dense(4, "tanh", kernel_regularizer=L2(0.01)), BatchNormalization(), Dense(3), LayerNormalization()]
    check(problem(layers), dtype, optimizers.Adam(0.01, **{limit: 0.05}), epochs=1)


@pytest.mark.parametrize("kind", ["batch", "layer", "constant", "softmax"])
def test_normalizations(kind, dtype, blocks):
    layers = {
        "batch": [Dense(5), BatchNormalization(), Activation("relu"), BatchNormalization(scale=False), Dense(2)],
        "layer": [Dense(5), LayerNormalization(), Activation("gelu"), LayerNormalization(center=False), Dense(2)],
        "constant": [Dense(4, "relu"), BatchNormalization(center=False), Dense(2)],
        "softmax": [BatchNormalization(), Dense(5, "softmax"), BatchNormalization(), Activation("softmax"), Dense(3)],
    }[kind]
    check(problem(layers), dtype, epochs=1, optimizer=optimizers.SGD(0.05))


def test_everything_at_once(dtype, blocks):
    layers = [Dense(6, "silu", kernel_regularizer=L2(0.02)), Dropout(0.4), Dense(5, "softmax"), Dense(3, "softmax")]
    metrics = ["sparse_categorical_accuracy", "sparse_categorical_crossentropy"]
    loss = "sparse_categorical_crossentropy"
    check(
        problem(layers, loss=loss, rows=11, metrics=metrics, weighted=True), dtype, weighted_mean=True, seed=2**40 + 7
    )


def test_label_smoothing_and_a_limit():
    layers = [Dense(3, "tanh"), Dense(1, "sigmoid")]
    check(problem(layers, loss=BinaryCrossentropy(label_smoothing=0.2), metrics=["binary_accuracy"]))
    network = problem(layers, loss="binary_crossentropy")
    for logs, limit in ((network.train(loss_limit=limit, **RUN)[2], limit) for limit in (0.0, 0.125)):
        assert (logs[:, 0] <= 0.125).all() == (limit > 0.0)


@pytest.mark.parametrize("metric", ["mean_squared_error", "binary_accuracy", "binary_crossentropy_from_logits"])
def test_metrics_see_logits_before_the_loss_does(metric, blocks):
    network = problem([Dense(2)], loss=BinaryCrossentropy(from_logits=True), metrics=[metric], weighted=True)
    engine, objective = check(network)
    network.weights = engine.get_weights()
    x, y, weights = network.data("float32")
    expected = reference.metric(metric, network.y, network.outputs()).mean()
    assert engine.evaluate(objective, Samples(x, y, weights))[1] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("loss", ["poisson", "categorical_crossentropy"])
def test_outputs_at_the_ends(loss, blocks):
    """A rate of 0, and a row of zeros: Keras' epsilon keeps the gradient finite."""
    network = problem([Dense(2, "relu")], loss=loss)
    network.weights = [np.full((3, 2), -1.0), np.zeros(2)]
    check(network, optimizer=optimizers.SGD(1e-3))


def test_a_rate_for_every_step():
    network = problem([Dense(4, "tanh"), Dense(2)])
    logs = {}
    for device in ("cpu", "cuda"):
        network.device = device
        logs[device] = network.train("float32", optimizers.SGD(ExponentialDecay(0.1, 2, 0.5)), **RUN)[2]
    assert_close(logs["cuda"], logs["cpu"], 1e-5)


@pytest.mark.parametrize("dtype", ["float32", pytest.param("float64", marks=pytest.mark.slow)])
def test_pixels(dtype):
    network, found = problem([Rescaling(1 / 255), Dense(4, "tanh"), Dense(2)], 5), {}
    x = np.random.default_rng(1).integers(0, 256, network.x.shape).astype(np.uint8)
    for device in ("cpu", "cuda"):
        network.device = device
        engine, objective = network.engine(dtype)
        engine.reset_optimizer(optimizers.SGD(0.1))
        y = network.y.astype(dtype)
        run = engine.train(objective, Samples(x, y), RunOptions(batch_size=4, epochs=2, shuffle=True, seed=1))
        found[device] = [np.array(finish_run(run)), engine.predict(x), engine.evaluate(objective, Samples(x, y))]
    assert_close(found["cuda"], found["cpu"], tolerance(dtype, 1e-5, 1e-12))


@pytest.mark.covering
@pytest.mark.parametrize(
    "layers", [[Dense(4, "relu"), Dense(2, "softmax")], [Normalization(), Dense(3), BatchNormalization()]]
)
def test_predictions_and_evaluations(layers, dtype, blocks):
    if layers[0].kind == "normalization":
        layers[0].adapt(np.random.default_rng(0).normal(size=(20, 3)))
    network = Problem(layers, 3, "mean_squared_error", rows=37, weighted=True, metrics=["mean_absolute_error"])
    found = {}
    for device in ("cpu", "cuda"):
        network.device = device
        engine, objective = network.engine(dtype)
        x, y, weights = network.data(dtype)
        found[device] = [engine.predict(x), engine.evaluate(objective, Samples(x, y, weights)), engine.predict(x[:1])]
        assert engine.predict(x[:0]).shape == (0, engine.plan.n_outputs)
    assert_close(found["cuda"], found["cpu"], tolerance(dtype, 1e-6, 1e-13))


LAYERS = {
    "softmax": [Dense(5, "softmax"), Dropout(0.4), Dense(4, "gelu"), Activation("softmax"), Dense(3, "silu")],
    "normalized": [
        BatchNormalization(), Dense(5), LayerNormalization(), Activation("selu"), Dropout(0.1),
        Dense(3, use_bias=False), BatchNormalization(scale=False), Activation("softmax"),
    ],
    "one layer": [Dense(3, "softmax")],
}  # fmt: skip


@pytest.mark.covering
@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("weighted", [False, True])
def test_large_predictions(name, weighted, dtype, blocks):
    """By one launch and by many the CPU's, whatever their number and wherever they lie."""
    metrics = ["sparse_categorical_accuracy", "sparse_categorical_crossentropy"]
    loss = "sparse_categorical_crossentropy"
    network = Problem(LAYERS[name], 6, loss, rows=39, weighted=weighted, metrics=metrics)
    x, y, weights = network.data(dtype)
    pixels, found = np.abs(20 * x).astype(np.uint8), {}
    for device in ("cpu", "cuda"):
        network.device = device
        engine, objective = network.engine(dtype)
        found[device] = [engine.predict(x[:rows]) for rows in (39, 33, 17, 16, 1)]
        found[device] += [engine.predict(pixels), engine.evaluate(objective, Samples(x, y, weights))]
        found[device] += [engine.evaluate(objective, Samples(x[:5], y[:5]))]
    assert_close(found["cuda"], found["cpu"], tolerance(dtype, 3e-6, 1e-13))
    np.testing.assert_array_equal(found["cuda"][1], found["cuda"][0][:33])
    outputs = engine.predict(device_array.send(x))
    assert_same_bits(outputs.to_host(), found["cuda"][0])


def test_what_pays_is_predicted_by_launches(monkeypatch):
    wide, narrow = ([Dense(units, "relu"), Dense(units, "relu"), Dense(10)] for units in (512, 16))
    for layers, rows, expected in ((wide, 1, False), (wide, 1000, True), (narrow, 10**6, False)):
        assert inference_launches.pays(lower(layers, 64).row_major(), rows) == expected
    network = small_problem(device="cuda")
    calls = []
    forward = lambda *given: calls.append(given[2]) or (lambda rows, **memory: None)  # noqa: E731
    monkeypatch.setattr(inference_launches, "Forward", forward)
    monkeypatch.setattr(inference_launches, "pays", lambda plan, rows: rows > 20)
    engine, _ = network.engine()
    for rows in (20, 21, 30, 43):
        engine.predict(network.x[:rows])
    batch_of, most = inference_launches.batch_of, inference_launches.MOST_ROWS
    assert calls == sorted({batch_of(rows) for rows in (21, 30, 43)})  # each made once
    assert [batch_of(rows) for rows in (1, 2, 3, 9, 10**6)] == [1, 2, 4, 16, most]


def test_gradient(dtype, blocks):
    layers = [Dense(4, "gelu", kernel_regularizer=L2(0.1)), LayerNormalization(), Dense(3, "softmax")]
    network = problem(layers, loss="categorical_crossentropy", weighted=True)
    engine, objective = network.engine(dtype)
    assert_close(
        engine.gradient(objective, network.samples(dtype)), network.gradients()[1], tolerance(dtype, 1e-5, 1e-12)
    )


def test_slices_do_not_change_bits():
    engine, run = start_run(small_problem(device="cuda"))
    finish_run(run)
    other, cut = start_run(small_problem(device="cuda"))
    for steps in (1, 3, 2, 100):
        cut.advance(steps, seconds=1e-9)
    finish_run(cut)
    assert_same_bits(other.get_weights(), engine.get_weights())
    assert_same_bits([np.array(finish_run(cut))], [np.array(finish_run(run))])


def test_going_on_elsewhere():
    """A state taken in the midst of an epoch continues on either device."""
    expected = start_run(small_problem())
    finish_run(expected[1])
    engine, run = start_run(small_problem(device="cuda"))
    run.advance(2, seconds=1.0)
    while run.done < 7:
        run.advance(7 - run.done)
    for device in ("cpu", "cuda"):
        other, going = start_run(small_problem(device=device))
        other.set_weights(engine.get_weights())
        other.set_state(engine.get_state())
        going.seek(5, 1, 2, run.sums(1))
        logs = finish_run(going)
        assert_close(other.get_weights(), expected[0].get_weights(), 1e-5)
        assert_close(logs[1:], finish_run(expected[1])[1:], 1e-5)


def test_many_networks_in_a_given_order():
    network = small_problem(device="cuda")
    engine, objective = network.engine()
    engine.reset_optimizer(optimizers.SGD(0.1))
    samples, backwards = network.samples("float32"), np.arange(43)[::-1].copy()
    options = RunOptions(batch_size=20, epochs=2)
    (weights,), _ = engine.train_many(objective, samples, replace(options, order=backwards), [network.weights], [1])
    (expected,), _ = engine.train_many(objective, samples[backwards], options, [network.weights], [1])
    assert_close(weights, expected, 1e-6)


@pytest.mark.covering
def test_many_networks_at_once(dtype, blocks):
    """They come out as if they had been trained one by one, to the last bit by the same kernel."""
    network = small_problem(device="cuda")
    engine, objective = network.engine(dtype)
    engine.reset_optimizer(optimizers.Adam(0.01))
    rng = np.random.default_rng(3)
    first = [[rng.normal(size=weight.shape).astype(dtype) for weight in network.weights] for _ in range(3)]
    task = objective, network.samples(dtype), RunOptions(batch_size=20, epochs=2, shuffle=True), first, [1, 2, 2**35]
    weights, logs = engine.train_many(*task)
    single, single_logs = super(type(engine), engine).train_many(*task)
    same = functools.partial(assert_close, relative=1e-5) if blocks == "many launches" else assert_same_bits
    for ours, theirs in zip(weights, single, strict=True):
        same(ours, theirs)
    same(list(logs), list(single_logs))
    assert logs.shape == (3, 2, 2)
    assert not np.array_equal(logs[0], logs[1])
    assert_same_bits(engine.get_weights(), [weight.astype(dtype) for weight in network.weights])


def test_large_networks_in_tf32(monkeypatch):
    """The oracle's results but for operands of 11 bits."""
    network = problem([Dense(6, "tanh"), Dense(3, "softmax")], loss="categorical_crossentropy")
    options = RUN | {"epochs": 3}
    weights, expected = network.oracle(optimizers.SGD(0.1), **options)
    monkeypatch.setattr(runs_cuda, "FLOPS_WORTH_LAUNCHES", 0.0)
    monkeypatch.setenv("FASTNN_TF32", "1")
    engine, _, logs = network.train("float32", optimizers.SGD(0.1), **options)
    assert_close(engine.get_weights(), weights, 2e-3)
    assert_close(list(logs), list(expected), 2e-3)
    assert np.abs(engine.get_weights()[0] - weights[0]).max() > 1e-6


def test_places_in_the_workspace_suit_wide_loads(dtype):
    """Every operand of a large network's product starts where four numbers can be loaded at once."""
    layers = [Dense(5, "gelu"), Dropout(0.1), BatchNormalization(), Dense(7), LayerNormalization(), Dense(3, "softmax")]
    engine, objective = problem(layers, 9).engine(dtype)
    ops = engine.plan.layout(objective.ops, 11, room=4).ops
    columns = ["WEIGHTS", "PANELS", "X", "X_STRIDE", "Z", "Y", "Y_STRIDE", "DX", "DY", "MASK", "NORMAL"]
    assert not (ops[:, [getattr(codes, column) for column in columns]] % 4).any()
    assert engine.plan.n_parameters % 4 == 0


def test_room_for_results_grows(monkeypatch):
    """With the epochs that are done, of which there may be more than memory has room for."""
    options = {"batch_size": 4, "shuffle": True}
    _, _, expected = small_problem(device="cuda").train("float32", "adam", epochs=7, **options)
    for room in (1, 2, 3):
        monkeypatch.setattr(runs_cuda, "ROOM", room)
        _, _, logs = small_problem(device="cuda").train("float32", "adam", epochs=7, **options)
        assert_same_bits(list(logs), list(expected))


def test_a_run_of_ever_so_many_epochs_and_one_that_begins_late():
    many = 10**12
    problem = small_problem(device="cuda")
    _, run = start_run(problem, "float32", "adam", epochs=many)
    run.advance(2)
    expected = run.sums(0).copy()
    _, late = start_run(problem, "float32", "adam", epochs=many)
    late.seek(late.seed, many - 1)
    late.advance(1)
    assert len(late._results) < 100
    assert late.done == (many - 1) * late.steps_per_epoch + 1
    assert late.sums(0).tolist() == [0.0] * len(expected)
    assert late.sums(many - 1)[0] > 0


def test_an_order_that_becomes_wrong():
    given = np.arange(43)
    _, run = start_run(small_problem(device="cuda"), "float32", "sgd", shuffle=False, order=given)
    while run.done < run.steps_per_epoch:
        run.advance(run.steps_per_epoch - run.done)
    given[7] = 43
    with pytest.raises(ValueError, match="order must hold numbers of rows, from 0 to 42"):
        run.advance(1)
