"""Activations forward and backward against the oracle: special values, odd regions, and inside whole networks."""

import numpy as np
import pytest
from fastnn.kernels import reference
from fastnn.kernels.codes import ACTIVATIONS, OF_INPUT
from fastnn.kernels.compiler import jit
from fastnn.kernels.cuda import elements
from fastnn.kernels.formulas.activations import ACTIVATIONS as TABLE
from fastnn.kernels.host import cpu
from fastnn.kernels.llvm.instructions import at
from fastnn.kernels.operations.activations import activation_backward, activation_forward
from harness import Problem, assert_close, assert_same_bits, described, tolerance

from fastnn.activations import Activation as Function
from fastnn.layers import Activation, Dense, Dropout

GUARD = 12345.0
TRAINABLE = [name for name in ACTIVATIONS if name != "step"]
FROM_INPUT = [ACTIVATIONS[code] for code in OF_INPUT]  # whose derivatives take the input, the others' the output
ALPHA = {"leaky_relu": 0.3, "elu": 0.7}
LIMITS = {  # outputs for inf, -inf, 1e30, -1e30
    "linear": (np.inf, -np.inf, 1e30, -1e30), "relu": (np.inf, 0, 1e30, 0), "sigmoid": (1, 0, 1, 0),
    "tanh": (1, -1, 1, -1), "leaky_relu": (np.inf, -np.inf, 1e30, -3e29), "elu": (np.inf, -0.7, 1e30, -0.7),
    "selu": (np.inf, -1.7580993408473766, 1.0507009873554805e30, -1.7580993408473766),
    "gelu": (np.inf, None, 1e30, 0), "silu": (np.inf, None, 1e30, 0), "softplus": (np.inf, 0, 1e30, 0),
    "step": (1, 0, 1, 0), "exponential": (np.inf, 0, np.inf, 0),
}  # fmt: skip
FAR_SLOPES = {  # far out on the positive side and on the negative one
    "linear": (1, 1), "relu": (1, 0), "leaky_relu": (1, 0.3), "elu": (1, 0), "selu": (1.0507009873554805, 0),
    "gelu": (1, 0), "silu": (1, 0), "softplus": (1, 0), "sigmoid": (0, 0), "tanh": (0, 0),
}  # fmt: skip


def activation_case(backward, function, x, dy, y, z, start, row, rows, columns, vectors, alpha):
    """Either way through an activation, on the region of the arrays that starts at element ``start``."""
    if backward:
        activation_backward(function, at(dy, start), at(y, start), at(z, start), row, rows, columns, vectors, alpha)
    else:
        activation_forward(function, at(x, start), row, rows, columns, vectors, alpha)


