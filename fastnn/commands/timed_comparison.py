"""The same task by fastnn and by scikit-learn on equal terms, timed.

Equal terms: the same float32 arrays, layers, batch size, epochs, number of threads, Glorot-uniform initial weights,
shuffling each epoch, Adam with the same constants, no penalty, no early stopping. Only the fit is timed, after a small
fit of each library has compiled or started whatever it needs.
"""

import io
import time
import warnings
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass, field, replace
from functools import partial
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np

import fastnn
from fastnn.callbacks import Callback

if TYPE_CHECKING:
    from fastnn.models import Sequential

EPSILON = 1e-7
LEARNING_RATE = 1e-3


@dataclass(frozen=True)
class Task:
    """A classification task: data, network and how long to train it.

    Attributes
    ----------
    x_train, x_test : ndarray of shape (rows, features), float32
    y_train, y_test : ndarray of shape (rows,), int64
    classes : tuple of str
        Names in order of the class index.
    hidden : tuple of int
        Units of the relu layers between input and output.
    repeats : int
        Fits with different seeds; their median time and mean accuracy are given.
    """

    name: str
    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    classes: tuple[str, ...]
    hidden: tuple[int, ...]
    batch_size: int
    epochs: int
    threads: int
    repeats: int = 1

    @property
    def outputs(self) -> int:
        """Units of the last layer: one sigmoid for two classes, else softmax."""
        return len(self.classes) if len(self.classes) > 2 else 1

    @property
    def network(self) -> str:
        """Units of each layer, as in 8-16-8-1."""
        return "-".join(map(str, (self.x_train.shape[1], *self.hidden, self.outputs)))


@dataclass
class Outcome:
    """What came of the fits of one library on one task.

    Attributes
    ----------
    times : list of float
        Seconds of each fit.
    train_accuracies, test_accuracies : list of float
        Of each fit.
    losses : list of list of float
        Training loss after each epoch, of each fit.
    curves : list of list of float
        Accuracy on the test rows after each epoch, of each fit; fastnn only.
    probabilities : ndarray of shape (test rows, classes)
        Predictions of the first fit.
    """

    library: str
    task: Task
    times: list[float] = field(default_factory=list)
    train_accuracies: list[float] = field(default_factory=list)
    test_accuracies: list[float] = field(default_factory=list)
    losses: list[list[float]] = field(default_factory=list)
    curves: list[list[float]] = field(default_factory=list)
    probabilities: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)))

    @property
    def seconds(self) -> float:
        """Median time of a fit."""
        return median(self.times)

    def add(self, seconds: float, predict: Callable[[np.ndarray], np.ndarray], losses: list[float]) -> None:
        """Judge one more fit by its function from rows to class probabilities."""
        test = predict(self.task.x_test)
        if not self.times:
            self.probabilities = test
        self.losses.append(losses)
        self.times.append(seconds)
        self.train_accuracies.append(float(np.mean(predict(self.task.x_train).argmax(axis=1) == self.task.y_train)))
        self.test_accuracies.append(float(np.mean(test.argmax(axis=1) == self.task.y_test)))


def run_fastnn(task: Task, seed: int, on_epoch: Callable[[], None] = lambda: None) -> Outcome:
    """Train with fastnn.

    A task of a single fit is watched while it trains, and the time spent on watching is taken off. A task of several
    fits is too small for that: each fit runs unobserved, and once more to be watched.

    Parameters
    ----------
    task : Task
    seed : int
        Of the first fit; each further one adds 1.
    on_epoch : callable
        Called once for each epoch.
    """
    outcome = Outcome("fastnn", task)
    for run in range(task.repeats):
        watch = _Watch(task, on_epoch)
        model, seconds, losses = _fit_fastnn(task, seed + run, [watch] if task.repeats == 1 else [])
        outcome.add(seconds - watch.paused, partial(_probabilities, model), losses)
        if task.repeats > 1:
            _fit_fastnn(task, seed + run, [watch])
        outcome.curves.append(watch.accuracies)
    return outcome


