"""Activations and their derivatives, in place on a region of rows whose columns are whole vectors.

A region starts at a pointer; its rows are ``stride`` elements apart and hold ``vectors`` * LANES elements.
"""

from __future__ import annotations

from ..element_types import LANES
from ..formulas.activations import ACTIVATIONS, undefined
from ..formulas.elementary import exp
from ..llvm.instructions import at
from ..llvm.vector_loops import vector_loop
from .arithmetic import scale_vectors
from .choices import Call, chosen


def mapping(formula, parametric=False):
    """Vector loop that replaces every x of a region by formula(x), or formula(x, alpha)."""
    return vector_loop(formula, 1, 1, int(parametric))


def chain(derivative, parametric=False):
    """Vector loop that multiplies every dy of a region by derivative(s), s the activation's output or input there."""

    def plain_chain(dy, s):
        return dy * derivative(s)

    def parametric_chain(dy, s, alpha):
        return dy * derivative(s, alpha)

    return vector_loop(parametric_chain if parametric else plain_chain, 1, 2, int(parametric))


def shifted_exp(x, shift):
    """e**(x - shift), the numerator of a softmax."""
    return exp(x - shift)


def softmax_chain(dy, y, weighted_sum):
    """Gradient through a softmax of one element; ``weighted_sum`` is sum(y * dy) of its row."""
    return y * (dy - weighted_sum)


MAPPINGS = {name: mapping(each.formula, each.parametric) for name, each in ACTIVATIONS.items() if each.formula}
CHAINS = {name: chain(each.derivative, each.parametric) for name, each in ACTIVATIONS.items() if each.derivative}
map_sigmoid, map_exponential = MAPPINGS["sigmoid"], MAPPINGS["exponential"]
map_nan, chain_nan = mapping(undefined), chain(undefined)

exp_vectors = vector_loop(shifted_exp, 1, 1, 1)
softmax_chain_vectors = vector_loop(softmax_chain, 1, 2, 1)


def largest_of(z, columns):
    """Largest of the first ``columns`` values."""
    largest = z[0]
    for j in range(1, columns):
        largest = z[j] if z[j] > largest else largest
    return largest


def exponentials(z, columns, vectors, largest):
    """Replace the first ``columns`` logits z of a row by e**(z - largest), the rest by 0; return their sum."""
    exp_vectors(1, 0, vectors, z, largest)
    total = 0.0
    for j in range(columns):
        total += z[j]
    for j in range(columns, vectors * LANES):
        z[j] = 0.0
    return total


def softmax(x, stride, rows, columns, vectors):
    """Softmax of each row over its first ``columns`` elements."""
    for r in range(rows):
        z = at(x, r * stride)
        total = exponentials(z, columns, vectors, largest_of(z, columns))
        scale_vectors(1, 0, vectors, z, 1.0 / total)


def softmax_backward(dy, y, stride, rows, columns, vectors):
    """Turn dy into the gradient with respect to the logits, row by row."""
    for r in range(rows):
        outputs, gradient = at(y, r * stride), at(dy, r * stride)
        weighted_sum = 0.0
        for j in range(columns):
            weighted_sum += outputs[j] * gradient[j]
        softmax_chain_vectors(1, 0, vectors, gradient, outputs, weighted_sum)


def _forward(name):
    if name == "linear":
        return None
    if name == "softmax":
        return Call(softmax, "x, stride, rows, columns, vectors")
    return Call(MAPPINGS[name], "rows, stride, vectors, x" + ", alpha" * ACTIVATIONS[name].parametric)


def _backward(name):
    if name == "linear":
        return None
    if name == "softmax":
        return Call(softmax_backward, "dy, y, stride, rows, columns, vectors")
    source = "z" if ACTIVATIONS[name].of_input else "y"
    return Call(CHAINS[name], f"rows, stride, vectors, dy, {source}" + ", alpha" * ACTIVATIONS[name].parametric)


@chosen(
    {code: _forward(name) for code, name in enumerate(ACTIVATIONS)},
    otherwise=Call(map_nan, "rows, stride, vectors, x"),
)
def activation_forward(function, x, stride, rows, columns, vectors, alpha):
    """Apply the activation with code ``function`` to a region; softmax needs whole rows of ``columns`` outputs."""


@chosen(
    {code: _backward(name) for code, name in enumerate(ACTIVATIONS) if name in CHAINS or name == "softmax"},
    otherwise=Call(chain_nan, "rows, stride, vectors, dy, y"),
)
def activation_backward(function, dy, y, z, stride, rows, columns, vectors, alpha):
    """Turn dy of a region into the gradient before the activation, from its output y or input z, as its table says."""
