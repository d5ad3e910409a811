"""Whatever a user may assign: it is refused when it is assigned, or when the model is saved, or it comes back.

The attributes are found by looking at the objects, so that new ones are tried as well.
"""

import collections
import copy
import decimal
import enum
import inspect
import math
import os
import pickle
import random
import types
import warnings

import numpy as np
import pytest

from fastnn import initializers, layers, losses, metrics, optimizers, regularizers, utils
from fastnn.callbacks import LambdaCallback
from fastnn.common.plain_values import plain
from fastnn.models import Sequential, load_model
from fastnn.optimizers import schedules

MODELS = int(os.environ.get("FASTNN_TEST_MODELS", "400"))
X = np.linspace(-1, 1, 24).reshape(8, 3)
Y = (X[:, 0] > 0).astype(float)
REFUSALS = (AttributeError, TypeError, ValueError, RuntimeError)  # clear ones: of the assignment


class Text(enum.StrEnum):
    A = "a"


class Same(str):
    """Keys that differ, though their texts do not."""

    __hash__ = object.__hash__

    def __eq__(self, other):
        return self is other


def nested(depth):
    value = []
    for _ in range(depth):
        value = [value]
    return value


def endless():
    value = {}
    value["itself"] = [value]
    return value


ODD = [
    None, True, 0, 1, -1, 3, 10**640, 10**5000, 0.5, -0.0, 1e-310, math.nan, math.inf, -math.inf, "", "a", "a/b", "a:b",
    "loss", "dense", "dense_1", "optimizer:counters", "callback:0:0", "__metadata__", "ä😀", "\ud800", "\ud83d\ude00",
    "nul\0", "new\nline", 'quo"te', "x" * 10_000, np.float64(0.1), np.float32(0.1), np.longdouble(0.1), np.int64(3),
    np.bool_(True), np.str_("a"), np.array(0.5), np.arange(3.0), np.array([None]), Text.A, decimal.Decimal("0.5"), 1j,
    (1, 2), [1, 2.5], [[]], {1}, b"a", bytearray(b"a"), {}, {"a": [1, {"b": None}]}, {1: 2}, {1: 2, "1": 3}, {None: 1},
    {"\ud800": 1}, {Same("a"): 1, Same("a"): 2}, {np.str_("a"): 1}, {"array of the file": "x"}, {"class_name": "Dense"},
    collections.OrderedDict(b=1, a=2), collections.defaultdict(int, a=1), types.MappingProxyType({"a": 1}),
    collections.namedtuple("Pair", "a b")(1, 2), nested(99), nested(101), nested(5000), endless(), object(), len, int,
    "tanh", "mse", "mae", "sgd", "adam", "zeros", "l2", "float64", ["mae"], ["mse", "mse"],
]  # fmt: skip
TEXTS = [value for value in ODD if isinstance(value, str)]
REQUIRED = {  # for arguments without a default
    "initial_learning_rate": 0.1, "max_learning_rate": 0.1, "decay_steps": 5, "first_decay_steps": 5, "decay_rate": 0.9,
    "total_steps": 9, "boundaries": [3], "values": [0.1, 0.01], "loss": "mse", "units": 2, "rate": 0.2, "scale": 0.5,
    "activation": "tanh", "shape": 3,
}  # fmt: skip
BASES = {
    initializers: initializers.Initializer, layers: layers.Layer, losses: losses.Loss, metrics: metrics.Metric,
    optimizers: optimizers.Optimizer, regularizers: regularizers.L2, schedules: schedules.LearningRateSchedule,
}  # fmt: skip
CLASSES = [
    (kind, name)
    for module, base in BASES.items()
    for public, kind in sorted(vars(module).items())
    if public[0] != "_" and isinstance(kind, type) and issubclass(kind, base) and kind is not base
    for name in inspect.signature(kind).parameters
    if name not in ("args", "kwargs", "common", "limits")
]


