"""Sparse matrices with wrong indices, which SciPy makes without a word, are refused before any code follows them.

Without that SciPy's own conversions, and the compiled programs, read and write memory that is not theirs.
"""

import copy
import re
import warnings

import numpy as np
import pytest
from harness import assert_same_bits
from scipy import sparse

import fastnn
from fastnn import losses, optimizers
from fastnn.callbacks import LambdaCallback
from fastnn.data.samples import Samples
from fastnn.engine.engine import Engine
from fastnn.engine.evaluation import Evaluation, LossGradient
from fastnn.engine.run_options import RunOptions
from fastnn.engine.sparse_rows import SparseRows
from fastnn.layers import Dense
from fastnn.lowering.lower import lower

RNG = np.random.default_rng(0)
DENSE = (RNG.random((60, 10)) < 0.3) * RNG.normal(size=(60, 10))
LABELS = RNG.integers(0, 3, 60)
SEVERAL = RNG.integers(0, 2, (60, 3))
FAR = 10**8


def put(place, value, dtype=None):
    """A function that changes one element of an array."""

    def change(array):
        array = array.copy() if dtype is None else array.astype(dtype)
        array[place] = value
        return array

    return change


def cut(array):
    return array[:-7]


COMPRESSED = {
    "a little too far": ("indices", put(5, 60)),
    "far": ("indices", put(5, FAR)),
    "far below": ("indices", put(5, -FAR)),
    "negative": ("indices", put(5, -1)),
    "all far": ("indices", lambda array: array + FAR),
    "more than 32 bits": ("indices", put(5, 2**32 + 1, np.int64)),
    "unsigned": ("indices", put(5, 2**63, np.uint64)),
    "fractions": ("indices", lambda array: array + 0.5),
    "a list": ("indices", np.ndarray.tolist),
    "two dimensions": ("indices", lambda array: array[:, np.newaxis]),
    "fewer indices": ("indices", cut),
    "fewer values": ("data", cut),
    "no values": ("data", lambda array: array[:0]),
    "falls": ("indptr", put(4, 0)),
    "runs away": ("indptr", put(4, FAR)),
    "below": ("indptr", put(4, -FAR)),
    "ends far": ("indptr", put(-1, FAR)),
    "ends very far": ("indptr", put(-1, 2**40, np.int64)),
    "begins below": ("indptr", put(0, -5)),
    "begins late": ("indptr", put(0, 1)),
    "too short": ("indptr", cut),
    "too long": ("indptr", lambda array: np.append(array, array[-1])),
    "empty": ("indptr", lambda array: array[:0]),
    "taller": ("_shape", lambda shape: (10**6, shape[1])),
    "lower": ("_shape", lambda shape: (6, shape[1])),
    "narrower": ("_shape", lambda shape: (shape[0], 4)),
}


def compressed(kind, fault, rows=DENSE):
    name, change = COMPRESSED[fault]
    matrix = kind(rows)
    setattr(matrix, name, change(getattr(matrix, name)))
    return matrix


def coordinates(word, value):
    matrix = sparse.coo_matrix(DENSE)
    places = {"row": matrix.row.copy(), "col": matrix.col.copy()}
    places[word][5] = value
    matrix.coords = tuple(places.values())
    return matrix


def short_coordinates():
    matrix = sparse.coo_array(DENSE)
    matrix.data = matrix.data[:3]
    return matrix


def lists(change):
    matrix = sparse.lil_matrix(DENSE)
    change(matrix)
    return matrix


def keys(key):
    matrix = sparse.dok_array(DENSE)
    matrix._dict[key] = 1.0
    return matrix


def diagonals():
    matrix = sparse.dia_matrix(DENSE)
    matrix.data = matrix.data[:2]
    return matrix


def blocks(change):
    matrix = sparse.bsr_array(DENSE, blocksize=(2, 2))
    matrix.data = change(matrix.data)
    return matrix


