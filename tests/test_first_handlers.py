"""Handlers of signals that strike while a model imports kernels for the first time."""

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

    class Striker(importlib.abc.MetaPathFinder):
        def find_spec(self, name, path, target=None):
            begun = sys.modules.get("fastnn.kernels.infer_cpu")
            if begun is not None and not hasattr(begun, "infer_rows") and self in sys.meta_path:
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


def test_a_handler_in_the_first_import_of_kernels(run_python):
    assert run_python(STRUCK) == "right\n"
