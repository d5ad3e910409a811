"""Tiles of matrix products with what is done to their elements, by every method of multiplying, against the oracle."""

import numpy as np
import pytest
from fastnn.kernels import codes, reference
from fastnn.kernels.cuda import jit
from fastnn.kernels.cuda.gemm import numbers_method
from fastnn.kernels.cuda.gemm_choice import METHODS_OF_GPUS, precision_of, product_kernel
from fastnn.kernels.cuda.tensor_cores import tensor_method
from numpy.lib.stride_tricks import as_strided

DTYPES = "float32", "float64"
SMALL = [numbers_method(*shape, DTYPES) for shape in ((8, 8, 4, 4, 4), (16, 8, 8, 4, 4), (16, 16, 4, 8, 8))]
SMALL_TENSOR = [(16, 16, 16, 16, 16), (32, 16, 16, 16, 16), (16, 32, 16, 16, 16)]
NUMBERS_OF_GPUS = [(method, dtype) for dtype in DTYPES for method in METHODS_OF_GPUS[dtype]]
TENSOR_OF_GPUS = [(method, name == "bfloat16") for name in ("tf32", "bfloat16") for method in METHODS_OF_GPUS[name]]
if jit.SIMULATED:
    NUMBERS = [(method, dtype) for method in SMALL for dtype in DTYPES]
    TENSOR = [(tensor_method(*shape, pairs), pairs) for shape in SMALL_TENSOR for pairs in (False, True)]
else:
    NUMBERS, TENSOR = NUMBERS_OF_GPUS, TENSOR_OF_GPUS
SHAPES = [(1, 1, 1), (11, 7, 9), (8, 12, 5), (5, 20, 4)]  # rows of the batch, inputs, outputs
SEVERAL_TILES = (37, 21, 35)
RUN = np.zeros(codes.METRICS_START, np.int64)
ALPHA, L2, SLICES = 0.3, 0.1, 3


def name_of(value):
    return getattr(value, "name", value)


def large_ones_slow(cases):
    """A simulated thread is a thread of Python, and large tiles have hundreds."""
    return [pytest.param(*case, marks=[pytest.mark.slow] * (case[0].rows > 32)) for case in cases]


