"""Programs made for one network (``jit_compile``): the same bits as the general ones, and when they are made."""

import os
import weakref

import numpy as np
import pytest
from fastnn.kernels.compiler import jit, program_cache
from fastnn.kernels.host import cpu
from harness import Problem, assert_same_bits, finish_run

import fastnn
from fastnn import optimizers
from fastnn.engine import run as runs
from fastnn.engine.run_options import RunOptions
from fastnn.layers import Activation, BatchNormalization, Dense, Dropout, LayerNormalization
from fastnn.losses import SparseCategoricalCrossentropy
from fastnn.regularizers import L2

SPARSE = "sparse_categorical_crossentropy"
TINY = [Dense(16, "relu"), Dense(8, "relu"), Dense(1, "sigmoid")]
WITH_EVERYTHING = [
    Dense(33, "tanh", kernel_regularizer=L2(0.01)), Dropout(0.3), Dense(20, "gelu", use_bias=False), Activation("elu"),
    Dense(5, "softmax"),
]  # fmt: skip
NORMALIZED = [Dense(18), BatchNormalization(), Activation("relu"), Dense(7), LayerNormalization(), Dense(3)]


def trained(problem, jit_compile, dtype="float32", threads=1, optimizer="adam", **options):
    """Weights, state of the optimizer and logs of a run with or without a program of its own."""
    engine, objective = problem.engine(dtype, threads)
    engine.jit_compile = jit_compile
    engine.reset_optimizer(optimizers.get(optimizer))
    options = {"batch_size": 10, "epochs": 3, "shuffle": True, "seed": 5} | options
    run = engine.train(objective, problem.samples(dtype), RunOptions(**options))
    logs = finish_run(run)
    assert (".network" in str(run._program._cache.path)) is jit_compile
    return [engine.params.copy(), engine.slots.copy(), engine.state.copy(), np.array(logs)]


def check(problem, **options):
    assert_same_bits(trained(problem, True, **options), trained(problem, False, **options))


def test_a_tiny_network():
    problem = Problem(TINY, 8, "binary_crossentropy", rows=43)
    for threads in (1, 2, 3):
        check(problem, threads=threads)
    check(problem, seed=7, first_epoch=4)  # these, and the number of rows, are no part of the program
    check(Problem(TINY, 8, "binary_crossentropy", rows=57))


@pytest.mark.slow
def test_everything_that_a_step_may_do():
    problem = Problem(WITH_EVERYTHING, 19, SPARSE, rows=43, metrics=["sparse_categorical_accuracy"], weighted=True)
    check(problem, optimizer=optimizers.AdamW(clipnorm=0.5), weighted_mean=True)


@pytest.mark.slow
def test_float64():
    check(Problem([Dense(9, "selu"), Dense(2)], 5, "huber", rows=31), dtype="float64", optimizer="rmsprop")


@pytest.mark.slow
def test_normalizations():
    check(Problem(NORMALIZED, 6, SparseCategoricalCrossentropy(from_logits=True), rows=32), optimizer="sgd")


@pytest.mark.slow
def test_large_batches_of_a_small_network():
    problem = Problem([Dense(32, "tanh"), Dense(16, "tanh"), Dense(4)], 4, "mean_squared_error", rows=3000)
    for threads in (1, 2):
        check(problem, threads=threads, batch_size=3000)


@pytest.mark.slow
def test_layers_wider_than_a_tile():
    check(Problem([Dense(100, "relu"), Dense(70, "sigmoid"), Dense(40)], 65, "mean_squared_error"), batch_size=37)


@pytest.mark.slow
@pytest.mark.skipif(not cpu.has_bfloat16(), reason="this CPU has no AVX512-BF16: NOT TESTED")
def test_mixed_precision():
    check(Problem([Dense(40, "relu"), Dense(3, "softmax")], 21, SPARSE, rows=43, mixed=True))


@pytest.mark.slow
def test_more_operations_than_are_unrolled():
    check(Problem([Dense(3, "relu") for _ in range(18)], 4, "mean_squared_error", rows=21))


