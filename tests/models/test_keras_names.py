"""Names, data and files that work with Keras and not with fastnn: each error says what to do."""

import array
import collections
import ctypes
import pickle
import subprocess
import sys

import numpy as np
import pytest

import fastnn
from fastnn import Dense, Input, Sequential
from fastnn.data import arrays
from fastnn.models import load_model

X, Y = np.linspace(0, 1, 24, dtype=np.float32).reshape(8, 3), np.arange(8.0) % 2

ABSENT = [
    ("fastnn", "keras", "from fastnn import layers"),
    ("fastnn", "Model", "models are stacks of layers"),
    ("fastnn", "ops", "compute with NumPy"),
    ("fastnn", "Danse", "did you mean Dense"),
    ("fastnn", "Qwertz", r"dir\(fastnn\) lists what there is"),
    ("fastnn.layers", "SeparableConv2D", "for pictures there are Conv2D"),
    ("fastnn.layers", "LeakyReLU", "a layer takes it by name"),
    ("fastnn.layers", "LSTM", "no layers for sequences"),
    ("fastnn.layers", "Concatenate", "no layers with several inputs"),
    ("fastnn.layers", "Lambda", "compute with NumPy"),
    ("fastnn.layers", "Drop", "did you mean Dropout"),
    ("fastnn.models", "Model", "models are stacks of layers"),
    ("fastnn.models", "clone_model", "copy.deepcopy"),
    ("fastnn.models", "save_model", "model.save"),
    ("fastnn.losses", "MeanSquareError", "did you mean MeanSquaredError"),
    ("fastnn.metrics", "AUC", "sklearn.metrics"),
    ("fastnn.optimizers", "Adm", "did you mean Adam"),
    ("fastnn.optimizers.schedules", "CosinDecay", "did you mean CosineDecay"),
    ("fastnn.callbacks", "ReduceLROnPlateau", "schedule"),
    ("fastnn.callbacks", "TensorBoard", "LambdaCallback"),
    ("fastnn.activations", "relu_", "did you mean"),
    ("fastnn.initializers", "GlorotUnifrm", "did you mean GlorotUniform"),
    ("fastnn.regularizers", "l1", "L2 is there"),
    ("fastnn.utils", "plot_model", "summary"),
    ("fastnn.utils", "Sequence", "train_on_batch"),
    ("fastnn.datasets", "mnist", "fetch_openml"),
    ("fastnn.plotting", "plot_histroy", "did you mean plot_history"),
]


@pytest.mark.parametrize(("module", "name", "hint"), ABSENT)
def test_names_that_fastnn_lacks(module, name, hint):
    __import__(module)
    home = sys.modules[module]
    with pytest.raises(AttributeError, match=rf"^{module} has no '{name}'[:;] .*{hint}"):
        getattr(home, name)
    with pytest.raises(ImportError, match=rf"^{module} has no '{name}'[:;] .*{hint}"):
        exec(f"from {module} import {name}")
    assert not hasattr(home, name)
    assert getattr(home, name, None) is None


def test_import_in_the_midst_of_a_line():
    code = "a = [1]; from fastnn.layers import Dense, Conv3D as C; b = 2"
    with pytest.raises(ImportError, match="Conv3D': for pictures there are Conv2D"):
        exec(code)


def test_names_are_loaded_no_earlier_than_before():
    code = "import fastnn, sys; assert 'fastnn.common.absent' not in sys.modules; assert not hasattr(fastnn, 'Conv3D')"
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)


def test_attributes_of_layers():
    with pytest.raises(AttributeError, match="Dense has no 'output': models are stacks"):
        Dense(3).output  # noqa: B018
    with pytest.raises(AttributeError, match="the layer 'dense' has no output_shape yet"):  # the property's own words
        Dense(3).output_shape  # noqa: B018
    with pytest.raises(AttributeError, match="has no attribute '_private'"):
        Dense(3)._private  # noqa: B018
    with pytest.raises(TypeError, match=r"a layer is not called: .* Sequential\(\[Input\(\(8,\)\), Dense\(...\)"):
        Dense(3)(X)
    with pytest.raises(TypeError, match="a layer is not called"):
        Dense(3)(Input((8,)))


class Batches:
    """As keras.utils.Sequence and PyDataset, or a data set of PyTorch: any index gives a batch."""

    def __len__(self):
        return 2

    def __getitem__(self, index):
        return X, Y


class Loader:
    """As PyTorch's DataLoader and TensorFlow's data sets."""

    def __iter__(self):
        yield X, Y


