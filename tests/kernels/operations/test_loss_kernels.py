"""Losses, their gradients and metrics of single rows against the oracle, at extreme logits and probabilities."""

import numpy as np
import pytest
from fastnn.kernels import reference
from fastnn.kernels.codes import LOSSES, NO_LOSS
from fastnn.kernels.compiler import jit
from fastnn.kernels.host import cpu
from fastnn.kernels.llvm.instructions import at
from fastnn.kernels.operations.losses import loss_row, metric_row
from fastnn.kernels.operations.metrics import METRICS, code_of
from harness import Problem, declared_loss, tolerance

from fastnn import losses, metrics
from fastnn.layers import Dense

GUARD = 12345.0
ON_LOGITS = [name for name in LOSSES if name.endswith("from_logits")]
AS_METRICS = [name for name in (*LOSSES, *METRICS) if name != "quantile"]  # which has other targets


OPTIONS = {  # odd parameters for losses that have some
    "huber": {"delta": 0.6},
    "quantile": {"levels": 0.2},
    "binary_focal_crossentropy": {"gamma": 1.5, "alpha": 0.3, "apply_class_balancing": True, "label_smoothing": 0.1},
    "categorical_focal_crossentropy": {"gamma": 0.7, "alpha": 0.4, "label_smoothing": 0.1},
    "sparse_categorical_focal_crossentropy": {"gamma": 3.0, "alpha": 0.9},
}


def options_of(name):
    return OPTIONS.get(name.removesuffix("_from_logits"), {})


def metric_case(code, y, t, columns, factors, stats):
    """Metric of one row."""
    metric_row(code, at(y, 0), at(t, 0), columns, at(factors, 0), 1, at(stats, 0))


def loss_case(code, z, t, d, columns, vectors, scale, factors):
    """Loss with gradient of one row."""
    return loss_row(code, at(z, 0), at(t, 0), at(d, 0), columns, vectors, scale, at(factors, 0))


