"""What users pass as data: everything that holds real numbers is taken, everything else gets one clear error."""

import numpy as np
import pytest

from fastnn import losses
from fastnn.data import arrays, samples
from fastnn.layers import Dense, Flatten, Input
from fastnn.models import Sequential
from fastnn.utils import set_random_seed

X = np.arange(24).reshape(8, 3) % 7
Y = np.array([0, 1, 1, 0, 1, 0, 0, 1])


def classifier(outputs=1, loss="binary_crossentropy", **options):
    set_random_seed(0)
    activation = "sigmoid" if outputs == 1 else "softmax"
    model = Sequential([Input((3,)), Dense(outputs, activation)], **options)
    model.compile("sgd", loss, metrics=["accuracy"])
    return model


def fitted(x, y, **arguments):
    model = classifier()
    model.fit(x, y, epochs=2, batch_size=4, verbose=0, **arguments)
    return model.get_weights()[0]


class Lazy:
    """Anything with ``__array__``."""

    def __array__(self, dtype=None, copy=None):
        return np.asarray(X, dtype)


def frames():
    pandas, polars = pytest.importorskip("pandas"), pytest.importorskip("polars")
    table = {"a": X[:, 0], "b": X[:, 1].astype(float), "c": X[:, 2]}
    return [
        (pandas.DataFrame(table), pandas.Series(Y)),
        (pandas.DataFrame(table).astype({"a": "Int64"}), pandas.Series(Y.astype(bool))),
        (polars.DataFrame(table), polars.Series(Y)),
    ]


@pytest.mark.parametrize("dtype", ["uint8", "int16", "int64", "float16", "float32", "float64", ">f4"])
def test_every_real_dtype_gives_the_same_model(dtype):
    np.testing.assert_array_equal(fitted(X.astype(dtype), Y.astype(dtype)), fitted(X, Y))


@pytest.mark.parametrize("weights", [{"class_weight": {0: 0.5, 1: 1.5}}, {"sample_weight": np.arange(8) / 7}])
def test_weights_beside_bytes(weights):
    np.testing.assert_array_equal(fitted(X.astype("uint8"), Y, **weights), fitted(X.astype("f"), Y, **weights))


def test_lists_frames_and_array_likes_give_the_same_model():
    expected = fitted(X, Y)
    for x, y in [(X.tolist(), Y.tolist()), (Lazy(), Y == 1), (np.asfortranarray(X), Y[:, None]), *frames()]:
        np.testing.assert_array_equal(fitted(x, y), expected)


def test_read_only_and_strided_arrays():
    x = np.repeat(X, 2, axis=1)[:, ::2].astype(np.float32)
    x.flags.writeable = False
    np.testing.assert_array_equal(fitted(x, Y), fitted(X, Y))


def test_matching_float32_is_not_copied():
    x = np.ones((4, 3), np.float32)
    assert np.shares_memory(samples.inputs(x, (3,), np.float32), x)


def test_images_are_flattened_by_the_model():
    images = np.arange(5 * 4 * 3, dtype=np.uint8).reshape(5, 4, 3)
    model = Sequential([Input((4, 3)), Flatten(), Dense(2)])
    np.testing.assert_array_equal(model.predict(images), model.predict(images.astype(np.float32)))
    kernel, bias = model.get_weights()
    np.testing.assert_allclose(model.predict(images), images.reshape(5, 12) @ kernel + bias, rtol=1e-4)
    with pytest.raises(ValueError, match=r"x has the shape \(5, 12\), but the model takes rows of shape \(4, 3\)"):
        model.predict(images.reshape(5, 12))


def test_one_column_may_be_flat():
    model = Sequential([Input((1,)), Dense(1)])
    np.testing.assert_array_equal(model.predict([1.0, 2.0]), model.predict([[1.0], [2.0]]))


def test_a_model_without_a_shape_takes_that_of_its_first_data():
    model = Sequential([Dense(4, "relu"), Dense(1)])
    with pytest.raises(ValueError, match="the shape of the input is not known yet"):
        model.predict(X)
    model.compile("sgd", "mse")
    model.fit(X, Y, verbose=0)
    assert model.input_shape == (None, 3)


