"""Names, defaults and ranges of activations, initializers, losses, metrics, optimizers and regularizers."""

import math
import warnings

import numpy as np
import pytest
from fastnn.kernels import codes
from fastnn.kernels.formulas.activations import ACTIVATIONS
from fastnn.kernels.operations.metrics import METRICS

import fastnn
from fastnn import activations, initializers, losses, metrics, optimizers, regularizers
from fastnn.common import identifiers
from fastnn.utils import set_random_seed, to_categorical


@pytest.fixture
def forget_warnings(monkeypatch):
    """Old spellings warn once in a process: let them warn in this test."""
    monkeypatch.setattr(identifiers, "_warned", set())


def test_every_activation_of_the_kernels_has_a_name():
    assert {activations.get(name).name for name in codes.ACTIVATIONS} == set(codes.ACTIVATIONS)
    parametric = {name for name, each in ACTIVATIONS.items() if each.parametric}
    assert {name for name in codes.ACTIVATIONS if activations.get(name).get_config()} == parametric


@pytest.mark.parametrize(
    ("given", "name"),
    [(None, "linear"), ("identity", "linear"), ("swish", "silu"), ("logistic", "sigmoid"), ("ReLU", "relu")],
)
def test_aliases_of_activations(given, name):
    assert activations.get(given).name == name


def test_activations_are_callable():
    np.testing.assert_allclose(activations.sigmoid(1.45 * 1.66 - 0.66 * 1.56), 0.7985731, atol=1e-7)
    np.testing.assert_array_equal(activations.relu([-1, 0, 2]), [0, 0, 2])
    np.testing.assert_allclose(activations.leaky_relu([-1.0, 2.0]), [-0.2, 2.0])
    np.testing.assert_allclose(activations.softmax([[1.0, 1.0, 1.0]]), 1 / 3)
    assert activations.tanh(np.float32([0.5])).dtype == np.float32


def test_parameter_of_an_activation_survives_its_configuration():
    slope = activations.get({"class_name": "leaky_relu", "config": {"alpha": 0.1}})
    assert slope.alpha == 0.1
    assert activations.get(activations.serialize(slope)) == slope
    assert activations.serialize(activations.leaky_relu) == "leaky_relu"


@pytest.mark.parametrize(
    ("get", "wrong", "near"),
    [
        (activations.get, "rellu", "relu"),
        (initializers.get, "glorot_unifrom", "glorot_uniform"),
        (losses.get, "binary_crossentropi", "binary_crossentropy"),
        (metrics.get, "acuracy", "accuracy"),
        (optimizers.get, "adm", "adam"),
        (regularizers.get, "l22", "l2"),
    ],
)
def test_unknown_names_get_a_suggestion_and_the_choices(get, wrong, near):
    with pytest.raises(ValueError, match=f"'{wrong}'. Did you mean '{near}'\\? Choose one of: "):
        get(wrong)


@pytest.mark.parametrize("get", [activations.get, initializers.get, losses.get, metrics.get, optimizers.get])
@pytest.mark.parametrize("odd", [3, lambda x: x, [1]])
def test_things_that_are_no_names_are_type_errors(get, odd):
    with pytest.raises(TypeError, match="expected a"):
        get(odd)


def test_configuration_dicts_without_a_class_name():
    with pytest.raises(ValueError, match="'class_name' and 'config'"):
        optimizers.get({"name": "adam"})


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((), (1, 1)),
        ((7,), (7, 7)),
        ((200, 300), (200, 300)),
        ((5, 8, 16), (40, 80)),
        ((3, 3, 32, 64), (288, 576)),
        ((3, 5, 64, 1), (960, 15)),  # of single channels: Keras counts them all as inputs
        ((1, 1, 16, 8), (16, 8)),
    ],
)
def test_fans_are_those_of_keras(shape, expected):
    assert initializers.fans(shape) == expected


