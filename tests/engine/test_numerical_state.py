"""The caller's numerical state changes nothing: ``numpy.errstate``, filters of warnings, modes of the CPU."""

import ctypes
import platform
import sys
import warnings

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_matrix

import fastnn
from fastnn import callbacks, initializers, losses, metrics, optimizers, plotting
from fastnn.data.samples import Samples
from fastnn.engine.run_options import RunOptions
from fastnn.layers import BatchNormalization, Dense, Normalization
from fastnn.models import Sequential, load_model
from fastnn.optimizers import schedules

RNG = np.random.default_rng(0)
# numbers that become 0 or subnormal in float32, next to ordinary and to large ones
X = RNG.normal(size=(30, 4)) * np.array([1.0, 1e-42, 1e-300, 1e4])
X[::3] = np.array([0.0, 1e-310, -1e-45, 1e-7])
BINARY, CLASSES = (RNG.random(30) > 0.5).astype(float), RNG.integers(0, 3, 30)
TINY, RATES = RNG.normal(size=30) * 1e-40, RNG.poisson(2.0, 30).astype(float)
WEIGHTS = np.where(np.arange(30) % 2, 1e-41, 1.0)
FAR, FURTHER, SMALL = 100.0 * X, 1e4 * X, 1e5 * TINY
LABELS = np.array(["a", "b", "c"])[CLASSES]


def everything(of_model):
    """Weights as bytes and all else that a model says."""
    return [array.tobytes() for array in of_model]


def keras_face(dtype, path):
    fastnn.set_random_seed(1)
    normal = Normalization(mean=1e-300, variance=1e-320)
    first = Dense(5, "elu", input_dim=4, kernel_initializer=initializers.Constant(1e-43))
    last = Dense(3, "softmax", bias_initializer=initializers.Constant(1e-300))
    model = Sequential([normal, first, BatchNormalization(), last], dtype=dtype)
    rate = schedules.ExponentialDecay(0.01, 1, 1e-30)
    every = ["accuracy", metrics.RootMeanSquaredError(), losses.Huber(1e-200)]
    one_hot = np.eye(3)[CLASSES]
    model.compile(optimizers.Adam(rate), losses.CategoricalFocalCrossentropy(label_smoothing=1e-45), every)
    seen = []
    tell = callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(dict(logs)))
    history = model.fit(
        X, one_hot, 7, epochs=3, verbose=0, callbacks=[tell, callbacks.EarlyStopping("loss", 1e-320, 5)],
        validation_split=0.2, class_weight={0: 1e-310, 1: 1.0, 2: 1e-42}, sample_weight=WEIGHTS,
    ).history  # fmt: skip
    out = [history, seen, model.evaluate(X, one_hot, verbose=0, sample_weight=WEIGHTS), model.predict(X).tobytes()]
    out += [model.predict(X, batch_size=4, verbose=0, callbacks=[tell]).tobytes(), model(X[:1]).tobytes()]
    out += [model.train_on_batch(X, one_hot, WEIGHTS), model.test_on_batch(X, one_hot)]
    model.set_weights([np.full(weight.shape, 1e-310) for weight in model.get_weights()])
    model.layers[1].set_weights([np.full((4, 5), 1e-320), np.full(5, 1e-60)])
    model.save(path)
    again = load_model(path)
    out += [again.predict(X).tobytes(), everything(again.get_weights()), again.summary(print_fn=lambda line: None)]
    again.fit(X, one_hot, verbose=0)
    adapted = Normalization()
    adapted.adapt(X)
    return [*out, everything(again.get_weights()), everything(adapted.get_weights())]


def losses_and_metrics():
    out = []
    for loss in (losses.Poisson(), losses.BinaryCrossentropy(), losses.MeanSquaredError(), losses.Huber(1e-200)):
        out += [loss(BINARY, np.abs(X[:, 1])), loss.rows(BINARY, np.abs(X[:, 2])).tobytes()]
        out.append(loss(BINARY, BINARY, WEIGHTS))
    out += [losses.BinaryCrossentropy(from_logits=True)(BINARY, FURTHER[:, 0]), metrics.LogCoshError()(TINY, SMALL)]
    for name in ("sigmoid", "softplus", "tanh", "elu", "gelu", "exponential", "softmax"):
        out.append(fastnn.activations.get(name)(FURTHER).tobytes())
    return out


