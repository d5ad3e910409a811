import csv
import json
import os
import subprocess
import sys

import numpy as np
import pytest
from fastnn.kernels.compiler import program_cache
from fastnn.kernels.host import cache_folder
from typer.testing import CliRunner

import fastnn
from fastnn.commands import train_and_predict
from fastnn.commands.cli import app

SPEEDY = ["--hidden", "8", "--epochs", "30", "--learning-rate", "0.02"]


def fastnn_command(*arguments):
    """Run a command in this process; returns exit code, standard output and standard error."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], prog_name="fastnn")
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


def write_table(path, names, rows):
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([names, *rows])
    return path


def read_table(text):
    names, *rows = csv.reader(text.splitlines())
    return names, rows


@pytest.fixture(scope="module")
def animals(tmp_path_factory):
    """A table whose text target follows from two of its three features, and its model file."""
    folder = tmp_path_factory.mktemp("animals")
    points = np.random.default_rng(0).normal(50, 20, (300, 3)).round(3)
    kinds = np.select([points[:, 0] > 60, points[:, 1] > 50], ["owl", "cat"], "dog")
    rows = [[*point, kind] for point, kind in zip(points.tolist(), kinds, strict=True)]
    data = write_table(folder / "animals.csv", ["a", "b", "c", "kind"], rows)
    model = folder / "animals.safetensors"
    code, out, err = fastnn_command("train", data, "--target", "kind", "--output", model, *SPEEDY)
    assert code == 0, err
    return data, model, out


def test_train_says_what_it_does_and_learns(animals):
    _, model, out = animals
    assert "240 rows to train, 60 to validate, 3 features" in out
    assert "kind (classification, 3 classes: cat, dog, owl)" in out
    assert "3-8-3" in out
    assert "30 epochs in" in out
    assert f"saved {model}" in out
    accuracies = [float(line.split()[-1].rstrip("%")) for line in out.splitlines() if "accuracy" in line]
    assert min(accuracies) > 80


def test_predict_decodes_labels_and_finds_columns_by_name(animals, tmp_path):
    data, model, _ = animals
    _, rows = read_table(data.read_text())
    shuffled = write_table(tmp_path / "new.csv", ["c", "extra", "a", "b"], [[r[2], "?", r[0], r[1]] for r in rows])
    code, out, _ = fastnn_command("predict", model, data)
    names, predictions = read_table(out)
    assert (code, names) == (0, ["kind"])
    assert np.mean([p == [r[3]] for p, r in zip(predictions, rows, strict=True)]) > 0.85
    assert fastnn_command("predict", model, shuffled)[1] == out


def test_predict_writes_probabilities_to_a_file(animals, tmp_path):
    data, model, _ = animals
    path = tmp_path / "predictions.csv"
    code, out, err = fastnn_command("predict", model, data, "--proba", "--output", path)
    assert (code, out) == (0, "")
    assert f"300 predictions written to {path}" in err
    names, rows = read_table(path.read_text())
    assert names == ["kind", "probability of cat", "probability of dog", "probability of owl"]
    shares = np.array([row[1:] for row in rows], float)
    np.testing.assert_allclose(shares.sum(axis=1), 1, atol=1e-5)
    assert [row[0] for row in rows] == np.array(["cat", "dog", "owl"])[shares.argmax(axis=1)].tolist()


def test_predict_refuses_a_table_without_the_columns(animals, tmp_path):
    _, model, _ = animals
    table = write_table(tmp_path / "new.csv", ["a", "c"], [[1, 2]])
    code, _, err = fastnn_command("predict", model, table)
    assert code == 1
    assert err.endswith(f"fastnn: error: {table}: the model needs the columns b; the file has a, c\n")


def test_the_same_seed_gives_the_same_model(animals, tmp_path):
    data, model, _ = animals
    again, other = tmp_path / "again", tmp_path / "other"
    fastnn_command("train", data, "--target", "-1", "--output", again, *SPEEDY)
    fastnn_command("train", data, "--target", "-1", "--output", other, *SPEEDY, "--seed", "1")
    first, second, third = (train_and_predict.load(path)[0].get_weights()[0] for path in (model, again, other))
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first, third)


def test_regression_comes_back_in_units_of_the_target(tmp_path, rng):
    x = rng.uniform(0, 1000, (200, 2)).round(2)
    y = 1e6 + 500 * x[:, 0]
    data = write_table(tmp_path / "d.csv", ["u", "v", "price"], np.column_stack([x, y]).tolist())
    model = tmp_path / "m.safetensors"
    code, out, _ = fastnn_command("train", data, "--target", "price", "--output", model, "--dtype", "float64", *SPEEDY)
    assert code == 0
    assert "price (regression, a number)" in out
    _, rows = read_table(fastnn_command("predict", model, data)[1])
    assert np.corrcoef(np.array(rows, float)[:, 0], y)[0, 1] > 0.99
    assert abs(np.array(rows, float).mean() - y.mean()) < 0.02 * y.mean()
    code, _, err = fastnn_command("predict", model, data, "--proba")
    assert code == 1
    assert "this model does regression; --proba is for classification" in err


def test_two_classes_without_header_and_without_scaling(tmp_path, rng):
    x = rng.normal(size=(120, 2)).round(3)
    data = tmp_path / "d.csv"
    np.savetxt(data, np.column_stack([x[:, 0] > 0, x]), delimiter=",", fmt="%g")
    model = tmp_path / "m.safetensors"
    code, out, _ = fastnn_command("train", data, "--target", "0", "--no-scale", "--output", model, *SPEEDY)
    assert code == 0
    assert "column_1 (classification, 2 classes: 0, 1)" in out
    assert "2-8-1" in out
    features = tmp_path / "x.csv"
    np.savetxt(features, x, delimiter=",", fmt="%g")
    _, rows = read_table(fastnn_command("predict", model, features)[1])
    assert np.mean([row == [str(int(positive))] for row, positive in zip(rows, x[:, 0] > 0, strict=True)]) > 0.9


def test_named_set_is_validated_on_its_test_rows(tmp_path):
    code, out, err = fastnn_command("train", "breast-cancer", "--output", tmp_path / "m", *SPEEDY, "--threads", "1")
    assert code == 0, err
    assert "426 rows to train, 143 to validate, 30 features" in out
    assert "2 classes: malignant, benign" in out
    assert (
        fastnn_command("train", "breast-cancer", "--validation", "0", "--output", tmp_path / "m", *SPEEDY)[1].count(
            "accuracy"
        )
        == 1
    )


def test_a_model_saved_in_python_gives_bare_outputs(tmp_path):
    model = fastnn.Sequential([fastnn.Dense(2, input_shape=(3,))])
    model.save(tmp_path / "m")
    x = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    np.savetxt(tmp_path / "x.csv", x, delimiter=",")
    names, rows = read_table(fastnn_command("predict", tmp_path / "m", tmp_path / "x.csv")[1])
    assert names == ["output_1", "output_2"]
    np.testing.assert_allclose(np.array(rows, float), model.predict(x), rtol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["train", "nowhere.csv"], 2, "'nowhere.csv' is neither a file nor one of"),
        (["train", "{data}"], 2, "name the column to predict"),
        (["train", "{data}", "--target", "sort"], 1, "no column 'sort'; the columns are a, b, c, kind"),
        (["train", "{data}", "--target", "a"], 1, "line 2, column 'kind': expected a finite number, got"),
        (["train", "{data}", "--target", "kind", "--hidden", "8,x"], 2, "expected numbers of units such as 64,32"),
        (["train", "{data}", "--target", "kind", "--activation", "rleu"], 1, "'rleu'"),
        (["train", "{data}", "--target", "kind", "--optimizer", "adm"], 1, "'adm'"),
        (["train", "{data}", "--target", "kind", "--learning-rate", "-1"], 1, "learning_rate"),
        (["train", "{data}", "--target", "kind", "--epochs", "0"], 2, "--epochs"),
        (["train", "{data}", "--target", "kind", "--output", "no/folder/m"], 2, "cannot be written"),
        (["predict", "nowhere", "{data}"], 2, "nowhere"),
        (["predict", "{data}", "{data}"], 1, "not a model saved by fastnn"),
        (["frobnicate"], 2, "frobnicate"),
    ],
)
def test_errors_are_short_and_leave_nothing_behind(animals, tmp_path, monkeypatch, arguments, code, message):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "300")
    got, _, err = fastnn_command(*(part.format(data=animals[0]) for part in arguments))
    assert got == code
    assert message in err
    assert "Traceback" not in err
    if code == 1:
        assert err.splitlines()[-1].startswith("fastnn: error: ")
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_training_keeps_the_epochs_done(animals, tmp_path, monkeypatch):
    from fastnn.commands.console import EpochBar

    def interrupt(self, epoch, logs=None):
        if epoch == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(EpochBar, "on_epoch_end", interrupt)
    code, out, err = fastnn_command("train", animals[0], "--target", "kind", "--output", tmp_path / "m", *SPEEDY)
    assert code == 130
    assert "3 epochs in" in out
    assert err.endswith("fastnn: interrupted\n")
    assert fastnn_command("predict", tmp_path / "m", animals[0])[0] == 0


def test_info_tells_threads_kernels_cache_and_versions(monkeypatch):
    monkeypatch.setenv("FASTNN_NUM_THREADS", "3")
    _, out, _ = fastnn_command("info")
    assert "3 (" in out
    assert "FASTNN_NUM_THREADS 3" in out
    found = json.loads(fastnn_command("info", "--json")[1])
    assert found["threads"]["number"] == 3
    assert found["cache"]["folder"] == os.environ["FASTNN_CACHE_DIR"]
    assert found["simd"] in ("avx512", "avx2", "neon", "none")
    tiles = found["tiles"]
    assert (tiles["kind"] == "amx") == (tiles["reason"] == "")
    assert f"tiles         {tiles['kind']}" in out
    assert tiles["reason"] in out
    assert found["versions"]["numpy"] == np.__version__


def test_python_m_fastnn_and_version():
    done = subprocess.run([sys.executable, "-m", "fastnn", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"fastnn {fastnn.__version__}\n"


@pytest.mark.parametrize("unwritable", [{"HOME": "/proc/nowhere"}, {"FASTNN_CACHE_DIR": "/dev/null/cache"}])
def test_info_works_where_no_folder_can_be_written(tmp_path, unwritable):
    named = ("HOME", "FASTNN_CACHE_DIR", "XDG_CACHE_HOME")
    environment = {name: value for name, value in os.environ.items() if name not in named} | unwritable
    command = [sys.executable, "-m", "fastnn", "info"]
    done = subprocess.run([*command, "--json"], capture_output=True, text=True, env=environment, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["cache"] == {"folder": None}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path)
    assert "cache         none: no folder can be used" in done.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root may become a user without home")
def test_a_user_without_any_home_has_no_cache_folder(run_python, tmp_path):
    tmp_path.chmod(0o777)
    run_python(
        """
        import os, platformdirs
        from fastnn.commands.machine import cache_usage
        for name in ("HOME", "FASTNN_CACHE_DIR", "XDG_CACHE_HOME"):
            os.environ.pop(name, None)
        import fastnn.kernels.compiler.jit, fastnn.kernels.compiler.program_cache  # before it may become unreadable
        fastnn.kernels.host.cpu.target_description()
        os.setuid(54321)
        assert cache_usage() == {"folder": None}
        assert os.listdir() == []
        """,
        cwd=tmp_path,
    )


def test_cache_is_measured_and_cleared_and_nothing_else_is_touched(fresh_cache):
    programs, foreign = fresh_cache / "kernels-0123456789abcdef", fresh_cache / "kernels-of-mine"
    for folder in (programs, foreign):
        folder.mkdir(parents=True)
        (folder / "train_float32.bin").write_bytes(bytes(300_000))
    (programs / cache_folder.MARK).write_bytes(cache_folder.MARK_TEXT)
    data = fresh_cache / "data"
    data.mkdir()
    (data / "mine.csv").write_text("1,2")
    unmarked = "1 named kernels-... without fastnn's mark, never deleted"
    expected = f"{fresh_cache} (0 programs, 0.0 MB; 0.3 MB of other versions; {unmarked})"
    assert expected in fastnn_command("cache", "info")[1]
    assert fastnn_command("cache", "clear")[1] == "deleted 1 folder, 0.3 MB\n"
    assert sorted(path.name for path in fresh_cache.iterdir()) == ["data", "kernels-of-mine"]
    assert (data / "mine.csv").exists()
    assert (foreign / "train_float32.bin").exists()


def test_warmup_calls_each_program(monkeypatch):
    from fastnn.commands import machine

    done = []
    monkeypatch.setattr(
        machine, "warm_up_steps", lambda *_: [(name, lambda name=name: done.append(name)) for name in "ab"]
    )
    code, out, _ = fastnn_command("warmup")
    assert (code, done) == (0, ["a", "b"])
    assert f"kept in {os.environ['FASTNN_CACHE_DIR']}" in out


@pytest.mark.skipif(os.name == "nt", reason="no modes of this kind there")
def test_warmup_shares_programs(monkeypatch, fresh_cache):
    from fastnn.commands import machine

    def compile_one():
        program = program_cache.ProgramCache("case_float32", "any")
        program._payload = lambda *_: b"code"
        program.save_overload("", None)

    monkeypatch.setattr(machine, "warm_up_steps", lambda *_: [("a", compile_one)])
    fresh_cache.parent.chmod(0o755)
    code, out, err = fastnn_command("warmup", "--shared")
    entered = [path for path in fresh_cache.parents if not path.stat().st_mode & 0o001]
    if entered:  # as folders of tests are
        assert (code, out) == (1, "")
        assert f"{entered[-1]}: other users may not enter it" in err
        monkeypatch.setattr(cache_folder, "check_shareable", lambda root: None)
        code, out, err = fastnn_command("warmup", "--shared")
    assert code == 0, err
    assert out.endswith(f"kept in {fresh_cache}, for all users\n")
    (program,) = fresh_cache.glob("kernels-*/*.bin")
    assert [path.stat().st_mode & 0o777 for path in (fresh_cache, program.parent, program)] == [0o755, 0o755, 0o644]


def test_a_cache_that_may_only_be_read_is_shown():
    from fastnn.commands.console import cache_line

    usage = {"folder": "x", "writable": False, "programs": 2, "bytes": 10**6, "old_bytes": 0, "unmarked": 0}
    assert cache_line(usage) == "x (2 programs, 1.0 MB; may only be read)"
