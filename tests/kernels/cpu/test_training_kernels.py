"""Whole trainings and predictions: odd shapes in poisoned memory, and the same bits for any team and any split."""

import numpy as np
import pytest
from fastnn.kernels import codes
from fastnn.kernels.host import cpu
from harness import ODD_SIZES, Problem, assert_close, assert_same_bits, tolerance

from fastnn import activations
from fastnn.data.samples import Samples
from fastnn.engine import engine
from fastnn.layers import Activation, BatchNormalization, Dense, Dropout, LayerNormalization, Normalization
from fastnn.losses import BinaryCrossentropy
from fastnn.lowering import plan
from fastnn.lowering.kinds import NORMALIZATIONS, WITH_WEIGHTS
from fastnn.lowering.plan import Layout
from fastnn.optimizers import SGD
from fastnn.regularizers import L2

THREADS = (1, 2, 3)


class PoisonedNumPy:
    """NumPy whose unset memory is NaN: whatever is read before it is written shows."""

    def __getattr__(self, name):
        return getattr(np, name)

    @staticmethod
    def empty(shape, dtype=np.float64):
        return np.full(shape, np.nan, dtype)


@pytest.fixture(autouse=True)
def poisoned_memory(monkeypatch):
    """NaN wherever programs may not read before they write; afterwards what lies between the rows must be unchanged."""
    monkeypatch.setattr(engine, "np", PoisonedNumPy())
    workspaces, make = [], Layout.workspace

    def poisoned(layout, batch_size, dtype):
        work = make(layout, batch_size, dtype)
        between = np.ones(work.size, bool)
        lanes, rows = cpu.lanes(dtype), np.arange(batch_size)[:, None]
        first = layout.ops[0]
        normalized = any(op[codes.KIND] in NORMALIZATIONS for op in layout.ops)  # then the input's padding is read
        width = first[codes.INPUTS] if normalized else -(-first[codes.INPUTS] // lanes) * lanes
        places = [(first[codes.X], first[codes.X_STRIDE], width, rows, np.nan)]
        for op in layout.ops:
            row, width = op[codes.Y_STRIDE], op[codes.PANELS] * lanes
            padding_is_read = ((codes.Y, np.nan), (codes.DY, 0.0), (codes.MASK, 0.0))
            places += [(op[column], row, width, rows, value) for column, value in padding_is_read]
            if op[codes.KIND] in WITH_WEIGHTS:
                places.append((op[codes.Z], row, width, rows, np.nan))
            if op[codes.KIND] == codes.STANDARDIZE:
                places.append((op[codes.DEVIATIONS], row, width, rows[:1], np.nan))
            if op[codes.KIND] in NORMALIZATIONS:
                places.append((op[codes.NORMAL], row, width, rows, np.nan))
                places.append((op[codes.SUMS], row, width, np.arange(2)[:, None], np.nan))
                places.append((op[codes.DEVIATIONS], row, max(width, batch_size), rows[:1], np.nan))
        for start, row, width, rows, value in places:
            if start:
                inside = start + row * rows + np.arange(width)
                assert inside.max() < work.size
                work[inside], between[inside] = value, False
        workspaces.append((work, work.copy(), between))
        return work

    monkeypatch.setattr(Layout, "workspace", poisoned)
    yield
    for work, before, between in workspaces:
        assert_same_bits(work[between], before[between])


SHAPES = [  # (rows, inputs, hidden units, outputs): every pair of rows and inputs, and many of the others
    (rows, inputs, ODD_SIZES[(i + j) % 6], ODD_SIZES[(i + 2 * j) % 6] if i * j < 25 else 3)
    for i, rows in enumerate(ODD_SIZES)
    for j, inputs in enumerate(ODD_SIZES)
]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_dense_layers_of_odd_shapes(dtype, shape):
    """Forward, input gradient and weight gradient of every layer, with as many rows in the batch as in the data."""
    rows, inputs, hidden, outputs = shape
    problem = Problem([Dense(hidden, "tanh"), Dense(outputs, "sigmoid")], inputs, "mean_squared_error", rows=rows)
    engine, objective = problem.engine(dtype)
    x, y, _ = problem.data(dtype)
    close = tolerance(dtype, 3e-6, 1e-14)
    value, gradients = problem.gradients()
    assert_close(engine.predict(x), problem.outputs(), close)
    assert engine.evaluate(objective, Samples(x, y))[0] == pytest.approx(value, rel=close)
    assert_close(engine.gradient(objective, Samples(x, y)), gradients, close)


def deep(**options):
    """All kinds of layers, widths that are no multiple of a vector, penalties, dropout."""
    layers = [
        Dropout(0.1), Dense(37, "relu", kernel_regularizer=L2(0.001)), Dropout(0.2), Dense(65, "gelu"),
        Activation("softmax"), Dense(130, use_bias=False, kernel_regularizer=L2(0.002)), Activation("selu"),
        Dense(18, "silu"), Dropout(0.3), Activation("elu"), Dense(5, "softmax"),
    ]  # fmt: skip
    return Problem(
        layers, 50, "sparse_categorical_crossentropy", rows=131, metrics=["sparse_categorical_accuracy"], weighted=True,
        **options,
    )  # fmt: skip


def wide(**options):
    return Problem(
        [Dense(513, "relu"), Dense(257, "tanh"), Dense(10, "softmax")], 100, "categorical_crossentropy", rows=150,
        **options,
    )  # fmt: skip


def tiny(**options):
    return Problem(
        [Dense(3, "relu"), Dense(1, "sigmoid")], 2, "binary_crossentropy", rows=23, metrics=["binary_accuracy"],
        **options,
    )  # fmt: skip


def normalized(**options):
    """Both normalizations first, last, on each other and under every kind of layer; some without gamma or beta."""
    layers = [
        Normalization(), BatchNormalization(momentum=0.9), Dense(37), BatchNormalization(), Activation("relu"),
        Dropout(0.2), LayerNormalization(), Dense(65, "softmax"), LayerNormalization(center=False), Activation("gelu"),
        Dense(30, "tanh", kernel_regularizer=L2(0.001)), Activation("softmax"), BatchNormalization(scale=False),
        BatchNormalization(), Activation("silu"), Activation("elu"), LayerNormalization(scale=False), Dense(20),
        BatchNormalization(center=False, momentum=0.0), Activation("softmax"), Dense(5), LayerNormalization(),
        Activation("softmax"),
    ]  # fmt: skip
    return Problem(
        layers, 50, "sparse_categorical_crossentropy", rows=131, metrics=["sparse_categorical_accuracy"], weighted=True,
        **options,
    )  # fmt: skip


def narrow():
    """Layers that would leave most of a vector empty; more than one square of LANES inputs, a tail in the last one."""
    layers = [
        Dropout(0.1), Dense(5, "gelu"), Activation("elu"), Dense(19, "tanh", use_bias=False), Dropout(0.2),
        Dense(7, "relu"), Activation("sigmoid"), Dense(3, "softmax"),
    ]  # fmt: skip
    return Problem(layers, 21, "sparse_categorical_crossentropy", rows=131, weighted=True)


def one_layer():
    """Nothing but the barrier stands between the penalty of a step and the change of the weights."""
    return Problem([Dense(300, kernel_regularizer=L2(0.01))], 200, "mean_squared_error", rows=100)


SMOOTH_OR_BOUNDED = [name for name in codes.ACTIVATIONS if name not in ("step", "exponential")]
OBJECTIVES = [  # (last activation or any, loss, fewest outputs)
    (None, "mean_squared_error", 1),
    (None, "mean_absolute_error", 1),
    ("sigmoid", "binary_crossentropy", 1),
    ("linear", BinaryCrossentropy(from_logits=True), 1),
    ("softmax", "categorical_crossentropy", 2),
    ("softmax", "sparse_categorical_crossentropy", 2),
    ("sigmoid", "sparse_categorical_crossentropy", 2),
]


def random_problem(seed):
    """A network of random layers with a loss that suits it, and a run: (problem, optimizer, threads, options)."""
    rng = np.random.default_rng(seed)

    def pick(*choices):
        return choices[rng.integers(len(choices))]

    def activation():
        return activations.get(pick("linear", "linear", *SMOOTH_OR_BOUNDED))

    def dense(units, function):
        return Dense(units, function, use_bias=pick(True, True, False), kernel_regularizer=pick(None, None, L2(0.01)))

    def hidden():
        kind = pick("dense", "dense", "activation", "dropout", "batch", "layer")
        if kind == "batch":
            return BatchNormalization(momentum=pick(0.99, 0.5), scale=pick(True, False), center=pick(True, False))
        if kind == "layer":
            return LayerNormalization(scale=pick(True, False), center=pick(True, False))
        if kind == "dense":
            return dense(pick(1, 2, 5, 8, 16, 17, 31, 33, 70), activation())
        return Activation(activation()) if kind == "activation" else Dropout(pick(0.2, 0.5))

    last, loss, fewest = pick(*OBJECTIVES)
    outputs = max(fewest, pick(1, 2, 3, 16, 19))
    layers = [*(hidden() for _ in range(rng.integers(6))), dense(outputs, last or activation())]
    layers += [Dropout(0.3)] if last is None and pick(True, False, False) else []
    problem = Problem(layers, pick(1, 3, 16, 29), loss, pick(1, 7, 40), weighted=pick(True, False), seed=seed)
    options = {"batch_size": pick(1, 3, 8, 50), "epochs": 2, "shuffle": pick(True, False), "seed": seed}
    return problem, pick("sgd", "rmsprop", "adam", "adamw", SGD(0.01, 0.9, True)), pick(1, 2, 3), options


@pytest.fixture(params=["by layers", "by rows"])
def shared(request, monkeypatch):
    """How a team shares a step, for batches of six rows and more."""
    monkeypatch.setattr(plan, "ROWS_OF_SEGMENT", 3 if request.param == "by rows" else 10**9)
    monkeypatch.setattr(plan, "SMALL_PARAMETERS", 10**9)


@pytest.mark.parametrize("seed", range(80))
def test_random_networks(seed, shared):
    problem, optimizer, threads, options = random_problem(seed)
    engine, _, logs = problem.train("float64", optimizer, threads, **options)
    weights, expected = problem.oracle(optimizer, **options)
    assert_close(engine.get_weights(), weights, 1e-9)
    np.testing.assert_allclose(logs, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("network", [deep, normalized])
@pytest.mark.parametrize("optimizer", ["sgd", "rmsprop", "adam"])
def test_deep_training_is_the_oracles(dtype, network, optimizer, shared):
    options = {"batch_size": 31, "epochs": 3, "seed": 2**33 + 5}
    problem = network()
    engine, _, logs = problem.train(dtype, optimizer, **options)
    weights, expected = problem.oracle(optimizer, **options)
    # biases below a normalization have gradients of rounding errors, which Adam magnifies
    close = 1e-5 if optimizer == "sgd" else 1e-4 if network is deep else 2e-3
    assert_close(engine.get_weights(), weights, tolerance(dtype, close, 1e-11))
    np.testing.assert_allclose(logs, expected, rtol=tolerance(dtype, 1e-5, 1e-11))


@pytest.mark.covering
@pytest.mark.parametrize(
    ("problem", "batch_size"),
    [
        *((one_layer, 10), (tiny, 1), (tiny, 7), (tiny, 1000), (deep, 2), (deep, 64), (deep, 1000), (wide, 7)),
        *((wide, 97), (normalized, 1), (normalized, 2), (normalized, 64), (normalized, 1000)),
    ],
)
def test_training_has_the_same_bits_on_any_team(dtype, problem, batch_size, shared):
    runs = []
    for threads in (*THREADS, 2):
        engine, _, logs = problem().train(dtype, "adam", threads, batch_size=batch_size, epochs=2)
        runs.append([engine.params, engine.slots, logs])
    for run in runs[1:]:
        assert_same_bits(run, runs[0])


def test_large_batches_of_small_networks_are_shared_by_rows(dtype):
    """Segments of several parts each, and a last batch of fewer rows than segments."""
    layers = [Dense(20, "tanh", kernel_regularizer=L2(0.01)), Dropout(0.2), Dense(3)]
    problem = Problem(layers, 5, "mean_squared_error", rows=1605, metrics=["mean_absolute_error"], weighted=True)
    options = {"batch_size": 1600, "epochs": 3, "seed": 3}
    weights, expected = problem.oracle("adam", **options)
    runs = []
    for threads in THREADS:
        engine, _, logs = problem.train(dtype, "adam", threads, **options)
        assert engine.plan.segments(options["batch_size"]) == 8
        assert_close(engine.get_weights(), weights, tolerance(dtype, 1e-4, 1e-11))
        np.testing.assert_allclose(logs, expected, rtol=tolerance(dtype, 1e-5, 1e-11))
        runs.append([engine.params, engine.slots, logs])
    for run in runs[1:]:
        assert_same_bits(run, runs[0])


@pytest.mark.parametrize("problem", [deep, wide, normalized, narrow, tiny])
def test_predictions_have_the_same_bits_on_any_team_and_split(dtype, problem):
    problem = problem()
    engine, objective = problem.engine(dtype)
    rng = np.random.default_rng(1)
    rows = rng.integers(0, len(problem.x), 500)
    x, y = problem.x[rows].astype(dtype), problem.y[rows].astype(dtype)
    sample_weights = None if problem.sample_weights is None else problem.sample_weights[rows].astype(dtype)
    whole = engine.predict(x, threads=1)
    evaluated = engine.evaluate(objective, Samples(x, y, sample_weights), threads=1)
    for threads in THREADS:
        assert_same_bits(engine.predict(x, threads=threads), whole)
        assert_same_bits(engine.evaluate(objective, Samples(x, y, sample_weights), threads=threads), evaluated)
    for size in (1, 3, 17, 95, 96, 97, 250):
        parts = [engine.predict(x[start : start + size]) for start in range(0, min(len(x), 5 * size), size)]
        assert_same_bits(np.concatenate(parts), whole[: sum(map(len, parts))])
    assert_same_bits(engine.predict(x[::-1].copy()), whole[::-1].copy())


def test_narrow_networks_are_predicted_with_one_row_in_each_lane(dtype, monkeypatch):
    """Predictions of the two ways, and the oracle's, from the same weights."""
    monkeypatch.setattr(plan, "NARROW", 0.0)  # whatever the lanes of this machine
    problem = narrow()
    engine, _ = problem.engine(dtype)
    assert engine.plan.is_narrow
    x, _, _ = problem.data(dtype)
    outputs = engine.predict(x)
    assert_close(outputs, problem.outputs(), tolerance(dtype, 1e-5, 1e-13))
    assert_same_bits(outputs, np.concatenate([engine.predict(row[None]) for row in x]))


def test_training_and_predicting_see_the_same_outputs(dtype):
    """The loss of the first step, from the training program, is what evaluation says of the same weights."""
    problem = Problem([Dense(19, "gelu"), Dense(7, "softmax"), Dense(3)], 5, "mean_squared_error", rows=40)
    engine, objective = problem.engine(dtype)
    evaluated = engine.evaluate(objective, problem.samples(dtype))
    _, _, logs = problem.train(dtype, "sgd", batch_size=40, epochs=1)
    np.testing.assert_allclose(logs[0], evaluated, rtol=tolerance(dtype, 1e-7, 1e-15))


def test_nan_in_one_row_stays_there(dtype):
    problem = deep()
    engine, _ = problem.engine(dtype)
    x = problem.data(dtype)[0]
    expected = engine.predict(x)
    x[3, 7] = np.nan
    result = engine.predict(x)
    assert np.isnan(result[3]).all()
    assert_same_bits(np.delete(result, 3, axis=0), np.delete(expected, 3, axis=0))


def test_diverging_training_shows_nan_and_returns(dtype):
    problem = Problem([Dense(9, "relu"), Dense(2)], 5, "mean_squared_error", rows=40)
    problem.x *= 1e3
    engine, _, logs = problem.train(dtype, "sgd", epochs=200)
    assert np.isnan(logs[-1, 0])
    assert np.isnan(engine.get_weights()[0]).any()
    engine.set_weights([w.astype(dtype) for w in problem.weights])  # nothing of it stays behind
    assert_close(engine.predict(problem.data(dtype)[0]), problem.outputs(), tolerance(dtype, 2e-6, 1e-14))
