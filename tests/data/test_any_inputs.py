"""Whatever arrays users pass: the answer of a plain float64 computation, or one clear error; inputs never change."""

import decimal
import fractions
import warnings

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

import fastnn
from fastnn.layers import Dense
from fastnn.models import Sequential
from fastnn.utils import set_random_seed

COLUMNS = 3
KERNEL = np.array([[0.5, -1.0], [2.0, 0.25], [-0.125, 1.5]])
BIAS = np.array([0.25, -0.5])
ERRORS = (TypeError, ValueError)
EXAMPLES = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
MANY = settings(EXAMPLES, max_examples=3000)

dtypes = st.one_of(
    arrays.boolean_dtypes(), arrays.integer_dtypes(endianness="?"), arrays.unsigned_integer_dtypes(endianness="?"),
    arrays.floating_dtypes(endianness="?"), arrays.complex_number_dtypes(), arrays.datetime64_dtypes(),
    arrays.timedelta64_dtypes(), arrays.byte_string_dtypes(), arrays.unicode_string_dtypes(), st.just(np.dtype(object)),
)  # fmt: skip
widths = st.sampled_from([COLUMNS] * 6 + [0, 1, 2, 4])
shapes = st.one_of(
    st.tuples(st.integers(0, 7), widths), st.tuples(st.integers(0, 4)), st.tuples(), st.tuples(widths, widths, widths)
)
objects = st.one_of(
    st.integers(-(10**20), 10**20), st.floats(), st.booleans(), st.none(), st.text(max_size=2), st.complex_numbers(),
    st.decimals(), st.fractions(), st.dates(), st.lists(st.integers(), max_size=2),
)  # fmt: skip


@st.composite
def anything(draw):
    """An array of any type, shape, order and strides, writeable or not, masked or mapped or a list."""
    dtype, shape = draw(dtypes), draw(shapes)
    elements = objects if dtype.kind == "O" else None
    value = draw(arrays.arrays(dtype, shape, elements=elements))
    form = draw(st.sampled_from(["plain"] * 3 + ["fortran", "reversed", "strided", "locked", "masked", "list", "wide"]))
    if form == "fortran":
        value = np.asfortranarray(value)
    elif form == "reversed":
        value = np.flip(value)
    elif form == "strided" and value.ndim:
        value = np.repeat(value, 2, axis=-1)[..., ::2]
    elif form == "locked":
        value.flags.writeable = False
    elif form == "masked" and value.dtype.kind in "biuf":
        value = np.ma.masked_array(value, mask=np.arange(value.size).reshape(value.shape) % 5 == 4)
    elif form == "list":
        value = value.tolist()
    elif form == "wide" and value.ndim == 2 and len(value):
        value = np.broadcast_to(value[:1], (5, value.shape[1]))
    return value


def network(dtype):
    model = Sequential([Dense(2, "tanh", input_shape=(COLUMNS,))], dtype=dtype)
    model.set_weights([KERNEL, BIAS])
    return model


def copy_of(value):
    return value.copy() if isinstance(value, np.ndarray) else value


def unchanged(value, before):
    if isinstance(value, np.ndarray):
        if value.dtype == object:
            return value.shape == before.shape and all(a is b for a, b in zip(value.flat, before.flat, strict=True))
        same_mask = (np.ma.getmaskarray(value) == np.ma.getmaskarray(before)).all()
        return value.dtype == before.dtype and same_mask and np.asarray(value).tobytes() == np.asarray(before).tobytes()
    return True


