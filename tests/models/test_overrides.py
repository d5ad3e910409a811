"""Classes that users derive: overrides are called, or refused when the class is made; what is theirs is kept."""

import copy
import pickle
import types

import numpy as np
import pytest

import fastnn
from fastnn import Callback, Dense, Input, Sequential, activations, initializers, layers, losses, metrics, optimizers
from fastnn.models import load_model
from fastnn.optimizers import schedules
from fastnn.regularizers import L2

X, Y = np.linspace(0, 1, 24, dtype=np.float32).reshape(8, 3), np.arange(8.0) % 2


def derived(base, **members):
    return types.new_class("Mine", (base,), exec_body=lambda namespace: namespace.update(members))


IGNORED = [
    (layers.Dense, "call"),
    (layers.Dense, "__call__"),
    (layers.Dense, "forward"),
    (layers.Dense, "build"),
    (layers.Dense, "compute_output_shape"),
    (layers.Dense, "get_weights"),
    (layers.Dense, "kernel"),
    (layers.Dense, "kind"),
    (layers.Dense, "_weight"),
    (layers.Dropout, "call"),
    (layers.BatchNormalization, "call"),
    (layers.Normalization, "adapt"),
    (layers.Input, "call"),
    (losses.MeanSquaredError, "call"),
    (losses.MeanSquaredError, "__call__"),
    (losses.BinaryCrossentropy, "rows"),
    (losses.Huber, "name"),
    (metrics.MeanSquaredError, "update_state"),
    (metrics.MeanSquaredError, "result"),
    (metrics.BinaryAccuracy, "__call__"),
    (metrics.BinaryAccuracy, "kernel"),
    (optimizers.Adam, "update_step"),
    (optimizers.SGD, "apply_gradients"),
    (optimizers.SGD, "hyperparameters"),
    (optimizers.Adam, "learning_rate"),
    (activations.Activation, "__call__"),
    (L2, "__call__"),
    (Sequential, "call"),
    (Sequential, "__call__"),
    (Sequential, "build"),
    (Sequential, "train_step"),
    (Sequential, "test_step"),
    (Sequential, "predict_step"),
    (Sequential, "compute_loss"),
    (Sequential, "compute_metrics"),
    (Sequential, "make_train_function"),
    (Sequential, "metrics"),
    (Sequential, "_samples"),
]


@pytest.mark.parametrize(("base", "name"), IGNORED)
def test_overrides_that_would_be_ignored_are_refused_when_the_class_is_made(base, name):
    with pytest.raises(TypeError, match=rf"class Mine: {name!r} .* compiled; \w+"):
        derived(base, **{name: lambda self, *args: None})
    mixin = type("Mixin", (), {name: property(lambda self: None)})
    with pytest.raises(TypeError, match=f"{name!r}"):
        type("Mine", (mixin, base), {})
    ours = derived(base)
    with pytest.raises(TypeError, match=f"{name!r}"):  # and of classes derived from those
        derived(ours, **{name: lambda self, *args: None})


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: Dense(3), "call"),
        (Sequential, "train_step"),
        (Sequential, "call"),
        (losses.MeanSquaredError, "call"),
        (metrics.MeanSquaredError, "update_state"),
        (optimizers.Adam, "update_step"),
    ],
)
def test_methods_that_are_put_on_an_object_and_would_be_ignored(make, name):
    with pytest.raises(AttributeError, match=rf"{name!r} of '\w+' would be ignored"):
        setattr(make(), name, lambda *args: None)


@pytest.mark.parametrize("base", [layers.Layer, losses.Loss, metrics.Metric, optimizers.Optimizer])
def test_bases_that_compute_nothing_cannot_be_derived_from(base):
    with pytest.raises(TypeError, match=f"class Mine: its base {base.__name__} computes nothing"):
        derived(base)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("on_epoch_ends", r"did you mean 'on_epoch_end'\?"),
        ("on_epoch_start", "is no hook"),
        ("on_train_start", "choose one of on_train_begin"),
        ("on_validation_end", "is no hook"),
        ("on_batch_stop", "is no hook"),
        ("on_predict_batch_ends", "did you mean"),
    ],
)
def test_hooks_that_nobody_calls(name, hint):
    with pytest.raises(TypeError, match=f"class Mine: {name!r} would never be called, .*{hint}"):
        derived(Callback, **{name: lambda self, epoch, logs=None: None})


