"""Single elements on a GPU: what a thread makes of one number, and where arrays of weights lie."""

from __future__ import annotations

from .. import codes
from ..codes import COLUMNS, FACTORS
from ..element_types import NUMBER  # noqa: F401 - in a source that is put together
from ..formulas.activations import ACTIVATIONS, linear, undefined
from ..formulas.update_rules import kept
from ..llvm.instructions import at
from ..operations.choices import Call, chosen
from ..operations.optimizers import rules


def operand(x):
    """A number as a product takes it: itself; its twin of mixed precision is in ``cuda/variants.py``."""
    return x


@chosen(
    {
        code: Call(each.formula or linear, "z" + ", alpha" * each.parametric, "return")
        for code, each in enumerate(ACTIVATIONS.values())
    },
    otherwise=Call(undefined, "z", "return"),
)
def activate(function, z, alpha):
    """Activation of one number; softmax needs whole rows, so z is left as it is."""


@chosen(
    {
        code: Call(each.derivative, ("z" if each.of_input else "y") + ", alpha" * each.parametric, "return")
        for code, each in enumerate(ACTIVATIONS.values())
        if each.derivative
    },
    otherwise=Call(undefined, "y", "return"),
)
def derivative(function, y, z, alpha):
    """What the gradient of an activation's output y is multiplied by, NaN for a softmax, which needs whole rows.

    z is what was before those whose derivative takes it, and not looked at for others.
    """


def _descend(step, rule):
    weights = ("w[offset], m[offset]", "w[offset], m[offset], v[offset]")[rule.moments - 1]
    numbers = ", ".join(f"NUMBER(descent.{name})" for name in rule.numbers)
    return Call(step, f"{weights}, g, {numbers}", f"{weights} =")


@chosen(
    {case: _descend(step, rule) for case, step, rule in rules()} | {codes.GRADIENT: Call(kept, "g", "m[offset] =")},
    otherwise=Call(undefined, "w[offset]", "w[offset] ="),
    by="descent.optimizer",
)
def descend(descent, w, m, v, offset, g):
    """The optimizer's step on the weight w[offset] with the moments m[offset] and v[offset]; see ``update``."""


def through_elements(ops, index, factors, work, r, j, gradient):
    """Gradient of one input of operation ``index``, taken back through the elementwise operations that made it.

    ``elementwise.derivatives`` of a single element; there must be no softmax among them.
    """
    below = index - 1
    while below >= 0:
        op = at(ops, below * COLUMNS)
        offset = r * op[codes.Y_STRIDE] + j
        if op[codes.KIND] == codes.DROPOUT:
            gradient *= work[op[codes.MASK] + offset]
        else:
            alpha = factors[below * FACTORS + codes.ALPHA]
            gradient *= derivative(op[codes.FUNCTION], work[op[codes.Y] + offset], work[op[codes.Z] + offset], alpha)
            if op[codes.KIND] != codes.ACTIVATION:
                break
        below -= 1
    return gradient


def trained_array(op, second):
    """First element and number of elements of a kernel or gamma, or of the biases or beta of an operation."""
    stride = op[codes.PANELS]
    if op[codes.KIND] == codes.DENSE:
        if second:
            return op[codes.WEIGHTS], op[codes.BIAS] * stride
        return op[codes.WEIGHTS] + op[codes.BIAS] * stride, op[codes.INPUTS] * stride
    if second:
        return op[codes.BETA], op[codes.CENTERS] * stride
    return op[codes.GAMMA], op[codes.SCALES] * stride