OTHERS = {
    "row": lambda: coordinates("row", FAR),
    "row below": lambda: coordinates("row", -FAR),
    "row a little too far": lambda: coordinates("row", 60),
    "column": lambda: coordinates("col", FAR),
    "column below": lambda: coordinates("col", -1),
    "fewer values than coordinates": short_coordinates,
    "lists lead far": lambda: lists(lambda matrix: matrix.rows.__setitem__(3, [FAR] * len(matrix.rows[3]))),
    "lists lead below": lambda: lists(lambda matrix: matrix.rows.__setitem__(3, [-FAR] * len(matrix.rows[3]))),
    "lists lead beyond 64 bits": lambda: lists(lambda matrix: matrix.rows.__setitem__(3, [10**30])),
    "fewer values in a list": lambda: lists(lambda matrix: matrix.data[3].clear()),
    "more values in a list": lambda: lists(lambda matrix: matrix.data[3].extend([1.0] * 1000)),
    "fewer lists": lambda: lists(lambda matrix: setattr(matrix, "rows", matrix.rows[:5])),
    "key": lambda: keys((FAR, 2)),
    "key beyond 64 bits": lambda: keys((2, 10**30)),
    "key below": lambda: keys((2, -FAR)),
    "fewer diagonals": diagonals,
    "fewer blocks": lambda: blocks(lambda data: data[:2]),
    "smaller blocks": lambda: blocks(lambda data: data[:, :1, :1]),
    "blocks that do not fit": lambda: blocks(lambda data: np.zeros((len(data), 7, 2))),
    "blocks of nothing": lambda: blocks(lambda data: data[:, :0]),
}
DAMAGED = {
    **{f"csr, {fault}": (sparse.csr_matrix, fault) for fault in COMPRESSED},
    **{f"csr array, {fault}": (sparse.csr_array, fault) for fault in COMPRESSED},
    **{
        f"csc, {fault}": (sparse.csc_matrix, fault)
        for fault in COMPRESSED
        if fault not in ("a list", "narrower", "taller")
    },
    **{
        f"bsr, {fault}": (sparse.bsr_matrix, fault)
        for fault in COMPRESSED
        if fault not in ("a list", "narrower", "lower")
    },
    **{name: (make, None) for name, make in OTHERS.items()},
}


def damaged(name):
    make, fault = DAMAGED[name]
    return make() if fault is None else compressed(make, fault)


@pytest.fixture(scope="module")
def fitted():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return fastnn.MLPClassifier((7,), max_iter=3, random_state=0).fit(DENSE, LABELS)


def refused(name="X"):
    return pytest.raises(ValueError, match=f"^{re.escape(name)} (is a damaged sparse matrix: |must have rows)")


@pytest.mark.parametrize("name", DAMAGED)
def test_damaged_rows_are_refused(fitted, name):
    model = copy.deepcopy(fitted)
    before = [array.copy() for array in model.coefs_]
    x = damaged(name)
    for call in (model.predict, model.predict_proba, model.predict_log_proba):
        with refused():
            call(x)
    with refused():
        model.score(x, LABELS)
    with refused():
        model.partial_fit(x, LABELS)
    for more in ({}, {"early_stopping": True}, {"solver": "lbfgs"}):
        with refused():
            model.set_params(**more).fit(x, LABELS)
    model.set_params(early_stopping=False, solver="adam")
    with refused():
        model.fit(DENSE, LABELS, validation_data=(x, LABELS))
    with refused():
        fastnn.MLPRegressor(hidden_layer_sizes=(3,)).fit(x, LABELS)
    assert_same_bits(model.coefs_, before)


@pytest.mark.parametrize("fault", [fault for fault in COMPRESSED if fault != "narrower"])
def test_damaged_labels_are_refused(fault):
    several = sparse.csr_matrix(SEVERAL)
    y = compressed(sparse.csr_matrix, fault, SEVERAL)
    model = fastnn.MLPClassifier((3,), max_iter=1)
    with refused("y"):
        model.fit(DENSE, y)
    with refused("y of the validation data"):
        model.fit(DENSE, several, validation_data=(DENSE, y))
    with pytest.warns(match="Maximum iterations"):
        model.fit(DENSE, several)
    with refused("y"):
        model.score(DENSE, y)
    with refused("y"):
        model.partial_fit(DENSE, y)


def test_arrays_without_rows_and_columns_are_refused(fitted):
    for x in (sparse.coo_array(DENSE[0]), sparse.csr_array(DENSE[0])):
        with refused():
            fitted.predict(x)


def network(dtype="float32"):
    plan = lower([Dense(7, "tanh"), Dense(3, "softmax")], 10, dtype)
    engine = Engine(plan, threads=1)
    rng = np.random.default_rng(1)
    engine.set_weights([rng.normal(size=shape) for shape in plan.weight_shapes])
    return engine, plan.objective(losses.SparseCategoricalCrossentropy())


