"""The estimators as scikit-learn's users meet them: signatures, labels, errors, warnings, meta-estimators, pictures."""

import copy
import inspect
import warnings

import numpy as np
import pytest
import sklearn
import sklearn.neural_network as scikit_learn
from sklearn.base import clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.datasets import make_classification
from sklearn.ensemble import (
    AdaBoostClassifier,
    AdaBoostRegressor,
    StackingClassifier,
    VotingClassifier,
    VotingRegressor,
)
from sklearn.exceptions import ConvergenceWarning
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.inspection import DecisionBoundaryDisplay, partial_dependence
from sklearn.model_selection import (
    FixedThresholdClassifier,
    GridSearchCV,
    HalvingGridSearchCV,
    RandomizedSearchCV,
    TunedThresholdClassifierCV,
    cross_val_predict,
    cross_validate,
    learning_curve,
    validation_curve,
)
from sklearn.multiclass import OneVsOneClassifier, OneVsRestClassifier
from sklearn.multioutput import ClassifierChain, MultiOutputRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.semi_supervised import SelfTrainingClassifier
from sklearn.utils import check_random_state

import fastnn
from fastnn import MLPClassifier, MLPRegressor

X, Y = make_classification(120, 5, random_state=0)
unconverged = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@pytest.mark.parametrize("name", ["MLPClassifier", "MLPRegressor"])
def test_constructors_begin_with_scikit_learns_parameters(name):
    ours, theirs = (inspect.signature(getattr(module, name)).parameters for module in (fastnn, scikit_learn))
    assert [(p.name, p.kind, p.default) for p in ours.values() if p.name in theirs] == [
        (p.name, p.kind, p.default) for p in theirs.values()
    ]


@unconverged
@pytest.mark.parametrize("name", ["MLPClassifier", "MLPRegressor"])
def test_docstrings_have_all_parameters_and_attributes(name):
    kind = getattr(fastnn, name)
    model = kind(max_iter=2, normalization="batch").fit(X, Y)
    learned = [name for name in vars(model) if name.endswith("_") and not name.startswith("_")]
    for section, names in (("Parameters", model.get_params()), ("Attributes", learned)):
        text = inspect.getdoc(kind).partition(f"{section}\n---")[2].partition("\n\n")[0]
        lines = [line.partition(" : ")[0] for line in text.splitlines() if not line.startswith((" ", "-"))]
        assert set(names) <= {name for line in lines for name in line.split(", ")}


@unconverged
@pytest.mark.parametrize("settings", [{}, {"early_stopping": True}, {"solver": "sgd"}, {"solver": "lbfgs"}], ids=str)
@pytest.mark.parametrize("name", ["MLPClassifier", "MLPRegressor"])
def test_fitted_attributes(name, settings):
    fitted = [getattr(module, name)(max_iter=4, **settings).fit(X, Y) for module in (fastnn, scikit_learn)]
    ours, theirs = ({key for key in vars(model) if not key.startswith("_")} for model in fitted)
    assert theirs <= ours


@unconverged
@pytest.mark.parametrize(
    "labels",
    [
        Y.tolist(),
        Y.astype(bool),
        Y.astype(float),
        np.where(Y, "yes", "no"),
        np.where(Y, "yes", "no").astype(object),
        Y[:, np.newaxis],
    ],
    ids=["list", "bool", "float", "words", "objects", "column"],
)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.DataConversionWarning")
def test_labels_keep_their_type(labels):
    ours, theirs = (module.MLPClassifier(max_iter=2).fit(X, labels) for module in (fastnn, scikit_learn))
    assert ours.classes_.dtype == theirs.classes_.dtype
    assert ours.predict(X).dtype == theirs.predict(X).dtype
    assert 0.0 <= ours.score(X, labels) <= 1.0


WRONG = [
    {"hidden_layer_sizes": (0,)}, {"hidden_layer_sizes": -1}, {"alpha": -1}, {"momentum": 2}, {"batch_size": 0},
    {"max_iter": 0}, {"validation_fraction": 1.0}, {"beta_1": 1.0}, {"epsilon": 0}, {"n_iter_no_change": 0},
    {"early_stopping": 1}, {"shuffle": 3}, {"tol": -1}, {"random_state": "a"},
]  # fmt: skip


