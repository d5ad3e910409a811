"""Models, their engines and their arrays are gone with the last reference, without Python's garbage collector."""

import contextlib
import copy
import gc
import pickle
import weakref

import numpy as np
import pytest
from sklearn.base import clone

import fastnn
from fastnn import Callback, Dense, EarlyStopping, LambdaCallback, MLPClassifier, MLPRegressor, Sequential

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 4)).astype(np.float32)
Y = (X[:, 0] > 0).astype(np.int64)


class Failing(Callback):
    def __init__(self, error):
        self.error = error

    def on_epoch_end(self, epoch, logs=None):
        raise self.error("on purpose")


def new():
    return Sequential([Dense(6, "relu", input_shape=(4,)), Dense(1, "sigmoid")])


def compiled(**options):
    model = new()
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"], **options)
    return model


def fitted(epochs=2, verbose=0, **options):
    model = compiled()
    model.fit(X, Y, epochs=epochs, verbose=verbose, **options)
    return model


def failed(error, x=X):
    model = compiled()
    with contextlib.suppress(error):
        model.fit(x, Y, verbose=0, callbacks=[Failing(error)])
    return model


def after(*calls):
    model = compiled()
    for name in calls:
        getattr(model, name)(*(X,) if name.startswith("predict") else (X, Y))
    return model


def loaded(path):
    fitted().save(path / "model")
    return fastnn.load_model(path / "model")


def changed():
    model = fitted()
    model.pop()
    model.add(Dense(2))
    model.predict(X)
    return model


def with_program():
    model = compiled(jit_compile=True)
    model.fit(X, Y, verbose=0)
    return model


def checkpoints(path, save_freq):
    saving = [fastnn.ModelCheckpoint(path / "model", save_freq=save_freq), fastnn.BackupAndRestore(path, save_freq)]
    return fitted(callbacks=saving)


def classifier(**options):
    estimator = MLPClassifier(hidden_layer_sizes=(6,), max_iter=4, random_state=0, **options).fit(X, Y)
    estimator.predict_proba(X)
    return estimator


def partly():
    return MLPClassifier(hidden_layer_sizes=(6,)).partial_fit(X, Y, classes=[0, 1])


def refused():
    estimator = MLPClassifier(hidden_layer_sizes=(6,))
    with contextlib.suppress(ValueError):
        estimator.fit(np.full_like(X, np.nan), Y)
    return estimator


MODELS = {
    "new": lambda path: new(),
    "compiled": lambda path: compiled(),
    "fitted": lambda path: fitted(),
    "with a progress line": lambda path: fitted(verbose=1),
    "validated": lambda path: fitted(validation_split=0.2),
    "stopped early": lambda path: fitted(callbacks=[EarlyStopping("loss", restore_best_weights=True)]),
    "with a callback": lambda path: fitted(callbacks=[LambdaCallback(on_epoch_end=lambda *_: None)]),
    "with checkpoints of epochs": lambda path: checkpoints(path, "epoch"),
    "with checkpoints of steps": lambda path: checkpoints(path, 2),
    "with a program of its own": lambda path: with_program(),
    "failed": lambda path: failed(ZeroDivisionError),
    "interrupted": lambda path: failed(KeyboardInterrupt),
    "refused": lambda path: failed(ValueError, np.full_like(X, np.nan)),
    "predicted": lambda path: after("predict", "predict_on_batch"),
    "evaluated": lambda path: after("evaluate"),
    "trained by batches": lambda path: after("train_on_batch", "test_on_batch"),
    "loaded": loaded,
    "pickled": lambda path: pickle.loads(pickle.dumps(fitted())),
    "copied": lambda path: copy.deepcopy(fitted()),
    "from a configuration": lambda path: Sequential.from_config(fitted().get_config()),
    "with other layers": lambda path: changed(),
    "classifier": lambda path: classifier(),
    "classifier by lbfgs": lambda path: classifier(solver="lbfgs"),
    "classifier stopped early": lambda path: classifier(early_stopping=True),
    "classifier with a callback": lambda path: classifier(callbacks=[EarlyStopping("loss")]),
    "classifier in parts": lambda path: partly(),
    "classifier refused": lambda path: refused(),
    "classifier pickled": lambda path: pickle.loads(pickle.dumps(classifier())),
    "classifier cloned": lambda path: clone(classifier(callbacks=[EarlyStopping("loss")])).fit(X, Y),
    "regressor": lambda path: MLPRegressor(hidden_layer_sizes=(6,), max_iter=4).fit(X, X[:, 0]),
    "perceptron": lambda path: fastnn.Perceptron().fit(X, Y),
}


def parts(model):
    """Weak references to a model and to what is large in it, or would keep it."""
    engine = getattr(model, "_engine", None)
    found = {"model": model, "engine": engine}
    if engine is not None:
        found |= {"parameters": engine.params, "moments": engine.slots}
    if isinstance(model, Sequential):
        found |= {"history": model.history, "optimizer": model.optimizer, "layer": model.layers[0]}
    return {name: weakref.ref(part) for name, part in found.items() if part is not None}


@pytest.mark.filterwarnings("ignore:(Stochastic Optimizer|lbfgs failed)")
@pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=[pytest.mark.slow] * (kind == "with a program of its own")) for kind in MODELS]
)
def test_a_model_is_gone_at_once(kind, tmp_path, capsys):
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir(), second.mkdir()
    MODELS[kind](first)  # what is compiled or imported on the way may leave garbage
    gc.collect()
    gc.disable()
    try:
        model = MODELS[kind](second)
        left = parts(model)
        del model
        assert [name for name, part in left.items() if part() is not None] == []
    finally:
        gc.enable()


def test_a_history_and_its_model():
    model = compiled()
    history = model.fit(X, Y, verbose=0)
    assert history is model.history
    assert history.model is model
    for other in (copy.copy(history), copy.deepcopy(history), pickle.loads(pickle.dumps(history))):
        assert (other.history, other.epoch, other.model) == (history.history, [0], None)
    del model
    assert history.epoch == [0]
    with pytest.raises(AttributeError, match="the model of this history is gone"):
        _ = history.model


def test_a_history_of_the_users_has_its_model_in_a_fit():
    history, seen = fastnn.History(), []
    assert history.model is None
    model = compiled()
    model.fit(X, Y, verbose=0, callbacks=[history, LambdaCallback(on_epoch_end=lambda *_: seen.append(history.model))])
    assert seen == [model]


def test_a_callback_and_its_estimator():
    class Looking(Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.seen = type(self.model.estimator)

    callback = Looking()
    estimator = MLPClassifier(hidden_layer_sizes=(6,), max_iter=1, callbacks=[callback], tol=0)
    with pytest.warns(Warning, match="Maximum iterations"):
        estimator.fit(X, Y)
    assert callback.seen is MLPClassifier
    assert callback.model.estimator is estimator
    del estimator
    with pytest.raises(ReferenceError, match="the estimator .* is gone"):
        _ = callback.model.estimator
