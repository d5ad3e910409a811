"""Options that mean nothing for the data at hand: refused, or warned of."""

import numpy as np
import pytest

from fastnn import MLPClassifier, MLPRegressor, losses
from fastnn.data import samples
from fastnn.layers import Dense
from fastnn.metrics import BinaryAccuracy
from fastnn.models import Sequential

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X = np.random.default_rng(0).normal(size=(40, 3))
Y = (X[:, 0] > 0).astype(int)
THREE = np.arange(40) % 3
SEVERAL = np.stack([X[:, 0] > 0, X[:, 1] > 0, X[:, 2] > 0], axis=1).astype(int)


def compiled(outputs, activation, loss, metrics=()):
    model = Sequential([Dense(outputs, activation, input_shape=(3,))])
    model.compile("sgd", loss, list(metrics))
    return model


def weights_of_classes(y, loss, table):
    rows = samples.Samples(X, np.asarray(y, np.float32).reshape(len(y), -1), None)
    return samples.weigh_classes(rows, table, losses.get(loss)).sample_weights


@pytest.mark.parametrize(
    ("y", "loss", "expected"),
    [
        (np.where(Y, 0.95, 0.05), "binary_crossentropy", Y),  # soft labels are rounded, as in Keras
        (np.where(Y, 0.6, 0.4), "binary_focal_crossentropy", Y),
        (np.eye(3)[THREE], "categorical_crossentropy", THREE),
        (0.9 * np.eye(3)[THREE] + 0.1 / 3, "categorical_crossentropy", THREE),
        (THREE, "sparse_categorical_crossentropy", THREE),
        (np.eye(3)[THREE], "binary_crossentropy", THREE),
        (2 * np.eye(3)[THREE] - 1, "mse", THREE),
        (THREE, "mse", THREE),
    ],
)  # fmt: skip
def test_class_weights_go_by_the_class_of_a_row(y, loss, expected):
    table = {0: 1.0, 1: 10.0, 2: 100.0}
    np.testing.assert_array_equal(weights_of_classes(y, loss, table), 10.0**expected)


@pytest.mark.parametrize(
    ("y", "loss", "shown"),
    [
        (SEVERAL, "binary_crossentropy", r"\["),
        (np.where(Y, 0.95, 0.5), "binary_crossentropy", "0.5"),
        (np.full((40, 3), 1 / 3), "categorical_crossentropy", r"\[0.333333, 0.333333, 0.333333\]"),
        (X[:, 0], "mse", ""),
        (np.where(Y, 0.95, 0.05), "mse", "0.05|0.95"),
        (X, "mae", r"\["),
        (X[:, :2], "mae", r"\["),
    ],
)
def test_class_weights_for_rows_of_no_class_are_refused(y, loss, shown):
    y = np.asarray(y, np.float64)
    outputs = 1 if y.ndim == 1 else y.shape[1]
    activation = {"binary_crossentropy": "sigmoid", "categorical_crossentropy": "softmax"}.get(loss)
    model = compiled(outputs, activation, loss)
    before = model.get_weights()
    message = f"class_weight needs rows that belong to one class each, but y holds {shown}.* in row .*sample_weight"
    with pytest.raises(ValueError, match=message):
        model.fit(X, y, class_weight={0: 1.0, 1: 2.0, 2: 3.0}, verbose=0)
    with pytest.raises(ValueError, match=message):
        model.train_on_batch(X, y, class_weight={0: 1.0, 1: 2.0, 2: 3.0})
    np.testing.assert_array_equal(model.get_weights()[0], before[0])


@pytest.mark.parametrize(
    ("outputs", "activation", "loss", "metric", "y", "message"),
    [
        (1, "tanh", "mse", "accuracy", 2 * Y - 1, "'accuracy' expects labels 0 and 1, .* but y.* holds -1 in row"),
        (1, "sigmoid", "mse", "acc", Y + 1, "'acc' expects labels 0 and 1, .* but y.* holds 2 in row"),
        (1, None, "mae", "accuracy", X[:, 0], "'accuracy' expects labels 0 and 1"),
        (1, "sigmoid", "binary_crossentropy", "accuracy", np.where(Y, 0.95, 0.05), "but y.* holds 0.(95|05) in row"),
        (3, "tanh", "mse", BinaryAccuracy(), 2.0 * SEVERAL - 1, r"'binary_accuracy' .* y.* holds \[-?1, -?1, -?1\]"),
        (3, "sigmoid", "binary_crossentropy", "accuracy", SEVERAL, "one class for each row.* 'binary_accuracy' looks"),
        (3, None, "mse", "accuracy", X, "expects one class for each row"),
        (1, None, "mse", "binary_crossentropy", 2 * Y - 1, "expects targets >= 0 and <= 1, but y.* holds -1"),
        (1, None, "mse", "poisson", -Y, "expects targets >= 0, but y.* holds -1"),
    ],
)  # fmt: skip
def test_metrics_that_say_nothing_are_warned_of(outputs, activation, loss, metric, y, message):
    model = compiled(outputs, activation, loss, [metric])
    for call in (
        lambda: model.fit(X, y, verbose=0),
        lambda: model.evaluate(X, y, verbose=0),
        lambda: model.train_on_batch(X, y),
        lambda: model.fit(X[:1], y[:1] * 0 + (np.arange(outputs) == 0), validation_data=(X, y), verbose=0),
    ):
        with pytest.warns(UserWarning, match=message) as caught:
            call()
        assert caught[0].filename == __file__


