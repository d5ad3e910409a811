"""Processes beside each other: forks of one that is at work, pools, workers of joblib and Dask, a forking server."""

import os
import subprocess
import sys
import textwrap

import joblib
import pytest
from harness import folders_of
from test_at_once import X, Y, network

FORKS = """
    import os, sys, threading, time
    sys.path[:0] = {tests!r}
    from harness import Problem, finish_run, small_problem, start_run
    def fitted():
        engine, run = start_run(small_problem(), threads=2)
        finish_run(run)
        return engine.params.tobytes()
    expected = fitted()
    stop = threading.Event()
    engine, run = start_run(small_problem(), threads=2, epochs=10**6)
    def background():
        while not stop.is_set():
            run.advance(10**6)
    def compile_in_background():
        import numpy as np
        from fastnn.kernels.compiler import jit
        from fastnn.kernels.operations import random
        for number in range(100):
            if stop.is_set():
                break
            jit.program(random.philox, np.dtype("float32"), str(number))(*range(6))
    workers = [threading.Thread(target=background), threading.Thread(target=compile_in_background)]
    for worker in workers:
        worker.start()
    children = []
    for number in range(6):
        time.sleep(0.02)
        child = os.fork()
        if child == 0:
            before = engine.params.tobytes()
            engine.predict(small_problem().data("float32")[0])
            os._exit(0 if fitted() == expected and engine.params.tobytes() == before else 1)
        children.append(child)
    codes = [os.waitpid(child, 0)[1] for child in children]
    stop.set()
    for worker in workers:
        worker.join()
    print(codes, fitted() == expected)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*fork")
def test_several_children_of_a_process_at_work(run_python):
    """Forked while a fit runs and another thread compiles: every child fits, with the same bits."""
    code = textwrap.dedent(FORKS.format(tests=folders_of(__file__)))
    command = [sys.executable, "-W", "ignore", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.stdout == f"{[0] * 6} True\n", done.stderr


LOST_THREADS = {
    "fit": """
        model = network(0, threads=1)
        model.fit(X, Y, epochs=1, verbose=0)
        from fastnn.callbacks import LambdaCallback
        end = time.monotonic() + 1.5
        def look(epoch, logs):
            model.stop_training = time.monotonic() > end
        def other():
            model.fit(X, Y, epochs=10**6, verbose=0, callbacks=[LambdaCallback(on_epoch_end=look)])
        def own():
            model.fit(X, Y, epochs=1, verbose=0)
    """,
    "make an engine": """
        from fastnn.engine import factory
        slow, make = threading.Event(), factory.make_engine
        def make_slowly(*arguments):
            if not slow.is_set():
                slow.set()
                time.sleep(1)
            return make(*arguments)
        factory.make_engine = make_slowly
        def other():
            network(0).predict(X)
        def own():
            network(1).predict(X)
    """,
    "import": """
        import pathlib, tempfile
        folder = tempfile.mkdtemp()
        pathlib.Path(folder, "imported_slowly.py").write_text("import time; time.sleep(1)")
        sys.path.insert(0, folder)
        def other():
            import imported_slowly
        def own():
            import imported_slowly
    """,
}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.parametrize("work", LOST_THREADS)
def test_a_child_does_not_wait_for_threads_it_has_not_got(work):
    """Forked while another thread does something, it does the same."""
    code = f"""
import os, sys, threading, time
sys.path[:0] = {folders_of(__file__)!r}
from test_at_once import X, Y, network
{textwrap.dedent(LOST_THREADS[work])}
thread = threading.Thread(target=other)
thread.start()
time.sleep(0.3)
assert thread.is_alive()
child = os.fork()
if child == 0:
    own()
    os._exit(0)
thread.join()
print(os.waitpid(child, 0)[1])
"""
    command = [sys.executable, "-W", "ignore", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.stdout == "0\n", done.stderr


def fit_and_predict(seed):
    model = network(seed, threads=2)
    model.fit(X, Y, epochs=3, verbose=0, shuffle=False)
    return model.predict(X[:5]).tobytes()


@pytest.mark.parametrize("method", ["spawn", "forkserver", "fork"])
def test_pools_of_processes(method):
    import multiprocessing

    if method not in multiprocessing.get_all_start_methods():
        pytest.skip("no such start method here")
    expected = [fit_and_predict(seed) for seed in range(4)]
    with multiprocessing.get_context(method).Pool(2) as pool:
        assert pool.map(fit_and_predict, range(4)) == expected


def test_loky():
    expected = [fit_and_predict(seed) for seed in range(4)]
    with joblib.parallel_config("loky", n_jobs=2):
        assert joblib.Parallel()(joblib.delayed(fit_and_predict)(seed) for seed in range(4)) == expected


@pytest.mark.slow
def test_dask(monkeypatch):
    """Two processes of two threads each."""
    distributed = pytest.importorskip("distributed")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # Dask sets it here too, for its workers, and leaves it so
    expected = [fit_and_predict(seed) for seed in range(4)]
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=2, dashboard_address=None) as cluster,
        distributed.Client(cluster) as client,
    ):
        assert client.gather(client.map(fit_and_predict, range(4))) == expected


SERVER = """
    import os, socket, sys
    import numpy as np, fastnn
    model = fastnn.models.load_model(sys.argv[1])
    x = np.ones((1, 8), np.float32)
    expected = model.predict(x).tobytes()
    listener = socket.create_server(("127.0.0.1", 0))
    workers = []
    for _ in range(3):  # workers are forked after the model was loaded and used
        child = os.fork()
        if child == 0:
            for _ in range(20):
                connection, _ = listener.accept()
                with connection:
                    connection.sendall(model.predict(x).tobytes())
            os._exit(0)
        workers.append(child)
    answers = []
    for _ in range(60):
        with socket.create_connection(listener.getsockname()) as connection:
            answers.append(connection.recv(100))
    print([os.waitpid(child, 0)[1] for child in workers], set(answers) == {expected})
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forking_server(tmp_path):
    model = network()
    model.fit(X, Y, verbose=0)
    model.save(tmp_path / "model")
    command = [sys.executable, "-W", "ignore", "-c", textwrap.dedent(SERVER), str(tmp_path / "model")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.stdout == "[0, 0, 0] True\n", done.stderr
