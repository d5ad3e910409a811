"""Handlers of signals that use a model in its fit: nothing waits for itself, and nobody sees half a step."""

import ast
import itertools
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from struck import ENTRIES, FACES

import fastnn
from fastnn.engine import team
from fastnn.engine import weights_lock as gate_module
from fastnn.engine.turns import Turns
from fastnn.engine.weights_lock import Gate
from fastnn.layers import Dense
from fastnn.models import Sequential

pytestmark = pytest.mark.skipif(os.name == "nt", reason="no such signals")
STRUCK = Path(__file__).parent / "struck.py"


@pytest.fixture(scope="module")
def struck():
    """A function that says what came of all entries for a face and a number of threads; a hang ends with its child."""
    done = {}

    def struck(face, threads):
        if (face, threads) not in done:
            command = [sys.executable, STRUCK, face, str(threads)]
            done[face, threads] = subprocess.run(command, capture_output=True, text=True, timeout=300)
        return done[face, threads]

    return struck


QUICK = [("sequential", 1), ("classifier", 2), ("regressor", 1)]


@pytest.mark.parametrize("entry", ENTRIES)
@pytest.mark.parametrize(
    ("face", "threads"),
    [
        pytest.param(*case, marks=[] if case in QUICK else [pytest.mark.slow])
        for case in itertools.product(FACES, [1, 2])
    ],
)
def test_a_handler_in_a_fit(struck, face, threads, entry):
    result = struck(face, threads)
    assert entry in result.stdout.splitlines(), result.stderr


