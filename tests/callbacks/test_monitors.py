"""Monitored values: which direction is better, told by the metric, by the name, or asked for."""

import numpy as np
import pytest
import sklearn.metrics

import fastnn
from fastnn import Dense, EarlyStopping, LambdaCallback, Sequential, metrics
from fastnn.callbacks import ModelCheckpoint
from fastnn.callbacks.monitoring import direction_of_name

X = np.random.default_rng(0).normal(size=(12, 3))
LARGER = (
    "f1 my_f1_macro F1Score valF1 roc_auc ROC_AUC r2 R2 balanced_accuracy top5 top_5_acc acc1 auc_1 score "
    "precision_at_k recall@5 mean_iou cohen_kappa mcc neg_log_loss neg_brier_score explained_variance r_squared "
    "fbeta mAP"
)
SMALLER = (
    "loss error_rate my_loss f1_loss top5_error mse RMSE mean_deviance logLoss cross_entropy log_cosh perplexity "
    "kl_divergence err brier_score_loss loss_2"
)
UNCLEAR = (
    "custom learning_rate lr hit_rate brier_score davies_bouldin_score accuracy_gap f1_std score_time error_reduction "
    "1-accuracy 1_minus_acc negative_f1 neg_accuracy grad_norm inaccuracy lossless"
)


@pytest.mark.parametrize(
    ("name", "direction"),
    [(name, way) for names, way in ((LARGER, "max"), (SMALLER, "min"), (UNCLEAR, None)) for name in names.split()],
)
def test_what_names_say(name, direction):
    assert direction_of_name(name) == direction


def test_names_of_scikit_learns_scorers_and_functions():
    """Scorers are to be large, losses and errors small; the rule may be silent, never wrong."""
    scorers = {name: direction_of_name(name) for name in sklearn.metrics.get_scorer_names()}
    assert set(scorers.values()) == {"max", None}
    assert sum(direction is None for direction in scorers.values()) <= 5
    for name in dir(sklearn.metrics):
        if name.endswith(("_loss", "_error")):
            assert direction_of_name(name) == "min", name
        elif name.endswith("_score"):
            assert direction_of_name(name) in ("max", None), name
    assert direction_of_name("davies_bouldin_score") is None  # small ones are better


def test_names_of_our_metrics_say_what_they_are():
    for name, kind in metrics._TABLE.items():
        assert direction_of_name(name) == kind.direction


def run(callback, name, values):
    """Fit, with a callback that puts values into the logs; the number of epochs done."""
    model = Sequential([Dense(1, input_shape=(3,))])
    model.compile("sgd", "mse", metrics=["mae"])
    judge = LambdaCallback(on_epoch_end=lambda epoch, logs: logs.update({name: values[epoch]}))
    return len(model.fit(X, X[:, 0], epochs=len(values), verbose=0, callbacks=[judge, callback]).epoch)


@pytest.mark.parametrize("name", ["val_f1", "val_roc_auc", "val_r2", "val_balanced_accuracy", "score"])
def test_values_of_callbacks_that_are_to_be_large(tmp_path, name):
    assert run(EarlyStopping(name, patience=1), name, [0.5, 0.6, 0.7, 0.6, 0.8]) == 4
    keep = ModelCheckpoint(tmp_path / "{epoch}", name, save_best_only=True)
    run(keep, name, [0.5, 0.4, 0.7])
    assert (keep.best, sorted(path.name for path in tmp_path.iterdir())) == (0.7, ["1", "3"])


@pytest.mark.parametrize("name", ["val_error_rate", "val_deviance"])
def test_values_of_callbacks_that_are_to_be_small(name):
    assert run(EarlyStopping(name, patience=1), name, [0.5, 0.4, 0.3, 0.4, 0.2]) == 4


@pytest.mark.parametrize("save_best_only", [True, False])
def test_a_name_that_does_not_tell_asks_for_the_mode(tmp_path, save_best_only):
    """Before the first epoch, as an epoch may take an hour."""
    keep = ModelCheckpoint(tmp_path / "m", "val_custom", save_best_only=save_best_only)
    for callback in (EarlyStopping("val_custom"), keep):
        begun = []
        watch = LambdaCallback(on_epoch_begin=lambda epoch, logs, begun=begun: begun.append(epoch))
        model = Sequential([Dense(1, input_shape=(3,))])
        model.compile("sgd", "mse")
        message = f"{type(callback).__name__} with mode=\"auto\" cannot tell .* 'val_custom'.*give mode=\"max\""
        with pytest.raises(ValueError, match=message):
            model.fit(X, X[:, 0], verbose=0, callbacks=[watch, callback])
        assert begun == []
    assert run(EarlyStopping("val_custom", mode="max"), "val_custom", [1, 2, 1]) == 3


def test_a_metric_of_the_model_decides_before_its_name():
    model = Sequential([Dense(1, input_shape=(3,))])
    model.compile("sgd", "mse", metrics=[metrics.MeanSquaredError(name="score"), metrics.BinaryAccuracy(name="error")])
    for name, smaller in (("score", True), ("val_score", True), ("error", False)):
        callback = EarlyStopping(name)
        callback.set_model(model)
        callback.on_train_begin()
        assert callback._smaller is smaller


def test_estimators_ask_too():
    """The score of their validation is to be large; a fit that is refused leaves the estimator as it was."""
    labels = (X[:, 0] > 0).astype(int)
    model = fastnn.MLPClassifier(max_iter=3, early_stopping=True, callbacks=EarlyStopping("val_custom"))
    with pytest.raises(ValueError, match="cannot tell"):
        model.fit(X, labels, validation_data=(X, labels))
    assert not hasattr(model, "coefs_")
    callback = EarlyStopping("val_score")
    with pytest.warns(sklearn.exceptions.ConvergenceWarning):
        model.set_params(callbacks=callback, max_iter=1).fit(X, labels, validation_data=(X, labels))
    assert callback._smaller is False


def test_a_mode_set_later_is_checked():
    callback = EarlyStopping("loss")
    callback.mode = "up"
    with pytest.raises(ValueError, match="mode must be"):
        run(callback, "loss", [1.0])
