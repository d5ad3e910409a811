"""Matrix products of dense layers on a GPU: a block of threads computes one tile of the result.

All threads of a block bring tiles of both operands into shared memory, four numbers at a time, as ``[term of the
sum][line]``; while they work on one pair of tiles, they load the next into registers. A line is a row of the left
operand or a column of the right one. What lies beyond an operand's edge counts as zero and is never used, so any shape
will do. Every element is one sum in order of its terms (in mixed precision: of groups of terms).

A ``Method`` says how threads share the products of a tile: ``numbers_method`` gives each a square of multiply-adds,
``tensor_cores.tensor_way`` gives each group of 32 to the tensor cores.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..element_types import NUMBER
from .jit import at, cuda
from .vector_access import load4, store4


@dataclass(frozen=True)
class Method:
    """How a block of threads computes a tile.

    Attributes
    ----------
    rows, columns, depth : of the tile: lines of both operands, and terms of the sum at a time
    threads : in the block
    numbers : elements of the tile that one thread holds
    group : neighbors in a row among them
    accumulate : (left, right, sums, thread), adds the products of two tiles in shared memory to a thread's sums
    row_of, column_of : (thread, number), where in the tile a thread's number stands
    put : (target, offset, sums, number), stores a group from ``number`` on
    padding : elements between one term's lines and the next's in shared memory
    dtypes : element types that it can do
    """

    rows: int
    columns: int
    depth: int
    threads: int
    numbers: int
    group: int
    accumulate: Callable
    row_of: Callable
    column_of: Callable
    put: Callable
    padding: int
    dtypes: tuple[str, ...]

    @property
    def name(self) -> str:
        """Tells the method from others in names of kernels."""
        return f"{self.accumulate.__name__}_{self.rows}x{self.columns}"


def staging(lines: int, depth: int, threads: int, term_stride: int, along: bool) -> tuple[Callable, Callable]:
    """How threads bring a tile of an operand into shared memory, whose terms are ``term_stride`` elements apart.

    The rows of an operand that is ``along`` are lines, so that neighbors in memory are terms of one sum; the rows of
    another are terms.

    Returns
    -------
    load : (x, stride, first, count, ones, term, terms, held, thread), from memory to a thread's registers ``held``;
        of ``count`` lines from ``first``, of ``terms`` terms from ``term``. Line number ``ones`` of an operand that is
        not along, if it is not among the ``count``, consists of ones.
    store : (tile, held, thread), from there to shared memory
    """
    each = lines * depth // (4 * threads)
    pieces = depth // 4 if along else lines // 4

    def load_along(x, stride, first, count, ones, term, terms, held, thread):
        for i in range(each):
            piece = thread + i * threads
            line, k = first + piece // pieces, term + piece % pieces * 4
            a, b, c, d = 0.0, 0.0, 0.0, 0.0
            if line < count and k < terms:
                a, b, c, d = load4(x, line * stride + k)
            held[4 * i] = a
            held[4 * i + 1] = b if k + 1 < terms else 0.0
            held[4 * i + 2] = c if k + 2 < terms else 0.0
            held[4 * i + 3] = d if k + 3 < terms else 0.0

    def store_along(tile, held, thread):
        for i in range(each):
            piece = thread + i * threads
            offset = piece % pieces * 4 * term_stride + piece // pieces
            for j in range(4):
                tile[offset + j * term_stride] = held[4 * i + j]

    def load_across(x, stride, first, count, ones, term, terms, held, thread):
        for i in range(each):
            piece = thread + i * threads
            line, k = first + piece % pieces * 4, term + piece // pieces
            a, b, c, d = 0.0, 0.0, 0.0, 0.0
            if line < count and k < terms:
                a, b, c, d = load4(x, k * stride + line)
            one = 1.0 if k < terms else 0.0
            held[4 * i] = a if line < count else one if line == ones else 0.0
            held[4 * i + 1] = b if line + 1 < count else one if line + 1 == ones else 0.0
            held[4 * i + 2] = c if line + 2 < count else one if line + 2 == ones else 0.0
            held[4 * i + 3] = d if line + 3 < count else one if line + 3 == ones else 0.0

    def store_across(tile, held, thread):
        for i in range(each):
            piece = thread + i * threads
            offset = piece // pieces * term_stride + piece % pieces * 4
            store4(tile, offset, held[4 * i], held[4 * i + 1], held[4 * i + 2], held[4 * i + 3])

    return (load_along, store_along) if along else (load_across, store_across)


def numbers_method(
    rows: int, columns: int, depth: int, each_rows: int, each_columns: int, dtypes: tuple[str, ...]
) -> Method:
    """Method of ordinary multiply-adds: every thread has ``each_rows`` x ``each_columns`` elements, in squares of 4."""
    across, down = columns // each_columns, rows // each_rows
    padding = 4
    left_stride, right_stride = rows + padding, columns + padding

    def multiply_add(left, right, sums, thread):
        up, over = thread // across * 4, thread % across * 4
        a = cuda.local.array(each_rows, NUMBER)
        b = cuda.local.array(each_columns, NUMBER)
        for k in range(depth):
            for i in range(0, each_rows, 4):
                a[i], a[i + 1], a[i + 2], a[i + 3] = load4(left, k * left_stride + up + i * down)
            for j in range(0, each_columns, 4):
                b[j], b[j + 1], b[j + 2], b[j + 3] = load4(right, k * right_stride + over + j * across)
            for i in range(each_rows):
                for j in range(each_columns):
                    sums[i * each_columns + j] += a[i] * b[j]

    def row_of(thread, number):
        i = number // each_columns
        return thread // across * 4 + i % 4 + i // 4 * 4 * down

    def column_of(thread, number):
        j = number % each_columns
        return thread % across * 4 + j % 4 + j // 4 * 4 * across

    def put(target, offset, sums, number):
        store4(target, offset, sums[number], sums[number + 1], sums[number + 2], sums[number + 3])

    return Method(
        rows, columns, depth, across * down, each_rows * each_columns, 4, multiply_add, row_of, column_of, put, padding,
        dtypes,
    )  # fmt: skip


def tile_product(method: Method, left_along: bool, right_along: bool) -> Callable:
    """Device function that computes a tile of a product of operands that are ``along`` or not, see ``staging``."""
    left_stride, right_stride = method.rows + method.padding, method.columns + method.padding
    load_left, store_left = staging(method.rows, method.depth, method.threads, left_stride, left_along)
    load_right, store_right = staging(method.columns, method.depth, method.threads, right_stride, right_along)
    depth, accumulate = method.depth, method.accumulate
    left_tile, right_tile = depth * left_stride, depth * right_stride
    left_size, right_size = 2 * left_tile, 2 * right_tile
    left_held, right_held = method.rows * depth // method.threads, method.columns * depth // method.threads

    def product_tile(sums, x, x_stride, first_row, rows, ones, y, y_stride, first_column, columns, begin, end, thread):
        """Add terms ``begin`` .. ``end`` - 1 of x @ y to a thread's sums of a tile, from its first row and column on.

        x has ``rows`` lines, y has ``columns``; line ``ones`` of x, see ``staging``, or -1. All threads must call it.
        """
        left = cuda.shared.array(left_size, NUMBER)
        right = cuda.shared.array(right_size, NUMBER)
        a = cuda.local.array(left_held, NUMBER)
        b = cuda.local.array(right_held, NUMBER)
        load_left(x, x_stride, first_row, rows, ones, begin, end, a, thread)
        load_right(y, y_stride, first_column, columns, -1, begin, end, b, thread)
        store_left(left, a, thread)
        store_right(right, b, thread)
        cuda.syncthreads()
        side = 0
        for term in range(begin + depth, end + depth, depth):
            if term < end:
                load_left(x, x_stride, first_row, rows, ones, term, end, a, thread)
                load_right(y, y_stride, first_column, columns, -1, term, end, b, thread)
            accumulate(at(left, side * left_tile), at(right, side * right_tile), sums, thread)
            side = 1 - side
            if term < end:
                store_left(at(left, side * left_tile), a, thread)
                store_right(at(right, side * right_tile), b, thread)
            cuda.syncthreads()

    return product_tile