@pytest.mark.parametrize(
    ("outputs", "activation", "loss", "metric", "y"),
    [
        (1, "sigmoid", "binary_crossentropy", "accuracy", Y),
        (1, "sigmoid", "mse", "accuracy", Y),
        (3, "softmax", "categorical_crossentropy", "accuracy", 0.9 * np.eye(3)[THREE] + 0.1 / 3),
        (3, "softmax", "sparse_categorical_crossentropy", "accuracy", THREE),
        (3, "tanh", "mse", "accuracy", 2 * np.eye(3)[THREE] - 1),
        (3, "sigmoid", "binary_crossentropy", "binary_accuracy", SEVERAL),
        (1, None, "mse", "mae", X[:, 0]),
        (1, "exponential", "poisson", "poisson_deviance", 3 * Y),
    ],
)  # fmt: skip
def test_metrics_that_fit_are_not(outputs, activation, loss, metric, y):
    model = compiled(outputs, activation, loss, [metric])
    model.fit(X, y, verbose=0, validation_data=(X, y))
    model.evaluate(X, y, verbose=0)


@pytest.mark.parametrize("weights", [{"sample_weight": np.zeros(40)}, {"class_weight": {0: 0.0, 1: 0.0}}], ids=str)
def test_weights_of_zero(weights):
    model = compiled(1, "sigmoid", "binary_crossentropy")
    with pytest.warns(UserWarning, match="nothing is learned"):
        model.fit(X, Y, verbose=0, **weights)


@pytest.mark.parametrize(
    ("make", "parameters", "message"),
    [
        (MLPClassifier, {"focal_gamma": 3.0}, r"focal_gamma=3.0 has no effect: it is for loss='focal', not 'log_loss'"),
        (MLPClassifier, {"scoring": "f1"}, "scoring='f1' has no effect: it is for early_stopping=True"),
        (MLPRegressor, {"quantile": [0.1, 0.9]}, r"quantile=\[0.1, 0.9\] has no effect"),
        (MLPRegressor, {"huber_delta": 2.0, "loss": "quantile"}, "huber_delta=2.0 has no effect"),
    ],
)
def test_parameters_without_effect_are_warned_of(make, parameters, message):
    model = make(max_iter=2, **parameters)
    with pytest.warns(UserWarning, match=message):
        model.fit(X, Y)
    model = make(max_iter=2, focal_gamma=3.0, loss="focal") if make is MLPClassifier else make(max_iter=2, quantile=0.5)
    model.fit(X, Y)


def test_weight_decay_is_not_for_lbfgs():
    with pytest.raises(ValueError, match="solver='lbfgs' takes no weight_decay=0.1"):
        MLPClassifier(solver="lbfgs", weight_decay=0.1).fit(X, Y)


def test_class_weights_of_the_estimators_are_read_by_scikit_learns_rule():
    words = np.array(["a", "b", "c"])[THREE]
    MLPClassifier(class_weight={"a": 2.0, "b": 1.0, "c": 1.0, "d": 9.0}, max_iter=2).fit(X, words)
    with pytest.raises(ValueError, match=r"class_weight names \['A'\], which are none .* does not name \['a', 'b'"):
        MLPClassifier(class_weight={"A": 2.0, "c": 3.0}, max_iter=2).fit(X, words)
    with pytest.raises(ValueError, match="class_weight should be a list of dicts"):
        MLPClassifier(class_weight={0: 1.0, 1: 2.0}, max_iter=2).fit(X, SEVERAL)


def test_class_weights_of_a_batch_without_one_of_the_classes():
    """They are those of the classes that the model knows, as if the weights had been given row by row."""
    settings = {"max_iter": 2, "random_state": 0}
    weighted = MLPClassifier(class_weight={0: 5.0, 2: 0.5}, **settings)
    by_row = MLPClassifier(**settings)
    for rows in (THREE >= 0, THREE < 2, THREE == 1):
        weighted.partial_fit(X[rows], THREE[rows], classes=[0, 1, 2])
        by_row.partial_fit(X[rows], THREE[rows], np.array([5.0, 1.0, 0.5])[THREE[rows]], classes=[0, 1, 2])
    np.testing.assert_array_equal(weighted.coefs_[0], by_row.coefs_[0])
    rare = MLPClassifier(class_weight={0: 5.0}, **settings).fit(X, THREE, validation_data=(X[:3], THREE[:3]))
    with pytest.raises(ValueError, match="has classes not in"):
        rare.fit(X, THREE, validation_data=(X[:3], THREE[:3] + 1))
