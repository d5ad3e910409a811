"""What is left of kernels when some arguments are known: it computes the same, with less code."""

import ast
import inspect
import itertools
from typing import Any, NamedTuple

import numpy as np
import pytest
from fastnn.kernels.compiler.partial_evaluation import Evaluator
from fastnn.kernels.compiler.partial_expressions import UNKNOWN, Expressions, Record, Table

WIDTH, FACTOR = 3, 0.5


class Behind:
    """A pointer, as kernels see one."""

    def __init__(self, values, start=0):
        self.values, self.start = values, start

    def __getitem__(self, place):
        return self.values[self.start + place]

    def __setitem__(self, place, value):
        self.values[self.start + place] = value


def at(base, offset):
    """Twin of ``intrinsics.at``."""
    return Behind(base.values, base.start + offset)


def folds(a, b, c):
    """Operators and comparisons."""
    d = (a + 2) * 3 - a // 2 + (a % 5) + (a << 2) - (a >> 1) + (a & 6) + (a | 1) + (a ^ 3) - -a
    e = max(a, b) + min(a, 4) + abs(-a) + int(a == 3)
    return d + e + c * WIDTH, (1 if a > b else 2) + (3 if b is None else 4), not a, a != b and c > 0


def branches(a, b, c):
    """Decided and undecided tests, one within the other."""
    kind = 0
    if a > 2 and c > 1:
        kind = 1
        if b:
            kind = 5
    elif a > 2 or c > 100:
        kind = 2
    else:
        kind, c = 3, c + 1
    if c < 0:
        return -1, -1
    if kind == 1 or a == 0:
        c += kind
    return kind, c


def loops(a, b, c):
    """Loops that are unrolled, and ones that are not; names that change in them."""
    total, steps = 0, 0
    for i in range(a):
        if i == b:
            continue
        total += i * c
        steps += 1
    for j in range(c):
        if j > a:
            break
        total, steps = total + j, 2
        for k in range(2):
            if k == 1 and j == 1:
                break
            total += k
    while steps < a:
        steps += 1
        total += steps
    while total % 7 != 3:
        total += 1
        if total > 1000:
            break
    return total, steps


def early(a, b, c):
    """Returns and loop ends that only the run decides."""
    last = 7
    for i in range(a):
        if c == i:
            break
        last = i
    for _ in range(3):
        if last == c:
            return last, -1
        last += 1
    flag = 0
    for i in range(c):
        flag = 1
        if i == b:
            flag = 2
            continue
        if i == 3:
            break
    return last, flag


def over_tuples(a, b, c):
    """Loops over tuples of tuples."""
    total = 0
    for weight, value in ((2, a), (b, c), (c, 5)):
        if value == 4:
            continue
        total += weight * value
    for value in (a, b, c):
        if value == c:
            break
        total += value
    for value in (total, a):
        total += value
    return total


def exchanges(a, b, c):
    """Several names at once."""
    a, b = b, a
    x, y, z = a, c, b
    x, y = y, x
    c, z = z + 1, c
    if c > 2:
        a, b = 1, 2
    else:
        b = c
    return a, b, c, x, y, z


def inner(rank, size, count):
    """A share; known in full if there is one member."""
    if size == 1:
        return 0, count
    return rank * count // size, (rank + 1) * count // size


def nothing(a, b):
    """Does something for more than one only."""
    if a > 1:
        b[0] += a


def helper(a, unused, values):
    """Called with known and unknown arguments."""
    total = a
    for i in range(a):
        total += values[i]
    return total


def calls(a, b, c, values):
    """Calls of other kernels."""
    first, last = inner(0, 1, c)
    begin, end = inner(b, a, c)
    nothing(1, values)
    nothing(a, values)
    return first, last, begin, end, helper(a, c, values) + helper(2, a, at(values, 1)), float(a) * FACTOR


def walk(run, ops, count, flag, out):
    """Rows of a table, some columns of which are known."""
    if flag is not None and ops is not None:
        out[0] += 1
    for index in range(count):
        row = at(ops, index * WIDTH)
        if row[0] == 4:
            break
        if row[0] == 1:
            continue
        out[index] += row[1] * run[0] + row[2]
    behind = ops
    for _ in range(run[1]):
        behind = at(behind, WIDTH)
    return behind[1], ops.shape[0] if flag is None else count


