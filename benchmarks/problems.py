"""The arrays of a task, the same for every contender, and the judge of what a contender made of them.

Outputs of networks are judged by one function, the float64 oracle of the kernels, whoever trained the weights.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import singledispatch
from itertools import pairwise
from statistics import median
from typing import Any, NamedTuple

import numpy as np
from fastnn.kernels import reference

from benchmarks import data
from benchmarks.kinds import Estimator, Fit, Predict, Product, Script, Search, Step, Task
from fastnn.commands.timed_comparison import EPSILON, LEARNING_RATE

Array = np.ndarray
Quality = dict[str, float]


class AdamConstants(NamedTuple):
    """Constants of Adam, for everyone."""

    learning_rate: float = LEARNING_RATE
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = EPSILON


ADAM = AdamConstants()
LAST_ACTIVATIONS = {
    "binary_crossentropy": "sigmoid",
    "sparse_categorical_crossentropy": "softmax",
    "mean_squared_error": "linear",
}
JUDGED_ROWS = 2000


def glorot(layers: Sequence[int], seed: int = 0) -> list[Array]:
    """Draw kernel (inputs, units) and bias (units,) of each dense layer: Glorot's uniform, and zeros; float32."""
    rng = np.random.default_rng(seed)
    weights: list[Array] = []
    for inputs, units in pairwise(layers):
        limit = math.sqrt(6.0 / (inputs + units))
        weights += [rng.uniform(-limit, limit, (inputs, units)).astype(np.float32), np.zeros(units, np.float32)]
    return weights


