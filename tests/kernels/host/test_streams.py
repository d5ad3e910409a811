"""Whatever stands in the place of the standard streams, no training and no command ends for what it prints."""

import io
import os
import signal
import subprocess
import sys
import warnings

import numpy as np
import pytest
from fastnn.kernels.host.streams import Telling, Tolerant
from sklearn.exceptions import ConvergenceWarning
from typer.testing import CliRunner

from fastnn import BackupAndRestore, Dense, EarlyStopping, MLPClassifier, MLPRegressor, ModelCheckpoint, Sequential
from fastnn.commands.cli import app
from fastnn.common.user_warnings import warn
from fastnn.utils import set_random_seed

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


class Full(WriteOnly):
    """One that fails, as told by its class."""

    error: BaseException = OSError(28, "No space left on device")

    def write(self, text):
        raise self.error

    def flush(self):
        raise self.error

    def isatty(self):
        raise self.error

    def fileno(self):
        raise self.error

    @property
    def encoding(self):
        raise self.error


class Interrupted(Full):
    error = KeyboardInterrupt()


class Unread(Full):
    error = BrokenPipeError(32, "Broken pipe")


class Foreign(Full):
    error = RuntimeError("no console here")


class Stateless(Full):
    def __getattribute__(self, name):
        if name == "__class__":  # pytest asks for it
            return object.__getattribute__(self, name)
        raise ZeroDivisionError


class FullDisk(WriteOnly):
    """One that the operating system refuses."""

    def write(self, text):
        with open("/dev/full" if os.path.exists("/dev/full") else "/no such folder/file", "w") as file:
            file.write(text)


FAILING = {
    "full": Full,
    "full disk": FullDisk,
    "unread": Unread,
    "foreign": Foreign,
    "no attributes": Stateless,
    "no stream": int,
}
STREAMS = {
    **FAILING,
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
    if type(out) in (WriteOnly, AsciiOnly):
        assert "loss" in out.text
    elif issubclass(type(out), io.TextIOWrapper) and stream is not STREAMS["detached"]:
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
    with pytest.raises(OSError, match="No space"):
        Tolerant(Full()).write("text")
    with pytest.raises(OSError, match="No space"):
        Tolerant(Full()).flush()


@pytest.mark.parametrize("stream", FAILING.values(), ids=FAILING.keys())
def test_a_stream_that_fails_changes_nothing_of_a_training(monkeypatch, stream):
    def trained():
        set_random_seed(0)
        model = network()
        return model.fit(X, Y, epochs=3, verbose=1).history, model.get_weights()[0].tobytes()

    expected = trained()
    monkeypatch.setattr(sys, "stdout", stream())
    assert trained() == expected


class Terminated(Exception):
    pass


@pytest.mark.skipif(not hasattr(signal, "raise_signal"), reason="no such signals")
@pytest.mark.parametrize("error", [KeyboardInterrupt, Terminated, TimeoutError])
def test_what_handlers_of_signals_raise_while_something_is_told_is_heard(monkeypatch, error):
    """An alarm may be there to end the waiting for a pipe that nobody reads."""

    def handle(*_):
        raise error

    class Blocked(WriteOnly):
        def write(self, text):
            signal.raise_signal(signal.SIGTERM)

    before = signal.signal(signal.SIGTERM, handle)
    try:
        for name in ("stdout", "stderr"):
            monkeypatch.setattr(sys, name, Blocked())
        with pytest.raises(error):
            network().fit(X, Y, epochs=1, verbose=1)
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.showwarning = lambda *_: sys.stderr.write("text")  # as Python's own, which hides OSErrors
            with pytest.raises(error):
                warn("something")
    finally:
        signal.signal(signal.SIGTERM, before)


def test_an_interrupt_of_a_stream_is_heard():
    with pytest.raises(KeyboardInterrupt):
        print("text", file=Telling(Interrupted()))


@pytest.mark.parametrize("stream", STREAMS.values(), ids=STREAMS.keys())
def test_warnings_decide_nothing_unless_a_filter_makes_errors_of_them(monkeypatch, stream):
    with warnings.catch_warnings(), monkeypatch.context() as patched:
        patched.setattr(warnings, "showwarning", lambda *_: print("text", file=sys.stderr))  # Python's hides OSErrors
        patched.setattr(sys, "stderr", stream())
        warnings.simplefilter("always")
        MLPClassifier((3,), max_iter=1).fit(X, Y)
        checkpoint = ModelCheckpoint("f", "nothing", save_best_only=True, mode="min")
        callbacks = [EarlyStopping("nothing", mode="min"), checkpoint]
        network().fit(X, Y, epochs=1, verbose=0, callbacks=callbacks)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(UserWarning, match="something"):
            warn("something")


@pytest.mark.slow
@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no such device here")
def test_a_command_whose_results_cannot_be_written_fails_and_one_without_progress_does_not(tables):
    options = ["--target", "y", "--epochs", "2", "--output", "m"]
    command = [sys.executable, "-m", "fastnn", "train", "numbers.csv", *options]
    with open("/dev/full", "w") as full:
        without_progress = subprocess.run(command, stdout=subprocess.PIPE, stderr=full, text=True)
        without_results = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
    assert without_progress.returncode == 0
    assert "saved m" in without_progress.stdout
    assert without_results.returncode != 0
    assert "No space left" in without_results.stderr


def test_the_first_fit_of_a_process_whose_errors_cannot_be_written(run_python, fresh_cache):
    code = """
        import os, sys
        sys.stderr = open(os.devnull, "w")
        os.close(sys.stderr.fileno())
        from fastnn.kernels.compiler import program_cache, jit
        import numpy as np
        from fastnn.kernels.operations import random
        jit.program(random.philox, np.dtype("float32"))(*range(6))
        print(program_cache.announce.begun)
        sys.stderr = None
    """
    assert run_python(code) == "{'machine'}\n"


def test_compiling_is_announced_on_any_stream(monkeypatch):
    from fastnn.kernels.compiler import program_cache

    monkeypatch.delenv("FASTNN_QUIET", raising=False)
    for stream in STREAMS.values():
        monkeypatch.setattr(sys, "stderr", stream())
        program_cache._Announcer().begin()


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