@pytest.mark.slow
@pytest.mark.parametrize("level", ["avx2", "none"])
def test_lesser_levels(level, run_python):
    if level == "avx2" and not {"avx2", "fma"} <= cpu.cpu_features():
        pytest.skip("this CPU has no AVX2: NOT TESTED")
    printed = run_python(
        """
        import numpy as np, fastnn
        rng, weights = np.random.default_rng(0), []
        x, y = rng.normal(size=(53, 9)), rng.integers(0, 2, 53)
        for jit_compile in (False, True):
            fastnn.utils.set_random_seed(1)
            model = fastnn.Sequential([fastnn.Dense(21, "relu"), fastnn.Dense(1, "sigmoid")])
            model.compile("adam", "binary_crossentropy", jit_compile=jit_compile)
            model.fit(x, y, batch_size=10, epochs=2, verbose=0)
            weights.append(b"".join(weight.tobytes() for weight in model.get_weights()))
        print(weights[0] == weights[1])
        """,
        FASTNN_SIMD=level,
    )
    assert printed.split() == ["True"]


def data(rows=60):
    rng = np.random.default_rng(0)
    return rng.normal(size=(rows, 4)).astype(np.float32), rng.integers(0, 2, rows)


def made(jit_compile):
    fastnn.utils.set_random_seed(3)
    model = fastnn.Sequential([fastnn.Input((4,)), Dense(5, "relu"), Dense(1, "sigmoid")])
    model.compile("adam", "binary_crossentropy", jit_compile=jit_compile)
    return model


def test_a_long_fit_gets_its_program_on_the_way(monkeypatch):
    x, y = data()
    expected = made(False)
    expected.fit(x, y, epochs=6, verbose=0)
    known = []
    take = runs.Run._take_program
    monkeypatch.setattr(runs.Run, "_take_program", lambda run, of: (known.append(bool(of)), take(run, of))[1])
    for seconds, takes in ((1e9, [False]), (0.0, [False, True])):
        monkeypatch.setattr(runs, "LONG_SECONDS", seconds)
        known.clear()
        model = made("auto")
        model.fit(x, y, epochs=6, verbose=0, callbacks=[fastnn.callbacks.LambdaCallback(on_epoch_end=lambda *_: None)])
        assert known == takes
        assert_same_bits(model.get_weights(), expected.get_weights())
    monkeypatch.setattr(runs, "SMALL_NETWORK", 30)
    known.clear()
    made("auto").fit(x, y, epochs=6, verbose=0)
    assert known == [False]


def test_without_the_source_of_the_kernels(fresh_cache, monkeypatch):
    def nothing(function):
        raise OSError("could not get source code")

    monkeypatch.setattr("inspect.getsource", nothing)
    x, y = data()
    model = fastnn.Sequential([Dense(2, "tanh"), Dense(3, "tanh"), Dense(1)])  # no other test's
    model.compile("adam", "mse", jit_compile=True)
    with pytest.raises(RuntimeError, match="jit_compile=True needs the source of fastnn's kernels"):
        model.fit(x, y, verbose=0)
    model.compile("adam", "mse")
    monkeypatch.setattr(runs, "LONG_SECONDS", 0.0)
    assert len(model.fit(x, y, epochs=20, verbose=0).history["loss"]) == 20


@pytest.mark.slow
def test_it_is_kept_on_disk(fresh_cache, run_python):
    code = """
        import sys, numpy as np, fastnn
        fastnn.utils.set_random_seed(1)
        model = fastnn.Sequential([fastnn.Dense(5, "relu"), fastnn.Dense(1, "sigmoid")])
        model.compile("adam", "binary_crossentropy", jit_compile=True)
        model.fit(np.ones((20, int(sys.argv[1]) if sys.argv[1:] else 3)), np.ones(20), verbose=0)
        print("fastnn.kernels.compiler.partial_evaluation" in sys.modules)
        """
    assert run_python(code, FASTNN_CACHE_DIR=fresh_cache).split() == ["True"]
    (kept,) = fresh_cache.rglob("train_steps_float32_for_*.network.bin")
    assert run_python(code, FASTNN_CACHE_DIR=fresh_cache).split() == ["False"]
    kept.write_bytes(kept.read_bytes()[:-1])
    assert run_python(code, FASTNN_CACHE_DIR=fresh_cache).split() == ["True"]


