"""What notebooks show: models as tables, figures once, confusion matrices of any classes."""

import html.parser
import io
import itertools
import pickle
import warnings

import numpy as np
import pytest

from fastnn import Activation, Dense, Input, Sequential, plotting

HISTORY = {"loss": [3.0, 2.0]}


def test_a_model_says_what_it_is():
    model = Sequential(name="first")
    assert repr(model) == "<Sequential 'first': no layers; not built, not compiled>"
    model.add(Dense(4, "relu"))
    model.add(Activation("tanh"))
    assert repr(model) == "<Sequential 'first': Dense -> Activation; not built, not compiled>"
    model.build((None, 3))
    model.compile("sgd")
    shapes = "(None, 3) -> Dense (None, 4) -> Activation (None, 4)"
    assert repr(model) == f"<Sequential 'first': {shapes}; built, compiled with sgd>"
    model.compile("adam", "mse", ["mae", "accuracy"])
    compiled = "compiled with adam, loss mean_squared_error, metrics mae accuracy"
    assert repr(model) == f"<Sequential 'first': {shapes}; built, {compiled}>"
    assert repr(type("Net", (Sequential,), {})()).startswith("<Net 'sequential': ")


class Table(html.parser.HTMLParser):
    """The cells of a table, and whether every tag is closed."""

    def __init__(self, text):
        super().__init__()
        self.open, self.rows, self.text = [], [], ""
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attributes):
        if tag != "br":
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open[-1] in ("td", "th"):
            self.rows[-1].append(data)
        else:
            self.text += data


def test_the_summary_as_html():
    model = Sequential([Input((3,)), Dense(4, name="<b>&amp;'x\""), Dense(1)], name="<script>alert(1)</script>")
    table = Table(model._repr_html_())
    assert table.rows == [
        ["Layer (type)", "Output Shape", "Param #"],
        ["<b>&amp;'x\" (Dense)", "(None, 4)", "16"],
        ["dense (Dense)", "(None, 1)", "5"],
    ]
    assert "<script>" in table.text
    assert "<script>" not in model._repr_html_()
    assert "Total params: 21 (84.00 B)" in table.text
    assert Table(Sequential([Dense(4)])._repr_html_()).rows[1] == ["dense (Dense)", "?", "0 (unbuilt)"]
    assert len(Table(Sequential()._repr_html_()).rows) == 1


@pytest.fixture
def pyplot():
    pyplot = pytest.importorskip("matplotlib.pyplot")
    pyplot.switch_backend("agg")
    pyplot.close("all")  # what other tests have left
    yield pyplot
    pyplot.close("all")


FIGURES = {
    "history": lambda: plotting.plot_history(HISTORY),
    "images": lambda: plotting.plot_images(np.zeros((2, 9))),
    "misread": lambda: plotting.plot_misread(np.zeros((2, 9)), [0, 1], [1, 0]),
}


@pytest.mark.parametrize("make", FIGURES)
def test_a_figure_is_shown_once(make, pyplot, monkeypatch):
    """IPython calls the method first; NotImplementedError sends it on to the formatters of figures."""
    import matplotlib

    figure = FIGURES[make]()
    with pytest.raises(NotImplementedError):
        figure._ipython_display_()
    assert pyplot.fignum_exists(figure.number)  # other backends show windows, which stay
    monkeypatch.setattr(matplotlib, "get_backend", lambda: "module://matplotlib_inline.backend_inline")
    with pytest.raises(NotImplementedError):
        figure._ipython_display_()
    assert not pyplot.get_fignums()  # of which the inline backend shows all at the end of a cell
    figure.savefig(io.BytesIO())
    assert type(pickle.loads(pickle.dumps(figure))) is type(figure)


def names(ax):
    return [tick.get_text() for tick in ax.get_yticklabels()]


def cells(ax):
    return {text.get_position(): text.get_text() for text in ax.texts}


