"""Model files: they come back as they went, never half written, and nothing else is taken for one."""

import collections
import copy
import json
import math
import pickle
import types

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

from fastnn import initializers, models, optimizers
from fastnn.callbacks import LambdaCallback, ModelCheckpoint
from fastnn.commands import train_and_predict
from fastnn.layers import Activation, Dense, Dropout, Flatten, Input
from fastnn.models import Sequential, load_model

X = np.linspace(-1, 1, 24).reshape(4, 2, 3)
Y = np.array([0, 1, 2, 1])


def trained(**options):
    model = Sequential(
        [
            Input((2, 3)),
            Flatten(),
            Dense(5, "leaky_relu", kernel_initializer="he_normal", kernel_regularizer="l2", name="hidden"),
            Dropout(0.2),
            Dense(3, use_bias=False),
            Activation("softmax"),
        ],
        name="small",
        **options,
    )
    model.compile(optimizers.Adam(0.01, beta_1=0.8), "sparse_categorical_crossentropy", ["accuracy"])
    model.fit(X, Y, epochs=3, verbose=0)
    return model


def copies(model, path):
    model.save(path)
    return [load_model(path), pickle.loads(pickle.dumps(model)), copy.deepcopy(model)]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_model_comes_back_as_it_was(tmp_path, dtype):
    model = trained(dtype=dtype)
    for again in copies(model, tmp_path / "model.fastnn"):
        assert again.get_config() == model.get_config()
        np.testing.assert_array_equal(again.predict(X), model.predict(X))
        assert again.evaluate(X, Y, verbose=0) == model.evaluate(X, Y, verbose=0)
        assert again.optimizer.get_config() == model.optimizer.get_config()
        assert again.metrics_names == ["loss", "accuracy"]
        again.fit(X, Y, verbose=0)


def test_a_model_that_was_not_compiled_or_run(tmp_path):
    model = Sequential([Dense(2)])
    model.build((None, 3))
    for again in copies(model, tmp_path / "model"):
        assert again.optimizer is None
        np.testing.assert_array_equal(again.get_weights()[0], model.get_weights()[0])


def test_loading_without_compiling(tmp_path):
    trained().save(tmp_path / "model.keras")
    model = load_model(tmp_path / "model.keras", compile=False)
    assert model.optimizer is None
    with pytest.raises(ValueError, match=r"needs a compiled model: call compile\(optimizer, loss\) first"):
        model.evaluate(X, Y)


def test_a_model_without_a_shape_cannot_be_saved(tmp_path):
    model = Sequential([Dense(2)])
    with pytest.raises(ValueError, match="shape of the input is not known"):
        model.save(tmp_path / "model")
    assert list(tmp_path.iterdir()) == []
    assert copy.deepcopy(model).get_config() == model.get_config()


def test_the_file_is_plain_safetensors(tmp_path):
    model = trained()
    model.metadata["features"] = ["a", "b"]
    model.save(tmp_path / "model")
    with safe_open(tmp_path / "model", framework="numpy") as file:
        moments = {f"optimizer:{moment}:{place}" for moment in range(2) for place in range(3)}
        assert set(file.keys()) == {"hidden/kernel", "hidden/bias", "dense/kernel", "optimizer:counters"} | moments
        assert file.get_tensor("hidden/kernel").shape == (6, 5)
        metadata = file.metadata()
    config = json.loads(metadata["fastnn"])
    assert (config["version"], config["model"]["name"]) == (1, "small")
    load_model(tmp_path / "model").save(tmp_path / "again")
    assert (tmp_path / "model").read_bytes() == (tmp_path / "again").read_bytes()
    assert load_model(tmp_path / "model").metadata == {"features": ["a", "b"]}


def test_overwriting(tmp_path):
    path = tmp_path / "model"
    first = trained()
    first.save(path)
    with pytest.raises(FileExistsError, match="exists and overwrite is False"):
        trained().save(path, overwrite=False)
    np.testing.assert_array_equal(load_model(path).predict(X), first.predict(X))


def test_a_failed_save_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "model"
    trained().save(path)
    before = path.read_bytes()

    def fail(*_):
        raise OSError("no space left")

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(OSError, match="no space left"):
        trained().save(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_folders_that_are_not_there_or_in_the_way(tmp_path):
    model = trained()
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        model.save(tmp_path / "missing" / "model")
    with pytest.raises(IsADirectoryError, match="it is a folder"):
        model.save(tmp_path)
    with pytest.raises(FileNotFoundError, match="no model file at"):
        load_model(tmp_path / "missing")


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "model"
    trained().save(path)
    return path


@pytest.mark.parametrize(
    "content", [b"", b"hello, this is no model at all", b"\x89HDF\r\n\x1a\n" + bytes(100), pickle.dumps({"a": 1})]
)
def test_files_that_are_no_models(tmp_path, content):
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="is not a model saved by fastnn"):
        load_model(path)


