"""Fitted estimators as ONNX models, made by skl2onnx (``pip install fastnn-core[export]``)."""

import math
from typing import Any

import numpy as np

from fastnn import activations

_DOUBLE, _FLOAT, _INT64 = 11, 1, 7  # of onnx.TensorProto
_OPTIONS = {"zipmap": [True, False, "columns"], "output_class_labels": [False, True], "nocl": [True, False]}
_SAME = {"linear": "Identity", "relu": "Relu", "sigmoid": "Sigmoid", "tanh": "Tanh", "exponential": "Exp"}


def register_with_skl2onnx(*classes: type) -> None:
    """Tell skl2onnx how to convert fastnn's estimators, alone or inside pipelines and other meta-estimators.

    skl2onnx looks converters up in a table of its own, so this must be called once in a process, before its ``to_onnx``
    or ``convert_sklearn``. The options are those of scikit-learn's classes: ``zipmap``, ``output_class_labels`` and
    ``nocl``.

    Parameters
    ----------
    *classes : type
        Classes derived from `MLPClassifier`, `MLPRegressor` or `Perceptron` that predict as they do.

    Raises
    ------
    ImportError
        If skl2onnx is not installed.

    Notes
    -----
    The model computes in the type of its input: double for ``DoubleTensorType``, else float, whatever `dtype` the
    estimator has. In double its formulas keep to what ONNX Runtime has for that type, and GELU, which needs the error
    function, is rounded to float. A regressor has an output of shape (n, outputs), a classifier the labels and the
    probabilities; those of a `Perceptron` are its ``decision_function``, of two classes with both signs. Converting
    raises ValueError for labels that are neither whole numbers nor text, and for a classifier that knows one class.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> import fastnn
    >>> X, y = np.eye(4, dtype=np.float32), ["a", "b", "a", "b"]
    >>> model = make_pipeline(StandardScaler(), fastnn.MLPClassifier(random_state=0)).fit(X, y)
    >>> fastnn.export.register_with_skl2onnx()  # doctest: +SKIP
    >>> skl2onnx.to_onnx(model, X, options={"zipmap": False})  # doctest: +SKIP
    """
    try:
        import skl2onnx
    except ImportError:
        raise ImportError("the export to ONNX needs skl2onnx: pip install 'fastnn-core[export]'") from None
    from fastnn.estimators import MLPClassifier, MLPRegressor
    from fastnn.estimators.perceptron import Perceptron

    of_classes = {"parser": _parse_classifier, "options": _OPTIONS}
    ours: dict[type, dict[str, Any]] = {
        MLPClassifier: {"shape_fct": _classifier_shapes, "convert_fct": _convert_classifier, **of_classes},
        MLPRegressor: {"shape_fct": _regressor_shapes, "convert_fct": _convert_regressor},
        Perceptron: {"shape_fct": _classifier_shapes, "convert_fct": _convert_perceptron, **of_classes},
    }
    for kind in (*ours, *classes):
        base = next((base for base in kind.__mro__ if base in ours), None)
        if base is None:
            raise TypeError(f"classes must be derived from MLPClassifier, MLPRegressor or Perceptron; got {kind!r}")
        skl2onnx.update_registered_converter(kind, f"{kind.__module__}.{kind.__qualname__}", **ours[base])


def _double(operator: Any) -> bool:
    from skl2onnx.common.data_types import DoubleTensorType

    return isinstance(operator.inputs[0].type, DoubleTensorType)


def _tensor(operator: Any, shape: list) -> Any:
    """Return the type of numbers that the model computes in."""
    from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType

    return (DoubleTensorType if _double(operator) else FloatTensorType)(shape)


def _parse_classifier(scope: Any, model: Any, inputs: Any, custom_parsers: Any = None) -> Any:
    """Check the model, then declare its outputs as skl2onnx does for all classifiers, with their options."""
    from skl2onnx._parse import _parse_sklearn_classifier
    from sklearn.utils.validation import check_is_fitted

    check_is_fitted(model)
    _labels(scope, model)
    return _parse_sklearn_classifier(scope, model, inputs, custom_parsers)


