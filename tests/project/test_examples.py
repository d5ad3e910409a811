"""Every example runs, prints the numbers it promises and draws its pictures."""

import os
import re
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest

EXAMPLES = sorted(file.stem for file in (Path(__file__).resolve().parents[2] / "examples").glob("*.py"))


@pytest.fixture
def example(checkout, monkeypatch):
    """A function that loads an example without running it; returns its names."""
    monkeypatch.chdir(checkout)
    return lambda name: runpy.run_path(f"examples/{name}.py")


@pytest.fixture
def run(checkout, monkeypatch, capsys):
    """A function that runs an example as from the command line; returns what it printed."""
    monkeypatch.chdir(checkout)

    def run(name, *arguments):
        monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
        runpy.run_path(f"examples/{name}.py", run_name="__main__")
        return capsys.readouterr().out

    return run


def is_picture(file):
    return file.read_bytes().startswith(b"\x89PNG") and file.stat().st_size > 5000


def test_forward_propagation(run):
    printed = run("01_forward_propagation")
    assert "inputs (2, 3) -> hidden (5, 1) -> output 9\n" in printed
    assert "inputs (3, 4) -> hidden (7, 1) -> output 13\n" in printed
    assert "inputs (3, 4) -> hidden (22, 0) -> output 44\n" in printed
    assert "inputs (3, 5) -> hidden (26, 0) -> (0, 26) -> output 182\n" in printed
    assert re.findall(r"the model says (\d+)", printed) == ["9", "13", "44", "182"]


def test_dot_product(run):
    similarity, training = run("02_dot_product").split("before training")
    assert re.findall(r"= ([\d.]+)", similarity) == ["2.1672", "4.1260"]
    before, after = training.split("after training")
    assert re.findall(r"-> ([\d.]+)", before) == ["0.7985731", "0.87101915"]
    assert re.findall(r"right|wrong", before) == ["right", "wrong"]
    assert re.findall(r"right|wrong", after) == ["right", "right"]


def test_perceptron(example):
    names = example("03_perceptron")
    assert names["picnic_by_hand"]() == (3, 1)
    assert names["picnic_learned"]() == 1.0
    limit, accuracy = names["loan_learned"]()
    assert limit == pytest.approx(50, abs=3)
    assert accuracy > 0.97


def test_straight_line(example, tmp_path):
    by_hand, by_model, exact = example("04_straight_line")["main"](tmp_path / "new")
    np.testing.assert_allclose(by_model, by_hand, rtol=1e-9)
    np.testing.assert_allclose(by_model[-1], exact, atol=1e-3)
    assert is_picture(tmp_path / "new" / "straight_line.png")


def test_activations(run, tmp_path):
    printed = run("05_activations", tmp_path)
    assert re.search(r"sigmoid +0.1192 +0.3775 +0.6225 +0.8808\n", printed)
    assert is_picture(tmp_path / "activations.png")


def test_pima(run, pima):
    accuracy = float(re.search(r"training accuracy ([\d.]+)%", run("06_pima"))[1])
    assert 75 < accuracy < 82


def test_grid_search(run, pima):
    printed = run("08_grid_search", 2)
    assert "60 settings x 5 folds" in printed
    best, worst = (
        float(share) for share in re.search(r"trained on ([\d.]+)%, of the worst ([\d.]+)%", printed).groups()
    )
    assert best > 75
    assert best > worst


def test_beyond_scikit_learn(run, tmp_path):
    pytest.importorskip("matplotlib")
    printed = run("09_beyond_scikit_learn", tmp_path)
    found = re.search(r"plain ([\d.]+)%, with all of this ([\d.]+)%", printed)
    plain, better = (float(share) for share in found.groups())
    assert better > plain
    assert is_picture(tmp_path / "loss_curve.png")


