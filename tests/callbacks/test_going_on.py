"""A training that was stopped, by whatever, goes on where it was and ends with the same bits."""

import json
import os
import pickle
import random
import shutil
import subprocess
import sys
import textwrap

import numpy as np
import pytest
from harness import assert_same_bits, folders_of
from permissions import obeying_modes
from safetensors import safe_open

from fastnn import callbacks, optimizers
from fastnn.callbacks import BackupAndRestore, Callback, ModelCheckpoint
from fastnn.layers import Dense, Dropout
from fastnn.models import Sequential, load_model
from fastnn.models.model_file import ModelFileError
from fastnn.utils import set_random_seed

RNG = np.random.default_rng(7)
X = RNG.normal(size=(50, 4)).astype(np.float32)
Y = (X[:, 0] > 0).astype(np.float32)
KILLS = int(os.environ.get("FASTNN_TEST_KILLS", "15"))


def compiled(optimizer="adam", seed=1, **options):
    set_random_seed(seed)
    model = Sequential([Dense(8, "relu", input_shape=(4,)), Dropout(0.3), Dense(1, "sigmoid")], **options)
    model.compile(optimizer, "binary_crossentropy", metrics=["accuracy"])
    return model


def fitted(model, *listeners, **options):
    """The model after six epochs of five steps."""
    options = {"epochs": 6, "batch_size": 10, "verbose": 0, "validation_split": 0.2} | options
    model.fit(X, Y, callbacks=list(listeners), **options)
    return model


def assert_same_models(model, expected):
    assert_same_bits(model.get_weights(), expected.get_weights())
    ours, theirs = model.optimizer_state(), expected.optimizer_state()
    assert_same_bits(ours["counters"], theirs["counters"])
    for moments in zip(ours["moments"], theirs["moments"], strict=True):
        assert_same_bits(*moments)
    assert model.record().history == expected.record().history
    assert model.record().epochs == expected.record().epochs


class Stop(Exception):
    pass


class StopAt(Callback):
    """Raises after so many hooks of a kind."""

    def __init__(self, hook, count):
        self.left = count
        setattr(self, hook, self._count)

    def _count(self, *_):
        self.left -= 1
        if self.left == 0:
            raise Stop


@pytest.mark.parametrize("name", sorted(optimizers._TABLE))
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_fit_in_parts_is_the_fit_in_one_piece(tmp_path, name, dtype):
    expected = fitted(compiled(name, dtype=dtype))
    model = fitted(compiled(name, dtype=dtype), epochs=2)
    model.save(tmp_path / "model")
    for again in (load_model(tmp_path / "model"), pickle.loads(pickle.dumps(model)), model):
        set_random_seed(99)
        fitted(again, initial_epoch=2)
        assert_same_bits(again.get_weights(), expected.get_weights())
        assert again.history.epoch == [2, 3, 4, 5]


@pytest.mark.covering
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("hook", ["on_epoch_end", "on_epoch_begin", "on_train_batch_end", "on_train_batch_begin"])
@pytest.mark.parametrize("save_freq", ["epoch", 1, 2, 4, 7])
def test_a_restored_fit_ends_with_the_same_bits(tmp_path, hook, save_freq, threads):
    expected = fitted(compiled())
    for count in (1, 2, 3, 5, 6) if hook.startswith("on_epoch") else (1, 4, 5, 11, 16, 24):
        with pytest.raises(Stop):
            fitted(compiled(threads=threads), BackupAndRestore(tmp_path, save_freq), StopAt(hook, count))
        seed = 2 if list(tmp_path.iterdir()) else 1  # the backup brings its own
        model = fitted(compiled(seed=seed, threads=threads), BackupAndRestore(tmp_path, save_freq))
        assert_same_models(model, expected)
        assert list(tmp_path.iterdir()) == []


def test_a_fit_that_is_stopped_again_and_again(tmp_path):
    expected = fitted(compiled())
    for attempt in range(40):
        try:
            model = fitted(compiled(seed=1 + attempt), BackupAndRestore(tmp_path, 1), StopAt("on_train_batch_begin", 2))
        except Stop:
            continue
        break
    assert attempt == 23  # one step each, the last by the 24th attempt
    assert_same_models(model, expected)


def test_backups_are_deleted_or_kept(tmp_path):
    fitted(compiled(), BackupAndRestore(tmp_path / "new" / "folder"))
    assert list((tmp_path / "new" / "folder").iterdir()) == []
    expected = fitted(compiled(), BackupAndRestore(tmp_path, delete_checkpoint=False))
    assert (tmp_path / "backup.fastnn").exists()
    model = fitted(compiled(seed=3), BackupAndRestore(tmp_path), epochs=6)  # nothing is left to do
    assert_same_models(model, expected)
    assert model.optimizer_state()["counters"][0] == 24


