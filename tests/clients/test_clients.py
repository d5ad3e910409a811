"""The estimators in the hands of other libraries: one small program each, as their users write them.

``make test-clients`` runs it in an environment of its own; where a library is not installed, its program is skipped.
docs/clients.md lists what was tried.
"""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import make_classification, make_regression
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fastnn import MLPClassifier, MLPRegressor
from fastnn.callbacks import LambdaCallback

pytestmark = pytest.mark.filterwarnings("ignore")  # those of the libraries among themselves

X, Y = make_classification(300, 6, n_informative=4, class_sep=1.5, random_state=0)
CLASSIFIER = MLPClassifier((8,), batch_size=32, learning_rate_init=0.01, max_iter=30, random_state=0)
ROWS, VALUES = make_regression(600, 5, noise=5.0, random_state=0)
VALUES /= VALUES.std()
REGRESSOR = MLPRegressor(hidden_layer_sizes=(8,), batch_size=32, learning_rate_init=0.01, max_iter=60, random_state=0)


def need(name):
    """Import a library, or skip the test."""
    return pytest.importorskip(name, reason=f"{name} is not installed (`make test-clients`): NOT TESTED")


def classifier():
    return clone(CLASSIFIER)


def test_imbalanced_learn():
    need("imblearn")
    from imblearn.ensemble import BalancedBaggingClassifier
    from imblearn.over_sampling import SMOTE
    from imblearn.pipeline import make_pipeline as make_sampling_pipeline

    rows = np.r_[np.flatnonzero(Y == 0), np.flatnonzero(Y == 1)[:30]]
    model = make_sampling_pipeline(StandardScaler(), SMOTE(random_state=0), classifier())
    assert cross_val_score(model, X[rows], Y[rows], scoring="balanced_accuracy", cv=3).mean() > 0.7
    bagging = BalancedBaggingClassifier(classifier(), 3, random_state=0).fit(X[rows], Y[rows])
    assert bagging.score(X, Y) > 0.7


def test_optuna():
    optuna = need("optuna")

    def objective(trial):
        model = classifier().set_params(
            hidden_layer_sizes=(100,),
            n_layers=trial.suggest_int("n_layers", 1, 2),
            width=trial.suggest_int("width", 4, 16),
            learning_rate_init=trial.suggest_float("learning_rate_init", 1e-3, 1e-1, log=True),
        )
        return cross_val_score(model, X, Y, cv=3).mean()

    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=0))
    study.optimize(objective, n_trials=4, n_jobs=2)
    assert study.best_value > 0.8


def test_shap():
    shap = need("shap")
    model = classifier().fit(X, Y)
    found = shap.KernelExplainer(model.predict_proba, X[:20])
    values = found.shap_values(X[:3], silent=True)
    assert values.shape == (3, 6, 2)
    np.testing.assert_allclose(values.sum(axis=1) + found.expected_value, model.predict_proba(X[:3]), atol=1e-5)


def test_mlxtend():
    need("mlxtend")
    from mlxtend.classifier import StackingCVClassifier
    from mlxtend.feature_selection import SequentialFeatureSelector

    selector = SequentialFeatureSelector(classifier(), k_features=2, cv=2).fit(X, Y)
    assert len(selector.k_feature_idx_) == 2
    assert selector.k_score_ > 0.6
    stack = StackingCVClassifier([classifier(), classifier()], LogisticRegression(), use_probas=True, random_state=0)
    assert stack.fit(X, Y).score(X, Y) > 0.8


def test_skops():
    sio = need("skops.io")
    model = make_pipeline(StandardScaler(), classifier()).fit(X, Y)
    data = sio.dumps(model)
    unknown = sio.get_untrusted_types(data=data)
    assert unknown
    assert all(name.startswith("fastnn.") for name in unknown)
    back = sio.loads(data, trusted=unknown)
    np.testing.assert_array_equal(back.predict_proba(X), model.predict_proba(X))
    for each in (model, back):  # the optimizer's state has come along
        each[-1].partial_fit(each[0].transform(X), Y)
    np.testing.assert_array_equal(back.predict_proba(X), model.predict_proba(X))


