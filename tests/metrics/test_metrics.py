"""Metrics: what they see, their parameters and their names, as in Keras."""

import numpy as np
import pytest

from fastnn import losses, metrics, optimizers
from fastnn.layers import Dense
from fastnn.models import Sequential, load_model

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 3))
BINARY = (X[:, :1] + 0.5 * RNG.normal(size=(40, 1)) > 0).astype(float)
CLASSES = (X[:, 0] > 0).astype(int) + (X[:, 1] > 0)


def compiled(outputs, activation, loss, metric):
    model = Sequential([Dense(outputs, activation, input_dim=3)])
    model.compile(optimizers.SGD(0.1), loss, metrics=metric if isinstance(metric, list) else [metric])
    return model


# --- keys in logs -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("metric", "key"),  # as Keras 3.15 reports them
    [
        ("mse", "mse"),
        ("MSE", "MSE"),
        ("mean_squared_error", "mean_squared_error"),
        ("MeanSquaredError", "MeanSquaredError"),
        (metrics.MeanSquaredError, "mean_squared_error"),
        (metrics.MeanSquaredError(), "mean_squared_error"),
        (metrics.MeanSquaredError("m"), "m"),
        (losses.mean_squared_error, "mean_squared_error"),
        ("mae", "mae"),
        (metrics.MeanAbsoluteError(), "mean_absolute_error"),
        (metrics.RootMeanSquaredError(), "root_mean_squared_error"),
        ("root_mean_squared_error", "root_mean_squared_error"),
        ("accuracy", "accuracy"),
        ("acc", "acc"),
        ("Accuracy", "Accuracy"),
        (metrics.Accuracy(), "accuracy"),
        (metrics.BinaryAccuracy(), "binary_accuracy"),
        ("binary_accuracy", "binary_accuracy"),
        ("bce", "bce"),
        (metrics.BinaryCrossentropy(), "binary_crossentropy"),
        (losses.binary_crossentropy, "binary_crossentropy"),
        (losses.binary_focal_crossentropy, "binary_focal_crossentropy"),
        (losses.huber, "huber"),
        (metrics.LogCoshError(), "logcosh"),
        (metrics.LogCoshError, "logcosh"),
        ("log_cosh_error", "log_cosh_error"),
        (losses.log_cosh, "log_cosh"),
        (metrics.Poisson(), "poisson"),
        (losses.poisson, "poisson"),
        ({"class_name": "BinaryAccuracy", "config": {"threshold": 0.2}}, "binary_accuracy"),
    ],
)
def test_key_in_logs(metric, key):
    model = compiled(1, "sigmoid", "binary_crossentropy", metric)
    history = model.fit(X, BINARY, verbose=0, validation_data=(X, BINARY)).history
    assert sorted(history) == sorted(["loss", key, "val_loss", f"val_{key}"])
    assert set(model.evaluate(X, BINARY, verbose=0, return_dict=True)) == {"loss", key}


@pytest.mark.parametrize("name", ["CategoricalCrossentropy", "CategoricalAccuracy"])
def test_key_of_metrics_of_classes(name):
    one_hot = np.eye(3)[CLASSES]
    key = "categorical_crossentropy" if name.endswith("entropy") else "categorical_accuracy"
    model = compiled(3, "softmax", "categorical_crossentropy", getattr(metrics, name)())
    assert set(model.evaluate(X, one_hot, verbose=0, return_dict=True)) == {"loss", key}
    sparse = getattr(metrics, f"Sparse{name}")()
    model = compiled(3, "softmax", "sparse_categorical_crossentropy", sparse)
    assert set(model.evaluate(X, CLASSES, verbose=0, return_dict=True)) == {"loss", f"sparse_{key}"}


# --- values -------------------------------------------------------------------------------------------------------


def test_metrics_see_logits_where_the_model_gives_logits():
    metric = ["accuracy", "mse", metrics.BinaryAccuracy("at_zero", threshold=0.0), metrics.Accuracy("exact")]
    model = compiled(1, None, losses.BinaryCrossentropy(from_logits=True), metric)
    z = model.predict(X)
    expected = [
        np.mean((z > 0.5) == (BINARY == 1)), np.mean((z - BINARY) ** 2), np.mean((z > 0) == (BINARY == 1)), 0.0,
    ]  # fmt: skip
    assert expected[0] != expected[2]
    for values in (
        model.evaluate(X, BINARY, verbose=0)[1:],
        model.test_on_batch(X, BINARY)[1:],
        model.train_on_batch(X, BINARY)[1:],
    ):
        np.testing.assert_allclose(values, expected, rtol=1e-5)
    two = compiled(3, None, losses.CategoricalCrossentropy(from_logits=True), ["mae", "accuracy"])
    z, y = two.predict(X), np.eye(3)[CLASSES]
    history = two.fit(X, y, batch_size=len(X), verbose=0).history
    assert history["mae"][0] == pytest.approx(np.mean(np.abs(z - y)), rel=1e-5)
    assert history["accuracy"][0] == pytest.approx(np.mean(z.argmax(axis=1) == CLASSES))


def test_logits_stay_for_the_loss_after_metrics_saw_them():
    """The loss and the weights are those of the model without metrics."""
    ends = []
    for metric in ([], ["mse", metrics.BinaryCrossentropy(from_logits=True)]):
        model = compiled(1, None, losses.BinaryCrossentropy(from_logits=True), metric)
        model.set_weights([np.ones((3, 1)), np.zeros(1)])
        history = model.fit(X, BINARY, epochs=2, batch_size=7, shuffle=False, verbose=0).history
        ends.append((history["loss"], model.get_weights()[0].tolist()))
    assert ends[0] == ends[1]