def check_prediction(value, dtype):
    before = copy_of(value)
    try:
        outputs = network(dtype).predict(value)
    except ERRORS as error:
        outputs, message = None, str(error)
    assert unchanged(value, before)
    if outputs is None:
        assert message.startswith("x ")
        assert len(message) < 1000
        return
    rows = np.asarray(value).astype(np.float64)
    assert rows.shape[1:] == (COLUMNS,)
    assert np.isfinite(rows).all()
    with np.errstate(all="ignore"):
        exact = np.tanh(rows @ KERNEL + BIAS)
        certain = np.abs(rows @ KERNEL).max(axis=1) > 1e-5 * np.abs(rows).max(axis=1, initial=0.0) + 1e-300
    np.testing.assert_allclose(outputs[certain], exact[certain], rtol=0, atol=2e-4)
    assert np.isfinite(outputs).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@EXAMPLES
@given(value=anything())
@example(value=np.ma.masked_array(np.zeros((2, 3), np.float16), mask=np.arange(6).reshape(2, 3) == 4))
def test_predictions(dtype, value):
    check_prediction(value, dtype)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@MANY
@given(value=anything())
def test_predictions_of_very_many(dtype, value):
    check_prediction(value, dtype)


def check_fit(x, y, weights, classes):
    before = [copy_of(value) for value in (x, y, weights)]
    set_random_seed(0)
    model = network("float32")
    model.compile("sgd", "mse")
    weights_before, message = model.get_weights(), ""
    try:
        model.fit(x, y, sample_weight=weights, class_weight=classes, batch_size=3, verbose=0)
    except ERRORS as error:
        message = str(error)
    if message:
        assert any(name in message for name in ("x ", "y ", "sample_weight", "class_weight")), message
        for ours, theirs in zip(model.get_weights(), weights_before, strict=True):
            np.testing.assert_array_equal(ours, theirs)
    for value, old in zip((x, y, weights), before, strict=True):
        assert unchanged(value, old)


@EXAMPLES
@given(
    x=st.one_of(anything(), st.just(np.ones((5, COLUMNS)))),
    y=st.one_of(anything(), st.just(np.zeros((5, 2)))),
    weights=st.one_of(st.none(), anything(), st.just(np.ones(5))),
    classes=st.one_of(
        st.none(),
        st.just({0: 1.0, 1: 2.0}),
        st.dictionaries(st.one_of(st.integers(-1, 3), st.floats(), st.text(max_size=1)), objects),
    ),
)
def test_fits(x, y, weights, classes):
    check_fit(x, y, weights, classes)


labels = st.sampled_from(
    [
        ["a", "b", "a", "c", "b"], [b"a", b"b", b"a", b"b", b"b"], [True, False, True, True, False], [-5, 7, 7, -5, 0],
        [0.5, 1.5, 0.5, 0.5, 1.5], np.array(["x", "yy", "x", "x", "yy"], object), np.array([0, 1, 2, 1, 0], "uint8"),
        np.array([1, 1, 1, 1, 1]), ["a", 1, "b", 2, None], np.array([np.nan, 1, 0, 1, 0]),
        [[1, 0], [0, 1], [1, 1], [0, 0], [1, 0]],
        np.array(["2020-01-01", "2021-01-01"] * 2 + ["2020-01-01"], "datetime64[D]"), [], [1, 2], None,
        [decimal.Decimal(1), decimal.Decimal(2)] * 2 + [decimal.Decimal(1)], [fractions.Fraction(1, 2)] * 5,
    ]
)  # fmt: skip