WRONG_X = [
    (X[:, :2], ValueError, r"x has the shape \(8, 2\), but the model takes rows of shape \(3,\).*\(n, 3\)"),
    (X[0], ValueError, r"a single row is x\[numpy.newaxis\]"),
    (np.zeros((0, 3)), ValueError, r"x is empty: it has the shape \(0, 3\)"),
    ([], ValueError, r"x is empty"),
    (5.0, ValueError, "x is empty"),
    (None, ValueError, "x is missing"),
    ([[1, 2, 3], [4, 5]], ValueError, "x is no rectangular array"),
    (np.where(X == 5, np.nan, X), ValueError, "x holds nan in row 1, column 2"),
    (np.where(X == 6, -np.inf, X), ValueError, "x holds -inf in row 2, column 0"),
    (np.where(X == 6, 1e300, X), ValueError, r"x holds 1e\+300 in row 2, column 0, which is too large for float32"),
    (X.astype(str), TypeError, "x holds strings, expected real numbers"),
    (X.astype(complex), TypeError, "x holds complex numbers"),
    (X.astype("datetime64[D]"), TypeError, "x holds dates"),
    (np.array([[1, "a", None]]), TypeError, "x holds strings"),
    (np.array([[1, {}, None]]), TypeError, "x holds objects that are no real numbers, such as {} of type dict"),
]


@pytest.mark.parametrize(("x", "error", "message"), WRONG_X, ids=[message[:40] for _, _, message in WRONG_X])
def test_wrong_inputs(x, error, message):
    model = classifier()
    before = model.get_weights()
    for call in (lambda: model.fit(x, Y, verbose=0), lambda: model.evaluate(x, Y, verbose=0), lambda: model.predict(x)):
        with pytest.raises(error, match=message):
            call()
    np.testing.assert_array_equal(model.get_weights()[0], before[0])


def test_sparse_matrices_are_refused():
    sparse = pytest.importorskip("scipy.sparse")
    with pytest.raises(TypeError, match=r"sparse matrix; pass x.toarray\(\)"):
        classifier().predict(sparse.csr_array(X))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("width", [1, 8, 33], ids="width {}".format)
