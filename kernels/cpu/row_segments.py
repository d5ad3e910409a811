"""Steps of a team that shares the rows of a batch: for large batches through small layers.

The batch is cut into segments, as many as the plan says, and each belongs to one member, which takes it through the
whole network in parts that stay in the cache, and adds up its gradients. The segments' gradients are then added in
order, so the result does not depend on the size of the team.
"""

from __future__ import annotations

from .. import codes
from ..codes import COLUMNS, FACTORS
from ..element_types import LANES
from ..llvm.instructions import at
from ..llvm.register_tiles import MODE_ADD, MODE_ZERO
from ..operations.arithmetic import add_vectors
from ..sizes import has_matrix
from .dense import dense_backward_input_share, pack, update_panel
from .gemm import product


def gradients_of_rows(team, network, memory, rows, gradients, add):
    """Write the gradients of all weights from the rows in the workspace, or add them to what is there.

    ``team`` is one of this member alone.
    """
    work, scratch = memory.work, memory.scratch
    for index in range(network.count - 1, -1, -1):
        op = at(network.ops, index * COLUMNS)
        if op[codes.KIND] != codes.DENSE:
            continue
        if op[codes.NEEDS_DX]:
            dense_backward_input_share(team, network.ops, index, network.factors, network.params, work, scratch, rows)
        bias = op[codes.BIAS]
        for panel in range(0, op[codes.PANELS], 2):
            panels = min(2, op[codes.PANELS] - panel)
            pack(scratch, at(work, op[codes.DY] + panel * LANES), op[codes.Y_STRIDE], rows, panels)
            target = at(gradients, op[codes.WEIGHTS] + panel * op[codes.PANEL])
            product(  # the column before x holds ones, whose products with dy are the gradient of the bias
                at(work, op[codes.X] - bias), 1, op[codes.X_STRIDE], scratch, rows * LANES, target, LANES,
                op[codes.PANEL], panels, op[codes.INPUTS] + bias, rows, scratch, 0, MODE_ADD if add else MODE_ZERO, 0,
            )  # fmt: skip


def update_by_segments(team, descent, l2_scale, network, moments, memory, gradients, size, segments):
    """Add up the segments' gradients and do the optimizer's step, a member's share of the panels.

    The gradients of a segment are ``size`` elements.
    """
    owner = 0
    for index in range(network.count):
        op, l2 = at(network.ops, index * COLUMNS), l2_scale * network.factors[index * FACTORS + codes.L2]
        weight_rows = op[codes.INPUTS] + op[codes.BIAS]
        for panel in range(op[codes.PANELS] if has_matrix(op) else 0):
            if owner == team.rank:
                offset = op[codes.WEIGHTS] + panel * op[codes.PANEL]
                gradient = at(gradients, offset)
                for segment in range(1, segments):
                    add_vectors(1, 0, weight_rows, gradient, at(gradient, segment * size))
                update_panel(
                    op, network.params, moments, memory.slot_1, gradient, panel, 0, weight_rows, l2, descent
                )
            owner = owner + 1 if owner + 1 < team.size else 0
