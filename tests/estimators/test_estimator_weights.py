"""Weights that users assign, in estimators and models: new networks, refusals, and the one door to the programs."""

import copy
import pickle

import numpy as np
import pytest
from scipy.special import expit

import fastnn
from fastnn.data.samples import Samples
from fastnn.engine.engine import Engine
from fastnn.engine.run_options import RunOptions
from fastnn.layers import Activation, BatchNormalization, Dense
from fastnn.lowering.lower import lower

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 4))
TARGETS = {
    "binary": (X[:, 0] > 0).astype(int),
    "multiclass": np.arange(40) % 3,
    "multilabel": (X[:, :3] > 0).astype(int),
    "regression": X @ [1.0, 2.0, 0.5, -1.0],
    "multioutput": X[:, :2],
}


def pair(kind, sizes=(6, 5), dtype="float32", **settings):
    """Our fitted estimator, and scikit-learn's with the same weights."""
    ours = getattr(fastnn, "MLPRegressor" if kind in ("regression", "multioutput") else "MLPClassifier")(
        hidden_layer_sizes=sizes, max_iter=3, random_state=0, dtype=dtype, **settings
    )
    return ours.fit(X, TARGETS[kind]), ours.to_sklearn()


def assign(models, coefs, intercepts, layers=True):
    for model in models:
        model.coefs_, model.intercepts_ = ([np.array(a) for a in arrays] for arrays in (coefs, intercepts))
        if layers:
            model.n_layers_ = len(coefs) + 1


def assert_same_predictions(ours, theirs):
    for name in ("predict", "predict_proba"):
        if hasattr(ours, name):
            mine, other = (getattr(model, name)(X) for model in (ours, theirs))
            assert mine.dtype == other.dtype
            np.testing.assert_allclose(mine, other, rtol=1e-4, atol=1e-5)


def pruned(c, b, left):
    return [c[0][:, :left], c[1][:left], c[2]], [b[0][:left], b[1], b[2]]


def widened(c, b):
    kernel, bias = np.random.default_rng(0).normal(size=(4, 9)), np.linspace(-1, 1, 9)
    return [np.hstack([c[0], kernel]), np.vstack([c[1], np.ones((9, 5))]), c[2]], [np.append(b[0], bias), b[1], b[2]]


NETWORKS = {
    "pruned to one": lambda c, b: pruned(c, b, 1),
    "pruned to three": lambda c, b: pruned(c, b, 3),
    "widened": widened,
    "a layer more": lambda c, b: ([c[0], np.eye(6) * 0.5, *c[1:]], [b[0], np.ones(6), *b[1:]]),
    "a layer less": lambda c, b: ([c[0] @ c[1], c[2]], [b[1], b[2]]),
    "no hidden layer": lambda c, b: ([c[0] @ c[1] @ c[2]], [b[2]]),
}


@pytest.mark.parametrize("layers", [True, False], ids=["n_layers_ too", "lists alone"])
@pytest.mark.parametrize("change", NETWORKS)
@pytest.mark.parametrize("kind", TARGETS)
def test_shapes_that_fit_each_other_make_a_new_network(kind, change, layers):
    ours, theirs = pair(kind)
    coefs, intercepts = NETWORKS[change](ours.coefs_, ours.intercepts_)
    assign([ours], coefs, intercepts, layers)
    assign([theirs], coefs, intercepts)
    for model in (ours, pickle.loads(pickle.dumps(ours)), copy.deepcopy(ours)):
        assert_same_predictions(model, theirs)
        assert model.n_layers_ == len(coefs) + 1
        assert [coef.shape for coef in model.coefs_] == [coef.shape for coef in coefs]
    ours.set_params(hidden_layer_sizes=[coef.shape[1] for coef in coefs[:-1]]).partial_fit(X, TARGETS[kind])
    assert [coef.shape for coef in ours.coefs_] == [coef.shape for coef in coefs]
    assert (ours.coefs_[-1] != coefs[-1]).any()
    assert np.isfinite(ours.predict(X)).all()