def test_the_former_backup_is_used_if_the_last_is_damaged(tmp_path):
    expected = fitted(compiled())
    with pytest.raises(Stop):
        fitted(compiled(), BackupAndRestore(tmp_path, double_checkpoint=True), StopAt("on_epoch_begin", 4))
    (tmp_path / "backup.fastnn").write_bytes(b"half a file")
    (tmp_path / "backup.fastnn.1234.tmp").write_bytes(b"left behind")
    assert_same_models(fitted(compiled(), BackupAndRestore(tmp_path, double_checkpoint=True)), expected)
    assert [path.name for path in tmp_path.iterdir()] == []


def test_backups_of_another_model_or_damaged_ones_are_refused(tmp_path):
    fitted(compiled(), BackupAndRestore(tmp_path, delete_checkpoint=False))
    other = Sequential([Dense(1, "sigmoid", input_shape=(4,))])
    other.compile("adam", "binary_crossentropy")
    before = other.get_weights()
    for model in (other, compiled("sgd"), compiled(dtype="float64")):
        with pytest.raises(ModelFileError, match="is of another model"):
            fitted(model, BackupAndRestore(tmp_path))
    assert_same_bits(other.get_weights(), before)
    with pytest.raises(ValueError, match="backup of another fit: batch_size was 10, is 25"):
        fitted(_stopped_within_an_epoch(tmp_path / "b"), BackupAndRestore(tmp_path / "b"), batch_size=25)
    (tmp_path / "backup.fastnn").write_bytes(b"")
    with pytest.raises(ModelFileError, match="is not a model"):
        fitted(compiled(), BackupAndRestore(tmp_path))


def _stopped_within_an_epoch(folder):
    with pytest.raises(Stop):
        fitted(compiled(), BackupAndRestore(folder, 2), StopAt("on_train_batch_end", 4))
    return compiled()


def test_the_learning_rate_that_a_callback_set_is_restored(tmp_path):
    class Slower(Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 2:
                self.model.optimizer.learning_rate *= 0.1

    expected = fitted(compiled(), Slower())
    with pytest.raises(Stop):
        fitted(compiled(), Slower(), BackupAndRestore(tmp_path), StopAt("on_epoch_begin", 5))
    model = fitted(compiled(), Slower(), BackupAndRestore(tmp_path))
    assert model.optimizer.learning_rate == expected.optimizer.learning_rate
    assert_same_models(model, expected)


# --- ModelCheckpoint ----------------------------------------------------------------------------------------------


def test_a_checkpoint_of_every_epoch_goes_on(tmp_path):
    expected = fitted(compiled(), ModelCheckpoint(tmp_path / "{epoch:02d}-{val_loss:.2f}"))
    names = sorted(path.name for path in tmp_path.iterdir())
    assert [name[:3] for name in names] == [f"0{epoch}-" for epoch in range(1, 7)]
    for epoch, name in enumerate(names, 1):
        model = load_model(tmp_path / name)
        assert model.record().epoch == epoch
        assert model.record().history["val_loss"] == expected.history.history["val_loss"][:epoch]
        if epoch < 6:
            fitted(model, initial_epoch=epoch)
        assert_same_bits(model.get_weights(), expected.get_weights())


def test_only_the_best(tmp_path, capsys):
    losses = iter([3.0, 2.0, 4.0, float("nan"), 1.0, 1.0])

    class Judge(Callback):
        def on_epoch_end(self, epoch, logs=None):
            logs["val_loss"] = next(losses)

    listener = ModelCheckpoint(tmp_path / "{epoch}", save_best_only=True, verbose=1, initial_value_threshold=2.5)
    fitted(compiled(), Judge(), listener)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["2", "5"]
    assert listener.best == 1.0
    assert "Epoch 3: val_loss did not improve from 2.00000\n" in capsys.readouterr().out
    for mode, expected in (("min", "1"), ("max", "0")):
        rising = iter(range(6))
        judge = callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs, r=rising: logs.update(score=next(r)))
        listener = ModelCheckpoint(tmp_path / "best", "score", save_best_only=True, mode=mode)
        fitted(compiled(), judge, listener)
        assert listener.best == (0 if expected == "1" else 5)


def test_what_is_asked_for_must_be_there(tmp_path):
    with pytest.raises(KeyError, match="asks for 'auc', which is not among the logs: accuracy, loss"):
        fitted(compiled(), ModelCheckpoint(tmp_path / "{auc}"))
    with pytest.warns(UserWarning, match="ModelCheckpoint looks at 'auc', which is not among the logs"):
        fitted(compiled(), ModelCheckpoint(tmp_path / "a", "auc", save_best_only=True), epochs=1)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ValueError, match="save_freq must be an integer >= 1; got 0"):
        ModelCheckpoint("a", save_freq=0)
    with pytest.raises(ValueError, match='mode must be "auto"'):
        ModelCheckpoint("a", mode="smallest")
    with pytest.raises(ValueError, match="backup_dir must name a folder"):
        BackupAndRestore("")


