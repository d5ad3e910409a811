"""Products of bfloat16 on the device: the oracle's, those of the CPU, and nothing else is rounded."""

import numpy as np
import pytest
from fastnn.kernels.cuda import device as device_cuda
from fastnn.kernels.cuda import jit
from fastnn.kernels.host import cpu
from fastnn.kernels.reference import bfloat16
from harness import Problem, assert_close

import fastnn
from fastnn import MLPClassifier
from fastnn.data.samples import Samples
from fastnn.engine.factory import make_engine
from fastnn.layers import BatchNormalization, Dense, Dropout, LayerNormalization
from fastnn.lowering.lower import lower
from fastnn.regularizers import L2

RUN = {"batch_size": 4, "epochs": 2, "seed": 2**33 + 5}
# Close as a whole: an element near a tie may be rounded the other way than by the oracle, whose sums are exact.
NEAR = 5e-4


def distance(given, expected, begun=0.0):
    """Distance between lists of arrays, as a share of the way from where they began."""
    given, expected = (np.concatenate([array.ravel() for array in arrays]) for arrays in (given, expected))
    return np.linalg.norm(given - expected) / np.linalg.norm(expected - begun)


def deep(mixed=True, rows=11, **options):
    layers = [
        Dense(7, "gelu", kernel_regularizer=L2(0.01)), BatchNormalization(), Dropout(0.2), Dense(5, "tanh"),
        LayerNormalization(), Dense(3, "softmax"),
    ]  # fmt: skip
    options = {"weighted": True, "metrics": ["sparse_categorical_accuracy"], "device": "cuda"} | options
    return Problem(layers, 6, "sparse_categorical_crossentropy", rows=rows, mixed=mixed, **options)


def test_numbers_are_rounded_to_the_nearest():
    if not jit.SIMULATED:
        pytest.skip("what stands in for the instruction is tested here")
    from fastnn.kernels.cuda.tensor_cores import to_bfloat16

    bits = np.random.default_rng(0).integers(0, 2**32, 500, np.uint32)
    values = np.concatenate(
        [bits.view(np.float32), np.float32([1.00390625, 1.01171875, -0.0, np.inf, -np.inf, np.nan])]
    )
    values = values[~(np.abs(values) < np.finfo(np.float32).tiny) | (values == 0.0)]  # the CPU flushes subnormals
    np.testing.assert_array_equal([to_bfloat16(value) for value in values], bfloat16(values))


def test_gradients_predictions_and_evaluations(blocks):
    layers = [Dense(7, "tanh"), Dense(3, "sigmoid")]
    problem = Problem(layers, 5, "mean_squared_error", rows=9, mixed=True, device="cuda")
    engine, objective = problem.engine()
    value, gradients = problem.gradients()
    x, y, _ = problem.data("float32")
    assert_close(engine.predict(x), problem.outputs(), 2e-3)
    assert engine.evaluate(objective, Samples(x, y))[0] == pytest.approx(value, rel=1e-4)
    for given, expected in zip(engine.gradient(objective, Samples(x, y)), gradients, strict=True):
        assert distance([given], [expected]) <= NEAR


def test_one_layer_is_exact_but_for_its_sums(blocks):
    """Its operands are rounded once, its bias is not."""
    problem = Problem([Dense(6)], 13, "mean_squared_error", rows=9, mixed=True, device="cuda")
    engine, objective = problem.engine()
    kernel, bias = problem.weights
    outputs = bfloat16(problem.x) @ bfloat16(kernel) + bias
    assert_close(engine.predict(problem.x), outputs, 1e-6)
    error = bfloat16((2.0 * (outputs - problem.y) / outputs.size).astype(np.float32))
    expected = [bfloat16(problem.x).T @ error, error.sum(axis=0)]
    for given, wanted in zip(engine.gradient(objective, problem.samples("float32")), expected, strict=True):
        assert distance([given], [wanted]) <= NEAR
    assert np.abs(engine.predict(problem.x) - (problem.x @ kernel + bias)).max() > 1e-3


def test_training_is_the_oracles(blocks):
    problem, exact = deep(), deep(mixed=False)
    engine, _, logs = problem.train(**RUN)
    weights, expected = problem.oracle(**RUN)
    np.testing.assert_allclose(logs, expected, rtol=2e-3)
    begun = np.concatenate([weight.ravel() for weight in problem.weights])
    assert distance(engine.get_weights(), weights, begun) <= 0.02
    unrounded = exact.oracle(**RUN)[0]
    assert distance(engine.get_weights(), weights) <= 0.5 * distance(engine.get_weights(), unrounded)


@pytest.mark.skipif(not cpu.has_bfloat16(), reason="the CPU has no products of bfloat16")
def test_it_is_the_cpus(blocks):
    problem = deep(rows=23)
    found = {}
    for device in ("cpu", "cuda"):
        problem.device = device
        engine, objective, logs = problem.train(**RUN)
        evaluated = engine.evaluate(objective, problem.samples("float32"))
        found[device] = engine.get_weights(), [logs, engine.predict(problem.data("float32")[0]), evaluated]
    begun = np.concatenate([weight.ravel() for weight in problem.weights])
    assert distance(found["cuda"][0], found["cpu"][0], begun) <= 0.02
    assert_close(found["cuda"][1], found["cpu"][1], 2e-3)


def test_weights_stay_float32():
    """Master weights are not rounded: steps too small for bfloat16 add up."""
    problem = Problem([Dense(3)], 4, "mean_squared_error", rows=8, mixed=True, device="cuda")
    engine, _, _ = problem.train(optimizer=fastnn.optimizers.SGD(1e-5), batch_size=8, epochs=3)
    for before, after in zip(problem.weights, engine.get_weights(), strict=True):
        assert after.dtype == np.float32
        assert np.abs(after - before).max() > 0.0
        assert np.abs(after - before).max() < 1e-3
        assert not np.array_equal(bfloat16(after), after)
    assert engine.plan.memory_size == engine.plan.row_major().memory_size


def test_both_faces_and_files(tmp_path):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(20, 4)).astype(np.float32), rng.integers(0, 3, 20)
    model = fastnn.Sequential([Dense(3, "softmax", input_shape=(4,))], dtype="mixed_bfloat16", device="cuda")
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(x, y, epochs=1, verbose=0)
    assert model.engine.plan.mixed
    model.save(tmp_path / "model")
    again = fastnn.load_model(tmp_path / "model", device="cuda")
    assert again.engine.plan.mixed
    np.testing.assert_array_equal(again.predict(x), model.predict(x))
    estimator = MLPClassifier((4,), dtype="mixed_bfloat16", device="cuda", batch_size=5, random_state=1)
    estimator.partial_fit(x, y, classes=[0, 1, 2])
    assert estimator._engine.plan.mixed
    assert estimator.coefs_[0].dtype == np.float32


def test_an_older_gpu_is_refused(monkeypatch):
    monkeypatch.setattr(device_cuda, "has_bfloat16", lambda: False)
    plan = lower([Dense(1)], 2, "mixed_bfloat16", device="cuda")
    with pytest.raises(ValueError, match="'mixed_bfloat16' needs a GPU of compute capability 8.0 or newer"):
        make_engine(plan, "cuda")


def test_it_does_not_depend_on_the_cpu(monkeypatch):
    monkeypatch.setattr(cpu, "has_bfloat16", lambda: False)
    assert lower([Dense(1)], 2, "mixed_bfloat16", device="cuda").mixed
    with pytest.warns(RuntimeWarning, match="needs a CPU with AVX512-BF16"):
        assert not lower([Dense(1)], 2, "mixed_bfloat16").mixed
