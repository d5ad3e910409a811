"""Arrays that lie on the device: read where they are, the same results as from the host, and no copies on the way."""

import numpy as np
import pytest
from fastnn.kernels.cuda import device as device_cuda
from fastnn.kernels.cuda import jit
from fastnn.kernels.cuda.jit import cuda
from foreign import Capsule, Interface
from harness import assert_close, assert_same_bits

import fastnn
from fastnn import MLPClassifier, Sequential
from fastnn.callbacks import LambdaCallback
from fastnn.data import device_array
from fastnn.data.device_array import DeviceArray
from fastnn.layers import Dense, Flatten, Rescaling

RNG = np.random.default_rng(0)
X = RNG.normal(size=(31, 4)).astype(np.float32)
Y = RNG.integers(0, 3, 31)
WEIGHTS = RNG.uniform(0.5, 2.0, 31).astype(np.float32)


@pytest.fixture
def nothing_up(monkeypatch):
    """Remember the sizes of all arrays that are copied to the device."""
    sizes, copy = [], cuda.to_device

    def counted(array, *rest, **options):
        sizes.append(np.size(array))
        return copy(array, *rest, **options)

    monkeypatch.setattr(cuda, "to_device", counted)
    return sizes


def classifier(device="cuda", layers=(), dtype="float32"):
    fastnn.set_random_seed(1)
    model = Sequential([*layers, Dense(5, "tanh"), Dense(3, "softmax")], device=device, dtype=dtype)
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def results(model, x, y, weights=None, **options):
    fit = {"batch_size": 8, "epochs": 2, "verbose": 0}
    history = model.fit(x, y, sample_weight=weights, **(fit | options)).history
    evaluated = model.evaluate(x, y, sample_weight=weights, verbose=0)
    logs = [model.train_on_batch(x, y, sample_weight=weights), model.test_on_batch(x, y)]
    outputs = [np.asarray(model.predict(x)), np.asarray(model(x)), np.asarray(model.predict_on_batch(x))]
    return [*model.get_weights(), *map(np.array, history.values()), np.array(evaluated), np.array(logs), *outputs]


def test_the_same_results_as_from_the_host(lay, nothing_up):
    expected = results(classifier(), X, Y, WEIGHTS, validation_split=0.2)
    assert X.size in nothing_up
    arrays = [lay(array) for array in (X, Y, WEIGHTS)]
    nothing_up.clear()
    assert_same_bits(results(classifier(), *arrays, validation_split=0.2), expected)
    assert X.size not in nothing_up
    same = lay(X)
    assert_same_bits(
        results(classifier(), X, lay(Y), validation_data=(same, Y)), results(classifier(), X, Y, validation_data=(X, Y))
    )


def test_predictions_stay_there(lay):
    model = classifier()
    model.build((None, 4))
    expected = model.predict(X)
    seen = []
    listener = LambdaCallback(on_predict_batch_end=lambda batch, logs: seen.append(len(logs["outputs"])))
    for outputs in (model.predict(lay(X)), model(lay(X)), model.predict(lay(X), 7, callbacks=[listener])):
        assert isinstance(outputs, DeviceArray)
        assert outputs.shape == (31, 3)
        np.testing.assert_array_equal(np.asarray(outputs), expected)
    assert seen == [7, 7, 7, 7, 3]
    assert isinstance(model.predict(X), np.ndarray)
    with pytest.raises(ValueError, match="without a copy"):
        np.array(outputs, copy=False)


def test_others_read_predictions_without_a_copy():
    """Through both protocols; the memory lives as long as somebody uses it."""
    outputs = classifier_with_shape().predict(Capsule(X))
    expected, address = outputs.to_host(), outputs.__cuda_array_interface__["data"][0]
    assert outputs.__cuda_array_interface__["strides"] is None
    twin = DeviceArray.of(Foreign(outputs), "x")
    assert twin.__cuda_array_interface__["data"][0] == address
    if jit.SIMULATED:
        other = np.from_dlpack(outputs)
        assert other.__array_interface__["data"][0] == address
        del outputs
        np.testing.assert_array_equal(other, expected)
    np.testing.assert_array_equal(twin.to_host(), expected)


