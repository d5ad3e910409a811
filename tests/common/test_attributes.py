"""Attributes that are assigned: heeded, or refused with a word; never kept, ignored and saved."""

import copy
import pickle

import numpy as np
import pytest

import fastnn
from fastnn import Dense, EarlyStopping, History, LambdaCallback, Sequential, initializers, layers, losses, metrics
from fastnn.callbacks import BackupAndRestore, Callback, ModelCheckpoint
from fastnn.models import load_model
from fastnn.optimizers import SGD, Adam, RMSprop, schedules

X = np.random.default_rng(0).normal(size=(20, 3))
Y = X[:, 0]


def small_model(optimizer="adam"):
    fastnn.utils.set_random_seed(0)
    model = Sequential([Dense(4, "tanh", input_shape=(3,)), Dense(1)])
    model.compile(optimizer, "mse")
    return model


THINGS = [
    (Adam(), "lr", "learning_rate"),
    (Adam(), "learnig_rate", "learning_rate"),
    (SGD(), "momentun", "momentum"),
    (small_model().optimizer, "beta1", "beta_1"),
    (schedules.CosineDecay(0.1, 10), "decay_step", "decay_steps"),
    (losses.Huber(), "detla", "delta"),
    (losses.BinaryCrossentropy(), "from_logit", "from_logits"),
    (metrics.Accuracy(), "nam", "name"),
    (Dense(3), "activations", "activation"),
    (small_model().layers[0], "activations", "activation"),
    (layers.Dropout(0.1), "rat", "rate"),
    (layers.BatchNormalization(), "momentun", "momentum"),
    (initializers.HeNormal(), "sed", "seed"),
    (EarlyStopping(), "patiense", "patience"),
    (ModelCheckpoint("a"), "save_best", "save_best_only"),
    (BackupAndRestore("a"), "backup", "backup_dir"),
    (History(), "histori", "history"),
    (LambdaCallback(), "on_epoch_ends", "on_epoch_end"),
    (small_model(), "optimzer", "optimizer"),
    (small_model(), "stop_trainin", "stop_training"),
]


@pytest.mark.parametrize(("thing", "name", "meant"), THINGS, ids=lambda value: value if isinstance(value, str) else "")
def test_attributes_that_nothing_would_heed(thing, name, meant):
    kind = type(thing).__name__
    with pytest.raises(AttributeError, match=f"{kind} has no attribute '{name}': did you mean '{meant}'"):
        setattr(thing, name, 0.5)
    assert not hasattr(thing, name)
    with pytest.raises(AttributeError, match="it would be ignored"):
        thing.zzz = 1


def test_a_function_of_the_user_is_no_method():
    def slow_down(optimizer, rate):
        optimizer.lr = rate

    with pytest.raises(AttributeError, match="did you mean 'learning_rate'"):
        slow_down(Adam(), 0.1)


def test_regularizers_and_activations():
    for thing in (fastnn.regularizers.L2(), fastnn.activations.relu):
        with pytest.raises(AttributeError):
            thing.strength = 1.0


def test_an_estimators_model_for_callbacks():
    def wrong(epoch, logs):
        stop.model.stop_trainin = True

    stop = LambdaCallback(on_epoch_end=wrong)
    with pytest.raises(AttributeError, match="did you mean 'stop_training'"):
        fastnn.MLPRegressor(hidden_layer_sizes=(4,), callbacks=stop).fit(X, Y)


def test_subclasses_have_what_attributes_they_like():
    class Warm(Adam):
        note = "class"

        def __init__(self, extra):
            self.before = 1
            super().__init__(0.1)
            self.extra = extra
            [setattr(self, f"number_{place}", place) for place in range(2)]

        @lambda method: lambda self: method(self)  # a decorator that leaves no trace
        def later(self):
            self.late = True
            [setattr(self, f"late_{place}", place) for place in range(2)]

    optimizer = Warm("mine")
    optimizer.later()
    optimizer.note = "changed"
    assert (optimizer.extra, optimizer.late, optimizer.note, optimizer.number_1) == ("mine", True, "changed", 1)
    assert optimizer.late_1 == 1
    with pytest.raises(AttributeError, match="Warm has no attribute 'lr'"):
        optimizer.lr = 1.0

    class Mine(Sequential):
        def __init__(self):
            super().__init__([Dense(1, input_shape=(3,))])
            self.extra = 1

        def remember(self):
            self.more = 2

    model = Mine()
    model.remember()
    assert (model.extra, model.more) == (1, 2)

    class Watch(Callback):
        def on_train_begin(self, logs=None):
            self.seen = []

        def on_epoch_end(self, epoch, logs=None):
            self.seen.append(epoch)

    watch = Watch()
    watch.of_the_script = 3  # a class of the user's own
    small_model().fit(X, Y, epochs=2, verbose=0, callbacks=[watch])
    assert watch.seen == [0, 1]


