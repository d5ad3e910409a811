"""Conversion of fitted estimators to scikit-learn's and back."""

from copy import deepcopy
from typing import Any, Self

import numpy as np
from scipy.sparse import csr_matrix
from sklearn.base import is_classifier
from sklearn.utils._param_validation import make_constraint
from sklearn.utils.validation import check_is_fitted

from fastnn import activations
from fastnn.common.arithmetic import heedless
from fastnn.common.user_warnings import warn
from fastnn.estimators import optimizer_moments
from fastnn.estimators.going_on import GoingOn
from fastnn.layers import BatchNormalization

# parameters that need not be lost in a conversion
_ELSEWHERE = {"dtype", "threads", "device", "jit_compile", "n_layers", "width"}
_OTHER_SHAPES = "the moments of the optimizer do not have the shapes of coefs_ and intercepts_: left out"
_FITTED = (
    "classes_", "n_features_in_", "feature_names_in_", "n_outputs_", "out_activation_", "n_layers_", "coefs_",
    "intercepts_", "n_iter_", "t_", "loss_", "loss_curve_", "best_loss_", "validation_scores_",
    "best_validation_score_", "_no_improvement_count",
)  # fmt: skip


class Conversion(GoingOn):
    """Gives an estimator `to_sklearn` and `from_sklearn`."""

    _multilabel = _sparse_labels = False
    classes_: np.ndarray

    @heedless
    def to_sklearn(self) -> Any:
        """Return scikit-learn's estimator with the same parameters and a copy of what was learned.

        It predicts the same to within rounding, and goes on from the optimizer's moments in ``partial_fit``.

        Raises
        ------
        NotFittedError
            If nothing was learned yet.
        ValueError
            If scikit-learn's could not predict the same: for an activation that it does not have, or several, and for
            layer normalization. (Batch normalization becomes part of the weights.)

        Warns
        -----
        UserWarning
            If parameters that only training looks at, such as `dropout`, are left out, or at scikit-learn's default; or
            the optimizer's state, of a solver that scikit-learn does not have for instance.
        """
        check_is_fitted(self)
        kind = _scikit_learns(self)
        known = self._scikit_learns_network()
        lost = []
        for name, default in sorted(self._defaults().items()):
            value = getattr(self, name)
            if name not in known and _takes(kind, name, value):
                known[name] = value
            elif name not in known and name not in _ELSEWHERE and not _is_default(value, default):
                lost.append(f"{name}={value!r}")
        twin = kind(**deepcopy(known))
        _copy_fitted(self, twin)
        if self._normalization is not None:
            _fold(self.normalizations_, twin)
        twin._best_coefs, twin._best_intercepts = twin.coefs_, twin.intercepts_  # as after a fit of its own
        goes_on = not hasattr(self, "_optimizer") or optimizer_moments.give(self, twin)
        if lost:
            training = "" if goes_on else ", partial_fit begins with a new optimizer"
            reason = f"since scikit-learn has nothing like it; predictions stay the same{training}"
            warn(f"{', '.join(lost)}: left out, {reason}")
        elif not goes_on:
            warn(_OTHER_SHAPES)
        if is_classifier(self):
            from sklearn.preprocessing import LabelBinarizer

            labels = np.eye(len(self.classes_), dtype=np.int64) if self._multilabel else self.classes_
            twin._label_binarizer = LabelBinarizer().fit(csr_matrix(labels) if self._sparse_labels else labels)
        return twin

    @classmethod
    @heedless
    def from_sklearn(cls, estimator: Any) -> Self:
        """Return an estimator with the parameters of scikit-learn's and a copy of what it learned.

        Its `dtype` is that of the weights, so it predicts the same to within rounding. It goes on from the optimizer's
        moments in ``partial_fit``, and from all else in ``fit`` with `warm_start`.

        Parameters
        ----------
        estimator : sklearn.neural_network.MLPClassifier or MLPRegressor, the one that has the name of this class

        Raises
        ------
        TypeError
            For anything else.
        NotFittedError
            If it learned nothing yet.

        Warns
        -----
        UserWarning
            If the optimizer's state is left out, as it is of ``coefs_`` of other shapes.
        """
        twin: Any = cls()
        if not isinstance(estimator, _scikit_learns(twin)):
            raise TypeError(
                f"{cls.__name__}.from_sklearn takes scikit-learn's {_scikit_learns(twin).__name__}; got {estimator!r}"
            )
        check_is_fitted(estimator)
        twin.set_params(**deepcopy(estimator.get_params(deep=False)), dtype=estimator.coefs_[0].dtype.name)
        _copy_fitted(estimator, twin)
        twin._keep_drawn()
        if hasattr(estimator, "loss_curve_"):
            twin.validation_loss_curve_ = None
        if hasattr(estimator, "_optimizer") and not optimizer_moments.take(estimator, twin):
            warn(_OTHER_SHAPES)
        if is_classifier(twin):
            twin._multilabel = estimator._label_binarizer.y_type_.startswith("multilabel")
            twin._sparse_labels = estimator._label_binarizer.sparse_input_
        return twin

    def _scikit_learns_network(self) -> dict[str, Any]:
        """Parameters of scikit-learn's that make the same network."""
        given = [self.activation] if _is_one(self.activation) else self.activation
        used = {activations.get(activation) for activation in given} or {activations.linear}
        names = {activations.get(name): name for name in ("identity", "logistic", "tanh", "relu")}
        if len(used) > 1 or not used <= set(names):
            raise ValueError(
                f"activation={self.activation!r} cannot be expressed by scikit-learn, which has one of "
                f"{', '.join(names.values())} for all hidden layers"
            )
        if self._normalization == "layer":
            raise ValueError("normalization='layer' cannot be expressed by scikit-learn: it depends on the row")
        sizes = self.hidden_layer_sizes
        if self.n_layers is not None or self.width is not None:
            sizes = tuple(coef.shape[1] for coef in self.coefs_[:-1])
        return {"activation": names[used.pop()], "hidden_layer_sizes": sizes}


def _fold(normalizations: list[tuple[np.ndarray, ...]], twin: Any) -> None:
    """Make batch normalizations, which are affine in predictions, part of the weights before them."""
    offset = BatchNormalization().epsilon
    for layer, (gamma, beta, mean, variance) in enumerate(normalizations):
        scale = gamma / np.sqrt(variance + offset)
        twin.coefs_[layer] = twin.coefs_[layer] * scale
        twin.intercepts_[layer] = (twin.intercepts_[layer] - mean) * scale + beta


def _is_one(activation: Any) -> bool:
    return isinstance(activation, (str, activations.Activation))


def _is_default(value: Any, default: Any) -> bool:
    return value is default or (type(value) is type(default) and value == default)  # a pickle has numbers of its own


def _takes(kind: Any, name: str, value: Any) -> bool:
    """Whether a class of scikit-learn's has a parameter, and allows this value of it."""
    allowed = kind._parameter_constraints.get(name, [])
    return any(make_constraint(constraint).is_satisfied_by(value) for constraint in allowed)


def _scikit_learns(estimator: Any) -> Any:
    """Return scikit-learn's class for an estimator of ours."""
    from sklearn.neural_network import MLPClassifier, MLPRegressor

    return MLPClassifier if is_classifier(estimator) else MLPRegressor


def _copy_fitted(source: Any, target: Any) -> None:
    for name in _FITTED:
        if hasattr(source, name):
            setattr(target, name, deepcopy(getattr(source, name)))