@pytest.mark.parametrize("mode", ["fan_in", "fan_out", "fan_avg"])
def test_spread_of_kernels_of_convolutions(mode):
    fan = {"fan_in": 9 * 32, "fan_out": 9 * 64, "fan_avg": 9 * 48}[mode]
    values = initializers.VarianceScaling(2.0, mode, seed=1)((3, 3, 32, 64), "float64")
    assert values.var() == pytest.approx(2 / fan, rel=0.03)


@pytest.mark.parametrize("shape", [(3, 3, 2, 64), (3, 3, 2, 5)])
def test_orthogonal_kernels_of_convolutions(shape):
    filters = initializers.Orthogonal(2.0, seed=1)(shape, "float64").reshape(18, -1)
    narrow = filters if filters.shape[1] <= 18 else filters.T
    np.testing.assert_allclose(narrow.T @ narrow, 4 * np.eye(narrow.shape[1]), atol=1e-12)
    with pytest.raises(ValueError, match="Orthogonal fills matrices and kernels of convolutions"):
        initializers.Orthogonal()((3,))
    with pytest.raises(ValueError, match="Identity fills matrices only"):
        initializers.Identity()(shape)


@pytest.mark.parametrize("name", sorted(initializers._TABLE))
def test_initializers_fill_a_shape_and_survive_their_configuration(name):
    initializer = initializers.get(name)
    values = initializer((30, 20), "float64")
    assert values.shape == (30, 20)
    assert values.dtype == np.float64
    again = initializers.get(identifiers.serialize(initializer))
    assert type(again) is type(initializer)
    assert again.get_config() == initializer.get_config()


@pytest.mark.parametrize(
    ("name", "limit", "variance"),
    [
        ("glorot_uniform", math.sqrt(6 / 500), 2 / 500),
        ("he_uniform", math.sqrt(6 / 200), 2 / 200),
        ("lecun_uniform", math.sqrt(3 / 200), 1 / 200),
        ("uniform", 0.05, 0.05**2 / 3),
        ("normal", math.inf, 0.05**2),
        ("truncated_normal", 0.1, (0.05 * 0.87962566) ** 2),
        ("glorot_normal", 2 * math.sqrt(2 / 500) / 0.87962566, 2 / 500),
        ("he_normal", 2 * math.sqrt(2 / 200) / 0.87962566, 2 / 200),
        ("lecun_normal", 2 * math.sqrt(1 / 200) / 0.87962566, 1 / 200),
    ],
)
def test_spread_of_initial_values(name, limit, variance):
    values = initializers.get({"class_name": name, "config": {"seed": 1}})((200, 300), "float64")
    assert np.abs(values).max() <= limit
    assert values.mean() == pytest.approx(0, abs=5 * math.sqrt(variance / values.size))
    assert values.var() == pytest.approx(variance, rel=0.03)


def test_orthogonal_columns():
    values = initializers.Orthogonal(gain=2.0)((9, 5), "float64")
    np.testing.assert_allclose(values.T @ values, 4 * np.eye(5), atol=1e-12)
    with pytest.raises(ValueError, match="matrices"):
        initializers.Orthogonal()((3,))


def test_seeds_of_initializers():
    seeded = initializers.HeNormal(seed=5)
    np.testing.assert_array_equal(seeded((3, 4)), seeded((3, 4)))
    fresh = initializers.HeNormal()
    assert not np.array_equal(fresh((3, 4)), fresh((3, 4)))
    set_random_seed(1)
    first = fresh((3, 4))
    set_random_seed(1)
    np.testing.assert_array_equal(first, fresh((3, 4)))


@pytest.mark.parametrize("seed", [-1, 2**32, 1.5, "1"])
def test_wrong_seeds(seed):
    with pytest.raises(ValueError, match="seed must be"):
        set_random_seed(seed)