def run_sklearn(task: Task, seed: int, on_epoch: Callable[[], None] = lambda: None) -> Outcome:
    """Train with scikit-learn's MLPClassifier; parameters as in `run_fastnn`."""
    from sklearn.exceptions import ConvergenceWarning
    from threadpoolctl import threadpool_limits

    outcome = Outcome("scikit-learn", task)
    for run in range(task.repeats):
        model = _mlp(task, seed + run)
        with threadpool_limits(task.threads), redirect_stdout(_Lines(on_epoch)), warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # that it stopped at the epoch it was told to
            begun = time.perf_counter()
            model.fit(task.x_train, task.y_train)
            seconds = time.perf_counter() - begun
        outcome.add(seconds, model.predict_proba, model.loss_curve_)
    return outcome


def warm_up(task: Task) -> None:
    """Let both libraries compile or start what this task needs, by a fit and a prediction of two batches."""
    rows = 2 * task.batch_size
    small = replace(task, x_train=task.x_train[:rows], y_train=task.y_train[:rows], epochs=1, repeats=1)
    run_fastnn(small, 0)
    run_sklearn(small, 0)


def _fit_fastnn(task: Task, seed: int, callbacks: list[Callback]) -> tuple["Sequential", float, list[float]]:
    """Return a fitted model, the seconds it took, and the loss of each epoch."""
    from fastnn.layers import Dense, Input
    from fastnn.models import Sequential
    from fastnn.optimizers import Adam

    fastnn.set_random_seed(seed)
    layers = [Dense(units, activation="relu") for units in task.hidden]
    last = Dense(task.outputs, activation="sigmoid" if task.outputs == 1 else "softmax")
    model = Sequential([Input((task.x_train.shape[1],)), *layers, last], threads=task.threads)
    loss = "binary_crossentropy" if task.outputs == 1 else "sparse_categorical_crossentropy"
    model.compile(Adam(LEARNING_RATE, epsilon=EPSILON), loss, metrics=["accuracy"])
    begun = time.perf_counter()
    history = model.fit(
        task.x_train, task.y_train, batch_size=task.batch_size, epochs=task.epochs, verbose=0, callbacks=callbacks
    )
    return model, time.perf_counter() - begun, history.history["loss"]


def sklearn_terms(batch_size: int, epochs: int, seed: int) -> dict[str, Any]:
    """Keywords with which scikit-learn's perceptrons train as described above: Adam, all epochs, nothing else."""
    return {
        "solver": "adam",
        "alpha": 0.0,
        "batch_size": batch_size,
        "learning_rate_init": LEARNING_RATE,
        "epsilon": EPSILON,
        "max_iter": epochs,
        "tol": 0.0,
        "n_iter_no_change": np.inf,
        "random_state": seed,
    }


def _mlp(task: Task, seed: int) -> Any:
    from sklearn.neural_network import MLPClassifier

    terms = sklearn_terms(task.batch_size, task.epochs, seed)
    return MLPClassifier(task.hidden, activation="relu", verbose=True, **terms)


def _probabilities(model: "Sequential", x: np.ndarray) -> np.ndarray:
    outputs = model.predict(x, verbose=0)
    return np.hstack([1 - outputs, outputs]) if outputs.shape[1] == 1 else outputs


class _Watch(Callback):
    """Notes the accuracy on the test rows after each epoch, and the time that takes."""

    def __init__(self, task: Task, on_epoch: Callable[[], None] = lambda: None) -> None:
        self.task, self.on_epoch = task, on_epoch
        self.paused = 0.0
        self.accuracies: list[float] = []

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        begun = time.perf_counter()
        right = _probabilities(self.model, self.task.x_test).argmax(axis=1) == self.task.y_test
        self.accuracies.append(float(np.mean(right)))
        self.on_epoch()
        self.paused += time.perf_counter() - begun


class _Lines(io.TextIOBase):
    """Takes what scikit-learn prints, and calls a function for each epoch it reports."""

    def __init__(self, on_epoch: Callable[[], None]) -> None:
        self.on_epoch = on_epoch

    def write(self, text: str) -> int:
        if text.startswith("Iteration"):
            self.on_epoch()
        return len(text)
