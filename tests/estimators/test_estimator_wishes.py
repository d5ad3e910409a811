"""What the estimators have beyond scikit-learn's: weights of classes, conversions, and what is refused."""


import numpy as np
import pytest
from harness import same_weights
from sklearn.datasets import make_classification, make_multilabel_classification
from sklearn.metrics import balanced_accuracy_score

import fastnn
from fastnn import MLPClassifier

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X, Y = make_classification(160, 6, n_informative=4, n_classes=3, random_state=0)
X, Y = X[:100], Y[:100]
RARE = np.arange(100) % 10 == 0


@pytest.mark.parametrize("weights", [{0: 1.0, 1: 5.0}, "balanced"])
def test_weights_of_classes_are_weights_of_rows(weights):
    shares = {0: 100 / 2 / 90, 1: 100 / 2 / 10} if weights == "balanced" else weights
    by_class = MLPClassifier(class_weight=weights, max_iter=20, random_state=0).fit(X, RARE.astype(int))
    by_row = MLPClassifier(max_iter=20, random_state=0)
    by_row.fit(X, RARE.astype(int), sample_weight=np.where(RARE, shares[1], shares[0]))
    same_weights(by_class, by_row)
    halves = MLPClassifier(class_weight=weights, max_iter=20, random_state=0)
    halves.fit(X, RARE.astype(int), sample_weight=np.full(100, 0.5))
    np.testing.assert_allclose(halves.loss_curve_, by_class.loss_curve_, rtol=1e-3)


def test_balanced_classes_are_found_more_often():
    models = [MLPClassifier(class_weight=w, max_iter=60, random_state=0).fit(X, RARE) for w in (None, "balanced")]
    plain, balanced = (balanced_accuracy_score(RARE, model.predict(X)) for model in models)
    assert balanced > plain


def test_class_weights_elsewhere():
    words = np.array(["a", "b", "c"])[Y]
    model = MLPClassifier(class_weight={"a": 2.0}, max_iter=3, random_state=0).fit(X, words)  # others weigh 1
    model.partial_fit(X, words)
    labels = make_multilabel_classification(100, 6, n_classes=2, random_state=0)[1]
    MLPClassifier(class_weight=[{0: 1, 1: 2}, {0: 1, 1: 3}], max_iter=3).fit(X, labels)
    with pytest.raises(ValueError, match="'balanced' cannot be used with partial_fit"):
        MLPClassifier(class_weight="balanced").partial_fit(X, Y, classes=[0, 1, 2])
    with pytest.raises(ValueError, match="non-zero"):
        MLPClassifier(class_weight={0: 0.0, 1: 0.0, 2: 0.0}).fit(X, Y)


def test_a_failed_fit_changes_nothing():
    model = MLPClassifier(max_iter=3, random_state=0).fit(X, Y)
    before, prediction = model.get_params(), model.predict_proba(X)
    for wrong in ({"device": "gpu"}, {"activation": ["relu", "tanh"]}, {"dropout": [1.5]}, {"activation": "step"}):
        with pytest.raises(ValueError):  # noqa: PT011
            model.set_params(**wrong).fit(X[:, :3], Y > 0)
        model.set_params(**before)
        np.testing.assert_array_equal(model.predict_proba(X), prediction)


@pytest.mark.filterwarnings("error::UserWarning")
def test_conversion_of_what_scikit_learn_can_express():
    model = MLPClassifier(n_layers=2, width=5, activation=["sigmoid", "logistic"], max_iter=3).fit(X, Y)
    twin = model.to_sklearn()
    assert (twin.activation, twin.hidden_layer_sizes) == ("logistic", (5, 5))
    np.testing.assert_allclose(twin.predict_proba(X), model.predict_proba(X), rtol=1e-5)


def test_conversion_names_what_it_leaves_out():
    model = MLPClassifier(dropout=0.2, class_weight="balanced", max_iter=3).fit(X, Y)
    with pytest.warns(UserWarning, match=r"class_weight='balanced', dropout=0\.2: left out"):
        twin = model.to_sklearn()
    np.testing.assert_allclose(twin.predict_proba(X), model.predict_proba(X), rtol=1e-5)
    model = MLPClassifier((6, 4), "tanh", normalization="batch", max_iter=30, random_state=0).fit(X, Y)
    with pytest.warns(UserWarning, match="normalization='batch': left out"):
        twin = model.to_sklearn()
    np.testing.assert_allclose(twin.predict_proba(X), model.predict_proba(X), rtol=1e-4)
    with pytest.raises(ValueError, match="normalization='layer' cannot be expressed"):
        MLPClassifier(normalization="layer", max_iter=2).fit(X, Y).to_sklearn()
    for functions in ("gelu", ["relu", "tanh"]):
        model = MLPClassifier((4, 4), functions, max_iter=2).fit(X, Y)
        with pytest.raises(ValueError, match="activation=.* cannot be expressed by scikit-learn"):
            model.to_sklearn()


def test_pickles_of_an_older_version_get_the_new_parameters():
    model = MLPClassifier(max_iter=3, random_state=0).fit(X, Y)
    state = model.__getstate__()
    for name in ("dropout", "class_weight", "n_layers", "scoring"):
        del state[name]
    old = MLPClassifier.__new__(MLPClassifier)
    old.__setstate__(state)
    assert old.get_params() == model.get_params()
    np.testing.assert_array_equal(old.predict_proba(X), model.predict_proba(X))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"device": "gpu"}, "'device' parameter of MLPClassifier must be a str among"),
        ({"activation": "rellu"}, "'activation' parameter of MLPClassifier must be a str among"),
        ({"activation": ["relu", "tanh"]}, "a list for 2 hidden layers, but there are 1"),
        ({"activation": ["rellu"]}, "unknown activation 'rellu'. Did you mean 'relu'"),
        ({"activation": "step"}, "no useful derivative"),
        ({"dropout": 1.0}, "'dropout' parameter"),
        ({"dropout": [0.1, 0.2]}, "a list for 2 hidden layers"),
        ({"dropout": [-0.1]}, "rate must be"),
        ({"normalization": "group"}, "'normalization' parameter"),
        ({"width": 0}, "'width' parameter"),
        ({"class_weight": {0: -1.0, 1: 1.0, 2: 1.0}}, "weights >= 0"),
        ({"class_weight": [{0: 1.0, 1: 1.0, 2: 1.0}]}, "each row has one label"),
        ({"class_weight": "balance"}, "'class_weight' parameter"),
        ({"early_stopping": True, "scoring": "acuracy"}, "acuracy"),
        ({"callbacks": [3]}, "callbacks must be objects"),
        ({"callbacks": 3}, "'callbacks' parameter"),
        ({"time_limit": 0}, "'time_limit' parameter"),
        ({"solver": "lbfgs", "dropout": 0.1}, "solver='lbfgs' takes no dropout"),
        ({"solver": "lbfgs", "callbacks": [fastnn.History()]}, "solver='lbfgs' takes no callbacks"),
    ],
)
def test_errors(settings, words):
    with pytest.raises((ValueError, TypeError), match=words):
        MLPClassifier(**settings).fit(X, Y)
