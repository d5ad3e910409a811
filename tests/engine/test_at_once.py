"""Many threads at once: nobody waits for ever, nobody sees half a step, results are the serial ones."""

import os
import random
import threading
import time

import numpy as np
import pytest
from harness import Problem, assert_same_bits, finish_run, folders_of, small_problem, start_run

import fastnn
from fastnn.callbacks import LambdaCallback
from fastnn.engine import cores
from fastnn.initializers import GlorotUniform
from fastnn.layers import Dense
from fastnn.models import Sequential, load_model

SECONDS = float(os.environ.get("FASTNN_TEST_SECONDS", "20"))
RNG = np.random.default_rng(1)
X = RNG.normal(size=(200, 8)).astype(np.float32)
Y = (X[:, 0] > 0).astype(np.float32)


def in_threads(*functions):
    """Call all at once; the first error of any is raised."""
    errors = []

    def guarded(function):
        try:
            function()
        except BaseException as error:
            errors.append(error)

    workers = [threading.Thread(target=guarded, args=(function,)) for function in functions]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(300)
        assert not worker.is_alive(), "a thread hangs"
    if errors:
        raise errors[0]


def network(seed=0, units=16, **options):
    """A model whose weights depend on no seed that other threads may set."""
    first, second = GlorotUniform(seed), GlorotUniform(seed + 100)
    hidden = Dense(units, "relu", input_shape=(8,), kernel_initializer=first)
    model = Sequential([hidden, Dense(1, "sigmoid", kernel_initializer=second)], **options)
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    return model


def test_predictions_beside_a_fit_are_of_whole_steps(tmp_path):
    """One weight, all outputs equal to it: it changes in every step, and no prediction may see two values."""
    size = 3000
    model = Sequential([Dense(size, use_bias=False, kernel_initializer="zeros", input_shape=(8,))])
    model.compile("sgd", "mse")
    x, y = np.ones((1, 8), np.float32), np.ones((1, size), np.float32)
    done, seen = threading.Event(), []

    def fit():
        model.optimizer.learning_rate = 1e-4
        model.fit(x, y, epochs=6000, verbose=0)
        done.set()

    def look():
        while not done.is_set():
            outputs = model.predict(x)[0]
            weights = model.get_weights()[0]
            assert (outputs == outputs[0]).all()
            assert (weights == weights[0, 0]).all()
            seen.append(outputs[0])
            assert model.evaluate(x, y, verbose=0) <= 1

    def save():
        while not done.is_set():
            model.save(tmp_path / "model")
            again = load_model(tmp_path / "model")
            weights = again.get_weights()[0]
            assert (weights == weights[0, 0]).all()
            if again.record() and again.optimizer_state():
                assert again.record().epoch + again.record().step == again.optimizer_state()["counters"][0]

    in_threads(fit, look, look, save)
    assert seen == sorted(seen)[: len(seen)] or np.diff(seen).min() > -1e-3
    assert len(set(seen)) > 3


def test_fits_of_one_model_take_turns():
    model, twin = network(), network()
    epochs = []
    note = LambdaCallback(on_epoch_end=lambda epoch, logs: epochs.append(epoch))
    in_threads(*[lambda: model.fit(X, Y, epochs=20, verbose=0, shuffle=False, callbacks=note)] * 3)
    assert epochs == [*range(20)] * 3
    for _ in range(3):
        twin.fit(X, Y, epochs=20, verbose=0, shuffle=False)
    assert_same_bits(model.get_weights(), twin.get_weights())


def test_one_engine_for_all_threads():
    """Threads that use a new model first at once must not make an engine each."""
    for _ in range(20):
        model, engines = network(), []
        in_threads(*[lambda model=model, engines=engines: engines.append(model.engine)] * 6)
        assert len(set(map(id, engines))) == 1