@pytest.mark.slow
@pytest.mark.parametrize(("face", "threads"), [("sequential", 1), ("sequential", 2), ("classifier", 2)])
def test_handlers_at_random_moments(face, threads):
    """Some within each other; the fit ends with the bits of one that nobody has disturbed."""
    command = [sys.executable, STRUCK, face, str(threads), "random"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    strikes, depth = map(int, done.stdout.split())
    assert strikes >= 30
    assert depth > 1


ENDS = """
    import os, signal, sys, threading, time
    import numpy as np
    import fastnn
    from fastnn import Dense, Sequential
    x = np.random.default_rng(0).normal(size=(1000, 20)).astype("f")
    model = Sequential([Dense(64, "relu", input_shape=(20,)), Dense(1)], threads={threads})
    model.compile("adam", "mse")
    model.fit(x, x[:, 0], verbose=0)
    model.save({path!r})
    begun = model.engine.step

    class Own(BaseException):
        pass

    def handler(*_):
        model.save({path!r})
        {end}

    def send():
        while model.engine.step < begun + 1:
            time.sleep(0.001)
        os.kill(os.getpid(), signal.SIGTERM)

    signal.signal(signal.SIGTERM, handler)
    threading.Thread(target=send).start()
    try:
        model.fit(x, x[:, 0], epochs=10**6, verbose=0)
    except Own:
        assert fastnn.load_model({path!r}).get_weights()[0].tobytes() == model.get_weights()[0].tobytes()
        assert model.fit(x, x[:, 0], verbose=0)
        sys.exit(3)
"""


@pytest.mark.covering
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("end", ["sys.exit(3)", "os._exit(3)", "raise Own"])
def test_a_handler_that_saves_and_ends(tmp_path, threads, end):
    import textwrap

    path = tmp_path / "model"
    code = textwrap.dedent(ENDS.format(threads=threads, path=str(path), end=end))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 3, done.stderr
    saved = fastnn.load_model(path)
    assert saved.record().epoch * 32 + saved.record().step == saved.optimizer_state()["counters"][0] - 32


# --- what a handler does in the midst of our steps, without a signal --------------------------------------------------


def test_a_look_that_somebody_has_written_into_is_repeated():
    gate, weights, looks = Gate(), np.zeros(2), []

    def look():
        first = weights[0]
        looks.append(first)
        if len(looks) == 1:  # the handler
            gate.write(lambda: np.ones(2), lambda new: weights.__setitem__(slice(None), new))
        return first, weights[1]

    assert gate.read_between_calls(look) == (1, 1)
    looks.clear()
    weights[:] = 0
    assert gate.read(look) == (1, 1)


def test_what_is_written_while_weights_are_prepared_is_prepared_upon():
    """Of two layers, one is replaced here and the other by the handler."""
    model = Sequential([Dense(3, input_shape=(2,)), Dense(1)])
    engine, packs = model.engine, []
    pack = engine.plan.pack

    def packed(*arguments, **options):
        packs.append(None)
        if len(packs) == 1:
            model.layers[1].set_weights([np.full((3, 1), 7.0), np.full(1, 7.0)])
        return pack(*arguments, **options)

    engine.plan.pack = packed
    model.layers[0].set_weights([np.full((2, 3), 5.0), np.full(3, 5.0)])
    assert [set(weight.ravel()) for weight in model.get_weights()] == [{5.0}, {5.0}, {7.0}, {7.0}]
    assert not engine.gate.shut


def test_a_team_that_is_called_off_before_it_begins_has_done_nothing():
    calls = []
    watch = team.Watch(None)
    watch.call_off()
    watch.call_off()
    team.run_watched_team(lambda *arguments: calls.append(arguments), 2, watch)
    assert calls == []
    assert watch.called_off


def test_a_run_begins_its_call_again_that_was_called_off(monkeypatch):
    """A handler that strikes before the team is at work gets the weights at once, and the steps are done after it."""
    model, twin = (fitted(2) for _ in range(2))
    run_watched_team, seen = team.run_watched_team, []

    def struck(program, size, watch, *arguments):
        if len(seen) < 3:
            seen.append(model.engine.step)
            model.get_weights()
        return run_watched_team(program, size, watch, *arguments)

    monkeypatch.setattr(team, "run_watched_team", struck)
    x = np.ones((50, 2), np.float32)
    model.train_on_batch(x, x)
    assert seen == [1, 1, 1]
    monkeypatch.undo()
    twin.train_on_batch(x, x)
    assert all((one == other).all() for one, other in zip(model.get_weights(), twin.get_weights(), strict=True))
    assert model.engine.step == twin.engine.step == 2


def fitted(threads):
    fastnn.set_random_seed(3)
    model = Sequential([Dense(4, "tanh", input_shape=(2,)), Dense(2)], threads=threads)
    model.compile("sgd", "mse")
    model.train_on_batch(np.ones((50, 2), np.float32), np.ones((50, 2), np.float32))
    return model


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*fork")
def test_a_fork_within_gates_and_within_a_fork():
    """A handler that forks while its thread holds locks, or has just begun to fork."""
    gate = Gate()
    with gate.lock, gate_module._gates_lock:
        gate_module._before_fork()
        assert exit_code_of_a_child(lambda: gate.read_between_calls(bool)) == 0
        gate_module._after_fork()
        assert exit_code_of_a_child(lambda: (Gate(), gate.read_between_calls(bool))) == 0
    taken = []
    other = threading.Thread(target=lambda: taken.append(gate.lock.acquire(timeout=10)))
    other.start()
    other.join()
    assert taken == [True]
    assert gate_module._forks == []


def exit_code_of_a_child(function):
    pid = os.fork()
    if pid == 0:
        import signal

        signal.alarm(20)
        function()
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_nobody_waits_for_a_turn_with_a_gate_in_its_hands():
    """The other thread may need it for the next call of its run."""
    gate, turns, entered, leave = Gate(), Turns(), threading.Event(), threading.Event()

    def train():
        with turns():
            entered.set()
            leave.wait(60)

    trainer = threading.Thread(target=train)
    trainer.start()
    entered.wait(60)
    with gate.lock, pytest.raises(RuntimeError, match="handler of a signal"), turns():
        pass
    leave.set()
    trainer.join()
    with gate.lock, turns() as again, turns() as once_more:
        assert (again, once_more) == (False, True)


def test_an_engine_that_a_handler_makes_while_one_is_made_is_the_model_s(monkeypatch):
    made, prepare = [], Sequential._prepare_engine

    def struck(self, engine):
        prepare(self, engine)
        made.append(engine)
        if len(made) == 1:
            self.train_on_batch(np.ones((5, 2)), np.ones((5, 1)))

    monkeypatch.setattr(Sequential, "_prepare_engine", struck)
    model = Sequential([Dense(1, input_shape=(2,))])
    model.compile("sgd", "mse")
    before = model.get_weights()
    assert model.engine.step == 1
    assert len(made) == 2
    assert (model.layers[0].get_weights()[0] == model.get_weights()[0]).all()
    assert (model.get_weights()[0] != before[0]).all()


def test_a_thread_that_trains_and_a_handler_that_looks():
    """The main thread's handler strikes while that thread reads the weights, and wants to train them."""
    model = fitted(2)
    x, strikes, outcomes = np.ones((50, 2), np.float32), iter(range(200)), []
    trainer = threading.Thread(target=lambda: [model.fit(x, x, epochs=50, verbose=0) for _ in range(20)], daemon=True)

    def look():
        if next(strikes, None) is not None:
            try:
                model.train_on_batch(x, x)
            except RuntimeError as error:
                outcomes.append(str(error))

    trainer.start()
    while trainer.is_alive() and len(outcomes) < 50:
        model.engine.gate.read_between_calls(look)
    trainer.join(120)
    assert not trainer.is_alive()
    assert all("handler of a signal" in outcome for outcome in outcomes)


# --- locks ------------------------------------------------------------------------------------------------------------

NOT_REENTRANT = {"Lock", "allocate_lock", "Semaphore", "BoundedSemaphore", "Barrier"}


def test_no_lock_is_one_that_its_holder_waits_for(checkout):
    """A handler may strike wherever one is held, and come by it."""
    found = []
    for path in [*(checkout / "fastnn").rglob("*.py"), *(checkout / "kernels").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            name = getattr(node, "attr", None) or getattr(node, "id", None)
            if isinstance(node, (ast.Attribute, ast.Name)) and name in NOT_REENTRANT:
                found.append(f"{path.name}:{node.lineno} {name}")
    assert found == []
