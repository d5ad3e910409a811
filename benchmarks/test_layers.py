"""What a model of many layers costs, as cases of pytest-benchmark: ``pytest benchmarks/test_layers.py``.

Times grow in proportion to the layers; ``tests/engine/test_many_layers.py`` makes sure of it.
"""

import numpy as np
import pytest

from fastnn import Dense, MLPClassifier, Sequential, load_model

pytest.importorskip("pytest_benchmark")

X = np.random.default_rng(0).normal(size=(20, 4)).astype(np.float32)
Y = (X[:, 0] > 0).astype(np.int64)


def model(layers):
    stack = Sequential([Dense(4, "tanh", input_shape=(4,)), *(Dense(4, "tanh") for _ in range(layers - 1))])
    stack.compile("adam", "mse")
    return stack


def reload(stack, path):
    stack.save(path / "model")
    return load_model(path / "model")


def classify(layers):
    return MLPClassifier(hidden_layer_sizes=(4,) * layers, activation="tanh", max_iter=2).fit(X, Y).predict(X)


WORK = {  # by name: what is done with a model that was trained, its number of layers and a folder
    "build": lambda stack, layers, path: model(layers),
    "train_on_batch": lambda stack, layers, path: stack.train_on_batch(X, X),
    "predict": lambda stack, layers, path: stack.predict(X),
    "trainable_weights": lambda stack, layers, path: stack.trainable_weights,
    "weights by layer": lambda stack, layers, path: [each.set_weights(each.get_weights()) for each in stack.layers],
    "save and load": lambda stack, layers, path: reload(stack, path),
    "add and pop": lambda stack, layers, path: (stack.add(Dense(4)), stack.pop(), stack.engine),
    "configuration": lambda stack, layers, path: Sequential.from_config(stack.get_config()),
    "classifier": lambda stack, layers, path: classify(layers),
}


@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
@pytest.mark.parametrize("layers", [100, 1000])
@pytest.mark.parametrize("name", WORK)
def test_layers(name, layers, benchmark, tmp_path):
    stack, benchmark.group = model(layers), name
    stack.fit(X, X, verbose=0)
    benchmark(WORK[name], stack, layers, tmp_path)