def test_only_the_programs_used_last_are_kept(fresh_cache, monkeypatch):
    monkeypatch.setattr(program_cache, "KEPT_NETWORKS", 2)
    kept = [program_cache.ProgramCache(f"case_float32_for_{i}", "", for_network=True) for i in range(4)]
    general = program_cache.ProgramCache("case_float32", "")
    for age, each in enumerate([general, *kept]):
        monkeypatch.setattr(each, "_payload", lambda signature, result: b"")
        each.save_overload("", None)
        if each.path.exists():
            os.utime(each.path, (age, age))
    assert [each.path.exists() for each in [general, *kept]] == [True, False, False, True, True]


def test_a_process_keeps_some_of_them(monkeypatch):
    """The oldest goes, unless a run works with it."""
    monkeypatch.setattr(jit, "KEPT_NETWORKS", 2)
    monkeypatch.setattr(jit, "_programs", {})
    monkeypatch.setattr(jit, "_program", lambda *key: type("Program", (), {})())

    def of(number=None):
        return jit.program(data, np.dtype("float32"), "", () if number is None else (("rank", number),))

    general, at_work = weakref.ref(of()), of(0)
    others = [weakref.ref(of(number)) for number in range(1, 4)]
    assert [general() is of(), at_work is of(0)] == [True, True]
    assert [other() is None for other in others] == [True, True, False]
    del at_work
    assert others[2]() is of(3)
    of(4), of(5)
    assert len(jit._programs) == 3


GROWTH = """
    import gc, os
    import numpy as np, fastnn
    from fastnn.kernels.compiler import jit
    jit.KEPT_NETWORKS = 2
    x, y = np.ones((20, 3), np.float32), np.ones(20)
    def fit(units):
        layers = [fastnn.Dense(units, "relu", input_shape=(3,)), fastnn.Dense(1, "sigmoid")]
        model = fastnn.Sequential(layers, threads=1)
        model.compile("adam", "binary_crossentropy", jit_compile=True)
        model.fit(x, y, batch_size=10, verbose=0)
    def resident():
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
    for units in range(3, {warm}):
        fit(units)
    before = resident()
    for turn in range({turns}):
        fit(3 + turn % {kinds})
    print(resident() - before)
"""


@pytest.mark.slow
def test_programs_that_are_loaded_give_their_memory_back(run_python):
    """Each takes about 7 MB while it is in use."""
    assert float(run_python(GROWTH.format(warm=7, turns=60, kinds=4))) < 8


@pytest.mark.parametrize("value", [None, 1, "yes", "True"])
def test_what_is_no_choice(value):
    model = fastnn.Sequential([Dense(1)])
    with pytest.raises(ValueError, match="jit_compile must be True, False or 'auto'; got"):
        model.compile("adam", "mse", jit_compile=value)
    assert model.optimizer is None


def test_models_and_estimators_pass_it_on(tmp_path):
    x, y = data()
    model = made(True)
    model.build()
    assert model.engine.jit_compile is True
    model.save(tmp_path / "model.fastnn")
    assert fastnn.models.load_model(tmp_path / "model.fastnn").jit_compile is True
    model.compile("adam", "binary_crossentropy")
    assert model.engine.jit_compile == "auto"
    found = []
    for jit_compile in (False, True):
        estimator = fastnn.MLPClassifier((6,), max_iter=5, random_state=0, jit_compile=jit_compile, tol=0)
        with pytest.warns(Warning, match="Maximum iterations"):
            estimator.fit(x, y)
        found.append([*estimator.coefs_, np.array(estimator.loss_curve_)])
    assert_same_bits(*found)
    with pytest.warns(Warning, match="Maximum iterations"):
        model = fastnn.MLPClassifier((6,), max_iter=5, tol=0, time_limit=60).fit(x, y)
    assert model._engine.jit_compile is False  # compiling would be no use of the time
    with pytest.raises(ValueError, match="The 'jit_compile' parameter of MLPRegressor must be"):
        fastnn.MLPRegressor(jit_compile="often").fit(x, y)
