"""Blocks of threads on a GPU, and forward passes by them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from fastnn.data.device_array import DeviceArray, there
from fastnn.data.streaming import Chunks, chunk_rows
from fastnn.engine.cuda import inference_launches
from fastnn.engine.cuda.mirrored_array import Mirror
from fastnn.engine.sparse_rows import is_sparse
from fastnn.kernels import codes
from fastnn.kernels.cuda import device, jit
from fastnn.kernels.cuda.jit import cuda
from fastnn.lowering.objective import Objective
from fastnn.lowering.plan import Plan

WARP = 4 if jit.SIMULATED else 32
MOST_THREADS = 8 if jit.SIMULATED else 256  # of a block: each may need as many registers as there are for so many
ROWS_OF_BLOCK = 32  # that a block predicts at once
MOST_BLOCKS = 1024  # of a prediction


def block_threads(items: int) -> int:
    """Threads for a block that has ``items`` numbers to compute at once."""
    return min(MOST_THREADS, max(WARP, -(-items // WARP) * WARP))


def check_rows(x: Any) -> None:
    """Raise ValueError for rows that the kernels cannot read."""
    if is_sparse(x):
        raise ValueError("device 'cuda' takes no sparse rows: pass a dense array, or use device='cpu'")


class Inference:
    """A plan's forward pass on the device, for predictions or evaluations: see ``engine.inference.Inference``."""

    def __init__(self, plan: Plan, run: np.ndarray, objective: Objective | None = None) -> None:
        from fastnn.kernels.cuda import variants
        from fastnn.kernels.cuda.blocks import inference

        self._plan, self._run_here, self._objective = plan, run, objective
        self._run = cuda.to_device(run)
        self._large: dict[int, Any] = {}  # forward passes of many launches, by the rows of their batches
        ops = plan.raw_ops if run[codes.LINK] else plan.ops if objective is None else objective.ops
        loss_factors = np.zeros(1, plan.dtype) if objective is None else objective.factors.ravel()
        self._tables = [
            cuda.to_device(table) for table in (ops.ravel(), plan.factors.ravel(), loss_factors, plan.scaling)
        ]
        self._stride = max(plan.n_inputs, int(ops[:, codes.PANELS].max())) + 1  # odd: rows lie in different banks
        self._rows, self._shared = ROWS_OF_BLOCK, 0
        while self._rows > 1 and not self._fits():
            self._rows //= 2
        self._shared = int(self._fits())
        self._threads = block_threads(self._rows * self._stride)
        self._kernel = variants.kernel(inference.infer_blocks, plan.dtype, plan.mixed)
        self._nothing = cuda.to_device(np.zeros(1, plan.dtype))

    def _fits(self) -> bool:
        return 2 * self._rows * self._stride * self._plan.dtype.itemsize <= device.shared_bytes()

    def __call__(
        self,
        params: Mirror,
        x: Any,
        *,
        outputs: Any = None,
        y: Any = None,
        sample_weights: Any = None,
        stats: np.ndarray | None = None,
        finished: None = None,
        threads: int | None = None,
        plain: bool = False,
    ) -> float:
        """Fill ``outputs`` (n, n_outputs), or ``stats`` (n, 1 + metrics) from targets y and sample_weights.

        All but ``stats`` may be a ``DeviceArray``. Returns NaN: nobody looks whether x holds some. ``finished``,
        ``threads`` and ``plain`` are the CPU's.
        """
        check_rows(x)
        n, data = len(x), [array for array in (x, y, sample_weights) if array is not None]
        if n == 0:
            return math.nan
        results = sum(array[:1].nbytes for array in (outputs, stats) if isinstance(array, np.ndarray))
        at_once = chunk_rows(data, ROWS_OF_BLOCK, results)
        compute = self._by_launches if inference_launches.pays(self._plan, n) else self._by_blocks
        if at_once is None:
            self._do(compute, params, [there(array) for array in data], n, outputs, stats)
            return math.nan
        chunks = Chunks(data, at_once)
        for first in range(0, n, at_once):
            rows, following = slice(first, min(n, first + at_once)), slice(first + at_once, first + 2 * at_once)
            arrays = chunks.take(first, rows)
            if following.start < n:
                chunks.begin(following.start, following)
            out, stat = (None if array is None else array[rows] for array in (outputs, stats))
            self._do(compute, params, arrays, rows.stop - first, out, stat)
        return math.nan

    def _do(
        self, compute: Callable, params: Mirror, data: list[Any], n: int, outputs: Any, stats: np.ndarray | None
    ) -> None:
        """Do the same for x, y and sample_weights, if there are any, on the device."""
        stay = isinstance(outputs, DeviceArray)
        found = outputs.memory if stay else self._room(outputs, self._plan.dtype)
        figures = self._room(stats, np.dtype(np.float64))
        data = data + [self._nothing] * (3 - len(data))
        compute(n, params, data, figures, found)
        if stay:
            cuda.synchronize()
        elif outputs is not None:
            found.copy_to_host(outputs.reshape(-1))
        if stats is not None:
            figures.copy_to_host(stats.reshape(-1))

    def _room(self, results: np.ndarray | None, dtype: np.dtype) -> Any:
        return cuda.device_array(1 if results is None else results.size, dtype)

    def _by_launches(self, n: int, params: Mirror, data: list[Any], figures: Any, found: Any) -> None:
        """Compute with a launch for each product."""
        batch = inference_launches.batch_of(n)
        if batch not in self._large:
            self._large[batch] = inference_launches.Forward(self._plan, self._run_here, batch, self._objective)
        memory = dict(zip(("x", "y", "sample_weights"), data, strict=True))
        self._large[batch](n, params=params.there(), stats=figures, outputs=found, **memory)

    def _by_blocks(self, n: int, params: Mirror, data: list[Any], figures: Any, found: Any) -> None:
        """Compute in one launch, blocks of rows in turn to each block of threads."""
        dtype, size = self._plan.dtype, 2 * self._rows * self._stride
        blocks = min(-(-n // self._rows), MOST_BLOCKS)
        sizes = np.array([len(self._plan.ops), n, self._rows, self._stride, self._shared], np.int64)
        buffers = cuda.device_array(1 if self._shared else blocks * size, dtype)
        shared = size * dtype.itemsize if self._shared else 0
        jit.configured(self._kernel, blocks, self._threads, shared)(
            cuda.to_device(sizes), self._run, *self._tables, *data, params.there(), buffers, figures, found
        )
