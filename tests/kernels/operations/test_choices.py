"""Kernels that choose by a code are built from tables, and are then kernels like any other."""

import doctest
import inspect
import linecache
from types import SimpleNamespace

import numpy as np
import pytest
from fastnn.kernels.compiler import jit
from fastnn.kernels.compiler.partial_evaluation import Evaluator
from fastnn.kernels.compiler.partial_expressions import UNKNOWN, Record, SourceMissing
from fastnn.kernels.element_types import LANES
from fastnn.kernels.formulas.activations import elu, relu
from fastnn.kernels.formulas.elementary import absolute, sigmoid
from fastnn.kernels.llvm.instructions import at  # noqa: F401 - in a source that is put together
from fastnn.kernels.llvm.vector_loops import vector_loop
from fastnn.kernels.operations import choices
from fastnn.kernels.operations.choices import Call, chosen

FACTOR, CODES = 0.1, range(-1, 7)


def negative(x):
    """Formula of a loop over vectors."""
    return -x


negate = vector_loop(negative, 1, 1, 0)


@chosen(
    {
        2: Call(relu, "x", "return"),
        3: Call(relu, "x", "return"),
        5: Call(elu, "x, FACTOR * alpha", "return"),
        4: Call(sigmoid, "x", "return"),
    },
    Call(absolute, "alpha - x", "return"),
)
def value(code, x, alpha):
    """Number for a code."""


def by_hand(code, x, alpha):
    """Written by hand."""
    if code == 2 or code == 3:
        return relu(x)
    elif code == 5:
        return elu(x, FACTOR * alpha)
    elif code == 4:
        return sigmoid(x)
    else:
        return absolute(alpha - x)


@chosen({0: None, 1: Call(negate, "1, 0, 1, at(y, place * LANES)"), 2: Call(abs, "FACTOR", "y[0] =")}, None)
def change(code, y, place):
    """Something done to an array."""


def test_the_source_is_the_chain_written_by_hand():
    written = inspect.getsource(value)
    for label, name in ((0, "relu"), (1, "elu"), (2, "sigmoid"), ("otherwise", "absolute")):
        written = written.replace(f"value_{label}(", f"{name}(")
    lines = inspect.getsource(by_hand).replace("def by_hand", "def value").splitlines()
    assert written.splitlines() == [line for line in lines if '"""' not in line]
    assert doctest.testmod(choices).failed == 0


def test_it_is_a_function_of_its_module():
    assert (value.__name__, value.__module__, value.__doc__) == ("value", __name__, "Number for a code.")
    assert list(inspect.signature(value).parameters) == ["code", "x", "alpha"]


def test_it_is_compiled_for_each_type(dtype):
    program, x, alpha = jit.program(value, dtype), dtype.type(-0.5), dtype.type(2.0)
    for code in CODES:
        assert program(code, x, alpha) == by_hand(code, x, alpha) == value(code, x, alpha)


def test_statements(dtype):
    program, lanes = jit.program(change, dtype), LANES.value_for(dtype)
    for code in (0, 7, 1, 2):
        y = np.arange(1.0, 1 + 2 * lanes).astype(dtype)
        program(code, y, 1)
        first, second = np.split(y, 2)
        assert first.tolist() == [dtype.type(FACTOR) if code == 2 else 1.0, *range(2, 1 + lanes)]
        assert np.sign(second).tolist() == [-1.0 if code == 1 else 1.0] * lanes


def left_of(function, code):
    evaluator = Evaluator(lambda kernel: None, lambda value: UNKNOWN)
    return evaluator.residual(function, (code, UNKNOWN, UNKNOWN), entry=True).function


@pytest.mark.parametrize("code", CODES)
def test_of_a_known_code_one_call_is_left(code):
    left = left_of(value, code)
    label = {2: 0, 3: 0, 5: 1, 4: 2}.get(code, "otherwise")
    assert set(left.__code__.co_names) - {"FACTOR"} == {f"value_{label}"}
    assert left(code, -0.5, 2.0) == by_hand(code, -0.5, 2.0)


def test_of_nothing_to_do_nothing_is_left():
    for code in (0, 7):
        evaluator = Evaluator(lambda kernel: None, lambda value: UNKNOWN)
        assert evaluator.residual(change, (code, UNKNOWN, UNKNOWN)).result.value is None


@chosen(
    {(1, "flag"): Call(max, "x, y", "return"), 1: Call(min, "x, y", "return"), (2, "flag"): None},
    otherwise=Call(abs, "y", "return"),
    by="record.code",
)
def conditional(record, flag, x, y):
    """Something for a code in a record, under conditions."""


def test_conditions_and_codes_in_records():
    found = {
        (code, flag): conditional(SimpleNamespace(code=code), flag, 3, -2) for code in (1, 2, 3) for flag in (0, 1)
    }
    assert found == {(1, 1): 3, (1, 0): -2, (2, 1): None, (2, 0): 2, (3, 0): 2, (3, 1): 2}
    evaluator = Evaluator(lambda kernel: None, lambda value: UNKNOWN)
    for code, names in ((1, {"conditional_0", "conditional_1"}), (3, {"conditional_otherwise"})):
        values = Record(("code",), (code,)), UNKNOWN, UNKNOWN, UNKNOWN
        left = evaluator.residual(conditional, values).function
        assert set(left.__code__.co_names) == names
        assert [left(None, flag, 3, -2) for flag in (0, 1)] == [found[code, flag] for flag in (0, 1)]


def test_a_kernel_keeps_its_source(monkeypatch):
    """`inspect` does not find it in every frozen program, nor once the lines that `linecache` keeps are forgotten."""
    monkeypatch.setattr(linecache, "cache", {})
    monkeypatch.setattr(inspect, "getsourcefile", lambda of: f"/frozen/{inspect.getfile(of)}")
    assert left_of(value, 2)(2, -0.5, 2.0) == by_hand(2, -0.5, 2.0)


def test_a_source_that_is_another_is_refused(monkeypatch):
    monkeypatch.setattr(value, "source", value.source.replace("code == 5", "code == 6"))
    with pytest.raises(SourceMissing, match="that of another version"):
        left_of(value, 2)
