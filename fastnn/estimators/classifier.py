"""The scikit-learn estimator for classification."""

from collections.abc import Sequence
from functools import partial
from numbers import Real
from typing import Any, ClassVar, Self

import numpy as np
from scipy.sparse import csr_matrix
from sklearn.base import ClassifierMixin, _fit_context
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import _check_partial_fit_first_call

from fastnn.common.arithmetic import heedless
from fastnn.data.placement import like
from fastnn.estimators.base import BaseMLP
from fastnn.estimators.labels import LabelTargets
from fastnn.estimators.sparse_input import compressed
from fastnn.estimators.weights import as_dtype
from fastnn.kernels import codes
from fastnn.losses import (
    BinaryCrossentropy,
    BinaryFocalCrossentropy,
    Loss,
    SparseCategoricalCrossentropy,
    SparseCategoricalFocalCrossentropy,
)


class MLPClassifier(ClassifierMixin, LabelTargets, BaseMLP):
    """Multi-layer perceptron classifier with scikit-learn's parameters, attributes and rules.

    Minimizes the log-loss unless told otherwise: binary and multi-label targets with logistic outputs, more classes
    with softmax.

    Parameters
    ----------
    hidden_layer_sizes : int or sequence of int, default=(100,)
        Neurons of each hidden layer; ``()`` for none.
    activation : str, Activation or list of them, default='relu'
        Activation of the hidden layers, or one for each of them: 'identity', 'logistic', 'tanh', 'relu', or any other
        name or object of `fastnn.activations`.
    solver : {'adam', 'sgd', 'lbfgs', 'adamw', 'nadam', 'adamax', 'rmsprop', 'adagrad', 'lion'}, default='adam'
        Optimizer, one of `fastnn.optimizers`; 'lbfgs' is SciPy's L-BFGS-B on all rows at once, in float64 whatever
        `dtype` is.
    alpha : float, default=0.0001
        Strength of the L2 penalty on the weights, >= 0; divided by the rows of a batch, as in scikit-learn.
    batch_size : int or 'auto', default='auto'
        Rows in a batch; 'auto' is ``min(200, n_samples)``.
    learning_rate : str or LearningRateSchedule, default='constant'
        One of 'constant', 'invscaling', 'adaptive', 'cosine', 'one_cycle', 'warmup', or a schedule of
        `fastnn.optimizers.schedules`, which brings rates of its own and counts steps.
        The first three are for 'sgd' alone: keep the rate; divide it by ``(rows seen + 1) ** power_t`` after each
        epoch; or divide it by 5 whenever training would stop, and stop below 1e-6. The others are for all solvers but
        'lbfgs', step by step over `max_iter` epochs: down from the first rate to 0 along half a cosine; up to it from a
        25th in three tenths of the steps and down to almost 0 (Smith and Topin, 2018); or up to it in a tenth and down
        to 0.
    learning_rate_init, power_t : float, default=0.001, 0.5
        First learning rate, > 0, and the exponent of 'invscaling', >= 0.
    max_iter : int, default=200
        Most epochs, or iterations of 'lbfgs', >= 1.
    shuffle : bool, default=True
        Draw a new order of the rows for each epoch.
    random_state : int, RandomState or None, default=None
        Decides initial weights, validation rows and orders. None takes NumPy's global generator.
    tol : float, default=1e-4
        Improvement of the training loss (or validation score) that counts as one, >= 0. 'lbfgs' stops when no
        component of the gradient is larger.
    verbose : bool, default=False
        Print the loss of each epoch.
    warm_start : bool, default=False
        Let `fit` go on from the weights of the last fit, with what the parameters say now; those that would make
        another network are refused. With `early_stopping` the best weights of all such fits are kept; scikit-learn
        keeps the last ones of a fit without improvement.
    momentum, nesterovs_momentum : float, bool, default=0.9, True
        For 'sgd': in [0, 1], and whether in Nesterov's form.
    early_stopping : bool, default=False
        Hold out `validation_fraction` of the rows, stop when their score does not improve, keep the best weights.
    validation_fraction : float, default=0.1
        Fraction of the rows held out, in [0, 1).
    beta_1, beta_2, epsilon : float, default=0.9, 0.999, 1e-8
        For 'adam', 'adamw', 'nadam' and 'adamax': in [0, 1), in [0, 1), and > 0. 'lion' takes the first two, of which
        0.99 suits it better as `beta_2`; 'rmsprop' and 'adagrad' take `epsilon`.
    n_iter_no_change : int or numpy.inf, default=10
        Training stops after more than so many epochs in a row without improvement; inf is never, and fastest.
    max_fun : int, default=15000
        Most evaluations of the loss by 'lbfgs', >= 1.
    dtype : {'float32', 'float64', 'auto', 'mixed_bfloat16'}, default='float32'
        Type of the computation alone: weights, probabilities and predictions have the type that scikit-learn's would
        have, float32 if all data have it and float64 for everything else, and the last activation is computed in that.
        'auto' computes in the type of X, as scikit-learn does; 'float64' and 'auto' also draw scikit-learn's orders of
        the rows, so that a fit repeats scikit-learn's with the same `random_state`. 'float32' is faster; fits so small
        that they are one batch, with `batch_size` 'auto', are computed in float64 and rounded at the end, so that a
        weight of 2 is the same as a row that comes twice. 'mixed_bfloat16' has products of bfloat16 and everything
        else in float32, as in `fastnn.Sequential`: for large networks on CPUs and GPUs that have them, and dense rows.
    threads : int or None, default=None
        Threads for training and prediction. None: one for small steps, else the cores that the process may use.
    device : {'cpu', 'cuda', 'auto'} or None, default=None
        Where to compute. 'cuda' is an NVIDIA GPU; 'auto' is that where there is one that can be used, else the CPU.
        None: what `fastnn.set_device` said, at first 'cpu'.
    jit_compile : bool or 'auto', default='auto'
        Whether to compile a program for this very network, its functions and the size of its batches; not for 'lbfgs'.
        Compiling takes some seconds, once, as the program is kept on disk; small networks then train up to 1.8
        times as fast, with the same bits. 'auto' does it for a network of at most 50,000 parameters after half a minute
        of a fit without `time_limit`, if the rest would take longer than that. On a GPU it makes no difference.
    n_layers, width : int or None, default=None
        Number of hidden layers, >= 0, and neurons of each, >= 1: two numbers for a search, instead of
        `hidden_layer_sizes`. If only one is given, the other is 1 or 100.
    dropout : float or list of float, default=0.0
        Fraction of the outputs of each hidden layer that a training step sets to zero (Srivastava et al., 2014), in
        [0, 1); or one for each layer. Not for 'lbfgs'.
    normalization : {'batch', 'layer'} or None, default=None
        What each hidden layer does before its activation: centre and scale each of its columns by the batch (Ioffe and
        Szegedy, 2015), in predictions by running means that each batch moves by a tenth, or each row by itself (Ba et
        al., 2016). Sample weights have no part in it.
    loss : {'log_loss', 'focal'}, default='log_loss'
        'focal' counts rows that are right and sure less (Lin et al., "Focal loss for dense object detection", 2017):
        the log-loss of a row is multiplied by ``(1 - probability of its class) ** focal_gamma``.
    focal_gamma : float, default=2.0
        For 'focal', >= 0; with 0 it is the log-loss.
    label_smoothing : float, default=0.0
        Fraction of each target, in [0, 1), that is spread evenly over all classes (Szegedy et al., 2016).
    class_weight : dict, 'balanced', list of dicts or None, default=None
        Weight of the rows of each class in the loss, multiplied by `sample_weight`; 'balanced' is
        ``n_samples / (n_classes * rows of the class)``. A dict for each label where a row may have several. Scores know
        nothing of it.
    weight_decay : float or None, default=None
        Each step first takes ``rate * weight_decay`` of every weight away, beside what `alpha` does, >= 0. None is
        0.004 for 'adamw' and 0 for the others. 'lbfgs' has none.
    rho : float, default=0.9
        For 'rmsprop': decay of the running mean of squared gradients, in [0, 1).
    scoring : str, callable or None, default=None
        Score of the held-out rows with `early_stopping`: a scorer of scikit-learn, by name or as a callable
        ``(estimator, X, y)``; 'loss' for the validation loss; None for the accuracy (R² of a regressor).
    callbacks : Callback, list of Callback or None, default=None
        Objects of `fastnn.callbacks`, which see ``loss`` and, of held-out rows, ``val_loss`` and ``val_score``. Not for
        'lbfgs'. (scikit-learn's own callbacks are set with ``set_callbacks``.)
    time_limit : float or None, default=None
        Seconds after which `fit` ends, > 0: after a whole step, and at least one.
    clipvalue, clipnorm, global_clipnorm : float or None, default=None
        One of three limits of a step's gradients, > 0: of the magnitude of each element; of the Euclidean norm of those
        of each of `coefs_`, `intercepts_` and `normalizations_`; or of all together. Not for 'lbfgs'.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
    coefs_, intercepts_ : lists of ndarray
        Weights (inputs, outputs) and biases of each layer, of the dtype of X, or float64 for X that is not float32 and
        for 'lbfgs'; what was computed in float32 is exactly so. They may be replaced, but not edited in place: they
        are read-only. Arrays of other shapes that fit each other make another network, whose optimizer begins anew in
        `partial_fit`; `n_layers_` follows.
    normalizations_ : list of tuple of ndarray
        With `normalization`, of each hidden layer: factors and summands; for 'batch' also running means and variances.
    loss_, best_loss_, loss_curve_ : float, float or None, list of float
        Mean loss of the last epoch, least one (None with early stopping), and all.
    validation_scores_, best_validation_score_ : list of float and float, or None
        Accuracies (or values of `scoring`) on the held-out rows with early stopping. 'lbfgs' sets neither these nor
        `loss_curve_` and `best_loss_`.
    validation_loss_curve_ : list of float, or None
        Mean loss of the held-out rows after each epoch, without the penalty.
    stop_reason_ : {'max_iter', 'no_improvement', 'time_limit', 'callback', 'interrupt'}
        What ended the last fit.
    n_iter_, t_ : int
        Epochs of the last call, and rows seen since the weights were drawn.
    n_features_in_, n_layers_, n_outputs_, feature_names_in_, out_activation_
        As in scikit-learn.

    Examples
    --------
    >>> import fastnn
    >>> X, y = [[0, 0], [0, 1], [1, 0], [1, 1]], ["same", "differ", "differ", "same"]
    >>> model = fastnn.MLPClassifier(alpha=0, learning_rate_init=0.01, random_state=0).fit(X, y)
    >>> model.predict([[1, 0]])
    array(['differ'], dtype='<U6')
    """

    _parameter_constraints: ClassVar[dict[str, list]] = {
        **BaseMLP._parameter_constraints,
        "loss": [StrOptions({"log_loss", "focal"})],
        "focal_gamma": [Interval(Real, 0, None, closed="left")],
        "label_smoothing": [Interval(Real, 0, 1, closed="left")],
        "class_weight": [dict, list, StrOptions({"balanced"}), None],
    }

    def __init__(
        self,
        hidden_layer_sizes: int | Sequence[int] = (100,),
        activation: Any = "relu",
        *,
        solver: str = "adam",
        alpha: float = 0.0001,
        batch_size: int | str = "auto",
        learning_rate: Any = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: Any = None,
        tol: float = 1e-4,
        verbose: bool = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: float = 10,
        max_fun: int = 15000,
        dtype: str = "float32",
        threads: int | None = None,
        device: str | None = None,
        jit_compile: bool | str = "auto",
        n_layers: int | None = None,
        width: int | None = None,
        dropout: float | Sequence[float] = 0.0,
        normalization: str | None = None,
        loss: str = "log_loss",
        focal_gamma: float = 2.0,
        label_smoothing: float = 0.0,
        class_weight: Any = None,
        weight_decay: float | None = None,
        rho: float = 0.9,
        scoring: Any = None,
        callbacks: Any = None,
        time_limit: float | None = None,
        clipvalue: float | None = None,
        clipnorm: float | None = None,
        global_clipnorm: float | None = None,
    ) -> None:
        self._keep(locals())

    @available_if(lambda estimator: estimator._check_solver())
    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None, classes: Any = None) -> Self:
        """Train for one more epoch on these rows, going on with the optimizer's state.

        Parameters of the optimizer that were set since count from here on; scikit-learn keeps those of the first call.

        Parameters
        ----------
        X, y, sample_weight
            As in `fit`.
        classes : array-like of shape (n_classes,)
            All classes that will ever come; needed in the first call.

        Not with the solver 'lbfgs', which has no epochs.
        """
        is_first = _check_partial_fit_first_call(self, classes)
        try:
            self._fit(X, y, sample_weight, incremental=True)
        except Exception:
            if is_first:
                del self.classes_
            raise
        return self

    def predict(self, X: Any) -> np.ndarray:
        """Class of each row, shape (n_samples,); for several labels a row 0 or 1, shape (n_samples, n_classes).

        Classes have the dtype that the labels came in, as scikit-learn has it: strings as wide as the longest of them.
        Several labels are a sparse matrix if those that were learned came as one.
        """
        engine, rows, dtype = self._prepared(X)
        from_logits = dtype is not None and self.out_activation_ in ("logistic", "softmax")
        outputs = engine.predict(rows, link=codes.RAW) if from_logits else engine.predict(rows)
        if from_logits and self.n_outputs_ > 1 and not self._multilabel and not np.isfinite(outputs).all():
            outputs = self._finished(engine, rows)  # a row's probabilities are all NaN where one is
        labels = self._decide(np.asarray(outputs), 0.0 if from_logits else 0.5)
        return csr_matrix(labels) if self._sparse_labels else like(labels, outputs)

    def _decide(self, outputs: np.ndarray, threshold: float) -> np.ndarray:
        if self._multilabel:
            return (outputs > threshold).astype(int)
        index = outputs[:, 0] > threshold if self.n_outputs_ == 1 else outputs.argmax(axis=1)
        return self.classes_.take(index, mode="clip")  # there may be one class only

    def predict_proba(self, X: Any) -> np.ndarray:
        """Probability of each class of ``classes_`` for each row, shape (n_samples, n_classes)."""
        pairs = getattr(self, "n_outputs_", 0) == 1 and self.out_activation_ == "logistic"
        outputs = self._outputs(X, codes.LOGISTIC_PAIR if pairs else None)
        if self.n_outputs_ > 1 or outputs.shape[1] == 2:
            return outputs
        positive = np.asarray(outputs)
        return like(np.hstack([1 - positive, positive]), outputs)

    def predict_log_proba(self, X: Any) -> np.ndarray:
        """Logarithm of `predict_proba`, from the network's raw outputs, so that it is finite where they are."""
        engine, rows, dtype = self._prepared(X)
        link = {"softmax": codes.LOG_SOFTMAX, "logistic": codes.LOG_LOGISTIC}.get(self.out_activation_)
        if dtype is None or link is None:
            probabilities = self.predict_proba(X)
            with np.errstate(divide="ignore"):
                return like(np.log(np.asarray(probabilities)), probabilities)
        if self.n_outputs_ == 1:
            link = codes.LOG_LOGISTIC_PAIR
        outputs = engine.predict(rows, link=link)
        return outputs if outputs.dtype == dtype else as_dtype(outputs, dtype)

    @heedless
    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Accuracy of the predictions, rows weighted by `sample_weight`; of several labels a row all must be right."""
        if sample_weight is None and type(y) is np.ndarray and y.ndim == 1 and y.dtype.kind == self._kind_of_labels():
            predicted = np.asarray(self.predict(X))
            if predicted.shape == y.shape:  # what scikit-learn does takes twenty times as long
                return float(np.mean(predicted == y))
        y, sample_weight = self._on_host(y, "y"), self._on_host(sample_weight, "sample_weight")
        return super().score(X, compressed(y, "y"), sample_weight)

    def _kind_of_labels(self) -> str:
        """Kind of the dtype of single labels where it is a simple one, else none."""
        kind = self.classes_.dtype.kind if hasattr(self, "classes_") and not self._multilabel else ""
        return kind if kind in "biuU" else ""

    def _score_metric(self) -> str | None:
        if self._multilabel or len(self.classes_) == 1:
            return None
        return "sparse_categorical_accuracy" if self.out_activation_ == "softmax" else "binary_accuracy"

    def _validation_score(
        self, outputs: np.ndarray, targets: np.ndarray, labels: np.ndarray, sample_weight: np.ndarray | None
    ) -> float:
        hits = ((outputs > 0.5) == targets).all(axis=1) | (len(self.classes_) == 1)
        return float(np.average(hits, weights=sample_weight))

    def _loss(self) -> Loss:
        softmax, smoothing = self.out_activation_ == "softmax", self.label_smoothing
        if self.loss == "focal":
            of_classes = partial(SparseCategoricalFocalCrossentropy, alpha=1.0)
            kind = of_classes if softmax else BinaryFocalCrossentropy
            return kind(gamma=self.focal_gamma, label_smoothing=smoothing)
        return (SparseCategoricalCrossentropy if softmax else BinaryCrossentropy)(label_smoothing=smoothing)

    def _loss_scale(self) -> float:
        return float(self.n_outputs_) if self._multilabel else 1.0  # scikit-learn sums over labels

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags
