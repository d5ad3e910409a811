"""What only a GPU can show: the tasks in full, kernels under NVIDIA's sanitizer. The simulator skips them."""

import shutil
import subprocess
import sys

import numpy as np
import pytest
from fastnn.kernels.cuda import jit
from harness import Problem, assert_close

import fastnn
from fastnn.layers import BatchNormalization, Dense, Dropout

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(jit.SIMULATED, reason="needs a GPU")]


def histories(x, y, layers, loss, **options):
    """Loss and accuracy curves on both devices, from the same weights and orders."""
    found = {}
    for device in ("cpu", "cuda"):
        fastnn.set_random_seed(3)
        model = fastnn.Sequential([layer.copy() for layer in layers], device=device)
        model.compile("adam", loss, metrics=["accuracy"])
        found[device] = model.fit(x, y, verbose=0, **options).history
    return [{name: np.array(curve) for name, curve in found[device].items()} for device in ("cpu", "cuda")]


def test_pima(pima):
    x, y = pima
    layers = [Dense(16, "relu", input_shape=(8,)), Dense(8, "relu"), Dense(1, "sigmoid")]
    scaled = (x - x.mean(axis=0)) / x.std(axis=0)
    on_cpu, on_gpu = histories(scaled, y, layers, "binary_crossentropy", batch_size=10, epochs=150)
    np.testing.assert_allclose(on_gpu["loss"][:5], on_cpu["loss"][:5], atol=1e-3)
    np.testing.assert_allclose(on_gpu["accuracy"][-1], on_cpu["accuracy"][-1], atol=0.02)


@pytest.mark.parametrize("batch", [200, 4096])
def test_sign_mnist(sign_mnist, batch):
    (x, y), _ = sign_mnist
    x = (x.reshape(len(x), -1) / 255).astype(np.float32)
    layers = [Dense(512, "relu", input_shape=(784,)), Dense(512, "relu"), Dense(24, "softmax")]
    options = {"batch_size": batch, "epochs": 5}
    on_cpu, on_gpu = histories(x, y, layers, "sparse_categorical_crossentropy", **options)
    np.testing.assert_allclose(on_gpu["loss"], on_cpu["loss"], atol=1e-3 * on_cpu["loss"][0])
    np.testing.assert_allclose(on_gpu["accuracy"][-1], on_cpu["accuracy"][-1], atol=0.02)


@pytest.mark.parametrize("shape", [(100, 63, 17, 3), (513, 100, 513, 10), (1000, 784, 100, 24)], ids=str)
def test_large_layers(shape, dtype):
    rows, inputs, hidden, outputs = shape
    layers = [Dense(hidden, "gelu"), BatchNormalization(), Dropout(0.3), Dense(outputs, "softmax")]
    problem = Problem(layers, inputs, "sparse_categorical_crossentropy", rows=rows, weighted=True, device="cuda")
    options = {"batch_size": rows // 2 + 1, "epochs": 2}
    engine, _, logs = problem.train(dtype, "adam", **options)
    weights, expected = problem.oracle("adam", **options)
    relative = 2e-3 if dtype == np.float32 else 1e-9
    assert_close(engine.get_weights(), weights, relative)
    assert_close(list(logs), list(expected), relative)


def test_the_same_bits_every_time():
    layers = [Dense(300, "relu"), Dense(7, "softmax")]
    problem = Problem(layers, 100, "sparse_categorical_crossentropy", rows=1000, device="cuda")
    first, second = (problem.train("float32", "adam", batch_size=100)[0].get_weights() for _ in range(2))
    for ours, theirs in zip(first, second, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("tool", ["memcheck", "racecheck"])
def test_nothing_for_the_sanitizer(tool):
    sanitizer = shutil.which("compute-sanitizer")
    if sanitizer is None:
        pytest.skip("compute-sanitizer is not installed")
    code = """
from harness import small_problem
engine, objective, _ = small_problem(device="cuda").train(epochs=1)
engine.predict(small_problem().x)
"""
    command = [sanitizer, "--tool", tool, "--error-exitcode", "7", sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, cwd="tests")
    assert done.returncode == 0, done.stdout + done.stderr
