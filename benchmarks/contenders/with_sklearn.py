"""scikit-learn's multi-layer perceptrons."""

from __future__ import annotations

import warnings
from typing import Any

from benchmarks.contenders import estimators
from benchmarks.contenders.base import Contender, Work, need, pairs
from benchmarks.kinds import Fit, Predict, Search, Task
from benchmarks.problems import ADAM, EstimatorProblem, FitProblem, PredictProblem, ScriptProblem, StepProblem
from fastnn.commands.timed_comparison import sklearn_terms

_SCRIPT = """
import sys
import warnings
import numpy as np
from sklearn.neural_network import MLPClassifier

data = np.load(sys.argv[1])
x, y = data["x"], data["y"]
if x.dtype == np.uint8:
    x = x / np.float32(255)
warnings.simplefilter("ignore")  # that it stops at the last epoch
model = MLPClassifier({hidden}, batch_size={batch}, max_iter={epochs}, tol=0.0, n_iter_no_change=np.inf, alpha=0.0)
model.fit(x, y)
predicted = model.predict_proba(x[:2000])
np.save(sys.argv[2], predicted if {softmax} else predicted[:, 1:])
"""


def _model(task: Fit | Predict, weights: list[Any], batch: int, epochs: int, seed: int) -> Any:
    """Return a model that will start from the given weights."""
    from sklearn.neural_network import MLPClassifier, MLPRegressor

    base = MLPRegressor if task.loss == "mean_squared_error" else MLPClassifier
    start = iter(pairs(weights))

    class FromWeights(base):  # type: ignore[misc, valid-type]
        def _init_coef(self, fan_in: int, fan_out: int, dtype: Any) -> Any:
            return tuple(array.astype(dtype) for array in next(start))

    terms = sklearn_terms(batch, epochs, seed)
    return FromWeights(hidden_layer_sizes=task.layers[1:-1], activation=task.activation, **terms)


class ScikitLearn(Contender):
    name = "scikit-learn"
    label = "scikit-learn"
    distributions = ("scikit-learn",)

    def __init__(self) -> None:
        self._threads = 1

    def fit(self, problem: FitProblem, seed: int) -> Work:
        from sklearn.exceptions import ConvergenceWarning

        task, found = problem.task, problem.data
        need(task.dtype == "float32")
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = _model(task, problem.weights, task.batch, task.epochs, seed)
        return Work(
            lambda: model.fit(found.x, found.y),
            lambda: [array for pair in zip(model.coefs_, model.intercepts_, strict=True) for array in pair],
        )

    def limit(self, threads: int) -> None:
        self._threads = threads

    def end(self, task: Task) -> None:
        if isinstance(task, Search):
            estimators.end()

    def estimator(self, problem: EstimatorProblem, seed: int) -> Work:
        from sklearn.neural_network import MLPClassifier

        return estimators.work(MLPClassifier, problem, seed, self._threads, "loky")

    def predict(self, problem: PredictProblem) -> Work:
        from sklearn.exceptions import ConvergenceWarning

        x = problem.x
        model = _model(problem.task, problem.weights, 2, 1, 0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(x[[0, 0]], [0, 1])
        model.coefs_, model.intercepts_ = (list(part) for part in zip(*pairs(problem.weights), strict=True))
        work = Work.of(lambda: model.predict_proba(x))
        return Work(work.run, lambda: work.result()[:, 1:])

    def step(self, problem: StepProblem) -> Work:
        from sklearn.neural_network._stochastic_optimizers import AdamOptimizer

        weights = [w.copy() for w in problem.weights]
        optimizer = AdamOptimizer(weights, *ADAM)
        return Work(lambda: optimizer.update_params(weights, problem.gradients), lambda: weights)

    def script(self, problem: ScriptProblem) -> str:
        task = problem.task
        need(not task.empty_cache)
        softmax = task.layers[-1] > 1
        return _SCRIPT.format(hidden=task.layers[1:-1], batch=task.batch, epochs=task.epochs, softmax=softmax)
