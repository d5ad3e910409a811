"""Ctrl-C and SIGTERM at random moments: soon answered, and everything is as after a whole step."""

import os
import pickle
import random
import signal
import subprocess
import sys
import textwrap
import threading
import time
import warnings

import numpy as np
import pytest
from fastnn.kernels.compiler import jit
from harness import assert_same_bits

import fastnn
from fastnn.data.samples import Samples
from fastnn.engine import cores, threads
from fastnn.engine.run_options import RunOptions
from fastnn.layers import Dense, Dropout
from fastnn.models import Sequential, load_model
from fastnn.utils import set_random_seed

pytestmark = pytest.mark.skipif(os.name == "nt", reason="no such signals")
COUNT = int(os.environ.get("FASTNN_TEST_INTERRUPTS", "200"))
RNG = np.random.default_rng(7)
X = RNG.normal(size=(300, 8)).astype(np.float32)
Y = (X[:, 0] > 0).astype(np.float32)


class Terminated(BaseException):
    """What a handler of SIGTERM raises that wants to end a server in good order."""


@pytest.fixture
def strike():
    """A function that calls another one, interrupts it after some seconds, and returns how long it then took.

    It returns seconds of the clock and of the processor.
    """
    before = signal.getsignal(signal.SIGTERM)
    signal.signal(signal.SIGTERM, _terminate)
    yield _strike
    signal.signal(signal.SIGTERM, before)


def _terminate(*_):
    raise Terminated


def _strike(function, delay, number=signal.SIGINT):
    sent = []

    def send():
        time.sleep(delay)
        sent.extend((time.perf_counter(), time.process_time()))
        os.kill(os.getpid(), number)

    sender = threading.Thread(target=send)
    try:
        sender.start()
        function()
        sender.join()  # the function was quicker; the signal comes while waiting
        time.sleep(1)
    except (KeyboardInterrupt, Terminated):
        took = time.perf_counter() - sent[0], time.process_time() - sent[1]
        sender.join()
        return took
    raise AssertionError("the signal was lost")


