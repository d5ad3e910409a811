"""Callbacks of the estimators, limits of time, reasons to stop, pictures of what happened."""

import copy
import pickle
import time

import numpy as np
import pytest
from harness import same_weights
from sklearn.base import clone
from sklearn.datasets import make_classification
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

import fastnn
from fastnn import MLPClassifier, MLPRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X, Y = make_classification(160, 6, n_informative=4, n_classes=3, random_state=0)
X_NEW, Y_NEW = X[100:], Y[100:]
X, Y = X[:100], Y[:100]


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
    for keep in (fastnn.callbacks.ModelCheckpoint(tmp_path / "model"), fastnn.BackupAndRestore(tmp_path / "folder")):
        begun = []
        watch = fastnn.LambdaCallback(on_epoch_begin=lambda epoch, logs, begun=begun: begun.append(epoch))
        with pytest.raises(AttributeError, match="no 'save'.*are for Sequential"):
            MLPClassifier(max_iter=3, callbacks=[keep, watch]).fit(X, Y)
        assert begun == []
    assert list(tmp_path.iterdir()) == []


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