def up(number):
    return -(-number // 4) * 4


def tf32(values):
    bits = np.asarray(values, np.float32).view(np.uint32)
    return ((bits + np.uint32(0x1000)) & np.uint32(0xFFFFE000)).view(np.float32)


class Layer:
    """A dense layer with random numbers in a workspace and parameters full of NaN, above one with tanh."""

    def __init__(self, dtype, shape, bias, function):
        rng = np.random.default_rng(1)
        self.dtype, (rows, inputs, outputs) = np.dtype(dtype), shape
        self.rows, self.inputs, self.outputs, self.bias, self.function = rows, inputs, outputs, bias, function
        self.x = np.tanh(rng.normal(size=(rows, inputs))).astype(dtype)
        self.kernel, self.biases = (rng.normal(size=size).astype(dtype) for size in ((inputs, outputs), outputs))
        self.dy = rng.normal(size=(rows, outputs)).astype(dtype)
        self.stride, self.x_row, self.y_row, self.used = up(outputs), up(inputs) + 4, up(outputs) + 8, 4
        x, z, dx, dy = (self._take(rows * row) for row in (self.x_row, self.y_row, self.x_row, self.y_row))
        y = self._take(rows * self.y_row) if function == "gelu" else z
        self.places = {"x": (x, self.x_row), "z": (z, self.y_row), "y": (y, self.y_row)}
        self.places |= {"dx": (dx, self.x_row), "dy": (dy, self.y_row)}
        below = dict(KIND=codes.DENSE, FUNCTION=codes.TANH, OUTPUTS=inputs, Y=x, Z=x, DY=dx, Y_STRIDE=self.x_row)
        layer = dict(
            KIND=codes.DENSE, INPUTS=inputs, OUTPUTS=outputs, BIAS=bias, FUNCTION=codes.ACTIVATIONS.index(function),
            WEIGHTS=8, PANEL=inputs + bias, PANELS=self.stride, X=x, X_STRIDE=self.x_row, Z=z, Y=y, Y_STRIDE=self.y_row,
            DX=dx, DY=dy,
        )  # fmt: skip
        self.ops = np.array([[op.get(name, 0) for name in codes.OPERATION_COLUMNS] for op in (below, layer)], np.int64)
        self.factors = np.zeros((2, len(codes.FACTOR_COLUMNS)), dtype)
        self.factors[1, codes.ALPHA], self.factors[1, codes.L2] = ALPHA, L2
        self.work = np.full(self.used, np.nan, dtype)
        self.params = np.full(8 + (inputs + bias) * self.stride + 4, np.nan, dtype)
        self._weights(self.params)[...] = 0.0
        self._weights(self.params)[bias:, :outputs] = self.kernel
        if bias:
            self._weights(self.params)[0, :outputs] = self.biases
        self.at("x")[:, :inputs], self.at("dy")[:, :outputs] = self.x, self.dy
        self.clock, self.pace = np.zeros(len(codes.CLOCK_COLUMNS), np.int64), np.zeros(len(codes.PACE_COLUMNS))
        self.clock[codes.NOW_ROWS] = rows

    def _take(self, size):
        start, self.used = self.used, self.used + up(size) + 4
        return start

    def _weights(self, flat):
        return flat[8 : 8 + (self.inputs + self.bias) * self.stride].reshape(-1, self.stride)

    def at(self, name):
        start, row = self.places[name]
        return as_strided(self.work[start:], (self.rows, row), (row * self.dtype.itemsize, self.dtype.itemsize))

    def launch(self, product, method, rows, columns, slices, *arguments):
        blocks = -(-columns // method.columns), -(-rows // method.rows), slices
        jit.kernel(product_kernel(product, method), self.dtype)[blocks, method.threads](*arguments)

    def forward(self, method):
        arguments = self.ops.ravel(), 1, self.factors.ravel(), self.params, self.work, self.clock
        self.launch("forward", method, self.rows, self.outputs, 1, *arguments)
        return self.at("y")[:, : self.outputs]

    def input_gradient(self, method):
        arguments = self.ops.ravel(), 1, self.factors.ravel(), self.params, self.work, self.clock
        self.launch("input_gradient", method, self.rows, self.inputs, 1, *arguments)
        return self.at("dx")[:, : self.inputs]

    def weight_gradients(self, method):
        """Sums of all slices, (bias + inputs, stride); each slice is whole."""
        gradients, run = np.full(SLICES * self.params.size, np.nan, self.dtype), RUN.copy()
        run[codes.PARAMETERS] = self.params.size
        arguments = self.ops.ravel(), 1, self.factors.ravel(), self.params, self.work, gradients, self.clock, self.pace
        self.launch("weight_gradient", method, self.inputs + self.bias, self.stride, SLICES, run, *arguments)
        return sum(self._weights(part) for part in gradients.reshape(SLICES, -1))


def check(layer, method, rounded, relative):
    """Compare all products of a layer with the oracle's of operands ``rounded`` to the precision."""
    x, kernel, dy = rounded(layer.x), rounded(layer.kernel), rounded(layer.dy)
    z = reference.dense_forward(x, kernel, layer.biases if layer.bias else None)
    tolerance = {"rtol": relative, "atol": 3 * relative}
    np.testing.assert_allclose(layer.forward(method), reference.activation(layer.function, z, ALPHA), **tolerance)
    if layer.function == "gelu":
        np.testing.assert_allclose(layer.at("z")[:, : layer.outputs], z, **tolerance)
    expected = reference.dense_backward_input(dy, kernel) * (1.0 - layer.x.astype(np.float64) ** 2)
    np.testing.assert_allclose(layer.input_gradient(method), expected, **tolerance)
    gradients = layer.weight_gradients(method)
    kernel_gradient, bias_gradient = reference.dense_backward_params(x, dy)
    expected = kernel_gradient + 2.0 * L2 * layer.kernel
    np.testing.assert_allclose(gradients[layer.bias :, : layer.outputs], expected, **tolerance)
    if layer.bias:
        np.testing.assert_allclose(gradients[0, : layer.outputs], bias_gradient, **tolerance)
    assert not gradients[:, layer.outputs :].any()


def exact(values):
    return np.asarray(values, np.float64)


@pytest.mark.parametrize(("method", "dtype"), NUMBERS, ids=name_of)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_products_of_ordinary_numbers(method, dtype, shape):
    for bias, function in ((1, "gelu"), (0, "relu")):
        check(Layer(dtype, shape, bias, function), method, exact, 2e-6 if dtype == "float32" else 1e-14)


@pytest.mark.parametrize(("method", "pairs"), TENSOR, ids=name_of)
@pytest.mark.parametrize("shape", [(1, 1, 1), (11, 18, 9)], ids=str)
def test_products_of_tensor_cores(method, pairs, shape):
    """They are exact for operands that are rounded, but for the sums."""
    check(Layer("float32", shape, 1, "gelu"), method, reference.bfloat16 if pairs else tf32, 3e-6)


@pytest.mark.skipif(not jit.SIMULATED, reason="a GPU does nothing else")
@pytest.mark.parametrize(("method", "dtype"), large_ones_slow(NUMBERS_OF_GPUS), ids=name_of)
def test_ordinary_tiles_of_gpus(method, dtype):
    check(Layer(dtype, SEVERAL_TILES, 1, "gelu"), method, exact, 2e-6 if dtype == "float32" else 1e-14)


@pytest.mark.skipif(not jit.SIMULATED, reason="a GPU does nothing else")
@pytest.mark.parametrize(("method", "pairs"), large_ones_slow(TENSOR_OF_GPUS), ids=name_of)
def test_tensor_tiles_of_gpus(method, pairs):
    check(Layer("float32", SEVERAL_TILES, 1, "gelu"), method, reference.bfloat16 if pairs else tf32, 3e-6)


def test_rows_beyond_the_batch_are_left_alone():
    method = SMALL[0] if jit.SIMULATED else METHODS_OF_GPUS["float32"][-1]
    layer = Layer("float32", (11, 7, 9), 1, "gelu")
    layer.clock[codes.NOW_ROWS] = 3
    y, dx = layer.forward(method), layer.input_gradient(method)
    assert np.isfinite(y[:3]).all()
    assert np.isnan(y[3:]).all()
    assert np.isfinite(dx[:3]).all()
    assert np.isnan(dx[3:]).all()
    expected, _ = reference.dense_backward_params(layer.x[:3], layer.dy[:3])
    expected += 2.0 * L2 * layer.kernel
    np.testing.assert_allclose(layer.weight_gradients(method)[1:, :9], expected, rtol=2e-6, atol=6e-6)


def test_precision_is_float32_unless_asked_otherwise(monkeypatch):
    monkeypatch.delenv("FASTNN_TF32", raising=False)
    assert precision_of(np.dtype("float32"), False) == "float32"
    assert precision_of(np.dtype("float32"), True) == "bfloat16"
    monkeypatch.setenv("FASTNN_TF32", "1")
    assert precision_of(np.dtype("float32"), False) == "tf32"
    assert precision_of(np.dtype("float64"), False) == "float64"
    monkeypatch.setenv("FASTNN_TF32", "yes")
    with pytest.raises(ValueError, match="choose 1 for products of TF32"):
        precision_of(np.dtype("float32"), False)
