"""Where a system, a process or an interpreter that ends allows few threads, or none, or small ones."""

import os
import textwrap
import threading
import warnings

import numpy as np
import pytest
from fastnn.kernels.compiler import jit
from fastnn.kernels.host import starting
from harness import assert_same_bits
from test_at_once import X, Y, network

from fastnn import MLPClassifier, MLPRegressor, Perceptron
from fastnn.engine import threads

ROWS = np.random.default_rng(1).normal(size=(3000, X.shape[1])).astype(np.float32)


@pytest.fixture
def allow(monkeypatch):
    """A function that lets so many threads more be started, of all that are begun from then on."""
    begin = threading.Thread.start

    def allow(number):
        def start(thread):
            if not left:
                raise RuntimeError("can't start new thread")
            left.pop()
            begin(thread)

        left = [True] * number
        monkeypatch.setattr(threading.Thread, "start", start)

    monkeypatch.setattr(threads, "_told", set())
    return allow


def fit_sequential():
    model = network(0, threads=4)
    model.fit(X, Y, epochs=2, verbose=0, shuffle=False)
    return model.get_weights()


def train_on_batch():
    model = network(0, threads=4)
    model.train_on_batch(X, Y)
    return model.get_weights()


def predict():
    return network(0, threads=4).predict(ROWS, verbose=0)


def evaluate():
    return np.array(network(0, threads=4).evaluate(ROWS, np.ones((3000, *Y.shape[1:])), verbose=0))


def estimator(make, **options):
    def fit():
        model = make(**options, threads=4, random_state=0)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Stochastic Optimizer|lbfgs failed")
            model.fit(ROWS, (ROWS[:, 0] > 0).astype(int))
        return [*model.coefs_, model.predict(ROWS)]

    return fit


WORK = {
    "fit": fit_sequential,
    "train_on_batch": train_on_batch,
    "predict": predict,
    "evaluate": evaluate,
    "classifier": estimator(MLPClassifier, hidden_layer_sizes=(4,), max_iter=2),
    "regressor": estimator(MLPRegressor, hidden_layer_sizes=(4,), max_iter=2, early_stopping=True),
    "lbfgs": estimator(MLPClassifier, hidden_layer_sizes=(4,), max_iter=3, solver="lbfgs"),
}


@pytest.mark.parametrize("number", [0, 1, 2])
@pytest.mark.parametrize("work", WORK.values(), ids=WORK.keys())
def test_all_work_goes_on_with_the_threads_there_are_and_says_so_once(allow, work, number):
    expected = work()
    allow(number)
    with pytest.warns(RuntimeWarning, match=r"^only \d of \d threads could be started") as caught:
        result = work()
    assert len(caught) == 1
    assert caught[0].filename == __file__
    assert_same_bits(result, expected)
    work()  # another warning would be an error


def test_the_perceptron_needs_no_threads(allow):
    allow(0)
    model = Perceptron(random_state=0).fit(X, (X[:, 0] > 0).astype(int))
    assert model.predict(X).shape == (len(X),)


def doubled(x, y):
    for i in range(x.size):
        y[i] = 2.0 * x[i]


def test_without_threads_the_caller_compiles(allow, fresh_cache):
    allow(0)
    x, y = np.arange(3, dtype=np.float32), np.zeros(3, np.float32)
    jit.program(doubled, x.dtype, "_without_threads")(x, y)
    assert y.tolist() == [0, 2, 4]


FRESH = """
    import atexit, resource, sys, threading
    import numpy as np
    import fastnn
    from fastnn import Dense, Sequential
    x = np.random.default_rng(0).normal(size=(3000, 8)).astype(np.float32)
    def use(threads):
        fastnn.set_random_seed(0)
        model = Sequential([Dense(16, "relu", input_shape=(8,)), Dense(1)], threads=threads)
        model.compile("adam", "mse")
        model.fit(x[:300], x[:300, 0], epochs=2, verbose=0)
        return model.predict(x, verbose=0).tobytes()
    def no_thread(thread):
        raise RuntimeError("can't create new thread at interpreter shutdown")
"""
STATES = {
    "none at all": "threading.Thread.start = no_thread\nprint(use(1) == use(3))",
    "at exit": "use(1)\natexit.register(lambda: print(use(1) == use(3)))",
    "first use at exit": "atexit.register(lambda: print(use(1) == use(3)))",
    "at exit of Python 3.12": (
        "atexit.register(lambda: print(use(1) == use(3)))\n"
        "atexit.register(lambda: setattr(threading.Thread, 'start', no_thread))"
    ),
    "small stacks": "threading.stack_size(32768)\nprint(use(1) == use(3), threading.stack_size() == 32768)",
    "large stacks": "threading.stack_size(2**40)\nprint(use(1) == use(3), threading.stack_size() == 2**40)",
    "a daemon at exit": (
        "use(1)\nimport time\n"
        "def work():\n    while True: use(2)\n"
        "threading.Thread(target=work, daemon=True).start()\ntime.sleep(0.2)\nprint(True)"
    ),
}


QUICK = {"small stacks", "at exit of Python 3.12"}


@pytest.mark.parametrize(
    "state", [pytest.param(state, marks=[pytest.mark.slow] * (state not in QUICK)) for state in STATES]
)
def test_a_process_with_few_threads(run_python, state):
    printed = run_python(textwrap.dedent(FRESH) + "import warnings\nwarnings.simplefilter('ignore')\n" + STATES[state])
    assert set(printed.split()) == {"True"}


LITTLE_MEMORY = """
    import warnings
    expected = use(1)
    def used():
        with open("/proc/self/statm") as file:
            return int(file.read().split()[0]) * resource.getpagesize()
    for mebibytes in range(1, 40, 3):
        resource.setrlimit(resource.RLIMIT_AS, (used() + mebibytes * 2**20, -1))
        try:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                print(use(8) == expected)
        except MemoryError:
            print(True)
        resource.setrlimit(resource.RLIMIT_AS, (-1, -1))
    print(use(8) == expected)
"""


@pytest.mark.slow
def test_a_process_without_memory_for_stacks(run_python):
    """Each thread takes some MB of addresses: as many are started as there is room for."""
    pytest.importorskip("resource")
    if not os.path.exists("/proc/self/statm"):
        pytest.skip("this system does not say what a process uses")
    printed = run_python(textwrap.dedent(FRESH) + textwrap.dedent(LITTLE_MEMORY))
    assert printed.split() == ["True"] * 14


@pytest.mark.parametrize("size", [0, 2**20])
def test_who_is_struck_while_starting_a_thread_keeps_no_other_from_it(monkeypatch, size):
    """A handler of a signal may wait, in the midst of a start, for a thread that starts another one."""
    begin, done, struck = threading.Thread.start, threading.Event(), []

    def start_and_be_struck(thread):
        begin(thread)
        if not struck:
            struck.append(thread)
            other = threading.Thread(target=starting.start, args=(threading.Thread(target=done.set),))
            begin(other)
            assert done.wait(60)

    monkeypatch.setattr(threading.Thread, "start", start_and_be_struck)
    before = threading.stack_size(size)
    starting.start(threading.Thread(target=bool))
    assert struck
    assert threading.stack_size(before) == size
