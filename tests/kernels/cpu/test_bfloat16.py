"""Mixed precision: rounding bit for bit, products and whole trainings against the oracle, and what users see of it."""

import numpy as np
import pytest
from fastnn.kernels import codes
from fastnn.kernels.compiler import jit
from fastnn.kernels.host import cpu
from fastnn.kernels.llvm.bfloat16 import round_columns, round_row_pairs
from fastnn.kernels.llvm.instructions import at
from fastnn.kernels.reference import bfloat16
from fastnn.kernels.sizes import half
from harness import ODD_SIZES, Problem, assert_close, assert_same_bits
from test_training_kernels import SHAPES, deep, tiny, wide

import fastnn
from fastnn.data.samples import Samples
from fastnn.layers import Dense, Rescaling
from fastnn.lowering.lower import lower
from fastnn.lowering.workspace import Layout

MIXED = "mixed_bfloat16"
FLOAT = np.dtype(np.float32)
supported = pytest.mark.skipif(not cpu.has_bfloat16(), reason="this CPU has no AVX512-BF16: NOT TESTED")


@pytest.fixture(autouse=True)
def poisoned_memory(monkeypatch):
    """NaN in the workspace wherever programs may not read before they write."""
    make, scratch = Layout.workspace, Layout.scratch

    def poisoned(layout, batch_size, dtype):
        work, lanes = make(layout, batch_size, dtype), cpu.lanes(dtype)
        for op in layout.ops:
            vectors = -(-op[codes.INPUTS] // lanes)
            for start, row, width, rows in (
                (op[codes.X], op[codes.X_STRIDE], vectors, batch_size),
                (op[codes.Y], op[codes.Y_STRIDE], op[codes.PANELS], batch_size),
            ):
                if start:
                    work[start + row * np.arange(rows)[:, None] + np.arange(width * lanes)] = np.nan
        pairs = work[layout.ops[0, codes.ROW_PAIRS] :]
        pairs[pairs == 0.0] = np.nan  # all but the ones
        return work

    monkeypatch.setattr(Layout, "workspace", poisoned)
    monkeypatch.setattr(Layout, "scratch", lambda layout, *shape: np.full_like(scratch(layout, *shape), np.nan))


def rounding_case(by_rows, rows, columns, target, target_row, source, source_row, source_panel):
    if by_rows:
        round_row_pairs(rows, columns, at(target, 0), target_row, at(source, 0), source_row)
    else:
        round_columns(rows, columns, at(target, 0), target_row, at(source, 0), source_row, source_panel)


def floats(pairs):
    """The bfloat16 in an array of pairs, as float32, in order of memory."""
    return (np.ascontiguousarray(pairs).view(np.uint16).astype(np.uint32) << 16).view(np.float32)


def numbers(rng, shape):
    """Any bit patterns, with ties, infinities, zeros, subnormals and the largest numbers among them."""
    bits = rng.integers(0, 2**32, shape, np.uint32)
    special = [0x3F808000, 0x3F818000, 0xBF808000, 0xBF818000, 0x3F807FFF, 0x3F808001, 0x7F800000, 0xFF800000]
    special += [0x7F7FFFFF, 0xFF7FFFFF, 0x7F7F7FFF, 0x7F7F8000, 0, 1 << 31, 1, 0x807FFFFF, 0x00800000, 0x7FC00000]
    special += [0x7F800001, 0xFFFFFFFF]
    chosen = rng.random(shape) < 0.3
    bits[chosen] = rng.choice(np.array(special, np.uint32), chosen.sum())
    return bits.view(np.float32)


def assert_rounded(given, values):
    np.testing.assert_array_equal(given, bfloat16(values))
    np.testing.assert_array_equal(np.signbit(given)[~np.isnan(given)], np.signbit(values)[~np.isnan(given)])


@supported
@pytest.mark.parametrize("columns", [1, 15, 16, 17, 31, 32, 33, 100])
def test_rounding_along_rows(rng, columns):
    values, row = numbers(rng, (5, columns + 3)), 16 * -(-columns // 32)
    target = np.full((5, row + 2), np.nan, np.float32)
    jit.program(rounding_case, FLOAT)(0, 5, columns, target.ravel(), row + 2, values.ravel(), columns + 3, 16)
    given = floats(target[:, :row])
    assert_rounded(given[:, :columns], values[:, :columns])
    assert (given[:, columns:].view(np.uint32) == 0).all()
    assert np.isnan(target[:, row:]).all()
    if row <= columns:
        jit.program(rounding_case, FLOAT)(0, 5, columns, values.ravel(), columns + 3, values.ravel(), columns + 3, 16)
        assert_same_bits(values[:, :row].copy(), target[:, :row].copy())


@supported
@pytest.mark.parametrize("rows", [1, 2, 7])
def test_rounding_pairs_of_rows(rng, rows):
    values = numbers(rng, (rows, 37))
    target = np.full((half(rows), 40), np.nan, np.float32)
    jit.program(rounding_case, FLOAT)(1, rows, 2, target.ravel(), 40, values.ravel(), 37, 0)
    given = floats(target[:, :32]).reshape(-1, 32, 2).transpose(0, 2, 1).reshape(-1, 32)
    assert_rounded(given[:rows], values[:, :32])
    assert (given[rows:].view(np.uint32) == 0).all()
    assert np.isnan(target[:, 32:]).all()


@supported
@pytest.mark.parametrize("inputs", ODD_SIZES)
@pytest.mark.parametrize("outputs", ODD_SIZES)
def test_way_forward(rng, inputs, outputs):
    """Sums of products of rounded operands, to within the rounding of float32 sums."""
    rows = ODD_SIZES[(inputs + outputs) % 5]
    problem = Problem([Dense(outputs)], inputs, "mean_squared_error", rows=rows, mixed=True)
    engine, _ = problem.engine()
    x, (kernel, bias) = bfloat16(problem.x), problem.weights
    size = np.abs(x) @ np.abs(bfloat16(kernel)) + np.abs(bias)
    error = np.abs(engine.predict(problem.x) - (x @ bfloat16(kernel) + bias))
    assert (error <= (inputs + 2) * np.finfo(np.float32).eps * size).all()


@supported
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_gradients_of_odd_shapes(shape):
    """Close as a whole: an element near a tie may be rounded the other way than by the oracle."""
    rows, inputs, hidden, outputs = shape
    layers = [Dense(hidden, "tanh"), Dense(outputs, "sigmoid")]
    problem = Problem(layers, inputs, "mean_squared_error", rows=rows, mixed=True)
    engine, objective = problem.engine()
    x, y, _ = problem.data(FLOAT)
    value, gradients = problem.gradients()
    assert_close(engine.predict(x), problem.outputs(), 2e-3)
    assert engine.evaluate(objective, Samples(x, y))[0] == pytest.approx(value, rel=1e-4)
    for given, expected in zip(engine.gradient(objective, Samples(x, y)), gradients, strict=True):
        assert np.linalg.norm(given - expected) <= 5e-4 * np.linalg.norm(expected)


@supported
def test_gradients_point_the_same_way_as_exact_ones():
    problem, exact = deep(mixed=True), deep()
    problem.layers = exact.layers = [layer for layer in exact.layers if layer.kind != "dropout"]
    engine, objective = problem.engine()
    given = np.concatenate([g.ravel() for g in engine.gradient(objective, problem.samples(FLOAT))])
    expected = np.concatenate([g.ravel() for g in exact.gradients()[1]])
    assert given @ expected >= 0.9995 * np.linalg.norm(given) * np.linalg.norm(expected)
    assert np.linalg.norm(given) == pytest.approx(np.linalg.norm(expected), rel=0.01)


@supported
@pytest.mark.parametrize("optimizer", ["sgd", "rmsprop", "adam"])
def test_training_is_the_oracles(optimizer):
    options = {"batch_size": 31, "epochs": 3, "seed": 2**33 + 5}
    problem, exact = deep(mixed=True), deep()
    engine, _, logs = problem.train(optimizer=optimizer, **options)
    weights, expected = problem.oracle(optimizer, **options)
    np.testing.assert_allclose(logs, expected, rtol=2e-3)
    begun = np.concatenate([w.ravel() for w in problem.weights])
    given, wanted, unrounded = (
        np.concatenate([w.ravel() for w in every]) - begun
        for every in (engine.get_weights(), weights, exact.oracle(optimizer, **options)[0])
    )
    assert np.linalg.norm(given - wanted) <= 0.5 * np.linalg.norm(given - unrounded)
    assert np.linalg.norm(given - wanted) <= 0.02 * np.linalg.norm(wanted)


@supported
def test_rounded_weights_follow_the_weights():
    """What training leaves behind the weights is what setting them makes, padding included."""
    engine, _, _ = deep(mixed=True).train(batch_size=31)
    after = engine.params.copy()
    engine.set_weights(engine.get_weights())
    assert_same_bits(engine.params, after)
    assert len(after) > engine.plan.n_parameters


@supported
@pytest.mark.parametrize(
    ("problem", "batch_size"), [(tiny, 1), (tiny, 7), (tiny, 1000), (deep, 2), (deep, 64), (deep, 1000), (wide, 97)]
)
def test_training_has_the_same_bits_on_any_team(problem, batch_size):
    runs = []
    for threads in (1, 2, 3, 2):
        engine, _, logs = problem(mixed=True).train(threads=threads, batch_size=batch_size)
        runs.append([engine.params, engine.slots, logs])
    for run in runs[1:]:
        assert_same_bits(run, runs[0])


@supported
@pytest.mark.parametrize("problem", [deep, wide])
def test_predictions_have_the_same_bits_on_any_team_and_split(problem):
    problem = problem(mixed=True)
    engine, _ = problem.engine()
    x = np.concatenate([problem.x] * 4)
    whole = engine.predict(x, threads=1)
    assert_same_bits(engine.predict(x, threads=3), whole)
    for size in (1, 17, 97):
        parts = [engine.predict(x[start : start + size]) for start in range(0, 2 * size, size)]
        assert_same_bits(np.concatenate(parts), whole[: 2 * size])


@supported
def test_training_and_evaluation_see_the_same_outputs():
    problem = Problem([Dense(19, "gelu"), Dense(7, "softmax"), Dense(3)], 5, "mean_squared_error", rows=40, mixed=True)
    engine, objective = problem.engine()
    evaluated = engine.evaluate(objective, problem.samples(FLOAT))
    _, _, logs = problem.train(optimizer="sgd", batch_size=40, epochs=1)
    np.testing.assert_allclose(logs[0], evaluated, rtol=1e-7)


@supported
def test_nan_and_infinity_stay_in_their_rows():
    problem = Problem([Dense(33, "relu"), Dense(5)], 20, "mean_squared_error", rows=9, mixed=True)
    engine, _ = problem.engine()
    expected, x = engine.predict(problem.x), problem.x.copy()
    x[3, 7], x[5, 1] = np.nan, np.inf
    result = engine.predict(x)
    assert np.isnan(result[3]).all()
    assert not np.isfinite(result[5]).any()
    assert_same_bits(np.delete(result, [3, 5], axis=0), np.delete(expected, [3, 5], axis=0))


@supported
def test_bytes_are_scaled_before_they_are_rounded(rng):
    pixels = rng.integers(0, 256, (50, 33), np.uint8)
    plan = lower([Rescaling(1 / 255), Dense(7)], 33, MIXED)
    engine = fastnn.engine.engine.Engine(plan)
    kernel = rng.normal(size=(33, 7)).astype(np.float32)
    engine.set_weights([kernel, np.zeros(7, np.float32)])
    expected = bfloat16(pixels.astype(np.float32) * np.float32(1 / 255)) @ bfloat16(kernel)
    np.testing.assert_allclose(engine.predict(pixels), expected, rtol=0, atol=1e-5)


def digits_model(dtype, epochs=15):
    """A model trained on part of scikit-learn's digits, and its accuracy on the rest."""
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    fastnn.utils.set_random_seed(3)
    model = fastnn.Sequential(
        [Rescaling(1 / 16, input_shape=(64,)), Dense(65, "relu"), Dense(33, "relu"), Dense(10, "softmax")], dtype=dtype
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(x[:1200], y[:1200], batch_size=32, epochs=epochs, verbose=0)
    return model, x, model.evaluate(x[1200:], y[1200:], verbose=0)[1]


@supported
def test_accuracy_is_that_of_float32():
    (_, _, mixed), (_, _, single) = digits_model(MIXED), digits_model("float32")
    assert single > 0.9
    assert abs(mixed - single) < 0.02


@supported
def test_models_keep_float32_weights_and_survive_a_file(tmp_path):
    model, x, _ = digits_model(MIXED, 3)
    assert {weight.dtype for weight in model.get_weights()} == {FLOAT}
    assert model.predict(x, verbose=0).dtype == FLOAT
    model.save(tmp_path / "model.fastnn")
    again = fastnn.load_model(tmp_path / "model.fastnn")
    assert again.dtype == MIXED
    assert again.engine.plan.mixed
    assert_same_bits(again.predict(x, verbose=0), model.predict(x, verbose=0))
    assert_same_bits(again.get_weights(), model.get_weights())
    layer = model.layers[-1]
    layer.set_weights([np.zeros_like(weight) for weight in layer.get_weights()])
    np.testing.assert_allclose(model.predict(x, verbose=0), 0.1, rtol=1e-6)


def without_bfloat16():
    """Environments in which this CPU seems to lack products of bfloat16."""
    features = ",".join(f"+{name}" for name in sorted(cpu.cpu_features() - {"avx512bf16"}))
    return [{"NUMBA_CPU_FEATURES": features}, {"FASTNN_SIMD": "none"}]


@pytest.mark.slow
@pytest.mark.parametrize("environment", without_bfloat16(), ids=["feature", "level"])
def test_without_the_instructions_it_warns_and_computes_in_float32(run_python, environment):
    code = """
        import warnings, numpy as np, fastnn
        from fastnn.layers import Dense
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            mixed = fastnn.Sequential([Dense(3, "tanh", input_shape=(5,))], dtype="mixed_bfloat16")
            single = fastnn.Sequential([Dense(3, "tanh", input_shape=(5,))])
            single.set_weights(mixed.get_weights())
            x = np.random.default_rng(0).normal(size=(4, 5))
            assert (mixed.predict(x, verbose=0) == single.predict(x, verbose=0)).all()
        (warning,) = caught
        print(warning.category.__name__, warning.message)
    """
    printed = run_python(code, **environment)
    assert printed.startswith("RuntimeWarning dtype 'mixed_bfloat16' needs a CPU with AVX512-BF16")
    assert "float32 is used" in printed