def test_steps_and_weights_alone(tmp_path):
    fitted(compiled(), ModelCheckpoint(tmp_path / "{epoch}-{batch}", save_freq=3, save_weights_only=True), epochs=2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1-3", "2-2"]
    with safe_open(tmp_path / "1-3", framework="numpy") as file:
        assert not any(name.startswith("optimizer") for name in file.keys())  # noqa: SIM118 - not a dict
        assert "training" not in json.loads(file.metadata()["fastnn"])


# --- no room, no permission ---------------------------------------------------------------------------------------

FULL = """
    import contextlib, os, sys
    from pathlib import Path
    sys.path[:0] = {tests!r}
    from test_going_on import *
    folder = Path(sys.argv[1])
    with pytest.raises(Stop):
        fitted(compiled(), BackupAndRestore(folder), StopAt("on_epoch_end", 3))
    before = (folder / "backup.fastnn").read_bytes()
    taken = folder / "taken"
    with open(taken, "wb", 0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(256))
    model = compiled(seed=5)
    for listener in (BackupAndRestore(folder), ModelCheckpoint(folder / "backup.fastnn")):
        with pytest.raises(OSError, match="cannot save to '.*backup.fastnn': No space left on device"):
            fitted(model, listener)
        assert (folder / "backup.fastnn").read_bytes() == before
        assert sorted(path.name for path in folder.iterdir()) == ["backup.fastnn", "taken"]
    assert np.isfinite(model.predict(X)).all()
    taken.unlink()
    assert_same_models(fitted(compiled(seed=6), BackupAndRestore(folder)), fitted(compiled()))
    print("whole")
"""


@pytest.mark.skipif(not shutil.which("unshare"), reason="needs mounts of its own")
def test_a_disk_that_is_full(tmp_path):
    """A small one of memory: a checkpoint that finds no room leaves the old one, and the training goes on from it."""
    own = ["unshare", "--mount", *(["--user", "--map-root-user"] if os.geteuid() else [])]
    mount = 'mount -t tmpfs -o size=64k none "$1" && exec "$2" -W ignore -c "$3" "$1"'
    if subprocess.run([*own, "mount", "-t", "tmpfs", "none", str(tmp_path)], capture_output=True).returncode:
        pytest.skip("no mounts here: NOT TESTED")
    code = textwrap.dedent(FULL.format(tests=folders_of(__file__)))
    command = [*own, "sh", "-c", mount, "sh", str(tmp_path), sys.executable, code]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.stdout == "whole\n", done.stderr


@obeying_modes
def test_a_folder_that_may_not_be_written(tmp_path):
    expected = fitted(compiled())
    with pytest.raises(Stop):
        fitted(compiled(), BackupAndRestore(tmp_path), StopAt("on_epoch_end", 3))
    before = (tmp_path / "backup.fastnn").read_bytes()
    tmp_path.chmod(0o500)
    for listener in (BackupAndRestore(tmp_path), ModelCheckpoint(tmp_path / "backup.fastnn")):
        with pytest.raises(PermissionError, match="cannot save to '.*backup.fastnn': Permission denied"):
            fitted(compiled(seed=5), listener)
        assert [path.read_bytes() for path in tmp_path.iterdir()] == [before]
    tmp_path.chmod(0o700)
    assert_same_models(fitted(compiled(seed=6), BackupAndRestore(tmp_path)), expected)


# --- kill -9 ------------------------------------------------------------------------------------------------------

VICTIM = """
import sys, os
sys.path[:0] = {tests!r}
from test_going_on import *
freq = sys.argv[2] if sys.argv[2] == "epoch" else int(sys.argv[2])
begun = callbacks.LambdaCallback(on_train_begin=lambda logs: print("begun", flush=True))
model = fitted(compiled(), begun, BackupAndRestore(sys.argv[1], freq, delete_checkpoint=False), epochs=300)
model.save(sys.argv[1] + "/done")
"""


def victim(folder, freq):
    command = [sys.executable, "-W", "ignore", "-c", VICTIM.format(tests=folders_of(__file__)), str(folder), str(freq)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="no such signal")
def test_kill_9(tmp_path):
    """A process killed at random moments and started again and again ends with the bits of one never killed."""
    with victim(tmp_path / "whole", "epoch") as whole:
        assert whole.wait() == 0
    expected = load_model(tmp_path / "whole" / "done")
    choices, kills = random.Random(1), 0
    while kills < KILLS:
        folder, freq = tmp_path / f"run{kills}", choices.choice(["epoch", 1, 3])
        while True:
            with victim(folder, freq) as process:
                process.stdout.readline()
                try:
                    assert process.wait(choices.uniform(0.0, 0.6) if kills < KILLS else None) == 0
                    break
                except subprocess.TimeoutExpired:
                    process.kill()
            kills += 1
            backup = folder / "backup.fastnn"
            if backup.exists():  # never half a file
                load_model(backup)
        assert_same_models(load_model(folder / "done"), expected)