@pytest.mark.parametrize("settings", WRONG, ids=str)
def test_errors_of_parameters_are_scikit_learns(settings):
    with pytest.raises(ValueError) as theirs:  # noqa: PT011
        scikit_learn.MLPClassifier(**settings).fit(X, Y)
    with pytest.raises(ValueError) as ours:  # noqa: PT011
        MLPClassifier(**settings).fit(X, Y)
    assert (type(ours.value), str(ours.value)) == (type(theirs.value), str(theirs.value))


@unconverged
def test_momentum_may_be_one():
    assert MLPClassifier(solver="sgd", momentum=1.0, learning_rate_init=1e-4, max_iter=3).fit(X, Y).n_iter_ == 3


@pytest.mark.parametrize(
    ("settings", "category"),
    [
        ({"max_iter": 2}, ConvergenceWarning),
        ({"batch_size": 10_000, "tol": 1.0}, UserWarning),
        ({"time_limit": 1e-9}, ConvergenceWarning),
        ({"solver": "lbfgs", "time_limit": 1e-9}, ConvergenceWarning),
    ],
    ids=str,
)
@pytest.mark.parametrize("wrap", [lambda model: model, lambda model: make_pipeline(StandardScaler(), model)])
def test_warnings_name_the_users_line(settings, category, wrap):
    with pytest.warns(category) as seen:
        wrap(MLPClassifier(**settings)).fit(X, Y)
    assert [warning.filename for warning in seen if warning.category is category] == [__file__]


def test_warnings_of_conversions_name_the_users_line():
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        MLPClassifier(dropout=0.1, tol=1.0).fit(X, Y).to_sklearn()
    assert [warning.filename for warning in seen] == [__file__]


def small(**settings):
    return MLPClassifier((6,), **{"max_iter": 12, "learning_rate_init": 0.02, "random_state": 0} | settings)


CLASSIFIERS = {
    "voting": lambda model: VotingClassifier([("a", model), ("b", small(solver="nadam"))], voting="soft"),
    "stacking": lambda model: StackingClassifier([("a", model)], small(), cv=2),
    "boosting": lambda model: AdaBoostClassifier(model, n_estimators=3, random_state=0),
    "one against the rest": OneVsRestClassifier,
    "one against one": OneVsOneClassifier,
    "a fixed threshold": lambda model: FixedThresholdClassifier(model, threshold=0.4),
    "a tuned threshold": lambda model: TunedThresholdClassifierCV(model, cv=2),
    "halving search": lambda model: HalvingGridSearchCV(
        model, {"alpha": [1e-4, 1e-2], "clipnorm": [None, 0.5]}, resource="max_iter", max_resources=24, cv=2
    ),
    "random search": lambda model: RandomizedSearchCV(model, {"width": range(3, 9)}, n_iter=2, cv=2, random_state=0),
}


@unconverged
@pytest.mark.parametrize("tool", CLASSIFIERS.values(), ids=CLASSIFIERS)
def test_inside_other_classifiers(tool):
    model = small() if tool is not CLASSIFIERS["random search"] else small().set_params(hidden_layer_sizes=(100,))
    assert tool(model).fit(X, Y).score(X, Y) > 0.6


@unconverged
@pytest.mark.parametrize("name", ["MLPClassifier", "MLPRegressor"])
def test_classes_derived_with_parameters_of_their_own(name):
    """What users derive from scikit-learn's classes can be derived from ours."""

    def derived(base, **more):
        class Derived(base):
            def __init__(self, neurons=3, alpha=0.1):
                super().__init__(hidden_layer_sizes=neurons, alpha=alpha, max_iter=4, random_state=0, **more)
                self.neurons = neurons

        return Derived

    ours = derived(getattr(fastnn, name), dtype="float64")
    theirs = derived(getattr(scikit_learn, name))
    assert ours().get_params() == theirs().get_params()
    assert repr(ours(neurons=5)) == repr(theirs(neurons=5))
    for model in (ours(), clone(ours(neurons=4)), copy.deepcopy(ours(2).fit(X, Y))):
        expected = theirs(**model.get_params()).fit(X, Y).predict(X)
        np.testing.assert_allclose(model.fit(X, Y).predict(X), expected, rtol=1e-6)
        np.testing.assert_allclose(model.to_sklearn().predict(X), expected, rtol=1e-6)
    searches = [GridSearchCV(kind(), {"neurons": [2, 3]}, cv=2).fit(X, Y) for kind in (ours, theirs)]
    np.testing.assert_allclose(*(search.cv_results_["mean_test_score"] for search in searches), rtol=1e-6)
    with pytest.raises(ValueError, match="'alpha' parameter of Derived"):
        ours(alpha=-1).fit(X, Y)


