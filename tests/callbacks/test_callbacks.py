"""Callbacks: which hooks run when, what they see, and what happens when they raise."""

from itertools import pairwise

import numpy as np
import pytest

from fastnn.callbacks import HOOKS, Callback, EarlyStopping, History, LambdaCallback
from fastnn.engine import engine
from fastnn.layers import Dense, Input
from fastnn.models import Sequential
from fastnn.utils import set_random_seed

RNG = np.random.default_rng(3)
X = RNG.normal(size=(50, 4)).astype(np.float32)
Y = (X[:, 0] > 0).astype(np.float32)


def compiled():
    set_random_seed(1)
    model = Sequential([Input((4,)), Dense(8, "relu"), Dense(1, "sigmoid")])
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    return model


def recorder(log, hooks=HOOKS):
    """A callback that writes down every hook with its first argument and the names in its logs."""

    def note(hook):
        def receive(*arguments):
            *place, logs = arguments
            log.append((hook.removeprefix("on_"), *place, *logs))

        return receive

    return LambdaCallback(**{hook: note(hook) for hook in hooks})


def test_order_of_the_hooks_is_that_of_keras():
    log = []
    compiled().fit(X, Y, batch_size=10, verbose=0, validation_split=0.6, callbacks=[recorder(log)])
    names = ("accuracy", "loss")
    batches = [
        [(f"{phase}_batch_begin", i), (f"{phase}_batch_end", i, *names)]
        for phase, count in (("train", 2), ("test", 3))
        for i in range(count)
    ]
    assert log == [
        ("train_begin",),
        ("epoch_begin", 0),
        *batches[0],
        *batches[1],
        ("test_begin",),
        *batches[2],
        *batches[3],
        *batches[4],
        ("test_end", *names),
        ("epoch_end", 0, *names, "val_accuracy", "val_loss"),
        ("train_end", *names, "val_accuracy", "val_loss"),
    ]


def test_hooks_of_predict_and_evaluate():
    log, seen, model = [], [], compiled()
    outputs = model.predict(
        X,
        batch_size=30,
        callbacks=[
            recorder(log),
            LambdaCallback(on_predict_batch_end=lambda batch, logs: seen.append(logs["outputs"])),
        ],
    )
    assert [entry[0] for entry in log] == [
        "predict_begin", "predict_batch_begin", "predict_batch_end", "predict_batch_begin", "predict_batch_end",
        "predict_end",
    ]  # fmt: skip
    np.testing.assert_array_equal(np.concatenate(seen), outputs)
    np.testing.assert_array_equal(outputs, model.predict(X))
    means = []
    result = model.evaluate(
        X, Y, batch_size=30, verbose=0, callbacks=LambdaCallback(on_test_batch_end=lambda _, logs: means.append(logs))
    )
    assert [means[-1]["loss"], means[-1]["accuracy"]] == result
    assert means[0] == pytest.approx(model.evaluate(X[:30], Y[:30], verbose=0, return_dict=True))
    assert result == pytest.approx(model.evaluate(X, Y, verbose=0))


WATCHERS = {
    "nobody": [],
    "epochs": [LambdaCallback(on_epoch_end=lambda epoch, logs: None)],
    "batches": [LambdaCallback(on_train_batch_end=lambda batch, logs: None)],
}


def test_training_does_not_depend_on_who_looks():
    histories, weights = [], []
    for callbacks in WATCHERS.values():
        model = compiled()
        histories.append(model.fit(X, Y, batch_size=8, epochs=4, verbose=0, callbacks=callbacks).history)
        weights.append(model.get_weights()[0])
    assert histories[0] == histories[1] == histories[2]
    np.testing.assert_array_equal(weights[0], weights[1])
    np.testing.assert_array_equal(weights[0], weights[2])


@pytest.mark.parametrize(("who", "calls"), [("nobody", 1), ("epochs", 4), ("batches", 28)])
def test_training_stops_only_where_somebody_looks(monkeypatch, who, calls):
    model, asked = compiled(), []
    model.fit(X, Y, batch_size=8, verbose=0)  # the first step is timed and may be short
    advance = engine.Run.advance
    monkeypatch.setattr(engine.Run, "advance", lambda run, steps: asked.append(steps) or advance(run, steps))
    model.fit(X, Y, batch_size=8, epochs=4, verbose=0, callbacks=WATCHERS[who])
    assert len(asked) == calls
    assert sum(asked) == 28