def loss_of(dtype, name, target, output, scale=1.0, **options):
    """Losses, gradients and outputs (probabilities of logits) of rows, each from guarded memory."""
    lanes = cpu.lanes(dtype)
    rows, columns = output.shape
    width = -(-columns // lanes) * lanes
    factors = declared_loss(name, **options).factors(columns).astype(dtype)
    values, gradients, outputs = np.empty(rows), np.empty((rows, columns)), np.empty((rows, columns))
    for r in range(rows):
        z, d = np.full(width + 3, GUARD, dtype), np.full(columns + 3, GUARD, dtype)
        z[:width], d[:columns] = 0.0, np.nan
        z[:columns] = output[r]
        program = jit.program(loss_case, dtype)
        code = LOSSES.index(name)
        values[r] = program(code, z, target[r].astype(dtype), d, columns, width // lanes, scale, factors)
        gradients[r], outputs[r] = d[:columns], z[:columns]
        assert (z[width:] == GUARD).all()
        assert (d[columns:] == GUARD).all()
    return values, gradients, outputs


def metric_of(dtype, name, target, output, **options):
    program, stats = jit.program(metric_case, dtype), np.full((len(output), 2), GUARD)
    if name in LOSSES:
        metric = metrics.get(declared_loss(name, **options))
    else:
        metric = metrics.get({"class_name": name, "config": options})
    factors = metric.factors(output.shape[1]).astype(dtype)
    for y, t, place in zip(output, target, stats, strict=True):
        program(code_of(name), y.astype(dtype), t.astype(dtype), len(y), factors, place)
    assert (stats[:, 1] == GUARD).all()
    return stats[:, 0].tolist()


def case(rng, name, columns, dtype):
    """Targets and outputs that suit a loss or metric."""
    output = 2.0 * rng.normal(size=(6, columns))
    if name.endswith("crossentropy"):
        output = reference.activation("sigmoid", output)  # rows that do not sum to 1
    classes = rng.integers(0, columns, (6, 1))
    if name.startswith("sparse"):
        target = classes
    elif name.startswith("categorical"):
        target = np.eye(columns)[classes[:, 0]]
    elif name.startswith("poisson"):
        target = rng.poisson(1.5, (6, columns))
        output = output if name in ON_LOGITS else np.exp(output)
    elif name.startswith("binary"):
        target = rng.integers(0, 2, (6, columns))
    else:
        target = rng.normal(size=(6, columns))
    return target.astype(dtype), output.astype(dtype)


@pytest.mark.parametrize("columns", [1, 2, 3, 17, 24, 63])
@pytest.mark.parametrize("name", LOSSES)
def test_loss_and_gradient(rng, dtype, name, columns):
    target, output = case(rng, name, columns, dtype)
    options = options_of(name)
    values, gradients, outputs = loss_of(dtype, name, target, output, 0.25, **options)
    close = tolerance(dtype, 2e-6, 2e-14)
    np.testing.assert_allclose(values, reference.loss(name, target, output, **options), rtol=close, atol=close)
    expected = 0.25 * reference.loss_gradient(name, target, output, **options)
    np.testing.assert_allclose(gradients, expected, rtol=close, atol=close)
    kind = "linear" if name not in ON_LOGITS else name.split("_")[0]
    activation = {"linear": "linear", "binary": "sigmoid", "poisson": "exponential"}.get(kind, "softmax")
    np.testing.assert_allclose(outputs, reference.activation(activation, output), rtol=close, atol=close)


def test_soft_targets(rng, dtype):
    """Targets between 0 and 1, which need not sum to 1."""
    target = rng.uniform(size=(6, 5)).astype(dtype)
    for name in ("binary_crossentropy", "categorical_crossentropy"):
        for suffix in ("", "_from_logits"):
            _, output = case(rng, name + suffix, 5, dtype)
            values, gradients, _ = loss_of(dtype, name + suffix, target, output)
            close = tolerance(dtype, 1e-5, 1e-13)
            np.testing.assert_allclose(values, reference.loss(name + suffix, target, output), rtol=close)
            expected = reference.loss_gradient(name + suffix, target, output)
            np.testing.assert_allclose(gradients, expected, rtol=close, atol=close)


def test_label_smoothing(rng, dtype):
    close = tolerance(dtype, 2e-6, 2e-14)
    for name in LOSSES:
        if "crossentropy" in name:
            target, output = case(rng, name, 5, dtype)
            values, gradients, _ = loss_of(dtype, name, target, output, label_smoothing=0.3)
            expected = reference.loss(name, target, output, label_smoothing=0.3)
            np.testing.assert_allclose(values, expected, rtol=close, atol=close)
            expected = reference.loss_gradient(name, target, output, label_smoothing=0.3)
            np.testing.assert_allclose(gradients, expected, rtol=close, atol=close)


def test_a_weight_for_each_class(rng, dtype):
    close, alpha = tolerance(dtype, 2e-6, 2e-14), [0.1, 0.5, 0.0, 2.0, 1.0]
    for name in LOSSES:
        if "categorical_focal" in name:
            target, output = case(rng, name, 5, dtype)
            values, gradients, _ = loss_of(dtype, name, target, output, alpha=alpha)
            np.testing.assert_allclose(
                values, reference.loss(name, target, output, alpha=alpha), rtol=close, atol=close
            )
            expected = reference.loss_gradient(name, target, output, alpha=alpha)
            np.testing.assert_allclose(gradients, expected, rtol=close, atol=close)


@pytest.mark.parametrize("columns", [3, 6, 63])
def test_several_levels_of_quantiles(rng, dtype, columns):
    levels, close = [0.1, 0.5, 0.95], tolerance(dtype, 2e-6, 2e-14)
    target, output = rng.normal(size=(6, columns // 3)).astype(dtype), rng.normal(size=(6, columns)).astype(dtype)
    values, gradients, _ = loss_of(dtype, "quantile", target, output, levels=levels)
    np.testing.assert_allclose(values, reference.loss("quantile", target, output, levels=levels), rtol=close)
    expected = reference.loss_gradient("quantile", target, output, levels=levels)
    np.testing.assert_allclose(gradients, expected, rtol=close)


def test_huge_logits_of_two_classes(dtype):
    logits, targets = np.array([[1e30], [-1e30], [1e30], [-1e30]], dtype), np.array([[1.0], [0.0], [0.0], [1.0]])
    values, gradients, outputs = loss_of(dtype, "binary_crossentropy_from_logits", targets, logits)
    np.testing.assert_allclose(values, [0, 0, 1e30, 1e30], rtol=1e-6)
    assert gradients[:, 0].tolist() == [0, 0, 1, -1]
    assert outputs[:, 0].tolist() == [1, 0, 1, 0]


@pytest.mark.parametrize(
    "name", ["categorical_crossentropy_from_logits", "sparse_categorical_crossentropy_from_logits"]
)
def test_huge_logits_of_many_classes(dtype, name):
    logits = np.array(
        [[1e30, -1e30, 0], [1e30, -1e30, 0], [-1e30, -1e30, -1e30], [-np.inf, 3, 3], [-np.inf, 3, 3]], dtype
    )
    classes = np.array([[0], [1], [2], [2], [0]])
    targets = classes if name.startswith("sparse") else np.eye(3)[classes[:, 0]]
    values, gradients, outputs = loss_of(dtype, name, targets, logits)
    np.testing.assert_allclose(values, [0, 2e30, np.log(3), np.log(2), np.inf], rtol=1e-6)
    third = 1 / 3
    expected = [[1, 0, 0], [1, 0, 0], [third, third, third], [0, 0.5, 0.5], [0, 0.5, 0.5]]
    np.testing.assert_allclose(outputs, expected, rtol=1e-6)
    np.testing.assert_allclose(gradients, outputs - np.eye(3)[classes[:, 0]], rtol=1e-6, atol=1e-7)


def test_loss_of_nearly_sure_logits_keeps_its_digits(dtype):
    """log(sum) - (logit - largest): the size of the logits must not cancel the loss away."""
    logits = np.array([[1000.0, 999.5, 980.0], [1000.0, 990.0, 900.0]], dtype)
    name = "sparse_categorical_crossentropy_from_logits"
    values, _, _ = loss_of(dtype, name, np.zeros((2, 1)), logits)
    close = tolerance(dtype, 1e-7, 1e-15)
    np.testing.assert_allclose(values, reference.loss(name, np.zeros((2, 1)), logits), rtol=2 * close, atol=close)


def test_sure_probabilities(dtype):
    """Probabilities 0 and 1 are clipped as in Keras: a finite loss, and no gradient."""
    p, targets = np.array([[0.0], [1.0], [0.0], [1.0]], dtype), np.array([[0.0], [1.0], [1.0], [0.0]])
    values, gradients, _ = loss_of(dtype, "binary_crossentropy", targets, p)
    np.testing.assert_allclose(values, reference.loss("binary_crossentropy", targets, p), rtol=0.2, atol=2e-7)
    assert (gradients == 0.0).all()
    p = np.array([[0.0, 1.0, 0.0], [0.0, 1.0, 0.0]], dtype)
    for name, targets in (
        ("categorical_crossentropy", np.array([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]])),
        ("sparse_categorical_crossentropy", np.array([[1.0], [0.0]])),
    ):
        values, gradients, _ = loss_of(dtype, name, targets, p)
        np.testing.assert_allclose(values, [0.0, -np.log(1e-7)], rtol=1e-6, atol=2e-7)
        assert (gradients == 0.0).all()


def test_rates_of_zero(dtype):
    """Nothing seen where nothing was expected costs nothing, and the slope is still 1."""
    values, gradients, _ = loss_of(dtype, "poisson_deviance", np.zeros((2, 1)), np.array([[0.0], [2.0]]))
    assert values.tolist() == [0.0, 2.0]
    assert gradients.tolist() == [[1.0], [1.0]]


@pytest.mark.parametrize("name", LOSSES)
def test_nan_shows(rng, dtype, name):
    target, output = case(rng, name, 3, dtype)
    output[2, 1] = np.nan
    target[2] = 1
    values, gradients, _ = loss_of(dtype, name, target, output, **options_of(name))
    assert np.isnan(values[2])
    assert np.isfinite(np.delete(values, 2)).all()
    assert np.isnan(gradients[2, 1]) or name in ("binary_crossentropy", "categorical_crossentropy")


def test_absolute_error_of_a_hit_has_no_gradient(dtype):
    _, gradients, _ = loss_of(dtype, "mean_absolute_error", np.array([[1.0, 2.0]]), np.array([[1.0, 2.5]]))
    assert gradients.tolist() == [[0.0, 0.5]]


@pytest.mark.parametrize("columns", [1, 2, 3, 17])
@pytest.mark.parametrize("name", AS_METRICS)
def test_metric(rng, dtype, name, columns):
    target, output = case(rng, name, columns, dtype)
    close, options = tolerance(dtype, 2e-6, 2e-14), options_of(name)
    values = metric_of(dtype, name, target, output, **options)
    np.testing.assert_allclose(values, reference.metric(name, target, output, **options), rtol=close, atol=close)


def test_metric_leaves_the_outputs(rng, dtype):
    """Metrics of logits come before the loss, which needs them."""
    for name in AS_METRICS:
        target, output = case(rng, name, 3, dtype)
        y, factors = output[0].copy(), losses.MeanSquaredError().factors(3).astype(dtype)
        jit.program(metric_case, dtype)(code_of(name), y, target[0].astype(dtype), 3, factors, np.zeros(1))
        assert y.tobytes() == output[0].tobytes()


def test_an_unknown_loss_or_metric_is_nothing_silently(dtype):
    z, d, factors = np.ones(16, dtype), np.zeros(3, dtype), losses.MeanSquaredError().factors(3).astype(dtype)
    for code in (len(LOSSES) + len(METRICS), NO_LOSS):
        assert np.isnan(jit.program(loss_case, dtype)(code, z, z, d, 3, 1, 1.0, factors))
        stats = np.zeros(1)
        jit.program(metric_case, dtype)(code, z, z, 3, factors, stats)
        assert np.isnan(stats[0])
    with pytest.raises(ValueError, match="made_up"):
        code_of("made_up")


def test_exact_accuracy(dtype):
    output = np.array([[1.0, 0.0, 0.3], [0.0, 1.0, -0.0]])
    assert metric_of(dtype, "exact_accuracy", np.array([[1.0, 0.0, 1.0], [0.0, 1.0, 0.0]]), output) == [2 / 3, 1.0]


def test_ties_go_to_the_first_class(dtype):
    output = np.array([[0.4, 0.4, 0.2], [0.2, 0.4, 0.4], [0.0, 0.0, 0.0]])
    assert metric_of(dtype, "sparse_categorical_accuracy", np.array([[0], [1], [0]]), output) == [1, 1, 1]
    assert metric_of(dtype, "sparse_categorical_accuracy", np.array([[1], [2], [2]]), output) == [0, 0, 0]
    tied = np.array([[0.5, 0.5, 0], [0, 1, 1], [1, 0, 0]])
    assert metric_of(dtype, "categorical_accuracy", tied, output) == [1, 1, 1]


def test_binary_accuracy_at_the_threshold(dtype):
    """0.5 counts as 0; a target that is neither 0 nor 1 is never met."""
    output, target = np.array([[0.5, 0.500001, 0.9, 0.1]]), np.array([[0.0, 1.0, 0.9, 0.1]])
    assert metric_of(dtype, "binary_accuracy", target, output) == [0.5]
    assert metric_of(dtype, "binary_accuracy", target, output, threshold=0.75) == [0.25]
    assert metric_of(dtype, "binary_accuracy", np.array([[0.0, 1.0]]), np.array([[-0.1, 0.1]]), threshold=0.0) == [1.0]


# --- in networks --------------------------------------------------------------------------------------------------


NETWORKS = [  # last activation, loss, metric: on outputs, on logits, and both as one formula
    ("linear", "mean_squared_error", "mean_absolute_error"),
    ("sigmoid", "mean_absolute_error", "mean_squared_error"),
    ("sigmoid", "binary_crossentropy", "binary_accuracy"),
    ("linear", losses.BinaryCrossentropy(from_logits=True), "binary_accuracy"),
    ("linear", losses.BinaryCrossentropy(from_logits=True), "mean_squared_error"),  # of the logits
    ("softmax", "binary_crossentropy", "binary_accuracy"),
    ("softmax", "categorical_crossentropy", "categorical_accuracy"),
    ("sigmoid", "categorical_crossentropy", "categorical_accuracy"),
    ("linear", losses.CategoricalCrossentropy(from_logits=True), "categorical_accuracy"),
    ("softmax", "sparse_categorical_crossentropy", "sparse_categorical_accuracy"),
    ("sigmoid", "sparse_categorical_crossentropy", "sparse_categorical_crossentropy"),
    ("linear", losses.SparseCategoricalCrossentropy(from_logits=True), "sparse_categorical_accuracy"),
    ("linear", losses.CategoricalCrossentropy(from_logits=True), "categorical_crossentropy_from_logits"),
    ("linear", losses.CategoricalCrossentropy(from_logits=True), "mean_absolute_error"),
    ("linear", "mean_squared_error", "binary_crossentropy_from_logits"),
    ("linear", "mean_squared_error", "exact_accuracy"),
    ("softmax", "mean_squared_error", "categorical_accuracy"),
    ("exponential", "poisson_deviance", "poisson_deviance"),
    ("softplus", "poisson_deviance", None),
    ("exponential", "poisson", "mean_squared_error"),
    ("softplus", "poisson", None),
    ("linear", losses.Huber(0.7), "mean_absolute_error"),
    ("linear", "log_cosh", "log_cosh"),
    ("linear", losses.Quantile(0.2), "mean_absolute_error"),
    ("sigmoid", losses.BinaryCrossentropy(label_smoothing=0.2), "binary_crossentropy"),
    ("sigmoid", losses.BinaryFocalCrossentropy(True, 0.3, 1.5, label_smoothing=0.1), "binary_accuracy"),
    ("softmax", losses.BinaryFocalCrossentropy(gamma=1.0), "binary_accuracy"),
    ("softmax", losses.CategoricalCrossentropy(label_smoothing=0.2), "categorical_crossentropy"),
    ("softmax", losses.CategoricalFocalCrossentropy(0.6, 1.5), "categorical_accuracy"),
    ("softmax", losses.SparseCategoricalCrossentropy(label_smoothing=0.2), "sparse_categorical_crossentropy"),
    ("linear", losses.SparseCategoricalFocalCrossentropy(0.6, 1.5, True, 0.1), "sparse_categorical_accuracy"),
    ("sigmoid", losses.SparseCategoricalFocalCrossentropy([0.6, 0.5, 0.4, 0.3, 1.0], 1.5), None),
]


CASES = [
    pytest.param(*network, weighted, outputs, id=f"{i}-{losses.get(network[1]).name}-{weighted}-{outputs}")
    for i, network in enumerate(NETWORKS)
    for weighted, outputs in ((False, 5), (True, 5), (True, 1))
    if outputs > 1 or not (network[0] == "softmax" or "categorical" in losses.get(network[1]).name)
]


@pytest.mark.parametrize(("activation", "loss", "metric", "weighted", "outputs"), CASES)
def test_training_and_evaluating(dtype, activation, loss, metric, weighted, outputs):
    layers = [Dense(9, "tanh"), Dense(outputs, activation)]
    problem = Problem(layers, 6, loss, rows=29, metrics=[metric] if metric else [], weighted=weighted)
    engine, objective, logs = problem.train(dtype, "sgd", batch_size=8)
    weights, expected = problem.oracle("sgd", batch_size=8)
    close = tolerance(dtype, 1e-5, 1e-12)
    np.testing.assert_allclose(logs, expected, rtol=close)
    for ours, theirs in zip(engine.get_weights(), weights, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=close, atol=close)
    problem.weights = engine.get_weights()
    value, _ = problem.gradients()
    evaluated = engine.evaluate(objective, problem.samples(dtype))
    assert evaluated.dtype == np.float64
    assert evaluated[0] == pytest.approx(value, rel=close)
    if metric:
        assert evaluated[1] == pytest.approx(reference.metric(metric, problem.y, problem.outputs()).mean(), rel=close)
