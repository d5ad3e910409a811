"""Data that have no room on the device come in chunks, and change no bit of the results."""

import numpy as np
import pytest
from fastnn.kernels.cuda import device
from fastnn.kernels.cuda.jit import SIMULATED, cuda
from harness import Problem, assert_same_bits, finish_run, small_problem, start_run

import fastnn
from fastnn import optimizers
from fastnn.callbacks import EarlyStopping
from fastnn.data import streaming
from fastnn.data.samples import Samples
from fastnn.data.streaming import Chunks, chunk_rows
from fastnn.engine.cuda import inference_launches
from fastnn.engine.cuda import run as runs_cuda
from fastnn.engine.run_options import RunOptions
from fastnn.layers import Dense, Dropout, Rescaling
from fastnn.optimizers.schedules import ExponentialDecay

ROW = 4 * (6 + 1)  # bytes of a row of `small_problem` and its target


@pytest.fixture(params=[2.5, 40], ids=["least", "most"])
def rows_there(request, monkeypatch):
    """Room on the device for so many of 43 rows."""

    def limit():
        monkeypatch.setenv("FASTNN_GPU_MEMORY", str(request.param * ROW))

    return limit


@pytest.fixture
def sent(monkeypatch):
    """Sizes of all that is copied to the device, in elements."""
    sizes = []
    copy, send = cuda.to_device, streaming.Buffer.send
    monkeypatch.setattr(cuda, "to_device", lambda array: sizes.append(array.size) or copy(array))
    monkeypatch.setattr(
        streaming.Buffer, "send", lambda buffer, target, count: sizes.append(count) or send(buffer, target, count)
    )
    return sizes


def trained(optimizer="adam", dtype="float32", cuts=(), weighted=False, **options):
    engine, run = start_run(small_problem(device="cuda", weighted=weighted), dtype, optimizer, **options)
    for steps in cuts:
        run.advance(steps)
    logs = np.array(finish_run(run))
    return [*engine.get_weights(), logs]


@pytest.mark.covering
@pytest.mark.parametrize("launches", [False, True], ids=["one launch", "many launches"])
@pytest.mark.parametrize(
    "options",
    [
        {"shuffle": False},
        {"batch_size": 43},
        {"dtype": "float64", "cuts": (1, 3, 2, 1, 4)},
        {"weighted": True, "weighted_mean": True, "first_epoch": 3, "seed": 2**40 + 1},
        {"optimizer": optimizers.SGD(ExponentialDecay(0.1, 2, 0.5)), "epochs": 2},
    ],
    ids=" ".join,
)
def test_training(options, launches, rows_there, sent, monkeypatch):
    options = {"batch_size": 8, "epochs": 2} | options
    if launches:
        monkeypatch.setattr(runs_cuda, "FLOPS_WORTH_LAUNCHES", 0.0)
    expected = trained(**options)
    assert 43 * 6 in sent
    sent.clear()
    rows_there()
    assert_same_bits(trained(**options), expected)
    assert (43 * 6 in sent) == (options["batch_size"] == 43)


def test_going_on_in_the_midst_of_an_epoch(rows_there):
    engine, run = start_run(small_problem(device="cuda"))
    run.advance(7)
    weights, state, sums = engine.get_weights(), engine.get_state(), run.sums(1)
    finish_run(run)
    rows_there()
    other, going = start_run(small_problem(device="cuda"), seed=9)
    other.set_weights(weights)
    other.set_state(state)
    going.seek(5, 1, 2, sums)
    finish_run(going)
    assert_same_bits(other.get_weights(), engine.get_weights())