def array(values, shape):
    """A table as programs get it."""
    pointer = Behind(values)
    pointer.shape = shape
    return pointer


class Pair(NamedTuple):
    """What travels together."""

    size: Any
    ops: Any


class Nest(NamedTuple):
    """A record in a record."""

    pair: Any
    offset: Any


def pointers(record):
    """Twin of ``instructions.pointers``: arrays are pointers here."""
    return record


def rows_of(pair, out, count):
    """Rows of a table in a record, of which the size and the table may be known."""
    for index in range(pair.size):
        row = at(pair.ops, index * WIDTH)
        if row[0] == 4:
            break
        out[index] += row[1] * count
    if pair is None or pair.ops is None:
        out[0] = -1
    return pair.size, at(pair.ops, 2)[0]


def size_of(pair):
    """Called with records of the same known numbers, and of other types."""
    return pair.size


def chosen_record(pair, flag, out):
    """Records that are made, taken apart, handed on and told from each other by what only the run knows."""
    again = Pair(pair.size, at(pair.ops, WIDTH))
    nest = Nest(again, flag)
    other = Pair(2, pair.ops) if flag else Pair(2, again.ops)
    same = nest.pair
    if flag:
        same = Pair(1, pair.ops)
    rest = rows_of(other, out, flag), rows_of(Pair(1, nest.pair.ops), out, 3), rows_of(same, out, 1)
    return rest, size_of(Pair(1, flag)), size_of(Pair(True, flag)), nest.offset


def from_entry(record, features, out):
    """An entry, which makes pointers of its record."""
    pair = pointers(record)
    if pointers(features) is not None:
        out[0] += 9
    return rows_of(pair, out, 7), chosen_record(pair, 1, out)


KERNELS = (inner, nothing, helper, rows_of, size_of, chosen_record)


def left_of(function, values):
    """The kernel that is left, as a function of all the parameters."""
    evaluator = Evaluator(lambda kernel: kernel if kernel in KERNELS else None, lambda value: UNKNOWN)
    return evaluator.residual(function, values, entry=True).function


@pytest.mark.parametrize("function", [folds, branches, loops, early, over_tuples, exchanges])
@pytest.mark.parametrize("knows", list(itertools.product([True, False], repeat=3)), ids=str)
def test_it_computes_the_same(function, knows):
    for arguments in itertools.product([0, 1, 3, 4, 9], [0, 2, 3], [0, 1, 4, 6]):
        values = tuple(value if known else UNKNOWN for value, known in zip(arguments, knows, strict=True))
        assert left_of(function, values)(*arguments) == function(*arguments)


@pytest.mark.parametrize("knows", list(itertools.product([True, False], repeat=3)), ids=str)
def test_calls(knows):
    for arguments in itertools.product([1, 2, 3], [0, 1], [5, 8]):
        values = tuple(value if known else UNKNOWN for value, known in zip(arguments, knows, strict=True))
        here, there = Behind([1, 2, 3, 4]), Behind([1, 2, 3, 4])
        assert left_of(calls, (*values, UNKNOWN))(*arguments, here) == calls(*arguments, there)
        assert here.values == there.values


@pytest.mark.parametrize("count", [0, 1, 2, 3, UNKNOWN])
@pytest.mark.parametrize("flag", [None, 1, UNKNOWN])
def test_tables(count, flag):
    rows, run = [2, 5, 6, 1, 7, 8, 4, 9, 9], [10, 1]
    known = (Table((UNKNOWN, 1), (2,)), Table(tuple(rows), (3, WIDTH)), count, flag, UNKNOWN)
    left = left_of(walk, known)
    for length in (0, 1, 2, 3) if count is UNKNOWN else (count,):
        for given in (None, 1) if flag is UNKNOWN else (flag,):
            here, there = [0, 0, 0], [0, 0, 0]
            arguments = array(run, (2,)), array(rows, (3, WIDTH)), length, given
            assert left(*arguments, here) == walk(*arguments, there)
            assert here == there


RECORD_ROWS = (2, 5, 6, 1, 7, 8, 4, 9, 9, 3, 3, 3)