def random_thing(choices):
    """One of fastnn's declared things, with one argument of its constructor odd, or of a type of NumPy."""
    kind, odd = choices.choice(CLASSES)
    signature = inspect.signature(kind).parameters
    needed = [name for name, parameter in signature.items() if parameter.default is inspect.Parameter.empty]
    arguments = {name: REQUIRED[name] for name in needed if name in REQUIRED}
    usual = arguments.get(odd, signature[odd].default)
    numbers = [number(usual) for number in (np.float32, np.float64, np.int64)] if type(usual) in (int, float) else []
    return kind(**arguments | {odd: choices.choice([choices.choice(ODD), *numbers])})


def random_model(choices):
    inner = [
        layers.Dense(4, choices.choice(["relu", "leaky_relu"]), kernel_regularizer="l2"),
        layers.BatchNormalization(),
        layers.LayerNormalization(),
        layers.Dropout(0.2, seed=choices.choice([None, 3])),
        layers.Activation("tanh"),
    ]
    first = [layers.Input((3,)), *choices.sample([layers.Normalization(), layers.Rescaling(0.5)], choices.randrange(2))]
    model = Sequential([*first, *choices.sample(inner, choices.randrange(1, 4)), layers.Dense(1, "sigmoid")])
    rate = choices.choice([0.01, schedules.ExponentialDecay(0.01, 5, 0.9)])
    kind = choices.choice([optimizers.Adam, optimizers.SGD, optimizers.Adagrad])
    model.compile(kind(rate), choices.choice(["mse", "binary_crossentropy"]), choices.choice([[], ["mae", "accuracy"]]))
    return model


def fit(model, first, callbacks=()):
    epochs = {"epochs": first + 2, "initial_epoch": first}
    return model.fit(X, Y, batch_size=4, verbose=0, callbacks=list(callbacks), **epochs).history


def parts_of(model):
    """The model, and all it is made of that is one of fastnn's declared things."""
    found, more = [], [model, *model.every_layer(), model.optimizer, model.loss, *model.metrics]
    while more:
        thing = more.pop()
        if type(thing).__module__.startswith("fastnn."):
            found.append(thing)
            if thing is not model:
                more += [value for name, value in vars(thing).items() if name not in ("_engine", "_model")]
    return found


def attributes_of(thing):
    """Names of what may be assigned, or may seem so: data, and no methods."""
    names = [*vars(thing), *dir(type(thing))]
    return sorted({n for n in names if n[0] != "_" and not callable(getattr(type(thing), n, None))})


def assign(model, choices):
    """Put something odd somewhere; return what was done, or None if it was refused."""
    ways = [put_into_metadata, put_into_metrics, rename, replace, replace, set_anything]
    try:
        return choices.choice(ways)(model, choices)
    except REFUSALS:
        return None


def put_into_metadata(model, choices):
    value = choices.choice(ODD)
    model.metadata[choices.choice(["a", "preparation", "ä"])] = choices.choice([value, [0, value], {"b": value}])
    return "metadata", value


def put_into_metrics(model, choices):
    value = choices.choice([choices.choice(ODD), metrics.MeanAbsoluteError(), metrics.MeanAbsoluteError("own")])
    model.metrics.append(value)
    return "metrics", value


def rename(model, choices):
    thing, name = choices.choice([model, *model.every_layer(), *model.metrics]), choices.choice(TEXTS)
    thing.name = name
    return type(thing).__name__, name


def replace(model, choices):
    """Assign an odd thing where there is one of its kind, or for layers, put it into the model."""
    thing = random_thing(choices)
    if isinstance(thing, layers.Layer):
        model.pop()
        try:
            model.add(thing)
        finally:
            model.add(layers.Dense(1, "sigmoid", name="last"))
        return thing, thing.get_config()
    base = next(base for base in BASES.values() if isinstance(thing, base))
    places = [(part, name) for part in parts_of(model) for name in attributes_of(part) if is_a(part, name, base)]
    part, name = choices.choice(places or [(model, "loss")])
    setattr(part, name, thing)
    return type(part).__name__, name, thing, thing.get_config()


def is_a(part, name, base):
    if base is schedules.LearningRateSchedule and name == "learning_rate":
        return True
    if base is metrics.Metric and name == "metrics":
        return True
    return isinstance(getattr(part, name, None), base)


