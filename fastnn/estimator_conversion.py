"""Conversion of fitted estimators to scikit-learn's and back."""

from copy import deepcopy
from typing import Any, Self

import numpy as np
from sklearn.base import is_classifier
from sklearn.utils.validation import check_is_fitted

_FITTED = (
    "classes_", "n_features_in_", "feature_names_in_", "n_outputs_", "out_activation_", "n_layers_", "coefs_",
    "intercepts_", "n_iter_", "t_", "loss_", "loss_curve_", "best_loss_", "validation_scores_",
    "best_validation_score_", "_no_improvement_count",
)  # fmt: skip


class Conversion:
    """Gives an estimator `to_sklearn` and `from_sklearn`."""

    _multilabel = False
    classes_: np.ndarray

    def to_sklearn(self) -> Any:
        """Return scikit-learn's estimator with the same parameters and a copy of what was learned.

        It predicts the same to within rounding. The optimizer's moments stay here.

        Raises
        ------
        NotFittedError
            If nothing was learned yet.
        """
        check_is_fitted(self)
        names = _scikit_learns(self)._get_param_names()
        twin = _scikit_learns(self)(**{name: getattr(self, name) for name in names})
        _copy_fitted(self, twin)
        if is_classifier(self):
            from sklearn.preprocessing import LabelBinarizer

            labels = np.eye(len(self.classes_), dtype=np.int64) if self._multilabel else self.classes_
            twin._label_binarizer = LabelBinarizer().fit(labels)
        return twin

    @classmethod
    def from_sklearn(cls, estimator: Any) -> Self:
        """Return an estimator with the parameters of scikit-learn's and a copy of what it learned.

        Its `dtype` is that of the weights, so it predicts the same to within rounding.

        Parameters
        ----------
        estimator : sklearn.neural_network.MLPClassifier or MLPRegressor, the one that has the name of this class

        Raises
        ------
        TypeError
            For anything else.
        NotFittedError
            If it learned nothing yet.
        """
        twin: Any = cls()
        if not isinstance(estimator, _scikit_learns(twin)):
            raise TypeError(
                f"{cls.__name__}.from_sklearn takes scikit-learn's {_scikit_learns(twin).__name__}; got {estimator!r}"
            )
        check_is_fitted(estimator)
        twin.set_params(**estimator.get_params(deep=False), dtype=estimator.coefs_[0].dtype.name)
        _copy_fitted(estimator, twin)
        if is_classifier(twin):
            twin._multilabel = estimator._label_binarizer.y_type_.startswith("multilabel")
        return twin


def _scikit_learns(estimator: Any) -> Any:
    """Return scikit-learn's class for an estimator of ours."""
    from sklearn.neural_network import MLPClassifier, MLPRegressor

    return MLPClassifier if is_classifier(estimator) else MLPRegressor


def _copy_fitted(source: Any, target: Any) -> None:
    for name in _FITTED:
        if hasattr(source, name):
            setattr(target, name, deepcopy(getattr(source, name)))
