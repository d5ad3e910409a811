"""Outputs of a fitted network, of the dtype that scikit-learn's would have."""

from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from fastnn.common.on_gpu import OnGPU
from fastnn.engine.engine import Engine
from fastnn.estimators.fitted_network import EngineKeeper
from fastnn.estimators.input_checks import check_rows_to_predict
from fastnn.estimators.weights import as_dtype
from fastnn.kernels import codes

_SINGLE, _DOUBLE = np.dtype(np.float32), np.dtype(np.float64)
# what the last activation is computed by in float64
_LINKS = {
    "identity": codes.IDENTITY, "exp": codes.EXP_LINK, "logistic": codes.LOGISTIC, "softmax": codes.SOFTMAX_LINK
}  # fmt: skip


class Predictions(EngineKeeper):
    """Runs the network on rows that a user passes."""

    out_activation_: str

    def _outputs(self, X: Any, link: int | None = None) -> Any:
        """Run the network on rows; returns shape (n, n_outputs_), or what another link than the network's own gives.

        They are of the dtype that scikit-learn's would have. Outputs in float32, and of rows on a GPU, where they stay,
        are always the network's own.
        """
        engine, rows, dtype = self._prepared(X)
        if dtype is None or dtype == engine.plan.dtype == np.float32:
            return engine.predict(rows)
        outputs = self._finished(engine, rows) if link is None else engine.predict(rows, link=link)
        return outputs if outputs.dtype == dtype else as_dtype(outputs, dtype)

    def _prepared(self, X: Any) -> tuple[Engine, Any, np.dtype | None]:
        """Return the engine, checked rows, and the dtype of scikit-learn's outputs for them; None for rows on a GPU."""
        if not hasattr(self, "coefs_"):
            check_is_fitted(self)
        engine = self._get_engine()
        rows, given = check_rows_to_predict(self, X, engine.plan.dtype)
        if isinstance(rows, OnGPU):
            return engine, rows, None
        single = self._kept_dtype == np.float32 and np.result_type(given, np.float32) == np.float32
        return engine, rows, _SINGLE if single else _DOUBLE

    def _finished(self, engine: Engine, rows: Any) -> Any:
        """Outputs of checked rows, in float64 unless they are on a GPU."""
        link = _LINKS.get(self.out_activation_)
        return engine.predict(rows) if link is None or isinstance(rows, OnGPU) else engine.predict(rows, link=link)