@pytest.mark.parametrize("batch_size", ["auto", 10])
@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_fits_go_on_from_weights_that_were_assigned(solver, batch_size):
    ours, theirs = pair("regression", (6,), dtype="float64", solver=solver, batch_size=batch_size)
    coefs = [coef[:, :3] if layer == 0 else coef[:3] for layer, coef in enumerate(ours.coefs_)]
    assign((ours, theirs), coefs, [ours.intercepts_[0][:3], ours.intercepts_[1]])
    single, _ = pair("regression", (6,), solver=solver, batch_size=batch_size)
    assign([single], coefs, [ours.intercepts_[0], ours.intercepts_[1]])
    for model in (ours, theirs, single):
        model.set_params(warm_start=True, hidden_layer_sizes=(3,), random_state=1).fit(X, TARGETS["regression"])
    for mine, other, rough in zip(ours.coefs_, theirs.coefs_, single.coefs_, strict=True):
        assert mine.dtype == other.dtype == rough.dtype
        np.testing.assert_allclose(mine, other, rtol=1e-6)
        if solver == "lbfgs" or batch_size == "auto":  # else the orders of the rows are others
            np.testing.assert_allclose(rough, other, rtol=1e-2, atol=1e-3)


def test_a_partial_fit_of_another_network_begins_with_moments_of_zero():
    ours, _ = pair("regression", (6,), batch_size=10)
    ours.partial_fit(X, TARGETS["regression"])
    assert ours._get_engine().step > 4
    assign([ours.set_params(hidden_layer_sizes=())], [np.ones((4, 1))], [np.zeros(1)])
    stored = pickle.loads(pickle.dumps(ours))
    for model in (ours, stored):
        model.partial_fit(X, TARGETS["regression"])
        assert model._get_engine().step == 4
    np.testing.assert_array_equal(ours.coefs_[0], stored.coefs_[0])


def unaligned(array):
    """A copy whose elements lie beside the places that the CPU likes."""
    return np.frombuffer(b"x" + array.tobytes(), np.uint8)[1:].view(array.dtype).reshape(array.shape)


CONTAINERS = {
    "float64": lambda a: a,
    "float32": lambda a: a.astype(np.float32),
    "float16": lambda a: a.astype(np.float16),
    "longdouble": lambda a: a.astype(np.longdouble),
    "big-endian": lambda a: a.astype(">f8"),
    "int64": lambda a: (4 * a).astype(np.int64),
    "int8": lambda a: (4 * a).astype(np.int8),
    "bool": lambda a: a > 0,
    "Fortran": np.asfortranarray,
    "list": lambda a: a.tolist(),
    "stripes": lambda a: np.repeat(a, 2, axis=-1)[..., ::2],
    "reversed": lambda a: a[::-1].copy()[::-1],
    "broadcast": lambda a: np.broadcast_to(a.ravel()[:1], a.shape),
    "unaligned": lambda a: unaligned(a),
    "object": lambda a: a.astype(object),
}


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("kind", ["binary", "multiclass", "regression"])
def test_any_kind_of_array(kind, container):
    for dtype in ("float32", "float64", "auto"):
        ours, theirs = pair(kind, dtype=dtype)
        wrap = CONTAINERS[container]
        coefs, intercepts = ([wrap(a) for a in arrays] for arrays in (ours.coefs_, ours.intercepts_))
        ours.coefs_, ours.intercepts_ = coefs, intercepts
        assign([theirs], *([np.asarray(a, np.float64) for a in arrays] for arrays in (coefs, intercepts)))
        np.testing.assert_allclose(ours.predict(X), theirs.predict(X), rtol=1e-4, atol=1e-4)
        assert all(isinstance(coef, np.ndarray) for coef in ours.coefs_)
        again = ours.predict(X[:1])
        if hasattr(coefs[0], "flags") and coefs[0].flags.writeable:
            coefs[0][...] = 0  # is the user's, the model has its own
        np.testing.assert_array_equal(ours.predict(X[:1]), again)


