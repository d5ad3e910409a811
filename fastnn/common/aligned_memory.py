"""Memory that begins on a cache line."""

import numpy as np


def aligned_zeros(size: int, dtype: np.dtype, alignment: int = 64) -> np.ndarray:
    """Zeros whose first element lies on a multiple of ``alignment`` bytes, a cache line."""
    itemsize = np.dtype(dtype).itemsize
    memory = np.zeros(size * itemsize + alignment, np.uint8)
    offset = -memory.ctypes.data % alignment
    return memory[offset : offset + size * itemsize].view(dtype)
