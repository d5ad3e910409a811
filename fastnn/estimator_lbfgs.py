"""The solver 'lbfgs' of the scikit-learn face: SciPy's L-BFGS-B on the compiled loss and gradient of all rows."""

from typing import Any

import numpy as np
from sklearn.utils.optimize import _check_optimize_result

from fastnn.backend import LossGradient
from fastnn.estimator_training import Rows


class FullBatch:
    """Trains by the parameters and attributes of the estimator that this is mixed into."""

    max_iter: int
    max_fun: int
    tol: float
    verbose: bool
    n_iter_: int
    loss_: float

    def _train_full_batch(self, rows: Rows) -> list[np.ndarray]:
        """Minimise the loss over all rows from the present weights; returns the new ones.

        Computes in float64 whatever the type of the rows: the line search of L-BFGS compares losses that differ less
        than float32 can tell.
        """
        from scipy.optimize import minimize

        dtype = rows.x.dtype
        engine = self._make_engine(np.float64)
        engine.set_weights(self._weights())
        objective = engine.plan.objective(self._loss(), self._metrics())
        rows = Rows(*(array if array is None else array.astype(np.float64, copy=False) for array in rows))
        loss_gradient = LossGradient(engine, objective, *rows, **self._reporting(np.dtype(np.float64)))

        def reported(params: np.ndarray) -> tuple[float, np.ndarray]:
            logs, gradient = loss_gradient(params)
            return self._reported_loss(logs), gradient.copy()

        def print_loss(intermediate_result: Any) -> None:
            self.n_iter_ += 1
            print(f"Iteration {self.n_iter_}, loss = {intermediate_result.fun:.8f}")

        self.n_iter_ = 0
        result = minimize(
            reported,
            engine.params.copy(),
            method="L-BFGS-B",
            jac=True,
            callback=print_loss if self.verbose else None,
            options={"maxfun": self.max_fun, "maxiter": self.max_iter, "gtol": self.tol},
        )
        self.n_iter_ = _check_optimize_result("lbfgs", result, self.max_iter)
        self.loss_ = float(result.fun)
        self._forget_engine()
        return [array.astype(dtype) for array in engine.plan.unpack(result.x)]
