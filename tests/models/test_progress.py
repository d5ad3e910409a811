"""The progress line, in a terminal and elsewhere, and the summary."""

import io
import re
import sys

import pytest

from fastnn.layers import Dense, Dropout, Input
from fastnn.models import Sequential, progress_line
from fastnn.models.progress_line import ProgressLine

LOGS = {"accuracy": 0.72141, "loss": 0.54321}
BAR = "━" * 20


class Terminal(io.TextIOWrapper):
    def __init__(self, encoding="utf-8"):
        super().__init__(io.BytesIO(), encoding=encoding, newline="")

    def isatty(self):
        return True

    def text(self):
        self.flush()
        return self.buffer.getvalue().decode(self.encoding)


@pytest.fixture
def clock(monkeypatch):
    """A clock that is moved by hand; returns the function that moves it."""
    now = [100.0]
    monkeypatch.setattr(progress_line.time, "perf_counter", lambda: now[0])
    return lambda seconds: now.__setitem__(0, now[0] + seconds)


def plain(text):
    return re.sub(r"\x1b\[\d+m", "", text)


@pytest.mark.parametrize(
    ("verbose", "expected"),
    [
        (0, ""),
        (1, f"Epoch 3/150\n77/77 {BAR} 0s 2ms/step - accuracy: 0.7214 - loss: 0.5432\n"),
        (2, "Epoch 3/150\n77/77 - 0s - 2ms/step - accuracy: 0.7214 - loss: 0.5432\n"),
    ],
)
def test_finished_lines(capsys, clock, verbose, expected):
    line = ProgressLine(77, verbose)
    line.begin("Epoch 3/150")
    for step in range(77):
        clock(0.002)
        line.update(step, LOGS)
    line.finish(LOGS)
    line.leave()
    assert capsys.readouterr().out == expected


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0, "0s 0s/step"),
        (3e-6, "0s 1us/step"),
        (0.0042, "0s 1ms/step"),
        (7.4, "7s 2s/step"),
        (4000, "4000s 1333s/step"),
    ],
)
def test_times(capsys, clock, seconds, expected):
    line = ProgressLine(3, 1)
    line.begin(at=5.0)
    line.finish({}, at=5.0 + seconds)
    assert capsys.readouterr().out == f"3/3 {BAR} {expected}\n"


@pytest.mark.parametrize(
    ("value", "expected"), [(0.00123, "0.0012"), (0.0001234, "1.2340e-04"), (0.0, "0.0000e+00"), (-2.5, "-2.5000")]
)
def test_values(capsys, clock, value, expected):
    ProgressLine(1, 2).finish({"loss": value})
    assert capsys.readouterr().out.endswith(f" - loss: {expected}\n")


def test_a_terminal_is_drawn_over_twenty_times_a_second(monkeypatch, clock):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    line = ProgressLine(100, 1)
    line.begin("Epoch 1/2")
    for step in range(1, 101):
        clock(0.01)
        line.update(step, LOGS)
    line.finish(LOGS)
    title, first, *_, last = plain(terminal.text()).replace("\n\r", "\n").replace("\r", "\n").splitlines()
    assert title == "Epoch 1/2"
    assert first == f"  5/100 {BAR} 0s 10ms/step - accuracy: 0.7214 - loss: 0.5432"
    assert last == f"100/100 {BAR} 1s 10ms/step - accuracy: 0.7214 - loss: 0.5432"
    assert 15 <= terminal.text().count("\r") <= 21
    assert "\x1b[32m━\x1b[37m" in terminal.text()


def test_a_narrow_terminal_is_not_filled_with_lines(monkeypatch, clock):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setenv("COLUMNS", "50")
    line = ProgressLine(100, 1)
    line.begin()
    clock(1)
    line.update(10, LOGS)
    drawn = plain(terminal.text()).removeprefix("\r")
    assert drawn == f" 10/100 {BAR} 9s 100ms/step - accu"
    line.leave()
    assert plain(terminal.text()).endswith("accu\n")


@pytest.mark.parametrize(("seconds", "expected"), [(59.9, "59s"), (61, "1:01"), (3600 * 5 + 62, "5:01:02")])
def test_remaining_time(seconds, expected):
    assert progress_line._duration(seconds) == expected


def test_a_terminal_without_the_bar_s_sign(monkeypatch, clock):
    terminal = Terminal("ascii")
    monkeypatch.setattr(sys, "stdout", terminal)
    ProgressLine(2, 1).finish({})
    assert "=" * 20 in plain(terminal.text())


def model():
    return Sequential([Input((8,)), Dense(12, "relu"), Dropout(0.5), Dense(1)])


def test_summary_is_the_table_of_keras():
    texts = []
    model().summary(line_length=76, print_fn=texts.append)
    assert texts == [
        'Model: "sequential"\n'
        "┏━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━┓\n"
        "┃ Layer (type)                    ┃ Output Shape           ┃       Param # ┃\n"
        "┡━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━┩\n"
        "│ dense (Dense)                   │ (None, 12)             │           108 │\n"
        "├─────────────────────────────────┼────────────────────────┼───────────────┤\n"
        "│ dropout (Dropout)               │ (None, 12)             │             0 │\n"
        "├─────────────────────────────────┼────────────────────────┼───────────────┤\n"
        "│ dense_1 (Dense)                 │ (None, 1)              │            13 │\n"
        "└─────────────────────────────────┴────────────────────────┴───────────────┘\n"
        " Total params: 121 (484.00 B)\n"
        " Trainable params: 121 (484.00 B)\n"
        " Non-trainable params: 0 (0.00 B)\n"
    ]


def test_summary_after_training_counts_the_optimizer(capsys):
    trained = model()
    trained.compile("adam", "mse")
    trained.summary()
    assert "Optimizer" not in capsys.readouterr().out
    trained.fit([[0] * 8], [0], verbose=0)
    trained.summary()
    printed = capsys.readouterr().out
    assert " Total params: 365 (1.43 KB)\n" in printed
    assert " Optimizer params: 244 (976.00 B)\n" in printed


def test_summary_of_a_large_and_of_an_unbuilt_model(capsys):
    Sequential([Input((784,)), Dense(512), Dense(512)], dtype="float64").summary()
    assert "664,576 (5.07 MB)" in capsys.readouterr().out
    Sequential([Dense(3)]).summary()
    printed = capsys.readouterr().out
    assert "│ ? " in printed
    assert "0 (unbuilt)" in printed
    with pytest.raises(ValueError, match="line_length must be at least 20"):
        model().summary(line_length=10)
