"""The scikit-learn face: `MLPClassifier` and `MLPRegressor`, trained by fastnn's compiled kernels."""

from fastnn.estimator_classifier import MLPClassifier
from fastnn.estimator_regressor import MLPRegressor

__all__ = ["MLPClassifier", "MLPRegressor"]
