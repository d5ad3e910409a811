"""Work at the same time in one process shares the cores; workers of their own are limited."""

import os
import sys
import threading

import joblib
import numpy as np
import pytest
from sklearn.base import clone

import fastnn
from fastnn.engine import cores, team, threads
from fastnn.engine import weights_lock as gate_module
from fastnn.engine.weights_lock import Gate


@pytest.fixture
def eight_cores(monkeypatch):
    monkeypatch.delenv("FASTNN_NUM_THREADS", raising=False)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(cores, "available_cores", lambda: 8)


def test_shares(eight_cores):
    with threads.sharing(8) as alone:
        assert alone == 8
        with threads.sharing(8) as second, threads.sharing(2) as third, threads.sharing(1) as fourth:
            assert (second, third, fourth) == (4, 2, 1)
            with threads.sharing(8) as fifth:
                assert fifth == 1
    with pytest.raises(KeyError), threads.sharing(8):
        raise KeyError
    with threads.sharing(8) as alone:
        assert alone == 8


@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
def test_fits_side_by_side_share_the_cores(eight_cores, monkeypatch):
    """Two large fits at once: each on half of the cores, and the same weights as alone."""
    sizes, run_watched_team, both = [], team.run_watched_team, threading.Barrier(2)

    def noted(program, size, *arguments):
        sizes.append(size)
        if len(sizes) <= 2:
            both.wait(30)
        run_watched_team(program, min(size, 2), *arguments)
        return size

    X = np.random.default_rng(0).normal(size=(512, 400))
    model = fastnn.MLPRegressor(hidden_layer_sizes=300, batch_size=512, max_iter=3, random_state=0)
    expected = model.fit(X, X[:, 0]).coefs_[0].copy()
    monkeypatch.setattr(team, "run_watched_team", noted)
    with joblib.parallel_config("threading", n_jobs=2):
        fits = joblib.Parallel()(joblib.delayed(clone(model).fit)(X, X[:, 0]) for _ in range(2))
    assert sorted(sizes[:2]) == [4, 8]
    for fit in fits:
        np.testing.assert_array_equal(fit.coefs_[0], expected)


def test_loky_workers_are_limited():
    with joblib.parallel_config("loky", n_jobs=2, inner_max_num_threads=1):
        limits = joblib.Parallel()(joblib.delayed(fastnn.get_num_threads)() for _ in range(4))
    assert limits == [1, 1, 1, 1]


# --- readers of weights ---------------------------------------------------------------------------------------------


def test_a_reader_beside_a_run_looks_again():
    """A run that began while it looked, or that is under way, may have changed half of what it saw."""
    gate, looks = Gate(), []

    def look():
        looks.append(gate.lock._is_owned())
        if len(looks) == 1:  # a run comes and goes
            gate.version += 1
        return len(looks)

    assert gate.read(look) == 2
    assert looks == [False, True]
    assert gate.read(look) == 3
    looks.append("run")
    with gate.lock:
        gate.shut = True
        reader = threading.Thread(target=gate.read, args=(look,))
        reader.start()
        reader.join(0.1)
        assert looks[-1] == "run"  # it waits
        gate.shut = False
    reader.join()
    assert looks[-1] is True


@pytest.mark.parametrize("gates", [5_000, pytest.param(20_000, marks=pytest.mark.slow)])
def test_no_gate_is_lost_among_threads(gates):
    """A fork waits for every network, also for those that were made while the list of them was cleaned."""
    interval, kept = sys.getswitchinterval(), [[] for _ in range(4)]
    sys.setswitchinterval(1e-6)

    def make(own):
        for number in range(gates):
            gate = Gate()
            if number % 3 == 0:
                own.append(gate)

    makers = [threading.Thread(target=make, args=(own,)) for own in kept]
    try:
        for maker in makers:
            maker.start()
        for maker in makers:
            maker.join()
    finally:
        sys.setswitchinterval(interval)
    known = {id(reference()) for reference in gate_module._gates.values()}
    assert all(id(gate) in known for own in kept for gate in own)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*fork")
def test_a_forked_child_shares_with_nobody(eight_cores):
    """Threads that computed when it was forked are not there any more."""
    entered, leave = threading.Event(), threading.Event()

    def compute():
        with threads.sharing(8):
            entered.set()
            leave.wait(60)

    worker = threading.Thread(target=compute)
    worker.start()
    assert entered.wait(60)
    child = os.fork()
    if child == 0:
        with threads.sharing(8) as share:
            os._exit(share)
    leave.set()
    worker.join()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 8
