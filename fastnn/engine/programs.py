"""What a plan hands to the compiled programs, and which of them it calls."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from fastnn.data.samples import Samples
from fastnn.engine.operands import BYTES
from fastnn.engine.run_options import RunOptions
from fastnn.engine.sparse_rows import is_sparse
from fastnn.kernels import codes
from fastnn.kernels.compiler import jit
from fastnn.kernels.compiler.partial_expressions import UNKNOWN, Record, Table
from fastnn.kernels.cpu import variants
from fastnn.kernels.host import cpu
from fastnn.kernels.operations.metrics import code_of
from fastnn.kernels.records import Network
from fastnn.lowering.objective import Objective
from fastnn.lowering.plan import Plan
from fastnn.lowering.workspace import writable

SLICE_SECONDS = 0.1  # longest compiled call, so that Ctrl-C is answered soon
FLOPS_PER_SECOND = 2e10  # cautious first guess of a core's speed, to size such calls


def run_vector(columns: Mapping[int, int], metrics: Sequence[tuple[str, int]] = ()) -> np.ndarray:
    """The integer vector that describes a run to the programs, by columns of ``kernels/codes.py``; others are 0.

    ``metrics`` are names of kernels, with the columns that each writes.
    """
    counts = {codes.METRIC_KERNELS: len(metrics), codes.METRICS_COUNT: sum(width for _, width in metrics)}
    values = {**columns, **counts}
    kernels = (number for name, width in metrics for number in (code_of(name), width))
    return np.array([*(values.get(column, 0) for column in range(codes.METRICS_START)), *kernels], np.int64)


def training_vector(
    plan: Plan,
    objective: Objective,
    optimizer: Any,
    samples: Samples,
    options: RunOptions,
    segments: int = 0,
    gradients: int = 0,
) -> np.ndarray:
    """The same vector for a training, with so many parts of a batch that are computed apart.

    ``gradients`` elements of memory stand before the gradients of operations on pictures.
    """
    weighted = samples.sample_weights is not None
    columns = {
        codes.BATCH: options.batch_size, codes.ROWS: len(samples), codes.TARGETS: samples.y.shape[1],
        codes.LOSS: objective.loss, codes.METRICS_FIRST: objective.metrics_first,
        codes.OPTIMIZER: codes.OPTIMIZERS.index(optimizer.name), codes.PARAMETERS: plan.n_parameters,
        codes.SHUFFLE: options.shuffle, codes.SEED_LOW: options.seed & 0xFFFFFFFF, codes.SEED_HIGH: options.seed >> 32,
        codes.FIRST_EPOCH: options.first_epoch, codes.L2_PER_ROW: plan.l2_per_row, codes.SEGMENTS: segments,
        codes.WEIGHTED: weighted, codes.WEIGHTED_MEAN: options.weighted_mean and weighted,
    }  # fmt: skip
    if plan.n_pictures:
        columns |= {
            codes.PICTURE_OPERATIONS: plan.n_pictures, codes.PICTURE_PARAMETERS: plan.picture_parameters,
            codes.PICTURE_SEGMENTS: plan.picture_segments(options.batch_size), codes.PICTURE_GRADIENTS: gradients,
        }  # fmt: skip
    return run_vector(columns, objective.metrics)


def compile_first(program: Any, team_arguments: tuple, arguments: tuple) -> Callable:
    """Compile a program before a team calls it, so that its members do not wait for the compiler at the barrier.

    Returns its entry point, a function for arguments of these types that does not look for their types again, which
    takes microseconds.
    """
    if program.entry_point is None:
        import numba

        program.compile(tuple(numba.typeof(argument) for argument in (*team_arguments, *arguments)))
    return program.entry_point


def flat_sample_weights(sample_weights: np.ndarray | None, dtype: np.dtype) -> np.ndarray:
    """Sample weights (n,), or none of them, as programs take them."""
    return np.zeros(0, dtype) if sample_weights is None else writable(sample_weights)


def input_program(function: Callable, plan: Plan, x: Any, clipped: bool = False, known: jit.Known = ()) -> Any:
    """The program of a plan for inputs like x: sparse rows, pixels, or rows of the plan's type."""
    variant = "_from_sparse" if is_sparse(x) else "_from_bytes" if x.dtype == BYTES else ""
    return variants.program(
        function, plan.dtype, variant, known, normalized=plan.is_normalized, clipped=clipped,
        pictures=plan.n_pictures > 0, mixed=plan.mixed,
    )


def known_arguments(run: np.ndarray, ops: np.ndarray, sparse: bool, alone: bool) -> jit.Known:
    """What a program of training for one network and size of batch is made for; ``alone`` for one thread only."""
    free = {codes.ROWS, codes.SEED_LOW, codes.SEED_HIGH, codes.FIRST_EPOCH}
    described = tuple(UNKNOWN if column in free else int(value) for column, value in enumerate(run))
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