def classifier(options):
    model = fastnn.MLPClassifier((5,), max_iter=6, random_state=0, n_iter_no_change=20, **options)
    model.fit(X, LABELS)
    out = [model.predict(X).tolist(), model.predict_proba(X).tobytes(), model.predict_log_proba(FAR).tobytes()]
    if options.get("solver") != "lbfgs" and not model.early_stopping:
        model.partial_fit(X, LABELS)
    out += [model.score(X, LABELS), model.predict(X.tolist()).tolist(), model.predict_proba(X[:1]).tobytes()]
    if "scoring" not in options:
        out.append(everything(model.to_sklearn().coefs_))
    return [*out, getattr(model, "loss_curve_", None), everything(model.coefs_)]


def regressor(options):
    y, x = (RATES, X[:, :3]) if options.get("loss") == "poisson" else (TINY, X)
    model = fastnn.MLPRegressor(hidden_layer_sizes=(5,), max_iter=6, random_state=0, n_iter_no_change=20, **options)
    model.fit(x, y, sample_weight=WEIGHTS)
    out = [model.predict(x).tobytes(), model.score(x, y), model.predict(x[:1]).tobytes()]
    again = fastnn.MLPRegressor.from_sklearn(model.to_sklearn()) if options.get("loss") != "poisson" else model
    return [*out, everything(again.coefs_), getattr(model, "loss_curve_", None)]


def containers():
    """Rows that come sparse, as a frame, as objects, in Fortran's order, and labels as columns."""
    out, labels = [], np.eye(3, dtype=int)[CLASSES]
    for rows in (csr_matrix(X), pd.DataFrame(X), X.astype(object), np.asfortranarray(X), X.astype(">f8")):
        model = fastnn.MLPClassifier((3,), max_iter=2, batch_size=9, random_state=0, n_iter_no_change=9)
        model.fit(rows, labels, sample_weight=WEIGHTS, validation_data=(rows, labels))
        out += [model.predict_proba(rows).tobytes(), model.predict(rows).tolist(), model.validation_loss_curve_]
    model = Sequential([Dense(2, input_dim=4, kernel_initializer="ones")])
    model.compile("rmsprop", "mae")
    for rows in (X.tolist(), pd.DataFrame(X), X.astype(object), X.astype(np.longdouble)):
        out += [model.predict(rows).tobytes(), model.evaluate(rows, X[:, :2], verbose=0)]
    return out


def perceptron():
    model = fastnn.Perceptron(random_state=0, max_iter=3)
    return [model.fit(X, BINARY).predict(X).tolist(), model.decision_function(X).tobytes(), model.score(X, BINARY)]


def pictures():
    curve = {"loss": [1.0, 1e-300, 1e-310], "val_loss": [1e-320, 2.0, 1.0]}
    axes = plotting.plot_metric(curve, "loss")
    figures = [plotting.plot_history(curve), plotting.plot_confusion_matrix(CLASSES, CLASSES[::-1]).figure]
    return len(axes.lines), [len(figure.axes) for figure in figures]


DOORS = {
    "keras-float32": lambda path: keras_face("float32", path),
    "keras-float64": lambda path: keras_face("float64", path),
    "losses": lambda path: losses_and_metrics(),
    "classifier": lambda path: classifier({}),
    "classifier-float64": lambda path: classifier({"dtype": "float64", "early_stopping": True, "batch_size": 9}),
    "classifier-scoring": lambda path: classifier({"batch_size": 5, "early_stopping": True, "scoring": "neg_log_loss"}),
    "classifier-lbfgs": lambda path: classifier({"solver": "lbfgs"}),
    "regressor": lambda path: regressor({}),
    "regressor-small-batches": lambda path: regressor({"batch_size": 5, "early_stopping": True}),
    "regressor-poisson": lambda path: regressor({"loss": "poisson", "alpha": 1e-320}),
    "regressor-lbfgs": lambda path: regressor({"solver": "lbfgs"}),
    "containers": lambda path: containers(),
    "perceptron": lambda path: perceptron(),
    "pictures": lambda path: pictures(),
}


