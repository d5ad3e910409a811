"""What the estimators have beyond scikit-learn's: networks, weights of classes, validation, callbacks, limits."""

import copy
import pickle
import time

import numpy as np
import pytest
import sklearn
from sklearn.base import clone
from sklearn.datasets import make_classification, make_multilabel_classification
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.metrics import balanced_accuracy_score, log_loss
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

import fastnn
from fastnn import Dense, MLPClassifier, MLPRegressor, Sequential, activations

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X, Y = make_classification(160, 6, n_informative=4, n_classes=3, random_state=0)
X_NEW, Y_NEW = X[100:], Y[100:]
X, Y = X[:100], Y[:100]
RARE = np.arange(100) % 10 == 0


def same_weights(one, other):
    for mine, theirs in zip(one.coefs_ + one.intercepts_, other.coefs_ + other.intercepts_, strict=True):
        np.testing.assert_array_equal(mine, theirs)


# networks


def test_depth_and_width_are_numbers_to_search():
    made = [MLPClassifier(max_iter=2, **size).fit(X, Y).n_layers_ - 2 for size in ({"n_layers": 3}, {"n_layers": 0})]
    assert made == [3, 0]
    model = MLPClassifier(n_layers=2, width=7, max_iter=2, random_state=0).fit(X, Y)
    same_weights(model, MLPClassifier((7, 7), max_iter=2, random_state=0).fit(X, Y))
    assert [coef.shape[1] for coef in MLPClassifier(width=9, max_iter=2).fit(X, Y).coefs_] == [9, 3]
    search = GridSearchCV(MLPClassifier(max_iter=2), {"n_layers": [1, 2], "width": [4, 8]}, cv=2).fit(X, Y)
    assert len(search.cv_results_["params"]) == 4
    with pytest.raises(ValueError, match=r"hidden_layer_sizes=\(5,\) and n_layers=2, width=None"):
        MLPClassifier((5,), n_layers=2).fit(X, Y)


def test_an_activation_for_each_layer():
    functions = ["gelu", activations.Activation("leaky_relu", 0.3), "identity"]
    model = MLPRegressor(hidden_layer_sizes=(5, 4, 3), activation=functions, dtype="float64", max_iter=3)
    model.fit(X, X[:, 0])
    layers = [Dense(units, function) for units, function in zip((5, 4, 3), functions, strict=True)]
    network = Sequential([*layers, Dense(1)], dtype="float64")
    network.build((None, 6))
    network.set_weights([array for pair in zip(model.coefs_, model.intercepts_, strict=True) for array in pair])
    np.testing.assert_allclose(model.predict(X), network.predict(X)[:, 0], rtol=1e-12)
    listed = MLPClassifier((5, 4), ["tanh", "tanh"], max_iter=3, random_state=0).fit(X, Y)
    same_weights(listed, MLPClassifier((5, 4), "tanh", max_iter=3, random_state=0).fit(X, Y))


@pytest.mark.parametrize("name", sorted(set(activations.names()) - {"step"}))
def test_all_activations_train(name):
    model = MLPClassifier(8, name, max_iter=60, learning_rate_init=0.01, random_state=0).fit(X, Y)
    assert model.loss_curve_[-1] < model.loss_curve_[0]


def test_dropout():
    settings = {"hidden_layer_sizes": (30, 20), "max_iter": 20}
    plain = MLPClassifier(**settings, random_state=0).fit(X, Y)
    dropped = [MLPClassifier(**settings, dropout=rate, random_state=0).fit(X, Y) for rate in (0.3, [0.3, 0.3])]
    same_weights(*dropped)
    assert dropped[0].loss_ > plain.loss_
    np.testing.assert_array_equal(dropped[0].predict_proba(X), dropped[0].predict_proba(X))
    one_layer = MLPClassifier(**settings, dropout=[0.3, 0.0], random_state=0).fit(X, Y)
    assert (one_layer.coefs_[0] != dropped[0].coefs_[0]).any()
    seeds = [MLPClassifier(**settings, dropout=0.3, dtype="float64", random_state=s).fit(X, Y) for s in (1, 1, 2)]
    same_weights(*seeds[:2])
    assert seeds[0].loss_curve_ != seeds[2].loss_curve_


