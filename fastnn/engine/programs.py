"""What a plan hands to the compiled programs, and which of them it calls."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fastnn.engine.sparse_rows import SparseRows, is_sparse
from fastnn.kernels import codes
from fastnn.kernels.compiler import jit
from fastnn.kernels.compiler.partial_expressions import UNKNOWN, Record, Table
from fastnn.kernels.cpu import variants
from fastnn.kernels.host import cpu
from fastnn.kernels.records import Network
from fastnn.lowering.plan import Plan
from fastnn.lowering.workspace import writable

SLICE_SECONDS = 0.1  # longest compiled call, so that Ctrl-C is answered soon
FLOPS_PER_SECOND = 2e10  # cautious first guess of a core's speed, to size such calls
BYTES = np.dtype(np.uint8)  # pixels: read as they are and scaled on the way


def run_vector(
    loss: int,
    metrics: Sequence[int] = (),
    *,
    batch: int = 0,
    rows: int = 0,
    targets: int = 0,
    optimizer: int = 0,
    shuffle: bool = False,
    weighted: bool = False,
    seed: int = 0,
    first_epoch: int = 0,
    weighted_mean: bool = False,
    l2_per_row: bool = False,
    segments: int = 0,
    parameters: int = 0,
    in_lanes: bool = False,
    metrics_first: bool = False,
    link: int = codes.OWN_ACTIVATION,
) -> np.ndarray:
    """The integer vector that describes a run to the programs; columns in ``kernels/codes.py``."""
    values = {
        codes.BATCH: batch, codes.ROWS: rows, codes.TARGETS: targets, codes.LOSS: loss,
        codes.OPTIMIZER: optimizer, codes.SHUFFLE: shuffle, codes.WEIGHTED: weighted,
        codes.SEED_LOW: seed & 0xFFFFFFFF, codes.SEED_HIGH: seed >> 32, codes.FIRST_EPOCH: first_epoch,
        codes.WEIGHTED_MEAN: weighted_mean, codes.L2_PER_ROW: l2_per_row, codes.METRICS_COUNT: len(metrics),
        codes.SEGMENTS: segments, codes.PARAMETERS: parameters, codes.IN_LANES: in_lanes,
        codes.METRICS_FIRST: metrics_first,
        codes.LINK: link,
    }  # fmt: skip
    return np.array([*(values[column] for column in range(codes.METRICS_START)), *metrics], np.int64)


def compile_first(program: Any, team_arguments: tuple, arguments: tuple) -> Callable:
    """Compile a program before a team calls it, so that its members do not wait for the compiler at the barrier.

    Returns its entry point, a function for arguments of these types that does not look for their types again, which
    takes microseconds.
    """
    if program.entry_point is None:
        import numba

        program.compile(tuple(numba.typeof(argument) for argument in (*team_arguments, *arguments)))
    return program.entry_point


def flat_weights(weights: np.ndarray | None, dtype: np.dtype) -> np.ndarray:
    """Weights of rows (n,), or none of them, as programs take them."""
    return np.zeros(0, dtype) if weights is None else writable(weights)


def operand(name: str, array: Any, dtypes: Sequence[Any], shape: tuple[int | None, ...]) -> Any:
    """Return an array as programs take it: itself, or a copy if its elements do not lie one after the other, aligned.

    Programs look at no array's type, size or order: whatever is handed to one has come through here. Compressed sparse
    rows have their indices copied and checked; arrays on a GPU have only their type and shape checked.

    Raises
    ------
    TypeError
        If it is no array of one of these types.
    ValueError
        If it has another shape, in which None stands for any size, or an index of sparse rows is out of range.
    """
    if isinstance(array, np.ndarray):
        array = np.asarray(array)  # subclasses have other rules, and may have another shape to show
    if getattr(array, "dtype", None) not in dtypes:
        found = getattr(array, "dtype", type(array).__name__)
        raise TypeError(f"{name} must be of {' or '.join(str(np.dtype(dtype)) for dtype in dtypes)}; got {found}")
    found, fits = array.shape, len(array.shape) == len(shape)
    if not fits or any(wanted not in (None, size) for size, wanted in zip(found, shape, strict=True)):
        raise ValueError(f"{name} must have the shape {str(shape).replace('None', 'n')}; got {found}")
    if not isinstance(array, np.ndarray):
        return SparseRows.of(array, name) if getattr(array, "format", None) == "csr" else array
    if array.flags.c_contiguous and array.flags.aligned:
        return array
    return np.array(array, order="C", copy=True)


def operands(
    plan: Plan, x: Any, y: Any = None, weights: Any = None, target_width: int | None = None
) -> tuple[Any, Any, Any]:
    """Return rows x (n, inputs), their targets y (n, target_width) and weights (n,), if there are any, for programs."""
    x = operand("x", x, (plan.dtype, BYTES), (None, plan.n_inputs))
    if y is not None:
        y = operand("y", y, (plan.dtype,), (x.shape[0], target_width))
    if weights is not None:
        column = (1,) * (not isinstance(weights, np.ndarray) and len(weights.shape) == 2)  # on a GPU it may be one
        weights = operand("weights", weights, (plan.dtype,), (x.shape[0], *column))
    return x, y, weights


def check_order(order: np.ndarray, rows: int) -> None:
    """Check that an order of rows names rows that there are, which programs follow."""
    if rows and (order.min() < 0 or order.max() >= rows):
        raise ValueError(f"order must hold numbers of rows, from 0 to {rows - 1}; got {order.min()} to {order.max()}")


def counters_of(state: dict[str, Any]) -> np.ndarray:
    """Return the counters of a state from ``Engine.get_state``: ValueError if nothing could go on from them."""
    counters = operand("counters", np.asarray(state["counters"], np.float64), (np.float64,), (3,))
    if not ((counters >= 0) & (counters < 2**53)).all() or counters[0] % 1.0:
        raise ValueError(f"the counters of an optimizer must be a whole number of steps and powers; got {counters}")
    return counters


def input_program(function: Callable, plan: Plan, x: Any, clipped: bool = False, known: jit.Known = ()) -> Any:
    """The program of a plan for inputs like x: sparse rows, pixels, or rows of the plan's type."""
    variant = "_from_sparse" if is_sparse(x) else "_from_bytes" if x.dtype == BYTES else ""
    return variants.program(
        function, plan.dtype, variant, known, normalised=plan.is_normalised, clipped=clipped, mixed=plan.mixed
    )