@pytest.mark.parametrize("knows", list(itertools.product([True, False], repeat=2)), ids=str)
@pytest.mark.parametrize("features", [None, UNKNOWN])
def test_records(knows, features):
    for size in (1, 2, 3):
        table = Table(RECORD_ROWS, (4, WIDTH))
        values = (size if knows[0] else UNKNOWN, table if knows[1] else UNKNOWN)
        left = left_of(from_entry, (Record(Pair._fields, values), features, UNKNOWN))
        here, there = [0] * 4, [0] * 4
        record = Pair(size, Behind(list(RECORD_ROWS)))
        assert repr(left(record, None, here)) == repr(from_entry(record, None, there))
        assert here == there
        for flag in (0, 1):
            one = left_of(chosen_record, (Record(Pair._fields, values), flag, UNKNOWN))
            any_flag = left_of(chosen_record, (UNKNOWN, UNKNOWN, UNKNOWN))
            expected = repr(chosen_record(record, flag, there))
            assert [repr(one(record, flag, here)), repr(any_flag(record, flag, [*here]))] == [expected] * 2


def test_known_fields_decide():
    evaluator = Evaluator(lambda kernel: kernel if kernel in KERNELS else None, lambda value: UNKNOWN)
    known = Record(Pair._fields, (2, Table(RECORD_ROWS)))
    made = evaluator.residual(rows_of, (known, UNKNOWN, UNKNOWN)).function
    assert not set(made.__code__.co_names) & {"range", "size"}
    assert {5, 7} <= set(made.__code__.co_consts)
    long = Record(Pair._fields, (8, Table(RECORD_ROWS * 2)))  # more turns than of a loop that walks no table
    assert "range" not in evaluator.residual(rows_of, (long, UNKNOWN, UNKNOWN)).function.__code__.co_names
    assert evaluator.residual(rows_of, (Record(Pair._fields, (2, UNKNOWN)), UNKNOWN, 1)).kept == [True, True, False]


def test_a_record_of_unknown_fields_makes_no_kernel():
    evaluator = Evaluator(lambda kernel: kernel if kernel in KERNELS else None, lambda value: UNKNOWN)
    evaluator.residual(chosen_record, (UNKNOWN, UNKNOWN, UNKNOWN))
    made = [name for name, *_ in evaluator._made if name is rows_of]
    assert len(made) == 2  # Pair(2, ...) and Pair(1, ...), each with a table that only the run knows; not Nest's


def code_of(function):
    return set(function.__code__.co_names), function.__code__.co_consts


def test_what_is_decided_is_gone():
    names, _ = code_of(left_of(folds, (3, 2, UNKNOWN)))
    assert not names & {"max", "min", "WIDTH"}
    names, _ = code_of(left_of(calls, (1, 0, UNKNOWN, UNKNOWN)))
    assert not {name for name in names if name.startswith(("inner", "nothing"))}
    made = left_of(walk, (Table((UNKNOWN, 0), (2,)), Table((2, 5, 6, 4, 0, 0), (2, WIDTH)), 2, None, UNKNOWN))
    assert "range" not in made.__code__.co_names
    assert {5, 6} <= set(made.__code__.co_consts)


def test_a_kernel_is_rewritten_once_for_the_same_values():
    evaluator = Evaluator(lambda kernel: kernel, lambda value: UNKNOWN)
    one = evaluator.residual(inner, (0, 1, UNKNOWN))
    assert evaluator.residual(inner, (0, 1, UNKNOWN)) is one
    assert evaluator.residual(inner, (0, True, UNKNOWN)) is not one  # 1 and True have different types
    assert one.kept == [False, False, True]
    assert ast.unparse(one.result) == "(0, count)"
    assert list(inspect.signature(one.function).parameters) == ["count"]


def overflows(a, b):
    """Numbers that 64 bits do not hold, and a division by zero."""
    return (a * a + a, -a * a) if b != 0 else a // b


def test_arithmetic_is_that_of_programs():
    values = 2**40 + 3, 1
    expected = tuple(int(np.int64(np.uint64(value % 2**64))) for value in overflows(*values))
    assert left_of(overflows, values)(*values) == expected
    with pytest.raises(ZeroDivisionError):  # when it runs
        left_of(overflows, (5, 0))(5, 0)


def test_what_kernels_do_not_use_is_refused():
    with pytest.raises(TypeError, match="kernels have no ListComp"):
        Expressions().value(ast.parse("[x for x in y]", mode="eval").body)