def test_the_case_that_gave_garbage():
    model = fastnn.MLPClassifier((), max_iter=1).fit(X[:, :1], TARGETS["binary"])
    model.coefs_, model.intercepts_ = [np.array([[20.0]])], [np.zeros(1)]
    np.testing.assert_allclose(model.predict_proba(X[:, :1])[:, 1], expit(20 * X[:, 0]), rtol=1e-4)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda m: m.coefs_.__setitem__(1, np.ones((1, 1))), r"coefs_\[1\] has the shape \(1, 1\).*\(6, n\)"),
        (lambda m: m.coefs_.__setitem__(0, np.ones((3, 6))), r"coefs_\[0\] has the shape \(3, 6\).*\(4, n\)"),
        (lambda m: m.coefs_.__setitem__(2, np.ones((5, 2))), r"coefs_\[2\] has the shape \(5, 2\).*\(5, 3\)"),
        (lambda m: m.coefs_.__setitem__(2, np.ones(5)), r"coefs_\[2\] has the shape \(5,\).*\(5, 3\)"),
        (lambda m: m.coefs_.__setitem__(0, np.ones((4, 0))), r"coefs_\[0\] has the shape \(4, 0\)"),
        (lambda m: m.coefs_.__setitem__(0, np.float64(3)), r"coefs_\[0\] has the shape \(\)"),
        (lambda m: m.intercepts_.__setitem__(1, np.ones(1)), r"intercepts_\[1\] has the shape \(1,\).*\(5,\)"),
        (lambda m: m.intercepts_.__setitem__(1, np.ones((1, 5))), r"intercepts_\[1\] has the shape \(1, 5\).*\(5,\)"),
        (lambda m: setattr(m, "coefs_", m.coefs_[:2]), "coefs_ holds 2 arrays and intercepts_ 3"),
        (lambda m: setattr(m, "intercepts_", []), "coefs_ holds 3 arrays and intercepts_ 0"),
        (lambda m: (setattr(m, "intercepts_", []), setattr(m, "coefs_", [])), "coefs_ holds 0 arrays"),
        (lambda m: setattr(m, "coefs_", None), "coefs_ must be a list of arrays; got NoneType"),
        (lambda m: setattr(m, "intercepts_", 3.0), "intercepts_ must be a list of arrays; got float"),
        (lambda m: setattr(m, "normalizations_", [()] * 2), "normalizations_ holds 2 tuples"),
        (lambda m: setattr(m, "n_layers_", 3), "n_layers_ is 3, but coefs_ holds 3 arrays"),
        (lambda m: m.coefs_.__setitem__(0, np.ones((4, 6), complex)), r"coefs_\[0\] holds complex numbers"),
        (lambda m: m.coefs_.__setitem__(0, [["a"] * 6] * 4), r"coefs_\[0\] holds strings"),
        (lambda m: m.coefs_.__setitem__(0, None), r"coefs_\[0\] is missing"),
        (lambda m: m.coefs_.__setitem__(0, np.full((4, 6), 1e300)), r"coefs_\[0\] holds numbers.*dtype='float64'"),
    ],
)  # fmt: skip
def test_shapes_that_do_not_fit_are_refused(change, words):
    model, _ = pair("multiclass")
    change(model)
    for call in (
        lambda: model.predict(X),
        lambda: model.predict_proba(X),
        lambda: model.partial_fit(X, TARGETS["multiclass"]),
        lambda: pickle.loads(pickle.dumps(model)).predict(X) if "n_layers_ is" not in words else model.predict(X),
    ):
        with pytest.raises((ValueError, TypeError), match=words):
            call()
    model.fit(X, TARGETS["multiclass"])  # from new weights
    assert model.predict(X).shape == (40,)


@pytest.mark.parametrize("normalization", ["layer", "batch"])
def test_normalizations_are_checked_too(normalization):
    model = fastnn.MLPRegressor(hidden_layer_sizes=(6, 5), max_iter=3, normalization=normalization, random_state=0)
    model.fit(X, TARGETS["regression"])
    before = model.predict(X)
    count = len(model.normalizations_[0])
    model.normalizations_ = [[array.tolist() for array in arrays] for arrays in model.normalizations_]
    np.testing.assert_array_equal(model.predict(X), before)
    assert isinstance(model.normalizations_[0], tuple)
    kept = model.normalizations_
    for change, words in (
        ([kept[0]], "normalizations_ holds 1 tuples"),
        ([kept[0], kept[1][:-1]], rf"normalizations_\[1\] holds {count - 1} arrays, expected {count}"),
        ([kept[0], (np.ones(1), *kept[1][1:])], r"normalizations_\[1\]\[0\] has the shape \(1,\)"),
    ):
        model.normalizations_ = change
        with pytest.raises(ValueError, match=words):
            model.predict(X)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("kind", TARGETS)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_numbers_that_are_not_finite(kind, value):
    for layer in range(3):
        ours, theirs = pair(kind)
        coefs = [coef.copy() for coef in ours.coefs_]
        coefs[layer][0, 0] = value
        assign((ours, theirs), coefs, ours.intercepts_)
        np.testing.assert_allclose(ours.predict(X), theirs.predict(X), rtol=1e-4, atol=1e-5)
        if hasattr(ours, "predict_proba"):
            np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), rtol=1e-4, atol=1e-5)


def model_of(*layers):
    model = fastnn.Sequential([fastnn.layers.Input((4,)), *layers])
    model.compile("sgd", "mse")
    return model


