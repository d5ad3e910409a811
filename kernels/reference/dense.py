"""The oracle's dense layers in float64 NumPy, with the rounding of operands; see ``reference/``."""

import numpy as np


def bfloat16(values):
    """Round to the nearest bfloat16, ties to even, as its instructions do: through float32, subnormals to zero."""
    values = np.asarray(values, np.float32)
    bits = np.where(np.abs(values) < np.finfo(np.float32).tiny, np.copysign(np.float32(0.0), values), values)
    bits = bits.view(np.uint32)
    nearest = (bits + np.uint32(0x7FFF) + (bits >> np.uint32(16) & np.uint32(1))) & np.uint32(0xFFFF0000)
    return np.where(np.isnan(values), np.nan, nearest.view(np.float32)).astype(np.float64)


def _operand(values, mixed):
    return bfloat16(values) if mixed else np.asarray(values, np.float64)


def dense_forward(x, kernel, bias=None, mixed=False):
    """Pre-activations (rows, out) of inputs (rows, in), kernel (in, out), bias (out,)."""
    z = _operand(x, mixed) @ _operand(kernel, mixed)
    return z if bias is None else z + np.asarray(bias, np.float64)


def dense_backward_input(dz, kernel, mixed=False):
    """Gradient with respect to the inputs, (rows, in), from dz (rows, out)."""
    return _operand(dz, mixed) @ _operand(kernel, mixed).T


def dense_backward_params(x, dz, mixed=False):
    """Gradients with respect to kernel (in, out) and bias (out,), summed over the rows."""
    dz = _operand(dz, mixed)
    return _operand(x, mixed).T @ dz, dz.sum(axis=0)
