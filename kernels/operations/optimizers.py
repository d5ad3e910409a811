"""Optimizer steps on whole vectors of the flat parameter vector; formulas in ``formulas/update_rules.py``."""

from __future__ import annotations

import functools

from .. import codes
from ..element_types import NUMBER  # noqa: F401 - in a source that is put together
from ..formulas.activations import undefined
from ..formulas.update_rules import OPTIMIZERS, penalized, unchanged
from ..llvm.vector_loops import vector_loop
from .arithmetic import copy_vectors
from .choices import Call, chosen

penalize_vectors = vector_loop(penalized, 1, 2, 1)
spoil_vectors = vector_loop(undefined, 1, 1, 0)
MOMENTS = ("", ", m", ", m, v")
NUMBERS = "hyper[codes.LEARNING_RATE], hyper[codes.BETA_1], hyper[codes.EPSILON], NUMBER(t), power_1, power_2"


@chosen(
    {
        code: Call(rule.constants, NUMBERS, "return")
        for code, rule in enumerate(OPTIMIZERS.values())
        if rule and rule.constants is not unchanged
    },
    otherwise=Call(unchanged, NUMBERS, "return"),
)
def constants(optimizer, hyper, t, power_1, power_2):
    """Rate, momentum and epsilon of step t = 1, 2, ..., and the new power_1, from beta_1**t and beta_2**t."""


@functools.cache
def _loop(step, rule):
    return vector_loop(step, 1 + rule.moments, 2 + rule.moments, len(rule.numbers))


def rules():
    """Step and rule of each optimizer, by its code, or by that and a condition."""
    for code, rule in enumerate(OPTIMIZERS.values()):
        if rule and rule.ahead:
            yield (code, "descent.nesterov"), rule.ahead, rule
        if rule:
            yield code, rule.step, rule


def _update(step, rule):
    numbers = ", ".join(f"descent.{name}" for name in rule.numbers)
    return Call(_loop(step, rule), f"1, 0, vectors, w{MOMENTS[rule.moments]}, g, {numbers}")


@chosen(
    {case: _update(step, rule) for case, step, rule in rules()}
    | {codes.GRADIENT: Call(copy_vectors, "1, 0, vectors, m, g")},
    otherwise=Call(spoil_vectors, "1, 0, vectors, w"),
    by="descent.optimizer",
)
def update(descent, w, m, v, g, vectors):
    """Update ``vectors`` vectors of weights w and moments m, v with gradients g.

    The code GRADIENT leaves w alone and stores the gradient in m. Weights decay as Loshchilov and Hutter (2019) say.
    """
