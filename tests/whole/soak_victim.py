"""A process that does one fit after another, as told line by line, while `soak_attacker` attacks it.

A job ends with the same bits, as often as it is begun again: Keras' face goes on from a backup, the estimators from a
pickle. What happens is told on stdout: ``ready``, ``begun JOB``, ``beat``, ``seen DIGEST`` (by a handler of a signal),
``done JOB DIGEST``, ``error JOB CLASS MESSAGE``. With the argument ``reference`` every job is done once, and the
digests of its steps are told: ``step JOB DIGEST DIGEST``, with and without the optimizer's state.
"""

import faulthandler
import hashlib
import itertools
import os
import pickle
import signal
import sys
import warnings
from pathlib import Path

import numpy as np

from fastnn import MLPClassifier, MLPRegressor
from fastnn.callbacks import BackupAndRestore, LambdaCallback, ModelCheckpoint
from fastnn.layers import Dense, Dropout
from fastnn.models import Sequential, load_model
from fastnn.utils import set_random_seed

RNG = np.random.default_rng(0)
X = RNG.normal(size=(120, 6)).astype(np.float32)
MANY = RNG.normal(size=(20_000, 6)).astype(np.float32)


class TimeUp(BaseException):
    """The limit of processor time was reached."""


class Shown:
    """What handlers of signals look at."""

    model, folder = None, Path()


def tell(*words):
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


def digest(model, state=False):
    """Digest of the weights, with or without the state of the optimizer."""
    if isinstance(model, Sequential):
        arrays = model.get_weights()
        if state and (state := model.optimizer_state()):
            arrays += [state["counters"], *itertools.chain(*state["moments"])]
    else:
        arrays = model.coefs_ + model.intercepts_
    return hashlib.sha256(b"".join(array.tobytes() for array in arrays)).hexdigest()[:16]


def keras(folder, watch, *, units=12, threads=1, epochs=150, save_freq="epoch", **options):
    set_random_seed(1)
    layers = [Dense(units, "relu", input_shape=(6,)), Dropout(0.2), Dense(1, "sigmoid")]
    model = Shown.model = Sequential(layers, threads=threads)
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"], **options)
    callbacks = [
        BackupAndRestore(folder / "backup", save_freq),
        ModelCheckpoint(folder / "last.fastnn"),
        LambdaCallback(on_epoch_end=lambda epoch, logs: tell("beat")),
        *watch(model),
    ]
    model.fit(X, X[:, 0] > 0, batch_size=10, epochs=epochs, verbose=0, callbacks=callbacks)
    model.save(folder / "done.fastnn")
    return model


def estimator(folder, watch, *, kind, rounds=100):
    path, new = folder / "rounds.pickle", folder / "new"
    begun, model = 0, kind(hidden_layer_sizes=(12,), batch_size=20, random_state=0)
    if path.exists():
        begun, model = pickle.loads(path.read_bytes())
    for done in range(begun + 1, rounds + 1):
        model.callbacks = watch(model) or None
        with warnings.catch_warnings(record=True) as caught:
            warnings.filterwarnings("always", "Training interrupted")  # not those of a handler that forks
            model.partial_fit(MANY[:4000], MANY[:4000, 0] > 0, **{"classes": [0, 1]} if kind is MLPClassifier else {})
        if caught:  # as scikit-learn's, estimators make a warning of an interrupt
            raise KeyboardInterrupt(*[warning.message for warning in caught])
        model.callbacks = None
        new.write_bytes(pickle.dumps((done, model)))
        new.replace(path)
        Shown.model = model
        tell("beat")
    return model


def saving(folder, watch):
    """Save, load and predict, over and over."""
    set_random_seed(2)
    model = Shown.model = Sequential([Dense(30, "tanh", input_shape=(6,)), Dense(3)], threads=2)
    model.compile("sgd", "mse")
    expected = model.predict(MANY)
    for _ in range(100):
        model.save(folder / "saved.fastnn")
        assert load_model(folder / "saved.fastnn", threads=2).predict(MANY).tobytes() == expected.tobytes()
        tell("beat")
    return model


