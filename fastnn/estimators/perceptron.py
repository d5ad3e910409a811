"""The perceptron: a single layer of step neurons that learns from its mistakes."""

from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from fastnn.common.arithmetic import heedless
from fastnn.common.user_warnings import warn

_PRODUCTS_PER_CALL = 50_000_000  # about 0.1 s of compiled work, then Ctrl-C gets its turn
_PASSES_PER_CALL = 4096


class Perceptron(ClassifierMixin, BaseEstimator):
    """Rosenblatt's perceptron, in scikit-learn's style.

    A neuron fires when ``inputs @ weights + bias > 0``. After each row that it gets wrong,
    ``weights += learning_rate * (wanted - given) * inputs``, the bias likewise (Rosenblatt, "The perceptron: a
    probabilistic model for information storage and organization in the brain", 1958). If a straight line (a plane
    in general) separates the classes, this ends with no mistake left. Two classes take one neuron, more take one
    each, trained against the rest.

    Parameters
    ----------
    learning_rate : float, default=1.0
        Size of a correction, > 0. Starting from zero it scales the weights and changes nothing else.
    max_iter : int, default=1000
        Most passes over the rows, >= 1; training stops earlier after a pass without a mistake.
    shuffle : bool, default=True
        Draw a new order of the rows for each pass.
    random_state : int, RandomState or None, default=None
        Decides the orders. None takes NumPy's global generator.

    Attributes
    ----------
    coef_ : ndarray of shape (1, n_features) or (n_classes, n_features)
        Weights. They and `intercept_` may also be set by hand instead of fitting: `predict` then answers 0 or 1
        (or the number of the class) unless ``classes_`` is set too.
    intercept_ : ndarray of shape (1,) or (n_classes,)
        Biases.
    classes_ : ndarray of shape (n_classes,)
        Labels in order. With two, the neuron fires for the second.
    mistakes_ : list of ndarray
        Mistakes of each neuron in each of its passes.
    n_iter_ : int
        Passes of the neuron that took longest.
    n_features_in_ : int

    Examples
    --------
    >>> from fastnn import Perceptron
    >>> both = Perceptron(random_state=0).fit([[0, 0], [0, 1], [1, 0], [1, 1]], ["no", "no", "no", "yes"])
    >>> both.predict([[1, 1], [1, 0]])
    array(['yes', 'no'], dtype='<U3')
    """

    _parameter_constraints: ClassVar[dict[str, list]] = {
        "learning_rate": [Interval(Real, 0, None, closed="neither")],
        "max_iter": [Interval(Integral, 1, 2**53, closed="both")],
        "shuffle": ["boolean"],
        "random_state": ["random_state"],
    }

    def __init__(
        self, *, learning_rate: float = 1.0, max_iter: int = 1000, shuffle: bool = True, random_state: Any = None
    ) -> None:
        self.learning_rate = learning_rate
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.random_state = random_state

    @heedless
    def fit(self, X: Any, y: Any) -> Self:
        """Learn from weights of zero until a pass makes no mistake, or for `max_iter` passes.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        y : array-like of shape (n_samples,)
            Labels of at least two classes.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            For a parameter out of range, data that do not fit, or labels of one class only.

        Warns
        -----
        ConvergenceWarning
            If mistakes are left: the classes are not separable, or `max_iter` is too small.
        """
        self._validate_params()
        X, y = validate_data(self, X, y, dtype=np.float64, order="C")
        check_classification_targets(y)
        self.classes_, index = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(f"y must hold at least two classes, but there is only one class: {self.classes_[0]!r}")
        neurons = len(self.classes_) if len(self.classes_) > 2 else 1
        self.coef_ = np.zeros((neurons, X.shape[1]))
        self.intercept_ = np.zeros(neurons)
        seed = int(check_random_state(self.random_state).randint(2**31))
        positive = range(neurons) if neurons > 1 else [1]  # the class for which each neuron fires
        self.mistakes_ = [
            self._learn(X, (index == label).astype(float), neuron, seed) for neuron, label in enumerate(positive)
        ]
        self.n_iter_ = max(map(len, self.mistakes_))
        if any(mistakes[-1] for mistakes in self.mistakes_):
            warn(
                f"After max_iter={self.max_iter} passes there are still mistakes: no straight line separates the "
                "classes, or more passes are needed",
                ConvergenceWarning,
            )
        return self

    def _learn(self, x: np.ndarray, target: np.ndarray, neuron: int, seed: int) -> np.ndarray:
        """Train one neuron; returns its mistakes in each pass."""
        from fastnn.kernels.compiler import jit

        run = jit.program(jit.kernels("cpu.perceptron").perceptron_epochs, np.dtype(np.float64))
        order = np.arange(len(x))
        passes_per_call = min(max(1, _PRODUCTS_PER_CALL // x.size), _PASSES_PER_CALL)
        done, parts = 0, list[np.ndarray]()
        while done < self.max_iter and (done == 0 or parts[-1][-1]):
            mistakes = np.empty(min(passes_per_call, self.max_iter - done), np.int64)
            made = run(
                x,
                target,
                self.coef_[neuron],
                self.intercept_[neuron : neuron + 1],
                float(self.learning_rate),
                bool(self.shuffle),
                seed,
                0,
                done,
                order,
                mistakes,
            )
            done += made
            parts.append(mistakes[:made])
        return np.concatenate(parts)

    @heedless
    def decision_function(self, X: Any) -> np.ndarray:
        """Weighted sums plus biases, shape (n_samples,) for one neuron, else (n_samples, n_classes)."""
        check_is_fitted(self, ["coef_", "intercept_"])
        X = validate_data(self, X, dtype=np.float64, reset=False)
        coef, intercept = np.atleast_2d(self.coef_), np.atleast_1d(self.intercept_)
        if X.shape[1] != coef.shape[1] or intercept.shape != (len(coef),):
            raise ValueError(
                f"coef_ of shape {coef.shape} and intercept_ of shape {intercept.shape} do not fit to each other "
                f"and to X with {X.shape[1]} features"
            )
        sums = X @ coef.T + intercept
        return sums[:, 0] if len(coef) == 1 else sums

    def predict(self, X: Any) -> np.ndarray:
        """Class of each row, shape (n_samples,)."""
        sums = self.decision_function(X)
        index = (sums > 0).astype(int) if sums.ndim == 1 else sums.argmax(axis=1)
        return self.classes_[index] if hasattr(self, "classes_") else index
