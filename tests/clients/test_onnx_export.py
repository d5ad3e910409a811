"""Estimators as ONNX models (skl2onnx), run by ONNX Runtime, predict what they predict themselves."""

import sys

import numpy as np
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.datasets import make_classification, make_multilabel_classification
from sklearn.ensemble import BaggingRegressor, StackingClassifier, VotingClassifier, VotingRegressor
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.multioutput import MultiOutputRegressor
from sklearn.neural_network import MLPClassifier as ScikitLearns
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from fastnn import MLPClassifier, MLPRegressor, Perceptron, activations, export

SKL2ONNX, RUNTIME = (
    pytest.importorskip(name, reason=f"{name} is not installed (`make test-clients`): NOT TESTED")
    for name in ("skl2onnx", "onnxruntime")
)
pytestmark = pytest.mark.filterwarnings("ignore")  # those of the libraries among themselves

X, Y = make_classification(150, 6, n_informative=4, n_classes=3, random_state=0)
X = X.astype(np.float32)
LABELS = {
    "binary": Y == 1,
    "numbers": np.array([7, -3])[(Y == 1).astype(int)],
    "multiclass": Y,
    "large numbers": Y + 2**40,
    "whole floats": Y.astype(float),
    "words": np.array(["a", "b", "ü"])[Y],
    "objects": np.array(["yes", "no"], object)[(Y == 1).astype(int)],
    "multilabel": make_multilabel_classification(150, 6, n_classes=4, random_state=0)[1],
    "one of several": (Y == 1).astype(int)[:, np.newaxis] * [[1, 1]],
}
FLAT = StandardScaler(with_mean=False, with_std=False).fit(X)
DTYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64])


@pytest.fixture(scope="module", autouse=True)
def _registered():
    export.register_with_skl2onnx()
    export.register_with_skl2onnx()  # again does no harm


def classifier(**settings):
    return MLPClassifier(**{"hidden_layer_sizes": (9, 5), "max_iter": 15, "random_state": 0} | settings)


def regressor(**settings):
    return MLPRegressor(**{"hidden_layer_sizes": (9, 5), "max_iter": 15, "random_state": 0} | settings)


def run(model, rows, **more):
    """Convert a model for rows like these, and return its outputs for them."""
    made = SKL2ONNX.to_onnx(model, rows[:1], **more)
    session = RUNTIME.InferenceSession(made.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"X": rows})


def assert_same(model, rows=X, rtol=1e-4, **more):
    """Whether the outputs are those of `predict` and `predict_proba`, in the type of the rows."""
    if hasattr(model, "predict_proba"):
        labels, probabilities = run(model, rows, options={"zipmap": False}, **more)
        np.testing.assert_allclose(probabilities, model.predict_proba(rows), rtol=rtol, atol=2e-6)
        predicted = model.predict(rows)
        assert labels.shape == predicted.shape
        assert (labels == predicted).mean() > 0.99  # two classes may be as good to the last digit
        assert probabilities.dtype == rows.dtype
    else:
        (values,) = run(model, rows, **more)
        predicted = model.predict(rows)
        np.testing.assert_allclose(values.reshape(predicted.shape), predicted, rtol=rtol, atol=1e-5)
        assert values.dtype == rows.dtype


@DTYPES
@pytest.mark.parametrize("name", sorted({activation.name for activation in activations._BY_NAME.values()}))
def test_every_activation(name, dtype):
    function = {"leaky_relu": activations.Activation(name, 0.3), "elu": activations.Activation(name, 0.7)}.get(
        name, name
    )
    model = classifier(activation="relu" if name == "step" else function, dtype=np.dtype(dtype).name).fit(X, Y)
    model.set_params(activation=function)  # nothing can be trained through a step
    assert_same(model, X.astype(dtype), rtol=1e-4 if dtype is np.float32 or name == "gelu" else 1e-9)


