"""What predictions of large networks launch on a GPU beside the forward pass of a training step (``step.py``)."""

from __future__ import annotations

from ... import codes
from ...codes import COLUMNS, FACTORS
from ...element_types import NUMBER
from ...formulas.normalization import reciprocal_deviation
from ..jit import at, cuda, entry
from ..rows import loss_of_row


@entry("IiNNN")
def moving_statistics_columns(ops, index, factors, params, work):
    """Let a batch normalization find its moving statistics where training puts those of the batch."""
    op, epsilon = at(ops, index * COLUMNS), factors[index * FACTORS + codes.VARIANCE_OFFSET]
    j = cuda.grid(1)
    while j < op[codes.OUTPUTS]:
        mean, variance = params[op[codes.MOVING] + j], params[op[codes.MOVING] + op[codes.PANELS] + j]
        work[op[codes.SUMS] + j] = mean
        work[op[codes.DEVIATIONS] + j] = reciprocal_deviation(variance, variance, epsilon)
        j += cuda.gridsize(1)


@entry("IiNNI")
def take_outputs(ops, count, work, outputs, clock):
    """Copy the outputs of the last operation to ``outputs`` (rows, columns), flat."""
    op = at(ops, (count - 1) * COLUMNS)
    columns = op[codes.OUTPUTS]
    i = cuda.grid(1)
    while i < clock[codes.NOW_ROWS] * columns:
        r = i // columns
        outputs[i] = work[op[codes.Y] + r * op[codes.Y_STRIDE] + i - r * columns]
        i += cuda.gridsize(1)


@entry("IIiNNNNDI")
def evaluate_rows(run, ops, count, work, y, sample_weights, loss_factors, stats, clock):
    """Weighted loss and metrics of every row to ``stats`` (rows, 1 + metrics), flat; a row to a thread."""
    op, columns = at(ops, (count - 1) * COLUMNS), 1 + run[codes.METRICS_COUNT]
    r = cuda.grid(1)
    while r < clock[codes.NOW_ROWS]:
        weight = sample_weights[r] if run[codes.WEIGHTED] else NUMBER(1.0)
        offset = r * op[codes.Y_STRIDE]
        loss_of_row(
            run, at(work, op[codes.Y] + offset), at(y, r * run[codes.TARGETS]), at(work, op[codes.DY] + offset),
            op[codes.OUTPUTS], weight, NUMBER(1.0), 0.0, at(loss_factors, 0), at(stats, r * columns),
        )  # fmt: skip
        r += cuda.gridsize(1)