@pytest.mark.parametrize("kind", ["batch", "layer"])
def test_normalization(kind):
    settings = {"hidden_layer_sizes": (8, 5), "activation": ["gelu", "tanh"], "normalization": kind, "random_state": 0}
    model = MLPClassifier(**settings, dtype="float64", batch_size=20, dropout=0.1, max_iter=30).fit(X, Y)
    assert model.loss_curve_[-1] < model.loss_curve_[0]
    assert [len(arrays) for arrays in model.normalizations_] == [{"batch": 4, "layer": 2}[kind]] * 2
    layer = fastnn.BatchNormalization if kind == "batch" else fastnn.LayerNormalization
    layers = [Dense(8), layer(), fastnn.Activation("gelu"), Dense(5), layer(), fastnn.Activation("tanh")]
    network = Sequential([*layers, Dense(3, "softmax")], dtype="float64")
    network.build((None, 6))
    network.set_weights(model._weights())
    np.testing.assert_allclose(model.predict_proba(X), network.predict(X), rtol=1e-10)
    twin = pickle.loads(pickle.dumps(model))
    for part in (model, twin):
        part.partial_fit(X, Y).partial_fit(X, Y)
    np.testing.assert_array_equal(model.predict_proba(X), twin.predict_proba(X))
    searched = GridSearchCV(MLPClassifier(max_iter=3), {"normalization": [None, "batch", "layer"]}, cv=2).fit(X, Y)
    assert len(searched.cv_results_["params"]) == 3


@pytest.mark.parametrize("kind", ["batch", "layer"])
@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_normalization_goes_with_everything(kind, solver):
    settings = {"normalization": kind, "solver": solver, "max_iter": 25, "learning_rate_init": 0.01, "random_state": 0}
    model = MLPRegressor(**settings, early_stopping=True).fit(X, X[:, :2])
    assert model.score(X, X[:, :2]) > 0.5
    plain = MLPRegressor(max_iter=2).fit(X, X[:, 0])
    plain.set_params(**settings).fit(X, X[:, 0])  # another network with the same object
    assert len(plain.normalizations_) == 1
    plain.set_params(normalization=None)
    assert plain.predict(X).shape == (100,)  # still with the network that was trained
    with pytest.raises(ValueError, match=r"normalization=None cannot go on from a network with normalization="):
        plain.set_params(warm_start=True).fit(X, X[:, 0])
    plain.set_params(warm_start=False).fit(X, X[:, 0])
    assert not hasattr(plain, "normalizations_")


def test_mixed_precision():
    if not fastnn.kernels.jit.has_bfloat16():
        pytest.skip("this CPU has no products of bfloat16")
    settings = {"max_iter": 40, "learning_rate_init": 0.01, "random_state": 0}
    mixed, full = (MLPClassifier(dtype=dtype, **settings).fit(X, Y) for dtype in ("mixed_bfloat16", "float32"))
    assert mixed.coefs_[0].dtype == np.float32
    assert (mixed.coefs_[0] != full.coefs_[0]).any()
    np.testing.assert_allclose(mixed.loss_curve_, full.loss_curve_, rtol=0.05)
    twin = pickle.loads(pickle.dumps(mixed))
    np.testing.assert_array_equal(twin.predict_proba(X), mixed.predict_proba(X))
    assert twin._get_engine().plan.mixed


# weights of classes


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


# validation


def test_validation_data_are_watched_only():
    settings = {"max_iter": 15, "alpha": 0.5, "dtype": "float64", "random_state": 0}
    plain = MLPClassifier(**settings).fit(X, Y)
    watched = MLPClassifier(**settings).fit(X, Y, validation_data=(X_NEW, Y_NEW))
    same_weights(plain, watched)
    assert plain.validation_loss_curve_ is None
    assert watched.validation_scores_ is None
    assert len(watched.validation_loss_curve_) == 15
    assert watched.validation_loss_curve_[-1] == pytest.approx(log_loss(Y_NEW, watched.predict_proba(X_NEW)))
    apart = MLPClassifier(**settings).fit(X, Y, X_val=X_NEW, y_val=Y_NEW)
    assert apart.validation_loss_curve_ == watched.validation_loss_curve_


