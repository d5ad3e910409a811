"""Operations on pictures: twins of functions of ``cpu/step.py`` and ``cpu/inference.py``.

A batch is cut into segments, as many as the plan says, and each belongs to one member of the team. It takes one
picture after the other through all operations, so that what passes between them stays in the cache, and adds up the
gradients of each segment. They are then added in order, so the result does not depend on the size of the team.
"""

from __future__ import annotations

from .. import codes
from ..codes import COLUMNS, FACTORS
from ..llvm.instructions import at
from ..llvm.register_tiles import MODE_ADD, MODE_ZERO
from ..llvm.vectors import load_row
from ..operations.activations import activation_backward, activation_forward
from ..operations.arithmetic import copy_vectors, multiply_vectors, product_vectors
from ..operations.random import FIRST_DROPOUT_STREAM, dropout_row
from ..operations.teamwork import barrier, share
from ..records import Network, Picture, Windows
from . import inference
from . import step as step_cpu
from .convolution import backward_picture, forward_picture, turn_weights
from .pooling import average_pool, average_pool_backward, max_pool, max_pool_backward
from .row_segments import update_by_segments


def windows_of(op):
    """Windows of an operation."""
    return Windows(
        op[codes.HEIGHT], op[codes.WIDTH], op[codes.CHANNELS], op[codes.OUT_HEIGHT], op[codes.OUT_WIDTH],
        op[codes.FILTERS], op[codes.KERNEL_HEIGHT], op[codes.KERNEL_WIDTH], op[codes.STRIDE_HEIGHT],
        op[codes.STRIDE_WIDTH], op[codes.DILATION_HEIGHT], op[codes.DILATION_WIDTH], op[codes.TOP], op[codes.LEFT],
    )  # fmt: skip


def behind_pictures(run, network):
    """Twin of ``step.behind_pictures``: the operations on rows."""
    first = run[codes.PICTURE_OPERATIONS]
    return Network(
        at(network.ops, first * COLUMNS), network.count - first, at(network.factors, first * FACTORS),
        network.loss_factors, network.params,
    )  # fmt: skip


def on_pictures(run, network):
    """The other operations."""
    return Network(
        network.ops, run[codes.PICTURE_OPERATIONS], network.factors, network.loss_factors, network.params
    )


def copy_lines(lines, width, source, source_line, target, target_line, scale, offset):
    """Copy lines of ``width`` elements, scaled."""
    for i in range(lines):
        load_row(width, at(target, i * target_line), at(source, i * source_line), scale, offset)


def elementwise_forward(run, op, factor, work, i, row, step):
    """Activation or dropout of picture i of the workspace, number ``row`` of the batch; step -1 is a prediction."""
    x, y = at(work, op[codes.X] + i * op[codes.X_STRIDE]), at(work, op[codes.Y] + i * op[codes.Y_STRIDE])
    vectors = op[codes.PANELS]
    if op[codes.KIND] == codes.DROPOUT and step >= 0:
        mask = at(work, op[codes.MASK] + i * op[codes.X_STRIDE])
        dropout_row(
            mask, op[codes.OUTPUTS], row, step, FIRST_DROPOUT_STREAM + op[codes.STREAM], factor[codes.RATE],
            run[codes.SEED_LOW], run[codes.SEED_HIGH],
        )  # fmt: skip
        product_vectors(1, 0, vectors, y, x, mask)
    else:
        copy_vectors(1, 0, vectors, y, x)
        if op[codes.KIND] == codes.ACTIVATION:
            activation_forward(op[codes.FUNCTION], y, 0, 1, op[codes.OUTPUTS], vectors, factor[codes.ALPHA])


def elementwise_backward(op, factor, work, i, gradient):
    """Turn the gradient of the output of an activation or dropout into that of its input."""
    x, y = at(work, op[codes.X] + i * op[codes.X_STRIDE]), at(work, op[codes.Y] + i * op[codes.Y_STRIDE])
    if op[codes.KIND] == codes.DROPOUT:
        multiply_vectors(1, 0, op[codes.PANELS], gradient, at(work, op[codes.MASK] + i * op[codes.X_STRIDE]))
    else:
        activation_backward(
            op[codes.FUNCTION], gradient, y, x, 0, 1, op[codes.OUTPUTS], op[codes.PANELS], factor[codes.ALPHA]
        )


def forward_one(run, network, work, i, row, step):
    """All operations on picture i of the workspace, number ``row`` of the batch, which is at the first one's input."""
    for index in range(network.count):
        op, factor = at(network.ops, index * COLUMNS), at(network.factors, index * FACTORS)
        windows = windows_of(op)
        x = Picture(at(work, op[codes.X] + i * op[codes.X_STRIDE]), op[codes.X_LINE])
        y = Picture(at(work, op[codes.Y] + i * op[codes.Y_STRIDE]), op[codes.Y_LINE])
        if op[codes.KIND] == codes.CONVOLUTION:
            forward_picture(op, windows, network.params, x, y)
        elif op[codes.KIND] == codes.MAX_POOL:
            max_pool(windows, x, y)
        elif op[codes.KIND] == codes.AVERAGE_POOL:
            average_pool(windows, x, y)
        else:
            elementwise_forward(run, op, factor, work, i, row, step)
            if index + 1 < network.count:
                following = at(op, COLUMNS)
                if following[codes.X] != op[codes.Y]:
                    copy_lines(
                        windows.height, windows.width * windows.channels, y.first, y.line,
                        at(work, following[codes.X] + i * following[codes.X_STRIDE]), following[codes.X_LINE], 1.0, 0.0,
                    )  # fmt: skip


