"""A fit that goes on from its backup is the run that was not stopped, callbacks and files included, or is refused."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from harness import assert_same_bits
from test_going_on import Stop, StopAt, X, Y, assert_same_models, compiled

from fastnn import Dense, Dropout, Sequential, layers, losses
from fastnn.callbacks import BackupAndRestore, Callback, EarlyStopping, History, LambdaCallback, ModelCheckpoint
from fastnn.models import load_model, model_file
from fastnn.models.model_file import ModelFileError
from fastnn.optimizers import Adam, schedules

F1 = [0.5, 0.7, 0.6, 0.8, 0.7, 0.7, 0.75, 0.1, 0.1, 0.1]  # stops after epoch 6 with patience 3


class Judge(Callback):
    def on_epoch_end(self, epoch, logs=None):
        logs["val_f1"] = F1[epoch]


class Counter(Callback):
    """Has a state, and changes the rate by what is there."""

    def __init__(self):
        self.steps, self.begun = 0, np.zeros(2, np.int16)

    def on_epoch_begin(self, epoch, logs=None):
        self.begun[1] += 1
        if epoch in (2, 4):
            self.model.optimizer.learning_rate *= 0.5

    def on_train_batch_end(self, batch, logs=None):
        self.steps += 1

    def get_state(self):
        return {"steps": self.steps, "begun": self.begun}

    def set_state(self, state):
        self.steps, self.begun = state["steps"], state["begun"]


class Listeners:
    """Callbacks that write to a folder; what they know in the end."""

    def __init__(self, folder):
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self.stops = EarlyStopping("val_f1", patience=3, restore_best_weights=True), EarlyStopping(patience=9)
        self.keeps = [
            ModelCheckpoint(folder / "best-f1", "val_f1", save_best_only=True),
            ModelCheckpoint(folder / "best-loss", save_best_only=True),
            ModelCheckpoint(folder / "{epoch}-{batch}", save_freq=3),
        ]
        self.histories, self.counter = [History(), History()], Counter()

    def __iter__(self):
        yield from (Judge(), *self.stops, *self.keeps, *self.histories, self.counter)

    def end(self):
        known = [(each.wait, each.best, each.best_epoch, each.stopped_epoch) for each in self.stops]
        known += [each.best for each in self.keeps] + [(each.history, each.epoch) for each in self.histories]
        files = {path.name: path.read_bytes() for path in self.folder.iterdir()}
        return [*known, self.counter.steps, self.counter.begun.tolist(), files]


def fit(model, *callbacks, **options):
    """Ten epochs of four steps."""
    options = {"epochs": 10, "batch_size": 10, "verbose": 0, "validation_split": 0.2} | options
    model.fit(options.pop("x", X), options.pop("y", Y), callbacks=list(callbacks), **options)
    return model


STOPS = [
    ("on_train_batch_end", 6), ("on_train_batch_begin", 13), ("on_train_batch_end", 20), ("on_epoch_end", 1),
    ("on_epoch_end", 5), ("on_epoch_begin", 7), ("on_epoch_end", 7), ("on_train_end", 1),
]  # fmt: skip


@pytest.mark.parametrize(("save_freq", "double"), [("epoch", False), (1, False), (3, True), (7, False)])
def test_callbacks_go_on_too(tmp_path, save_freq, double):
    whole = Listeners(tmp_path / "whole")
    expected = fit(compiled(), *whole)
    assert expected.history.epoch == [0, 1, 2, 3, 4, 5, 6]
    for place, (hook, count) in enumerate(STOPS):
        folder, keep = tmp_path / f"part-{place}", tmp_path / f"backup-{place}"
        backup = BackupAndRestore(keep, save_freq, double_checkpoint=double)
        stopped = [*Listeners(folder), StopAt(hook, count)]
        stopped.insert(0 if place % 2 else len(stopped), backup)  # it comes last wherever it stands
        with pytest.raises(Stop):
            fit(compiled(), *stopped)
        seed = 9 if list(keep.iterdir()) else 1  # the backup brings its own
        again = Listeners(folder)
        model = fit(compiled(seed=seed), *again, BackupAndRestore(keep, save_freq, double_checkpoint=double))
        assert_same_models(model, expected)
        assert again.end() == whole.end()
        assert list(keep.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("hook", ["on_train_batch_end", "on_epoch_end"])
def test_callbacks_go_on_after_any_step(tmp_path, hook):
    whole = Listeners(tmp_path / "whole")
    expected = fit(compiled(), *whole)
    for count in range(1, 29 if hook == "on_train_batch_end" else 8):
        folder, keep = tmp_path / f"part-{count}", tmp_path / f"backup-{count}"
        with pytest.raises(Stop):
            fit(compiled(), *Listeners(folder), BackupAndRestore(keep, 1), StopAt(hook, count))
        again = Listeners(folder)
        model = fit(compiled(seed=9 if list(keep.iterdir()) else 1), *again, BackupAndRestore(keep, 1))
        assert_same_models(model, expected)
        assert again.end() == whole.end()


def test_two_backups_of_one_fit(tmp_path):
    expected = fit(compiled(), EarlyStopping("loss", patience=99))
    backups = [BackupAndRestore(tmp_path / name, freq) for name, freq in (("a", 1), ("b", "epoch"))]
    with pytest.raises(Stop):
        fit(compiled(), *backups, EarlyStopping("loss", patience=99), StopAt("on_train_batch_begin", 11))
    backups = [BackupAndRestore(tmp_path / name, freq) for name, freq in (("a", 1), ("b", "epoch"))]
    assert_same_models(fit(compiled(seed=5), *backups, EarlyStopping("loss", patience=99)), expected)


def test_a_fit_that_had_stopped_is_not_gone_on_with(tmp_path):
    """Whoever asked for the end: a callback in the last epoch, then killed before it was over."""
    stop = LambdaCallback(on_epoch_end=lambda epoch, _: epoch == 2 and setattr(stop.model, "stop_training", True))
    expected = fit(compiled(), stop)
    with pytest.raises(Stop):
        fit(compiled(), stop, BackupAndRestore(tmp_path), StopAt("on_train_end", 1))
    seen = []
    end = LambdaCallback(on_train_end=seen.append)
    model = fit(compiled(seed=5), end, BackupAndRestore(tmp_path))
    assert_same_models(model, expected)
    assert model.history.epoch == [0, 1, 2]
    assert seen == [{name: values[-1] for name, values in expected.history.history.items()}]


@pytest.mark.parametrize("save_freq", [1, "epoch"])
def test_a_fit_that_had_stopped_within_an_epoch(tmp_path, save_freq):
    class TenSteps(Callback):
        def __init__(self):
            self.left = 10

        def on_train_batch_end(self, batch, logs=None):
            self.left -= 1
            self.model.stop_training = self.left == 0

    expected = fit(compiled(), TenSteps())
    assert expected.history.epoch == [0, 1, 2]
    with pytest.raises(Stop):
        fit(compiled(), TenSteps(), BackupAndRestore(tmp_path, save_freq), StopAt("on_train_end", 1))
    assert_same_models(fit(compiled(seed=5), BackupAndRestore(tmp_path, save_freq)), expected)


def test_a_mark_within_an_epoch_is_not_done_twice(tmp_path):
    """What a callback does where an epoch begins is in the backup already."""

    class Weights(Callback):
        def on_epoch_begin(self, epoch, logs=None):
            self.model.set_weights([0.5 * weight for weight in self.model.get_weights()])
            self.model.optimizer.beta_1 *= 0.9

    expected = fit(compiled(), Weights())
    for count in (2, 7, 8, 9):
        with pytest.raises(Stop):
            fit(compiled(), Weights(), BackupAndRestore(tmp_path, 1), StopAt("on_train_batch_begin", count))
        assert_same_models(fit(compiled(seed=7), Weights(), BackupAndRestore(tmp_path, 1)), expected)


# --- other conditions -------------------------------------------------------------------------------------------------

OTHER_ROWS = X.copy()
OTHER_ROWS[11, 2] += 1.0


def other(*layers, optimizer="adam", loss="binary_crossentropy", metrics=("accuracy",)):
    model = Sequential(layers or [Dense(8, "relu", input_shape=(4,)), Dropout(0.3), Dense(1, "sigmoid")])
    model.compile(optimizer, loss, metrics=list(metrics))
    return model


CONDITIONS = {
    "fewer rows": ({"x": X[:45], "y": Y[:45]}, "data.rows was 40, is 36"),
    "other rows": ({"x": OTHER_ROWS}, "data.digest of x was"),
    "rows in another order": ({"x": X[::-1]}, "data.digest of x was"),
    "bytes": ({"x": np.zeros((50, 4), np.uint8)}, "data.digest of x was"),
    "other labels": ({"y": 1 - Y}, "data.digest of y was"),
    "batch_size": ({"batch_size": 5}, "batch_size was 10, is 5"),
    "shuffle": ({"shuffle": False}, "shuffle was True, is False"),
    "initial_epoch": ({"initial_epoch": 1}, "initial_epoch was 0, is 1"),
    "fewer epochs": ({"epochs": 2}, "epoch 3 was begun, epochs is 2"),
    "split": ({"validation_split": 0.4}, "data.rows was 40, is 30; .*validation.rows was 10, is 20"),
    "no validation": ({"validation_split": 0.0}, "validation was .*, is None"),
    "other validation": ({"validation_data": (X, Y), "validation_split": 0.0}, "validation.rows was 10, is 50"),
    "class_weight": ({"class_weight": {0: 1.0, 1: 2.0}}, "sample_weight or class_weight was None, is '"),
    "sample_weight": ({"sample_weight": np.arange(50)}, "sample_weight or class_weight was None, is '"),
}
MODELS = {
    "rate": (lambda: other(optimizer=Adam(0.01)), "optimizer.learning_rate was 0.001, is 0.01"),
    "beta": (lambda: other(optimizer=Adam(beta_1=0.5)), "optimizer.beta_1 was 0.9, is 0.5"),
    "schedule": (lambda: other(optimizer=Adam(schedules.CosineDecay(0.1, 9))), "optimizer.learning_rate was 0.001, is"),
    "optimizer": (lambda: other(optimizer="sgd"), "of another model.*optimizer Adam"),
    "loss": (lambda: other(loss="mse"), "loss was 'BinaryCrossentropy', is 'MeanSquaredError'"),
    "smoothing": (
        lambda: other(loss=losses.BinaryCrossentropy(label_smoothing=0.1)), "loss.label_smoothing was 0.0, is 0.1",
    ),
    "metrics": (lambda: other(metrics=()), "metrics was .*, is"),
    "units": (
        lambda: other(Dense(9, "relu", input_shape=(4,)), Dropout(0.3), Dense(1, "sigmoid")), "of another model",
    ),
    "activation": (
        lambda: other(Dense(8, "tanh", input_shape=(4,)), Dropout(0.3), Dense(1, "sigmoid")),
        r"layers\[0\].activation was 'relu', is 'tanh'",
    ),
    "rate of dropout": (
        lambda: other(Dense(8, "relu", input_shape=(4,)), Dropout(0.5), Dense(1, "sigmoid")),
        r"layers\[1\].rate was 0.3, is 0.5",
    ),
    "no dropout": (
        lambda: other(Dense(8, "relu", input_shape=(4,)), Dense(1, "sigmoid")), "layers was .*, is",
    ),
    "penalty": (
        lambda: other(
            Dense(8, "relu", kernel_regularizer="l2", input_shape=(4,)), Dropout(0.3), Dense(1, "sigmoid")
        ), "kernel_regularizer was None, is",
    ),
    "scaling": (
        lambda: other(
            layers.Rescaling(2.0, input_shape=(4,)), Dense(8, "relu"), Dropout(0.3), Dense(1, "sigmoid")
        ), "layers was",
    ),
}  # fmt: skip


def stopped(folder, *callbacks):
    """Stops in the third epoch; returns the file of the backup."""
    with pytest.raises(Stop):
        fit(compiled(), *callbacks, BackupAndRestore(folder, 1), StopAt("on_train_batch_end", 10))
    return folder / "backup.fastnn"


@pytest.mark.parametrize("case", [*CONDITIONS, *MODELS])
@pytest.mark.parametrize("double", [False, True])
def test_other_conditions_are_refused_by_name(tmp_path, case, double):
    """And the backup stays as it is, for the fit that it is of."""
    expected, path = fit(compiled()), stopped(tmp_path)
    if double:
        shutil.copy(path, path.parent / f"former-{path.name}")
    content = path.read_bytes()
    make, message = MODELS.get(case) or (compiled, CONDITIONS[case][1])
    model, options = make(), CONDITIONS.get(case, [{}])[0]
    before = model.get_weights()
    with pytest.raises(ModelFileError, match=f"backup.fastnn' is .*{message}"):
        fit(model, BackupAndRestore(tmp_path, 1, double_checkpoint=double), **options)
    assert_same_bits(model.get_weights(), before)
    assert path.read_bytes() == content
    assert_same_models(fit(compiled(seed=5), BackupAndRestore(tmp_path, 1)), expected)


def test_what_makes_no_difference_is_no_other_condition(tmp_path):
    """Threads, more epochs, first weights, lists for arrays, and who looks on."""
    expected = fit(compiled(), epochs=12)
    stopped(tmp_path)
    model = Sequential(
        [
            Dense(8, "relu", kernel_initializer="he_normal", input_shape=(4,)), Dropout(0.3), Dense(1, "sigmoid"),
        ], threads=1,
    )  # fmt: skip
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"], jit_compile=False)
    watch = LambdaCallback(on_epoch_end=lambda *_: None)
    fit(model, watch, BackupAndRestore(tmp_path), x=X.tolist(), y=Y.reshape(-1, 1), epochs=12)
    assert_same_models(model, expected)


@pytest.mark.parametrize("now", [(), ("stop", "stop"), ("keep",), ("keep", "stop")])
def test_other_callbacks_are_refused_by_name(tmp_path, now):
    kinds = {"stop": lambda: EarlyStopping("loss", patience=99), "keep": lambda: ModelCheckpoint(tmp_path / "kept")}
    stopped(tmp_path, kinds["stop"]())
    names = ", ".join({"stop": "EarlyStopping", "keep": "ModelCheckpoint"}[name] for name in now)
    message = rf"callbacks with a state were \[EarlyStopping\], are \[{names}\]"
    with pytest.raises(ModelFileError, match=message):
        fit(compiled(), *(kinds[name]() for name in now), BackupAndRestore(tmp_path))


def test_another_monitor_is_refused(tmp_path):
    keep = {"save_best_only": True, "filepath": tmp_path / "kept"}
    stopped(tmp_path, EarlyStopping("loss", patience=99), ModelCheckpoint(monitor="loss", **keep))
    for now in ("val_loss", "loss"), ("loss", "val_loss"):
        callbacks = EarlyStopping(now[0], patience=99), ModelCheckpoint(monitor=now[1], **keep)
        with pytest.raises(ValueError, match="cannot go on .*its monitor was 'loss', is 'val_loss'"):
            fit(compiled(), *callbacks, BackupAndRestore(tmp_path))
    assert (tmp_path / "backup.fastnn").exists()


# --- states of the user's own callbacks -------------------------------------------------------------------------------


def keeping(state):
    class Keeper(Callback):
        def __init__(self):
            self.state = None

        def get_state(self):
            return state

        def set_state(self, state):
            self.state = state

    return Keeper()


def test_states_come_back_as_they_were(tmp_path):
    arrays = [np.arange(6).reshape(2, 3).astype(kind) for kind in ("f4", "f8", ">f8", "f2", "i1", "u2", "i8", "?")]
    arrays += [np.array(0.1, np.float32), np.zeros((0, 3)), np.arange(12.0).reshape(3, 4).T]
    plain = {"none": None, "flag": True, "n": 2**70, "x": 0.1, "inf": -np.inf, "s": "ä\n", "l": [1, [2.5, {"a": []}]]}
    state = {"arrays": arrays, "plain": plain, "numpy": np.float64(0.5), "tuple": (1, 2)}
    stopped(tmp_path, keeping(state))
    again = keeping(None)
    fit(compiled(), again, BackupAndRestore(tmp_path))
    assert again.state["plain"] == plain
    assert (again.state["numpy"], again.state["tuple"]) == (0.5, (1, 2))
    for mine, theirs in zip(again.state["arrays"], arrays, strict=True):
        assert mine.dtype == theirs.dtype.newbyteorder("=")
        np.testing.assert_array_equal(mine, theirs, strict=mine.dtype == theirs.dtype)


@pytest.mark.parametrize(
    "odd", [object(), {1: 2}, {3, 4}, np.array(["a"]), np.array([None]), 1j, b"bytes", X.astype(complex)],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_states_that_no_file_can_hold(tmp_path, odd):
    with pytest.raises(TypeError, match=r"the state of the callback Keeper\['a'\]\[1\] must be"):
        fit(compiled(), keeping({"a": [0, odd]}), BackupAndRestore(tmp_path))


def test_half_a_state(tmp_path):
    class Half(Callback):
        def get_state(self):
            return {}

    begun = []
    with pytest.raises(TypeError, match="Half has only one of get_state and set_state"):
        fit(compiled(), Half(), BackupAndRestore(tmp_path), LambdaCallback(on_epoch_begin=lambda *_: begun.append(1)))
    assert begun == []
    fit(compiled(), Half())  # no matter without a backup


def test_a_callback_that_does_not_take_its_state(tmp_path):
    path = stopped(tmp_path, EarlyStopping("loss", patience=99))
    header, content = read(path)
    header["training"]["surroundings"]["callbacks"][0]["state"].pop("wait")
    write(path, header, content)
    with pytest.raises(ValueError, match="EarlyStopping cannot go on with the state of a backup .*'wait'"):
        fit(compiled(), EarlyStopping("loss", patience=99), BackupAndRestore(tmp_path))


# --- files ------------------------------------------------------------------------------------------------------------


def read(path):
    """The configuration in a file, and its tensors."""
    return model_file._parse(path.read_bytes(), "the file")


def write(path, config, tensors):
    from safetensors.numpy import save

    path.write_bytes(save(tensors, {"fastnn": json.dumps(config)}))


def test_backups_of_former_versions(tmp_path):
    """They hold no state of callbacks, and no conditions: those begin anew, these are not compared."""
    expected, path = fit(compiled()), stopped(tmp_path)
    config, tensors = read(path)
    del config["training"]["surroundings"]
    write(path, config, tensors)
    assert_same_models(fit(compiled(seed=5), EarlyStopping(patience=99), BackupAndRestore(tmp_path)), expected)


@pytest.mark.parametrize(
    "damage",
    [
        lambda s: s.pop("conditions"), lambda s: s.update(stopped=1), lambda s: s.update(callbacks=3),
        lambda s: s["callbacks"][0].pop("state"), lambda s: s["callbacks"].append([]),
        lambda s: s.update(conditions=[]),
        lambda s: s["callbacks"][0]["state"].update(best_weights={"array of the file": "callback:7:7"}),
    ],
)  # fmt: skip
def test_damaged_surroundings(tmp_path, damage):
    path = stopped(tmp_path, EarlyStopping("loss", patience=99, restore_best_weights=True))
    config, tensors = read(path)
    damage(config["training"]["surroundings"])
    write(path, config, tensors)
    load_model(path)  # a model it is all the same
    with pytest.raises(ModelFileError, match="damaged"):
        fit(compiled(), EarlyStopping("loss", patience=99, restore_best_weights=True), BackupAndRestore(tmp_path))


def test_models_that_are_saved_hold_no_callbacks(tmp_path):
    """Only backups do: a file of ModelCheckpoint is the model, whoever else was there."""
    files = []
    for name, more in (("a", ()), ("b", (EarlyStopping(patience=99, restore_best_weights=True),))):
        fit(compiled(), *more, ModelCheckpoint(tmp_path / name, save_freq=7))
        files.append((tmp_path / name).read_bytes())
    assert files[0] == files[1]
    with pytest.raises(RuntimeError, match="back_up is for callbacks in a fit"):
        compiled().back_up(tmp_path / "c")


def test_a_file_of_a_checkpoint_gives_the_model_the_same_bits(tmp_path):
    """As the documentation says: the model, while callbacks begin anew."""
    expected = fit(compiled())
    fit(compiled(), ModelCheckpoint(tmp_path / "{epoch}"), epochs=4)
    stop = EarlyStopping("loss", patience=99)
    model = fit(load_model(tmp_path / "3"), stop, initial_epoch=3)
    assert_same_bits(model.get_weights(), expected.get_weights())
    assert model.history.epoch == list(range(3, 10))
    assert stop.best == min(model.history.history["loss"])


GOLDEN = Path(__file__).parents[1] / "golden" / "format-1-training-backup-float32.fastnn"


def test_the_golden_backup_goes_on(tmp_path):
    shutil.copy(GOLDEN, tmp_path / "backup.fastnn")
    model = load_model(GOLDEN)
    x, best = np.array(model.metadata["x"]), model.metadata["best"]
    callbacks = [EarlyStopping("loss", patience=9, restore_best_weights=True), Judge()]
    callbacks.append(ModelCheckpoint(tmp_path / "kept", "val_f1", save_best_only=True))
    watch = LambdaCallback(on_epoch_begin=lambda epoch, _: seen.append((epoch, callbacks[0].best, callbacks[2].best)))
    seen = []
    model.fit(
        x, [0, 1, 2, 1], batch_size=2, epochs=4, verbose=0, callbacks=[*callbacks, watch, BackupAndRestore(tmp_path)]
    )
    assert seen == [(3, best, 0.7)]
    assert model.history.epoch == [0, 1, 2, 3]
    assert callbacks[2].best == 0.8