@pytest.mark.parametrize("fitted", [False, True])
def test_models_and_layers_broadcast_nothing(fitted):
    model = model_of(Dense(3), BatchNormalization(), Dense(1))
    if fitted:
        model.fit(X, TARGETS["regression"], epochs=1, verbose=0)
    for holder in (model, *model.layers):
        before = holder.get_weights()
        for place, weight in enumerate(before):
            for wrong in (np.ones(()), np.ones((1,) * weight.ndim) if weight.size > 1 else np.ones(2), weight[None]):
                with pytest.raises(ValueError, match="shape"):
                    holder.set_weights([*before[:place], wrong, *before[place + 1 :]])
            with pytest.raises(TypeError, match="complex"):
                holder.set_weights([*before[:place], weight + 1j, *before[place + 1 :]])
        with pytest.raises(ValueError, match="expected"):
            holder.set_weights(before[:-1])
        for array, kept in zip(holder.get_weights(), before, strict=True):
            np.testing.assert_array_equal(array, kept)


class Setter(fastnn.callbacks.Callback):
    def __init__(self, change):
        super().__init__()
        self.change = change

    def on_epoch_end(self, epoch, logs=None):
        self.model.set_weights(self.change(self.model.get_weights()))


@pytest.mark.parametrize("batch_size", ["auto", 10])
def test_callbacks_of_estimators_broadcast_nothing(batch_size):
    def fit(change):
        settings = {"hidden_layer_sizes": (3,), "max_iter": 2, "batch_size": batch_size}
        model = fastnn.MLPRegressor(**settings, callbacks=[Setter(change)])
        return model.fit(X, TARGETS["regression"])

    np.testing.assert_array_equal(fit(lambda ws: [np.asfortranarray(0 * w) for w in ws]).coefs_[0], 0.0)
    for change, words in (
        (lambda ws: [ws[0], ws[1][:1], *ws[2:]], r"intercepts_\[0\] has the shape \(3,\); got .* shape \(1,\)"),
        (lambda ws: [ws[0], ws[1], ws[2].T, ws[3]], r"coefs_\[1\] has the shape \(3, 1\); got .* shape \(1, 3\)"),
        (lambda ws: ws[:-1], "expected 4 weight arrays"),
    ):
        with pytest.raises(ValueError, match=words):
            fit(change)


# --- the door to the programs ---------------------------------------------------------------------------------------


def random_array(rng, shape):
    """An array of this shape, or nearly, of a random type and order, and whether a program may take it."""
    shape = list(shape)
    if rng.random() < 0.3:
        place = rng.integers(len(shape))
        change = rng.choice(["more", "less", "one", "drop", "add"])
        if change == "drop":
            del shape[place]
        elif change == "add":
            shape.insert(place, 1)
        else:
            shape[place] = {"more": shape[place] + 1, "less": shape[place] - 1, "one": 1}[change]
    array = rng.normal(size=shape).astype(rng.choice(["f4", "f4", "f4", "f8", "i4", ">f4", "f2"]))
    way = rng.integers(5)
    if way == 1:
        array = np.asfortranarray(array)
    elif way == 2 and array.ndim:
        array = np.repeat(array, 2, axis=-1)[..., ::2]
    elif way == 3:
        array = unaligned(array)
    elif way == 4:
        array.flags.writeable = False
    return array


def test_the_door_takes_what_fits_and_refuses_the_rest():
    """No program gets an array of another type, shape or order than it was made for, whatever stands before it."""
    rng, taken = np.random.default_rng(1), 0
    engine = Engine(lower([Dense(7, "relu"), Dense(2), Activation("linear")], 4))
    objective, shapes = squared_error(engine), [(4, 7), (7,), (7, 2), (2,)]
    kernels = [rng.normal(size=shape).astype("f4") for shape in shapes]
    for _ in range(1500):
        given = [random_array(rng, shape) if rng.random() < 0.3 else kernels[i] for i, shape in enumerate(shapes)]
        given = given[: rng.integers(3, 5)] if rng.random() < 0.1 else given
        if [weight.shape for weight in given] != shapes:
            with pytest.raises(ValueError, match="shapes"):
                engine.set_weights(given)
            given = kernels
        engine.set_weights(given)
        rows = int(rng.integers(1, 120))
        x, y = random_array(rng, (rows, 4)), random_array(rng, (rows, 2))
        calls = [
            lambda x=x: engine.predict(x),
            lambda x=x, y=y: engine.evaluate(objective, Samples(x, y)),
            lambda x=x, y=y: run_of(engine, objective, x, y),
        ]
        a, b, c, d = (np.asarray(weight, np.float32).astype(np.float64) for weight in given)
        for index, call in enumerate(calls):
            fits = x.shape == (rows, 4) and x.dtype == np.float32
            if index:
                fits = fits and y.shape == (rows, 2) and y.dtype == np.float32
            if x.shape[1:] == (4,) and x.dtype == np.float32 and x.ndim == 2 and x.shape[0] != rows and not index:
                fits = True  # other rows are rows
            if not fits:
                same = index and x.shape == (y.shape[0], 4) and y.shape[1:] == (2,) and y.ndim == 2
                if not (same and x.dtype == y.dtype == np.float32):
                    with pytest.raises((ValueError, TypeError), match="must (be of|have the shape)"):
                        call()
                    continue
            outputs = np.maximum(x.astype(np.float64) @ a + b, 0) @ c + d
            found, taken = call(), taken + 1
            if index == 0:
                np.testing.assert_allclose(found, outputs, rtol=1e-4, atol=1e-4)
            else:
                np.testing.assert_allclose(found[0], np.mean((outputs - y) ** 2), rtol=1e-4)
    assert taken > 500