@pytest.mark.parametrize(
    ("thing", "name", "value", "message"),
    [
        (Adam(), "beta_1", 5.0, "beta_1 must be >= 0 and < 1; got 5.0"),
        (Adam(), "learning_rate", -1.0, "learning_rate must be >= 0"),
        (Adam(clipnorm=1.0), "clipvalue", 1.0, "only one of clipnorm, clipvalue"),
        (SGD(), "momentum", "much", "momentum must be a number"),
        (Adam(), "iterations", 3, "iterations"),
        (Adam(), "name", "sgd", "name of an optimizer cannot be set"),
        (Adam(), "schedule", schedules.CosineDecay(0.1, 3), "assign learning_rate"),
        (Dense(3), "units", 0, "units must be an integer >= 1"),
        (small_model().layers[0], "units", 9, "has its weights, which do not fit units=9"),
        (small_model().layers[0], "use_bias", False, "do not fit use_bias=False"),
        (Dense(3), "activation", "rulu", "Did you mean 'relu'"),
        (losses.Huber(), "delta", 2.0, "delta of Huber cannot be changed: make a new object"),
        (losses.MeanSquaredError(), "from_logits", True, "cannot be changed"),
        (losses.MeanSquaredError(), "name", "poisson", "cannot be changed"),
        (metrics.Accuracy(), "direction", "min", "cannot be changed"),
        (schedules.CosineDecay(0.1, 10), "decay_steps", 20, "cannot be changed"),
        (initializers.HeNormal(), "seed", 1, "cannot be changed"),
        (ModelCheckpoint("a"), "save_freq", 3, "save_freq of ModelCheckpoint cannot be changed"),
        (small_model(), "dtype", "float64", "make one with dtype='float64'"),
        (small_model(), "jit_compile", True, "is set by compile"),
        (small_model(), "loss", "msee", "unknown loss 'msee'"),
        (small_model(), "optimizer", "adma", "unknown optimizer 'adma'"),
    ],
    ids=lambda value: "" if not isinstance(value, str) else value[:20],
)
def test_values_are_checked_as_the_constructor_checks_them(thing, name, value, message):
    before = copy.copy(vars(thing))
    with pytest.raises((AttributeError, TypeError, ValueError), match=message):
        setattr(thing, name, value)
    assert vars(thing) == before


def test_values_are_taken_as_the_constructor_takes_them():
    layer = Dense(3)
    layer.units, layer.activation, layer.kernel_regularizer = 4, "relu", "l2"
    assert (layer.units, layer.activation, layer.kernel_regularizer) == (
        4, fastnn.activations.relu, fastnn.regularizers.L2(),
    )  # fmt: skip
    model = small_model()
    model.loss, model.optimizer, model.metrics = "mae", "sgd", ["mse"]
    assert model.fit(X, Y, verbose=0).history.keys() == {"loss", "mse"}
    assert (type(model.loss), type(model.optimizer)) == (losses.MeanAbsoluteError, SGD)
    model.metrics = None
    assert model.fit(X, Y, verbose=0).history.keys() == {"loss"}


@pytest.mark.parametrize("name", ["optimizer", "loss", "metrics"])
def test_what_a_fit_was_begun_with_is_not_exchanged_in_it(name):
    model = small_model()
    value = {"optimizer": "sgd", "loss": "mae", "metrics": ["mae"]}[name]
    with pytest.raises(RuntimeError, match=f"{name} within a fit"):
        model.fit(X, Y, verbose=0, callbacks=LambdaCallback(on_epoch_end=lambda *_: setattr(model, name, value)))


CHANGES = [
    (SGD(0.1, momentum=0.5), {"momentum": 0.9}),
    (SGD(0.1, momentum=0.5), {"nesterov": True}),
    (RMSprop(0.01), {"rho": 0.5}),
    (Adam(0.01), {"learning_rate": 0.1}),
    (Adam(0.01), {"beta_1": 0.5}),
    (Adam(0.01), {"epsilon": 0.1}),
    (Adam(0.01), {"weight_decay": 0.1}),
    (Adam(0.01, clipnorm=0.5), {"clipnorm": 0.01}),
    (SGD(0.01, clipvalue=0.5), {"clipvalue": 0.01}),
]