def outputs(activation: str, loss: str, weights: Sequence[Array], x: Array) -> Array:
    """Outputs (rows, units) of a network in float64."""
    activations = [activation] * (len(weights) // 2 - 1) + [LAST_ACTIVATIONS[loss]]
    return reference.forward([{"kind": "dense", "activation": name} for name in activations], weights, x)[0]


def quality(loss: str, y: Array, predicted: Array) -> Quality:
    """Mean loss of predictions (rows, units), and accuracy where the targets are classes."""
    y = y.reshape(len(y), -1)
    found = {"loss": float(reference.loss(loss, y, predicted).mean())}
    if loss != "mean_squared_error":
        metric = "binary_accuracy" if loss == "binary_crossentropy" else "sparse_categorical_accuracy"
        found["accuracy"] = float(reference.metric(metric, y, predicted).mean())
    return found


def medians(qualities: Sequence[Quality]) -> Quality:
    """Median of each quality."""
    return {key: median(found[key] for found in qualities) for key in qualities[0]}


def _error(got: Any, expected: Array) -> Quality:
    """Largest difference, as a share of the largest number expected."""
    difference = np.abs(np.asarray(got, np.float64) - expected).max()
    return {"error": float(difference / np.abs(expected).max())}


@dataclass
class Problem:
    """What a contender is given.

    Attributes
    ----------
    about : str
        What the data are, for the report.
    """

    task: Any
    about: str

    def arrays(self) -> list[Array]:
        """All that is given, for `digest`."""
        raise NotImplementedError

    def judge(self, result: Any) -> Quality:
        """Loss and accuracy, or error, of what a contender's ``Work.result`` returned."""
        raise NotImplementedError

    def digest(self) -> str:
        """Checksum of the arrays: contenders with different ones are not compared."""
        found = hashlib.sha256()
        for array in self.arrays():
            found.update(f"{array.dtype}{array.shape}".encode())
            found.update(np.ascontiguousarray(array).data)
        return found.hexdigest()


@dataclass
class FitProblem(Problem):
    """Rows, and the weights to start from: the same in every fit, only the order of the rows differs."""

    task: Fit
    data: data.Data
    weights: list[Array]

    @property
    def last_activation(self) -> str:
        return LAST_ACTIVATIONS[self.task.loss]

    @property
    def y_column(self) -> Array:
        """Targets in the networks' own type, (rows, outputs) or one column; class numbers stay integers."""
        y = self.data.y
        return y if self.task.loss.startswith("sparse") else y.reshape(len(y), -1).astype(np.float32)

    def arrays(self) -> list[Array]:
        return [self.data.x, self.data.y, *self.weights]

    def judge(self, result: Sequence[Array]) -> Quality:
        """Loss on training rows, accuracy on test rows."""

        def on(x: Array, y: Array) -> Quality:
            predicted = outputs(self.task.activation, self.task.loss, result, x[:JUDGED_ROWS])
            return quality(self.task.loss, y[:JUDGED_ROWS], predicted)

        return on(self.data.x_test, self.data.y_test) | {"loss": on(self.data.x, self.data.y)["loss"]}


@dataclass
class EstimatorProblem(Problem):
    """Rows for an estimator or a search; estimators draw their own weights to start from."""

    task: Estimator | Search
    data: data.Data

    def arrays(self) -> list[Array]:
        """The rows, a sparse matrix as its three parts."""
        x = self.data.x
        return [*((x,) if isinstance(x, Array) else (x.data, x.indices, x.indptr)), self.data.y]

    @property
    def judged(self) -> tuple[Any, Any]:
        """Training rows and test rows whose probabilities are judged."""
        return self.data.x[:JUDGED_ROWS], self.data.x_test[:JUDGED_ROWS]

    def judge(self, result: Any) -> Quality:
        """Loss on training rows and accuracy on test rows of probabilities (rows, classes); or a search's score."""
        if isinstance(self.task, Search):
            return {"score": float(result)}
        loss = "sparse_categorical_crossentropy"
        train, test = (
            quality(loss, y[:JUDGED_ROWS], probabilities)
            for y, probabilities in zip((self.data.y, self.data.y_test), result, strict=True)
        )
        return test | {"loss": train["loss"]}


@dataclass
class PredictProblem(Problem):
    task: Predict
    x: Array
    weights: list[Array]

    def arrays(self) -> list[Array]:
        return [self.x, *self.weights]

    def shortened(self, rows: int) -> PredictProblem:
        """The same for the first rows only."""
        return replace(self, task=replace(self.task, rows=rows), x=self.x[:rows])

    @property
    def output_bytes(self) -> int:
        return 4 * self.task.rows * self.task.layers[-1]

    def judge(self, result: Array) -> Quality:
        return _error(result, outputs(self.task.activation, self.task.loss, self.weights, self.x))


@dataclass
class ProductProblem(Problem):
    """Operands as the layer holds them: (rows, inputs) or (rows, outputs), then (inputs or rows, outputs)."""

    task: Product
    left: Array
    right: Array

    def arrays(self) -> list[Array]:
        return [self.left, self.right]

    def views(self) -> tuple[Array, Array]:
        """Views of the operands whose product is asked for."""
        left = self.left.T if self.task.operation == "weight gradient" else self.left
        return left, self.right.T if self.task.operation == "input gradient" else self.right

    def judge(self, result: Array) -> Quality:
        left, right = self.views()
        return _error(result, left.astype(np.float64) @ right)


@dataclass
class StepProblem(Problem):
    """Weights and a gradient for each."""

    task: Step
    weights: list[Array]
    gradients: list[Array]

    def arrays(self) -> list[Array]:
        return [*self.weights, *self.gradients]

    def judge(self, result: Sequence[Array]) -> Quality:
        """Error after the first step."""
        w, g = (np.concatenate([part.ravel() for part in parts]) for parts in (self.weights, self.gradients))
        expected = w.astype(np.float64)
        hyperparameters = (*ADAM, 0.0, 0.0)
        reference.optimizer_step("adam", hyperparameters, expected, g, {})
        return _error(np.concatenate([np.ravel(part) for part in result]) - w, expected - w)


@dataclass
class ScriptProblem(Problem):
    """Rows for a file; a script starts from its library's own Glorot weights, in another draw."""

    task: Script
    x: Array
    y: Array

    def arrays(self) -> list[Array]:
        return [self.x, self.y]

    def judge(self, result: tuple[Array, float]) -> Quality:
        """Loss on the first training rows of a script's predictions, and its largest memory in bytes."""
        predicted, memory = result
        return quality(self.task.loss, self.y[: len(predicted)], predicted) | {"memory": memory}


@singledispatch
def make(task: Task, stand_ins: frozenset[str] = frozenset()) -> Any:
    """Return the problem of a task; ``stand_ins`` are the sets that cannot be had."""
    raise TypeError(f"no problem for {task!r}")


@make.register
def _(task: Fit, stand_ins: frozenset[str] = frozenset()) -> FitProblem:
    found = data.load(task.data, stand_ins, task.rows).scaled()
    return FitProblem(task, found.about, found, glorot(task.layers))


@make.register(Estimator)
@make.register(Search)
def _(task: Estimator | Search, stand_ins: frozenset[str] = frozenset()) -> EstimatorProblem:
    found = data.load(task.data, stand_ins, task.rows)
    if isinstance(task, Estimator) and task.data == "Pima":
        found = found.standardized()
    return EstimatorProblem(task, found.about, found)


@make.register
def _(task: Predict, stand_ins: frozenset[str] = frozenset()) -> PredictProblem:
    x = np.random.default_rng(0).standard_normal((task.rows, task.layers[0]), np.float32)
    return PredictProblem(task, "random rows", x, glorot(task.layers))


@make.register
def _(task: Product, stand_ins: frozenset[str] = frozenset()) -> ProductProblem:
    rng = np.random.default_rng(0)
    left = (task.rows, task.outputs if task.operation == "input gradient" else task.inputs)
    right = (task.rows if task.operation == "weight gradient" else task.inputs, task.outputs)
    operands = (rng.standard_normal(shape, np.float32) for shape in (left, right))
    return ProductProblem(task, "random matrices", *operands)


@make.register
def _(task: Step, stand_ins: frozenset[str] = frozenset()) -> StepProblem:
    weights, rng = glorot(task.layers), np.random.default_rng(1)
    # none near zero, where libraries differ in what they add epsilon to
    gradients = [rng.uniform(0.1, 1.0, w.shape) * rng.choice([-1.0, 1.0], w.shape) for w in weights]
    return StepProblem(task, "random gradients", weights, [g.astype(np.float32) for g in gradients])


@make.register
def _(task: Script, stand_ins: frozenset[str] = frozenset()) -> ScriptProblem:
    found = data.load(task.data, stand_ins, task.rows)
    if found.x.dtype != np.uint8:
        found = found.standardized()
    return ScriptProblem(task, found.about, found.x, found.y)
