"""Compiled code touches nothing beside its buffers: each lies against a page that nobody may touch.

A read or write past an end kills the process, so the work is done in one of its own. Twice: with every buffer at the
end of its pages, and with every buffer at their beginning.
"""

import ctypes
import functools
import math
import mmap
import sys

import numpy as np
import pytest
from fastnn.kernels import codes
from fastnn.kernels.compiler import jit
from harness import folders_of

import fastnn
from fastnn import losses, optimizers
from fastnn.data.samples import Samples
from fastnn.engine import team
from fastnn.engine.engine import Engine
from fastnn.engine.run_options import RunOptions
from fastnn.layers import (
    Activation,
    AveragePooling2D,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    GlobalAveragePooling2D,
    GlobalMaxPooling2D,
    MaxPooling2D,
)
from fastnn.lowering.lower import lower
from fastnn.models import Sequential

PAGE = mmap.PAGESIZE
LIBC = ctypes.CDLL(None, use_errno=True)
NOTHING = 0
ALIGNED = 64  # of memory that fastnn allocates itself

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="mprotect of Linux")


class Guarded:
    """Copies of arrays in memory of their own between two forbidden pages."""

    def __init__(self, at_end):
        self.at_end = at_end
        self.regions, self.pairs = [], []

    def __call__(self, value):
        if isinstance(value, tuple):
            copies = map(self, value)
            return value._make(copies) if hasattr(value, "_make") else tuple(copies)
        if not isinstance(value, np.ndarray):
            return value
        size = max(1, -(-value.nbytes // PAGE)) * PAGE
        region = mmap.mmap(-1, size + 2 * PAGE)
        address = ctypes.addressof(ctypes.c_char.from_buffer(region))
        offset = PAGE + size - value.nbytes if self.at_end else PAGE
        if self.at_end and value.ctypes.data % ALIGNED == 0 and value.nbytes % ALIGNED == 0:
            assert (address + offset) % ALIGNED == 0
        copy = np.frombuffer(region, value.dtype, value.size, offset).reshape(value.shape)
        copy[...] = value
        for page in (address, address + PAGE + size):
            if LIBC.mprotect(ctypes.c_void_p(page), PAGE, NOTHING):
                raise OSError(ctypes.get_errno(), "mprotect")
        self.regions.append((region, address, size))
        self.pairs.append((value, copy))
        return copy

    def give_back(self):
        for original, copy in self.pairs:
            if original.flags.writeable:
                original[...] = copy
        for _, address, size in self.regions:
            for page in (address, address + PAGE + size):
                LIBC.mprotect(ctypes.c_void_p(page), PAGE, mmap.PROT_READ | mmap.PROT_WRITE)


class GuardedProgram:
    """A program that works on guarded copies of its arrays."""

    def __init__(self, program, at_end, allow):
        self.program, self.at_end, self.allow = program, at_end, allow

    def __getattr__(self, name):
        return getattr(self.program, name)

    @property
    def entry_point(self):
        return self.program.entry_point and self

    def __call__(self, *arguments):
        return self.call(self.program, *arguments)

    def call(self, function, *arguments):
        guard = Guarded(self.at_end)
        copies = guard(arguments)
        self.allow([copy for _, copy in guard.pairs])
        result = function(*copies)
        guard.give_back()
        return result

    def as_member(self, rank, size, sync, *arguments):
        """Run in a team, which has made ``sync``, on copies that are guarded already."""
        self.allow([sync], more=True)
        self.program(rank, size, sync, *arguments)


def guard_programs(at_end, allow=lambda arrays, more=False: None):
    """Let every program run on guarded copies of its arrays; returns how many calls there were.

    ``allow`` is told of the arrays of each call, and then of those (``more``) that it may use beside them.
    """
    calls, program, run_team = [0], jit.program, team.run_team

    def counted(arrays, more=False):
        calls[0] += not more
        allow(arrays, more)

    @functools.cache
    def guarded_program(*arguments, **options):
        return GuardedProgram(program(*arguments, **options), at_end, counted)

    def run_guarded_team(program, size, *arguments):
        if size == 1 or not isinstance(program, GuardedProgram):
            run_team(program, size, *arguments)
        else:  # one copy for all members
            program.call(functools.partial(run_team, program.as_member, size), *arguments)
        return size

    jit.program = guarded_program
    team.run_team = run_guarded_team
    team.run_watched_team = lambda program, size, seconds, *arguments: run_guarded_team(program, size, *arguments)
    return calls


def layers_of(activation, units):
    yield [Dense(units, activation), Dropout(0.3), Dense(1)]
    yield [Dense(units), Activation(activation), Dense(units + 3, use_bias=False)]


def exercise_thoroughly(at_end):
    return exercise(at_end, (1, 3, 16, 17, 33))


def exercise(at_end, widths=(3, 17), rows=(1, 2, 13, 97), dtypes=("float32", "float64"), **options):
    """All activations, losses and optimizers, at odd shapes, types and team sizes."""
    calls, number = guard_programs(at_end, **options), 0
    rng = np.random.default_rng(0)
    names = [name for name in codes.ACTIVATIONS if name != "step"]
    tables = [sorted(losses._TABLE), sorted(optimizers._TABLE)]
    for activation in names:
        for units in widths:
            for layers in layers_of(activation, units):
                number += 1
                n, inputs = rows[number % len(rows)], widths[(number * 7) % len(widths)]
                model = Sequential(layers, dtype=dtypes[number % len(dtypes)], threads=1 + number % 3)
                loss, optimizer = (table[number % len(table)] for table in tables)
                x = rng.normal(size=(n, inputs)).astype(np.uint8 if number % 5 == 0 else np.float32)
                model.build((None, inputs))
                outputs = model.output_shape[1]
                y = rng.integers(0, 2, (n, outputs)).astype(float)
                if loss.startswith("sparse"):
                    y = y[:, :1]
                try:
                    model.compile(optimizer, loss)
                    model.fit(x, y, epochs=2, batch_size=max(1, n // 2 + 1), verbose=0)
                    model.evaluate(x, y, verbose=0)
                except ValueError:  # a loss that does not fit the last layer
                    model.compile(optimizer, "mse")
                    model.fit(x, np.zeros((n, outputs)), epochs=2, batch_size=max(1, n // 2 + 1), verbose=0)
                model.predict(x)
    return calls[0]


def exercise_estimators(at_end, **options):
    """Dense and sparse rows, clipped gradients, all links of predictions, and the rows that the perceptron takes."""
    calls = guard_programs(at_end, **options)
    scipy_sparse = pytest.importorskip("scipy.sparse")
    x = np.random.default_rng(0).normal(size=(23, 7)) * (np.random.default_rng(1).random((23, 7)) < 0.4)
    for rows in (x, scipy_sparse.csr_array(x)):
        for model, labels in (
            (fastnn.MLPClassifier((5,), max_iter=3), 3),
            (fastnn.MLPClassifier((5,), max_iter=3), 2),
            (fastnn.MLPRegressor(hidden_layer_sizes=(5,), max_iter=3), 3),
            (fastnn.MLPRegressor("poisson", hidden_layer_sizes=(5,), max_iter=3), 3),
            (fastnn.MLPClassifier((35, 5), max_iter=3, batch_size=10, threads=2, clipnorm=0.1), 3),
        ):
            model.fit(rows, np.arange(23) % labels)
            for predict in ("predict", "predict_proba", "predict_log_proba"):
                if hasattr(model, predict):
                    getattr(model, predict)(rows)
    fastnn.Perceptron().fit(x, np.arange(23) % 2).predict(x)
    return calls[0]


def exercise_pictures(at_end, **options):
    """Convolutions with strides and dilations, pooling, activations, bytes, odd channels, one to three threads."""
    calls, number = guard_programs(at_end, **options), 0
    rng = np.random.default_rng(0)
    for filters in (1, 5, 17, 33):
        for kernel, strides, dilation in ((3, 1, 1), (1, 1, 1), (3, 2, 1), ((2, 3), 1, 2)):
            for padding in ("same", "valid"):
                number += 1
                channels, activation = (1, 3, 18)[number % 3], ("relu", "tanh", "linear", "gelu")[number % 4]
                layers = [
                    Conv2D(filters, kernel, strides, padding, dilation_rate=dilation, activation=activation),
                    (MaxPooling2D, AveragePooling2D)[number % 2](2 + number % 2, 2, "same"),
                    Dropout(0.2),
                    Conv2D(7, 2, padding="same", activation="relu", use_bias=number % 2 == 0),
                    (Flatten, GlobalAveragePooling2D, GlobalMaxPooling2D)[number % 3](),
                    Dense(3),
                ]
                model = Sequential(layers, dtype=("float32", "float64")[number % 2], threads=1 + number % 3)
                model.compile(("adam", optimizers.SGD(clipnorm=0.1))[number % 2], "mse")
                x = rng.integers(0, 255, (13, 9, 8, channels)).astype((np.uint8, np.float32)[number % 2])
                model.fit(x, rng.normal(size=(13, 3)), epochs=2, batch_size=5, verbose=0)
                model.evaluate(x, rng.normal(size=(13, 3)), verbose=0)
                model.predict(x)
    return calls[0]


ODD_LABELS = [math.nan, math.inf, -math.inf, -1.0, 0.5, 2.5, 1e30, -1e30, 2.0**31, 2.0**63, 17.0, 0.0]


def exercise_class_numbers(at_end, **options):
    """Labels that nobody has checked, as an array may be changed within a fit: nothing is looked up by them."""
    calls, number = guard_programs(at_end, **options), 0
    for kind in (losses.SparseCategoricalCrossentropy, losses.SparseCategoricalFocalCrossentropy):
        for activation in ("softmax", "linear", "sigmoid"):
            for outputs in (2, 3, 17, 40):
                number += 1
                loss = kind(from_logits=activation == "linear")
                dtype = np.dtype(("float32", "float64")[number % 2])
                plan = lower([Dense(5, "tanh"), Dense(outputs, activation)], 4, dtype.name)
                metric = "sparse_categorical_accuracy"
                engine, objective = Engine(plan, threads=1 + number % 2), plan.objective(loss, [metric])
                x, y = np.ones((97, 4), dtype), np.resize(ODD_LABELS, (97, 1)).astype(dtype)
                engine.reset_optimizer(optimizers.Adam())
                options = {"batch_size": (33, 97)[number % 2], "epochs": 2, "shuffle": True, "seed": 0}
                engine.train(objective, Samples(x, y), RunOptions(**options)).advance(3)
                engine.evaluate(objective, Samples(x, y))
    return calls[0]


CODE = """
    import sys, warnings
    warnings.simplefilter("ignore")
    sys.path[:0] = {tests!r}
    import test_guard_pages
    print(test_guard_pages.{work}({at_end}))
"""


@pytest.mark.parametrize("at_end", [True, False], ids=["end", "beginning"])
@pytest.mark.parametrize(
    "work",
    [
        "exercise",
        "exercise_class_numbers",
        pytest.param("exercise_pictures", marks=pytest.mark.slow),
        pytest.param("exercise_estimators", marks=pytest.mark.slow),
    ],
)
def test_nothing_beside_the_buffers_is_touched(run_python, work, at_end):
    calls = run_python(CODE.format(tests=folders_of(__file__), work=work, at_end=at_end))
    assert int(calls) >= (100 if work == "exercise" else 8)


@pytest.mark.slow
@pytest.mark.parametrize("at_end", [True, False], ids=["end", "beginning"])
def test_nothing_beside_the_buffers_is_touched_at_more_widths(run_python, at_end):
    calls = run_python(CODE.format(tests=folders_of(__file__), work="exercise_thoroughly", at_end=at_end))
    assert int(calls) > 300


def test_the_guard_works(run_python):
    """One element past the end ends the process."""
    code = CODE.format(tests=folders_of(__file__), work="trespass", at_end="True")
    with pytest.raises(AssertionError):
        run_python(code)
    assert run_python(CODE.format(tests=folders_of(__file__), work="trespass", at_end="False")).strip() == "7"


def trespass_case(rank, size, sync, x, y):
    """A program that reads one element too many."""
    total = x[0]
    for i in range(x.size + 1):
        total += x[i]
    y[0] = total


def trespass(at_end, **options):
    guard_programs(at_end, **options)
    y = np.zeros(1)
    team.run_team(jit.program(trespass_case, np.dtype("float64")), 1, np.zeros(64), y)
    return 7
