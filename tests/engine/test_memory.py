"""Memory: nothing grows, a fit takes what is stated, and running out of it leaves the model whole."""

import os

import numpy as np
import pytest

from fastnn.layers import Dense
from fastnn.models import Sequential

FITS = int(os.environ.get("FASTNN_TEST_FITS", "1000"))
PREDICTIONS = int(os.environ.get("FASTNN_TEST_PREDICTIONS", "1000000"))

GROWTH = """
    import gc, os
    import numpy as np, fastnn
    def resident():
        gc.collect()
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    x = np.random.default_rng(0).normal(size=(60, 8)).astype(np.float32)
    y = (x[:, 0] > 0).astype(np.float32)
    def fit(threads):
        model = fastnn.Sequential([fastnn.Dense(64, "relu", input_shape=(8,)), fastnn.Dense(1, "sigmoid")],
                                  threads=threads)
        model.compile("adam", "binary_crossentropy")
        model.fit(x, y, epochs=3, verbose=0, validation_split=0.2)
        return model
    for turn in range({warm}):
        model = fit(1 + turn % 2)
    before = resident()
    for turn in range({fits}):
        model = fit(1 + turn % 2)
    after_fits = resident()
    row = x[:1]
    for turn in range(2000):
        model.predict(row)
    before_predictions = resident()
    for turn in range({predictions}):
        model.predict(row)
    for turn in range({predictions} // 1000):
        model.predict(x), model.evaluate(x, y, verbose=0)
    print(after_fits - before, resident() - before_predictions)
"""

pytestmark = pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="needs /proc of Linux")


def growth(run_python, fits, predictions):
    output = run_python(GROWTH.format(warm=60, fits=fits, predictions=predictions), timeout=1500)
    return [int(number) / 2**20 for number in output.split()]


def test_nothing_grows(run_python):
    """A model takes 12 kB here; what is kept of each would show."""
    assert max(growth(run_python, 200, 20_000)) < 1.5


@pytest.mark.slow
def test_nothing_grows_in_long_use(run_python):
    assert max(growth(run_python, FITS, PREDICTIONS)) < 3


PEAK = """
    import resource, sys
    import numpy as np, fastnn
    inputs, units, rows = 1000, 3000, 4000
    def model(units):
        model = fastnn.Sequential([fastnn.Dense(units, "relu", input_shape=(inputs,)), fastnn.Dense(1)], threads=1)
        model.compile("adam", "mse")
        return model
    rng = np.random.default_rng(0)
    x = rng.random((rows, inputs), np.float32)
    y = x[:, 0].copy()
    model(8).fit(x[:64], y[:64], verbose=0)
    large = model(units)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    large.fit(x, y, batch_size=32, epochs=2, verbose=0)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    parameters, workspace = 4 * large.count_params(), 4 * 32 * (inputs + 2 * units + 10) * 3
    print(grown / parameters, workspace / parameters, x.nbytes / parameters)
"""


def test_peak_of_a_fit(run_python):
    """Float32 rows are used where they are; beside them a fit takes 4 times the parameters, and the workspace."""
    grown, workspace, data = map(float, run_python(PEAK).split())
    assert data > 1
    assert grown < 4 + workspace + 0.3


@pytest.mark.parametrize("at", range(1, 30, 3))
def test_out_of_memory_leaves_the_model_whole(monkeypatch, at):
    """Whichever allocation fails: MemoryError, and the model is as before; the next fit gives what it should."""
    x = np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32)
    model, twin = (Sequential([Dense(6, "relu", input_shape=(4,)), Dense(1)]) for _ in range(2))
    twin.set_weights(model.get_weights())
    for each in (model, twin):
        each.compile("adam", "mse")
        each.fit(x, x[:, 0], shuffle=False, verbose=0)
    before, left = model.get_weights(), [at]

    def failing(name):
        original = getattr(np, name)

        def allocate(*arguments, **options):
            left[0] -= 1
            if left[0] == 0:
                raise MemoryError
            return original(*arguments, **options)

        return allocate

    with monkeypatch.context() as patch:
        for name in ("empty", "zeros", "ascontiguousarray"):
            patch.setattr(np, name, failing(name))
        try:
            model.fit(x, x[:, 0], shuffle=False, verbose=0)
        except MemoryError:
            done = False
        else:  # there are fewer allocations
            done = True
    if done:
        twin.fit(x, x[:, 0], shuffle=False, verbose=0)
        before = twin.get_weights()
    for ours, theirs in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    model.fit(x, x[:, 0], shuffle=False, verbose=0)
    twin.fit(x, x[:, 0], shuffle=False, verbose=0)
    for ours, theirs in zip(model.get_weights(), twin.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


LIMITED = """
    import resource
    import numpy as np, fastnn
    model = fastnn.Sequential([fastnn.Dense(50, "relu", input_shape=(20,)), fastnn.Dense(1)])
    model.compile("adam", "mse")
    x = np.ones((1000, 20), np.float32)
    model.fit(x, x[:, 0], verbose=0)
    before = model.get_weights()
    with open("/proc/self/statm") as file:
        used = int(file.read().split()[0]) * resource.getpagesize()
    limits = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (used + 300 * 2**20, limits[1]))
    failed = 0
    one = np.float32(1)
    for call in (lambda: model.fit(np.broadcast_to(one, (10**8, 20)), np.broadcast_to(one, (10**8,))),
                 lambda: model.predict(np.broadcast_to(one, (10**8, 20))),
                 lambda: model.fit(x, x[:, 0], verbose=0, batch_size=1000, epochs=1),
                 lambda: fastnn.Sequential([fastnn.Dense(20000, input_shape=(20000,))]).predict(np.ones((1, 20000)))):
        try:
            call()
        except MemoryError:
            failed += 1
    same = all((a == b).all() for a, b in zip(before, model.get_weights()))
    resource.setrlimit(resource.RLIMIT_AS, limits)
    model.fit(x, x[:, 0], verbose=0)
    print(failed, np.isfinite(model.predict(x)).all())
"""


def test_a_limit_of_the_system(run_python):
    assert run_python(LIMITED) == "3 True\n"
