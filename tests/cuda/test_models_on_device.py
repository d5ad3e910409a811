"""Models and estimators on the device: the same results as on the CPU, and the same ways to use them."""

import multiprocessing
import pickle
import sys

import numpy as np
import pytest
import scipy.sparse
from harness import assert_close, assert_same_bits

import fastnn
from fastnn import MLPClassifier, Sequential
from fastnn.callbacks import Callback, EarlyStopping, LambdaCallback, ModelCheckpoint
from fastnn.engine.factory import make_engine
from fastnn.layers import BatchNormalization, Dense, Dropout
from fastnn.lowering.lower import lower

RNG = np.random.default_rng(0)
X = RNG.normal(size=(30, 4)).astype(np.float32)
Y = (X[:, 0] > X[:, 1]).astype(np.float32)


def classifier(device, **options):
    fastnn.set_random_seed(1)
    layers = [Dense(5, "relu"), BatchNormalization(), Dropout(0.2), Dense(1, "sigmoid")]
    model = Sequential(layers, device=device, **options)
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    return model


@pytest.fixture
def default_device():
    yield
    fastnn.set_device("cpu")


def test_a_model_learns_the_same(default_device):
    found = {}
    for device in ("cpu", "cuda"):
        fastnn.set_device(device)
        model = classifier(None)
        seen = []
        listener = LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(logs["loss"]))  # noqa: B023
        options = {"batch_size": 8, "epochs": 3, "verbose": 0, "validation_split": 0.2, "callbacks": [listener]}
        history = model.fit(X, Y, **options).history
        assert seen == history["loss"]
        assert model.engine.device == device == fastnn.get_device()
        evaluated = np.array(model.evaluate(X, Y, verbose=0))
        found[device] = [*model.get_weights(), *map(np.array, history.values()), evaluated, model.predict(X)]
    assert_close(found["cuda"], found["cpu"], 1e-4)


def test_going_on_after_a_file_and_a_pickle(tmp_path):
    model = classifier("cuda")
    model.fit(X, Y, batch_size=10, epochs=1, verbose=0)
    model.save(tmp_path / "model")
    others = [fastnn.load_model(tmp_path / "model", device="cuda"), pickle.loads(pickle.dumps(model))]
    others.append(fastnn.load_model(tmp_path / "model"))
    for other in (model, *others):
        fastnn.set_random_seed(2)
        other.fit(X, Y, batch_size=10, epochs=1, verbose=0)
    for other in others[:2]:
        assert other.engine.device == "cuda"
        assert_same_bits(other.get_weights(), model.get_weights())
    assert_close(others[2].get_weights(), model.get_weights(), 1e-4)


class HalvedRate(Callback):
    def on_epoch_begin(self, epoch, logs=None):
        self.model.optimizer.learning_rate = 0.1 / 2**epoch


def test_what_a_fit_takes(tmp_path):
    """Weights of rows and classes; callbacks that change rates, stop, keep the best, look at batches; fits in parts."""
    found = {}
    for device in ("cpu", "cuda"):
        model = classifier(device)
        seen, weights = [], np.linspace(0.5, 2.0, len(X))
        rate = HalvedRate()
        best = EarlyStopping(monitor="val_loss", patience=2, min_delta=10.0, restore_best_weights=True)
        file = ModelCheckpoint(tmp_path / f"{device}.model", save_best_only=True)
        batch = LambdaCallback(on_train_batch_end=lambda batch, logs: seen.append(logs["loss"]))  # noqa: B023
        options = {"batch_size": 8, "verbose": 0, "validation_split": 0.2, "class_weight": {0: 1.0, 1: 3.0}}
        history = model.fit(X, Y, epochs=5, sample_weight=weights, callbacks=[rate, best, file, batch], **options)
        assert len(history.history["loss"]) == 3
        kept = fastnn.load_model(tmp_path / f"{device}.model", device=device).get_weights()
        model.fit(X, Y, epochs=5, initial_epoch=3, **options)
        curves = [np.array(curve) for curve in history.history.values()]
        found[device] = [*model.get_weights(), *kept, *curves, np.array(seen)]
    assert_close(found["cuda"], found["cpu"], 2e-4)


def test_batch_by_batch():
    found = {}
    for device in ("cpu", "cuda"):
        model = classifier(device)
        logs = [model.train_on_batch(X[:7], Y[:7]) for _ in range(2)]
        found[device] = [np.array(logs), np.array(model.test_on_batch(X, Y)), model.predict_on_batch(X)]
    assert_close(found["cuda"], found["cpu"], 1e-4)


def test_what_is_refused():
    with pytest.raises(TypeError, match="dense data is required"):
        MLPClassifier(device="cuda", max_iter=1).fit(scipy.sparse.csr_matrix(X), Y)


@pytest.mark.skipif(sys.platform == "win32", reason="there are no forks")
@pytest.mark.filterwarnings("ignore:This process.*is multi-threaded:DeprecationWarning")
def test_a_fork_is_told():
    engine = make_engine(lower([Dense(1)], 2), "cuda")
    engine.predict(X[:1, :2])
    context = multiprocessing.get_context("fork")
    answers = context.Queue()

    def ask():
        try:
            engine.predict(X[:1, :2])
        except RuntimeError as error:
            answers.put(str(error))

    child = context.Process(target=ask)
    child.start()
    assert "fork" in answers.get(timeout=60)
    child.join()