JOBS = {
    "one-thread": (keras, {}),
    "two-threads": (keras, {"units": 300, "threads": 2, "epochs": 80}),
    "steps": (keras, {"epochs": 20, "save_freq": 3}),
    "own-program": (keras, {"jit_compile": True}),
    "classifier": (estimator, {"kind": MLPClassifier}),
    "regressor": (estimator, {"kind": MLPRegressor}),
    "saving": (saving, {}),
}


def do(name, folder, watch=lambda model: []):
    job, options = JOBS[name]
    Shown.model, Shown.folder = None, folder
    model = job(folder, watch, **options)
    return digest(model)


# --- handlers of signals ------------------------------------------------------------------------------------------


def save(model):
    if isinstance(model, Sequential):
        model.save(Shown.folder / "handed.fastnn")
    pickle.dumps(model)


def predict(model):
    assert np.isfinite(model.predict(MANY)).all()


def look(model):
    tell("seen", digest(model))


def evaluate(model):
    if isinstance(model, Sequential):
        model.evaluate(X, X[:, :1] > 0 if model.output_shape[-1] == 1 else X[:, :3], verbose=0)
    else:
        model.score(X, X[:, 0] > 0)


def fork(model):
    child = os.fork()
    if child == 0:
        try:
            predict(model)
        except BaseException:
            os._exit(1)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0


USES = itertools.cycle([look, predict, save, evaluate, fork])


def use(*_):
    if Shown.model is not None:
        next(USES)(Shown.model)


def save_and_exit(*_):
    if Shown.model is not None:
        predict(Shown.model)
        save(Shown.model)
    sys.exit(3)


def set_clock(*_):
    signal.signal(signal.SIGALRM, lambda *_: None)
    signal.setitimer(signal.ITIMER_REAL, 0.001, 0.003)


def end_clock(*_):
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, set_clock)


def give_up(*_):
    raise TimeUp


HANDLERS = {"TERM": save_and_exit, "USR1": use, "ALRM": set_clock, "USR2": end_clock, "XCPU": give_up}


def main():
    """Do what stdin says, and die of no signal at the end, when Python has taken the handlers away."""
    try:
        faulthandler.enable()
        for name, handler in HANDLERS.items():
            signal.signal(getattr(signal, f"SIG{name}"), handler)
        tell("ready")
        for line in iter(sys.stdin.readline, ""):
            attempt(*line.rstrip().split(" ", 1))
    finally:
        for name in HANDLERS:
            signal.signal(getattr(signal, f"SIG{name}"), signal.SIG_IGN)


def attempt(name, folder):
    """Do a job and tell how it ended."""
    tell("begun", name)
    try:
        end = do(name, Path(folder))
        Shown.model = None  # before it is told: what a handler sees afterwards would be taken for the next job's
    except SystemExit:
        raise
    except BaseException as error:
        kind = next(kind for kind in type(error).__mro__ if kind is TimeUp or kind.__module__ == "builtins")
        tell("error", name, kind.__name__, repr(error).replace("\n", " "))
    else:
        tell("done", name, end)
    finally:
        Shown.model = None


def reference(folder):
    """Do every job and tell its steps."""

    def tell_step(model, name):
        tell("step", name, digest(model, state=True), digest(model))

    for name in JOBS:
        path = Path(folder, name)
        path.mkdir()

        def watch(model, name=name):
            def step(*_):
                tell_step(model, name)

            if isinstance(model, Sequential):
                step()  # the beginning
            return [LambdaCallback(on_train_begin=step, on_train_batch_end=step)]

        end = do(name, path, watch)
        tell_step(Shown.model, name)
        tell("done", name, end)


if __name__ == "__main__":
    reference(sys.argv[1]) if sys.argv[1:] else main()
