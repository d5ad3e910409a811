"""Networks on a GPU: parameters and the optimizer's state lie there, and come home when somebody looks at them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np

from fastnn.common.aligned_memory import aligned_zeros
from fastnn.data.device_array import DeviceArray
from fastnn.data.samples import Samples
from fastnn.data.streaming import chunk_rows
from fastnn.engine.cuda.inference import Inference
from fastnn.engine.cuda.mirrored_array import Mirror
from fastnn.engine.cuda.run import STATE, CudaRun, train_models
from fastnn.engine.engine import Engine
from fastnn.engine.inference import finished
from fastnn.engine.operands import operands
from fastnn.engine.run import START
from fastnn.engine.run_options import RunOptions
from fastnn.engine.weights_lock import Gate
from fastnn.kernels import codes
from fastnn.kernels.cuda import device
from fastnn.lowering.objective import Objective
from fastnn.lowering.plan import Plan

T = TypeVar("T")


class _CarefulGate(Gate):
    """A gate whose readers always take turns with runs: reading copies from the device."""

    def read(self, look: Callable[[], T]) -> T:
        return self.read_between_calls(look)


class CudaEngine(Engine):
    """A lowered network on a GPU; the interface is that of ``Engine``.

    Attributes
    ----------
    mirror, slot_mirror : Mirror
        The flat vectors of parameters and of moments.
    progress : Mirror
        The optimizer's state, and behind it what the run in progress keeps.

    Raises
    ------
    ValueError
        For mixed precision on a GPU that does not multiply bfloat16.
    """

    device = "cuda"
    run_type = CudaRun

    def __init__(self, plan: Plan, threads: int | None = None) -> None:
        if plan.mixed and not device.has_bfloat16():
            raise ValueError(
                f"dtype 'mixed_bfloat16' needs a GPU of compute capability 8.0 or newer, which "
                f"{device.device_name()} is not: use 'float32'"
            )
        super().__init__(plan if plan.lanes == 1 else plan.row_major(), threads)
        self.gate = _CarefulGate()

    # Arrays that are only looked at; who changes one says so to its mirror.

    @property
    def params(self) -> np.ndarray:  # type: ignore[override]
        return self.mirror.read()

    @params.setter
    def params(self, array: np.ndarray) -> None:
        self.mirror = Mirror(array)

    @property
    def slots(self) -> np.ndarray:  # type: ignore[override]
        return self.slot_mirror.read()

    @slots.setter
    def slots(self, array: np.ndarray) -> None:
        self.slot_mirror = Mirror(array)

    @property
    def state(self) -> np.ndarray:  # type: ignore[override]
        return self.progress.read()[:STATE]

    @state.setter
    def state(self, array: np.ndarray) -> None:
        self.progress = Mirror(array)

    @property
    def operand(self) -> Mirror:
        return self.mirror

    def _round(self, params: np.ndarray) -> None:
        """Leave it to the device, which rounds while it computes."""

    def _replace_params(self) -> Callable[[np.ndarray], None]:
        return self.mirror.replace

    def set_params(self, params: np.ndarray) -> None:
        self.mirror.write()[: params.size] = self._flat(params)

    def reset_optimizer(self, optimizer: Any) -> None:
        def change(mirrors: tuple[Mirror, Mirror]) -> None:
            self.optimizer, (self.slot_mirror, self.progress) = optimizer, mirrors

        zeros = aligned_zeros(2 * self.plan.n_parameters, self.plan.dtype)
        self.gate.write(lambda: (Mirror(zeros), Mirror(np.array(START))), change)
        optimizer.count(0)

    def _replace_state(self, packed: tuple[np.ndarray, np.ndarray]) -> None:
        progress = self.progress.read().copy()
        progress[:STATE], slots = packed
        self.progress.replace(progress)
        self.slot_mirror.replace(slots)

    def predict(
        self,
        x: Any,
        threads: int | None = None,
        check: Callable[[], object] | None = None,
        link: int = codes.OWN_ACTIVATION,
    ) -> Any:
        """Predict as ``Engine.predict`` does; a link is computed on the host, so it is for rows on the host alone."""
        if link < codes.IDENTITY:
            return super().predict(x, threads, check, link)
        return finished(link, super().predict(x, threads, check, codes.RAW))

    def inference(self, run: np.ndarray, objective: Objective | None = None) -> Inference:
        return Inference(self.plan, run, objective)

    def _empty(self, x: Any, shape: tuple[int, ...]) -> Any:
        return DeviceArray.empty(shape, self.plan.dtype) if isinstance(x, DeviceArray) else super()._empty(x, shape)

    def with_whole_weights(self, compute: Callable[[Any], T]) -> T:
        return self.gate.read(lambda: compute(self.mirror))

    def _penalty(self, params: Any) -> float:
        return super()._penalty(params.read())

    def train_many(
        self,
        objective: Objective,
        samples: Samples,
        options: RunOptions,
        first_weights: Sequence[Sequence[np.ndarray]],
        seeds: Sequence[int],
    ) -> tuple[list[list[np.ndarray]], np.ndarray]:
        self.plan.check_trainable()
        samples = operands(self.plan, samples, objective.target_width)
        arrays = [array for array in (samples.x, samples.y, samples.sample_weights) if array is not None]
        if options.order is not None or chunk_rows(arrays, 1) is not None:
            # each chunk would be in an order of its own, so no two networks could share one
            return super().train_many(objective, samples, options, first_weights, seeds)
        options = options.for_rows(len(samples))
        return train_models(self.plan, objective, self.optimizer, samples, options, first_weights, seeds)