def mixed_work(seconds):
    """Eight threads fit and predict, the same and different models; every result is compared with the serial one."""
    problems = [small_problem(seed=seed) for seed in range(4)]
    problems.append(Problem([Dense(100, "relu"), Dense(90)], 80, "mean_squared_error", rows=300))
    expected = [problem.train("float32", epochs=9)[0].params.copy() for problem in problems]
    shared, shared_x = problems[4].engine("float32")[0], problems[4].data("float32")[0]
    outputs, end, counts = shared.predict(shared_x), time.perf_counter() + seconds, [0] * 8

    def work(number):
        choices = random.Random(number)
        while time.perf_counter() < end:
            if choices.random() < 0.5:
                problem = choices.randrange(5)
                threads = choices.choice([None, 1, 2, 5])
                engine = problems[problem].train("float32", "adam", threads, epochs=9)[0]
                assert_same_bits(engine.params, expected[problem])
            else:
                assert_same_bits(shared.predict(shared_x, threads=choices.choice([None, 1, 3])), outputs)
            counts[number] += 1

    in_threads(*[lambda number=number: work(number) for number in range(8)])
    assert min(counts) > 0


def test_eight_threads_at_once():
    mixed_work(3)


@pytest.mark.slow
def test_eight_threads_at_once_for_long():
    mixed_work(SECONDS)


# --- fewer cores than threads ---------------------------------------------------------------------------------------

RACE = """
    import os, sys, time
    sys.path[:0] = {tests!r}
    {before}
    from harness import Problem, finish_run, start_run
    from fastnn.layers import Dense
    problem = Problem([Dense(128, "relu"), Dense(128, "relu"), Dense(10)], 64, "mean_squared_error", rows=640)
    def seconds(threads):
        engine, run = start_run(problem, threads=threads, epochs=60, batch_size=64)
        run.advance(1)
        begun = time.perf_counter()
        {during}
        finish_run(run)
        return time.perf_counter() - begun
    seconds(1), seconds(4)
    best = [min(seconds(threads) for _ in range(3)) for threads in (1, None, 4, 16)]
    print(*best)
"""
ONE_CORE = "os.sched_setaffinity(0, [sorted(os.sched_getaffinity(0))[0]])"
QUOTA = """import functools, pathlib, tempfile
    from fastnn.engine import cores
    group = pathlib.Path(tempfile.mkdtemp())
    (group / "cpu.max").write_text("100000 100000")
    cores.quota_cores = functools.partial(cores.quota_cores, group)
    assert cores.available_cores() == 1"""


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity here")
@pytest.mark.parametrize(
    ("before", "during"),
    [(ONE_CORE, ""), pytest.param(QUOTA, "", marks=pytest.mark.slow), ("", ONE_CORE)],
    ids=["taskset", "quota", "in mid-run"],
)
def test_no_collapse_on_few_cores(run_python, before, during):
    """More threads than cores: never slower than 1.5 times one thread."""
    code = RACE.format(tests=folders_of(__file__), before=before, during=during)
    for _ in range(5):  # others may be at work on this machine
        one, *others = map(float, run_python(code).split())
        if max(others) < 1.5 * one:
            return
    raise AssertionError(f"one thread {one:.3f} s, chosen, 4 and 16 threads {others}")


# --- processes --------------------------------------------------------------------------------------------------------


def test_no_thread_is_left_and_nothing_spins():
    for threads in (1, 2, 4):
        finish_run(start_run(small_problem(), threads=threads)[1])
        network(threads=threads).fit(X, Y, verbose=0, epochs=2)
    problem = Problem([Dense(100, "relu"), Dense(7)], 20, "mean_squared_error", rows=4000)
    problem.engine()[0].predict(problem.data("float32")[0], threads=4)
    assert [t for t in threading.enumerate() if t.name.startswith("fastnn")] == []
    idle = min(_idle_seconds() for _ in range(3))
    assert idle < 0.01


def _idle_seconds():
    before = time.process_time()
    time.sleep(0.3)
    return time.process_time() - before


@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
def test_estimators_in_threads():
    expected = [fitted_estimator(seed) for seed in range(8)]
    results = [None] * 8

    def fit(seed):
        results[seed] = fitted_estimator(seed)

    in_threads(*[lambda seed=seed: fit(seed) for seed in range(8)])
    assert results == expected
    assert cores.available_cores() >= 1


def fitted_estimator(seed):
    model = fastnn.MLPRegressor(hidden_layer_sizes=(12,), max_iter=5, random_state=seed, tol=1e9, n_iter_no_change=5)
    return model.fit(X, X[:, 0]).predict(X).tobytes()
