"""Forks that wait: signals are heard afterwards in the parent, and the child finds everything as it should be."""

import os
import signal
import textwrap
import threading

import pytest
from fastnn.kernels.host import forking

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here"),
    pytest.mark.filterwarnings("ignore:.*fork"),
]
WAITING = """
    import os, signal, sys, threading, time
    import numpy as np
    import fastnn
    from fastnn.kernels.host import uninterrupted
    {setting}
    class Terminated(Exception): ...
    def end(*_): raise Terminated
    signal.signal(signal.SIGTERM, end)
    handlers = [signal.getsignal(number) for number in signal.valid_signals()]
    worker = threading.Thread(target=work)
    worker.start()
    busy.wait()
    def strike():
        time.sleep(0.2)
        os.kill(os.getpid(), signal.{sent})
        time.sleep(0.05)
        free.set()
    threading.Thread(target=strike).start()
    heard = None
    try:
        child = os.fork()
        if child == 0:
            try:
                same = [signal.getsignal(number) for number in signal.valid_signals()] == handlers
                own()
                os.kill(os.getpid(), signal.SIGTERM)
            except Terminated:
                os._exit(0 if same else 3)
            os._exit(4)
        time.sleep(5)
    except (KeyboardInterrupt, Terminated) as error:
        heard = type(error).__name__
    worker.join()
    own()
    same = [signal.getsignal(number) for number in signal.valid_signals()] == handlers
    print(heard, os.waitpid(child, 0)[1], same)
"""
SETTINGS = {
    "compilation": """
        busy, free = threading.Event(), threading.Event()
        @uninterrupted.undisturbed
        def work():
            busy.set()
            free.wait()
        own = uninterrupted.undisturbed(lambda: None)
    """,
    "import": """
        import pathlib, tempfile
        busy, free = fastnn.busy, fastnn.free = threading.Event(), threading.Event()
        folder = tempfile.mkdtemp()
        pathlib.Path(folder, "slow_import.py").write_text("import fastnn; fastnn.busy.set(); fastnn.free.wait()")
        sys.path.insert(0, folder)
        def work():
            import slow_import
        own = work
    """,
    "step": """
        from fastnn.engine.weights_lock import Gate
        busy, free, gate = threading.Event(), threading.Event(), Gate()
        def work():
            with gate.lock:
                busy.set()
                free.wait()
        def own():
            gate.read_between_calls(lambda: None)
    """,
}


@pytest.mark.parametrize(
    ("sent", "heard"), [("SIGINT", "KeyboardInterrupt"), pytest.param("SIGTERM", "Terminated", marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("setting", SETTINGS)
def test_signals_while_a_fork_waits_for_another_thread(run_python, setting, sent, heard):
    """They strike the parent when it has forked; the child works, and has the handlers."""
    code = textwrap.dedent(WAITING).format(setting=textwrap.dedent(SETTINGS[setting]), sent=sent)
    assert run_python(f"import warnings; warnings.simplefilter('ignore')\n{code}", timeout=120) == f"{heard} 0 True\n"


@pytest.fixture
def order(monkeypatch):
    """Two pairs of functions, in place of all others, that note when they are called."""
    noted = []
    monkeypatch.setattr(forking, "_pairs", [])
    for name in "ab":
        forking.hold(lambda name=name: noted.append(f"take {name}"), lambda name=name: noted.append(f"give {name}"))
    return noted


def test_what_is_taken_last_is_given_back_first(order):
    forking._before()
    forking._after_in_parent()
    assert order == ["take b", "take a", "give a", "give b"]


def test_what_was_not_taken_is_not_given_back(order):
    def fail():
        raise KeyboardInterrupt

    forking._pairs[0] = (fail, lambda: order.append("give what was not taken"))
    with pytest.raises(KeyboardInterrupt):
        forking._before()
    forking._after_in_parent()
    assert order == ["take b", "give b"]
    assert forking._handlers == {}


def test_a_fork_of_another_thread_leaves_signals_alone(order):
    before = signal.getsignal(signal.SIGINT)
    seen = []

    def fork():
        forking._before()
        seen.append(signal.getsignal(signal.SIGINT))
        forking._after_in_parent()

    thread = threading.Thread(target=fork)
    thread.start()
    thread.join()
    assert seen == [before]
    assert order == ["take b", "take a", "give a", "give b"]


def test_a_child_of_another_thread_hears_signals_that_the_main_thread_has_put_off(order):
    before = signal.getsignal(signal.SIGINT)
    forking._before()
    assert signal.getsignal(signal.SIGINT) != before
    forking._after_in_child()  # in a child any thread is the main one
    assert signal.getsignal(signal.SIGINT) == before