@pytest.mark.parametrize("policy", ["float32", "float64"])
def test_predictions_find_what_is_not_finite(policy, width, value):
    """The compiled pass sees it wherever it stands, though a relu may hide it from the outputs."""
    model = Sequential([Input((width,)), Dense(3, "relu", kernel_initializer="ones")], dtype=policy)
    for rows in (1, 7, 96, 97, 1000):
        x = np.full((rows, width), -1e30, policy)
        assert (model(x) == 0.0).all()
        for row, column in ((0, 0), (rows - 1, width - 1), (rows // 2, width // 2)):
            x[row, column] = value
            with pytest.raises(ValueError, match=rf"^x holds {value} in row {row}, column {column};"):
                model(x)
            with pytest.raises(ValueError, match=rf"^x holds {value} in row {row}, column {column};"):
                model.predict(x.astype("float64" if policy == "float32" else "float32"))
            x[row, column] = -1e30


def test_predictions_of_numbers_too_large_for_the_type():
    with pytest.raises(ValueError, match=r"^x holds 1e\+39 in row 1, column 0, which is too large for float32"):
        classifier()(np.array([[1.0, 1.0, 1.0], [1e39, 1.0, 1.0]]))


def test_large_finite_values_are_no_infinities():
    x = np.full((4, 3), 3e38, np.float32)  # their sum overflows
    assert samples.inputs(x, (3,), np.float32) is not None


ONE_HOT = np.eye(4)[[0, 1, 2, 3, 0, 1, 2, 3]]
WRONG_Y = [
    (1, "binary_crossentropy", Y[:5], r"x has 8 rows, but y has the shape \(5,\)"),
    (1, "binary_crossentropy", None, "y is missing"),
    (1, "binary_crossentropy", np.where(Y == 1, np.nan, 0), "y holds nan in row 1, column 0"),
    (1, "binary_crossentropy", Y + 1, "y holds 2 in row 1, column 0, but binary_crossentropy takes values from 0 to 1"),
    (1, "binary_crossentropy", 2 * Y - 1, "y holds -1 in row 0"),
    (1, "mse", ONE_HOT, r"y has the shape \(8, 4\), but mean_squared_error for 1 outputs takes the shape \(8, 1\)"),
    (1, "poisson_deviance", Y - 1, "y holds -1 in row 0, column 0, but poisson_deviance takes values >= 0"),
    (3, "categorical_crossentropy", ONE_HOT, r"y has the shape \(8, 4\), .* takes the shape \(8, 3\)"),
    (3, "categorical_crossentropy", Y, "use the loss 'sparse_categorical_crossentropy', or .*to_categorical"),
    (4, "categorical_crossentropy", 2 * ONE_HOT, "y holds 2 in row 0, column 0"),
    (3, "sparse_categorical_crossentropy", Y + 2, "y holds 3 in row 1, but class numbers must be whole, >= 0 and < 3"),
    (3, "sparse_categorical_crossentropy", Y - 1, "y holds -1 in row 0"),
    (3, "sparse_categorical_crossentropy", Y + 0.5, "y holds 0.5 in row 0"),
    (4, "sparse_categorical_crossentropy", ONE_HOT, "for one-hot targets use the loss 'categorical_crossentropy'"),
]


@pytest.mark.parametrize(("outputs", "loss", "y", "message"), WRONG_Y, ids=[message[:40] for *_, message in WRONG_Y])
def test_wrong_targets(outputs, loss, y, message):
    model = classifier(outputs, loss)
    for call in (model.fit, model.evaluate):
        with pytest.raises(ValueError, match=message):
            call(X, y, verbose=0)


def test_string_labels():
    with pytest.raises(
        TypeError, match=r"y holds strings.*numpy.unique\(labels, return_inverse=True\)\[1\].*estimators"
    ):
        classifier().fit(X, np.where(Y == 1, "yes", "no"), verbose=0)


@pytest.mark.parametrize("shape", [(8,), (8, 1)])
@pytest.mark.parametrize("loss", ["mse", "sparse_categorical_crossentropy"])
def test_flat_targets_are_columns(loss, shape):
    outputs = 1 if loss == "mse" else 2
    y = samples.targets(Y.reshape(shape), 8, outputs, losses.get(loss), np.float32)
    np.testing.assert_array_equal(y, Y[:, None])
    assert y.flags.c_contiguous


def test_sample_weights_and_class_weights_multiply():
    x = X.astype(np.float32)
    rows = samples.Samples(x, Y[:, None].astype(np.float32), np.arange(8, dtype=np.float32))
    weights = samples.weigh_classes(rows, {0: 1.0, 1: 10.0}).sample_weights
    np.testing.assert_array_equal(weights, np.arange(8) * np.where(Y == 1, 10, 1))
    one_hot = samples.Samples(x, np.eye(2, dtype=np.float32)[Y], None)
    np.testing.assert_array_equal(samples.weigh_classes(one_hot, {0: 1, 1: 2}).sample_weights, Y + 1)


def test_class_weights_do_not_touch_the_validation():
    def validation_loss(**arguments):
        history = classifier().fit(X, Y, verbose=0, sample_weight=np.arange(8), validation_split=0.5, **arguments)
        return history.history["val_loss"][0]

    unchanged = validation_loss(class_weight={0: 1, 1: 1})
    assert validation_loss() == unchanged
    model = classifier()
    model.optimizer.learning_rate = 1e-30  # weights as they were drawn, so that only the validation counts
    history = model.fit(X, Y, verbose=0, validation_split=0.5, class_weight={0: 1, 1: 100}).history
    assert history["val_loss"][0] == pytest.approx(model.evaluate(X[4:], Y[4:], verbose=0)[0])


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"sample_weight": np.ones(5)}, ValueError, r"sample_weight must have the shape \(8,\).*got \(5,\)"),
        ({"sample_weight": np.full(8, np.nan)}, ValueError, "sample_weight holds nan in row 0"),
        ({"sample_weight": ["a"] * 8}, TypeError, "sample_weight holds strings"),
        ({"class_weight": {0: 1.0}}, ValueError, r"no weight for the classes \[1\]"),
        ({"class_weight": {0: 1.0, 1: np.nan}}, ValueError, r"class_weight\[1\] must be >= 0"),
        ({"class_weight": "balanced"}, TypeError, "class_weight must be a dict"),
        ({"batch_size": 0}, ValueError, "batch_size must be an integer >= 1; got 0"),
        ({"batch_size": 2.5}, ValueError, "batch_size must be"),
        ({"epochs": -1}, ValueError, "epochs must be an integer >= 0; got -1"),
        ({"initial_epoch": -1}, ValueError, "initial_epoch must be an integer >= 0"),
        ({"validation_split": 1.0}, ValueError, "validation_split must be >= 0 and < 1; got 1.0"),
        ({"validation_split": -0.1}, ValueError, "validation_split must be"),
        ({"validation_split": 0.99}, ValueError, "validation_split=0.99 of 8 rows leaves one side without rows"),
        ({"validation_data": X}, ValueError, r"validation_data must be a tuple \(x, y\)"),
        ({"validation_data": (X[:, :2], Y)}, ValueError, "x of validation_data has the shape"),
        ({"validation_data": (X, Y[:3])}, ValueError, "y of validation_data has the shape"),
        ({"verbose": 3}, ValueError, 'verbose must be "auto", 0'),
        ({"callbacks": [print]}, TypeError, "callbacks must be objects of fastnn.callbacks.Callback"),
    ],
)
def test_wrong_arguments_of_fit(arguments, error, message):
    model = classifier()
    before = model.get_weights()
    with pytest.raises(error, match=message):
        model.fit(X, Y, **{"verbose": 0} | arguments)
    np.testing.assert_array_equal(model.get_weights()[0], before[0])
    assert model.history is None