@pytest.mark.parametrize("metric", [metrics.BinaryCrossentropy, metrics.CategoricalCrossentropy])
def test_label_smoothing_and_logits_of_metrics(metric):
    y = np.eye(3)[CLASSES]
    plain = compiled(3, "softmax", "mse", [metric("a"), metric("b", label_smoothing=0.2)])
    loss = getattr(losses, metric.__name__)
    p, values = plain.predict(X), plain.evaluate(X, y, verbose=0)
    np.testing.assert_allclose(values[1:], [loss()(y, p), loss(label_smoothing=0.2)(y, p)], rtol=1e-5)
    logits = compiled(3, None, "mse", [metric("a", from_logits=True, label_smoothing=0.2)])
    expected = loss(from_logits=True, label_smoothing=0.2)(y, logits.predict(X))
    assert logits.evaluate(X, y, verbose=0)[1] == pytest.approx(expected, rel=1e-5)
    assert metric(label_smoothing=0.2)(y, p) == pytest.approx(loss(label_smoothing=0.2)(y, p))


def test_losses_with_parameters_as_metrics():
    y = np.eye(3)[CLASSES]
    chosen = [losses.Huber(0.3), losses.BinaryFocalCrossentropy(gamma=1.5), losses.CategoricalFocalCrossentropy(0.4)]
    model = compiled(3, "softmax", "categorical_crossentropy", [*chosen, losses.poisson])
    p = model.predict(X)
    expected = [*(loss(y, p) for loss in chosen), losses.Poisson()(y, p)]
    np.testing.assert_allclose(model.evaluate(X, y, verbose=0)[1:], expected, rtol=1e-5)


def test_metrics_are_not_weighted():
    """As in Keras, whose ``metrics`` are not, unlike its ``weighted_metrics``."""
    model, weights = compiled(1, "sigmoid", "mse", ["mse"]), np.linspace(0.0, 2.0, 40)
    squares = (model.predict(X) - BINARY)[:, 0] ** 2
    loss, metric = model.evaluate(X, BINARY, sample_weight=weights, verbose=0)
    assert (loss, metric) == (pytest.approx(np.mean(weights * squares), rel=1e-5), pytest.approx(squares.mean()))


def test_exact_accuracy():
    """An object is Keras' share of equal numbers; the name "accuracy" is the accuracy of a classifier."""
    y = np.array([[1.0, 0.0], [0.0, 1.0]])
    assert metrics.Accuracy()(y, [[1.0, 0.0], [0.4, 1.0]]) == 0.75
    model = compiled(1, "relu", "mse", [metrics.Accuracy(), metrics.get("acc")])
    model.set_weights([np.ones((3, 1)), np.zeros(1)])
    x = np.array([[1.0, 0.0, 0.0], [0.7, 0.0, 0.0], [-3.0, 0.0, 0.0]])
    assert model.evaluate(x, [1.0, 1.0, 0.0], verbose=0)[1:] == pytest.approx([2 / 3, 1.0])
    sparse = compiled(3, "softmax", "sparse_categorical_crossentropy", metrics.Accuracy())
    with pytest.raises(ValueError, match=r"use the name 'accuracy' or metrics.SparseCategoricalAccuracy\(\)"):
        sparse.evaluate(X, CLASSES, verbose=0)


# --- what is refused, and what is kept ----------------------------------------------------------------------------


def test_metric_on_logits_of_a_model_that_gives_probabilities():
    model = compiled(1, "sigmoid", "binary_crossentropy", metrics.BinaryCrossentropy(from_logits=True))
    with pytest.raises(ValueError, match="'binary_crossentropy' with from_logits=True needs a last layer without"):
        model.evaluate(X, BINARY, verbose=0)


def test_parameters_that_are_refused():
    with pytest.raises(ValueError, match="leave out dtype='float16'"):
        metrics.MeanSquaredError(dtype="float16")
    for make in (metrics.CategoricalCrossentropy, metrics.SparseCategoricalCrossentropy):
        assert make(axis=-1).name
        with pytest.raises(ValueError, match="axis must be -1"):
            make(axis=0)
    with pytest.raises(TypeError, match="threshold must be a number"):
        metrics.BinaryAccuracy(threshold=None)


def test_metrics_survive_a_file(tmp_path):
    metric = [
        "accuracy", metrics.Accuracy("exact"), metrics.BinaryAccuracy("strict", threshold=0.8), losses.Huber(0.3),
        metrics.BinaryCrossentropy("smooth", label_smoothing=0.3), metrics.LogCoshError(),
    ]  # fmt: skip
    model = compiled(1, "sigmoid", "mse", metric)
    model.save(tmp_path / "model")
    again = load_model(tmp_path / "model")
    assert again.metrics_names == model.metrics_names
    assert again.evaluate(X, BINARY, verbose=0) == model.evaluate(X, BINARY, verbose=0)


def test_files_of_former_versions_mean_the_accuracy_that_fits():
    metric = metrics.get({"class_name": "Accuracy", "config": {"name": "accuracy"}})
    assert metric.resolve(3, True) == "sparse_categorical_accuracy"


def test_class_to_ignore_is_refused():
    """The second argument of Keras' loss; label smoothing, which Keras has not, goes by name."""
    with pytest.raises(ValueError, match="fastnn has no ignore_class=0: give the rows of that class the weight 0"):
        losses.SparseCategoricalCrossentropy(False, 0)
    assert losses.SparseCategoricalCrossentropy(True, None, label_smoothing=0.1).label_smoothing == 0.1