@pytest.mark.parametrize("fault", COMPRESSED)
def test_the_door_to_the_programs_refuses_them_too(fault):
    """For all that uses the engine without an estimator."""
    engine, objective = network()
    x = compressed(sparse.csr_matrix, fault, DENSE.astype(np.float32))
    y = LABELS[:, np.newaxis].astype(np.float32)[: x.shape[0]]
    if fault == "taller":
        y = np.zeros((x.shape[0], 1), np.float32)
    engine.reset_optimizer(optimizers.Adam())
    options = {"batch_size": 20, "epochs": 2, "shuffle": True, "seed": 0}
    for call in (
        lambda: engine.predict(x),
        lambda: engine.evaluate(objective, Samples(x, y)),
        lambda: Evaluation(engine, objective, Samples(x, y)),
        lambda: engine.train(objective, Samples(x, y), RunOptions(**options)),
        lambda: LossGradient(engine, objective, Samples(x, y)),
        lambda: engine.gradient(objective, Samples(x, y)),
    ):
        with pytest.raises(ValueError, match=r"^x is a damaged sparse matrix|^x must have the shape \(n, 10\)"):
            call()


class Own(sparse.csr_matrix):
    """A subclass of a user's."""


def legal_forms():
    """Rows as SciPy allows them, whose entries come in the same order."""
    rows = sparse.csr_matrix(DENSE.astype(np.float32))
    arrays = {name: getattr(rows, name) for name in ("data", "indices", "indptr")}

    def changed(**changes):
        matrix = rows.copy()
        for name, change in changes.items():
            setattr(matrix, name, change(arrays[name]))
        return matrix

    def read_only(array):
        array = array.copy()
        array.flags.writeable = False
        return array

    def unaligned(array):
        memory = np.zeros(array.nbytes + 1, np.uint8)
        memory[1:] = np.frombuffer(array.tobytes(), np.uint8)
        return memory[1:].view(array.dtype)

    def spread(array):
        return np.repeat(array, 2)[::2]

    every = {name: None for name in arrays}
    yield "int64 indices", changed(indices=lambda array: array.astype(np.int64), indptr=lambda a: a.astype(np.int64))
    yield "int64 beginnings", changed(indptr=lambda array: array.astype(np.int64))
    yield "small indices", changed(indices=lambda array: array.astype(np.uint8), indptr=lambda a: a.astype(np.uint16))
    yield "other byte order", changed(indices=lambda array: array.astype(">i4"), indptr=lambda a: a.astype(">i8"))
    yield "read-only", changed(**dict.fromkeys(every, read_only))
    yield "unaligned", changed(**dict.fromkeys(every, unaligned))
    yield "strided", changed(**dict.fromkeys(every, spread))
    yield (
        "room behind",
        changed(data=lambda a: np.append(a, a[:9]), indices=lambda a: np.append(a, [FAR] * 9).astype(np.int32)),
    )
    yield "subclass", Own(rows)
    yield "array", sparse.csr_array(rows)
    for kind in ("csc", "coo", "bsr", "dia", "lil", "dok"):
        yield kind, rows.asformat(kind)
        yield f"{kind} array", sparse.csr_array(rows).asformat(kind)


LEGAL = dict(legal_forms())


@pytest.mark.parametrize("name", LEGAL)
def test_legal_forms_give_the_same_bits(fitted, name):
    x = LEGAL[name].copy()
    plain = sparse.csr_matrix(DENSE.astype(np.float32))
    before = copy.deepcopy({word: vars(x)[word] for word in ("data", "indices", "indptr") if word in vars(x)})
    assert_same_bits(fitted.predict_proba(x), fitted.predict_proba(plain))
    models = [
        fastnn.MLPRegressor(hidden_layer_sizes=(5,), max_iter=3, random_state=0, early_stopping=stops, tol=0)
        for stops in (False, True)
    ]
    for model in models:
        with pytest.warns(match="Maximum iterations"):
            found = copy.deepcopy(model.fit(x, LABELS).coefs_)
        with pytest.warns(match="Maximum iterations"):
            assert_same_bits(found, model.fit(plain, LABELS).coefs_)
    for word, array in before.items():
        np.testing.assert_array_equal(vars(x)[word], array)
    if x.format == "csr":
        engine, _ = network()
        assert_same_bits(engine.predict(x), engine.predict(plain))


def test_empty_rows_and_columns():
    engine, _ = network()
    nothing = sparse.csr_matrix((4, 10), dtype=np.float32)
    np.testing.assert_array_equal(engine.predict(nothing), engine.predict(np.zeros((4, 10), np.float32)))
    assert engine.predict(sparse.csr_matrix((0, 10), dtype=np.float32)).shape == (0, 3)


