"""Estimators with scikit-learn's parameters, and its own tools around them: the same calls for every class."""

from __future__ import annotations

import warnings
from typing import Any

from benchmarks.contenders.base import Work
from benchmarks.kinds import Search
from benchmarks.problems import EstimatorProblem
from fastnn.commands.timed_comparison import sklearn_terms


def work(kind: type, problem: EstimatorProblem, seed: int, threads: int, workers: str) -> Work:
    """Return a fit, or a search on so many workers.

    Parameters
    ----------
    kind : type
        Class of the classifier.
    workers : {"threading", "loky"}
        Threads, or the processes that a class needs whose fits hold Python's lock.
    """
    from sklearn.exceptions import ConvergenceWarning

    warnings.simplefilter("ignore", ConvergenceWarning)  # that they stop at the last epoch
    found = problem.data
    if isinstance(problem.task, Search):
        search = _search(kind, problem.task)
        return Work(lambda: _run(search, problem, threads, workers), lambda: search.best_score_)
    task = problem.task
    terms = sklearn_terms(task.batch, task.epochs, seed)
    model = kind(task.hidden, early_stopping=task.validation, **terms)
    return Work(lambda: model.fit(found.x, found.y), lambda: [model.predict_proba(x) for x in problem.judged])


def _search(kind: type, task: Search) -> Any:
    from sklearn.model_selection import GridSearchCV, StratifiedKFold
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import StandardScaler

    terms = sklearn_terms(task.batch, task.epochs, 0)
    grid = {"hidden_layer_sizes": task.hidden, "alpha": task.alphas, "learning_rate_init": task.rates}
    return GridSearchCV(
        Pipeline([("scaler", StandardScaler()), ("mlp", kind(**terms))]),
        {f"mlp__{name}": list(values) for name, values in grid.items()},
        cv=StratifiedKFold(task.folds, shuffle=True, random_state=0),
    )


def _run(search: Any, problem: EstimatorProblem, threads: int, workers: str) -> None:
    import joblib

    with joblib.parallel_config(workers, n_jobs=threads):
        search.fit(problem.data.x, problem.data.y)


def end() -> None:
    """Let joblib's processes go, and the files they share."""
    from joblib.externals.loky import get_reusable_executor

    get_reusable_executor().shutdown(wait=True)
