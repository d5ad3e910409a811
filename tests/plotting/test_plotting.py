import sys
from types import SimpleNamespace

import numpy as np
import pytest

from fastnn import plotting

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")

CURVES = {"loss": [3.0, 2.0, 1.0], "accuracy": [0.1, 0.2, 0.3], "val_loss": [4.0, 3.0, 2.5]}


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    from matplotlib import pyplot

    pyplot.close("all")


def legend(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def test_history_has_a_panel_for_each_metric_and_dashes_for_validation():
    loss, accuracy = plotting.plot_history(SimpleNamespace(history=CURVES)).axes
    assert [ax.get_ylabel() for ax in (loss, accuracy)] == ["loss", "accuracy"]
    assert legend(loss) == ["training", "validation"]
    training, validation = loss.lines
    assert (training.get_linestyle(), validation.get_linestyle()) == ("-", "--")
    np.testing.assert_array_equal(training.get_xydata(), [(1, 3), (2, 2), (3, 1)])
    assert legend(accuracy) == ["training"]


def test_history_of_several_fits_compares_them_on_given_axes():
    from matplotlib import pyplot

    ax = pyplot.subplots()[1]
    assert plotting.plot_metric({"a": CURVES, "b": SimpleNamespace(history={"loss": [1.0]})}, "loss", ax=ax) is ax
    assert legend(ax) == ["a, training", "a, validation", "b, training"]
    assert len({line.get_color() for line in ax.lines}) == 2


def test_only_short_curves_have_a_marker_at_each_epoch():
    short, long = (plotting.plot_metric({"loss": [1.0] * epochs}).lines[0] for epochs in (30, 31))
    assert (short.get_marker(), long.get_marker()) == ("o", "")


def test_history_errors():
    with pytest.raises(ValueError, match=r"'precision' was not recorded; the history holds accuracy, loss, val_loss"):
        plotting.plot_metric(CURVES, "precision")
    with pytest.raises(ValueError, match="was the model fitted"):
        plotting.plot_history({})
    with pytest.raises(TypeError, match="expected a History or a dict, got list"):
        plotting.plot_history([1.0, 2.0])


def test_confusion_matrix_counts():
    ax = plotting.plot_confusion_matrix([0, 0, 1, 2, 2, 2], [0, 1, 1, 2, 2, 0], ["cat", "dog", "owl"])
    cells = {text.get_position(): text.get_text() for text in ax.texts}  # (predicted, true) -> count
    assert cells == {(0, 0): "1", (1, 0): "1", (1, 1): "1", (2, 2): "2", (0, 2): "1"}
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["cat", "dog", "owl"]
    assert ax.get_title() == "66.7% of 6 rows right"


@pytest.mark.parametrize(
    ("true", "predicted", "labels", "message"),
    [
        ([0, 1], [0], None, "same length, at least 1; got 2 and 1"),
        ([0, 5], [0, 1], ["a", "b"], r"the class 5 occurs, but is not among the labels \['a', 'b'\]"),
        (
            [0, 1],
            [[0.1, 0.9], [0.8, 0.2]],
            None,
            r"shape \(2, 2\); of one column per class take y_pred.argmax\(axis=1\)",
        ),
        ([0, 1], [0, 1], ["a", "a", 0, 1], "labels: each must come once"),
    ],
)
def test_confusion_matrix_errors(true, predicted, labels, message):
    with pytest.raises(ValueError, match=message):
        plotting.plot_confusion_matrix(true, predicted, labels)


def test_images_flat_or_square_give_the_same_grid():
    pixels = np.arange(12 * 9, dtype=np.uint8).reshape(12, 9)
    flat, square = plotting.plot_images(pixels), plotting.plot_images(pixels.reshape(12, 3, 3))
    for figure in flat, square:
        drawn = [ax.images[0].get_array() for ax in figure.axes if ax.images]
        np.testing.assert_array_equal(drawn, pixels.reshape(12, 3, 3))
        assert len(figure.axes) == 20  # two rows of ten, the last eight empty


def test_image_errors():
    with pytest.raises(ValueError, match=r"square number of them; got \(2, 10\)"):
        plotting.plot_images(np.zeros((2, 10)))
    with pytest.raises(ValueError, match="expected one for each of the 2 images, got 1"):
        plotting.plot_images(np.zeros((2, 9)), ["one"])


def test_misread_shows_confident_mistakes_first_and_each_kind_before_repeating_one():
    images = np.zeros((6, 4, 4))
    figure = plotting.plot_misread(
        images, [0, 1, 0, 1, 1, 2], [0, 0, 1, 0, 1, 0], "ABC", confidence=[0.9, 0.8, 0.7, 0.9, 0.5, 0.6], count=3
    )
    titles = [ax.get_title() for ax in figure.axes]
    assert titles == ["B read as A\n90% sure", "A read as B\n70% sure", "C read as A\n60% sure"]
    assert figure.get_suptitle() == "4 of 6 misread; 3 of them"
    figure = plotting.plot_misread(images, [0, 1, 0, 1, 1, 2], [0, 0, 1, 0, 1, 0], "ABC")
    assert [ax.get_title() for ax in figure.axes] == ["B read as A", "A read as B", "C read as A", "B read as A"]
    images = images[:5]
    with pytest.raises(ValueError, match="no misread one to draw"):
        plotting.plot_misread(images, [0] * 5, [0] * 5)
    with pytest.raises(ValueError, match="same length; got 5, 1 and 1"):
        plotting.plot_misread(images, [0], [1])


def test_without_matplotlib_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"pip install -e '\.\[plots\]'"):
        plotting.plot_history(CURVES)
