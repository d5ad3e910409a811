"""A plain NumPy network as a good programmer writes it: whole-batch operations, in place, nothing compiled."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from benchmarks.contenders.base import Contender, Work, need, pairs
from benchmarks.problems import ADAM, LAST_ACTIVATIONS, FitProblem, PredictProblem, ProductProblem, StepProblem

Array = np.ndarray


class Adam:
    """Adam over a list of arrays."""

    def __init__(self, weights: Sequence[Array]) -> None:
        self.weights = weights
        self.moments = [(np.zeros_like(w), np.zeros_like(w), np.empty_like(w)) for w in weights]
        self.t = 0

    def step(self, gradients: Sequence[Array]) -> None:
        self.t += 1
        rate = ADAM.learning_rate * math.sqrt(1 - ADAM.beta_2**self.t) / (1 - ADAM.beta_1**self.t)
        for w, g, (m, v, update) in zip(self.weights, gradients, self.moments, strict=True):
            m *= ADAM.beta_1
            m += np.multiply(g, 1 - ADAM.beta_1, out=update)
            v *= ADAM.beta_2
            np.multiply(g, g, out=update)
            update *= 1 - ADAM.beta_2
            v += update
            np.sqrt(v, out=update)
            update += ADAM.epsilon
            np.divide(m, update, out=update)
            update *= rate
            w -= update


class Network:
    """Dense layers, all with one activation but the last."""

    def __init__(self, weights: Sequence[Array], activation: str, loss: str) -> None:
        self.weights = [w.copy() for w in weights]
        self.activation, self.last = activation, LAST_ACTIVATIONS[loss]

    def forward(self, x: Array) -> list[Array]:
        """Input of each layer, and the outputs."""
        tape = [x]
        layers = pairs(self.weights)
        for kernel, bias in layers:
            z = tape[-1] @ kernel
            z += bias
            name = self.activation if len(tape) < len(layers) else self.last
            if name == "relu":
                np.maximum(z, 0, out=z)
            elif name == "tanh":
                np.tanh(z, out=z)
            elif name == "sigmoid":  # by tanh, which cannot overflow
                z *= 0.5
                np.tanh(z, out=z)
                z += 1
                z *= 0.5
            elif name == "softmax":
                z -= z.max(axis=1, keepdims=True)
                np.exp(z, out=z)
                z /= z.sum(axis=1, keepdims=True)
            tape.append(z)
        return tape

    def gradients(self, x: Array, y: Array) -> list[Array]:
        """Gradient of the mean loss; y holds outputs to reach, or class numbers where the last layer is a softmax."""
        *inputs, delta = self.forward(x)
        if self.last == "softmax":
            delta[np.arange(len(y)), y] -= 1
        else:  # sigmoid with its cross-entropy, linear with the squared error
            delta -= y
        delta *= (2.0 / delta.shape[1] if self.last == "linear" else 1.0) / len(x)
        found: list[Array] = []
        for (kernel, _), layer_input in zip(reversed(pairs(self.weights)), reversed(inputs), strict=True):
            found[:0] = layer_input.T @ delta, delta.sum(axis=0)
            if layer_input is not x:
                delta = delta @ kernel.T
                if self.activation == "relu":
                    delta *= layer_input > 0
                else:
                    delta *= 1 - layer_input * layer_input
        return found

    def fit(self, x: Array, y: Array, batch: int, epochs: int, rng: np.random.Generator) -> None:
        optimizer = Adam(self.weights)
        for _ in range(epochs):
            order = rng.permutation(len(x))
            for start in range(0, len(x), batch):
                rows = order[start : start + batch]
                optimizer.step(self.gradients(x[rows], y[rows]))


class NumPy(Contender):
    name = "numpy"
    label = "NumPy"
    distributions = ("numpy",)

    def fit(self, problem: FitProblem, seed: int) -> Work:
        task = problem.task
        need(task.dtype == "float32")
        network = Network(problem.weights, task.activation, task.loss)
        x, y, rng = problem.data.x, problem.y_column, np.random.default_rng(seed)
        return Work(lambda: network.fit(x, y, task.batch, task.epochs, rng), lambda: network.weights)

    def predict(self, problem: PredictProblem) -> Work:
        network = Network(problem.weights, problem.task.activation, problem.task.loss)
        return Work.of(lambda: network.forward(problem.x)[-1])

    def product(self, problem: ProductProblem) -> Work:
        left, right = problem.views()
        out = np.empty((left.shape[0], right.shape[1]), np.float32)
        return Work.of(lambda: np.matmul(left, right, out=out))

    def step(self, problem: StepProblem) -> Work:
        optimizer = Adam([w.copy() for w in problem.weights])
        return Work(lambda: optimizer.step(problem.gradients), lambda: optimizer.weights)
