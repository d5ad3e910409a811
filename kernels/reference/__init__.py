"""The oracle of the tests: every kernel again in slow, obvious float64 NumPy, with no code shared with the fast path.

Arrays are rows by columns. Targets have the shape of the outputs, or (rows, 1) holding class numbers for the
sparse losses and metrics. Names are those of ``codes.py``.
"""

from .activations import activation, activation_gradient
from .dense import bfloat16, dense_backward_input, dense_backward_params, dense_forward
from .losses import loss, loss_gradient, metric
from .optimizers import optimizer_step
from .random import dropout_mask, permutation, philox4x32
from .training import forward, loss_and_gradients, train

__all__ = [
    "activation", "activation_gradient", "bfloat16", "dense_backward_input", "dense_backward_params", "dense_forward",
    "dropout_mask", "forward", "loss", "loss_and_gradients", "loss_gradient", "metric", "optimizer_step", "permutation",
    "philox4x32", "train",
]  # fmt: skip