def test_batch_hooks_see_running_means_and_the_weights_of_their_step():
    model = compiled()
    weights, logs = [], []

    class Watch(Callback):
        def on_train_batch_end(self, batch, so_far=None):
            weights.append(self.model.get_weights()[0])
            logs.append(so_far)

    history = model.fit(X, Y, batch_size=10, epochs=2, verbose=0, callbacks=[Watch()])
    assert len(weights) == 10
    assert all((first != second).any() for first, second in pairwise(weights))
    assert [logs[4]["loss"], logs[9]["loss"]] == history.history["loss"]
    assert logs[0]["loss"] != logs[1]["loss"]


def test_old_names_of_batch_hooks():
    seen = []

    class Old(Callback):
        def on_batch_end(self, batch, logs=None):
            seen.append(batch)

    compiled().fit(X, Y, batch_size=25, verbose=0, callbacks=[Old(), LambdaCallback(on_batch_begin=lambda *_: None)])
    assert seen == [0, 1]


def test_params_and_model():
    callback, model = Callback(), compiled()
    model.fit(X, Y, batch_size=20, epochs=5, initial_epoch=3, verbose=0, callbacks=[callback])
    assert callback.params == {"verbose": 0, "epochs": 5, "steps": 3}
    assert callback.model is model


def test_stopping_from_a_batch_and_from_an_epoch():
    model = compiled()

    def stop(*_):
        model.stop_training = True

    seen = []
    history = model.fit(
        X, Y, batch_size=10, epochs=9, verbose=0,
        callbacks=[LambdaCallback(on_train_batch_end=lambda b, logs: (seen.append(logs), b == 2 and stop()))],
    )  # fmt: skip
    assert len(seen) == 3
    assert history.history["loss"] == [seen[-1]["loss"]]
    history = model.fit(
        X, Y, epochs=9, verbose=0, callbacks=[LambdaCallback(on_epoch_end=lambda e, _: e == 1 and stop())]
    )
    assert history.epoch == [0, 1]


def test_the_learning_rate_may_change_between_epochs():
    model = compiled()
    weights = []

    def after(epoch, logs):
        weights.append(model.get_weights()[0])
        model.optimizer.learning_rate = 1e-30

    model.fit(X, Y, epochs=3, verbose=0, callbacks=[LambdaCallback(on_epoch_end=after)])
    np.testing.assert_array_equal(weights[0], weights[2])


def test_an_error_in_a_callback_leaves_a_usable_model():
    model = compiled()

    def fail(epoch, logs):
        if epoch == 2:
            raise RuntimeError("mine")

    with pytest.raises(RuntimeError, match="mine"):
        model.fit(X, Y, epochs=5, verbose=0, callbacks=[History(), LambdaCallback(on_epoch_end=fail)])
    assert model.history.epoch == [0, 1, 2]
    assert model.predict(X).shape == (50, 1)
    assert model.fit(X, Y, verbose=0).epoch == [0]


@pytest.mark.parametrize("before", [True, False], ids=["before the steps", "after the steps"])
def test_an_interrupt_keeps_whole_steps_and_finished_epochs(monkeypatch, before):
    model, advance = compiled(), engine.Run.advance

    def interrupted(run, steps):
        if run.done >= 12 and before:
            raise KeyboardInterrupt
        advance(run, 6)
        if run.done >= 12:
            raise KeyboardInterrupt
        return 6

    with monkeypatch.context() as patch:
        patch.setattr(engine.Run, "advance", interrupted)
        with pytest.raises(KeyboardInterrupt):
            model.fit(X, Y, batch_size=10, epochs=9, verbose=0)
    assert model.history.epoch == [0, 1]  # 12 steps are two epochs of 5 and a part of the third
    assert len(model.history.history["loss"]) == 2
    assert np.isfinite(model.predict(X)).all()
    model.fit(X, Y, verbose=0)


def test_history_of_a_second_fit():
    model = compiled()
    first = model.fit(X, Y, epochs=2, verbose=0)
    second = model.fit(X, Y, epochs=4, initial_epoch=2, verbose=0)
    assert (first.epoch, second.epoch) == ([0, 1], [2, 3])
    assert model.history is second
    assert list(second.history) == ["accuracy", "loss"]
    mine = History()
    assert model.fit(X, Y, verbose=0, callbacks=[mine]) is mine


@pytest.mark.parametrize(("odd", "message"), [(History, "call it to make an object"), (3, "got 3")])
def test_what_is_no_callback(odd, message):
    with pytest.raises(TypeError, match=message):
        compiled().fit(X, Y, callbacks=[odd])


def test_unknown_hooks():
    with pytest.raises(TypeError, match="no hook 'on_epoch_stop'; choose from on_train_begin"):
        LambdaCallback(on_epoch_stop=print)


class Model:
    """Stands in for a model: its weights are the number of the epoch."""

    stop_training, epoch, weights = False, None, None

    def __init__(self, metrics=()):
        self.metrics = metrics

    def get_weights(self):
        return self.epoch

    def set_weights(self, weights):
        self.weights = weights


