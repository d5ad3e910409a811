"""Which method of multiplying matrices serves which precision and shape on a GPU; nothing else decides it."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable

import numpy as np

from .gemm import Method, numbers_method
from .jit import SIMULATED
from .launches.dense import forward_kernel, input_gradient_kernel, weight_gradient_kernel
from .tensor_cores import tensor_method

PRODUCTS = {
    "forward": forward_kernel,
    "input_gradient": input_gradient_kernel,
    "weight_gradient": weight_gradient_kernel,
}


def _tensor_methods(pairs: bool) -> tuple[Method, ...]:
    return (
        tensor_method(128, 128, 16, 64, 32, pairs),
        tensor_method(64, 64, 16, 32, 16, pairs),
        tensor_method(32, 32, 16, 16, 16, pairs),
    )


BOTH_DTYPES = ("float32", "float64")
MIDDLE, SMALL = numbers_method(64, 64, 16, 4, 4, BOTH_DTYPES), numbers_method(32, 32, 16, 4, 4, BOTH_DTYPES)
# Tiles from the largest on: larger ones read less memory, smaller ones occupy more of the GPU.
METHODS_OF_GPUS: dict[str, tuple[Method, ...]] = {
    "float32": (numbers_method(128, 128, 16, 8, 8, ("float32",)), MIDDLE, SMALL),
    "float64": (MIDDLE, SMALL),
    "tf32": _tensor_methods(pairs=False),
    "bfloat16": _tensor_methods(pairs=True),
}
METHODS = METHODS_OF_GPUS
if SIMULATED:  # a simulated thread is a thread of Python, so there are few of them
    _few = numbers_method(16, 8, 8, 4, 4, BOTH_DTYPES), numbers_method(8, 8, 4, 4, 4, BOTH_DTYPES)
    METHODS = {"float32": _few, "float64": _few} | {
        name: (tensor_method(16, 16, 16, 16, 16, pairs=name == "bfloat16"),) for name in ("tf32", "bfloat16")
    }
BLOCKS_WANTED = (
    4 if SIMULATED else 128
)  # tiles that occupy a large GPU; not asked of the one at hand, on which results would then depend
ROWS_OF_SLICE = 8 if SIMULATED else 128  # least rows of a batch worth a sum of their own


def precision_of(dtype: np.dtype, mixed: bool) -> str:
    """Precision of the operands of products in training: a name in ``METHODS``.

    float32 stays float32, unless ``FASTNN_TF32=1`` lets the tensor cores round its operands to TF32.

    Raises
    ------
    ValueError
        If ``FASTNN_TF32`` is neither 0 nor 1.
    """
    wanted = os.environ.get("FASTNN_TF32") or "0"
    if wanted not in ("0", "1"):
        raise ValueError(f"FASTNN_TF32={wanted!r}: choose 1 for products of TF32, or 0, or unset it, for float32")
    if mixed:
        return "bfloat16"
    return "tf32" if wanted == "1" and dtype == np.float32 else dtype.name


def tiles(method: Method, rows: int, columns: int) -> int:
    """Number of tiles of a result."""
    return -(-rows // method.rows) * -(-columns // method.columns)


def method_for(precision: str, rows: int, columns: int) -> Method:
    """Largest tiles that still occupy a GPU, or the smallest."""
    methods = METHODS[precision]
    return next((method for method in methods if tiles(method, rows, columns) >= BLOCKS_WANTED), methods[-1])


def slices_for(most_tiles: int, batch_size: int) -> int:
    """Into how many slices to cut the rows of a batch for the gradients of weights."""
    return max(1, min(BLOCKS_WANTED // most_tiles, batch_size // ROWS_OF_SLICE))


@functools.cache
def product_kernel(product: str, method: Method) -> Callable:
    """Kernel of a name in ``PRODUCTS``, the same object for the same method."""
    return PRODUCTS[product](method)
