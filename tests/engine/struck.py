"""A program whose fits are struck by signals, whose handlers do what may come to somebody's mind.

``python struck.py FACE THREADS [ENTRY ...]`` prints a line for each entry that came through. A fit ends with the same
bits as one that nobody has disturbed, and what a handler saw are the weights of a whole step.
"""

import copy
import faulthandler
import itertools
import multiprocessing
import os
import pickle
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from pathlib import Path

import numpy as np

import fastnn
from fastnn.data.samples import Samples
from fastnn.engine.run_options import RunOptions
from fastnn.layers import Dense, Dropout
from fastnn.models import Sequential, load_model

RNG = np.random.default_rng(7)
X = RNG.normal(size=(1000, 20)).astype(np.float32)
Y = (X[:, 0] > 0).astype(np.float32)
FOLDER, NUMBERS = Path(tempfile.gettempdir()), itertools.count()
TRIES = 20  # until a signal comes in the midst of a fit


def same(some, others):
    return all(one.tobytes() == other.tobytes() for one, other in zip(some, others, strict=True))


def refused(function, *arguments, **options):
    try:
        function(*arguments, **options)
    except RuntimeError as error:
        if "within a fit" not in str(error):
            raise
    else:
        raise AssertionError("it was not refused")


def in_child(function):
    """Do something in a forked child, which must not wait for what only its parent has."""
    pid = os.fork()
    if pid == 0:
        try:
            signal.alarm(60)
            function()
        except BaseException:
            os._exit(1)
        os._exit(7)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7


def in_process(function):
    child = multiprocessing.get_context("fork").Process(target=function)
    child.start()
    child.join(60)
    assert child.exitcode == 0


def again(function):
    """Do something in a handler that interrupts this one."""
    before = signal.signal(signal.SIGUSR2, lambda *_: function())
    signal.raise_signal(signal.SIGUSR2)
    signal.signal(signal.SIGUSR2, before)