BIT_BY_BIT = {
    "generator": lambda: (row for row in X),
    "sequence": Batches,
    "loader": Loader,
    "iterator": lambda: iter(X),
    "map": lambda: map(list, X),
    "zip": lambda: zip(X, Y, strict=True),
    "set": lambda: {1.0, 2.0},
    "values": lambda: {"a": X}.values(),
}


@pytest.mark.parametrize("kind", BIT_BY_BIT)
def test_data_that_come_bit_by_bit(kind):
    model = Sequential([Input((3,)), Dense(1)])
    model.compile("sgd", "mse")
    message = "is an? .* gives data bit by bit: pass all rows as one array, .* train_on_batch"
    for call in (model.fit, model.evaluate, model.train_on_batch):
        with pytest.raises(TypeError, match=f"x {message}"):
            call(BIT_BY_BIT[kind]())
        with pytest.raises(TypeError, match=f"y {message}"):
            call(X, BIT_BY_BIT[kind]())
    for call in (model.predict, model, model.predict_on_batch):
        with pytest.raises(TypeError, match=f"x {message}"):
            call(BIT_BY_BIT[kind]())
    with pytest.raises(TypeError, match=f"sample_weight {message}"):
        model.fit(X, Y, sample_weight=BIT_BY_BIT[kind](), verbose=0)
    with pytest.raises(TypeError, match=f"x of validation_data {message}"):
        model.fit(X, Y, validation_data=(BIT_BY_BIT[kind](), Y), verbose=0)


def test_data_in_a_dict():
    model = Sequential([Input((3,)), Dense(1)])
    model.compile("sgd", "mse")
    columns = {"a": X[:, 0], "b": X[:, 1], "c": X[:, 2]}
    with pytest.raises(TypeError, match=r"x is a dict with the keys \['a', 'b', 'c'\]: .*numpy.column_stack"):
        model.fit(columns, Y)
    assert model.predict(np.column_stack(list(columns.values()))).shape == (8, 1)


@pytest.mark.parametrize(
    "values",
    [
        range(3), (0, 1, 2), [0, 1, 2], collections.deque([0, 1, 2]), array.array("d", [0, 1, 2]),
        memoryview(np.arange(3)), (ctypes.c_int * 3)(0, 1, 2),
    ],
)  # fmt: skip
def test_data_that_lie_there_whole_are_taken(values):
    np.testing.assert_array_equal(np.ravel(arrays.to_array(values, "x")), [0, 1, 2])


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"PK\x03\x04" + bytes(100), r"a zip archive, as Keras' .keras files"),
        (b"\x89HDF\r\n\x1a\n" + bytes(100), r"an HDF5 file, as Keras' .h5 files"),
        (pickle.dumps({"a": 1}), "a pickle"),
    ],
)
def test_files_of_others(content, what, tmp_path):
    (tmp_path / "model.keras").write_bytes(content)
    with pytest.raises(ValueError, match=rf"is not a model saved by fastnn but {what}.*set_weights\(other_model"):
        load_model(tmp_path / "model.keras")


@pytest.mark.parametrize("file", ["saved_model.pb", "config.json"])
def test_folders_of_others(file, tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / file).write_text("")
    with pytest.raises(ValueError, match="a folder that Keras or TensorFlow wrote"):
        load_model(tmp_path / "model")


def test_a_model_whose_file_begins_like_a_pickle(tmp_path):
    """The first byte of a file of safetensors is that of a length."""
    for length in range(40):
        model = Sequential([Input((3,)), Dense(1)], name="m" * (1 + 8 * length))
        model.save(tmp_path / "model")
        if (tmp_path / "model").read_bytes()[0] == 0x80:
            assert load_model(tmp_path / "model").name == model.name
            return
    pytest.fail("no length of a name gave such a file")


def test_articles():
    with pytest.raises(TypeError, match="expected an activation as a name"):
        Dense(3, activation=3)
    with pytest.raises(TypeError, match="expected an optimizer as a name"):
        Sequential().compile(3)
    with pytest.raises(ValueError, match="an initializer given as a dict needs"):
        Dense(3, kernel_initializer={"a": 1})
    with pytest.raises(TypeError, match="expected a loss as a name"):
        Sequential().compile("sgd", 3)


def test_messages_name_the_class_that_the_user_made():
    model = Sequential([Input((3,)), Dense(1)])
    for call in (lambda: model.compile(1, 2, 3, 4), lambda: model.get_layer(1, 2, 3), lambda: model.save()):
        with pytest.raises(TypeError) as caught:
            call()
        assert "Sequential." in str(caught.value)
        assert "Stack" not in str(caught.value)
    assert fastnn.Sequential.__name__ == "Sequential"