@pytest.mark.parametrize(("optimizer", "change"), CHANGES)
def test_changes_within_a_fit_hold_from_the_next_step(optimizer, change):
    """As those between two parts of it do."""

    def apply(model, *_):
        for name, value in change.items():
            setattr(model.optimizer, name, value)

    def in_parts(change_it):
        model = small_model(copy.copy(optimizer))
        model.fit(X, Y, batch_size=5, verbose=0)
        change_it(model)
        model.fit(X, Y, batch_size=5, epochs=2, initial_epoch=1, verbose=0)
        return model.get_weights()

    model = small_model(copy.copy(optimizer))
    watch = LambdaCallback(on_epoch_end=lambda epoch, _: epoch == 0 and apply(model))
    model.fit(X, Y, batch_size=5, epochs=2, verbose=0, callbacks=watch)
    for mine, theirs in zip(model.get_weights(), in_parts(apply), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    assert any((mine != other).any() for mine, other in zip(model.get_weights(), in_parts(id), strict=True))


@pytest.mark.parametrize(
    ("name", "value"), [("clipnorm", 1.0), ("clipvalue", 1.0), ("learning_rate", schedules.CosineDecay(0.1, 10))]
)
def test_what_needs_another_program_does_not_begin_within_a_fit(name, value):
    model = small_model()
    with pytest.raises(RuntimeError, match="cannot begin or end within a fit"):
        model.fit(
            X, Y, epochs=2, verbose=0,
            callbacks=LambdaCallback(on_epoch_end=lambda *_: setattr(model.optimizer, name, value)),
        )  # fmt: skip
    model.fit(X, Y, verbose=0)  # before one it may


# --- what an optimizer says of itself --------------------------------------------------------------------------------


def test_iterations_are_the_steps_done(tmp_path):
    model = small_model()
    assert model.optimizer.iterations == 0
    model.fit(X, Y, batch_size=5, epochs=2, verbose=0)
    assert model.optimizer.iterations == 8
    model.train_on_batch(X, Y)
    assert model.optimizer.iterations == 9
    model.save(tmp_path / "model")
    twins = [load_model(tmp_path / "model"), pickle.loads(pickle.dumps(model)), copy.deepcopy(model)]
    assert [twin.optimizer.iterations for twin in twins] == [9, 9, 9]
    alone = [copy.copy(model.optimizer), pickle.loads(pickle.dumps(model.optimizer))]
    model.fit(X, Y, batch_size=5, verbose=0)
    assert [optimizer.iterations for optimizer in (*alone, model.optimizer)] == [9, 9, 13]
    model.compile(model.optimizer, "mse")
    assert model.optimizer.iterations == 0


@pytest.mark.parametrize("optimizer", [Adam(0.01), Adam(schedules.ExponentialDecay(0.1, 7, 0.5))])
def test_iterations_and_rates_in_every_hook(optimizer):
    seen = []

    def watch(hook, steps):
        now = model.optimizer
        seen.append((hook, now.iterations - steps, now.learning_rate == pytest.approx(rate(now.iterations), rel=1e-12)))

    rate = (lambda steps: optimizer.schedule(steps)) if optimizer.schedule else lambda steps: 0.01
    model, done = small_model(optimizer), {"steps": 0}
    hooks = {
        "on_train_begin": lambda *_: watch("train_begin", 0),
        "on_epoch_begin": lambda epoch, _: watch("epoch_begin", 4 * epoch),
        "on_epoch_end": lambda epoch, _: watch("epoch_end", 4 * epoch + 4),
        "on_train_end": lambda *_: watch("train_end", 12),
    }
    model.fit(X, Y, batch_size=5, epochs=3, verbose=0, callbacks=LambdaCallback(**hooks))

    def begin(batch, _):
        watch("batch_begin", done["steps"])

    def end(batch, _):
        done["steps"] += 1
        watch("batch_end", done["steps"])

    model.compile(optimizer, "mse")
    model.fit(
        X, Y, batch_size=5, epochs=3, verbose=0,
        callbacks=LambdaCallback(on_train_batch_begin=begin, on_train_batch_end=end),
    )  # fmt: skip
    assert len(seen) == 8 + 24
    assert all(difference == 0 and right for _, difference, right in seen), seen


def test_iterations_after_an_interrupt(monkeypatch):
    from fastnn.engine import engine

    model, work = small_model(), engine.Run._work

    def interrupted(run, *arguments):
        work(run, *arguments)
        raise KeyboardInterrupt

    monkeypatch.setattr(engine.Run, "_work", interrupted)
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, Y, batch_size=5, verbose=0)
    assert model.optimizer.iterations == model.engine.step > 0


def test_a_rate_that_was_set_is_the_one_that_is_saved(tmp_path):
    model = small_model()
    model.optimizer.learning_rate = 0.25
    model.save(tmp_path / "model")
    assert load_model(tmp_path / "model").optimizer.learning_rate == 0.25


def test_the_old_spelling_is_an_argument_only():
    from fastnn.common import identifiers

    identifiers._warned.discard("lr")
    with pytest.warns(FutureWarning, match="'lr' is an old spelling of 'learning_rate'"):
        assert SGD(lr=0.5).learning_rate == 0.5