class Foreign:
    """Shows one protocol of an array, as if it were somebody else's."""

    def __init__(self, array):
        self.__cuda_array_interface__, self.owner = array.__cuda_array_interface__, array


def classifier_with_shape():
    model = classifier()
    model.build((None, 4))
    return model


@pytest.mark.covering
@pytest.mark.parametrize("dtype", ["bool", "int8", "uint16", "int64", "float16", "float32", "float64"])
@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_other_types_are_converted_there(dtype, precision):
    x = (10 * X).astype(dtype)
    assert_same_bits(results(classifier(dtype=precision), Interface(x), Y), results(classifier(dtype=precision), x, Y))


def test_pixels_stay_bytes(nothing_up):
    x = RNG.integers(0, 256, (31, 2, 2)).astype(np.uint8)

    def model():
        return classifier(layers=[Rescaling(1 / 255, input_shape=(2, 2)), Flatten()])

    expected = results(model(), x, Y)
    for given in (Interface(x), Capsule(x)):
        nothing_up.clear()
        assert_same_bits(results(model(), given, Y), expected)
        assert x.size not in nothing_up
    columns = np.asfortranarray(x.reshape(31, 4))
    expected = classifier_with_shape().predict(x.reshape(31, 4))
    np.testing.assert_array_equal(np.asarray(classifier_with_shape().predict(Interface(columns))), expected)


def test_strides(nothing_up):
    """Columns of a wider matrix, every second row, a transposed matrix, one row again and again."""
    wide = RNG.normal(size=(62, 9)).astype(np.float32)
    model = classifier_with_shape()
    memory = Interface(wide)
    pointer = memory.__cuda_array_interface__["data"][0]
    for view in (
        wide[:31, 3:7],
        wide[::2, :4],
        wide[:4].T,
        np.broadcast_to(wide[5, :4], (31, 4)),
        wide[:1, ::2][:, :4],
    ):
        offset = view.__array_interface__["data"][0] - wide.__array_interface__["data"][0]
        given = Interface(wide, shape=view.shape, strides=view.strides, data=(pointer + offset, True))
        given.owner = memory
        np.testing.assert_array_equal(np.asarray(model.predict(given)), model.predict(np.ascontiguousarray(view)))
    for view in (wide[30::-1, :4], wide[:62].reshape(31, 2, 9)[:, :, ::3]):
        offset = view.__array_interface__["data"][0] - wide.__array_interface__["data"][0]
        given = Interface(wide, shape=view.shape, strides=view.strides, data=(pointer + offset, True))
        with pytest.raises(ValueError, match=r"in an order that is not read there: pass x.contiguous\(\)"):
            model.predict(given)


def test_what_is_wrong_is_said_as_for_the_host(lay):
    model, bad = classifier_with_shape(), X.copy()
    bad[7, 2] = np.nan
    large = X.astype(np.float64)
    large[3, 1] = 1e300
    cases = [(bad, Y), (large, Y), (X[:, :3], Y), (X[:0], Y[:0]), (X, Y[:9]), (X, Y + 1), (X, Y - 0.5), (X[0], Y)]
    for x, y in cases:
        with pytest.raises(ValueError) as expected:  # noqa: PT011 - it is compared
            model.evaluate(x, y, verbose=0)
        with pytest.raises(ValueError) as found:  # noqa: PT011
            model.evaluate(lay(x) if x.size else Interface(x), lay(y) if y.size else Interface(y), verbose=0)
        assert str(found.value) == str(expected.value)
    with pytest.raises(ValueError, match="sample_weight holds nan"):
        model.evaluate(X, Y, sample_weight=lay(bad[:, 2].copy()), verbose=0)