def squared_error(engine):
    return engine.plan.objective(fastnn.losses.MeanSquaredError())


def run_of(engine, objective, x, y, weights=None, **options):
    """Loss of one step on all rows, by a twin, so that the weights stay."""
    twin = engine.twin(engine.plan)
    twin.reset_optimizer(fastnn.optimizers.SGD(0.1))
    run = twin.train(objective, Samples(x, y, weights), RunOptions(batch_size=x.shape[0], **options))
    run.advance(1)
    return run.logs(0)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("weights", np.ones(3, "f4")),
        ("weights", np.ones(10)),
        ("order", np.arange(9)),
        ("order", np.arange(10, dtype="i4")),
        ("order", np.full(10, 10)),
        ("order", np.arange(10) - 1),
    ],
)
def test_weights_and_orders_of_rows(name, value):
    engine = Engine(lower([Dense(1)], 4))
    x, y = np.ones((10, 4), "f4"), np.ones((10, 1), "f4")
    with pytest.raises((ValueError, TypeError), match=f"{name} must"):
        run_of(engine, squared_error(engine), x, y, **{name: value})


def test_runs_without_rows_or_batches():
    engine = Engine(lower([Dense(1)], 4))
    for rows, batch_size in ((0, 5), (10, 0), (10, -3)):
        x, y = np.ones((rows, 4), "f4"), np.ones((rows, 1), "f4")
        options = {"batch_size": batch_size, "epochs": 1, "shuffle": False, "seed": 0}
        with pytest.raises(ValueError, match="one row at least, and a batch_size >= 1"):
            engine.train(squared_error(engine), Samples(x, y), RunOptions(**options))


def test_a_subclass_that_shows_another_shape_than_it_has():
    class Taller(np.ndarray):
        shape = property(lambda self: (10**7, 4))

    engine = Engine(lower([Dense(1)], 4))
    assert engine.predict(np.ones((3, 4), "f4").view(Taller)).shape == (3, 1)


def test_states_and_flat_parameters():
    engine = Engine(lower([Dense(3)], 4))
    engine.reset_optimizer(fastnn.optimizers.Adam())
    state = engine.get_state()
    for wrong in (
        {**state, "counters": np.ones(1)},
        {**state, "moments": [[np.ones((4, 1)), np.ones(3)]] * 2},
        {**state, "moments": [[np.ones((4, 3)), np.ones(1)]] * 2},
    ):
        with pytest.raises(ValueError, match="shape"):
            engine.set_state(wrong)
    for counters in ([np.nan, 1, 1], [-1, 1, 1], [1e300, 1, 1], [1, np.inf, 1], [2.5, 1, 1]):
        with pytest.raises(ValueError, match="counters of an optimizer must be a whole number of steps"):
            engine.set_state({**state, "counters": np.array(counters)})
    for params in (np.ones(1), np.ones((1, engine.plan.n_parameters)), np.ones(engine.plan.memory_size + 1)):
        with pytest.raises(ValueError, match="params must have the shape"):
            engine.set_params(params)


def test_unaligned_rows_of_users():
    y, single = TARGETS["regression"], X.astype("f4")
    rows = unaligned(single)
    model, estimator = model_of(Dense(3), Dense(1)), fastnn.MLPRegressor(max_iter=2, batch_size=10)
    for fitted in (model.fit(rows, y, epochs=1, verbose=0) and model, estimator.fit(rows, y)):
        np.testing.assert_array_equal(fitted.predict(rows), fitted.predict(single))
        np.testing.assert_array_equal(fitted.predict(rows[:1]), fitted.predict(single[:1]))
    model.evaluate(rows, y, verbose=0)
