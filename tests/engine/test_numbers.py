"""Where numbers run off: divergence, huge logits, subnormals; and elementary functions over every float32."""

import os
import warnings

import numpy as np
import pytest
from fastnn.kernels.compiler import jit
from fastnn.kernels.formulas.elementary import erf, exp, tanh
from harness import Problem, small_problem, start_run

import fastnn
from fastnn import losses, optimizers
from fastnn.layers import Dense
from fastnn.models import Sequential
from fastnn.utils import set_random_seed

SINGLE = np.dtype("float32")
STRIDE = int(os.environ.get("FASTNN_TEST_STRIDE", "16"))  # 1: all of the 2**32
RNG = np.random.default_rng(2)
X = RNG.normal(size=(40, 5)).astype(np.float32)


# --- divergence -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("optimizer", sorted(optimizers._TABLE))
def test_a_rate_of_a_million_with_kerass_face(optimizer, threads):
    """As in Keras the fit ends, the loss says inf or nan, and the model can be given weights and trained again."""
    set_random_seed(0)
    model = Sequential([Dense(8, "relu", input_shape=(5,)), Dense(1)], threads=threads)
    model.compile(optimizers.get({"class_name": optimizer, "config": {"learning_rate": 1e6}}), "mse")
    before = model.get_weights()
    history = model.fit(X, X[:, 0], epochs=30, batch_size=8, verbose=0).history["loss"]
    assert len(history) == 30
    assert not history[-1] < 1e3
    assert model.predict(X).shape == (40, 1)
    model.set_weights(before)
    model.compile("sgd", "mse")
    assert model.fit(X, X[:, 0], epochs=30, verbose=0).history["loss"][-1] < 2


@pytest.mark.parametrize("solver", ["sgd", "adam"])
@pytest.mark.parametrize("kind", [fastnn.MLPClassifier, fastnn.MLPRegressor])
def test_a_rate_of_a_million_with_scikit_learns_face(kind, solver):
    """As scikit-learn does: finite weights, or a ValueError that says so; the next fit works."""
    model = kind(hidden_layer_sizes=(8,), solver=solver, learning_rate_init=1e6, max_iter=30, random_state=0)
    y = (X[:, 0] > 0).astype(float)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            model.fit(X, y)
        except ValueError as error:
            if "Solver produced non-finite parameter weights" not in str(error):
                raise
        model.set_params(learning_rate_init=1e-3).fit(X, y)
    assert np.isfinite(model.coefs_[0]).all()


