"""The last link of predictions, from a network's raw outputs to what is handed out, in float64 whatever it computes in.

Probabilities near 0 and 1 and the logarithms of small ones are those of float64 then.
"""

from __future__ import annotations

import math

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .. import codes
from ..element_types import LANES
from ..formulas.activations import softplus
from ..formulas.elementary import log, select, sigmoid
from ..llvm.instructions import I32, I64, at
from ..llvm.vector_loops import Traced, row_sum, traceable, vector_loop
from ..llvm.vectors import Vectors, for_range
from ..operations.activations import largest_of, map_exponential, map_sigmoid, shifted_exp

ELEMENT_TYPE = np.dtype(np.float64)  # of these kernels, whatever that of the program


def same(x):
    """x."""
    return x


def shifted(x, shift):
    """x - shift."""
    return x - shift


def complement(out, p):
    """1 - p, written to ``out``."""
    return 1.0 - p


def log_sigmoid(z):
    """Logarithm of sigmoid(z): of its very value where that has all digits, so that equal ones stay equal."""
    return select(z > 0.0, log(sigmoid(z)), -softplus(-z))


def log_complement(out, z):
    """Logarithm of 1 - sigmoid(z) by the same method, written to ``out``."""
    return select(z > 0.0, -softplus(z), log(1.0 - sigmoid(z)))


sum_row, shift_vectors = row_sum(same, 1, 0), vector_loop(shifted, 1, 1, 1)
complements, log_complements = vector_loop(complement, 1, 2, 0), vector_loop(log_complement, 1, 2, 0)
map_log_sigmoid = vector_loop(log_sigmoid, 1, 1, 0)


@intrinsic
def convert_row(typingctx, count, target, source):
    """target = source for ``count`` elements, the target of float64, the source of any float type."""

    def codegen(context, builder, signature, arguments):
        wide, narrow = (Vectors(context, builder, pointer.dtype) for pointer in (target, source))
        narrow.lanes, narrow.type = wide.lanes, ir.VectorType(narrow.element, wide.lanes)  # as many as one of float64
        count, target_pointer, source_pointer = arguments

        def widened(value):
            return value if target.dtype == source.dtype else builder.fpext(value, wide.type)

        whole = builder.sdiv(count, I64(wide.lanes))
        with for_range(builder, whole) as index:
            start = builder.mul(index, I64(wide.lanes))
            wide.store(widened(narrow.load(source_pointer, start)), target_pointer, start)
        start = builder.mul(whole, I64(wide.lanes))
        mask = wide.first(builder.sub(count, start))
        with builder.if_then(builder.icmp_signed("<", start, count)):
            value = narrow.masked_load(narrow.pointer(source_pointer, start), mask, narrow.bytes)
            wide.masked_store(widened(value), target_pointer, start, mask)
        return context.get_dummy_value()

    return types.void(types.intp, target, source), codegen


@intrinsic
def softmax_row(typingctx, count, target, spare, source):
    """Write the softmax of ``count`` numbers of any float type to a target of float64; spare holds whole vectors."""

    def codegen(context, builder, signature, arguments):
        wide, narrow = (Vectors(context, builder, pointer.dtype) for pointer in (target, source))
        narrow.lanes, narrow.type = wide.lanes, ir.VectorType(narrow.element, wide.lanes)
        count, target_pointer, spare_pointer, source_pointer = arguments
        vectors = builder.sdiv(builder.add(count, I64(wide.lanes - 1)), I64(wide.lanes))
        formula = traceable(shifted_exp, np.dtype(np.float64))
        least = wide.splat(-math.inf)
        largest, total = (cgutils.alloca_once_value(builder, start) for start in (least, wide.zero))

        def larger(value, other):
            return builder.select(builder.fcmp_ordered(">", value, other), value, other)

        def load(index):
            start = builder.mul(index, I64(wide.lanes))
            mask = wide.first(builder.sub(count, start))
            value = narrow.masked_load(narrow.pointer(source_pointer, start), mask, narrow.bytes)
            return start, mask, value if target.dtype == source.dtype else builder.fpext(value, wide.type)

        with for_range(builder, vectors) as index:
            _, mask, value = load(index)
            builder.store(larger(builder.select(mask, value, least), builder.load(largest)), largest)
        top, step = builder.load(largest), wide.lanes
        while step > 1:
            step //= 2
            top = larger(wide.shuffle(top, top, [(lane + step) % wide.lanes for lane in range(wide.lanes)]), top)
        with for_range(builder, vectors) as index:
            start, mask, value = load(index)
            exponential = formula(Traced(wide, value), Traced(wide, top)).value
            wide.store(exponential, spare_pointer, start)
            exponential = builder.select(mask, exponential, wide.zero)
            builder.store(builder.fadd(builder.load(total), exponential), total)
        sum_of_all = builder.extract_element(wide.sums([builder.load(total)]), I32(0))
        factor = wide.broadcast(builder.fdiv(ir.Constant(wide.element, 1.0), sum_of_all))
        with for_range(builder, vectors) as index:
            start = builder.mul(index, I64(wide.lanes))
            mask = wide.first(builder.sub(count, start))
            value = builder.fmul(wide.load(spare_pointer, start), factor)
            wide.masked_store(value, target_pointer, start, mask)
        return context.get_dummy_value()

    return types.void(types.intp, target, target, source), codegen