@pytest.mark.parametrize(
    ("true", "predicted", "labels", "expected"),
    [
        (["b", "a", "b"], ["b", "b", "b"], None, ["a", "b"]),
        (np.array(["b", "a", "b"]), ["b", "b", "b"], ["b", "a"], ["b", "a"]),
        ([-1, 1, 1], [1, 1, -1], None, ["-1", "1"]),
        ([1, 2, 2], [2, 2, 1], None, ["1", "2"]),
        ([1, 2, 2], [2, 2, 1], [1, 2], ["1", "2"]),
        ([0, 1, 1], [1, 1, 0], ["no", "yes"], ["no", "yes"]),
        ([False, True, True], np.array([1.0, 1.0, 0.0]), ["no", "yes"], ["no", "yes"]),
        ([0.5, 1.5, 1.5], [1.5, 1.5, 0.5], None, ["0.5", "1.5"]),
        ([None, "x", "x"], ["x", "x", None], None, ["None", "x"]),
        ([[1], [2], [2]], np.array([2, 2, 1]), None, ["1", "2"]),
    ],
)
def test_classes_of_any_kind(true, predicted, labels, expected, pyplot):
    ax = plotting.plot_confusion_matrix(true, predicted, labels)
    assert names(ax) == expected
    place = {name: number for number, name in enumerate(expected)}
    counts = np.zeros((2, 2), int)
    for value, other in zip(np.ravel(np.array(true, object)), np.ravel(np.array(predicted, object)), strict=True):
        key = [expected[int(v)] if expected[0] == "no" else str(v) for v in (value, other)]
        counts[place[key[0]], place[key[1]]] += 1
    assert cells(ax) == {(c, r): str(counts[r, c]) for r in range(2) for c in range(2) if counts[r, c]}


def test_classes_that_do_not_occur_keep_their_place(pyplot):
    ax = plotting.plot_confusion_matrix([0, 2], [0, 2], ["cat", "dog", "owl", "fox"])
    assert names(ax) == ["cat", "dog", "owl", "fox"]
    assert cells(ax) == {(0, 0): "1", (2, 2): "1"}


def overlap(texts, renderer):
    boxes = [text.get_window_extent(renderer) for text in texts]
    return any(first.overlaps(second) for first, second in itertools.pairwise(boxes))


@pytest.mark.parametrize(("count", "long"), [(2, True), (3, True), (10, True), (30, False), (100, False), (100, True)])
def test_long_names_and_many_classes_can_be_read(count, long, pyplot):
    labels = [f"a class whose name is far too long for a picture, no. {k}" if long else f"c{k}" for k in range(count)]
    y = np.repeat(np.arange(count), 3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a layout that has no room warns
        ax = plotting.plot_confusion_matrix(y, np.roll(y, 1), labels)
        ax.figure.canvas.draw()
    renderer = ax.figure.canvas.get_renderer()
    for ticks in (ax.get_xticklabels(), ax.get_yticklabels()):
        assert len(ticks) == count
        assert len({tick.get_text() for tick in ticks}) == count  # also when shortened
        assert not overlap(ticks, renderer)
        for tick in ticks:
            box, frame = tick.get_window_extent(renderer), ax.figure.bbox
            assert frame.x0 <= box.x0
            assert box.x1 <= frame.x1
            assert frame.y0 <= box.y0
            assert box.y1 <= frame.y1
    assert ax.get_window_extent(renderer).width > 0.3 * ax.figure.bbox.width


def test_more_classes_than_there_is_room_for_names(pyplot):
    y = np.arange(400)
    ax = plotting.plot_confusion_matrix(y, y)
    ax.figure.canvas.draw()
    assert 50 < len(ax.get_yticks()) < 400
    assert names(ax)[1] == str(int(ax.get_yticks()[1]))


def test_names_are_text_and_no_formulas(pyplot):
    ax = plotting.plot_confusion_matrix(["$a_", "b$", "c\nd"], ["$a_", "b$", "c\nd"])
    ax.figure.canvas.draw()
    assert names(ax) == ["$a_", "b$", "c d"]
    plotting.plot_misread(np.zeros((1, 9)), [0], [1], ["$a_", "b$"]).canvas.draw()