@unconverged
def test_a_shared_generator_goes_on_as_after_a_fit_of_scikit_learn():
    for settings in ({}, {"shuffle": False}, {"early_stopping": True}, {"solver": "lbfgs"}):
        drawn = []
        for module, more in ((fastnn, {"dtype": "float64"}), (scikit_learn, {})):
            generator = check_random_state(0)
            module.MLPClassifier(max_iter=2, batch_size=50, random_state=generator, **settings, **more).fit(X, Y)
            drawn.append(generator.randint(10**9))
        assert drawn[0] == drawn[1]


@unconverged
def test_inside_other_tools():
    model, target = small(), np.column_stack([X[:, 0], X[:, 1]])
    regressor = MLPRegressor(hidden_layer_sizes=6, max_iter=60, learning_rate_init=0.03, random_state=0)
    for made in (
        MultiOutputRegressor(regressor),
        TransformedTargetRegressor(regressor, transformer=StandardScaler()),
    ):
        assert made.fit(X, target).score(X, target) > 0.5
    for made in (AdaBoostRegressor(regressor, n_estimators=2), VotingRegressor([("a", regressor)])):
        assert made.fit(X, target[:, 0]).score(X, target[:, 0]) > 0.5
    ClassifierChain(model).fit(X, np.column_stack([Y, 1 - Y])).predict(X)
    partly = np.where(np.arange(len(Y)) % 3, Y, -1)
    assert SelfTrainingClassifier(model).fit(X, partly).score(X, Y) > 0.6
    assert cross_val_predict(model, X, Y, cv=2, method="predict_proba").shape == (120, 2)
    _, curve, _ = learning_curve(model, X, Y, cv=2, train_sizes=[0.5, 1.0], exploit_incremental_learning=True)
    assert curve.shape == (2, 2)
    curve, _ = validation_curve(model, X, Y, param_name="weight_decay", param_range=[0.0, 0.1], cv=2)
    assert curve.shape == (2, 2)
    scores = cross_validate(model, X, Y, cv=2, scoring=["accuracy", "roc_auc", "neg_brier_score"])
    assert np.isfinite(scores["test_neg_brier_score"]).all()
    assert partial_dependence(model.fit(X, Y), X, [0])["average"].shape[0] == 1


@unconverged
@pytest.mark.skipif(sklearn.__version__.startswith("1.7."), reason="its pipelines do not route weights to score")
def test_weights_and_classes_are_routed():
    weights = np.where(Y, 2.0, 1.0)
    with sklearn.config_context(enable_metadata_routing=True):
        model = small().set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
        model.set_partial_fit_request(classes=True)
        scale = StandardScaler().set_fit_request(sample_weight=True)
        done = cross_validate(make_pipeline(scale, model), X, Y, cv=2, params={"sample_weight": weights})
    assert np.isfinite(done["test_score"]).all()


@unconverged
def test_html_shows_parameters_and_whether_it_is_fitted():
    model = make_pipeline(StandardScaler(), small(clipnorm=0.5))
    assert "Not fitted" in model._repr_html_()
    html = model.fit(X, Y)._repr_html_()
    assert "MLPClassifier" in html
    assert "Not fitted" not in html
    assert "".join(repr(small(alpha=0.5)).split()).startswith("MLPClassifier(alpha=0.5,hidden_layer_sizes=(6,),")


@unconverged
def test_pictures_of_scikit_learn():
    pyplot = pytest.importorskip("matplotlib.pyplot")
    display = DecisionBoundaryDisplay.from_estimator(small().fit(X[:, :2], Y), X[:, :2])
    pyplot.close(display.figure_)


@unconverged
def test_progress_bar(capsys):
    callback = pytest.importorskip("sklearn.callback")
    small().set_callbacks(callback.ProgressBar()).fit(X, Y)
    assert "MLPClassifier" in capsys.readouterr().out