@pytest.mark.parametrize("opset", [13, 15, 18, None])
@pytest.mark.parametrize("normalization", ["batch", "layer"])
def test_normalizations_dropout_and_a_list_of_activations(normalization, opset):
    settings = {"normalization": normalization, "dropout": [0.2, 0.0], "activation": ["gelu", "tanh"]}
    for dtype in ("float32", "float64"):
        model = classifier(**settings, dtype=dtype).fit(5 * X + 1, Y)
        assert_same(model, (5 * X + 1).astype(dtype), rtol=1e-3, target_opset=opset)


@DTYPES
@pytest.mark.parametrize("labels", LABELS.values(), ids=LABELS)
def test_every_kind_of_labels(labels, dtype):
    model = classifier().fit(X, labels)
    assert_same(model, X.astype(dtype))
    labels = run(model, X, options={"zipmap": False})[0]
    assert labels.dtype == (object if model.classes_.dtype.kind in "UO" else np.int64)


@DTYPES
@pytest.mark.parametrize("hidden", [(), (7,)])
def test_networks_for_regression(hidden, dtype):
    several = np.column_stack([X[:, 0], X[:, 1] * 10, -X[:, 2]])
    for target, settings in (
        (X[:, 0], {}),
        (several, {}),
        (Y, {"loss": "poisson"}),
        (X[:, 0], {"loss": "quantile", "quantile": [0.1, 0.5, 0.9]}),
        (several, {"loss": "huber", "normalization": "batch"}),
    ):
        model = regressor(hidden_layer_sizes=hidden, **settings).fit(X, target)
        assert_same(model, X.astype(dtype))
        outputs = 1 if model.predict(X).ndim == 1 else model.predict(X).shape[1]
        assert run(model, X.astype(dtype))[0].shape == (len(X), outputs)


def test_other_inputs():
    whole = np.round(X * 3)
    model = classifier().fit(whole, Y)
    labels, probabilities = run(model, whole.astype(np.int64), options={"zipmap": False})
    np.testing.assert_allclose(probabilities, model.predict_proba(whole), rtol=1e-4, atol=1e-6)
    assert (labels == model.predict(whole)).all()


@pytest.mark.parametrize("labels", ["numbers", "words", "multiclass"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"zipmap": False},
        {"zipmap": "columns"},
        {"zipmap": False, "output_class_labels": True},
        {"zipmap": False, "nocl": True},
    ],
    ids=str,
)
def test_options_mean_what_they_mean_for_scikit_learns_class(options, labels):
    ours = classifier(dtype="float64", hidden_layer_sizes=(9,)).fit(X, LABELS[labels])
    theirs = ScikitLearns((9,), max_iter=15, random_state=0).fit(X.astype(float), LABELS[labels])
    found = run(make_pipeline(FLAT, ours), X, options={id(ours): options})
    expected = run(make_pipeline(FLAT, theirs), X, options={id(theirs): options | {"nocl": False}})
    if options.get("nocl"):
        expected[0] = np.searchsorted(ours.classes_, expected[0].astype(ours.classes_.dtype))
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert type(one) is type(other)
        if isinstance(one, list):
            assert [list(row) for row in one] == [list(row) for row in other]
            one, other = ([list(row.values()) for row in rows] for rows in (one, other))
        else:
            assert (one.shape, one.dtype) == (other.shape, other.dtype)
        if np.asarray(one).dtype.kind == "f":
            np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-5)
        else:
            assert (one == other).mean() > 0.99


NET = classifier(hidden_layer_sizes=(6,))
FOR_CLASSES = {
    "pipeline": make_pipeline(StandardScaler(), NET),
    "columns": make_pipeline(ColumnTransformer([("a", MinMaxScaler(), [0, 2, 3])], remainder="passthrough"), NET),
    "search": GridSearchCV(make_pipeline(StandardScaler(), NET), {"mlpclassifier__alpha": [0.1, 1.0]}, cv=2),
    "calibration": CalibratedClassifierCV(NET, cv=2),
    "voting": VotingClassifier([("net", NET), ("other", LogisticRegression())], voting="soft", flatten_transform=False),
    "stacking": StackingClassifier([("net", NET), ("other", LogisticRegression())], LogisticRegression(), cv=2),
}