class Region:
    """Rows of whole vectors inside a larger array of guard values, ``columns`` of each row in use."""

    def __init__(self, values, padding, dtype):
        lanes = cpu.lanes(dtype)
        self.rows, self.columns = values.shape
        self.vectors = -(-self.columns // lanes)
        self.width = self.vectors * lanes
        self.memory = np.full((self.rows + 2, self.width + 5), GUARD, dtype)
        self.inside = self.memory[1:-1, 2 : 2 + self.width]
        self.inside[:] = padding
        self.inside[:, : self.columns] = values
        self.place = (self.width + 5 + 2, self.width + 5, self.rows, self.columns, self.vectors)

    def result(self):
        result = self.inside.copy()
        self.inside[:] = GUARD
        assert (self.memory == GUARD).all(), "written beside the region"
        return result


def code_of(name):
    return ACTIVATIONS.index(name) if name in ACTIVATIONS else len(ACTIVATIONS)


def forward(dtype, name, values, padding=0.0):
    """Outputs for pre-activations of any 2-D shape, padding included."""
    region = Region(values, padding, dtype)
    unused = np.zeros(1, dtype)
    jit.program(activation_case, dtype)(
        0, code_of(name), region.memory.ravel(), unused, unused, unused, *region.place, ALPHA.get(name, 0.0)
    )
    return region.result()


def backward(dtype, name, dy, y, z):
    """Gradient before an activation; only the array that its derivative is said to take is given, the other is NaN."""
    gradient, missing = Region(dy, 0.0, dtype), np.full_like(y, np.nan)
    outputs = Region(missing if name in FROM_INPUT else y, 0.0, dtype)
    inputs = Region(z if name in FROM_INPUT else missing, 0.0, dtype)
    jit.program(activation_case, dtype)(
        1, code_of(name), np.zeros(1, dtype), gradient.memory.ravel(), outputs.memory.ravel(),
        inputs.memory.ravel(), *gradient.place, ALPHA.get(name, 0.0),
    )  # fmt: skip
    return gradient.result()


@pytest.mark.parametrize("columns", [1, 3, 17, 63])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_forward(rng, dtype, name, columns):
    z = (4.0 * rng.normal(size=(5, columns))).astype(dtype)
    result = forward(dtype, name, z, padding=np.nan)
    expected = reference.activation(name, z, ALPHA.get(name, 0.0))
    exact = tolerance(dtype, 5e-7, 2e-15)
    np.testing.assert_allclose(result[:, :columns], expected, rtol=2 * exact, atol=exact)
    if name == "softmax":
        assert (result[:, columns:] == 0.0).all()
        np.testing.assert_allclose(result.sum(axis=1), 1.0, rtol=2 * exact)


@pytest.mark.parametrize("columns", [1, 3, 17, 63])
@pytest.mark.parametrize("name", TRAINABLE)
def test_backward(rng, dtype, name, columns):
    z, dy = (4.0 * rng.normal(size=(5, columns))).astype(dtype), rng.normal(size=(5, columns)).astype(dtype)
    y = reference.activation(name, z, ALPHA.get(name, 0.0)).astype(dtype)
    result = backward(dtype, name, dy, y, z)
    expected = reference.activation_gradient(name, z, ALPHA.get(name, 0.0), dy)
    assert_close(result[:, :columns], expected, tolerance(dtype, 1e-6, 4e-15))
    assert (result[:, columns:] == 0.0).all()


@pytest.mark.parametrize("name", LIMITS)
def test_special_values(dtype, name):
    tiny = np.finfo(dtype).smallest_subnormal
    z = np.array([[0.0, -0.0, np.inf, -np.inf, np.nan, 1e30, -1e30, tiny, -tiny, 100.0, -100.0]], dtype)
    result = forward(dtype, name, z)[0, : z.size]
    for place, limit in zip((2, 3, 5, 6), LIMITS[name], strict=True):
        if limit is not None:  # infinity times zero: any of 0 and NaN will do
            np.testing.assert_allclose(result[place], limit, rtol=tolerance(dtype, 3e-7, 1e-15))
    assert name == "step" or np.isnan(result[4])
    for places, absolute in (([0, 1, 7, 8], np.finfo(dtype).tiny), ([9, 10], 1e-30)):
        with np.errstate(over="ignore"):
            expected = reference.activation(name, z[0, places], ALPHA.get(name, 0.0)).astype(dtype)
        np.testing.assert_allclose(result[places], expected, rtol=1e-5, atol=absolute)


@pytest.mark.parametrize("name", FAR_SLOPES)
def test_gradients_at_special_values(dtype, name):
    """Far out the slope is 0 or that of a line; it never overflows."""
    z = np.array([[1e30, -1e30, 100.0, -100.0, np.inf, -np.inf]], dtype)
    with np.errstate(invalid="ignore", over="ignore"):
        y = reference.activation(name, z, ALPHA.get(name, 0.0)).astype(dtype)
    far = backward(dtype, name, np.ones_like(z), y, z)[0, :4]
    np.testing.assert_allclose(far, FAR_SLOPES[name] * 2, rtol=1e-6, atol=1e-12)
    assert np.isnan(backward(dtype, name, np.full((1, 1), np.nan, dtype), y[:, :1], z[:, :1])[0, 0])


def test_softmax_of_special_values(dtype):
    rows = np.array([[1e30, -1e30, 0.0], [-np.inf, 2.0, 2.0], [-1e30, -1e30, -1e30], [0, 90, 1000]], dtype)
    third = 1.0 / 3.0
    expected = [[1, 0, 0], [0, 0.5, 0.5], [third, third, third], [0, 0, 1]]
    np.testing.assert_allclose(forward(dtype, "softmax", rows)[:, :3], expected, rtol=1e-6, atol=1e-30)
    for place in range(3):  # NaN anywhere in a row, and no other row
        poisoned = np.zeros((2, 3), dtype)
        poisoned[0, place] = np.nan
        result = forward(dtype, "softmax", poisoned)[:, :3]
        assert np.isnan(result[0]).all()
        np.testing.assert_allclose(result[1], third, rtol=1e-6)
    assert np.isnan(forward(dtype, "softmax", np.full((1, 3), -np.inf, dtype))[0, :3]).all()


def test_a_code_that_is_none_is_not_linear(dtype):
    """What was left out of a table must show."""
    values = np.ones((2, 3), dtype)
    assert np.isnan(forward(dtype, "none", values)).all()
    assert np.isnan(backward(dtype, "none", values, values, values)).all()
    assert np.isnan(elements.activate(len(ACTIVATIONS), 1.0, 0.0))
    assert np.isnan(elements.derivative(len(ACTIVATIONS), 1.0, 1.0, 0.0))


@pytest.mark.parametrize("name", TABLE)
def test_single_numbers_are_the_oracles(name):
    """As they are compiled for GPUs, here as plain Python; a softmax needs whole rows."""
    z, alpha, code = np.linspace(-3.0, 3.0, 8), ALPHA.get(name, 0.0), ACTIVATIONS.index(name)
    y = [elements.activate(code, each, alpha) for each in z.tolist()]
    np.testing.assert_allclose(y, z if name == "softmax" else reference.activation(name, z, alpha), rtol=1e-14)
    slopes = [elements.derivative(code, *each, alpha) for each in zip(y, z.tolist(), strict=True)]
    if TABLE[name].derivative:
        expected = reference.activation_gradient(name, z, alpha, np.ones(8))
        np.testing.assert_allclose(slopes, expected, rtol=1e-13, atol=1e-15)
    else:
        assert np.isnan(slopes).all()


def test_subnormals_survive_where_nothing_is_computed(dtype):
    """Outside of training nothing flushes them: the mode belongs to the programs."""
    tiny = np.full((1, 3), np.finfo(dtype).smallest_subnormal)
    assert_same_bits(forward(dtype, "relu", tiny)[:, :3].copy(), tiny)


# --- in networks --------------------------------------------------------------------------------------------------


def function(name):
    return Function(name, ALPHA.get(name, 0.0))


def network_of(name):
    """The activation in a hidden layer, alone, after a dropout, and in a narrow layer."""
    return [
        Dense(19, function(name)),
        Dense(7, use_bias=False),
        Dropout(0.25),
        Activation(function(name)),
        Dense(3, function(name)),
        Activation("tanh"),
        Dense(2),
    ]


@pytest.mark.parametrize("name", [name for name in TRAINABLE if name != "exponential"])  # three of them overflow
def test_training_through(dtype, name):
    problem = Problem(network_of(name), 11, "mean_squared_error", rows=23, metrics=("mean_absolute_error",))
    engine, _, logs = problem.train(dtype, "sgd", batch_size=9)
    weights, expected = problem.oracle("sgd", batch_size=9)
    assert_close(engine.get_weights(), weights, tolerance(dtype, 1e-5, 1e-13))
    np.testing.assert_allclose(logs, expected, rtol=tolerance(dtype, 1e-5, 1e-13))


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_predicting_through(dtype, name):
    problem = Problem(network_of(name), 11, "mean_squared_error", rows=101)
    engine, _ = problem.engine(dtype)
    assert_close(engine.predict(problem.data(dtype)[0]), problem.outputs(), tolerance(dtype, 1e-5, 1e-13))


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_a_network_of_activations_alone(dtype, name):
    problem = Problem([Dropout(0.5), Activation(function(name))], 13, "mean_squared_error", rows=7)
    engine, _ = problem.engine(dtype)
    expected = problem.x if name == "linear" else problem.outputs()
    assert_close(engine.predict(problem.data(dtype)[0]), expected, tolerance(dtype, 1e-6, 1e-14))


def test_the_oracle_is_told_the_same_network():
    assert [layer.get("op") for layer in described(network_of("relu"))] == [None, None, 2, None, None, None, None]
    assert [layer.get("op") for layer in described(network_of("linear"))] == [None, None, 2, None, None, None, None]
