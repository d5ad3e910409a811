"""Warnings of the estimators, which name the line that the user wrote."""

import sys
import warnings

from fastnn.kernels.host.streams import by_handler

_BETWEEN = ("fastnn", "sklearn", "joblib", "numpy", "scipy")  # packages through which the user's call may have come


def warn(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn as the nearest line outside fastnn and scikit-learn; if it cannot be written, it is not."""
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] in _BETWEEN:
        frame, level = frame.f_back, level + 1
    try:
        warnings.warn(message, category, stacklevel=level)
    except Exception as error:
        if isinstance(error, Warning) or by_handler(error):  # a filter makes errors of warnings
            raise