@pytest.mark.slow
def test_sign_mnist(run, sign_mnist, tmp_path):
    printed = run("07_sign_mnist", "--epochs", 2, "--folder", tmp_path)
    assert "676,888" in printed
    training, validation = (
        float(share) for share in re.search(r"accuracy ([\d.]+)% .* ([\d.]+)% in val", printed).groups()
    )
    assert training > 70
    assert validation > 50
    assert is_picture(tmp_path / "sign_mnist_images.png")
    assert is_picture(tmp_path / "sign_mnist_history.png")


def test_gpu(run):
    printed = run("10_gpu")
    assert printed.startswith("This example needs a GPU: ") or "largest difference" in printed


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="no such signals")
def test_preemption(run):
    printed = run("11_preemption")
    assert printed.count(": saved\n") >= 1
    undisturbed = re.match(r"undisturbed: (\w{16})\n", printed)[1]
    ends = re.findall(r"(\w+): (\w+) after processes that ended with \[(.*)\]: the same bits", printed)
    assert [(answer, digest) for answer, digest, _ in ends] == [("handler", undisturbed), ("backup", undisturbed)]
    for (_, _, codes), code in zip(ends, ("75", "-9"), strict=True):
        *struck, last = codes.split(", ")
        assert last == "0"
        assert set(struck) == {code}


@pytest.mark.parametrize("name", ["06_pima", "07_sign_mnist", "08_grid_search"])
def test_without_data_the_message_says_what_to_do(run, fresh_cache, tmp_path, monkeypatch, name):
    monkeypatch.setenv("FASTNN_DATA", str(tmp_path))
    monkeypatch.setattr("fastnn.datasets.published_file.PublishedFile.load", nothing_to_be_had)
    with pytest.raises(SystemExit, match=r"This example needs the .* data\.\nset FASTNN_DATA"):
        run(name)


def nothing_to_be_had(*arguments):
    raise FileNotFoundError("set FASTNN_DATA")


@pytest.mark.parametrize("name", EXAMPLES)
def test_help(run, capsys, name):
    with pytest.raises(SystemExit) as done:
        run(name, "--help")
    shown = capsys.readouterr().out
    assert done.value.code == 0
    assert shown.startswith(f"usage: {name}.py ")
    assert Path(f"examples/{name}.py").read_text().removeprefix('"""').splitlines()[0].rstrip('"') in shown
    assert not Path("--help").exists()


WRONG = [(name, arguments) for name in EXAMPLES for arguments in (["--nothing"], ["1", "2"], ["--", "1", "2"])]
WRONG += [("06_pima", ["seven"]), ("06_pima", ["-1"]), ("06_pima", [str(2**32)]), ("08_grid_search", ["0"])]
WRONG += [("07_sign_mnist", ["--epochs", "0"]), ("07_sign_mnist", ["--epochs", "1.5"]), ("07_sign_mnist", ["--folder"])]


@pytest.mark.parametrize(("name", "arguments"), WRONG)
def test_wrong_arguments_are_named_in_one_line(run, capsys, name, arguments):
    with pytest.raises(SystemExit) as done:
        run(name, *arguments)
    shown, said = capsys.readouterr()
    assert done.value.code == 2
    assert shown == ""
    usage, line = said.removesuffix("\n").rsplit("\n", 1)
    assert usage.startswith("usage: ")
    assert line.startswith(f"{name}.py: error: ")


@pytest.mark.parametrize(
    ("name", "option"),
    [("04_straight_line", []), ("05_activations", []), ("07_sign_mnist", ["--folder"]), ("09_beyond_scikit_learn", [])],
)
def test_a_file_where_a_folder_is_meant(run, tmp_path, name, option):
    pytest.importorskip("matplotlib")
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(SystemExit, match=r"a folder\.\n.*file"):
        run(name, *option, tmp_path / "file")


def test_every_example_is_listed(checkout):
    listed = re.findall(r"python examples/(\S+\.py)", (checkout / "examples" / "README.md").read_text())
    assert listed == sorted(file.name for file in (checkout / "examples").glob("*.py"))