def test_a_cut_file(saved):
    saved.write_bytes(saved.read_bytes()[:-7])
    with pytest.raises(ValueError, match="is not a model saved by fastnn, or it is damaged"):
        load_model(saved)


def rewritten(path, change):
    """Save the tensors of a model file again, with changed metadata."""
    with safe_open(path, framework="numpy") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
        metadata = file.metadata()
    change(tensors, metadata)
    save_file(tensors, path, metadata)


def _other_units(tensors, metadata):
    metadata["fastnn"] = metadata["fastnn"].replace('"units": 5', '"units": 6')


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t, m: m.clear(), "is a safetensors file, but not a model saved by fastnn"),
        (lambda t, m: m.update(fastnn='{"version": 2}'), "has version 2 of the format, this fastnn reads up to 1"),
        (lambda t, m: m.update(fastnn='{"version": "x"}'), "has version 'x'"),
        (lambda t, m: m.update(fastnn="{"), "its configuration cannot be read"),
        (lambda t, m: m.update(fastnn="[]"), "its configuration cannot be read"),
        (lambda t, m: m.update(fastnn='{"version": 1}'), "is a damaged model file"),
        (lambda t, m: t.pop("hidden/bias"), "is a damaged model file.*hidden/bias"),
        (lambda t, m: t.update({"hidden/bias": np.zeros(4)}), "is a damaged model file.*hidden/bias has the shape"),
        (_other_units, "is a damaged model file.*hidden/kernel has the shape"),
    ],
)
def test_changed_files(saved, change, message):
    rewritten(saved, change)
    with pytest.raises(ValueError, match=message):
        load_model(saved)


def test_configuration_makes_a_fresh_model():
    model = trained()
    again = Sequential.from_config(json.loads(model.to_json())["config"])
    assert again.get_config() == model.get_config()
    assert [w.shape for w in again.get_weights()] == [w.shape for w in model.get_weights()]
    assert models.load_model is load_model


NAMES_THAT_NO_LAYER_HAS = ["", "a/b", "\ud800", "\ud83d\ude00", None, 3, b"x", ["x"]]


@pytest.mark.parametrize("name", NAMES_THAT_NO_LAYER_HAS, ids=ascii)
def test_a_layer_is_renamed_as_the_constructor_would_name_it(name):
    model = trained()
    for layer in (model.layers[1], Dense(2)):
        before = layer.name
        with pytest.raises((TypeError, ValueError), match="name must be a"):
            layer.name = name
        assert layer.name == before
    if name is not None:
        with pytest.raises((TypeError, ValueError), match="name must be a"):
            Dense(2, name=name)


@pytest.mark.parametrize(
    "name", ["a:b", "optimizer:counters", "callback:0:0", "__metadata__", "ä😀", "nul\0", "x" * 9999], ids=range(7)
)
def test_a_layer_may_have_any_other_name(tmp_path, name):
    model = trained()
    model.layers[1].name = name
    for again in copies(model, tmp_path / "model"):
        assert [layer.name for layer in again.layers] == [layer.name for layer in model.layers]
        np.testing.assert_array_equal(again.predict(X), model.predict(X))


def test_two_layers_do_not_get_one_name():
    model = trained()
    for layer in (model.layers[3], model.every_layer()[0]):
        with pytest.raises(ValueError, match="the name 'hidden' is taken by another layer of this model"):
            layer.name = "hidden"
    model.get_layer("hidden").name = "hidden"
    removed = model.pop()
    removed.name = "hidden"
    with pytest.raises(ValueError, match="the name 'hidden' is taken"):
        model.add(removed)


def test_a_class_of_the_users_gives_no_odd_names_either():
    class Odd(Dense):
        def rename(self, name):
            self.name = name

    layer = Odd(2, name="first")
    model = Sequential([Input((3,)), layer, Dense(1, name="second")])
    for name in ("a/b", "second"):
        with pytest.raises(ValueError, match="name"):
            layer.rename(name)
    assert [layer.name for layer in model.layers] == ["first", "second"]


@pytest.mark.parametrize("name", ["kind", "statistics", "input_shape", "declared_shape", "auto_named", "weight_shapes"])
def test_what_a_layer_finds_out_is_not_set(name):
    layer = trained().layers[1]
    with pytest.raises(AttributeError, match=f"{name} of the layer 'hidden' cannot be set"):
        setattr(layer, name, getattr(layer, name))