def _regressor_shapes(operator: Any) -> None:
    from sklearn.utils.validation import check_is_fitted

    check_is_fitted(operator.raw_operator)
    rows = operator.inputs[0].get_first_dimension()
    operator.outputs[0].type = _tensor(operator, [rows, operator.raw_operator.n_outputs_])


def _classifier_shapes(operator: Any) -> None:
    from skl2onnx.common.data_types import Int64TensorType, StringTensorType

    model = operator.raw_operator
    rows = operator.inputs[0].get_first_dimension()
    labels = _labels(operator.scope_inst, model)
    shape = [rows, len(labels)] if _multilabel(model) else [rows]
    operator.outputs[0].type = (Int64TensorType if labels.dtype.kind == "i" else StringTensorType)(shape)
    operator.outputs[1].type = _tensor(operator, [rows, len(labels)])


def _multilabel(model: Any) -> bool:
    return getattr(model, "_multilabel", False)


def _labels(scope: Any, model: Any) -> np.ndarray:
    """Return the classes as ONNX has them, int64 or text.

    Raises
    ------
    ValueError
        If they are neither, or only one.
    """
    from skl2onnx.common.utils_classifier import get_label_classes

    labels = np.asarray(get_label_classes(scope, model))  # numbers from 0 on with the option nocl
    if len(labels) == 1 and not _multilabel(model):
        raise ValueError(f"a classifier that knows one class only, {labels.tolist()[0]!r}, has nothing to export")
    if all(isinstance(label, str) for label in labels.tolist()):
        return labels.astype(object)
    if labels.dtype.kind in "biuf":
        whole = labels.astype(np.int64)
        if (whole == labels).all():
            return whole
    raise ValueError(
        f"ONNX has labels that are whole numbers or text; classes_ is {labels}: fit on such labels, or convert with "
        "the option nocl=True, which gives the places in classes_ instead"
    )


def _convert_regressor(scope: Any, operator: Any, container: Any) -> None:
    graph = _Graph(operator, container)
    graph("Identity", graph.network(), output_names=operator.outputs[:1]).add_to(scope, container)


def _convert_classifier(scope: Any, operator: Any, container: Any) -> None:
    model, graph = operator.raw_operator, _Graph(operator, container)
    probabilities = graph.network()
    if model.n_outputs_ == 1 and not model._multilabel:
        probabilities = graph("Concat", graph("Sub", graph.numbers([1]), probabilities), probabilities, axis=1)
    graph.classify(probabilities, model._multilabel, scope, container)


def _convert_perceptron(scope: Any, operator: Any, container: Any) -> None:
    model, graph = operator.raw_operator, _Graph(operator, container)
    sums = graph.dense(graph.cast(graph.input), model.coef_.T, model.intercept_)
    if len(model.coef_) == 1:
        sums = graph("Concat", graph("Neg", sums), sums, axis=1)
    graph.classify(sums, False, scope, container)