def quietly(door, path):
    """What a door gives in the usual state; that a fit may not have converged is no matter here."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        return door(path)


@pytest.mark.parametrize("name", DOORS)
def test_errstate_and_filters_of_warnings_change_nothing(name, tmp_path):
    expected = quietly(DOORS[name], tmp_path / "model")
    for reaction in ("raise", "warn"):
        with warnings.catch_warnings(), np.errstate(all=reaction):
            warnings.simplefilter("error")
            warnings.filterwarnings("ignore", category=pytest.importorskip("sklearn").exceptions.ConvergenceWarning)
            assert repr(DOORS[name](tmp_path / "model")) == repr(expected)


@pytest.mark.parametrize("name", ["keras-float32", "regressor"])
def test_a_function_of_the_callers_for_errors_is_not_called(name, tmp_path):
    expected, calls = quietly(DOORS[name], tmp_path / "model"), []
    before = np.seterrcall(lambda kind, flag: calls.append(kind))
    try:
        with warnings.catch_warnings(), np.errstate(all="call"):
            warnings.simplefilter("ignore")
            assert repr(DOORS[name](tmp_path / "model")) == repr(expected)
    finally:
        np.seterrcall(before)
    assert not calls


def test_callbacks_find_the_state_of_the_caller():
    states = []
    look = callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: states.append(np.geterr()["under"]))
    model = Sequential([Dense(1, input_dim=4)])
    model.compile("sgd", "mse")
    with np.errstate(all="raise"):
        model.fit(X, BINARY, verbose=0, callbacks=[look])
        fastnn.MLPRegressor(max_iter=1, callbacks=look).partial_fit(X, BINARY)
        model.evaluate(X, BINARY, verbose=0, callbacks=[look])
        assert np.geterr()["under"] == "raise"
    assert states == ["raise", "raise"]


def test_infinity_is_still_found():
    """What float32 cannot hold at all is an error in any state."""
    model = Sequential([Dense(1, input_dim=1)])
    model.compile("sgd", "mse")
    for reaction in ("ignore", "raise"):
        with np.errstate(all=reaction), pytest.raises(ValueError, match="too large for float32"):
            model.fit([[1e300]], [[1.0]], verbose=0)


@pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() != "x86_64", reason="sets the modes of an x86 CPU through glibc"
)
@pytest.mark.parametrize("mode", ["downward", "upward", "traps"])
def test_modes_of_the_cpu_change_no_bit(mode):
    """Programs set their own rounding and masks, and give the caller's back."""
    libm = ctypes.CDLL("libm.so.6")
    downward, upward, invalid = 0x400, 0x800, 0x1 | 0x4 | 0x8 | 0x10  # with division by 0, overflow and underflow

    def train():
        model = Sequential([Dense(8, "gelu", input_dim=4), Dense(3, "softmax")])
        model.compile("adam", "sparse_categorical_crossentropy")
        model.set_weights([np.full((4, 8), 0.3), np.zeros(8), np.full((8, 3), 0.1), np.zeros(3)])
        options = RunOptions(batch_size=7, epochs=2, shuffle=False, seed=3)
        return model, model.engine.train(model._objective(), Samples(rows, targets), options)

    rows, targets = (RNG.normal(size=(30, 4))).astype(np.float32), CLASSES[:, None].astype(np.float32)
    ends = []
    for changed in (False, True):
        model, run = train()
        run.advance(1)  # all that is compiled is compiled
        begin = (lambda: libm.feenableexcept(invalid)) if mode == "traps" else (
            lambda: libm.fesetround(downward if mode == "downward" else upward)
        )  # fmt: skip
        try:
            if changed:
                begin()
            run.advance(9)
            assert not changed or mode == "traps" or libm.fegetround() == (downward if mode == "downward" else upward)
        finally:
            libm.fesetround(0)
            libm.fedisableexcept(invalid)
        ends.append(everything(model.get_weights()))
    assert ends[0] == ends[1]