@pytest.mark.parametrize("name", ["", "\ud800", None, 3, b"x"], ids=ascii)
def test_names_of_models_and_metrics(name):
    model = trained()
    for thing in (model, model.metrics[0]):
        with pytest.raises((TypeError, ValueError), match="name must be a"):
            thing.name = name


def test_metrics_that_compile_would_not_take_are_not_saved(tmp_path):
    model = trained()
    model.compile("adam", "sparse_categorical_crossentropy", ["accuracy", "sparse_categorical_crossentropy"])
    for name in ("accuracy", "loss"):
        model.metrics[1].name = name
        with pytest.raises(ValueError, match="metrics"):
            model.save(tmp_path / "model")
    model.metrics.append("accuracy")
    with pytest.raises(TypeError, match="metrics must be objects of fastnn.metrics; got one of type str"):
        model.save(tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("metadata", [None, [], [("a", 1)], "ab", 3, (), types.MappingProxyType({})], ids=repr)
def test_metadata_are_a_dict(metadata):
    model = trained()
    with pytest.raises(TypeError, match=r"metadata must be a dict, \{\} for none; got one of type"):
        model.metadata = metadata
    assert model.metadata == {}


def test_files_of_former_versions_with_metadata_of_none(saved):
    rewritten(saved, lambda t, m: m.update(fastnn=m["fastnn"].replace('"metadata": {}', '"metadata": null')))
    assert load_model(saved).metadata == {}


def nested(depth):
    value = 0
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ((1, 2), r"metadata\['a'\]\[1\] must be what JSON has: .*; got one of type tuple, take list"),
        ({3}, r"metadata\['a'\]\[1\] must be .* type set, take sorted"),
        (b"x", r"metadata\['a'\]\[1\] must be .* type bytes"),
        (np.float32(1), r"metadata\['a'\]\[1\] must be .* type numpy.float32, take .item\(\)"),
        (np.arange(2), r"metadata\['a'\]\[1\] must be .* type numpy.ndarray of int64, take .tolist\(\)"),
        (1j, r"metadata\['a'\]\[1\] must be .* type complex"),
        ({1: 2}, r"metadata\['a'\]\[1\] must be a dict with strings as keys; got a key of type int"),
        ({"\ud800": 2}, r"metadata\['a'\]\[1\]\['.*'\] is no text"),
        ("\ud83d\ude00", r"metadata\['a'\]\[1\] is no text: it has surrogates"),
        (10**640, r"metadata\['a'\]\[1\] is a number of more than 640 digits"),
        (nested(99), r"metadata is nested more than 100 deep, or holds itself"),
        (nested(20_000), r"metadata is nested more than 100 deep, or holds itself"),
    ],
    ids=range(12),
)
def test_metadata_that_would_not_come_back(tmp_path, value, message):
    model, path = trained(), tmp_path / "model"
    model.save(path)
    before = path.read_bytes()
    model.metadata = {"a": [0, value]}
    for save in (lambda: model.save(path), lambda: pickle.dumps(model), lambda: copy.deepcopy(model)):
        with pytest.raises((TypeError, ValueError), match=message):
            save()
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_metadata_come_back(tmp_path):
    model = trained()
    model.metadata = {
        "": None, "ä😀": [True, False, 10**639, -0.0, 1e-310, "nul\0"], "deep": nested(97), "numpy": np.float64(0.1),
        "ordered": collections.OrderedDict(b=1, a=2),
    }  # fmt: skip
    for again in copies(model, tmp_path / "model"):
        assert again.metadata == model.metadata
        assert type(again.metadata["ordered"]) is dict
        assert math.copysign(1, again.metadata["ä😀"][3]) == -1
    model.metadata = {"nan": math.nan, "inf": [math.inf, -math.inf]}
    for again in copies(model, tmp_path / "model"):
        assert math.isnan(again.metadata["nan"])
        assert again.metadata["inf"] == [math.inf, -math.inf]


def test_an_optimizer_that_was_assigned_begins_anew_in_the_file(tmp_path):
    model = trained()
    model.optimizer = optimizers.Adam(0.02)
    for again in copies(model, tmp_path / "model"):
        assert again.optimizer.iterations == 0
        assert again.optimizer_state() is None
    again = load_model(tmp_path / "model")
    for each in (model, again):
        each.fit(X, Y, epochs=5, initial_epoch=3, verbose=0)
    for mine, theirs in zip(model.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs, strict=True)


