"""What the command reads and writes: nothing of the user's is lost, no row is shifted, no broken model is kept."""

import os
import stat
import threading

import numpy as np
import pytest
from test_cli import SPEEDY, fastnn_command, read_table

import fastnn
from fastnn import Dense, Sequential
from fastnn.commands import train_and_predict

unix = pytest.mark.skipif(os.name == "nt", reason="no such files there")
ROWS = ["1.5,2,a", "3,4,b", *(f"{i / 7:.3f},{-i},{'a' if i % 3 else 'b'}" for i in range(40))]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The current folder, with tables that have names and that have none, and models of them."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "300")
    (tmp_path / "named.csv").write_text("\n".join(["u,v,kind", *ROWS]) + "\n")
    (tmp_path / "bare.csv").write_text("\n".join(ROWS) + "\n")
    (tmp_path / "numbers.csv").write_text("\n".join(["u,v", *(f"{i},{i % 5}.5" for i in range(40))]) + "\n")
    for table in ("named", "bare"):
        assert train(f"{table}.csv", "-1", table)[0] == 0
    return tmp_path


def train(table, target, output, *options):
    return fastnn_command(
        "train", table, "--target", target, "--output", output, "--hidden", "4", "--epochs", "2", *options
    )


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


COMMANDS = {
    "train": ["train", "named.csv", "--target", "kind", *SPEEDY],
    "predict": ["predict", "named", "named.csv"],
}
every_command = pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS.keys())


@unix
@every_command
@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (os.mkfifo, "it is a pipe"),
        (os.mkdir, "it is a folder"),
        (lambda path: os.symlink("bare.csv", path), "it is a symbolic link to bare.csv"),
        (lambda path: os.symlink("nowhere", path), "it is a symbolic link to nowhere"),
        (lambda path: os.symlink("named.csv", path), "it is a symbolic link to named.csv"),
        (lambda path: os.link("named.csv", path), "it is the file that is read as 'named.csv'"),
    ],
)
def test_output_goes_to_no_surprising_place(folder, monkeypatch, command, make, reason):
    make("out")
    before, kind = contents(folder), os.lstat("out").st_mode
    monkeypatch.setattr(train_and_predict, "CsvFile", None)  # it fails before anything is read
    code, _, err = fastnn_command(*command, "--output", "out")
    assert (code, f"out cannot be written: {reason}" in err) == (2, True), err
    assert contents(folder) == before
    assert os.lstat("out").st_mode == kind


@every_command
@pytest.mark.parametrize("name", ["named.csv", "./named.csv", "{folder}/named.csv"])
def test_output_is_not_the_table(folder, command, name):
    before = contents(folder)
    code, _, err = fastnn_command(*command, "--output", name.format(folder=folder))
    assert (code, "it is the file that is read" in err) == (2, True)
    assert contents(folder) == before


def test_output_is_not_the_model_nor_a_file_of_a_named_set(folder, monkeypatch):
    data = folder / "data"
    data.mkdir()
    (data / "pima-indians-diabetes.csv").write_bytes(b"rows")
    monkeypatch.setenv("FASTNN_DATA", str(data))
    before = contents(folder)
    assert fastnn_command("predict", "named", "named.csv", "--output", "named")[0] == 2
    code, _, err = fastnn_command("train", "pima", "--output", "data/pima-indians-diabetes.csv")
    assert (code, "it is the file that is read" in err) == (2, True)
    assert contents(folder) == before
    assert (data / "pima-indians-diabetes.csv").read_bytes() == b"rows"


@unix
@pytest.mark.parametrize("make", [os.link, os.symlink, lambda read, path: os.mkfifo(path)])
def test_output_is_looked_at_again_when_it_is_written(folder, monkeypatch, make):
    before, fit, predictions = contents(folder), train_and_predict.fit, train_and_predict.predictions

    def meanwhile(work):
        def done(*arguments):
            make("named.csv", "out")
            return work(*arguments)

        return done

    monkeypatch.setattr(train_and_predict, "fit", meanwhile(fit))
    monkeypatch.setattr(train_and_predict, "predictions", meanwhile(predictions))
    for command in COMMANDS.values():
        code, _, err = fastnn_command(*command, "--output", "out")
        assert (code, err.splitlines()[-1].startswith("fastnn: error: out: it is ")) == (1, True), err
        os.unlink("out")
        assert contents(folder) == before


@unix
@every_command
def test_a_private_output_stays_private(folder, command):
    (folder / "out").write_bytes(b"old")
    (folder / "out").chmod(0o600)
    assert fastnn_command(*command, "--output", "out")[0] == 0
    assert stat.S_IMODE((folder / "out").stat().st_mode) == 0o600
    assert (folder / "out").read_bytes() != b"old"


@unix
@pytest.mark.parametrize(
    "command", [["train", "pipe", "--target", "kind", "--output", "m", *SPEEDY], ["predict", "named", "pipe"]]
)
def test_tables_come_through_pipes(folder, command):
    os.mkfifo("pipe")
    writer = threading.Thread(target=(folder / "pipe").write_bytes, args=((folder / "named.csv").read_bytes(),))
    writer.start()
    code, out, err = fastnn_command(*command, "--output", "out")
    writer.join()
    assert code == 0, err
    assert "34 rows to train, 8 to validate" in out or "42 predictions written" in err


def test_a_first_row_of_data_is_not_lost(folder):
    code, out, _ = train("bare.csv", "-1", "m", "--validation", "0")
    assert code == 0
    assert "table    first line taken as data (--header: it has names)" in out
    assert "42 rows to train" in out
    code, out, err = fastnn_command("predict", "m", "bare.csv")
    assert (code, len(out.splitlines())) == (0, 1 + 42)
    assert err.startswith("first line taken as data (--header: it has names)\n")


