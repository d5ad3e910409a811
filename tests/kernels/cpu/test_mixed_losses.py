"""Every loss in mixed precision: trainings beside float32 from the same weights, and the oracle's with its rounding."""

import numpy as np
import pytest
from fastnn.kernels.host import cpu
from harness import Problem, assert_close

from fastnn import losses
from fastnn.layers import Dense
from fastnn.optimizers import SGD

pytestmark = pytest.mark.skipif(not cpu.has_bfloat16(), reason="no products of bfloat16 here")

TRAININGS = {  # last layer, loss
    "mean squared error": (Dense(3), losses.MeanSquaredError()),
    "huber": (Dense(3), losses.Huber(0.7)),
    "log cosh": (Dense(3), losses.LogCosh()),
    "quantile": (Dense(1), losses.Quantile(0.3)),
    "several quantiles": (Dense(6), losses.Quantile([0.1, 0.5, 0.9])),
    "poisson": (Dense(3, "exponential"), losses.Poisson()),
    "poisson deviance": (Dense(1, "exponential"), losses.PoissonDeviance()),
    "binary focal": (Dense(1, "sigmoid"), losses.BinaryFocalCrossentropy(True)),
    "categorical focal": (Dense(5, "softmax"), losses.CategoricalFocalCrossentropy()),
    "focal of class numbers": (Dense(5, "softmax"), losses.SparseCategoricalFocalCrossentropy(gamma=1.0)),
    "focal of logits": (Dense(5), losses.CategoricalFocalCrossentropy(from_logits=True)),
    "smooth binary": (Dense(1, "sigmoid"), losses.BinaryCrossentropy(label_smoothing=0.1)),
    "smooth": (Dense(5, "softmax"), losses.CategoricalCrossentropy(label_smoothing=0.1)),
    "smooth class numbers": (Dense(5, "softmax"), losses.SparseCategoricalCrossentropy(label_smoothing=0.1)),
}


@pytest.mark.parametrize(("last", "loss"), TRAININGS.values(), ids=TRAININGS)
def test_trainings_are_those_of_float32_but_for_rounding(last, loss):
    options = {"batch_size": 16, "epochs": 12, "shuffle": False}
    logs, weights = {}, {}
    for mixed in (False, True):
        problem = Problem([Dense(33, "tanh"), last], 19, loss, rows=80, mixed=mixed)
        engine, _, logs[mixed] = problem.train("float32", SGD(0.03, momentum=0.9), **options)
        weights[mixed] = engine.get_weights()
    learned = logs[False][0, 0] - logs[False][-1, 0]
    assert learned > 0.1 * abs(logs[False][0, 0])
    np.testing.assert_allclose(logs[True], logs[False], rtol=0, atol=0.05 * learned)
    assert any((exact != rounded).any() for exact, rounded in zip(weights[False], weights[True], strict=True))
    expected, expected_logs = problem.oracle(SGD(0.03, momentum=0.9), **options)
    np.testing.assert_allclose(logs[True], expected_logs, rtol=0, atol=0.02 * learned)
    assert_close(weights[True], expected, 0.05)  # kinks of a loss magnify what rounding does