def test_hooks_and_other_methods_of_callbacks():
    called = []
    hooks = {name: lambda self, *args, name=name: called.append(name) for name in fastnn.callbacks.HOOKS}
    kind = derived(Callback, on_batch_end=lambda self, *args: called.append("old"), on_improvement=None, **hooks)
    model = Sequential([Input((3,)), Dense(1)])
    model.compile("sgd", "mse")
    model.fit(X, Y, verbose=0, callbacks=[kind()])
    assert {"on_train_begin", "on_epoch_end", "on_train_batch_end", "old"} <= set(called)
    derived(Callback, on_improvement=lambda self: None)


class Hidden(Dense):
    """Other defaults, an attribute, a method."""

    def __init__(self, units=5, activation="tanh", **others):
        super().__init__(units, activation, **others)
        self.remark = "hidden"

    def spread(self):
        return float(np.std(self.kernel))


class Thin(Dense):
    """Another constructor, and no get_config for it."""

    def __init__(self, factor):
        super().__init__(2 * factor)
        self.factor = factor


class Doubled(Thin):
    """The same with one."""

    def get_config(self):
        return {"factor": self.factor}


class Halves(initializers.Initializer):
    """An initializer as Keras wants it."""

    def __init__(self, value=0.5):
        super().__init__()
        self.value = value

    def __call__(self, shape, dtype=None, **others):
        return np.full(shape, self.value)

    def get_config(self):
        return {"value": self.value}


class Sampled(initializers.Initializer):
    def sample(self, generator, shape):
        return generator.uniform(2.0, 3.0, shape)


class Steps(schedules.LearningRateSchedule):
    """A schedule that asks for one step at a time, and knows no more than it needs."""

    def __init__(self, rates):
        self.table = list(rates)

    def __call__(self, step):
        if step < 2:
            return self.table[0]
        return self.table[step]

    def get_config(self):
        return {"rates": self.table}


class Gain(optimizers.SGD):
    def __init__(self, learning_rate=0.5, **others):
        super().__init__(learning_rate, **others)


class MyLoss(losses.Huber):
    def __init__(self, delta=2.0):
        super().__init__(delta)


class Scaled(metrics.MeanSquaredError):
    def finish(self, mean):
        return 10 * mean


OWN = {kind.__name__: kind for kind in (Hidden, Halves, Steps, Gain, MyLoss, Scaled, Doubled, Sampled)}


class Net(Sequential):
    """A model with a constructor, a fit and attributes of its own."""

    def __init__(self, units=4):
        super().__init__([Input((3,)), Hidden(units, kernel_initializer=Halves()), Dense(1)], name="net")
        self.compile(Gain(Steps([0.1] * 40)), MyLoss(), [Scaled()])
        self.fits = 0

    def fit(self, *args, **kwargs):
        self.fits += 1
        return super().fit(*args, verbose=0, **kwargs)

    def score(self):
        return -self.evaluate(X, Y, verbose=0)[0]


def test_what_python_calls_is_called():
    assert (Sequential([Input((3,)), Dense(2, kernel_initializer=Halves())]).layers[0].kernel == 0.5).all()
    kernel = Sequential([Input((3,)), Dense(2, kernel_initializer=Sampled(seed=1))]).layers[0].kernel
    assert ((kernel >= 2) & (kernel < 3)).all()
    plain = Sequential([Input((3,)), Dense(1)])
    plain.compile("sgd", "mse", ["mse", Scaled(name="ten")])
    _, mse, ten = plain.evaluate(X, Y, verbose=0)
    assert ten == pytest.approx(10 * mse)