def test_orders_of_the_caller(rows_there):
    """scikit-learn's, which an estimator draws before each epoch."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(43, 6)), rng.integers(0, 3, 43)
    found = []
    for limit in (lambda: None, rows_there):
        limit()
        model = fastnn.MLPClassifier(
            (4,), dtype="float64", max_iter=3, batch_size=4, random_state=1, device="cuda", early_stopping=True
        )
        with pytest.warns(UserWarning, match="Maximum iterations"):
            model.fit(x, y)
        found.append([*model.coefs_, np.array(model.validation_scores_)])
    assert_same_bits(found[1], found[0])


@pytest.mark.parametrize("launches", [False, True], ids=["one launch", "many launches"])
def test_pixels_predictions_and_evaluations(launches, rows_there, sent, monkeypatch):
    monkeypatch.setattr(inference_launches, "pays", lambda plan, rows: launches and rows > 100)  # of all rows
    layers = [Rescaling(1 / 255), Dense(4, "tanh"), Dropout(0.3), Dense(2)]
    network = Problem(layers, 6, "mean_squared_error", rows=101, metrics=["mean_absolute_error"], device="cuda")
    x = np.random.default_rng(1).integers(0, 256, (101, 6)).astype(np.uint8)
    weights = np.linspace(0.5, 2.0, 101, dtype=np.float32)
    found = []
    for limit in (lambda: None, rows_there):
        limit()
        sent.clear()
        engine, objective = network.engine()
        engine.reset_optimizer(optimizers.SGD(0.1))
        options = RunOptions(batch_size=4, epochs=2, shuffle=True, seed=1)
        run = engine.train(objective, Samples(x, network.y, weights), options)
        logs = np.array(finish_run(run))
        found.append([logs, engine.predict(x), engine.evaluate(objective, Samples(x, network.y, weights))])
        assert (x.size in sent) == (limit is not rows_there)
    assert_same_bits(found[1], found[0])


def test_many_networks_are_trained_one_by_one(rows_there):
    network = small_problem(device="cuda")
    engine, objective = network.engine()
    engine.reset_optimizer(optimizers.Adam(0.01))
    options, starts = RunOptions(batch_size=20, epochs=2, shuffle=True), ([network.weights] * 2, [1, 2])
    expected, logs = engine.train_many(objective, network.samples("float32"), options, *starts)
    rows_there()
    found, streamed = engine.train_many(objective, network.samples("float32"), options, *starts)
    for ours, theirs in zip(found, expected, strict=True):
        assert_same_bits(ours, theirs)
    assert_same_bits(streamed, logs)


def test_large_arrays_go_through_pinned_memory(monkeypatch, sent):
    expected = trained()
    monkeypatch.setattr(streaming, "CHUNK_BYTES", 64)
    sent.clear()
    assert_same_bits(trained(), expected)
    assert max(sent) == 43  # the order
    assert sent.count(16) >= 43 * 6 // 16 + 43 // 16


def test_stopping_early_and_memory_maps(tmp_path, rows_there):
    rng = np.random.default_rng(0)
    np.save(tmp_path / "x.npy", rng.normal(size=(43, 6)).astype(np.float32))
    x, y = np.load(tmp_path / "x.npy", mmap_mode="r"), rng.integers(0, 3, 43)
    found = []
    for limit in (lambda: None, rows_there):
        limit()
        fastnn.set_random_seed(1)
        model = fastnn.Sequential([Dense(4, "tanh"), Dense(3, "softmax")], device="cuda")
        model.compile("adam", "sparse_categorical_crossentropy")
        stop = EarlyStopping(patience=1, min_delta=1.0, restore_best_weights=True)
        history = model.fit(x, y, validation_split=0.3, epochs=4, batch_size=4, verbose=0, callbacks=[stop]).history
        found.append([*model.get_weights(), np.array(history["val_loss"])])
    assert_same_bits(found[1], found[0])


def test_chunks_are_chosen_by_what_is_free(monkeypatch):
    x, y = np.zeros((1000, 9), np.float32), np.zeros((1000, 1), np.float32)
    monkeypatch.setenv("FASTNN_GPU_MEMORY", "40000")
    assert chunk_rows([x, y], 10) is None
    assert chunk_rows([x, y], 10, more_bytes=4) == 450
    assert chunk_rows([x, cuda.to_device(y)], 10, more_bytes=4) is None
    monkeypatch.setenv("FASTNN_GPU_MEMORY", "39999")
    assert chunk_rows([x, y], 10) == 490
    assert chunk_rows([x, y], 700) == 700
    monkeypatch.setattr(streaming, "CHUNK_BYTES", 4000)
    assert chunk_rows([x, y], 10) == 100
    monkeypatch.delenv("FASTNN_GPU_MEMORY")
    assert chunk_rows([x, y], 10) is None
    monkeypatch.setattr(device, "free_bytes", lambda: 49999.0)
    assert chunk_rows([x, y], 10) == 100
    monkeypatch.setattr(device, "free_bytes", lambda: 50000.0)
    assert chunk_rows([x, y], 10) is None
    for wrong in ("much", "0", "nan"):
        monkeypatch.setenv("FASTNN_GPU_MEMORY", wrong)
        with pytest.raises(ValueError, match=f"FASTNN_GPU_MEMORY='{wrong}': give a number of bytes > 0"):
            chunk_rows([x, y], 10)


@pytest.mark.skipif(not SIMULATED, reason="events are replaced by a list, so on a GPU nobody would wait")
def test_no_chunk_is_written_while_it_is_read(monkeypatch):
    """A copy waits for the launches on the chunk before; the host waits for the copy from the same pinned memory."""
    happened = []

    class Event:
        def __init__(self):
            self.name = len(made)
            made.append(self)

        def record(self, stream=0):
            happened.append(("record", self.name, stream != 0))

        def wait(self, stream=0):
            happened.append(("wait", self.name, stream != 0))

        def synchronize(self):
            happened.append(("synchronize", self.name))

    made = []
    monkeypatch.setattr(cuda, "event", Event)
    x = np.arange(12.0).reshape(6, 2)
    chunks = Chunks([x], 2)
    used, sent, arrived = ([3, 0], [4, 1], [5, 2])  # of the side that is filled first, and of the other
    expected = []
    for number in range(3):
        (array,) = chunks.take(number, slice(2 * number, 2 * number + 2))
        np.testing.assert_array_equal(np.asarray(array.copy_to_host()), x[2 * number : 2 * number + 2].ravel())
        side, other = number % 2, 1 - number % 2
        fill = [("wait", used[side], True), ("synchronize", sent[side]), ("record", sent[side], True)]
        fill.append(("record", arrived[side], True))
        swap = [("record", used[other], False), ("wait", arrived[side], False)]
        if number == 0:
            expected += fill
        expected += swap
        assert happened == expected
        if number < 2:
            chunks.begin(number + 1, slice(2 * number + 2, 2 * number + 4))
            fill = [("wait", used[other], True), ("synchronize", sent[other]), ("record", sent[other], True)]
            expected += [*fill, ("record", arrived[other], True)]
            assert happened == expected