@pytest.mark.parametrize("columns", [1, 3])
def test_validation_loss_of_a_regressor(columns):
    y, y_new = X[:, :columns].squeeze(), X_NEW[:, :columns].squeeze()
    weights = np.arange(60.0)
    model = MLPRegressor(max_iter=5, dtype="float64").fit(X, y, validation_data=(X_NEW, y_new, weights))
    errors = (model.predict(X_NEW) - y_new) ** 2 / 2
    expected = np.average(errors.reshape(60, -1).mean(axis=1), weights=weights)
    assert model.validation_loss_curve_[-1] == pytest.approx(expected)


def test_early_stopping_on_validation_data():
    settings = {"early_stopping": True, "learning_rate_init": 0.03, "random_state": 0}
    model = MLPClassifier(**settings).fit(X, Y, validation_data=(X_NEW, Y_NEW))
    assert model.best_validation_score_ == max(model.validation_scores_) == model.score(X_NEW, Y_NEW)
    assert len(model.validation_scores_) == len(model.validation_loss_curve_) == model.n_iter_ < 200
    assert model.stop_reason_ == "no_improvement"
    assert model.t_ == model.n_iter_ * len(X)  # no row was split off


def hits(estimator, X, y):
    return float(np.mean(estimator.predict(X) == y))


@pytest.mark.parametrize("scoring", ["neg_log_loss", "loss", "balanced_accuracy", "roc_auc_ovr", hits])
def test_early_stopping_by_any_score(scoring):
    words, words_new = np.array(["a", "b", "c"])[Y], np.array(["a", "b", "c"])[Y_NEW]
    settings = {"early_stopping": True, "learning_rate_init": 0.03, "dtype": "float64", "random_state": 0}
    model = MLPClassifier(**settings, scoring=scoring).fit(X, words, validation_data=(X_NEW, words_new))
    assert len(model.validation_scores_) == model.n_iter_ < 200
    assert model.best_validation_score_ == max(model.validation_scores_) > model.validation_scores_[0]
    scorer = sklearn.metrics.get_scorer("neg_log_loss" if scoring == "loss" else scoring)
    assert scorer(model, X_NEW, words_new) == pytest.approx(model.best_validation_score_)
    if scoring == hits:
        assert model.validation_scores_ == clone(model).set_params(scoring=None).fit(
            X, words, validation_data=(X_NEW, words_new)
        ).validation_scores_  # fmt: skip


def test_scores_of_a_split_see_weights_and_labels():
    weights = np.linspace(0.1, 1.0, 100)
    seen = []

    def scorer(estimator, X, y, sample_weight=None):
        seen.append((len(X), set(y), sample_weight is not None))
        return estimator.score(X, y, sample_weight)

    settings = {"early_stopping": True, "max_iter": 5, "validation_fraction": 0.2, "random_state": 0}
    named = MLPClassifier(**settings, scoring=scorer).fit(X, np.where(RARE, "x", "y"), sample_weight=weights)
    assert seen[0] == (20, {"x", "y"}, True)
    plain = MLPClassifier(**settings).fit(X, np.where(RARE, "x", "y"), sample_weight=weights)
    np.testing.assert_allclose(named.validation_scores_, plain.validation_scores_)


def test_validation_data_go_through_a_pipeline():
    with sklearn.config_context(enable_metadata_routing=True):
        model = MLPClassifier(max_iter=5, random_state=0).set_fit_request(X_val=True, y_val=True)
        steps = [("scale", StandardScaler()), ("model", model)]
        pipeline = Pipeline(steps, transform_input=["X_val"]).fit(5 * X, Y, X_val=5 * X_NEW, y_val=Y_NEW)
    scale = StandardScaler().fit(5 * X)
    direct = MLPClassifier(max_iter=5, random_state=0)
    direct.fit(scale.transform(5 * X), Y, validation_data=(scale.transform(5 * X_NEW), Y_NEW))
    assert pipeline[-1].validation_loss_curve_ == direct.validation_loss_curve_


