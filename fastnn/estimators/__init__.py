"""The scikit-learn estimators: `MLPClassifier` and `MLPRegressor`, trained by fastnn's compiled kernels."""

from fastnn.estimators.classifier import MLPClassifier
from fastnn.estimators.regressor import MLPRegressor

__all__ = ["MLPClassifier", "MLPRegressor"]