class _Graph:
    """Writes the network of an estimator in ONNX's operators, in the type of numbers of the input."""

    def __init__(self, operator: Any, container: Any) -> None:
        self.model, self.input, self.output = operator.raw_operator, operator.inputs[0], operator.outputs
        self.double = _double(operator)
        self.opset = container.target_opset

    def __call__(self, kind: str, *inputs: Any, **attributes: Any) -> Any:
        """Return the node of an operator."""
        from skl2onnx.algebra import onnx_ops

        return getattr(onnx_ops, f"Onnx{kind}")(*inputs, op_version=self.opset, **attributes)

    def numbers(self, values: Any) -> np.ndarray:
        return np.asarray(values, np.float64 if self.double else np.float32)

    def classify(self, scores: Any, multilabel: bool, scope: Any, container: Any) -> None:
        """Write scores, and labels: the class with the largest score, or each that has more than a half."""
        scores = self("Identity", scores, output_names=self.output[1:2])
        if multilabel:
            index = self("Greater", scores, self.numbers([0.5]))
            labels = self("Cast", index, to=_INT64, output_names=self.output[:1])
        else:
            index = self("ArgMax", scores, axis=1, keepdims=0)
            labels = self("Gather", _labels(scope, self.model), index, output_names=self.output[:1])
        labels.add_to(scope, container)

    def network(self) -> Any:
        """Return the node of what the network gives, shape (n, n_outputs_)."""
        model = self.model
        weights = iter(model._weights())
        y = self.cast(self.input)
        for layer in model._layers([coef.shape[1] for coef in model.coefs_[:-1]], model._normalization)[:-1]:
            if layer.kind == "dense":
                y = self.dense(y, next(weights), next(weights))
            elif layer.kind == "activation":
                y = self._activation(layer.activation, y)
            elif layer.kind == "batch_normalization":
                gamma, beta, mean, variance = (next(weights).astype(np.float64) for _ in range(4))
                scale = gamma / np.sqrt(variance + layer.epsilon)
                y = self._affine(y, scale, beta - mean * scale)
            elif layer.kind == "layer_normalization":
                y = self._affine(self._standardized(y, layer.epsilon), next(weights), next(weights))
            elif layer.kind != "dropout":  # which predictions know nothing of
                raise NotImplementedError(f"the layer {layer.kind} has no export to ONNX yet")
        return self._activation(activations.get(model.out_activation_), self.dense(y, next(weights), next(weights)))

    def cast(self, y: Any) -> Any:
        return self("Cast", y, to=_DOUBLE if self.double else _FLOAT)

    def dense(self, y: Any, kernel: np.ndarray, bias: np.ndarray) -> Any:
        return self("Add", self("MatMul", y, self.numbers(kernel)), self.numbers(bias))

    def _affine(self, y: Any, scale: Any, shift: Any) -> Any:
        return self("Add", self("Mul", y, self.numbers(scale)), self.numbers(shift))

    def _standardized(self, y: Any, epsilon: float) -> Any:
        centred = self("Sub", y, self("ReduceMeanApi18", y, axes=[1]))
        variance = self("ReduceMeanApi18", self("Mul", centred, centred), axes=[1])
        return self("Div", centred, self("Sqrt", self("Add", variance, self.numbers([epsilon]))))

    def _activation(self, function: activations.Activation, z: Any) -> Any:
        """Return the node of an activation; of the operators of ONNX those that ONNX Runtime has for doubles too."""
        alpha = self.numbers([function.alpha])
        if function.name in _SAME:
            return self(_SAME[function.name], z)
        if function.name == "softmax":
            return self("Softmax", z, axis=1)
        if function.name == "leaky_relu":
            return self("Sub", self("Relu", z), self("Mul", self("Relu", self("Neg", z)), alpha))
        if function.name == "elu":
            return self._elu(z, alpha)
        if function.name == "selu":
            from fastnn.kernels.reference.activations import SELU_ALPHA, SELU_SCALE

            return self("Mul", self._elu(z, self.numbers([SELU_ALPHA])), self.numbers([SELU_SCALE]))
        if function.name == "silu":
            return self("Mul", z, self("Sigmoid", z))
        if function.name == "gelu":
            erf = self.cast(self("Erf", self("Cast", self("Div", z, self.numbers([math.sqrt(2)])), to=_FLOAT)))
            return self("Mul", z, self._affine(erf, [0.5], [0.5]))
        if function.name == "softplus":
            rest = self("Exp", self("Neg", self("Abs", z)))
            return self("Add", self("Relu", z), self("Log", self("Add", rest, self.numbers([1]))))
        if function.name == "step":
            return self.cast(self("Greater", z, self.numbers([0])))
        raise NotImplementedError(f"the activation {function.name} has no export to ONNX yet")

    def _elu(self, z: Any, alpha: np.ndarray) -> Any:
        negative = self("Sub", self("Exp", self("Min", z, self.numbers([0]))), self.numbers([1]))
        return self("Add", self("Relu", z), self("Mul", negative, alpha))