def set_anything(model, choices):
    thing, value = choices.choice(parts_of(model)), choices.choice(ODD)
    name = choices.choice(attributes_of(thing) or ["name"])
    setattr(thing, name, value)
    return type(thing).__name__, name, value


def equal(a, b):
    """As ==, with NaN equal to itself, and lists never equal to tuples."""
    if isinstance(a, dict) and isinstance(b, dict):
        return list(a) == list(b) and all(equal(a[key], b[key]) for key in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(equal, a, b))
    if isinstance(a, float) and isinstance(b, float):
        return np.float64(a).tobytes() == np.float64(b).tobytes()
    return not isinstance(a, (np.ndarray, tuple)) and bool(a == b)


def described(model):
    """What is to come back of a model, without what it computes."""
    compiled = model.optimizer and [
        model.optimizer.get_config(), model.optimizer.iterations, type(model.optimizer).__name__, model.jit_compile,
        model.loss and [type(model.loss).__name__, model.loss.get_config()],
        [[type(metric).__name__, metric.get_config()] for metric in model.metrics], model.metrics_names,
    ]  # fmt: skip
    record = model.record() and model.record().to_config()
    return [model.name, model.get_config(), compiled or None, record, [layer.name for layer in model.layers]]


def computed(model):
    """What a model computes, to the last bit, or how it fails at that."""
    found = [[weight.tobytes() for weight in model.get_weights()]]
    utils.set_random_seed(7)
    try:
        found.append(model.predict(X).tobytes())
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an odd rate is told of
            history = fit(model, 2)
    except REFUSALS as error:
        return [*found, str(error)]
    return [*found, {name: values[-2:] for name, values in history.items()}, [w.tobytes() for w in model.get_weights()]]


def kept(save, path):
    """Save over an older file; return whether it was accepted. If not, that one is as it was."""
    path.write_bytes(b"older")
    try:
        save()
    except (TypeError, ValueError):
        assert path.read_bytes() == b"older"
        assert os.listdir(path.parent) == [path.name]
        return False
    return True


def check(model, path, choices):
    """Return whether the model could be saved; then it must come back, in every way."""
    if not kept(lambda: model.save(path), path):
        for refused in (pickle.dumps, copy.deepcopy):
            with pytest.raises((TypeError, ValueError)):
                refused(model)
        return False
    ways = [lambda: load_model(path), lambda: pickle.loads(pickle.dumps(model)), lambda: copy.copy(model)]
    way = choices.choice(ways)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a file that `fastnn train` seems to have written
        again = way()
    assert type(again.metadata) is dict
    assert equal(model.metadata, again.metadata)
    before, after = (plain(described(each), "model", _as_list) for each in (model, again))
    assert equal(before, after), (before, after)
    again.save(path.with_name("again"))
    assert path.read_bytes() == path.with_name("again").read_bytes()
    path.with_name("again").unlink()
    assert computed(model) == computed(again)
    return True


def _as_list(value, where, inner):
    return [inner(item, place) for place, item in enumerate(value)]


def fuzz(folder, count, seed):
    choices, accepted = random.Random(seed), collections.Counter()
    path = folder / "model"
    for number in range(count):
        utils.set_random_seed(number)
        model, log = random_model(choices), []
        if choices.random() < 0.7:
            odd = choices.choice(ODD)
            hook = LambdaCallback(on_epoch_end=lambda epoch, logs, odd=odd: logs.update({"own": odd}))
            log.append(("logs", odd)) if (given := choices.random() < 0.3) else None
            fit(model, 0, [hook] if given else [])
        log += [assign(model, choices) for _ in range(choices.choice([1, 1, 2, 3]))]
        try:
            accepted[check(model, path, choices)] += 1
        except BaseException as error:
            raise AssertionError(f"model {number} of seed {seed}: {str(log)[:300]}: {error!r}") from error
    return accepted


def test_what_is_assigned_comes_back_or_is_refused(tmp_path):
    accepted = fuzz(tmp_path, 120, 1)
    assert min(accepted[True], accepted[False]) > 20


@pytest.mark.slow
def test_much_of_what_is_assigned_comes_back_or_is_refused(tmp_path):
    fuzz(tmp_path, MODELS, 2)