def test_a_schedule_is_asked_for_the_steps_that_are_done():
    rates = [0.1, 0.1, 0.05, 0.025]
    ours, table = (Sequential([Input((3,)), Dense(1, kernel_initializer="ones")]) for _ in range(2))
    ours.compile(optimizers.SGD(Steps(rates)), "mse")
    table.compile(optimizers.SGD(schedules.PiecewiseConstantDecay([1, 2], [0.1, 0.05, 0.025])), "mse")
    for model in (ours, table):
        model.fit(X, Y, epochs=2, batch_size=4, shuffle=False, verbose=0)
    np.testing.assert_array_equal(ours.get_weights()[0], table.get_weights()[0])


@pytest.mark.parametrize("rate", [float("nan"), -0.1, float("inf"), "fast", None])
def test_a_schedule_that_gives_no_rate(rate):
    model = Sequential([Input((3,)), Dense(1)])
    model.compile(optimizers.SGD(derived(schedules.LearningRateSchedule, __call__=lambda self, step: rate)()), "mse")
    with pytest.raises((TypeError, ValueError), match="the rate of Mine must be"):
        model.fit(X, Y, verbose=0)


@pytest.mark.parametrize(
    "values", [np.ones(3), np.ones((3, 3)), np.full((3, 2), np.nan), np.full((3, 2), 1j), 1.0, [["a", "b"]] * 3]
)
def test_an_initializer_that_gives_no_weights(values):
    bad = derived(initializers.Initializer, __call__=lambda self, shape, dtype=None: values)
    with pytest.raises(ValueError, match=r"Mine must give finite real numbers of the shape \(3, 2\) for dense/kernel"):
        Sequential([Input((3,)), Dense(2, kernel_initializer=bad())])


def test_an_initializer_may_give_any_real_dtype_and_order():
    given = np.asfortranarray(np.arange(6).reshape(3, 2))
    kind = derived(initializers.Initializer, __call__=lambda self, shape, dtype=None: given)
    model = Sequential([Input((3,)), Dense(2, kernel_initializer=kind(), use_bias=False)])
    np.testing.assert_array_equal(model.predict(np.eye(3)), given)
    assert model.get_weights()[0].dtype == np.float32


@pytest.mark.parametrize("kind", [initializers.Initializer, schedules.LearningRateSchedule])
def test_what_lacks_its_method_says_so(kind):
    with pytest.raises(NotImplementedError, match="Mine needs a method __call__"):
        derived(kind)()((3, 2))


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_copies_and_pickles_keep_classes_and_attributes(duplicate):
    model = Net()
    model.fit(X, Y, epochs=2)
    again = duplicate(model)
    assert type(again) is Net
    assert [type(part) for part in (*again.layers, again.optimizer, again.optimizer.schedule)] == [
        Hidden, Dense, Gain, Steps
    ]  # fmt: skip
    assert (type(again.loss), type(again.metrics[0])) == (MyLoss, Scaled)
    assert type(again.layers[0].kernel_initializer) is Halves
    assert (again.fits, again.score(), again.layers[0].spread()) == (1, model.score(), model.layers[0].spread())
    for one in (model, again):
        one.fit(X, Y, epochs=3, initial_epoch=2)
    np.testing.assert_array_equal(again.get_weights()[0], model.get_weights()[0])


def test_files_ask_for_the_classes(tmp_path):
    model = Net()
    model.fit(X, Y)
    model.save(tmp_path / "net")
    with pytest.raises(ValueError, match=r"the class '\w+', which is not fastnn's: pass it as custom_objects"):
        load_model(tmp_path / "net")
    again = load_model(tmp_path / "net", custom_objects=OWN)
    assert (type(again), type(again.layers[0]), type(again.optimizer)) == (Sequential, Hidden, Gain)
    np.testing.assert_array_equal(again.predict(X), model.predict(X))
    fresh = Sequential.from_config(model.get_config(), custom_objects=OWN)
    assert type(fresh.layers[0].kernel_initializer) is Halves
    with pytest.raises(ValueError, match="custom_objects"):
        Sequential.from_config(model.get_config())
    with pytest.raises(TypeError, match="Net has a constructor of its own: give it a from_config"):
        Net.from_config(model.get_config())