@EXAMPLES
@given(x=st.one_of(anything(), st.just(np.arange(15.0).reshape(5, 3))), y=labels)
def test_estimators(x, y):
    """Predictions are labels that were given, or there is one clear error."""
    before = copy_of(x)
    model = fastnn.MLPClassifier((4,), max_iter=2, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            predicted = model.fit(x, y).predict(x)
        except ERRORS as error:
            message = str(error)
        else:
            message = "none"
            assert predicted.shape == np.shape(y)
            assert set(np.unique(predicted).tolist()) <= set(np.unique(y).tolist())
    assert message
    assert unchanged(x, before)


@EXAMPLES
@given(values=arrays.arrays(np.float64, (6, COLUMNS), elements=st.floats(allow_nan=False, allow_infinity=False)))
def test_huge_and_subnormal_values(values):
    """Too large for float32 is an error that says where; everything else is computed."""
    with np.errstate(over="ignore"):
        fits = np.isfinite(values.astype(np.float32)).all()
    if fits:
        check_prediction(values, "float32")
    else:
        with pytest.raises(ValueError, match="x holds .* in row .*, which is too large for float32"):
            network("float32").predict(values)


def test_memory_mapped_arrays(tmp_path):
    x = np.random.default_rng(0).normal(size=(50, COLUMNS)).astype(np.float32)
    np.save(tmp_path / "x.npy", x)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    np.testing.assert_array_equal(network("float32").predict(mapped), network("float32").predict(x))
    model = network("float32")
    model.compile("sgd", "mse")
    model.fit(mapped, mapped[:, :2], verbose=0)
    np.testing.assert_array_equal(np.load(tmp_path / "x.npy"), x)


RAGGED = [
    [[1.0, 2.0, 3.0], [4.0]], [[1.0, 2.0, 3.0], 4.0], [[[1.0], [2.0], [3.0]], [[1.0], [2.0], [3.0, 4.0]]],
    [np.ones(3), np.ones(2)], (np.ones((2, 3)), np.ones((1, 3))), [[1.0, 2.0, 3.0], None], [[1.0, 2.0, [3.0]]],
    np.array([[1.0, 2.0, 3.0], [4.0]], dtype=object), {"a": [1.0, 2.0], "b": [1.0]},
]  # fmt: skip


@pytest.mark.parametrize("ragged", RAGGED, ids=lambda value: str(value)[:25])
def test_ragged_lists(ragged):
    """One error that names the argument, wherever it came from."""
    whole, model = np.ones((2, COLUMNS)), network("float32")
    model.compile("sgd", "mse")
    with pytest.raises(ERRORS, match=r"^x "):
        model.predict(ragged)
    with pytest.raises(ERRORS, match=r"^x "):
        model.fit(ragged, np.zeros((2, 2)), verbose=0)
    with pytest.raises(ERRORS, match=r"^y "):
        model.fit(whole, ragged, verbose=0)
    with pytest.raises(ERRORS, match=r"^sample_weight "):
        model.fit(whole, np.zeros((2, 2)), sample_weight=ragged, verbose=0)
    with pytest.raises(ERRORS):
        fastnn.MLPRegressor((3,), max_iter=2).fit(ragged, [1.0, 2.0])
    np.testing.assert_array_equal(model.get_weights()[0], KERNEL.astype(np.float32))


def test_frames_with_odd_indexes():
    pandas = pytest.importorskip("pandas")
    x = np.random.default_rng(0).normal(size=(6, COLUMNS))
    expected = network("float64").predict(x)
    for index in ([5, 5, 5, 1, 1, 1], list("zyxwvu"), pandas.date_range("2020", periods=6), [np.nan] * 6):
        frame = pandas.DataFrame(x, index=index, columns=["a", "a", 3])
        np.testing.assert_array_equal(network("float64").predict(frame), expected)
        model = network("float64")
        model.compile("sgd", "mse")
        model.fit(frame, frame.iloc[:, :2], sample_weight=pandas.Series(np.ones(6), index=index[::-1]), verbose=0)
    frame = pandas.DataFrame(x, index=pandas.MultiIndex.from_product([[1, 2], [3, 4, 5]]))
    np.testing.assert_array_equal(network("float64").predict(frame), expected)


def test_masked_values_are_no_values():
    masked = np.ma.masked_array(np.ones((4, COLUMNS)), mask=np.eye(4, COLUMNS, dtype=bool))
    with pytest.raises(ValueError, match="x has masked values; fill them"):
        network("float32").predict(masked)
    assert network("float32").predict(np.ma.masked_array(np.ones((4, COLUMNS)))).shape == (4, 2)