class Network:
    """A `Sequential` that is fitted until its handler has been there."""

    epochs = 10**6

    def __init__(self, threads):
        self.threads, self.seen = threads, []
        self.model = self.compiled()

    def compiled(self):
        fastnn.set_random_seed(1)
        layers = [Dense(64, "relu", input_shape=(20,)), Dropout(0.2), Dense(64, "tanh"), Dense(1, "sigmoid")]
        model = Sequential(layers, threads=self.threads)
        model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
        return model

    @property
    def step(self):
        return self.model.engine.step

    def fit(self):
        self.model.fit(X, Y, batch_size=100, epochs=self.epochs, verbose=0)

    def struck(self, act):
        try:
            act(self)
        finally:
            self.model.stop_training = True

    def note(self, weights, step=None):
        self.seen.append((self.step if step is None else step, weights))

    def check(self):
        """Compare with the run of the same seed that was told to do so many steps."""
        record, twin = self.model.record(), self.compiled()
        options = RunOptions(batch_size=100, epochs=10**6, shuffle=True, seed=record.seed)
        run = twin.engine.train(twin._objective(), Samples(X, Y[:, None]), options)
        history = self.model.history.history["loss"]
        for step, weights in [*self.seen, (self.step, self.model.get_weights())]:
            while run.done < step:
                run.advance(step - run.done)
            assert same(weights, twin.get_weights()), f"not the weights of step {step}"
        expected = [run.logs(epoch)[0] for epoch in range(-(-self.step // 10))]
        assert history == expected, "other losses"

    def save(self):
        path = FOLDER / f"struck-{os.getpid()}-{next(NUMBERS)}"  # handlers that strike this one save too
        self.model.save(path)
        saved = load_model(path)
        path.unlink()
        record = saved.record()
        assert record.epoch * 10 + record.step == saved.optimizer_state()["counters"][0] == self.step
        assert len(record.history.get("loss", [])) == len(record.epochs) == record.epoch
        self.note(saved.get_weights())

    def copies(self):
        for twin in (pickle.loads(pickle.dumps(self.model)), copy.deepcopy(self.model), copy.copy(self.model)):
            self.note(twin.get_weights())

    def writes(self):
        weights = self.model.get_weights()
        self.note(weights)
        self.model.set_weights([weight + 1 for weight in weights])
        assert same(self.model.get_weights(), [weight + 1 for weight in weights])
        self.model.set_weights(weights)
        for layer in self.model.layers:
            layer.set_weights(layer.get_weights())
        self.note(self.model.get_weights())

    def rewrites(self):
        self.model.set_weights(self.model.get_weights())

    def end(self):
        self.model.stop_training = True

    def another(self):
        other = self.compiled()
        other.fit(X, Y, epochs=2, verbose=0)
        other.train_on_batch(X, Y)
        other.predict(X)

    def refuses(self):
        refused(self.model.fit, X, Y, verbose=0)
        refused(self.model.train_on_batch, X, Y)
        refused(self.model.compile, "sgd", "mse")
        refused(self.model.add, Dense(1))
        refused(self.model.pop)
        refused(setattr, self.model, "optimizer", "sgd")

    def reads(self):
        self.note(self.model.get_weights())
        self.note([weight for layer in self.model.layers for weight in layer.get_weights()])
        assert self.model.optimizer_state()["counters"][0] == self.step
        outputs = self.model.predict(X)
        twin = self.compiled()
        twin.set_weights(self.model.get_weights())
        assert same([outputs, self.model.predict(X[:1])], [twin.predict(X), twin.predict(X[:1])])
        assert self.model.evaluate(X, Y, verbose=0) == twin.evaluate(X, Y, verbose=0)

    def uses(self):
        self.model.predict(X[:1])
        self.model.predict(X)
        self.model.evaluate(X, Y, verbose=0)
        self.another()

    def summary(self):
        self.model.summary(print_fn=lambda *_, **__: None)


class Estimator(Network):
    """An estimator that is fitted for long enough."""

    kind: type

    def compiled(self):
        return self.kind(
            hidden_layer_sizes=(64, 64), max_iter=self.epochs, batch_size=100, random_state=1, threads=self.threads,
            n_iter_no_change=10**6, dropout=0.2, learning_rate_init=1e-4,
        )  # fmt: skip

    epochs = 100

    @property
    def step(self):
        engine = self.model.__dict__.get("_engine")
        return engine.step if engine is not None else 0

    def fit(self):
        self.model.fit(X, Y)

    def struck(self, act):
        act(self)

    def check(self):
        twin = self.compiled().fit(X, Y)
        assert same(self.model.coefs_ + self.model.intercepts_, twin.coefs_ + twin.intercepts_)
        assert self.model.loss_curve_ == twin.loss_curve_
        assert same([self.model.predict(X)], [twin.predict(X)])

    def save(self):
        assert same([pickle.loads(pickle.dumps(self.model)).predict(X)], [self.model.predict(X)])

    def copies(self):
        from sklearn.base import clone

        clone(self.model)
        twin = copy.deepcopy(self.model)
        assert same([twin.predict(X)], [self.model.predict(X)])
        twin.partial_fit(X, Y, **({"classes": [0, 1]} if self.kind is fastnn.MLPClassifier else {}))

    def writes(self):
        coefs = self.model.coefs_
        refused(setattr, self.model, "coefs_", [np.zeros_like(coef) for coef in coefs])
        refused(setattr, self.model, "intercepts_", self.model.intercepts_)
        assert self.model.coefs_ is coefs

    def rewrites(self):
        self.model.set_params(alpha=0.5)
        self.model.predict(X)
        self.model.set_params(alpha=1e-4)

    def end(self):
        """Go on to the end."""

    def another(self):
        self.compiled().set_params(max_iter=2).fit(X, Y).predict(X)

    def refuses(self):
        refused(self.model.fit, X, Y)
        refused(self.model.partial_fit, X, Y)

    def reads(self):
        self.model.predict(X[:1])
        self.model.score(X, Y)
        assert [coef.shape for coef in self.model.coefs_] == [(20, 64), (64, 64), (64, 1)]

    def uses(self):
        self.model.predict(X)
        self.another()

    def summary(self):
        """Set a parameter and set it back, with a look between."""
        self.rewrites()
        repr(self.model)


class Classifier(Estimator):
    kind = fastnn.MLPClassifier


class Regressor(Estimator):
    kind = fastnn.MLPRegressor


FACES = {"sequential": Network, "classifier": Classifier, "regressor": Regressor}
ENTRIES = {
    "reads": lambda face: face.reads(),
    "save": lambda face: face.save(),
    "copies": lambda face: face.copies(),
    "writes": lambda face: face.writes(),
    "refuses": lambda face: face.refuses(),
    "another": lambda face: face.another(),
    "summary": lambda face: face.summary(),
    "fork": lambda face: in_child(face.uses),
    "multiprocessing": lambda face: in_process(face.uses),
    "subprocess": lambda face: subprocess.run([sys.executable, "-c", ""], check=True),
    "nested": lambda face: (again(face.reads), face.reads()),
    "nested fork": lambda face: again(lambda: in_child(face.uses)),
}


def strike_in_fit(kind, threads, act):
    """Fit, and send a signal once steps are done, whose handler acts; again if it came too late."""
    for _ in range(TRIES):
        face, struck, over = kind(threads), [], threading.Event()

        def handler(*_, face=face, struck=struck):
            face.struck(act)
            struck.append(face.step)

        def send(face=face, over=over):
            while face.step == 0 and not over.is_set():
                time.sleep(0.0002)
            os.kill(os.getpid(), signal.SIGUSR1)

        signal.signal(signal.SIGUSR1, handler)
        sender = threading.Thread(target=send)
        sender.start()
        face.fit()
        over.set()
        came = bool(struck)
        sender.join()
        if came:
            face.check()
            return
    raise AssertionError("no signal came in the midst of a fit")


def strike_at_random(kind, threads, strikes=40, deepest=3):
    """Strike again and again, also the handlers, until a fit is over, and print how often and how deep."""
    choices, depth, deep, done = random.Random(threads), 0, 0, []
    acts = [
        lambda face: face.reads(), lambda face: face.save(), lambda face: face.copies(), lambda face: face.rewrites(),
        lambda face: face.refuses(), lambda face: face.another(), lambda face: in_child(face.uses),
    ]  # fmt: skip

    def strike_soon():
        signal.setitimer(signal.ITIMER_REAL, choices.choice([0.0005, 0.002, 0.01, 0.03]))

    def handler(*_):
        nonlocal depth, deep
        if face.step == 0:
            strike_soon()  # it has not begun
            return
        depth += 1
        deep = max(deep, depth)
        if depth < deepest:
            strike_soon()
        done.append(None)
        choices.choice(acts)(face)
        depth -= 1
        if len(done) < strikes:
            strike_soon()
        elif depth == 0:
            face.end()

    signal.signal(signal.SIGALRM, handler)
    while len(done) < strikes:
        face = kind(threads)
        strike_soon()
        face.fit()
        signal.setitimer(signal.ITIMER_REAL, 0)
        assert depth == 0
        face.check()
    print(len(done), deep)


def main(face, threads, *entries):
    warnings.simplefilter("ignore")
    faulthandler.dump_traceback_later(100, exit=True)
    kind = FACES[face]
    first = kind(int(threads))
    first.epochs = 1
    if face == "sequential":  # loads what handlers need
        first.model.fit(X, Y, verbose=0, batch_size=100)
        first.save()
    else:
        first.model.set_params(max_iter=1).fit(X, Y).score(X, Y)
    first.uses()
    if entries == ("random",):
        return strike_at_random(kind, int(threads))
    for entry in entries or ENTRIES:
        strike_in_fit(kind, int(threads), ENTRIES[entry])
        print(entry, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