CROSSENTROPIES = {
    "binary_crossentropy": ("sigmoid", 1),
    "categorical_crossentropy": ("softmax", 3),
    "sparse_categorical_crossentropy": ("softmax", 3),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", sorted(CROSSENTROPIES))
@pytest.mark.parametrize("size", [1e30, -1e30, 3e38])
def test_logits_that_are_huge(name, dtype, size):
    """Losses are the difference of logits, or 0; gradients are finite."""
    function, outputs = CROSSENTROPIES[name]
    kernel = np.zeros((2, outputs), dtype)
    kernel[:, 0] = size
    rows, labels = np.array([[1, 0], [-1, 0], [0, 0]], dtype), np.array([0, 0, 0])
    if name == "categorical_crossentropy":
        labels = np.eye(3)[labels]
    for layers, loss in (
        ([Dense(outputs, function, use_bias=False, input_shape=(2,))], losses.get(name)),
        ([Dense(outputs, use_bias=False, input_shape=(2,))], losses._TABLE[name](from_logits=True)),
    ):
        model = Sequential(layers, dtype=dtype)
        model.compile("sgd", loss)
        model.set_weights([kernel])
        value = model.evaluate(rows, labels, verbose=0)
        logits = rows.astype(np.float64) @ kernel.astype(np.float64)
        if outputs == 1:
            expected = np.logaddexp(0, logits)[:, 0].mean()
        else:
            expected = (np.logaddexp.reduce(logits, axis=1) - logits[:, 0]).mean()
        if np.isfinite(np.float32(expected * 3)):
            assert value == pytest.approx(expected, rel=1e-4)
        model.fit(rows, labels, verbose=0)
        assert np.isfinite(model.get_weights()[0]).all()


# --- subnormals -------------------------------------------------------------------------------------------------------


def subnormals_work():
    return float(np.array([5e-324])[0]) * 1.0 > 0.0 and bool((2.0 * np.array([1e-45], np.float32) > 0.0).all())


def test_subnormals_work_after_exceptions(monkeypatch):
    """In the caller, whatever ended the compiled call."""
    import signal
    import threading

    engine, run = start_run(small_problem(), threads=2, epochs=10**6)
    timer = threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        _advance_for_ever(run)
    timer.join()
    assert subnormals_work()
    run._team.size = 2  # whatever share of the cores the first slices had
    monkeypatch.setattr("fastnn.engine.threads._told", set())  # whatever was said before
    monkeypatch.setattr(threading.Thread, "start", _fail)
    with pytest.warns(RuntimeWarning, match="only 1 of 2 threads could be started"):
        run.advance(5)
    monkeypatch.undo()
    assert subnormals_work()
    with pytest.raises(ValueError, match="x must have the shape"):
        engine.predict(np.zeros((3, 1), np.float32))
    assert subnormals_work()


def _advance_for_ever(run):
    while True:
        run.advance(10**9)


def _fail(thread):
    raise RuntimeError("can't start new thread")


@pytest.mark.parametrize("optimizer", sorted(optimizers._TABLE))
def test_float64_repeats_the_oracle(optimizer):
    problem = Problem([Dense(7, "tanh"), Dense(3, "softmax")], 5, "sparse_categorical_crossentropy", rows=37)
    engine, _, _ = problem.train("float64", optimizer, epochs=5)
    weights = problem.oracle(optimizer, epochs=5)[0]
    for ours, theirs in zip(engine.get_weights(), weights, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-11)


# --- every float32 ----------------------------------------------------------------------------------------------------


def exp_case(x, y):
    for i in range(x.size):
        y[i] = exp(x[i])


def tanh_case(x, y):
    for i in range(x.size):
        y[i] = tanh(x[i])


def erf_case(x, y):
    for i in range(x.size):
        y[i] = erf(x[i])


def errors_in_ulp(case, exact, stride):
    """Largest error in units of the last place over every stride-th float32, NaN and infinity included."""
    program, worst, block = jit.program(case, SINGLE), 0.0, 1 << 22
    y = np.empty(block, np.float32)
    for start in range(0, 1 << 32, block * stride):
        bits = np.arange(start + start // block % stride, start + block * stride, stride, dtype=np.int64)[:block]
        x = bits.astype(np.uint32).view(np.float32)
        part = y[: x.size]
        program(x, part)
        with np.errstate(all="ignore"):
            expected = exact(x.astype(np.float64))
            single = expected.astype(np.float32)
            assert (np.isnan(part) == np.isnan(expected)).all()
            infinite = np.isinf(part) | np.isinf(single)
            unit = np.spacing(np.maximum(np.abs(single), np.finfo(np.float32).tiny)).astype(np.float64)
            error = np.abs(part.astype(np.float64) - expected) / unit
            large = np.nextafter(np.float32(np.inf), np.float32(0))
            assert (np.abs(expected[infinite]) > 0.99 * float(large)).all()
        flushed = (part == 0.0) & (np.abs(expected) < 1.001 * np.finfo(np.float32).tiny)
        error[infinite | flushed | np.isnan(expected)] = 0.0
        worst = max(worst, float(error.max()))
    return worst


def exact_erf(x):
    return pytest.importorskip("scipy.special").erf(x)


CASES = {"exp": (exp_case, np.exp, 2.5), "tanh": (tanh_case, np.tanh, 3.0), "erf": (erf_case, exact_erf, 4.5)}


@pytest.mark.parametrize("name", CASES)
def test_functions_over_a_sample_of_float32(name):
    case, exact, bound = CASES[name]
    assert errors_in_ulp(case, exact, 997) <= bound


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_functions_over_every_float32(name):
    case, exact, bound = CASES[name]
    assert errors_in_ulp(case, exact, STRIDE) <= bound