def load_picture(ops, data, index, work, i):
    """Scale picture ``index`` of the data as picture i to the input of the first operation."""
    width = ops[codes.WIDTH] * ops[codes.CHANNELS]
    copy_lines(
        ops[codes.HEIGHT], width, at(data.x, index * ops[codes.HEIGHT] * width), width,
        at(work, ops[codes.X] + i * ops[codes.X_STRIDE]), ops[codes.X_LINE], data.scaling[0], data.scaling[1],
    )  # fmt: skip


def load_batch(team, run, network, data, features, memory, order, first_row, rows, step):
    """Twin of ``step.load_batch``: bring the pictures through their operations; ``first_row`` is 0."""
    pictures, work = on_pictures(run, network), memory.work
    for index in range(pictures.count):
        op = at(pictures.ops, index * COLUMNS)
        if op[codes.KIND] == codes.CONVOLUTION and op[codes.NEEDS_DX]:
            turn_weights(team, op, windows_of(op), network.params, at(work, op[codes.TURNED]))
    segments = min(run[codes.PICTURE_SEGMENTS], rows)
    first_segment, last_segment = share(team.rank, team.size, segments)
    first, _ = share(first_segment, segments, rows)
    last, _ = share(last_segment, segments, rows)
    for i in range(first, last):
        load_picture(pictures.ops, data, order[i], work, i)
        forward_one(run, pictures, work, i, first_row + i, step)
    barrier(team.sync, team.size)


def input_width(ops):
    """Twin of ``inference.input_width``."""
    return ops[codes.HEIGHT] * ops[codes.WIDTH] * ops[codes.CHANNELS]


def load_rows(run, network, data, first, rows, target, stride, work):
    """Twin of ``inference.load_rows``: bring pictures through their operations, one by one."""
    pictures = on_pictures(run, network)
    last = at(pictures.ops, (pictures.count - 1) * COLUMNS)
    width = last[codes.OUT_HEIGHT] * last[codes.OUT_WIDTH] * last[codes.FILTERS]
    for r in range(rows):
        load_picture(pictures.ops, data, first + r, work, 0)
        forward_one(run, pictures, work, 0, 0, -1)
        copy_lines(1, width, at(work, last[codes.Y]), 0, at(target, r * stride), 0, 1.0, 0.0)


def gradient_at(op, offset, line, stride, memory, i):
    """Gradient of picture i, in the workspace or, with a stride of 0, in scratch memory."""
    in_work, in_scratch = at(memory.work, op[offset] + i * op[stride]), at(memory.scratch, op[offset])
    return Picture(in_work if op[stride] else in_scratch, op[line])


def backward_one(pictures, memory, i, gradients, mode):
    """Gradients of all weights from picture i, written to ``gradients`` or added."""
    work = memory.work
    for index in range(pictures.count - 1, -1, -1):
        op, factor = at(pictures.ops, index * COLUMNS), at(pictures.factors, index * FACTORS)
        windows = windows_of(op)
        x = Picture(at(work, op[codes.X] + i * op[codes.X_STRIDE]), op[codes.X_LINE])
        y = Picture(at(work, op[codes.Y] + i * op[codes.Y_STRIDE]), op[codes.Y_LINE])
        dy = gradient_at(op, codes.DY, codes.DY_LINE, codes.DY_STRIDE, memory, i)
        dx = gradient_at(op, codes.DX, codes.DX_LINE, codes.DX_STRIDE, memory, i)
        if op[codes.KIND] == codes.CONVOLUTION:
            sums = Picture(at(memory.scratch, op[codes.PRE_GRADIENT]), op[codes.PRE_LINE])
            turned, own = at(work, op[codes.TURNED]), at(gradients, op[codes.WEIGHTS])
            backward_picture(op, windows, turned, x, y, dy, sums, dx, own, memory.scratch, mode)
        elif index == 0:
            continue
        elif op[codes.KIND] == codes.MAX_POOL:
            max_pool_backward(windows, x, dy, dx)
        elif op[codes.KIND] == codes.AVERAGE_POOL:
            average_pool_backward(windows, dy, dx)
        else:
            elementwise_backward(op, factor, work, i, dy.first)


def picture_backward(team, run, descent, l2_scale, network, moments, memory, rows):
    """Twin of ``step.picture_backward``: gradients of the segments, and a member's share of the optimizer's step."""
    pictures, size = on_pictures(run, network), run[codes.PICTURE_PARAMETERS]
    all_gradients = at(memory.gradients, run[codes.PICTURE_GRADIENTS])
    segments = min(run[codes.PICTURE_SEGMENTS], rows)
    first_segment, last_segment = share(team.rank, team.size, segments)
    for segment in range(first_segment, last_segment):
        first, last = share(segment, segments, rows)
        for i in range(first, last):
            mode = MODE_ADD if i > first else MODE_ZERO
            backward_one(pictures, memory, i, at(all_gradients, segment * size), mode)
    barrier(team.sync, team.size)
    update_by_segments(team, descent, l2_scale, pictures, moments, memory, all_gradients, size, segments)
    barrier(team.sync, team.size)


TWINS = {
    step_cpu.behind_pictures: behind_pictures,
    step_cpu.load_batch: load_batch,
    step_cpu.picture_backward: picture_backward,
    inference.input_width: input_width,
    inference.load_rows: load_rows,
}