def test_what_cannot_be_shared():
    model = classifier_with_shape()
    with pytest.raises(TypeError, match="x holds complex64, expected booleans, integers, or floats"):
        model.predict(Interface(X.astype(np.complex64)))
    with pytest.raises(TypeError, match="x has masked values"):
        model.predict(Interface(X, mask=Interface(X > 0)))

    class NeedsGradient(Capsule):
        def __dlpack__(self, **options):
            raise BufferError("it requires a gradient: use tensor.detach()")

    class Elsewhere(Capsule):
        def __dlpack_device__(self):
            return 2, 1

    with pytest.raises(TypeError, match=r"x on the GPU cannot be shared: .*tensor.detach\(\)"):
        model.predict(NeedsGradient(X))
    with pytest.raises(ValueError, match="x lies on GPU 1, but fastnn computes on GPU 0"):
        model.predict(Elsewhere(X))


def test_its_stream_is_waited_for():
    given = Capsule(X)
    classifier_with_shape().predict(given)
    assert set(given.streams) == {device_cuda.DEFAULT_STREAM}


def test_a_model_on_the_cpu_says_what_to_do(lay):
    model = classifier("cpu")
    message = r"lies in the memory of a GPU, but the model computes on the CPU: .*\.cpu\(\)"
    for call in (
        lambda: model.fit(lay(X), Y, verbose=0),
        lambda: model.fit(X, lay(Y), verbose=0),
        lambda: MLPClassifier(max_iter=1).fit(lay(X), Y),
        lambda: MLPClassifier(max_iter=1).fit(X, lay(Y)),
    ):
        with pytest.raises(TypeError, match=message):
            call()


def test_weights_of_classes(lay):
    weights = {0: 1.0, 1: 2.0, 2: 0.5}
    expected = results(classifier(), X, Y, WEIGHTS, class_weight=weights)
    assert_same_bits(results(classifier(), lay(X), lay(Y), lay(WEIGHTS), class_weight=weights), expected)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "uint8"])
def test_rows_are_chosen_as_by_numpy(dtype):
    x = np.arange(24).reshape(6, 4).astype(dtype)
    array = device_array.send(x)
    mask = x[:, 0] > 9
    for rows in (
        2,
        -1,
        slice(None),
        slice(2, 5),
        slice(4, 2),
        slice(-2, None),
        slice(None, None, 2),
        [3, 0, -1, 3],
        mask,
    ):
        chosen = array[rows]
        assert chosen.shape == x[rows].shape
        np.testing.assert_array_equal(np.asarray(chosen), x[rows])
    np.testing.assert_array_equal(np.asarray(array[:, 1]), x[:, 1])
    np.testing.assert_array_equal([np.asarray(row) for row in array], x)
    assert array[1:3].__cuda_array_interface__["data"][0] - array.__cuda_array_interface__["data"][0] == 4 * x.itemsize
    for wrong in (6, -7, [6], (1, 2), (slice(None), 4), (slice(None), 0, 0)):
        with pytest.raises(IndexError):
            array[wrong]
    with pytest.raises(IndexError, match="gives rows and single columns"):
        array[:, 1][2]


def test_tensors_of_pytorch():
    """Those of the CPU are taken on either device without a copy; those of a GPU, where there is one, too."""
    torch = pytest.importorskip("torch")
    expected = classifier_with_shape().predict(X)
    tensor = torch.from_numpy(X.copy())
    np.testing.assert_array_equal(classifier_with_shape().predict(tensor), expected)
    if not jit.SIMULATED and torch.cuda.is_available():
        outputs = classifier_with_shape().predict(tensor.cuda())
        assert_close(torch.from_dlpack(outputs).cpu().numpy(), expected, 1e-6)
        assert_close(torch.as_tensor(outputs, device="cuda").cpu().numpy(), expected, 1e-6)