def test_what_callbacks_put_into_the_logs(tmp_path):
    def fitted(value):
        model = trained()
        model.fit(X, Y, verbose=0, callbacks=[LambdaCallback(on_epoch_end=lambda epoch, logs: logs.update(own=value))])
        return model

    for value in (np.float32(0.1), np.int64(3), np.array(2.5), 3, True, None, "text", math.inf):
        for again in copies(fitted(value), tmp_path / "model"):
            assert again.record().history["own"] == [value]
    for value in ([1], {}, np.arange(3), object(), 1j):
        with pytest.raises(TypeError, match="own"):
            fitted(value).save(tmp_path / "model")
        fitted(value).save(tmp_path / "model", include_optimizer=False)


class Paired(Dense):
    """A layer with an argument that JSON has in another type."""

    def __init__(self, units, pair=(1, 2), **others):
        super().__init__(units, **others)
        self.pair = tuple(pair)

    def get_config(self):
        return super().get_config() | {"pair": self.pair}


def test_arguments_that_json_has_in_another_type(tmp_path):
    model = Sequential([Input((3,)), Paired(2, (np.int64(3), 4))])
    model.save(tmp_path / "model")
    again = load_model(tmp_path / "model", custom_objects={"Paired": Paired})
    assert again.layers[0].pair == model.layers[0].pair == (3, 4)
    model = Sequential([Input((3,)), Paired(2, ({5},))])
    with pytest.raises(TypeError, match=r"get_config\(\) of Paired\['pair'\]\[0\] must be what JSON has"):
        model.save(tmp_path / "model")


def test_a_class_with_the_name_of_one_of_fastnns():
    """The layers of fastnn stay what they are."""

    class Own(Dense):
        pass

    Own.__name__ = "Dense"
    model = copy.deepcopy(Sequential([Input((3,)), Own(2), Dense(1)]))
    assert [type(layer) for layer in model.layers] == [Own, Dense]


@pytest.mark.parametrize(
    "make",
    [
        lambda: initializers.HeNormal(seed=np.int64(3)), lambda: initializers.Constant(np.float32(0.1)),
        lambda: initializers.RandomUniform(np.float32(-1), np.int8(1)), lambda: initializers.Orthogonal(np.float64(2)),
        lambda: initializers.VarianceScaling(np.float32(2)), lambda: initializers.TruncatedNormal(0, np.float32(0.1)),
    ],
    ids=range(6),
)  # fmt: skip
def test_numbers_of_numpy_in_initializers(tmp_path, make):
    model = Sequential([Dense(4, kernel_initializer=make(), input_shape=(3,)), Dropout(0.1, seed=np.int32(2))])
    for again in copies(model, tmp_path / "model"):
        assert again.get_config() == model.get_config()


@pytest.mark.parametrize("seed", [-1, 1.0, "1", True, (1, 2)], ids=repr)
def test_seeds_are_whole_numbers(seed):
    for make in (initializers.HeNormal, lambda seed: Dropout(0.1, seed=seed)):
        with pytest.raises(ValueError, match="seed must be an integer >= 0"):
            make(seed)


@pytest.mark.parametrize("value", [10**400, -(10**400), math.nan, math.inf])
def test_numbers_beyond_floats(value):
    for make in (optimizers.SGD, initializers.Constant):
        with pytest.raises(ValueError, match="must be >=? .*finite"):
            make(value)


@pytest.mark.parametrize("filepath", ["{epoch", "}", "{}", "{0}", "{epoch:q}", "{epoch.no}", "{epoch[0]}", "{loss:d}"])
def test_names_of_checkpoints_that_cannot_be_filled_in(tmp_path, filepath):
    checkpoint = ModelCheckpoint(tmp_path / filepath)
    with pytest.raises(ValueError, match="filepath='.*' cannot be filled in with epoch, batch and logs"):
        trained().fit(X, Y, verbose=0, callbacks=[checkpoint])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "preparation",
    [
        "x", 3, [1], {"a": 1}, {"task": 1, "target": "t", "features": [], "columns": 3},
        {"task": "regression", "target": "t", "features": 3, "columns": 3},
    ],
    ids=range(6),
)  # fmt: skip
def test_a_preparation_that_the_command_did_not_write(tmp_path, preparation):
    model = trained()
    model.metadata["preparation"] = preparation
    model.save(tmp_path / "model")
    with pytest.raises(ValueError, match=r"metadata\['preparation'\] is not what `fastnn train` puts there"):
        train_and_predict.load(tmp_path / "model")