def test_hyperparameters_stand_in_the_columns_of_the_kernels():
    assert optimizers.SGD(0.1, 0.9, True).hyperparameters() == (0.1, 0.9, 0, 0, 0, 1)
    assert optimizers.RMSprop(0.1, 0.8, 0.5, 1e-6).hyperparameters() == (0.1, 0.5, 0.8, 1e-6, 0, 0)
    assert optimizers.Adam(0.1, 0.8, 0.9, 1e-6).hyperparameters() == (0.1, 0.8, 0.9, 1e-6, 0, 0)
    assert optimizers.AdamW(0.1, 0.02).hyperparameters() == (0.1, 0.9, 0.999, 1e-7, 0.02, 0)
    assert optimizers.Nadam(0.1, weight_decay=0.5).hyperparameters() == (0.1, 0.9, 0.999, 1e-7, 0.5, 0)
    assert optimizers.Adagrad(0.1, 0.5, 0.25).hyperparameters() == (0.1, 0, 0, 0.75, 0, 0)
    assert optimizers.Lion(0.1, clipvalue=3).clipping() == (3, 0, 0)
    assert optimizers.SGD(clipnorm=2.0).clipping() == (0, 2, 0)
    assert optimizers.Adam(global_clipnorm=4.0).clipping() == (0, 0, 4)