def test_many_rows_in_parts(monkeypatch):
    """A prediction of many calls takes its rows from the same arrays."""
    engine, objective = network()
    rows = sparse.csr_matrix(np.tile(DENSE, (20, 1)).astype(np.float32))
    y = np.tile(LABELS, 20)[:, np.newaxis].astype(np.float32)
    expected = engine.predict(rows), engine.evaluate(objective, Samples(rows, y))
    monkeypatch.setattr("fastnn.engine.inference.SLICE_SECONDS", 1e-9)
    engine, objective = network()
    assert_same_bits([engine.predict(rows), engine.evaluate(objective, Samples(rows, y))], list(expected))
    assert_same_bits(engine.predict(rows), engine.predict(rows.toarray()))


class Spoiler:
    """Changes the indices of matrices in the midst of a fit, as another thread may."""

    def __init__(self, *matrices):
        self.matrices = matrices

    def __call__(self, *_):
        for matrix in self.matrices:
            matrix.indices[:] = FAR
            matrix.indptr[1:] = np.arange(1, matrix.indptr.size) * FAR


def spoiled_fit(spoils, **parameters):
    """Weights and losses of a fit, with another thread, or none, at its matrices."""
    x, held_out = (sparse.csr_matrix(DENSE.astype(np.float32)) for _ in range(2))
    spoil = Spoiler(x, held_out) if spoils else lambda *_: None
    judged = parameters.pop("judged", False)
    model = fastnn.MLPRegressor(
        hidden_layer_sizes=(5,), max_iter=6, random_state=0, dtype="auto", batch_size=20, tol=0,
        callbacks=[LambdaCallback(on_epoch_begin=spoil)], **parameters,
    )  # fmt: skip
    with pytest.warns(match="Maximum iterations"):
        model.fit(x, LABELS, validation_data=(held_out, LABELS) if judged else None)
    return [*model.coefs_, np.array(model.loss_curve_), np.array(model.validation_loss_curve_ or [])]


@pytest.mark.parametrize(
    "parameters",
    [{}, {"judged": True}, {"early_stopping": True}, {"early_stopping": True, "judged": True, "scoring": "loss"}],
    ids=lambda parameters: ", ".join(parameters) or "plain",
)
def test_indices_that_change_within_a_fit(parameters):
    """The fit goes on with those that it was given: its programs work on a copy."""
    assert_same_bits(spoiled_fit(False, **parameters), spoiled_fit(True, **parameters))


def test_rows_that_are_scored_anew_are_looked_at_anew():
    model = fastnn.MLPRegressor(early_stopping=True, dtype="auto")
    x, held_out = (sparse.csr_matrix(DENSE.astype(np.float32)) for _ in range(2))
    model.set_params(callbacks=[LambdaCallback(on_epoch_begin=Spoiler(held_out))])
    with pytest.raises(ValueError, match="is a damaged sparse matrix"):
        model.fit(x, LABELS, validation_data=(held_out, LABELS))


def test_predictions_of_odd_sparse_rows(fitted):
    """What the short way of single rows does not take goes scikit-learn's, to its errors."""
    plain = sparse.csr_matrix(DENSE)
    for value, message in ((np.nan, "Input X contains NaN"), (1e300, "too large for dtype")):
        x = plain.copy()
        x.data[7] = value
        with pytest.raises(ValueError, match=message):
            fitted.predict(x)
    with pytest.raises(ValueError, match="X has 9 features, but MLPClassifier is expecting 10"):
        fitted.predict(plain[:, :9])
    with pytest.raises(ValueError, match="0 sample"):
        fitted.predict(plain[:0])
    for dtype in (np.float32, np.float16, np.int8, bool, ">f8"):
        x = plain.copy()
        x.data = (8.0 * x.data).astype(dtype)
        assert_same_bits(fitted.predict_proba(x), fitted.predict_proba((8.0 * DENSE).astype(dtype)))


def test_read_only_rows_need_no_program_of_their_own():
    """As joblib's memory maps are."""
    engine, _ = network()
    x = sparse.csr_matrix(DENSE.astype(np.float32))
    expected = engine.predict(x)
    x.data.flags.writeable = False
    assert_same_bits(engine.predict(x), expected)
    (predictor,) = engine._predictors.values()
    assert len(predictor._programs) == 1
    assert len(predictor._program_for(SparseRows.of(x, "x")).signatures) == 1