@pytest.mark.parametrize("model", FOR_CLASSES.values(), ids=FOR_CLASSES)
@pytest.mark.parametrize("labels", ["binary", "multiclass"])
def test_inside_tools_for_classification(model, labels):
    model.fit(X, LABELS[labels].astype(int))
    labels, probabilities = run(model, X, options={"zipmap": False})
    np.testing.assert_allclose(probabilities, model.predict_proba(X), rtol=1e-4, atol=1e-5)
    assert (labels == model.predict(X)).mean() > 0.99


VALUES_NET = regressor(hidden_layer_sizes=(6,))
FOR_VALUES = {
    "pipeline": make_pipeline(StandardScaler(), VALUES_NET),
    "bagging": BaggingRegressor(VALUES_NET, 3, random_state=0),
    "voting": VotingRegressor([("net", VALUES_NET)]),
    "several": MultiOutputRegressor(VALUES_NET),
}


@pytest.mark.parametrize("model", FOR_VALUES.values(), ids=FOR_VALUES)
def test_inside_tools_for_regression(model):
    target = X[:, :2] if isinstance(model, MultiOutputRegressor) else X[:, 0]
    assert_same(model.fit(X, target))


@pytest.mark.parametrize("labels", ["numbers", "words", "multiclass"])
def test_perceptrons(labels):
    model = Perceptron(max_iter=20, random_state=0).fit(X, LABELS[labels])
    found, sums = run(model, X, options={"zipmap": False})
    assert (found == model.predict(X)).all()
    expected = model.decision_function(X)
    expected = np.column_stack([-expected, expected]) if expected.ndim == 1 else expected
    np.testing.assert_allclose(sums, expected, rtol=1e-3, atol=1e-3)


def test_derived_classes():
    class Derived(MLPClassifier):
        def __init__(self, neurons=5):
            super().__init__(neurons, max_iter=5, random_state=0)
            self.neurons = neurons

    export.register_with_skl2onnx(Derived)
    assert_same(Derived().fit(X, Y))
    with pytest.raises(TypeError, match="derived from MLPClassifier, MLPRegressor or Perceptron; got .*StandardScaler"):
        export.register_with_skl2onnx(StandardScaler)


@pytest.mark.parametrize("classes", [[0.5, 1.5, 2.5], [1, "a", "b"], [None, 1, 2]], ids=str)
def test_labels_that_onnx_does_not_have_are_refused(classes):
    model = classifier(max_iter=2).fit(X, Y)
    model.classes_ = np.array(classes, None if isinstance(classes[0], float) else object)
    for each, options in ((model, {}), (model, {"zipmap": False}), (make_pipeline(FLAT, model), {})):
        with pytest.raises(ValueError, match="whole numbers or text; classes_ is"):
            run(each, X, options={id(model): options})
    found, _ = run(model, X, options={"nocl": True, "zipmap": False})
    assert (found == model.predict_proba(X).argmax(axis=1)).all()


def test_one_class_is_refused():
    with pytest.raises(ValueError, match="knows one class only, 4, has nothing to export"):
        run(classifier(max_iter=2).fit(X, np.full(len(X), 4)), X)


def test_models_that_learned_nothing_are_refused():
    for model in (classifier(), regressor(), Perceptron()):
        with pytest.raises(NotFittedError):
            run(model, X)


def test_without_skl2onnx(monkeypatch):
    monkeypatch.setitem(sys.modules, "skl2onnx", None)
    with pytest.raises(ImportError, match=r"pip install 'fastnn-core\[export\]'"):
        export.register_with_skl2onnx()