@intrinsic
def store_pairs(typingctx, count, target, first, second):
    """target[2 * i], target[2 * i + 1] = first[i], second[i] for ``count`` whole vectors."""

    def codegen(context, builder, signature, arguments):
        vectors = Vectors(context, builder, target.dtype)
        lanes = vectors.lanes
        count, target_pointer, *sources = arguments
        order = [lane for i in range(lanes) for lane in (i, lanes + i)]
        with for_range(builder, count) as index:
            start = builder.mul(index, I64(lanes))
            values = [vectors.load(source, start) for source in sources]
            for half in range(2):
                chosen = ir.Constant(ir.VectorType(I32, lanes), order[half * lanes : (half + 1) * lanes])
                offset = builder.add(builder.mul(start, I64(2)), I64(half * lanes))
                vectors.store(builder.shuffle_vector(*values, chosen), target_pointer, offset)
        return context.get_dummy_value()

    return types.void(types.intp, target, target, target), codegen


def finish_pairs(logarithms, z, count, outputs):
    """Write the probabilities of both classes, or their logarithms, of ``count`` logits z, with room for as many."""
    vectors = (count + LANES - 1) // LANES
    other = at(z, vectors * LANES)
    if logarithms:
        log_complements(1, 0, vectors, other, z)
        map_log_sigmoid(1, 0, vectors, z)
    else:
        map_sigmoid(1, 0, vectors, z)
        complements(1, 0, vectors, other, z)
    store_pairs(count // LANES, outputs, other, z)
    for i in range(count // LANES * LANES, count):
        outputs[2 * i], outputs[2 * i + 1] = other[i], z[i]


def finish_row(link, z, count, outputs):
    """Write what a link makes of ``count`` raw outputs z, which change: of a row, or a column if it is elementwise."""
    vectors = (count + LANES - 1) // LANES
    if link == codes.LOGISTIC:
        map_sigmoid(1, 0, vectors, z)
    elif link == codes.LOG_LOGISTIC:
        map_log_sigmoid(1, 0, vectors, z)
    elif link == codes.EXP_LINK:
        map_exponential(1, 0, vectors, z)
    elif link == codes.LOG_SOFTMAX:
        shift_vectors(1, 0, vectors, z, largest_of(z, count))
        exponentials = at(z, vectors * LANES)
        convert_row(count, exponentials, z)
        map_exponential(1, 0, vectors, exponentials)
        shift_vectors(1, 0, vectors, z, log(sum_row(count, exponentials)))
    convert_row(count, outputs, z)


def finish_rows(link, raw, stride, first, rows, columns, outputs, spare):
    """Write rows ``first`` .. first + rows - 1 of ``outputs``.

    raw : their raw outputs, of any float type, ``stride`` elements from one row to the next
    outputs : (n, columns), or (n, 2) of a pair
    spare : room for twice as many vectors as hold a row, and a column
    """
    if link == codes.SOFTMAX_LINK:
        for r in range(rows):
            softmax_row(columns, at(outputs, (first + r) * columns), spare, at(raw, r * stride))
        return
    if columns > 1:
        for r in range(rows):
            convert_row(columns, spare, at(raw, r * stride))
            finish_row(link, spare, columns, at(outputs, (first + r) * columns))
        return
    if stride == 1:
        convert_row(rows, spare, raw)
    else:
        for r in range(rows):
            spare[r] = raw[r * stride]
    if link == codes.LOGISTIC_PAIR or link == codes.LOG_LOGISTIC_PAIR:
        finish_pairs(link == codes.LOG_LOGISTIC_PAIR, spare, rows, at(outputs, 2 * first))
    else:
        finish_row(link, spare, rows, at(outputs, first))


def finish_all(link, raw, outputs, spare):
    """``finish_rows`` for arrays: raw (n, C); spare has room for twice as many vectors as hold a row."""
    n, columns = raw.shape
    for first in range(n):
        finish_rows(link, at(raw, first * columns), columns, first, 1, columns, at(outputs, 0), at(spare, 0))