def test_validation_over_warm_fits():
    model = MLPClassifier(max_iter=3, warm_start=True, random_state=0).fit(X, Y)
    model.fit(X, Y, validation_data=(X_NEW, Y_NEW)).fit(X, Y, validation_data=(X_NEW, Y_NEW))
    assert len(model.validation_loss_curve_) == len(model.loss_curve_) == 9
    assert np.isnan(model.validation_loss_curve_).tolist() == [True] * 3 + [False] * 6


# callbacks and limits


class Watcher(fastnn.Callback):
    def __init__(self):
        self.seen = []

    def on_epoch_end(self, epoch, logs=None):
        self.seen.append((epoch, dict(logs)))
        self.model.optimizer.learning_rate *= 0.5


def test_callbacks_see_logs_and_may_change_the_rate():
    watcher = Watcher()
    model = MLPClassifier(max_iter=4, early_stopping=True, callbacks=watcher, random_state=0)
    model.fit(X, Y, validation_data=(X_NEW, Y_NEW))
    assert [epoch for epoch, _ in watcher.seen] == [0, 1, 2, 3]
    assert [logs["loss"] for _, logs in watcher.seen] == model.loss_curve_
    assert [logs["val_loss"] for _, logs in watcher.seen] == model.validation_loss_curve_
    assert [logs["val_score"] for _, logs in watcher.seen] == model.validation_scores_
    assert model._optimizer.learning_rate == pytest.approx(0.001 / 16)
    assert clone(model).callbacks is not watcher
    same_weights(copy.deepcopy(model), model)
    assert pickle.loads(pickle.dumps(model)).callbacks.seen == watcher.seen


def test_callbacks_may_end_a_fit_and_bring_back_weights():
    stop = fastnn.EarlyStopping("val_score", patience=3, restore_best_weights=True)
    model = MLPClassifier(
        learning_rate_init=0.05, early_stopping=True, n_iter_no_change=np.inf, callbacks=[stop], random_state=0
    ).fit(X, Y, validation_data=(X_NEW, Y_NEW))
    assert model.stop_reason_ == "callback"
    assert model.score(X_NEW, Y_NEW) == max(model.validation_scores_)
    assert model.n_iter_ == stop.best_epoch + 4


def test_callbacks_see_batches():
    seen = []
    hook = fastnn.LambdaCallback(on_train_batch_end=lambda batch, logs: seen.append((batch, logs["loss"])))
    settings = {"batch_size": 40, "max_iter": 2, "random_state": 0}
    model = MLPClassifier(callbacks=[hook], **settings).fit(X, Y)
    assert [batch for batch, _ in seen] == [0, 1, 2] * 2
    assert [loss for batch, loss in seen if batch == 2] == model.loss_curve_
    same_weights(model, MLPClassifier(**settings).fit(X, Y))


def test_a_callback_may_stop_within_an_epoch():
    class Stop(fastnn.Callback):
        def on_train_batch_end(self, batch, logs=None):
            self.model.stop_training = batch == 1

    model = MLPClassifier(batch_size=40, callbacks=[Stop()]).fit(X, Y)
    assert (model.stop_reason_, model.n_iter_, model.t_) == ("callback", 1, 80)


def test_callbacks_that_save_models_are_told_why_they_cannot(tmp_path):
    keep = fastnn.callbacks.ModelCheckpoint(tmp_path / "model")
    with pytest.raises(AttributeError, match="no 'save'.*are for Sequential"):
        MLPClassifier(max_iter=3, callbacks=keep).fit(X, Y)