def test_a_model_reads_tables_as_the_one_it_was_trained_on(folder):
    """Not as each would be taken for by itself: a first row that looks like names, and names that look like data."""
    (folder / "years.csv").write_text("\n".join(["2019,2020,kind", *ROWS]))
    assert train("years.csv", "kind", "years", "--header", "--validation", "0")[0] == 0
    code, out, _ = fastnn_command("predict", "years", "years.csv")
    assert (code, len(out.splitlines())) == (0, 1 + 42)
    (folder / "first.csv").write_text("\n".join(["7,8,unknown", "9,10,unknown"]))
    code, out, _ = fastnn_command("predict", "bare", "first.csv")
    assert (code, len(out.splitlines())) == (0, 1 + 2)
    code, out, _ = fastnn_command("predict", "bare", "named.csv", "--header")
    assert (code, out) == (0, fastnn_command("predict", "bare", "bare.csv")[1])
    for options in (["named", "bare.csv"], ["years", "named.csv"], ["named", "years.csv"]):
        code, _, err = fastnn_command("predict", *options)
        assert (code, "the model needs the columns" in err, "does its first line name the columns?" in err) == (
            1,
            True,
            True,
        )
    code, _, err = fastnn_command("predict", "bare", "named.csv")
    assert (code, "line 1, column 'column_1': expected a finite number, got 'u'" in err, "--header" in err) == (
        1,
        True,
        True,
    )


DIVERGING = {
    "classes": ["named.csv", "kind"],
    "numbers": ["numbers.csv", "v"],
    "numbers, float64": ["numbers.csv", "v", "--dtype", "float64"],
    "plain steps": ["numbers.csv", "v", "--optimizer", "sgd"],
    "not scaled": ["numbers.csv", "v", "--no-scale"],
}


@pytest.mark.parametrize("arguments", DIVERGING.values(), ids=DIVERGING.keys())
def test_a_fit_that_diverged_is_not_saved(folder, arguments):
    before = contents(folder)
    table, target, *options = arguments
    code, out, err = train(table, target, "named", *options, "--learning-rate", "1e10", "--epochs", "20")
    assert code == 1
    assert "the training diverged" in err
    assert "nothing is saved: try a smaller --learning-rate than 1e+10" in err
    assert ("--scale" in err) == ("--no-scale" in options)
    assert "saved" not in out
    assert contents(folder) == before


def test_an_interrupted_fit_that_diverged_is_not_saved(folder, monkeypatch):
    from fastnn.commands.console import EpochBar

    def interrupt(self, epoch, logs=None):
        if epoch == 1:
            raise KeyboardInterrupt

    monkeypatch.setattr(EpochBar, "on_epoch_end", interrupt)
    code, _, err = train("numbers.csv", "v", "out", "--dtype", "float64", "--learning-rate", "1e10", "--epochs", "20")
    assert (code, "the training diverged" in err) == (1, True)
    assert not (folder / "out").exists()
    code, _, err = train("numbers.csv", "v", "out", "--epochs", "20")
    assert (code, err.splitlines()[-1]) == (130, "fastnn: interrupted")
    with pytest.warns(UserWarning, match="the network alone"):
        fastnn.load_model("out")


def test_predictions_that_are_no_numbers_are_an_error(folder):
    model = Sequential([Dense(1, input_shape=(2,))])
    model.set_weights([np.array([[np.nan], [1.0]]), np.zeros(1)])
    model.save("nan")
    (folder / "x.csv").write_text("1,2\n\n3,4\n")
    code, out, err = fastnn_command("predict", "nan", "x.csv")
    assert (code, out) == (1, "")
    assert "x.csv, line 1: the model gives no finite number for this row" in err
    (folder / "far.csv").write_text("u,v\n1,2\n\n3,1e300\n")
    code, _, err = fastnn_command("predict", "named", "far.csv")
    assert (code, "column 'v': " in err, "is too large for float32" in err) == (1, True, True)


def test_a_model_of_the_command_is_not_loaded_in_silence(folder):
    message = "'named' was written by `fastnn train`. This is the network alone.*`fastnn predict`.*metadata"
    with pytest.warns(UserWarning, match=message):
        model = fastnn.load_model("named")
    assert model.metadata["preparation"]["classes"] == ["a", "b"]
    assert model.metadata["preparation"]["has_header"] is True
    model.save("again")
    with pytest.warns(UserWarning, match="the network alone"):
        fastnn.load_model("again")
    assert fastnn_command("predict", "again", "named.csv") == fastnn_command("predict", "named", "named.csv")
    plain = Sequential([Dense(1, input_shape=(2,))])
    plain.metadata["features"] = ["u", "v"]
    plain.save("plain")
    fastnn.load_model("plain")  # warnings are errors here


def test_constant_columns_are_named(folder):
    (folder / "constant.csv").write_text("\n".join(["u,c,kind", *(f"{i},0.1,{'ab'[i % 2]}" for i in range(40))]))
    code, out, _ = train("constant.csv", "kind", "m")
    assert (code, "warning  constant in the training rows: c\n" in out) == (0, True)
    (folder / "new.csv").write_text("u,c\n1,0.1\n1,0.1001\n")
    _, rows = read_table(fastnn_command("predict", "m", "new.csv", "--proba")[1])
    first, second = (float(row[1]) for row in rows)
    assert abs(first - second) < 0.01


@pytest.mark.parametrize("option", ["--hidden=6_4", "--hidden=\u0666", "--target=1_0", "--target=\u0661"])
def test_numbers_that_only_python_takes_for_numbers(folder, option):
    code, _, err = fastnn_command("train", "named.csv", "--target", "kind", option, "--output", "m")
    assert code in (1, 2)
    assert "expected numbers of units such as 64,32" in err or "there is no column" in err
