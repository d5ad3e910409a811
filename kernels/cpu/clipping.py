"""Training steps that clip gradients: twins of two functions of ``cpu/step.py``, for the programs of runs that do.

All gradients of a step are stored in one vector that lies like the weights; once they are whole, penalties included,
their sizes are added up, and the optimizer gets what the limits leave of them. The three methods are those of Keras 3
(``keras/src/optimizers/base_optimizer.py``): by element, by the Euclidean norm of each weight array (kernel and bias
are two), by that of all gradients together.

The weights are cut into units: a pair of panels of a dense layer with its biases, or a normalization. A unit belongs to
one member, and its sums of squares stand in the float64 vector ``sums``: of its kernel and its biases, or of gamma and
beta. Every member adds them up in the same order, so no norm depends on the team.
"""

from __future__ import annotations

from .. import codes
from ..codes import COLUMNS
from ..element_types import LANES
from ..llvm.instructions import at
from ..llvm.vectors import sum_of_squares
from ..operations.arithmetic import scale_vectors
from ..operations.clipping import factor_within, limit_vectors, norm_of
from ..operations.optimizers import update
from ..operations.teamwork import barrier
from ..sizes import has_matrix, units
from . import step as step_cpu
from .dense import renew_operands

SQUARES_AT_ONCE = 64  # vectors whose squares are added up in the element type, before float64


def parts(op, unit):
    """Vectors of the two arrays in a panel of a unit, first elements of both in the first panel, and its panels."""
    if has_matrix(op):
        start, bias = op[codes.WEIGHTS] + 2 * unit * op[codes.PANEL], op[codes.BIAS]
        return op[codes.INPUTS], bias, start + bias * LANES, start, min(2, op[codes.PANELS] - 2 * unit)
    scales, centers = op[codes.SCALES] * op[codes.PANELS], op[codes.CENTERS] * op[codes.PANELS]
    return scales, centers, op[codes.GAMMA], op[codes.BETA], 1


def add_squares(total, vectors, gradient):
    """Add the squares of ``vectors`` vectors to what ``total`` points to."""
    for first in range(0, vectors, SQUARES_AT_ONCE):
        total[0] += sum_of_squares(min(SQUARES_AT_ONCE, vectors - first), at(gradient, first * LANES))


def squares_share(team, network, gradients, sums):
    """A member's share of the sums of squares of all units; returns the number of units."""
    number = 0
    for index in range(network.count):
        op = at(network.ops, index * COLUMNS)
        for unit in range(units(op)):
            if number % team.size == team.rank:
                total = at(sums, 2 * number)
                total[0], total[1] = 0.0, 0.0
                vectors, other_vectors, start, other_start, panels = parts(op, unit)
                for panel in range(panels):
                    offset = panel * op[codes.PANEL]
                    add_squares(total, vectors, at(gradients, start + offset))
                    add_squares(at(total, 1), other_vectors, at(gradients, other_start + offset))
            number += 1
    return number


def gradient_use(run, memory):
    """Twin of ``step.gradient_use``: store it."""
    return codes.GRADIENT, memory.gradients


def finish_step(team, run, hyper, descent, network, memory):
    """Twin of ``step.finish_step``: a member's share of clipping and of the optimizer's step."""
    sums = at(memory.stats, run[codes.BATCH] * (1 + run[codes.METRICS_COUNT]))
    limit, own_limit = hyper[codes.CLIPVALUE], hyper[codes.CLIPNORM]
    all_units = 0
    if limit == 0.0:
        all_units = squares_share(team, network, memory.gradients, sums)
        barrier(team.sync, team.size)
    common = factor_within(hyper[codes.GLOBAL_CLIPNORM], norm_of(sums, 0, all_units, 1))
    number = 0
    for index in range(network.count):
        op = at(network.ops, index * COLUMNS)
        own = number + units(op)
        factor = common * factor_within(own_limit, norm_of(sums, number, own, 2))
        other_factor = common * factor_within(own_limit, norm_of(at(sums, 1), number, own, 2))
        for unit in range(units(op)):
            if number % team.size == team.rank:
                vectors, other_vectors, start, other_start, panels = parts(op, unit)
                for panel in range(panels):
                    offset = panel * op[codes.PANEL]
                    for first, length, scale in (
                        (start + offset, vectors, factor), (other_start + offset, other_vectors, other_factor)
                    ):  # fmt: skip
                        gradient = at(memory.gradients, first)
                        if scale != 1.0:
                            scale_vectors(1, 0, length, gradient, scale)
                        if limit > 0.0:
                            limit_vectors(1, 0, length, gradient, limit)
                        update(
                            descent, at(network.params, first), at(memory.slot_0, first), at(memory.slot_1, first),
                            gradient, length,
                        )  # fmt: skip
                if op[codes.KIND] == codes.DENSE:
                    renew_operands(op, network.params, unit, memory.scratch)
            number += 1
    barrier(team.sync, team.size)


TWINS = {step_cpu.gradient_use: gradient_use, step_cpu.finish_step: finish_step}
