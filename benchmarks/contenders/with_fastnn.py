"""fastnn, as its users call it; products and optimizer steps straight from the kernels."""

from __future__ import annotations

from typing import Any

import numpy as np
from fastnn.kernels.host.cpu import has_bfloat16

import fastnn
from benchmarks.contenders import estimators
from benchmarks.contenders.base import Contender, Work, need
from benchmarks.problems import (
    ADAM,
    LAST_ACTIVATIONS,
    EstimatorProblem,
    FitProblem,
    PredictProblem,
    ProductProblem,
    ScriptProblem,
    StepProblem,
)

_SCRIPT = """
import sys
import numpy as np
from fastnn import Dense, Rescaling, Sequential

data = np.load(sys.argv[1])
x, y = data["x"], data["y"]
model = Sequential([Rescaling(1 / 255)] if x.dtype == np.uint8 else [])
for units in {hidden}:
    model.add(Dense(units, activation="relu"))
model.add(Dense({outputs}, activation="{last}"))
model.compile("adam", "{loss}")
model.fit(x, y, batch_size={batch}, epochs={epochs}, verbose=0)
np.save(sys.argv[2], model.predict(x[:2000]))
"""


def _model(task: Any, weights: list[np.ndarray], dtype: str = "float32", jit_compile: bool = False) -> Any:
    from fastnn import Adam, Dense, Input, Sequential

    activations = [task.activation] * (len(task.layers) - 2) + [LAST_ACTIVATIONS[task.loss]]
    dense = [Dense(units, activation=name) for units, name in zip(task.layers[1:], activations, strict=True)]
    model = Sequential([Input((task.layers[0],)), *dense], dtype=dtype)
    model.compile(Adam(*ADAM), task.loss, jit_compile=jit_compile)
    model.set_weights(weights)
    return model


class FastNN(Contender):
    name = "fastnn"
    label = "fastnn"
    distributions = ("numba",)

    @classmethod
    def version(cls) -> str | None:
        return fastnn.__version__

    def threads(self) -> int | None:
        return fastnn.get_num_threads()

    def fit(self, problem: FitProblem, seed: int) -> Work:
        task, x, y = problem.task, problem.data.x, problem.data.y
        need(task.dtype == "float32" or has_bfloat16())
        fastnn.set_random_seed(seed)
        model = _model(task, problem.weights, task.dtype, task.jit_compile)
        return Work(
            lambda: model.fit(x, y, batch_size=task.batch, epochs=task.epochs, verbose=0), lambda: model.get_weights()
        )

    def estimator(self, problem: EstimatorProblem, seed: int) -> Work:
        return estimators.work(fastnn.MLPClassifier, problem, seed, fastnn.get_num_threads(), "threading")

    def predict(self, problem: PredictProblem) -> Work:
        model = _model(problem.task, problem.weights)
        return Work.of(lambda: model(problem.x))

    def product(self, problem: ProductProblem) -> Work:
        from benchmarks.contenders import kernels

        return getattr(kernels, problem.task.operation.replace(" ", "_"))(problem.left, problem.right)

    def step(self, problem: StepProblem) -> Work:
        from benchmarks.contenders import kernels

        return kernels.adam(problem.weights, problem.gradients)

    def script(self, problem: ScriptProblem) -> str:
        task = problem.task
        return _SCRIPT.format(
            hidden=task.layers[1:-1], outputs=task.layers[-1], last=LAST_ACTIVATIONS[task.loss], loss=task.loss,
            batch=task.batch, epochs=task.epochs,
        )  # fmt: skip
