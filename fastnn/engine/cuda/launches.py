"""Launches on a batch of rows through a large network on a GPU: what training and predictions share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fastnn.kernels import codes
from fastnn.kernels.cuda import jit
from fastnn.kernels.cuda.gemm_choice import method_for, product_kernel
from fastnn.kernels.cuda.jit import SIMULATED
from fastnn.kernels.cuda.launches import normalization, step

THREADS = 8 if SIMULATED else 256  # of a block, where products do not say otherwise
COLUMN_THREADS = 4 if SIMULATED else 32  # of them for columns, where sums go down columns
ROW_THREADS = 4 if SIMULATED else 128  # of a block that has a row
FEW_THREADS = 4 if SIMULATED else 32  # of a block where a thread has a row, to spread them over the GPU
MOST_BLOCKS = 4096
ROOM = 4  # elements before each row of the workspace: rows start where four numbers can be loaded at once

Launch = tuple[Any, tuple]  # configured kernel; arguments: names of arrays, and numbers


def bound(launches: list[Launch], memory: dict[str, Any]) -> list[tuple[Any, list]]:
    """Look up the arrays that arguments name."""
    return [
        (kernel, [memory[name] if isinstance(name, str) else name for name in arguments])
        for kernel, arguments in launches
    ]


class Launches:
    """Launches on up to ``batch`` rows.

    Parameters
    ----------
    ops : ndarray
        The operation table with its offsets, ``plan.layout(..., room=ROOM).ops``.
    batch : int
    dtype : numpy.dtype
    precision : str
        Of the operands of products, see ``kernels/cuda/gemm_choice.py``.
    """

    def __init__(self, ops: np.ndarray, batch: int, dtype: np.dtype, precision: str) -> None:
        self._ops, self._batch, self._dtype, self._precision = ops, batch, dtype, precision

    def _launch(self, function: Callable, blocks: Any, threads: Any, *arguments: Any) -> Launch:
        return jit.configured(jit.kernel(function, self._dtype), blocks, threads), arguments

    def _one_thread(self, function: Callable, *arguments: Any) -> Launch:
        return self._launch(function, 1, 1, *arguments)

    def _spread(self, function: Callable, items: int, *arguments: Any) -> Launch:
        """Launch with about as many threads as there are items."""
        return self._launch(function, min(MOST_BLOCKS, -(-items // THREADS)), THREADS, *arguments)

    def _down_columns(self, function: Callable, columns: int, *arguments: Any) -> Launch:
        threads = COLUMN_THREADS, THREADS // COLUMN_THREADS
        return self._launch(function, (-(-columns // COLUMN_THREADS), 1), threads, *arguments)

    def _thread_a_row(self, function: Callable, *arguments: Any) -> Launch:
        return self._launch(function, -(-self._batch // FEW_THREADS), FEW_THREADS, *arguments)

    def _by_rows(self, function: Callable, *arguments: Any) -> Launch:
        return self._launch(function, self._batch, ROW_THREADS, *arguments)

    def _product(self, product: str, rows: int, columns: int, slices: int, *arguments: Any) -> Launch:
        method = method_for(self._precision, rows, columns)
        blocks = -(-columns // method.columns), -(-rows // method.rows), slices
        return self._launch(product_kernel(product, method), blocks, method.threads, *arguments)

    def _gather(self) -> Launch:
        items = self._batch * int(self._ops[0, codes.INPUTS])
        return self._spread(step.gather_batch, items, "ops", "scaling", "x", "order", "work", "clock")

    def _forward(self) -> list[Launch]:
        launches = []
        for index, op in enumerate(self._ops):
            kind, columns = op[codes.KIND], int(op[codes.OUTPUTS])
            arguments: tuple = ("ops", index, "factors", "params", "work", "clock")
            if kind == codes.DENSE:
                launches.append(self._product("forward", self._batch, columns, 1, *arguments))
            elif kind == codes.LAYER_NORM:
                launches.append(self._by_rows(normalization.normalize_rows, *arguments))
            elif kind >= codes.STANDARDIZE:
                if kind == codes.BATCH_NORM:
                    launches.append(self._statistics(index, columns))
                normalize = normalization.normalize_columns
                launches.append(self._spread(normalize, self._batch * columns, *arguments))
            else:
                items = self._batch * -(-columns // 4)
                arguments = ("run", "ops", index, "factors", "work", "clock")
                launches.append(self._spread(step.simple_forward_quads, items, *arguments))
            if op[codes.FUNCTION] == codes.SOFTMAX:
                launches.append(self._thread_a_row(step.softmax_of_rows, "ops", index, "work", "clock"))
        return launches

    def _statistics(self, index: int, columns: int) -> Launch:
        """Means and deviations for the columns of batch normalization ``index``."""
        raise NotImplementedError
