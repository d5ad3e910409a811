"""Loops that apply the scalar formulas to whole vectors.

The formulas of ``formulas/`` are plain Python, so they can be run on ``Traced`` values, whose operators emit
instructions instead of computing. Every element then goes through the same instructions
wherever it stands in a vector, which no auto-vectorizer promises, and buffers may alias.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from ..element_types import specialized
from ..formulas import elementary
from .instructions import I32, I64
from .vectors import Vectors, for_range

FLAGS = ("nsz",)
PARTIAL_SUMS = 4  # additions computed at once; one waits for the one before it
FIRST_POINTER = 3  # argument of a vector loop, after rows, stride and vectors


@dataclass(frozen=True)
class Loop:
    """What a loop over vectors does, for those who write it otherwise: the arguments of the function named.

    ``parameters`` are columns of the table of a loss's parameters.
    """

    kind: str
    formula: Callable
    outputs: int
    pointers: int
    scalars: int
    fixed: int
    parameters: tuple[int, ...] = ()


def described_intrinsic(definition: Callable, loop: Loop) -> Any:
    """Make an intrinsic that says which loop it is."""
    made = intrinsic(definition)
    made.loop = loop
    return made


class Traced:
    """A vector in the code under construction; arithmetic on it emits instructions.

    A sum with a product is one fused multiply-add. It is so by what the formula says, not by what the compiler finds
    beside each other in one program or another, so that all programs compute the same bits.
    """

    def __init__(self, vectors, value, factors=None):
        self.vectors = vectors
        self.value = value
        self.factors = factors  # whose product it is, if it is one

    def _traced(self, other):
        return other if isinstance(other, Traced) else Traced(self.vectors, self.vectors.splat(other))

    def _operand(self, other):
        return other.value if isinstance(other, Traced) else self.vectors.splat(other)

    def _binary(self, operation, left, right):
        return Traced(self.vectors, getattr(self.vectors.builder, operation)(left, right, flags=FLAGS))

    def _fused(self, factors, addend):
        return Traced(self.vectors, self.vectors.fma(*factors, addend))

    def __add__(self, other):
        if self.factors:
            return self._fused(self.factors, self._operand(other))
        if getattr(other, "factors", None):
            return self._fused(other.factors, self.value)
        return self._binary("fadd", self.value, self._operand(other))

    def __sub__(self, other):
        if getattr(other, "factors", None) or self.factors:
            return self + -self._traced(other)
        return self._binary("fsub", self.value, self._operand(other))

    def __rsub__(self, other):
        return self._traced(other) - self

    def __mul__(self, other):
        factors = self.value, self._operand(other)
        return Traced(self.vectors, self.vectors.builder.fmul(*factors, flags=FLAGS), factors)

    def __truediv__(self, other):
        return self._binary("fdiv", self.value, self._operand(other))

    def __rtruediv__(self, other):
        return self._binary("fdiv", self._operand(other), self.value)

    def __neg__(self):
        negated = self.vectors.builder.fneg
        factors = (negated(self.factors[0]), self.factors[1]) if self.factors else None
        return Traced(self.vectors, negated(self.value), factors)

    __radd__ = __add__
    __rmul__ = __mul__

    def _compare(self, operation, other):
        return Traced(self.vectors, self.vectors.builder.fcmp_ordered(operation, self.value, self._operand(other)))

    def __lt__(self, other):
        return self._compare("<", other)

    def __le__(self, other):
        return self._compare("<=", other)

    def __gt__(self, other):
        return self._compare(">", other)

    def __ge__(self, other):
        return self._compare(">=", other)

    def __eq__(self, other):
        return self._compare("==", other)

    __hash__ = None  # type: ignore[assignment]


def pow2(n):
    """Vector twin of ``scalar.pow2``."""
    kind, mantissa_bits, bias = n.vectors.bits()
    builder = n.vectors.builder
    exponent = builder.add(builder.fptosi(n.value, kind), kind(bias))
    return Traced(n.vectors, builder.bitcast(builder.shl(exponent, kind(mantissa_bits)), n.vectors.type))


def _split(x):
    """Bit pattern of x and its exponent relative to sqrt(1/2)."""
    kind, mantissa_bits, _ = x.vectors.bits()
    builder = x.vectors.builder
    root_half = 0x3F3504F3 if mantissa_bits == 23 else 0x3FE6A09E667F3BCD
    pattern = builder.bitcast(x.value, kind)
    return pattern, builder.ashr(builder.sub(pattern, _integers(kind, root_half)), _integers(kind, mantissa_bits))


def _integers(kind, number):
    return ir.Constant(kind, [number] * kind.count)


def exponent(x):
    """Vector twin of ``scalar.exponent``."""
    return Traced(x.vectors, x.vectors.builder.sitofp(_split(x)[1], x.vectors.type))


def mantissa(x):
    """Vector twin of ``scalar.mantissa``."""
    kind, mantissa_bits, _ = x.vectors.bits()
    builder = x.vectors.builder
    pattern, power = _split(x)
    pattern = builder.sub(pattern, builder.shl(power, _integers(kind, mantissa_bits)))
    return Traced(x.vectors, builder.bitcast(pattern, x.vectors.type))


def sqrt(x):
    """Vector twin of ``scalar.sqrt``."""
    return Traced(x.vectors, x.vectors.call("sqrt", x.value))


def floor(x):
    """Vector twin of ``scalar.floor``."""
    return Traced(x.vectors, x.vectors.call("floor", x.value))


def absolute(x):
    """Vector twin of ``scalar.absolute``."""
    return Traced(x.vectors, x.vectors.call("fabs", x.value))


def select(condition, x, y):
    """Vector twin of ``scalar.select``."""
    chosen = condition.vectors.builder.select(condition.value, condition._operand(x), condition._operand(y))
    return Traced(condition.vectors, chosen)


@functools.cache
def traceable(function, dtype):
    """``function`` for ``Traced`` arguments of element type ``dtype``."""
    if function.__name__ in elementary.PRIMITIVES:
        return globals()[function.__name__]
    if function.__name__ in elementary.BY_PRECISION:
        function = elementary.BY_PRECISION[function.__name__][dtype.itemsize == 8]
    return specialized(function, dtype, lambda kernel: traceable(kernel, dtype))


def vector_loop(formula, outputs, pointers, scalars, fixed=0):
    """An intrinsic that applies ``formula`` to the vectors of a region of rows.

    Its arguments are ``rows``, ``stride`` (elements from one row to the next), ``vectors`` (in a row), then
    ``pointers`` pointers of one element type and ``scalars`` numbers of that type. ``formula`` gets the vectors behind
    all pointers, then the numbers; what it returns (a tuple if ``outputs`` is above 1) goes to where the first
    ``outputs`` pointers point. The last ``fixed`` pointers stand for the same vectors in every row.
    """
    moving = pointers - fixed

    def build(context, builder, signature, arguments):
        element = signature.args[FIRST_POINTER].dtype
        vectors = Vectors(context, builder, element)
        function = traceable(formula, np.dtype(element.name))
        rows, stride, count = arguments[:FIRST_POINTER]
        bases = arguments[FIRST_POINTER : FIRST_POINTER + pointers]
        numbers = [Traced(vectors, vectors.broadcast(number)) for number in arguments[FIRST_POINTER + pointers :]]
        with for_range(builder, rows) as r:
            start = builder.mul(r, stride)
            with for_range(builder, count) as index:
                column = builder.mul(index, I64(vectors.lanes))
                offset = builder.add(start, column)
                offsets = [offset] * moving + [column] * fixed
                values = [Traced(vectors, vectors.load(*each)) for each in zip(bases, offsets, strict=True)]
                results = function(*values, *numbers)
                for result, base in zip((results,) if outputs == 1 else results, bases[:outputs], strict=True):
                    vectors.store(result.value, base, offset)
        return context.get_dummy_value()

    return described_intrinsic(
        _with_arity(build, pointers, scalars), Loop("vector_loop", formula, outputs, pointers, scalars, fixed)
    )


def _totals(vectors, count, terms, sums):
    """``sums`` vectors: the sums of the tuples terms(0) .. terms(count - 1), through ``PARTIAL_SUMS`` of each."""
    builder = vectors.builder
    partial = [[cgutils.alloca_once(builder, vectors.type) for _ in range(sums)] for _ in range(PARTIAL_SUMS)]
    for total in (total for totals in partial for total in totals):
        builder.store(vectors.zero, total)

    def plus(value, other):
        return builder.fadd(value, other, flags=FLAGS)

    def add(index, totals):
        for total, term in zip(totals, terms(index), strict=True):
            builder.store(plus(builder.load(total), term), total)

    groups = builder.sdiv(count, I64(PARTIAL_SUMS))
    grouped = builder.mul(groups, I64(PARTIAL_SUMS))
    with for_range(builder, groups) as group:
        for i, totals in enumerate(partial):
            add(builder.add(builder.mul(group, I64(PARTIAL_SUMS)), I64(i)), totals)
    with for_range(builder, builder.sub(count, grouped)) as index:
        add(builder.add(grouped, index), partial[0])
    return [functools.reduce(plus, map(builder.load, totals)) for totals in zip(*partial, strict=True)]


def column_sums(formula, sums, pointers, fixed=0):
    """An intrinsic that adds up ``formula`` over the rows of a region, in every column.

    Its arguments are those of a ``vector_loop`` of ``formula``, but that the results, ``sums`` vectors for every vector
    of a row, go to where the first ``sums`` pointers point; they are not read.
    """

    def build(context, builder, signature, arguments):
        element = signature.args[FIRST_POINTER].dtype
        vectors = Vectors(context, builder, element)
        function = traceable(formula, np.dtype(element.name))
        rows, stride, count = arguments[:FIRST_POINTER]
        targets, sources = arguments[FIRST_POINTER : FIRST_POINTER + sums], arguments[FIRST_POINTER + sums :]
        with for_range(builder, count) as index:
            column = builder.mul(index, I64(vectors.lanes))

            def terms(r):
                offset = builder.add(builder.mul(r, stride), column)
                offsets = [offset] * (pointers - fixed) + [column] * fixed
                values = [Traced(vectors, vectors.load(*each)) for each in zip(sources, offsets, strict=True)]
                results = function(*values)
                return [result.value for result in ((results,) if sums == 1 else results)]

            for total, target in zip(_totals(vectors, rows, terms, sums), targets, strict=True):
                vectors.store(total, target, column)
        return context.get_dummy_value()

    return described_intrinsic(
        _with_arity(build, sums + pointers, 0), Loop("column_sums", formula, sums, pointers, 0, fixed)
    )


def row_sum(formula, pointers, scalars):
    """An intrinsic that gives the sum of ``formula`` over the first ``count`` >= 1 elements behind its pointers.

    Its arguments are ``count``, ``pointers`` pointers of one element type to memory of whole vectors and ``scalars``
    numbers of that type.
    """

    def build(context, builder, signature, arguments):
        element = signature.args[1].dtype
        vectors = Vectors(context, builder, element)
        function = traceable(formula, np.dtype(element.name))
        count, bases = arguments[0], arguments[1 : 1 + pointers]
        numbers = [Traced(vectors, vectors.broadcast(number)) for number in arguments[1 + pointers :]]

        def terms(index):
            offset = builder.mul(index, I64(vectors.lanes))
            return [function(*(Traced(vectors, vectors.load(base, offset)) for base in bases), *numbers).value]

        whole = builder.sdiv(builder.sub(count, I64(1)), I64(vectors.lanes))  # one vector remains, full or not
        (total,) = _totals(vectors, whole, terms, 1)
        there = vectors.first(builder.sub(count, builder.mul(whole, I64(vectors.lanes))))
        last = builder.select(there, terms(whole)[0], vectors.zero)
        total = vectors.sums([builder.fadd(total, last, flags=FLAGS)])
        return builder.extract_element(total, I32(0))

    def typed(element):
        return element(types.intp, *[types.CPointer(element)] * pointers, *[element] * scalars), build

    definitions = {
        (1, 0): lambda typingctx, count, a: typed(a.dtype),
        (1, 1): lambda typingctx, count, a, s: typed(a.dtype),
        (2, 0): lambda typingctx, count, a, b: typed(a.dtype),
        (3, 0): lambda typingctx, count, a, b, c: typed(a.dtype),
    }
    return described_intrinsic(definitions[pointers, scalars], Loop("row_sum", formula, 1, pointers, scalars, 0))


def _with_arity(build, pointers, scalars):
    """Numba reads an intrinsic's number of arguments from its definition: one definition for each number in use."""

    def typed(base):
        element = base.dtype
        arguments = [types.intp] * FIRST_POINTER + [types.CPointer(element)] * pointers + [element] * scalars
        return types.void(*arguments), build

    definitions = {
        (1, 0): lambda typingctx, rows, stride, count, a: typed(a),
        (1, 1): lambda typingctx, rows, stride, count, a, s: typed(a),
        (2, 0): lambda typingctx, rows, stride, count, a, b: typed(a),
        (2, 1): lambda typingctx, rows, stride, count, a, b, s: typed(a),
        (2, 2): lambda typingctx, rows, stride, count, a, b, s, t: typed(a),
        (3, 0): lambda typingctx, rows, stride, count, a, b, c: typed(a),
        (3, 1): lambda typingctx, rows, stride, count, a, b, c, s: typed(a),
        (3, 2): lambda typingctx, rows, stride, count, a, b, c, s, t: typed(a),
        (3, 3): lambda typingctx, rows, stride, count, a, b, c, s, t, u: typed(a),
        (3, 4): lambda typingctx, rows, stride, count, a, b, c, s, t, u, v: typed(a),
        (4, 0): lambda typingctx, rows, stride, count, a, b, c, d: typed(a),
        (4, 5): lambda typingctx, rows, stride, count, a, b, c, d, s, t, u, v, w: typed(a),
        (4, 6): lambda typingctx, rows, stride, count, a, b, c, d, s, t, u, v, w, x: typed(a),
        (6, 1): lambda typingctx, rows, stride, count, a, b, c, d, e, f, s: typed(a),
    }
    return definitions[pointers, scalars]