@pytest.mark.parametrize("name", optimizers.names())
def test_optimizers_by_name_class_and_configuration(name):
    optimizer = optimizers.get(name)
    assert optimizer.name == name
    assert optimizer.name in codes.OPTIMIZERS
    assert len(optimizer.hyperparameters()) == len(codes.HYPERPARAMETERS)
    assert optimizers.get(optimizer) is optimizer
    assert type(optimizers.get(type(optimizer))) is type(optimizer)
    optimizer.learning_rate = 0.25
    again = optimizers.get(identifiers.serialize(optimizer))
    assert again.hyperparameters() == optimizer.hyperparameters()
    assert getattr(fastnn, type(optimizer).__name__) is type(optimizer)
    limited = type(optimizer)(0.5, weight_decay=0.25, global_clipnorm=2.0)
    again = optimizers.get(identifiers.serialize(limited))
    assert (again.weight_decay, again.clipping()) == (0.25, limited.clipping())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: optimizers.Adam(learning_rate=-0.1), "learning_rate must be >= 0"),
        (lambda: optimizers.Adam(learning_rate=math.nan), "learning_rate must be >= 0"),
        (lambda: optimizers.Adam(learning_rate=math.inf), "learning_rate must be >= 0 and finite"),
        (lambda: optimizers.Adam(beta_1=1.0), "beta_1 must be >= 0 and < 1; got 1.0"),
        (lambda: optimizers.Adam(epsilon=0), "epsilon must be > 0"),
        (lambda: optimizers.SGD(momentum=-0.1), "momentum must be >= 0"),
        (lambda: optimizers.AdamW(weight_decay=-1), "weight_decay must be >= 0"),
        (lambda: regularizers.L2(-1), "l2 must be >= 0"),
        (lambda: losses.Huber(0), "delta must be > 0"),
        (lambda: losses.Quantile([0.5, 1.0]), "levels must be > 0 and < 1; got 1.0"),
        (lambda: losses.Quantile([]), "levels must be a number or a list of numbers in"),
        (lambda: losses.BinaryCrossentropy(label_smoothing=1.0), "label_smoothing must be >= 0 and < 1"),
        (lambda: losses.BinaryFocalCrossentropy(gamma=-1), "gamma must be >= 0"),
        (lambda: losses.BinaryFocalCrossentropy(alpha=1.5), "alpha must be in"),
        (lambda: losses.CategoricalFocalCrossentropy([0.5, -1]), "alpha must be >= 0"),
        (
            lambda: losses.CategoricalFocalCrossentropy([0.5, 1]).factors(3),
            "alpha must be one number or 3, one for each",
        ),
    ],
)
def test_ranges(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_learning_rate_that_is_no_number():
    with pytest.raises(TypeError, match="learning_rate must be a number; got 'fast'"):
        optimizers.SGD("fast")


def test_old_spelling_of_the_learning_rate_warns_once(forget_warnings):
    with pytest.warns(FutureWarning, match="'lr' is an old spelling of 'learning_rate'") as caught:
        assert optimizers.Adam(lr=0.5).learning_rate == 0.5
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert optimizers.SGD(lr=0.5).learning_rate == 0.5


def test_losses_by_every_name():
    for given in ("mse", "MSE", "mean_squared_error", "MeanSquaredError", losses.mean_squared_error):
        assert type(losses.get(given)) is losses.MeanSquaredError
    loss = losses.get({"class_name": "BinaryCrossentropy", "config": {"from_logits": True}})
    assert (loss.name, loss.from_logits) == ("binary_crossentropy", True)
    assert losses.get(identifiers.serialize(loss)).from_logits is True


@pytest.mark.parametrize("name", [name for name in codes.LOSSES if not name.endswith("from_logits")])
def test_every_loss_of_the_kernels_survives_its_configuration(name):
    loss = losses.get(name)
    assert loss.name == name
    again = losses.get(identifiers.serialize(loss))
    assert type(again) is type(loss)
    assert again.get_config() == loss.get_config()
    assert len(loss.factors(4)) == codes.PER_OUTPUT + 4
    assert (loss.factors(1 if "categorical" not in name else 2) >= 0.0).all()


def test_losses_of_keras_as_functions():
    y, p = np.array([1.0, 0.0]), np.array([0.9, 0.2])
    np.testing.assert_allclose(losses.huber(y, p + 2.0, delta=0.5), [0.5 * (1.9 - 0.25), 0.5 * (2.2 - 0.25)])
    np.testing.assert_allclose(losses.log_cosh(y, p), np.log(np.cosh(y - p)))
    np.testing.assert_allclose(losses.poisson(y, p), p - y * np.log(p + 1e-7))
    np.testing.assert_allclose(losses.binary_focal_crossentropy(y, p), [-0.01 * np.log(0.9), -0.04 * np.log(0.8)])
    focal = losses.categorical_focal_crossentropy(np.eye(2), np.array([[0.9, 0.1], [0.2, 0.8]]), alpha=1.0)
    np.testing.assert_allclose(focal, [-0.01 * np.log(0.9), -0.04 * np.log(0.8)])
    smooth = losses.binary_crossentropy(y, p, label_smoothing=0.2)
    np.testing.assert_allclose(smooth, -np.log([0.9, 0.8]) * 0.9 - np.log([0.1, 0.2]) * 0.1)
    for function in losses.functions._FUNCTIONS:
        assert losses.get(function).name == function.__name__


def test_quantile_of_several_targets():
    """Output i * levels + k is level k of target i."""
    loss = losses.Quantile([0.1, 0.9])
    assert loss.target_width(4) == 2
    value = loss([[0.0, 10.0]], [[-1.0, 1.0, 9.0, 11.0]])
    assert value == pytest.approx((0.1 + 0.1 + 0.1 + 0.1) / 4)
    with pytest.raises(ValueError, match="a multiple of 2 units in the last layer; it has 3"):
        loss.target_width(3)


def test_values_of_losses_and_metrics():
    y, p = np.array([1.0, 0.0, 1.0]), np.array([0.9, 0.2, 0.4])
    expected = -np.mean(np.log([0.9, 0.8, 0.4]))
    assert losses.BinaryCrossentropy()(y, p) == pytest.approx(expected)
    assert losses.BinaryCrossentropy(from_logits=True)(y, np.log(p / (1 - p))) == pytest.approx(expected)
    assert metrics.BinaryCrossentropy()(y, p) == pytest.approx(expected)
    assert losses.MeanSquaredError()(y, p, sample_weight=[1, 0, 0]) == pytest.approx(0.01 / 3)
    np.testing.assert_allclose(losses.mean_absolute_error([[1, 2]], [[2, 4]]), [1.5])
    assert metrics.RootMeanSquaredError()([0, 0], [3, 4]) == pytest.approx(math.sqrt(12.5))
    probabilities = np.array([[0.1, 0.7, 0.2], [0.5, 0.2, 0.3]])
    assert losses.SparseCategoricalCrossentropy()([1, 2], probabilities) == pytest.approx(-np.log([0.7, 0.3]).mean())
    accuracy = metrics.get("accuracy")
    assert accuracy([1, 2], probabilities) == 0.5
    assert accuracy(to_categorical([1, 0], 3), probabilities) == 1.0
    assert accuracy(y, p) == pytest.approx(2 / 3)


@pytest.mark.parametrize("function", [losses.MeanSquaredError(), metrics.MeanSquaredError(), metrics.get("acc")])
@pytest.mark.parametrize("y_true", [[1, 2], [[1, 2, 3]] * 3])
def test_shapes_that_do_not_fit(function, y_true):
    with pytest.raises(ValueError, match=r"y_true has the shape .* but y_pred of shape \(3, 2\) needs \(3, "):
        function(y_true, np.zeros((3, 2)))


@pytest.mark.parametrize(
    ("n_outputs", "sparse", "kernel"),
    [(1, False, "binary_accuracy"), (3, False, "categorical_accuracy"), (3, True, "sparse_categorical_accuracy")],
)
def test_accuracy_resolves_as_in_keras(n_outputs, sparse, kernel):
    metric = metrics.get("acc")
    assert metric.name == "acc"
    assert metric.resolve(n_outputs, sparse) == kernel


def test_every_metric_of_the_kernels_can_be_named():
    names = {name for name in (*codes.LOSSES, *METRICS) if not name.endswith("from_logits")}
    by_name = {"huber", "quantile", *(name for name in codes.LOSSES if "focal" in name)}
    for name in names:
        metric = metrics.get(losses.get(name) if name in by_name else name)
        assert metric.resolve(3, name.startswith("sparse")) == name
        again = metrics.get(identifiers.serialize(metric))
        assert (again.get_config(), again.name) == (metric.get_config(), metric.name)
    assert metrics.BinaryCrossentropy(from_logits=True).resolve(1, False) == "binary_crossentropy_from_logits"


def test_metrics_that_do_not_fit_the_targets():
    with pytest.raises(ValueError, match="'mse' needs targets as one column per output, but the loss takes class num"):
        metrics.get("mse").resolve(3, sparse=True)
    with pytest.raises(ValueError, match="needs targets as class numbers"):
        metrics.get("sparse_categorical_accuracy").resolve(3, sparse=False)


def test_two_metrics_of_one_name():
    found = metrics.get_list(["accuracy", metrics.BinaryAccuracy(name="accuracy")])
    assert [metric.name for metric in found] == ["accuracy", "accuracy_1"]
    assert [m.name for m in metrics.get_list("mae")] == ["mae"]


def test_to_categorical():
    np.testing.assert_array_equal(to_categorical([0, 2]), [[1, 0, 0], [0, 0, 1]])
    assert to_categorical(np.array([[1], [0]]), 4).shape == (2, 4)
    assert to_categorical([[0, 1], [1, 1]]).shape == (2, 2, 2)
    assert to_categorical([1], 2).dtype == np.float32


@pytest.mark.parametrize(
    ("labels", "message"),
    [([0, 24], "x holds 24 in row 1"), ([-1, 0], "x holds -1 in row 0"), ([0.5], "x holds 0.5"), ([], "x is empty")],
)
def test_to_categorical_of_wrong_labels(labels, message):
    with pytest.raises(ValueError, match=message):
        to_categorical(labels, 24)
