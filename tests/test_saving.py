"""Model files: they come back as they went, never half written, and nothing else is taken for one."""

import copy
import json
import pickle

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

from fastnn import models, optimizers
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
