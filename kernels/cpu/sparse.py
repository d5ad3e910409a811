"""A first dense layer whose input is sparse rows: only entries that are there are multiplied.

``features`` is a tuple of arrays. Compressed rows (CSR), all empty where the input is dense:
``values`` (entries,), ``columns`` int32 (entries,), ``starts`` int64 (n + 1,): entries starts[i] .. starts[i + 1] are
row i. And room for the entries of one batch by columns: ``column_starts`` int64 (inputs + 2,), ``rows`` int32 and
``batch_values`` (entries of the fullest batch,): entries column_starts[j] .. column_starts[j + 1] are column j, in the
order of the batch's rows.
"""

from __future__ import annotations

from .. import codes
from ..element_types import LANES
from ..llvm.instructions import at
from ..llvm.vector_loops import vector_loop
from ..operations.activations import activation_forward
from ..operations.arithmetic import clear, copy_vectors


def scaled_sum(y, x, factor):
    """y + factor * x."""
    return y + factor * x


add_scaled = vector_loop(scaled_sum, 1, 2, 1)
VALUES, NUMBERS, STARTS, COLUMN_STARTS, ROWS, BATCH_VALUES = range(6)  # in the tuple ``features``


def sparse_forward(op, params, features, order, ordered, first, last, y, y_stride, z, alpha):
    """``dense_forward`` of rows order[first] .. order[last - 1], or first .. last - 1 where ``ordered`` is 0.

    y and z (last - first, PANELS * LANES).
    """
    values, columns, starts = features[VALUES], features[NUMBERS], features[STARTS]
    panels, bias, function = op[codes.PANELS], op[codes.BIAS], op[codes.FUNCTION]
    for panel in range(panels):
        weights = at(params, op[codes.WEIGHTS] + panel * op[codes.PANEL])
        for r in range(first, last):
            out = at(y, (r - first) * y_stride + panel * LANES)
            if bias:
                copy_vectors(1, 0, 1, out, weights)
            else:
                clear(out, LANES)
            chosen = order[r] if ordered else r
            for k in range(starts[chosen], starts[chosen + 1]):
                add_scaled(1, 0, 1, out, at(weights, (columns[k] + bias) * LANES), values[k])
    if function == codes.LINEAR or function == codes.SOFTMAX:
        return
    if op[codes.Z] != op[codes.Y]:
        copy_vectors(last - first, y_stride, panels, z, y)
    activation_forward(function, y, y_stride, last - first, 0, panels, alpha)


def transpose_batch(features, order, batch, inputs):
    """Sort the entries of rows order[0] .. order[batch - 1] by columns."""
    values, columns, starts = features[VALUES], features[NUMBERS], features[STARTS]
    column_starts, rows, batch_values = features[COLUMN_STARTS], features[ROWS], features[BATCH_VALUES]
    for j in range(inputs + 2):
        column_starts[j] = 0
    for r in range(batch):
        for k in range(starts[order[r]], starts[order[r] + 1]):
            column_starts[columns[k] + 2] += 1
    for j in range(2, inputs + 2):
        column_starts[j] += column_starts[j - 1]
    for r in range(batch):  # column_starts[j + 1] moves from the first entry of column j to the end
        for k in range(starts[order[r]], starts[order[r] + 1]):
            entry = column_starts[columns[k] + 1]
            rows[entry], batch_values[entry] = r, values[k]
            column_starts[columns[k] + 1] = entry + 1


def sparse_gradient_tile(gradient, panel_size, features, packed, batch, first, count, panels, bias):
    """Rows first .. first + count of x.T @ dy, the bias being row 0, from dy in ``panels`` packed panels."""
    column_starts, rows, batch_values = features[COLUMN_STARTS], features[ROWS], features[BATCH_VALUES]
    for panel in range(panels):
        clear(at(gradient, panel * panel_size), count * LANES)
    for i in range(count):
        feature = first + i - bias
        for panel in range(panels):
            target = at(gradient, panel * panel_size + i * LANES)
            dy = at(packed, panel * batch * LANES)
            if feature < 0:
                for r in range(batch):
                    add_scaled(1, 0, 1, target, at(dy, r * LANES), 1.0)
            else:
                for k in range(column_starts[feature], column_starts[feature + 1]):
                    add_scaled(1, 0, 1, target, at(dy, rows[k] * LANES), batch_values[k])