def test_going_on_from_files_with_classes_of_ones_own(tmp_path):
    model = Net()
    model.fit(X, Y, epochs=2, callbacks=[fastnn.BackupAndRestore(tmp_path, delete_checkpoint=False)])
    other = Net()
    other.restore(tmp_path / "backup.fastnn")
    np.testing.assert_array_equal(other.get_weights()[0], model.get_weights()[0])


def test_a_class_that_cannot_be_made_anew_is_refused_before_it_is_saved(tmp_path):
    model = Sequential([Input((3,)), Thin(2)])
    with pytest.raises(TypeError, match=r"Thin cannot be made from what its get_config\(\) returns"):
        model.save(tmp_path / "model")
    assert not (tmp_path / "model").exists()
    with pytest.raises(TypeError, match="a class of your own needs a get_config"):
        copy.deepcopy(model)
    assert Thin(2).copy().factor == 2
    model = Sequential([Input((3,)), Doubled(2)])
    model.save(tmp_path / "model")
    again = load_model(tmp_path / "model", {"Doubled": Doubled})
    np.testing.assert_array_equal(again.predict(X), model.predict(X))


def test_a_class_of_a_name_of_fastnns_is_not_taken_for_it(tmp_path):
    own = type("Dense", (Dense,), {"__module__": __name__, "mark": 1})
    model = Sequential([Input((3,)), own(2)])
    model.save(tmp_path / "model")
    with pytest.raises(ValueError, match="the class 'Dense', which is not fastnn's"):
        load_model(tmp_path / "model")
    again = load_model(tmp_path / "model", {"Dense": own})
    assert again.layers[0].mark == 1
    two = Sequential([Input((3,)), own(2), type("Dense", (Dense,), {"__module__": __name__})(2)])
    with pytest.raises(ValueError, match="two classes have the name 'Dense'"):
        two.save(tmp_path / "two")


def test_functions_of_ones_own_are_refused_with_what_there_is():
    model = Sequential([Input((3,)), Dense(1)])

    def own(y_true, y_pred):
        return y_true - y_pred

    for arguments, what in [
        (("sgd", own), "a loss"),
        (("sgd", "mse", [own]), "a metric"),
        ((own, "mse"), "an optimizer"),
    ]:
        with pytest.raises(TypeError, match=f"{what} is compiled and cannot be a function .* Choose one of: "):
            model.compile(*arguments)
    with pytest.raises(TypeError, match="an activation is compiled .* Choose one of: elu"):
        Dense(3, activation=np.tanh)
    with pytest.raises(TypeError, match="a regularizer is compiled"):
        Dense(3, kernel_regularizer=lambda kernel: 0.0)
    with pytest.raises(TypeError, match="derive a class from fastnn.initializers.Initializer"):
        Dense(3, kernel_initializer=lambda shape, dtype=None: np.zeros(shape))
    with pytest.raises(TypeError, match="got the class Dense: call it to make an object"):
        model.add(Dense)
    with pytest.raises(TypeError, match="expected a loss .*; got a MeanSquaredError of fastnn.metrics"):
        model.compile("sgd", metrics.MeanSquaredError())
    foreign = type("MeanSquaredError", (), {"__module__": "keras.src.losses.losses"})
    with pytest.raises(TypeError, match="got MeanSquaredError of keras: take fastnn's of the same name"):
        model.compile("sgd", foreign())
    with pytest.raises(TypeError, match="got LSTM of keras: fastnn has none of this name"):
        model.add(type("LSTM", (), {"__module__": "keras.src.layers"})())
    stopping = type("EarlyStopping", (), {"__module__": "keras.src.callbacks"})
    model.compile("sgd", "mse")
    with pytest.raises(TypeError, match=r"; take fastnn.callbacks.EarlyStopping"):
        model.fit(X, Y, callbacks=[stopping()])
