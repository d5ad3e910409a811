"""The solver 'lbfgs' of the scikit-learn estimators: SciPy's L-BFGS-B on the compiled loss and gradient of all rows."""

from typing import Any

import numpy as np
from sklearn.utils.optimize import _check_optimize_result

from fastnn.data.samples import Samples
from fastnn.engine.evaluation import LossGradient
from fastnn.estimators.fit_context import FitContext
from fastnn.kernels.host.streams import say

_STOPPED = 99  # SciPy's status after StopIteration


def train_full_batch(model: Any, samples: Samples, context: FitContext) -> list[np.ndarray]:
    """Minimize the loss over all rows by an estimator's parameters, from its present weights; returns the new ones.

    The rows are of float64, and so is everything here: the line search of L-BFGS compares losses that differ less than
    float32 can tell.
    """
    from scipy.optimize import minimize

    tasks, deadline, limit = context.tasks, context.deadline, context.limit
    engine = model._make_engine(np.float64)
    engine.set_weights(model._weights())
    objective = engine.plan.objective(model._loss(), model._metrics(), limit=limit)
    loss_gradient = LossGradient(engine, objective, samples, **model._reporting(limit, engine.plan.dtype))

    begun = 0  # iterations; the first evaluation of each begins it

    def reported(params: np.ndarray) -> tuple[float, np.ndarray]:
        nonlocal begun
        if begun == model.n_iter_:
            begun += 1
            tasks.begin_epoch()
        logs, gradient = loss_gradient(params)
        return model._reported_loss(logs), gradient.copy()

    def tell(intermediate_result: Any) -> None:
        model.n_iter_ += 1
        if model.verbose:
            say(f"Iteration {model.n_iter_}, loss = {intermediate_result.fun:.8f}")
        if tasks.end_epoch(lambda: loss_gradient.weights(intermediate_result.x)):
            model.stop_reason_ = "callback"
        elif deadline.is_over():
            model.stop_reason_ = "time_limit"
        if model.stop_reason_:
            raise StopIteration

    model.n_iter_, model.stop_reason_ = 0, ""
    result = minimize(
        reported,
        engine.params[: engine.plan.n_parameters].copy(),
        method="L-BFGS-B",
        jac=True,
        callback=tell if model.verbose or tasks.wanted or deadline.is_set else None,
        options={"maxfun": model.max_fun, "maxiter": model.max_iter, "gtol": model.tol},
    )
    if result.status == _STOPPED:
        model.n_iter_ = result.nit
        if model.stop_reason_ == "time_limit":
            deadline.warn(result.nit)
    else:
        model.n_iter_ = _check_optimize_result("lbfgs", result, model.max_iter)
        model.stop_reason_ = "max_iter" if result.status == 1 else "no_improvement"
    model.loss_ = float(result.fun)
    model._forget_engine()
    return loss_gradient.weights(result.x)
