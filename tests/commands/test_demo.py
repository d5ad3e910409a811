import os
import sys
import time
from dataclasses import replace

import numpy as np
import pytest

from fastnn import datasets
from fastnn.commands import demo, timed_comparison
from fastnn.commands.timed_comparison import Task, run_fastnn, run_sklearn


@pytest.fixture
def blobs(rng):
    """A task that is easy to learn, with `k` classes."""

    def blobs(k, **changes):
        y = rng.integers(k, size=240)
        x = (3 * rng.normal(size=(k, 5))[y] + rng.normal(size=(240, 5))).astype(np.float32)
        options = {"hidden": (16,), "batch_size": 20, "epochs": 30, "threads": 1} | changes
        return Task("blobs", x[:200], y[:200], x[200:], y[200:], tuple("abcdefg"[:k]), **options)

    return blobs


@pytest.mark.parametrize("train", [run_fastnn, run_sklearn])
@pytest.mark.parametrize(("k", "repeats"), [(2, 3), (4, 1)])
def test_both_libraries_learn_and_report_alike(blobs, train, k, repeats):
    task, epochs = blobs(k, repeats=repeats), []
    outcome = train(task, 0, lambda: epochs.append(1))
    assert len(epochs) == repeats * task.epochs
    assert len(outcome.times) == len(outcome.train_accuracies) == len(outcome.test_accuracies) == repeats
    assert min(outcome.times) > 0
    assert min(outcome.test_accuracies) > 0.8
    assert np.shape(outcome.losses) == (repeats, task.epochs)
    assert outcome.losses[0][-1] < outcome.losses[0][0] / 2
    assert outcome.probabilities.shape == (40, k)
    np.testing.assert_allclose(outcome.probabilities.sum(axis=1), 1, atol=1e-5)


def test_watching_does_not_change_the_training(blobs):
    task = blobs(3, repeats=2)
    unobserved, watched = run_fastnn(task, 5), run_fastnn(replace(task, repeats=1), 5)
    assert unobserved.losses[0] == watched.losses[0]
    assert unobserved.curves[0] == watched.curves[0]
    assert unobserved.losses[0] != unobserved.losses[1]
    assert len(watched.curves[0]) == task.epochs
    assert watched.curves[0][-1] == watched.test_accuracies[0]


def test_time_spent_on_watching_is_taken_off(blobs):
    outcome = run_fastnn(blobs(3), 0, lambda: time.sleep(0.05))
    assert outcome.seconds < 30 * 0.05


def test_both_sides_start_from_the_same_kind_of_weights(blobs):
    task = blobs(3, epochs=1, hidden=(64, 64))
    model, _, _ = timed_comparison._fit_fastnn(replace(task, x_train=0 * task.x_train), 0, [])
    kernel = model.get_weights()[2]  # inputs of zero leave the second kernel as it was drawn
    bound = np.sqrt(6 / (64 + 64))
    assert 0.95 * bound < np.abs(kernel).max() <= bound


def nowhere(*_):
    raise FileNotFoundError("there is no data file")


@pytest.mark.slow
def test_demo_without_data_says_so_and_draws(monkeypatch, tmp_path, capsys):
    made = datasets.make_sign_mnist_like(400, 100)
    monkeypatch.setattr(demo, "_SHORT_EPOCHS", 1)
    monkeypatch.setattr(datasets, "load_pima", nowhere)
    monkeypatch.setattr(datasets, "load_sign_mnist", nowhere)
    monkeypatch.setattr(datasets, "make_sign_mnist_like", lambda: made)
    demo.run(output=tmp_path / "new" / "pictures")
    out = capsys.readouterr().out
    assert "No Pima data, breast cancer instead. there is no data file" in out
    assert "for timing only" in out
    for text in (
        "breast cancer",
        "30-16-8-1",
        "64-512-512-10",
        "784-512-512-24",
        "batch 200, 1 epochs",
        "scikit-learn",
    ):
        assert text in out
    pictures = sorted(path.name for path in (tmp_path / "new" / "pictures").iterdir())
    assert pictures == ["confusion-matrix.png", "learning-curves.png", "misread-digits.png"]
    for path in (tmp_path / "new" / "pictures").iterdir():
        assert path.read_bytes().startswith(b"\x89PNG")


def test_demo_without_matplotlib_prints_the_table_and_how_to_get_it(blobs, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(demo, "_tasks", lambda *_: ([blobs(2, repeats=2), blobs(4)], []))
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    demo.run(output=tmp_path)
    out = capsys.readouterr().out
    assert "5-16-4" in out
    assert "pip install -e '.[plots]'" in out
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
@pytest.mark.parametrize("name", ["learning-curves.png", "confusion-matrix.png", "misread-digits.png"])
def test_demo_draws_onto_nothing_but_files_and_says_so_first(blobs, monkeypatch, tmp_path, name):
    monkeypatch.setattr(demo, "_tasks", lambda *_: ([blobs(2, repeats=2), blobs(4)], []))
    monkeypatch.setattr(demo, "warm_up", None)  # nothing is trained
    os.mkfifo(tmp_path / name)
    with pytest.raises(OSError, match="it is a pipe"):
        demo.run(output=tmp_path)
    os.unlink(tmp_path / name)
    (tmp_path / name).symlink_to("elsewhere.png")
    with pytest.raises(OSError, match="it is a symbolic link to elsewhere.png"):
        demo.run(output=tmp_path)
    assert os.listdir(tmp_path) == [name]