def epochs_until_stop(values, monitor="val_loss", metrics=(), **arguments):
    """Number of epochs that run, and the epoch whose weights were restored."""
    model, callback = Model(metrics), EarlyStopping(monitor=monitor, **arguments)
    callback.set_model(model)
    callback.on_train_begin()
    for epoch, value in enumerate(values):
        model.epoch = epoch
        callback.on_epoch_end(epoch, {monitor: value})
        if model.stop_training:
            break
    callback.on_train_end()
    return epoch + 1, model.weights


@pytest.mark.parametrize(
    ("values", "arguments", "expected"),
    [
        ([5, 4, 3, 2, 1], {}, (5, None)),
        ([5, 4, 4, 3], {}, (3, None)),
        ([5, 4, 6, 6, 3, 9], {"patience": 3}, (6, None)),
        ([5, 4, 6, 6, 6, 3], {"patience": 3, "restore_best_weights": True}, (5, 1)),
        ([5, 4.9, 4.8, 4.7], {"min_delta": 0.15, "patience": 2}, (4, None)),
        ([1, 2, 3, 3], {"mode": "max"}, (4, None)),
        ([9, 8, 7, 6, 5], {"baseline": 6.5, "patience": 2}, (5, None)),
        ([9, 8, 7, 7, 6], {"baseline": 6.5, "patience": 2}, (4, None)),
        ([1, 9, 9, 8, 9, 9], {"start_from_epoch": 2}, (5, None)),
        ([5, 4, 3], {"restore_best_weights": True}, (3, 2)),
        ([5, float("nan"), 4], {"patience": 2}, (3, None)),
    ],
)
def test_early_stopping(values, arguments, expected):
    assert epochs_until_stop(values, **arguments) == expected


def test_early_stopping_asks_the_metric_for_its_direction():
    from fastnn.metrics import get_list

    rising = [0.5, 0.6, 0.7, 0.6]
    assert epochs_until_stop(rising, "val_accuracy", get_list(["accuracy"])) == (4, None)
    assert epochs_until_stop(rising, "val_mae", get_list(["mae"])) == (2, None)


def test_early_stopping_on_something_that_is_not_logged_warns_once():
    with pytest.warns(UserWarning, match="'val_loss', which is not among the logs: accuracy, loss") as caught:
        history = compiled().fit(X, Y, epochs=3, verbose=0, callbacks=[EarlyStopping()])
    assert len(caught) == 1
    assert len(history.epoch) == 3


def test_early_stopping_in_a_fit(capsys):
    model = compiled()
    callback = EarlyStopping(monitor="loss", min_delta=1e9, patience=2, restore_best_weights=True, verbose=1)
    weights = []
    keep = LambdaCallback(on_epoch_end=lambda *_: weights.append(model.get_weights()[0]))
    assert model.fit(X, Y, epochs=9, verbose=0, callbacks=[keep, callback]).epoch == [0, 1, 2]
    np.testing.assert_array_equal(model.get_weights()[0], weights[0])
    assert capsys.readouterr().out == (
        "Epoch 3: early stopping\nRestoring model weights from the end of the best epoch: 1.\n"
    )


def test_a_mode_that_does_not_exist():
    with pytest.raises(ValueError, match="mode must be"):
        EarlyStopping(mode="up")


@pytest.mark.parametrize("told", [0, 1, 2, 3])
@pytest.mark.parametrize("options", [{}, {"validation_split": 0.2}, {"epochs": 4}])
def test_an_exception_while_the_history_is_told_loses_no_epoch(monkeypatch, told, options):
    """`told`: how many of epoch, accuracy and loss it knows by then."""
    x, y = np.random.default_rng(0).normal(size=(40, 3)), np.arange(40) % 2
    model = Sequential([Dense(1, "sigmoid", input_shape=(3,))])
    model.compile("sgd", "binary_crossentropy", metrics=["accuracy"])
    model.fit(x, y, epochs=2, verbose=0)
    tell = History.on_epoch_end

    def struck(history, epoch, logs=None):
        if epoch == 3:
            tell(history, epoch, dict(list(logs.items())[: max(0, told - 1)])) if told else None
            raise KeyboardInterrupt
        tell(history, epoch, logs)

    monkeypatch.setattr(History, "on_epoch_end", struck)
    with pytest.raises(KeyboardInterrupt):
        model.fit(x, y, initial_epoch=2, verbose=0, **{"epochs": 6} | options)
    history = model.history
    assert history.epoch == list(range(2, model.record().epoch))
    assert {len(values) for values in history.history.values()} == {len(history.epoch)}
