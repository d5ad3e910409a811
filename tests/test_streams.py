"""Whatever stands in the place of the standard streams, no training and no command ends for what it prints."""

import io
import os
import subprocess
import sys

import numpy as np
import pytest
from fastnn.kernels.streams import Tolerant
from sklearn.exceptions import ConvergenceWarning
from typer.testing import CliRunner

from fastnn import BackupAndRestore, Dense, EarlyStopping, MLPClassifier, MLPRegressor, ModelCheckpoint, Sequential
from fastnn.cli import app

X = np.random.default_rng(0).normal(size=(40, 3))
Y = (X[:, 0] > 0).astype(int)


class WriteOnly:
    """A stream with no other method."""

    def __init__(self):
        self.text = ""

    def write(self, text):
        self.text += text


class AsciiOnly(WriteOnly):
    """One that does not tell its encoding."""

    def write(self, text):
        text.encode("ascii")
        super().write(text)


def encoded(encoding, terminal=False):
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    stream.isatty = lambda: terminal
    return stream


def closed():
    stream = io.StringIO()
    stream.close()
    return stream


def detached():
    stream = encoded("utf-8")
    stream.detach()
    return stream


STREAMS = {
    "write alone": WriteOnly,
    "ascii, untold": AsciiOnly,
    "none": lambda: None,
    "closed": closed,
    "detached": detached,
    **{name: lambda name=name: encoded(name) for name in ("ascii", "latin-1", "cp932", "cp1252")},
    "ascii terminal": lambda: encoded("ascii", terminal=True),
}


def network():
    model = Sequential([Dense(3, "relu", input_shape=(3,), name="größe"), Dense(1, "sigmoid")], name="模型")
    model.compile("adam", "binary_crossentropy", ["accuracy"])
    return model


def keras_face(folder):
    model = network()
    model.summary()
    callbacks = [
        ModelCheckpoint(folder / "größe", "loss", verbose=1, save_best_only=True),
        EarlyStopping("loss", patience=0, min_delta=10, verbose=1, restore_best_weights=True),
        BackupAndRestore(folder / "b"),
    ]
    model.fit(X, Y, epochs=3, callbacks=callbacks)
    model.fit(X, Y, epochs=1, verbose=2)
    model.evaluate(X, Y)
    model.predict(X, verbose=1)


def estimators(folder):
    options = {"hidden_layer_sizes": (3,), "verbose": True, "max_iter": 2, "tol": 0.0, "random_state": 0}
    with pytest.warns(ConvergenceWarning):
        MLPClassifier(solver="adam", **options).fit(X, Y)
    with pytest.warns(ConvergenceWarning):
        MLPRegressor(solver="lbfgs", **options).fit(X, Y)
    MLPClassifier((3,), solver="sgd", learning_rate="adaptive", tol=10, n_iter_no_change=1, verbose=True).fit(X, Y)


@pytest.mark.parametrize("work", [keras_face, estimators])
@pytest.mark.parametrize("stream", STREAMS.values(), ids=STREAMS.keys())
def test_no_stream_ends_a_training(tmp_path, monkeypatch, work, stream):
    out, err = stream(), stream()
    with monkeypatch.context() as patched:
        patched.setattr(sys, "stdout", out)
        patched.setattr(sys, "stderr", err)
        work(tmp_path)
    if isinstance(out, WriteOnly):
        assert "loss" in out.text
    elif isinstance(out, io.TextIOWrapper) and stream is not STREAMS["detached"]:
        out.flush()
        assert b"loss" in out.buffer.getvalue()


def test_what_a_stream_cannot_show_is_replaced_and_nothing_else():
    for stream, expected in (
        (encoded("ascii"), b"R? ?"),
        (encoded("latin-1"), b"R\xb2 ?"),
        (encoded("utf-8"), "R² ━".encode()),
    ):
        print("R² ━", end="", file=Tolerant(stream), flush=True)
        assert stream.buffer.getvalue() == expected
    stream = encoded("utf-8")
    print("\udcff", end="", file=Tolerant(stream), flush=True)  # a byte in a file's name that is no UTF-8
    assert stream.buffer.getvalue() == b"?"
    with pytest.raises(TypeError, match="expected str, got bytes"):
        Tolerant(None).write(b"")


def test_a_stream_that_fails_says_so():
    class Full(WriteOnly):
        def write(self, text):
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        Tolerant(Full()).write("text")


def test_compiling_is_announced_on_any_stream(monkeypatch):
    from fastnn.kernels import cache

    monkeypatch.delenv("FASTNN_QUIET", raising=False)
    for stream in STREAMS.values():
        monkeypatch.setattr(sys, "stderr", stream())
        cache._Announcer().begin()


@pytest.fixture
def tables(tmp_path, monkeypatch):
    """Two tables with letters that few encodings have, in the current folder."""
    kinds = [f"{i % 7},{'hünd' if i % 7 > 3 else '猫'}" for i in range(60)]
    numbers = [f"{i % 7},{i % 7 + 0.5}" for i in range(60)]
    (tmp_path / "größe.csv").write_text("\n".join(["größe,art", *kinds]), encoding="utf-8")
    (tmp_path / "numbers.csv").write_text("\n".join(["größe,y", *numbers]), encoding="utf-8")
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("encoding", ["ascii", "cp932", "latin-1", "utf-8"])
def test_commands_print_in_any_encoding(tables, encoding):
    def fastnn(*arguments):
        done = CliRunner(charset=encoding).invoke(app, arguments, prog_name="fastnn")
        assert done.exit_code == 0, done.stderr
        return done.stdout, done.stderr

    out, _ = fastnn("train", "numbers.csv", "--target", "y", "--epochs", "3", "--output", "m")
    assert ("R² " if encoding in ("latin-1", "utf-8") else "R? ") in out
    assert "saved m" in out
    out, _ = fastnn("train", "größe.csv", "--target", "art", "--epochs", "3", "--output", "größe")
    assert "2 classes" in out
    out, err = fastnn("predict", "größe", "größe.csv")
    assert out.startswith("art\n")
    assert ("lacks some characters, ? stands for them; --output writes UTF-8" in err) == (encoding != "utf-8")
    fastnn("predict", "größe", "größe.csv", "--output", "p.csv")
    with open("p.csv", encoding="utf-8") as file:
        assert {line.strip() for line in file} <= {"art", "hünd", "猫"}
    fastnn("info")
    fastnn("train", "--help")


def test_a_process_whose_output_is_ascii(tables):
    command = [
        sys.executable,
        "-m",
        "fastnn",
        "train",
        "numbers.csv",
        "--target",
        "y",
        "--epochs",
        "1",
        "--output",
        "ß",
    ]
    done = subprocess.run(command, capture_output=True, env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert done.returncode == 0, done.stderr
    assert "R? " in done.stdout.decode("ascii")
    assert os.path.exists("ß")