def known_arguments(run: np.ndarray, ops: np.ndarray, sparse: bool, alone: bool) -> jit.Known:
    """What a program of training for one network and size of batch is made for; ``alone`` for one thread only."""
    free = {codes.ROWS, codes.SEED_LOW, codes.SEED_HIGH, codes.FIRST_EPOCH}
    described = tuple(UNKNOWN if place in free else int(value) for place, value in enumerate(run))
    fields = {"ops": Table(tuple(map(int, ops.ravel())), ops.shape), "count": len(ops)}
    network = Record(Network._fields, tuple(fields.get(name, UNKNOWN) for name in Network._fields))
    known = [("run", Table(described, run.shape)), ("network", network)]
    return (*known, *[("features", None)] * (not sparse), *[("rank", 0), ("size", 1)] * alone)


def shuffled(order: np.ndarray, epoch: int, seed: int, dtype: np.dtype) -> None:
    """Bring ``order``, int64 (n,), to the order of the rows in an epoch of a run with this seed."""
    shuffle = jit.kernels("operations.random").shuffle
    jit.program(shuffle, dtype)(order, len(order), epoch, seed & 0xFFFFFFFF, seed >> 32)


def round_weights(plan: Plan, params: np.ndarray) -> None:
    """Renew the rounded weights of mixed precision from the parameters."""
    square = np.empty(cpu.lanes(plan.dtype) ** 2, plan.dtype)
    variants.program(jit.kernels("cpu.mixed").round_all_weights, plan.dtype, mixed=True)(plan.ops, params, square)