def test_weighted_rows_count_as_often_as_they_weigh():
    weights = np.array([0, 1, 2, 0, 1, 3, 1, 0])
    repeated = np.repeat(np.arange(8), weights)

    def gradient_step(x, y, **arguments):
        model = classifier(dtype="float64")
        model.train_on_batch(x, y, **arguments)
        return model.get_weights()[0]

    # both divide by 8 rows
    np.testing.assert_allclose(gradient_step(X, Y, sample_weight=weights), gradient_step(X[repeated], Y[repeated]))


class OnlyDLPack:
    """An array that has no way to NumPy but DLPack."""

    def __init__(self, array):
        self.array = array

    def __dlpack__(self, **options):
        return self.array.__dlpack__(**options)

    def __dlpack_device__(self):
        return self.array.__dlpack_device__()


def test_arrays_that_have_dlpack_alone():
    x = np.arange(6, dtype=np.float32).reshape(3, 2)
    taken = arrays.to_array(OnlyDLPack(x), "x")
    assert np.shares_memory(taken, x)
    np.testing.assert_array_equal(samples.inputs(OnlyDLPack(x), (2,), np.float32), x)


@pytest.mark.parametrize("attribute", ["__cuda_array_interface__", "__dlpack_device__"])
def test_a_model_on_the_cpu_takes_no_array_on_a_gpu(attribute):
    values = {"__cuda_array_interface__": {}, "__dlpack_device__": lambda array: (2, 0)}
    array = type("Array", (), {attribute: values[attribute]})()
    with pytest.raises(TypeError, match=r"x lies in the memory of a GPU, .* x.cpu\(\) of PyTorch or x.get\(\) of CuPy"):
        samples.inputs(array, (2,), np.float32)


def test_a_column_that_is_always_true():
    model = classifier()
    history = model.fit(np.ones(X.shape, bool), Y, verbose=0).history
    assert np.isfinite(history["loss"]).all()