def assert_soon(took):
    """Half a second is enough: for most by the clock, for all by the processor, as others may use this machine."""
    clock = sorted(seconds for seconds, _ in took)
    assert clock[len(clock) // 2] < 0.5
    assert max(map(min, took)) < 0.5


def compiled(**options):
    set_random_seed(1)
    layers = [Dense(16, "relu", input_shape=(8,)), Dropout(0.2), Dense(1, "sigmoid")]
    model = Sequential(layers, **options)
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    return model


def assert_state_after_whole_steps(model):
    """Compare with the run of the same seed that was told to do so many steps."""
    record, step = model.record(), model.engine.step
    twin = compiled()
    options = RunOptions(batch_size=10, epochs=10**6, shuffle=True, seed=record.seed)
    run = twin.engine.train(twin._objective(), Samples(X, Y[:, None]), options)
    while run.done < step:
        run.advance(step - run.done)
    assert_same_bits(model.get_weights(), twin.get_weights())
    for ours, theirs in zip(model.optimizer_state()["moments"], twin.engine.get_state()["moments"], strict=True):
        assert_same_bits(ours, theirs)


def fit_interrupted(strike, model, choices, number):
    took = strike(lambda: model.fit(X, Y, batch_size=10, epochs=10**6, verbose=0), choices.uniform(0.0, 0.06), number)
    if model.record() is None or model.optimizer_state() is None:
        return took  # before the first step
    assert model.record().epoch * 30 + model.record().step == model.engine.step
    assert len(model.history.history.get("loss", [])) == model.record().epoch
    assert_state_after_whole_steps(model)
    return took


def interrupts_of_fits(strike, count):
    compiled(threads=2).fit(X, Y, verbose=0)  # compiles
    choices, took = random.Random(count), []
    for turn in range(count):
        number = (signal.SIGINT, signal.SIGTERM)[turn % 2]
        took.append(fit_interrupted(strike, compiled(threads=1 + turn % 3 // 2), choices, number))
    assert_soon(took)
    assert_nothing_is_left()
    model = compiled()
    model.fit(X, Y, epochs=1, batch_size=10, verbose=0)
    assert np.isfinite(model.get_weights()[0]).all()


def names_of_our_threads():
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("fastnn")]


def assert_nothing_is_left():
    """No member of a team is at work, and no share of the cores is taken."""
    deadline = time.perf_counter() + 5
    while names_of_our_threads() and time.perf_counter() < deadline:
        time.sleep(0.01)
    assert names_of_our_threads() == []
    with threads.sharing(cores.available_cores()) as share:
        assert share == min(cores.available_cores(), threads.get_num_threads())


def test_fits(strike):
    interrupts_of_fits(strike, 20)


@pytest.mark.slow
@pytest.mark.alone
def test_fits_many_times(strike):
    interrupts_of_fits(strike, COUNT)


def test_large_predictions_and_evaluations(strike):
    set_random_seed(0)
    model = Sequential([Dense(1000, "tanh", input_shape=(200,)), Dense(1000, "tanh"), Dense(1)])
    model.compile("sgd", "mse")
    x = RNG.normal(size=(100_000, 200)).astype(np.float32)  # some seconds
    y = np.zeros(len(x), np.float32)
    expected = model.predict(x[:500])
    choices = random.Random(3)
    for function in (lambda: model.predict(x), lambda: model.evaluate(x, y, verbose=0)):
        assert_soon([strike(function, choices.uniform(0, 0.2)) for _ in range(3)])
        assert_same_bits(model.predict(x[:500]), expected)
    assert_nothing_is_left()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # files that the collector closes
def test_saving_and_loading(strike, tmp_path):
    model = compiled()
    model.fit(X, Y, verbose=0)
    model.save(tmp_path / "model")
    choices, content = random.Random(4), (tmp_path / "model").read_bytes()

    def save_and_load():
        while True:
            model.save(tmp_path / "model")
            pickle.loads(pickle.dumps(load_model(tmp_path / "model")))

    took = []
    for turn in range(20):
        took.append(strike(save_and_load, choices.uniform(0, 0.02), (signal.SIGINT, signal.SIGTERM)[turn % 2]))
        assert (tmp_path / "model").read_bytes() == content
    assert_soon(took)


def interrupted_case(x, y):
    """A program to be compiled."""
    for i in range(x.size):
        y[i] = 2.0 * x[i] if x[i] > 1.0 else 0.5 * x[i] + 1.5


def compile_interrupted(strike, number, delay):
    dtype = np.dtype("float32")
    variant = f"_{os.getpid()}_{number}"
    x, y = np.arange(5, dtype=dtype), np.zeros(5, dtype)
    took = strike(lambda: jit.program(interrupted_case, dtype, variant)(x, y), delay, signal.SIGINT)
    jit.program(interrupted_case, dtype, variant)(x, y)
    assert y.tolist() == [1.5, 2.0, 4.0, 6.0, 8.0]
    return took


def test_compilation(strike):
    choices = random.Random(5)
    assert_soon([compile_interrupted(strike, number, choices.uniform(0, 0.2)) for number in range(8)])


@pytest.mark.slow
@pytest.mark.alone
def test_compilation_many_times(strike):
    choices = random.Random(6)
    took = [compile_interrupted(strike, 100 + number, choices.uniform(0, 0.3)) for number in range(COUNT // 2)]
    assert_soon(took)


FIRST_USE = """
    import sys, threading, time, os, signal
    sent = []
    def send():
        time.sleep({delay})
        sent.extend((time.perf_counter(), time.process_time()))
        os.kill(os.getpid(), signal.SIGINT)
    import numpy as np
    import fastnn
    fastnn.set_random_seed(0)
    model = fastnn.Sequential([fastnn.Dense(4, "relu", input_shape=(3,)), fastnn.Dense(1)])
    model.compile("adam", "mse")
    x = np.ones((20, 3))
    threading.Thread(target=send).start()
    try:
        while True:
            model.fit(x, x[:, 0], verbose=0, epochs=10)
    except KeyboardInterrupt:
        took = time.perf_counter() - sent[0], time.process_time() - sent[1]
    fastnn.set_random_seed(1)
    model = fastnn.Sequential([fastnn.Dense(4, "relu", input_shape=(3,)), fastnn.Dense(1)])
    model.compile("adam", "mse")
    model.fit(x, x[:, 0], verbose=0, epochs=10)
    print(*took, model.predict(x)[0, 0].tobytes().hex())
"""


def first_use(run_python, delay):
    *took, result = run_python(FIRST_USE.format(delay=delay), FASTNN_QUIET=1).split()
    return tuple(map(float, took)), result


@pytest.mark.slow
def test_the_first_use_of_a_process(run_python):
    results = [first_use(run_python, delay) for delay in (0.02, 0.25, 3.0)]
    assert_soon([took for took, _ in results])
    assert len({result for _, result in results}) == 1


@pytest.mark.slow
@pytest.mark.alone
def test_the_first_use_of_a_process_at_many_moments(run_python):
    """With and without compiled code on disk."""
    choices = random.Random(8)
    results = [first_use(run_python, choices.uniform(0, 0.8)) for _ in range(COUNT // 10)]
    assert_soon([took for took, _ in results])
    assert len({result for _, result in results}) == 1


@pytest.mark.slow
@pytest.mark.alone
def test_the_first_use_ever(run_python, tmp_path):
    choices = random.Random(9)
    results = [first_use(lambda code, n=n, **o: run_python(code, FASTNN_CACHE_DIR=tmp_path / str(n), **o),
                         choices.uniform(0, 4)) for n in range(5)]  # fmt: skip
    assert_soon([took for took, _ in results])
    assert len({result for _, result in results}) == 1


def test_estimators_warn_as_those_of_scikit_learn(strike):
    choices, took = random.Random(10), []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fastnn.MLPClassifier((16,), max_iter=1).fit(X, Y)  # loads what the fits below need
    for turn in range(12):
        model = fastnn.MLPClassifier((16,), max_iter=10**6, random_state=0, n_iter_no_change=10**6)

        def fit(model=model):
            model.fit(X, Y)
            raise KeyboardInterrupt  # the fit swallowed the one that was sent

        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            took.append(strike(fit, 0.05 + choices.uniform(0, 0.05)))
        assert [str(w.message) for w in caught] == ["Training interrupted by user."], turn
        assert model.predict(X).shape == (300,)
        assert len(model.loss_curve_) == model.n_iter_
    assert_soon(took)
    model.set_params(max_iter=3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(X, Y)
    assert model.n_iter_ == 3


UNDER_WAY = """
    import time
    from fastnn.kernels.host.uninterrupted import undisturbed
    @undisturbed
    def work():
        print("begun", flush=True)
        time.sleep(2)
        print("done", flush=True)
    work()
"""


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="no such signals")
@pytest.mark.parametrize(("strikes", "left"), [(1, "done\n"), (2, "done\n"), (3, "")])
def test_the_end_of_python_waits_for_a_compilation(strikes, left):
    """LLVM, taken down under a thread that compiles, crashes; who is in a hurry strikes once more."""
    command = [sys.executable, "-c", textwrap.dedent(UNDER_WAY)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout.readline() == "begun\n"
        for _ in range(strikes):
            time.sleep(0.3)
            process.send_signal(signal.SIGINT)
        assert process.stdout.read() == left
    assert process.returncode == -signal.SIGINT