def test_a_user_history_is_filled():
    history = fastnn.History()
    model = MLPClassifier(max_iter=7, callbacks=[history]).fit(X, Y)
    assert history.history == {"loss": model.loss_curve_}


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_time_limit(solver):
    rng = np.random.default_rng(0)
    big, target = rng.normal(size=(4000, 50)), rng.normal(size=4000)
    settings = {"solver": solver, "max_iter": 1_000_000, "n_iter_no_change": np.inf, "tol": 0.0, "max_fun": 10**9}
    # compiled before the clock runs
    MLPRegressor(hidden_layer_sizes=100, **settings | {"max_iter": 1}).fit(big, target)
    start = time.perf_counter()
    with pytest.warns(ConvergenceWarning, match=r"time_limit=0\.3 s"):
        model = MLPRegressor(hidden_layer_sizes=100, time_limit=0.3, **settings).fit(big, target)
    assert 0.3 <= time.perf_counter() - start < 3.0
    assert model.stop_reason_ == "time_limit"
    assert model.n_iter_ >= 1
    assert np.isfinite(model.predict(big)).all()
    least = MLPRegressor(hidden_layer_sizes=10, time_limit=1e-9, batch_size=100).fit(big, target)
    assert (least.n_iter_, least.t_) == (1, 100)  # one whole step


def test_stop_reasons():
    assert MLPClassifier(max_iter=2).fit(X, Y).stop_reason_ == "max_iter"
    assert MLPClassifier(tol=1.0).fit(X, Y).stop_reason_ == "no_improvement"
    assert MLPClassifier(solver="lbfgs", alpha=1.0, tol=0.1).fit(X, Y).stop_reason_ == "no_improvement"
    assert MLPClassifier(solver="lbfgs", max_iter=2).fit(X, Y).stop_reason_ == "max_iter"


# what is left, and what is refused


def test_a_failed_fit_changes_nothing():
    model = MLPClassifier(max_iter=3, random_state=0).fit(X, Y)
    before, prediction = model.get_params(), model.predict_proba(X)
    for wrong in ({"device": "cuda"}, {"activation": ["relu", "tanh"]}, {"dropout": [1.5]}, {"activation": "step"}):
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
        ({"device": "cuda"}, "device must be 'cpu'; got 'cuda'"),
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


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"validation_data": X_NEW}, "must be a tuple"),
        ({"validation_data": (X_NEW, Y_NEW), "X_val": X_NEW}, "not both"),
        ({"X_val": X_NEW}, "must be given together"),
        ({"validation_data": (X_NEW[:, :3], Y_NEW)}, "3 features"),
        ({"validation_data": (X_NEW, Y_NEW[:3])}, "inconsistent numbers"),
        ({"validation_data": (X_NEW, Y_NEW + 1)}, "`y of the validation data` has classes not in"),
        ({"validation_data": (X_NEW, np.full(60, np.nan))}, "NaN"),
    ],
)
def test_errors_in_validation_data(arguments, words):
    with pytest.raises(ValueError, match=words):
        MLPClassifier(max_iter=2).fit(X, Y, **arguments)


def test_lbfgs_takes_no_validation_data():
    with pytest.raises(ValueError, match="takes no validation data"):
        MLPClassifier(solver="lbfgs").fit(X, Y, validation_data=(X_NEW, Y_NEW))


# pictures


def test_loss_curves():
    pyplot = pytest.importorskip("matplotlib.pyplot")
    model = MLPClassifier(max_iter=6).fit(X, Y, validation_data=(X_NEW, Y_NEW))
    display = model.plot_loss_curve(name="wide", linewidth=3)
    assert [line.get_label() for line in display.lines_] == ["wide, training", "wide, validation"]
    np.testing.assert_array_equal(display.lines_[0].get_ydata(), model.loss_curve_)
    np.testing.assert_array_equal(display.lines_[1].get_ydata(), model.validation_loss_curve_)
    assert display.lines_[0].get_linewidth() == 3
    scaled = Pipeline([("scale", StandardScaler()), ("model", MLPRegressor(max_iter=4))]).fit(X, X[:, 0])
    second = fastnn.LossCurveDisplay.from_estimator(scaled, ax=display.ax_)
    assert second.figure_ is display.figure_
    assert len(display.ax_.lines) == 3
    assert len(second.lines_) == 1
    pyplot.close(display.figure_)
    with pytest.raises(NotFittedError):
        fastnn.LossCurveDisplay.from_estimator(MLPClassifier())
    with pytest.raises(ValueError, match="no loss_curve_"):
        MLPClassifier(solver="lbfgs", max_iter=3).fit(X, Y).plot_loss_curve()
