"""Numbers that users type as a matter of form, such as ``max_iter=10**9``, cost what is done and not what could be."""

import sys

import numpy as np
import pytest
from harness import assert_same_bits, folders_of

import fastnn
from fastnn import Perceptron
from fastnn.callbacks import LambdaCallback
from fastnn.engine.training_record import TrainingRecord
from fastnn.layers import Dense
from fastnn.models import Sequential
from fastnn.optimizers import Adam, schedules

X = np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32)
Y = (X[:, 0] > 0).astype(np.float32)
MANY = [10**9, 10**12, 2**53 - 1]
TOO_MANY = [2**53 + 1, 2**63, 10**30, 10**400]

SCRIPT = """
    import resource
    import sys
    import warnings

    sys.path[:0] = {tests!r}
    import test_huge_counts

    warnings.simplefilter("ignore")
    test_huge_counts.{work}(5)
    used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + (1 << 30),) * 2)
    for many in test_huge_counts.MANY:
        test_huge_counts.{work}(many)
    print("done")
"""


def fitted(epochs, initial_epoch=0, **options):
    """A model whose fit a callback ends after 5 epochs, and its history."""
    fastnn.set_random_seed(0)
    model = Sequential([Dense(3, "relu"), Dense(1)])
    model.compile("adam", "mse", metrics=["mae"])

    def stop(epoch, logs):
        model.stop_training = epoch - initial_epoch >= 4

    callbacks = [LambdaCallback(on_epoch_end=stop)]
    history = model.fit(X, Y, epochs=epochs, initial_epoch=initial_epoch, verbose=0, callbacks=callbacks, **options)
    return model, history


def sequential(many):
    _, expected = fitted(5)
    _, history = fitted(many)
    assert history.history == expected.history
    _, history = fitted(many, initial_epoch=many - 5)
    assert history.epoch == list(range(many - 5, many))
    fitted(5, batch_size=many)


def estimators(many):
    plain = fastnn.MLPClassifier((3,), random_state=0, max_iter=1000, tol=0.1)
    expected = plain.fit(X, Y).loss_curve_
    assert plain.set_params(max_iter=max(many, 1000)).fit(X, Y).loss_curve_ == expected
    plain.set_params(early_stopping=True).fit(X, Y)
    plain.set_params(early_stopping=False, solver="lbfgs", max_fun=many).fit(X, Y)
    endless = fastnn.MLPRegressor(hidden_layer_sizes=(3,), max_iter=many, n_iter_no_change=many, time_limit=0.1)
    for parameters in ({}, {"learning_rate": "cosine"}, {"n_iter_no_change": np.inf}, {"batch_size": many}):
        assert endless.set_params(**parameters).fit(X, Y).n_iter_ <= many


def perceptrons(many):
    assert Perceptron(max_iter=max(many, 1000), random_state=0).fit(X, Y).n_iter_ < 1000


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
@pytest.mark.parametrize(
    "work", ["sequential", *(pytest.param(work, marks=pytest.mark.slow) for work in ("estimators", "perceptrons"))]
)
def test_little_memory_is_enough(run_python, work):

    assert run_python(SCRIPT.format(tests=folders_of(__file__), work=work)).strip() == "done"


@pytest.mark.parametrize("epochs", TOO_MANY)
def test_what_no_number_of_epochs_can_be_is_refused_by_name(epochs):
    for options in ({"epochs": epochs}, {"epochs": epochs, "initial_epoch": epochs - 5}):
        with pytest.raises(ValueError, match=rf"epochs? must be an integer >= 0 and < {2**53}; got "):
            fitted(**options)
    for model in (fastnn.MLPClassifier(max_iter=epochs), Perceptron(max_iter=epochs)):
        with pytest.raises(ValueError, match="max_iter.* must be (an int in the range|at most)"):
            model.fit(X, Y)


@pytest.mark.parametrize("size", [2**31, 2**63, 10**30, 10**400])
def test_layers_of_no_possible_size_are_refused_by_name(size):
    with pytest.raises(ValueError, match="units must be an integer >= 1 and <"):
        Dense(size)
    with pytest.raises(ValueError, match="every size of an input shape must be an integer >= 1 and <"):
        Dense(1, input_shape=(size,))
    with pytest.raises(ValueError, match="hidden_layer_sizes must be <"):
        fastnn.MLPRegressor(hidden_layer_sizes=(3, size)).fit(X, Y)
    with pytest.raises(ValueError, match="'n_layers' parameter of MLPRegressor must be"):
        fastnn.MLPRegressor(n_layers=size).fit(X, Y)


@pytest.mark.parametrize("steps", [10**12, 10**30, 10**300])
def test_schedules_over_ever_so_many_steps(steps):
    for schedule in (
        schedules.CosineDecay(0.1, steps),
        schedules.ExponentialDecay(0.1, steps, 0.9),
        schedules.PolynomialDecay(0.1, steps),
        schedules.PiecewiseConstantDecay([steps], [0.1, 0.2]),
    ):
        assert schedule(3) == pytest.approx(0.1)
        Sequential([Dense(1)]).compile(Adam(schedule), "mse")


def test_a_number_beyond_floats_is_refused_by_name():
    with pytest.raises(ValueError, match="decay_steps must be > 0 and finite"):
        schedules.CosineDecay(0.1, 10**400)
    with pytest.raises(ValueError, match="decay_steps must be > 0 and finite"):
        schedules.CosineDecay(0.1, -(10**400))


def test_room_grows_without_a_change_in_what_is_reported(monkeypatch):
    def histories():
        model, history = fitted(7)
        silent = model.fit(X, Y, epochs=300, verbose=0)
        return [model.get_weights(), np.array([history.history["mae"]]), np.array(list(silent.history.values()))]

    expected = histories()
    for room in (1, 2, 10**4):
        monkeypatch.setattr("fastnn.engine.run.ROOM", room)
        for ours, theirs in zip(histories(), expected, strict=True):
            assert_same_bits(ours, theirs)


def going_on_from(record):
    """History of a fit that goes on in the midst of an epoch, to its end."""
    fastnn.set_random_seed(0)
    model = Sequential([Dense(3, "relu"), Dense(1)])
    model.compile("adam", "mse", metrics=["mae"])
    model.fit(X, Y, epochs=1, batch_size=10, verbose=0)

    class GoOn(fastnn.callbacks.Callback):
        def on_train_begin(self, logs=None):
            self.model.take_record(record)
            self.model._restored = True

        def on_epoch_end(self, epoch, logs=None):
            self.model.stop_training = True

    return model.fit(X, Y, epochs=2**53 - 1, batch_size=10, verbose=0, callbacks=[GoOn()])


def test_going_on_in_a_far_epoch_needs_no_room_for_those_before():
    record = TrainingRecord(7, 10**15, 2, [1e6, 2e6], {"loss": [0.0], "mae": [0.0]}, [0])
    history = going_on_from(record)
    assert history.epoch == [0, 10**15]
    assert history.history["loss"][-1] == pytest.approx(1e6 / 50, rel=1e-3)
    assert history.history["mae"][-1] == pytest.approx(2e6 / 50, rel=1e-3)


@pytest.mark.parametrize("sums", [[], [1.0], [1.0] * 3])
def test_sums_of_other_metrics_are_refused(sums):
    with pytest.raises(ValueError, match=f"has {len(sums)} sums of loss and metrics .* this one has 2"):
        going_on_from(TrainingRecord(7, 3, 2, sums, {}, []))
