"""Activations and their derivatives, in place on a region of rows whose columns are whole vectors.

A region starts at a pointer; its rows are ``row`` elements apart and hold ``vectors`` * LANES elements.
"""

from __future__ import annotations

from .. import codes
from ..element_types import LANES
from ..formulas import activations
from ..formulas.elementary import exp, sigmoid, tanh
from ..llvm.instructions import at
from ..llvm.vector_loops import vector_loop
from .arithmetic import scale_vectors


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


map_relu, map_sigmoid, map_tanh = mapping(activations.relu), mapping(sigmoid), mapping(tanh)
map_leaky_relu, map_elu = mapping(activations.leaky_relu, True), mapping(activations.elu, True)
map_selu, map_gelu, map_silu = mapping(activations.selu), mapping(activations.gelu), mapping(activations.silu)
map_softplus, map_step, map_exponential = mapping(activations.softplus), mapping(activations.step), mapping(exp)

chain_relu, chain_sigmoid = chain(activations.relu_grad), chain(activations.sigmoid_grad)
chain_tanh, chain_leaky_relu = chain(activations.tanh_grad), chain(activations.leaky_relu_grad, True)
chain_elu, chain_selu = chain(activations.elu_grad, True), chain(activations.selu_grad)
chain_gelu, chain_silu = chain(activations.gelu_grad), chain(activations.silu_grad)
chain_softplus, chain_exponential = chain(activations.softplus_grad), chain(activations.exponential_grad)

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


def softmax(x, row, rows, columns, vectors):
    """Softmax of each row over its first ``columns`` elements."""
    for r in range(rows):
        z = at(x, r * row)
        total = exponentials(z, columns, vectors, largest_of(z, columns))
        scale_vectors(1, 0, vectors, z, 1.0 / total)


def softmax_backward(dy, y, row, rows, columns, vectors):
    """Turn dy into the gradient with respect to the logits, row by row."""
    for r in range(rows):
        outputs, gradient = at(y, r * row), at(dy, r * row)
        weighted_sum = 0.0
        for j in range(columns):
            weighted_sum += outputs[j] * gradient[j]
        softmax_chain_vectors(1, 0, vectors, gradient, outputs, weighted_sum)


def activation_forward(function, x, row, rows, columns, vectors, alpha):
    """Apply the activation with code ``function`` to a region; softmax needs whole rows of ``columns`` outputs."""
    if function == codes.RELU:
        map_relu(rows, row, vectors, x)
    elif function == codes.SIGMOID:
        map_sigmoid(rows, row, vectors, x)
    elif function == codes.TANH:
        map_tanh(rows, row, vectors, x)
    elif function == codes.SOFTMAX:
        softmax(x, row, rows, columns, vectors)
    elif function == codes.LEAKY_RELU:
        map_leaky_relu(rows, row, vectors, x, alpha)
    elif function == codes.ELU:
        map_elu(rows, row, vectors, x, alpha)
    elif function == codes.SELU:
        map_selu(rows, row, vectors, x)
    elif function == codes.GELU:
        map_gelu(rows, row, vectors, x)
    elif function == codes.SILU:
        map_silu(rows, row, vectors, x)
    elif function == codes.SOFTPLUS:
        map_softplus(rows, row, vectors, x)
    elif function == codes.STEP:
        map_step(rows, row, vectors, x)
    elif function == codes.EXPONENTIAL:
        map_exponential(rows, row, vectors, x)


def activation_backward(function, dy, y, z, row, rows, columns, vectors, alpha):
    """Turn dy of a region into the gradient before the activation, from its output y or, for gelu and silu, input z."""
    if function == codes.RELU:
        chain_relu(rows, row, vectors, dy, y)
    elif function == codes.SIGMOID:
        chain_sigmoid(rows, row, vectors, dy, y)
    elif function == codes.TANH:
        chain_tanh(rows, row, vectors, dy, y)
    elif function == codes.SOFTMAX:
        softmax_backward(dy, y, row, rows, columns, vectors)
    elif function == codes.LEAKY_RELU:
        chain_leaky_relu(rows, row, vectors, dy, y, alpha)
    elif function == codes.ELU:
        chain_elu(rows, row, vectors, dy, y, alpha)
    elif function == codes.SELU:
        chain_selu(rows, row, vectors, dy, y)
    elif function == codes.GELU:
        chain_gelu(rows, row, vectors, dy, z)
    elif function == codes.SILU:
        chain_silu(rows, row, vectors, dy, z)
    elif function == codes.SOFTPLUS:
        chain_softplus(rows, row, vectors, dy, y)
    elif function == codes.EXPONENTIAL:
        chain_exponential(rows, row, vectors, dy, y)
