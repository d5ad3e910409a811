"""scikit-learn's callbacks, which it has from version 1.9 on, around a fit and each of its epochs."""

from collections.abc import Sequence
from typing import Any

import numpy as np

try:
    from sklearn.callback import CallbackSupportMixin
except ImportError:

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """Stands for what an older scikit-learn does not have."""


class FitTasks:
    """Tells the callbacks of an estimator, if it has any, where its fit is.

    Parameters
    ----------
    estimator
    epochs : most epochs, or iterations
    X, y, sample_weight
        Checked data, y as given.
    """

    def __init__(self, estimator: Any, epochs: int, X: Any, y: np.ndarray, sample_weight: np.ndarray | None) -> None:
        self.wanted = hasattr(estimator, "_skl_callbacks")
        metadata = None if sample_weight is None else {"sample_weight": sample_weight}
        self._about = {"estimator": estimator, "X": X, "y": y, "metadata": metadata}
        if self.wanted:
            self._fit = estimator._init_callback_context(max_subtasks=epochs)
            self._fit.call_on_fit_task_begin(**self._about)

    def begin_epoch(self) -> None:
        if self.wanted:
            self._epoch = self._fit.subcontext(task_name="epoch")
            self._epoch.call_on_fit_task_begin(**self._about)

    def end_epoch(self, weights: Any) -> bool:
        """Whether a callback wants training to end; ``weights()`` gives those of an engine."""
        return self.wanted and self._end(self._epoch, weights)

    def end(self, weights: Any) -> None:
        if self.wanted:
            self._end(self._fit, weights)

    def _end(self, task: Any, weights: Any) -> bool:
        def learned() -> dict[str, Sequence[np.ndarray]]:
            arrays = weights()
            return {"coefs_": arrays[::2], "intercepts_": arrays[1::2]}

        return bool(task.call_on_fit_task_end(**self._about, reconstruction_attributes=learned))
