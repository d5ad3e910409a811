"""Picks device and threads, and runs plans: the one place that calls compiled programs."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np

from fastnn.kernels import codes, jit, team
from fastnn.plan import Objective, Plan, aligned_zeros

SLICE_SECONDS = 0.1  # longest compiled call, so that Ctrl-C is answered soon
FLOPS_PER_SECOND = 2e10  # cautious first guess of a core's speed, to size the first slice of a run
FLOPS_WORTH_A_THREAD = 2e6  # of a training step; less would be lost in barriers
FLOPS_WORTH_STARTING = 2e7  # of a prediction; less would be lost in starting threads

_num_threads: int | None = None


def _positive_threads(value: Any, name: str) -> int:
    try:
        number = int(value)
    except (TypeError, ValueError):
        number = 0
    if number < 1 or number != (value if isinstance(value, int) else number) or isinstance(value, bool):
        raise ValueError(f"{name} must be a positive whole number of threads; got {value!r}")
    return number


def set_num_threads(threads: int | None) -> None:
    """Set the most threads that fits and predictions may use; None goes back to the default.

    Raises
    ------
    ValueError
        If ``threads`` is not a positive whole number.
    """
    global _num_threads
    _num_threads = None if threads is None else _positive_threads(threads, "threads")


def get_num_threads() -> int:
    """Most threads that fits and predictions may use.

    What ``set_num_threads`` said, else the environment variable ``FASTNN_NUM_THREADS``, else the cores that
    affinity and the control group's quota allow. Small work uses fewer.
    """
    if _num_threads is not None:
        return _num_threads
    from_environment = os.environ.get("FASTNN_NUM_THREADS")
    if from_environment:
        return _positive_threads(from_environment, "FASTNN_NUM_THREADS")
    return team.available_cores()


def _team_size(threads: int | None, flops: float, flops_worth_a_thread: float) -> int:
    """Members of a team: as many as asked for, else as many as the work is worth."""
    if threads is not None:
        return _positive_threads(threads, "threads")
    return max(1, min(get_num_threads(), int(flops / flops_worth_a_thread)))


def _writable(array: np.ndarray) -> np.ndarray:
    """The same memory as a flat array flagged writable: programs have one signature, and only read it."""
    if array.flags.writeable:
        return array.reshape(-1)

    address, _ = array.__array_interface__["data"]
    interface = {**array.__array_interface__, "data": (address, False)}
    return np.asarray(SimpleNamespace(base=array, __array_interface__=interface)).reshape(-1)


class Engine:
    """A lowered network on a device: its parameters, its optimizer's state and the programs that run it.

    Parameters
    ----------
    plan : Plan
    device : {"cpu"}
    threads : int or None
        Team size; None chooses by the size of the work.

    Raises
    ------
    ValueError
        For an unknown device or number of threads.
    """

    def __init__(self, plan: Plan, device: str = "cpu", threads: int | None = None) -> None:
        if device != "cpu":
            raise ValueError(f"device must be 'cpu'; got {device!r}: there is no other backend in this version")
        self.plan = plan
        self.threads = None if threads is None else _positive_threads(threads, "threads")
        self.params = aligned_zeros(plan.n_parameters, plan.dtype)
        self.slots = np.zeros(0, plan.dtype)
        self.state = np.array([0.0, 1.0, 1.0])
        self.optimizer: Any = None

    @property
    def step(self) -> int:
        """Optimizer steps done since the optimizer was reset."""
        return int(self.state[0])

    def get_weights(self) -> list[np.ndarray]:
        """Copies of all weights, shaped like ``plan.weight_shapes``."""
        return self.plan.unpack(self.params)

    def set_weights(self, weights: Sequence[np.ndarray]) -> None:
        """Replace all weights; their shapes are those of ``plan.weight_shapes``."""
        self.plan.pack(weights, self.params)

    def reset_optimizer(self, optimizer: Any) -> None:
        """Start anew with ``optimizer``: moments zero, step count zero."""
        self.optimizer = optimizer
        self.slots = aligned_zeros(2 * self.plan.n_parameters, self.plan.dtype)
        self.state[:] = 0.0, 1.0, 1.0

    def gradient(self, objective: Objective, x: np.ndarray, y: np.ndarray, weights: np.ndarray | None = None) -> Any:
        """Mean gradient of the loss over all rows as one batch, shaped like ``get_weights()``."""
        probe = Engine(self.plan, threads=self.threads)
        probe.params[:] = self.params
        probe.reset_optimizer(_GradientOnly())
        run = probe.train(objective, x, y, weights, batch_size=len(x), epochs=1, shuffle=False, seed=0)
        run.advance(1)
        return self.plan.unpack(probe.slots[: self.plan.n_parameters])

    def predict(self, x: np.ndarray, threads: int | None = None) -> np.ndarray:
        """Outputs (n, n_outputs) for rows x (n, n_inputs) of the plan's dtype, C-contiguous."""
        outputs = np.empty((len(x), self.plan.n_outputs), self.plan.dtype)
        self._infer(_run_vector(codes_loss=-1), self.plan.ops, x, outputs, outputs[:0], None, np.zeros((0, 1)), threads)
        return outputs

    def evaluate(
        self, x: np.ndarray, y: np.ndarray, weights: np.ndarray | None, objective: Objective, threads: int | None = None
    ) -> np.ndarray:
        """Mean loss, penalties included, and mean of each metric over the rows: float64 (1 + metrics,).

        Parameters
        ----------
        x : (n, n_inputs), y : (n, target_width), weights : None or (n,); C-contiguous, of the plan's dtype
        """
        stats = np.empty((len(x), 1 + len(objective.metrics)))
        run = _run_vector(objective.loss, objective.metrics, targets=y.shape[1], weighted=weights is not None)
        self._infer(run, objective.ops, x, np.empty((0, 1), self.plan.dtype), y, weights, stats, threads)
        means = stats.mean(axis=0)
        means[0] += self._penalty() / (len(x) if self.plan.l2_per_row else 1)
        return means

    def _penalty(self) -> float:
        l2 = self.plan.factors[self.plan.ops[:, codes.KIND] == codes.DENSE, codes.L2]
        kernels = (weight for weight in self.get_weights() if weight.ndim == 2)
        return float(sum(c * np.square(w, dtype=np.float64).sum() for c, w in zip(l2, kernels, strict=True) if c))

    def _infer(
        self,
        run: np.ndarray,
        ops: np.ndarray,
        x: np.ndarray,
        outputs: np.ndarray,
        y: np.ndarray,
        weights: np.ndarray | None,
        stats: np.ndarray,
        threads: int | None,
    ) -> None:
        from fastnn.kernels.infer_cpu import BLOCK_ROWS, infer_rows

        plan = self.plan
        lanes = jit.lanes(plan.dtype)
        size = _team_size(threads or self.threads, plan.flops_per_row * len(x), FLOPS_WORTH_STARTING)
        size = max(1, min(size, -(-len(x) // BLOCK_ROWS)))
        row = (max(int(plan.ops[:, codes.PANELS].max()), -(-plan.n_inputs // lanes)) + 1) * lanes
        buffers = np.empty((size, 2 * BLOCK_ROWS * row + int(plan.ops[-1, codes.PANELS]) * lanes), plan.dtype)
        program = jit.program(infer_rows, plan.dtype)
        arguments = (
            run, ops, plan.factors, _writable(x), _writable(y), _flat_weights(weights, plan.dtype), self.params,
            buffers, stats, outputs,
        )  # fmt: skip
        _compile_first(program, (0, 1, np.zeros(team.SYNC_SIZE, np.int64)), arguments)
        team.run_team(program, size, *arguments)

    def train(
        self,
        objective: Objective,
        x: np.ndarray,
        y: np.ndarray,
        weights: np.ndarray | None = None,
        *,
        batch_size: int,
        epochs: int,
        shuffle: bool,
        seed: int,
        first_epoch: int = 0,
        order: np.ndarray | None = None,
    ) -> Run:
        """Prepare a run of ``epochs`` epochs with the optimizer given to ``reset_optimizer``.

        Parameters
        ----------
        x : (n, n_inputs), y : (n, target_width), weights : None or (n,); C-contiguous, of the plan's dtype
        batch_size : rows of a step; the last step of an epoch takes what is left
        shuffle : draw a new order of the rows each epoch, from ``seed`` and the epoch's number alone
        seed : 0 <= seed < 2**64, for the order and for dropout
        first_epoch : number of the first epoch
        order : int64 (n,), the order of the rows where ``shuffle`` is False; it may be changed between epochs

        Raises
        ------
        ValueError
            If the network cannot be trained.
        """
        self.plan.check_trainable()
        return Run(self, objective, x, y, weights, batch_size, epochs, shuffle, seed, first_epoch, order)


class _GradientOnly:
    """The optimizer that stores the gradient instead of using it."""

    name = "gradient"

    def hyperparameters(self) -> tuple[float, ...]:
        return (0.0,) * len(codes.HYPERPARAMETERS)


class Run:
    """One fit in progress; nothing happens before ``advance``.

    Attributes
    ----------
    steps_per_epoch : int
    done : int
        Steps done in this run.
    order : int64 (n,)
        Order of the rows in the present epoch.
    """

    def __init__(
        self,
        engine: Engine,
        objective: Objective,
        x: np.ndarray,
        y: np.ndarray,
        weights: np.ndarray | None,
        batch_size: int,
        epochs: int,
        shuffle: bool,
        seed: int,
        first_epoch: int,
        order: np.ndarray | None,
    ) -> None:
        from fastnn.kernels.train_cpu import train_steps

        plan, n = engine.plan, len(x)
        batch_size = min(batch_size, n)
        self.engine = engine
        self.done = 0
        self.rows = n
        self.batch_size = batch_size
        self.epochs = epochs
        self.steps_per_epoch = -(-n // batch_size)
        self.order = np.arange(n) if order is None else order
        self._flops = 3.0 * plan.flops_per_row * batch_size
        self._size = _team_size(engine.threads, self._flops, FLOPS_WORTH_A_THREAD)
        self._seconds_per_step = self._flops / FLOPS_PER_SECOND + 1e-6
        self._hyper = np.zeros(len(codes.HYPERPARAMETERS))
        self._results = np.zeros((epochs, 1 + len(objective.metrics)))
        self._program = jit.program(train_steps, plan.dtype)
        layout = plan.layout(objective.ops, batch_size)
        run = _run_vector(
            objective.loss, objective.metrics, batch=batch_size, rows=n, targets=y.shape[1], shuffle=shuffle,
            optimizer=codes.OPTIMIZERS.index(engine.optimizer.name), weighted=weights is not None, seed=seed,
            first_epoch=first_epoch, l2_per_row=plan.l2_per_row,
        )  # fmt: skip
        self._arguments = (
            run, self._hyper, engine.state, layout.ops, plan.factors, _writable(x), _writable(y),
            _flat_weights(weights, plan.dtype), self.order, engine.params, engine.slots,
            layout.workspace(batch_size, plan.dtype), np.zeros((self._size, layout.scratch_size), plan.dtype),
            np.zeros(batch_size * (1 + len(objective.metrics))), self._results,
        )  # fmt: skip
        _compile_first(self._program, (0, 1, np.zeros(team.SYNC_SIZE, np.int64)), (*self._arguments, 0, 0))

    def advance(self, steps: int) -> int:
        """Do up to ``steps`` steps in one compiled call of about ``SLICE_SECONDS`` at most, and return how many.

        Ctrl-C arrives after the call; the weights are then those of a whole step.
        """
        left = self.epochs * self.steps_per_epoch - self.done
        steps = max(0, min(steps, left, max(1, int(SLICE_SECONDS / self._seconds_per_step))))
        if not steps:
            return 0
        self._hyper[:] = self.engine.optimizer.hyperparameters()
        begun = time.perf_counter()
        team.run_team(self._program, self._size, *self._arguments, self.done, self.done + steps)
        self.done += steps
        self._seconds_per_step = (time.perf_counter() - begun) / steps
        return steps

    def logs(self, epoch_index: int) -> np.ndarray:
        """Mean loss and metrics over the rows seen so far in an epoch of this run (0 is its first)."""
        steps = min(self.done - epoch_index * self.steps_per_epoch, self.steps_per_epoch)
        return self._results[epoch_index] / max(1, min(steps * self.batch_size, self.rows))


def _flat_weights(weights: np.ndarray | None, dtype: np.dtype) -> np.ndarray:
    return np.zeros(0, dtype) if weights is None else _writable(weights)


def _compile_first(program: Any, team_arguments: tuple, arguments: tuple) -> None:
    """Compile a program before a team calls it, so that its members do not wait for the compiler at the barrier."""
    if not program.signatures:
        import numba

        program.compile(tuple(numba.typeof(argument) for argument in (*team_arguments, *arguments)))


def _run_vector(
    codes_loss: int,
    metrics: Sequence[int] = (),
    *,
    batch: int = 0,
    rows: int = 0,
    targets: int = 0,
    optimizer: int = 0,
    shuffle: bool = False,
    weighted: bool = False,
    seed: int = 0,
    first_epoch: int = 0,
    l2_per_row: bool = False,
) -> np.ndarray:
    """The integer vector that describes a run to the programs; columns in ``kernels/codes.py``."""
    values = {
        codes.BATCH: batch, codes.ROWS: rows, codes.TARGETS: targets, codes.LOSS: codes_loss,
        codes.OPTIMIZER: optimizer, codes.SHUFFLE: shuffle, codes.WEIGHTED: weighted,
        codes.SEED_LOW: seed & 0xFFFFFFFF, codes.SEED_HIGH: seed >> 32, codes.FIRST_EPOCH: first_epoch,
        codes.L2_PER_ROW: l2_per_row, codes.METRICS_COUNT: len(metrics),
    }  # fmt: skip
    return np.array([*(values[column] for column in range(codes.METRICS_START)), *metrics], np.int64)
