"""A long run that mixes everything: threads, signals, forks, saves, failures; by default three minutes of it."""

import os
import random
import signal
import threading
import time

import numpy as np
import pytest
from harness import assert_same_bits, small_problem

import fastnn
from fastnn.callbacks import BackupAndRestore, LambdaCallback
from fastnn.layers import Dense
from fastnn.models import Sequential, load_model
from fastnn.utils import set_random_seed

SECONDS = float(os.environ.get("FASTNN_TEST_SOAK", "180"))
X = np.random.default_rng(0).normal(size=(120, 6)).astype(np.float32)
Y = (X[:, 0] > 0).astype(np.float32)


class Stop(Exception):
    pass


def network(seed):
    set_random_seed(seed)
    model = Sequential([Dense(12, "relu", input_shape=(6,)), Dense(1, "sigmoid")])
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    return model


class Soak:
    """What the threads share: a model that is fitted all the time, and what small fits must give."""

    def __init__(self, folder, seconds):
        self.folder, self.end = folder, time.perf_counter() + seconds
        self.model = network(0)
        self.problems = [small_problem(seed=seed) for seed in range(3)]
        self.expected = [problem.train(epochs=5)[0].params.copy() for problem in self.problems]
        self.counts = {}

    def fit(self, choices, number):
        problem = choices.randrange(3)
        engine = self.problems[problem].train("float32", "adam", choices.choice([None, 1, 2, 3]), epochs=5)[0]
        assert_same_bits(engine.params, self.expected[problem])

    def fit_the_shared_one(self, choices, number):
        self.model.fit(X, Y, epochs=choices.choice([1, 30]), verbose=0)

    def look_at_the_shared_one(self, choices, number):
        assert np.isfinite(self.model.predict(X)).all()
        assert np.isfinite(self.model.evaluate(X, Y, verbose=0)[0])

    def save_and_load(self, choices, number):
        path = self.folder / f"model{number}"
        self.model.save(path)
        again = load_model(path)
        again.fit(X[:10], Y[:10], verbose=0)

    def fail(self, choices, number):
        with pytest.raises((ValueError, TypeError)):
            self.model.predict(choices.choice([X[:, :2], X * np.nan, "x", None, []]))
        network_with_error = Sequential([Dense(1, input_shape=(6,))])
        network_with_error.compile("sgd", "mse")
        with pytest.raises(Stop):
            network_with_error.fit(X, Y, verbose=0, callbacks=LambdaCallback(on_epoch_end=self._stop))

    def _stop(self, epoch, logs):
        raise Stop

    def go_on(self, choices, number):
        folder = self.folder / f"backup{number}"
        model = Sequential([Dense(1, input_shape=(6,))])
        model.compile("adam", "mse")
        with pytest.raises(Stop):
            model.fit(
                X, Y, epochs=3, verbose=0, callbacks=[BackupAndRestore(folder), LambdaCallback(on_epoch_end=self._stop)]
            )
        model.fit(X, Y, epochs=3, verbose=0, callbacks=[BackupAndRestore(folder)])

    def estimate(self, choices, number):
        fastnn.MLPRegressor(hidden_layer_sizes=(5,), max_iter=3, tol=0, random_state=0).fit(X, Y).predict(X)

    def fork(self, choices, number):
        child = os.fork()
        if child == 0:
            try:
                self.look_at_the_shared_one(choices, number)
                self.fit(choices, number)
            except BaseException:
                os._exit(1)
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0

    def work(self, number, errors):
        choices = random.Random(number)
        names = ["fit", "fit_the_shared_one", "look_at_the_shared_one", "save_and_load", "fail", "go_on", "estimate"]
        try:
            while time.perf_counter() < self.end and not errors:
                name = choices.choice(names)
                getattr(self, name)(choices, number)
                self.counts[name] = self.counts.get(name, 0) + 1
        except BaseException as error:
            errors.append(error)


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore")
def test_soak(tmp_path):
    """Four threads at all kinds of work, while the main thread forks and is interrupted."""
    soak, errors, choices = Soak(tmp_path, SECONDS), [], random.Random(99)
    workers = [threading.Thread(target=soak.work, args=(number, errors)) for number in range(4)]
    for worker in workers:
        worker.start()
    own, resident, interrupts = network(5), [], 0
    while time.perf_counter() < soak.end and not errors:
        soak.fork(choices, 9)
        timer = threading.Timer(choices.uniform(0.01, 0.1), os.kill, (os.getpid(), signal.SIGINT))
        try:
            timer.start()
            own.fit(X, Y, epochs=10**6, verbose=0)
        except KeyboardInterrupt:
            interrupts += 1
        timer.join()
        assert np.isfinite(own.get_weights()[0]).all()
        with open("/proc/self/statm") as file:
            resident.append(int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20)
    for worker in workers:
        worker.join(120)
        assert not worker.is_alive(), "a thread hangs"
    if errors:
        raise errors[0]
    assert min(soak.counts.values()) > 0
    sizes = [round(size) for size in resident[:: len(resident) // 10 + 1]]
    assert interrupts == len(resident)
    print(len(resident), "forks and interrupts;", soak.counts, "MiB:", sizes)
    assert resident[-1] < resident[len(resident) // 3] + 30
