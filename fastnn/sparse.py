"""Sparse rows as the compiled programs take them; the arrays are described in ``kernels/sparse_cpu.py``."""

from __future__ import annotations

from typing import Any

import numpy as np


def is_sparse(x: Any) -> bool:
    """Whether x is a SciPy matrix or array of compressed rows."""
    return getattr(x, "format", None) == "csr"


def features(x: Any, dtype: np.dtype, batch_size: int = 0) -> tuple[np.ndarray, ...] | None:
    """Entries of x (n, inputs), and room for batches of up to ``batch_size`` of its rows; None for a dense x."""
    if not is_sparse(x):
        return None
    starts = x.indptr.astype(np.int64)
    room = int(np.sort(np.diff(starts))[len(starts) - 1 - batch_size :].sum()) if batch_size else 0
    return (
        np.ascontiguousarray(x.data, dtype),
        np.ascontiguousarray(x.indices, np.int32),
        starts,
        np.empty(x.shape[1] + 2 if batch_size else 0, np.int64),
        np.empty(room, np.int32),
        np.empty(room, dtype),
    )