def test_mlflow(tmp_path, monkeypatch):
    """`autolog` sees scikit-learn's own classes, such as a pipeline; of an estimator alone the user logs."""
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    mlflow = need("mlflow")
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/runs.db")
    mlflow.set_experiment(experiment_id=mlflow.create_experiment("fastnn", (tmp_path / "files").as_uri()))
    mlflow.sklearn.autolog(log_models=False, silent=True)
    with mlflow.start_run() as run:
        pipeline = make_pipeline("passthrough", classifier()).fit(X, Y)
    logged = mlflow.get_run(run.info.run_id).data
    assert logged.params["mlpclassifier__max_iter"] == "30"
    assert logged.metrics["training_accuracy_score"] == pytest.approx(pipeline.score(X, Y))
    mlflow.sklearn.autolog(disable=True)

    log_epoch = LambdaCallback(on_epoch_end=lambda epoch, logs: mlflow.log_metrics(logs, step=epoch))
    with mlflow.start_run() as run:
        model = classifier().set_params(max_iter=5, callbacks=log_epoch).fit(X, Y)
        model.set_params(callbacks=None)
        mlflow.log_params(model.get_params())
        found = mlflow.sklearn.log_model(
            model,
            name="model",
            skops_trusted_types=["fastnn.estimators.classifier.MLPClassifier", "fastnn.optimizers.methods.Adam"],
            pip_requirements=["fastnn-core"],
        )
    losses = mlflow.MlflowClient().get_metric_history(run.info.run_id, "loss")
    assert [each.value for each in losses] == pytest.approx(model.loss_curve_)
    assert mlflow.get_run(run.info.run_id).data.params["hidden_layer_sizes"] == "(8,)"
    np.testing.assert_array_equal(mlflow.sklearn.load_model(found.model_uri).predict(X), model.predict(X))


def test_dask():
    array = need("dask.array")
    model = classifier().fit(X, Y)
    rows = array.from_array(X, chunks=(100, 6))
    predicted = rows.map_blocks(model.predict_proba, chunks=(rows.chunks[0], (2,)), meta=np.empty((0, 2)))
    np.testing.assert_array_equal(predicted.compute(scheduler="threads"), model.predict_proba(X))


def test_mapie():
    need("mapie")
    from mapie.classification import SplitConformalClassifier
    from mapie.regression import CrossConformalRegressor, SplitConformalRegressor

    new, values = ROWS[400:], VALUES[400:]
    split = SplitConformalRegressor(clone(REGRESSOR), confidence_level=0.9, prefit=False)
    split.fit(ROWS[:300], VALUES[:300]).conformalize(ROWS[300:400], VALUES[300:400])
    cross = CrossConformalRegressor(clone(REGRESSOR), confidence_level=0.9, cv=3).fit_conformalize(
        ROWS[:400], VALUES[:400]
    )
    for made in (split, cross):
        assert covered(made.predict_interval(new)[1], values) > 0.8
    sets = SplitConformalClassifier(classifier(), confidence_level=0.9, prefit=False)
    sets.fit(X[:150], Y[:150]).conformalize(X[150:225], Y[150:225])
    assert sets.predict_set(X[225:])[1][np.arange(75), Y[225:], 0].mean() > 0.75


def test_mapie_with_quantiles():
    """Three fitted models, or any number of fits by MAPIE once its table has the name of the class."""
    regression = need("mapie.regression")
    new, values = ROWS[400:], VALUES[400:]
    model = clone(REGRESSOR).set_params(loss="quantile")
    fitted = [clone(model).set_params(quantile=level).fit(ROWS[:300], VALUES[:300]) for level in (0.05, 0.95, 0.5)]
    prefit = regression.ConformalizedQuantileRegressor(fitted, confidence_level=0.9, prefit=True)
    prefit.conformalize(ROWS[300:400], VALUES[300:400])
    assert covered(prefit.predict_interval(new)[1], values) > 0.8

    kind = regression.CrossConformalizedQuantileRegressor
    kind.quantile_estimator_params["MLPRegressor"] = {"loss_name": "loss", "alpha_name": "quantile"}
    cross = kind(model, confidence_level=0.9, cv=3).fit_conformalize(ROWS[:400], VALUES[:400])
    assert covered(cross.predict_interval(new)[1], values) > 0.8


def covered(intervals, values):
    """Share of values that lie in their intervals (n, 2, 1)."""
    return ((intervals[:, 0, 0] <= values) & (values <= intervals[:, 1, 0])).mean()


def test_fairlearn():
    need("fairlearn")
    need("pandas")
    from fairlearn.metrics import demographic_parity_difference
    from fairlearn.postprocessing import ThresholdOptimizer
    from fairlearn.reductions import DemographicParity, ExponentiatedGradient

    group = np.where(X[:, 0] > 0, "a", "b")
    optimizer = ThresholdOptimizer(
        estimator=classifier(), constraints="demographic_parity", predict_method="predict_proba"
    ).fit(X, Y, sensitive_features=group)
    predicted = optimizer.predict(X, sensitive_features=group, random_state=0)
    assert demographic_parity_difference(Y, predicted, sensitive_features=group) < 0.2
    reduced = ExponentiatedGradient(classifier(), DemographicParity(), max_iter=3).fit(X, Y, sensitive_features=group)
    assert reduced.predict(X, random_state=0).shape == Y.shape
