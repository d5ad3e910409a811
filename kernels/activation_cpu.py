"""Activations and their derivatives, in place on a region of rows whose columns are whole vectors.

A region starts at a pointer; its rows are ``row`` elements apart and hold ``vectors`` * LANES elements.
"""

from __future__ import annotations

from . import formulas
from .codes import ELU, GELU, LEAKY_RELU, RELU, SELU, SIGMOID, SILU, SOFTMAX, SOFTPLUS, STEP, TANH
from .intrinsics import at
from .jit import LANES
from .scalar import exp, sigmoid, tanh
from .vectors import vector_loop


def make_map(formula, parametric=False):
    """Kernel that replaces every x of a region by formula(x), or formula(x, alpha)."""
    loop = vector_loop(formula, 1, 1, int(parametric))

    def plain_map(x, row, rows, vectors, alpha):
        for r in range(rows):
            loop(vectors, at(x, r * row))

    def parametric_map(x, row, rows, vectors, alpha):
        for r in range(rows):
            loop(vectors, at(x, r * row), alpha)

    kernel = parametric_map if parametric else plain_map
    kernel.__name__ = f"map_{formula.__name__}"
    return kernel


def make_chain(derivative, parametric=False):
    """Kernel that multiplies every dy of a region by derivative(s), s the activation's output or input there."""

    def plain_chain(dy, s):
        return dy * derivative(s)

    def parametric_chain(dy, s, alpha):
        return dy * derivative(s, alpha)

    loop = vector_loop(parametric_chain if parametric else plain_chain, 1, 2, int(parametric))

    def plain_kernel(dy, s, row, rows, vectors, alpha):
        for r in range(rows):
            loop(vectors, at(dy, r * row), at(s, r * row))

    def parametric_kernel(dy, s, row, rows, vectors, alpha):
        for r in range(rows):
            loop(vectors, at(dy, r * row), at(s, r * row), alpha)

    kernel = parametric_kernel if parametric else plain_kernel
    kernel.__name__ = f"chain_{derivative.__name__}"
    return kernel


def shifted_exp(x, shift):
    """e**(x - shift), the numerator of a softmax."""
    return exp(x - shift)


def scaled(x, factor):
    """x * factor."""
    return x * factor


def times(x, y):
    """x * y."""
    return x * y


def product_of(out, x, y):
    """x * y, for a third place."""
    return x * y


def copy_of(out, x):
    """x, for another place."""
    return x


def softmax_chain(dy, y, weighted_sum):
    """Gradient through a softmax of one element; ``weighted_sum`` is sum(y * dy) of its row."""
    return y * (dy - weighted_sum)


map_relu, map_sigmoid, map_tanh = make_map(formulas.relu), make_map(sigmoid), make_map(tanh)
map_leaky_relu, map_elu = make_map(formulas.leaky_relu, True), make_map(formulas.elu, True)
map_selu, map_gelu, map_silu = make_map(formulas.selu), make_map(formulas.gelu), make_map(formulas.silu)
map_softplus, map_step = make_map(formulas.softplus), make_map(formulas.step)

chain_relu, chain_sigmoid = make_chain(formulas.relu_grad), make_chain(formulas.sigmoid_grad)
chain_tanh, chain_leaky_relu = make_chain(formulas.tanh_grad), make_chain(formulas.leaky_relu_grad, True)
chain_elu, chain_selu = make_chain(formulas.elu_grad, True), make_chain(formulas.selu_grad)
chain_gelu, chain_silu = make_chain(formulas.gelu_grad), make_chain(formulas.silu_grad)
chain_softplus = make_chain(formulas.softplus_grad)

exp_vectors = vector_loop(shifted_exp, 1, 1, 1)
scale_vectors = vector_loop(scaled, 1, 1, 1)
multiply_vectors = vector_loop(times, 1, 2, 0)
product_vectors = vector_loop(product_of, 1, 3, 0)
copy_vectors = vector_loop(copy_of, 1, 2, 0)
softmax_chain_vectors = vector_loop(softmax_chain, 1, 2, 1)


def exponentials(z, columns, vectors):
    """Replace the first ``columns`` logits z of a row by e**(z - max), the rest by 0; return the maximum and the sum."""
    largest = z[0]
    for j in range(1, columns):
        largest = z[j] if z[j] > largest else largest
    exp_vectors(vectors, z, largest)
    total = 0.0
    for j in range(columns):
        total += z[j]
    for j in range(columns, vectors * LANES):
        z[j] = 0.0
    return largest, total


def softmax(x, row, rows, columns, vectors):
    """Softmax of each row over its first ``columns`` elements."""
    for r in range(rows):
        _, total = exponentials(at(x, r * row), columns, vectors)
        scale_vectors(vectors, at(x, r * row), 1.0 / total)


def softmax_backward(dy, y, row, rows, columns, vectors):
    """Turn dy into the gradient with respect to the logits, row by row."""
    for r in range(rows):
        outputs, gradient = at(y, r * row), at(dy, r * row)
        weighted_sum = 0.0
        for j in range(columns):
            weighted_sum += outputs[j] * gradient[j]
        softmax_chain_vectors(vectors, gradient, outputs, weighted_sum)


def activation_forward(function, x, row, rows, columns, vectors, alpha):
    """Apply the activation with code ``function`` to a region; softmax needs whole rows of ``columns`` outputs."""
    if function == RELU:
        map_relu(x, row, rows, vectors, alpha)
    elif function == SIGMOID:
        map_sigmoid(x, row, rows, vectors, alpha)
    elif function == TANH:
        map_tanh(x, row, rows, vectors, alpha)
    elif function == SOFTMAX:
        softmax(x, row, rows, columns, vectors)
    elif function == LEAKY_RELU:
        map_leaky_relu(x, row, rows, vectors, alpha)
    elif function == ELU:
        map_elu(x, row, rows, vectors, alpha)
    elif function == SELU:
        map_selu(x, row, rows, vectors, alpha)
    elif function == GELU:
        map_gelu(x, row, rows, vectors, alpha)
    elif function == SILU:
        map_silu(x, row, rows, vectors, alpha)
    elif function == SOFTPLUS:
        map_softplus(x, row, rows, vectors, alpha)
    elif function == STEP:
        map_step(x, row, rows, vectors, alpha)


def activation_backward(function, dy, y, z, row, rows, columns, vectors, alpha):
    """Turn dy of a region into the gradient before the activation, from its output y or, for gelu and silu, input z."""
    if function == RELU:
        chain_relu(dy, y, row, rows, vectors, alpha)
    elif function == SIGMOID:
        chain_sigmoid(dy, y, row, rows, vectors, alpha)
    elif function == TANH:
        chain_tanh(dy, y, row, rows, vectors, alpha)
    elif function == SOFTMAX:
        softmax_backward(dy, y, row, rows, columns, vectors)
    elif function == LEAKY_RELU:
        chain_leaky_relu(dy, y, row, rows, vectors, alpha)
    elif function == ELU:
        chain_elu(dy, y, row, rows, vectors, alpha)
    elif function == SELU:
        chain_selu(dy, y, row, rows, vectors, alpha)
    elif function == GELU:
        chain_gelu(dy, z, row, rows, vectors, alpha)
    elif function == SILU:
        chain_silu(dy, z, row, rows, vectors, alpha)
    elif function == SOFTPLUS:
        chain_softplus(dy, y, row, rows, vectors, alpha)
