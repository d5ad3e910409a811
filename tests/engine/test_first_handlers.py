"""Handlers of signals that strike while a model imports what it needs for the first time."""

import signal

import pytest

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="no such signal")

STRUCK = """
    import importlib.abc, os, signal, sys
    import numpy as np
    from fastnn import Dense, Sequential

    x = np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32)
    model = Sequential([Dense(4, "relu", input_shape=(3,)), Dense(1)])
    model.compile("adam", "mse")
    twin = Sequential([Dense(4, "relu", input_shape=(3,)), Dense(1)])
    twin.set_weights(model.get_weights())
    seen = []

    def look(*_):
        predicted = twin.predict(x)
        twin.compile("adam", "mse")
        twin.fit(x, x[:, 0], shuffle=False, verbose=0)
        seen.append(predicted.tobytes())

    MODULE, LAST = os.environ["MODULE"], os.environ["LAST"]  # which defines this in the end

    class Striker(importlib.abc.MetaPathFinder):
        def find_spec(self, name, path, target=None):
            begun = sys.modules.get(MODULE)
            if begun is not None and not hasattr(begun, LAST) and self in sys.meta_path:
                sys.meta_path.remove(self)
                os.kill(os.getpid(), signal.SIGUSR1)

    signal.signal(signal.SIGUSR1, look)
    sys.meta_path.insert(0, Striker())
    model.predict(x)
    model.fit(x, x[:, 0], shuffle=False, verbose=0)
    assert len(seen) == 1
    assert model.predict(x).tobytes() == twin.predict(x).tobytes()
    print("right")
"""


@pytest.mark.parametrize(
    ("module", "last"),
    [
        ("fastnn.engine.engine", "Engine"),
        ("fastnn.engine.programs", "run_vector"),
        ("fastnn.kernels.cpu.inference", "infer_rows"),
    ],
)
def test_a_handler_in_the_first_import_of_a_module(run_python, module, last):
    assert run_python(STRUCK, MODULE=module, LAST=last) == "right\n"
