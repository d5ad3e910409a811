"""Holds what a network keeps between runs on the CPU: the one door to the compiled programs."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np

from fastnn.common.aligned_memory import aligned_zeros
from fastnn.data.samples import Samples
from fastnn.engine.evaluation import Evaluation, LossGradient
from fastnn.engine.inference import Inference, link_width
from fastnn.engine.operands import counters_of, input_operand, operand, operands, order_operand
from fastnn.engine.programs import round_weights, run_vector
from fastnn.engine.run import START, Run
from fastnn.engine.run_options import RunOptions
from fastnn.engine.threads import positive_threads
from fastnn.engine.turns import Turns
from fastnn.engine.weights_lock import Gate
from fastnn.kernels import codes
from fastnn.lowering.kinds import kind_of
from fastnn.lowering.objective import Objective
from fastnn.lowering.plan import Plan

T = TypeVar("T")


class Engine:
    """A lowered network on the CPU: its parameters, its optimizer's state and the programs that run it.

    Parameters
    ----------
    plan : Plan
    threads : int or None
        Team size; None chooses by the size of the work.

    Raises
    ------
    ValueError
        For a wrong number of threads.
    """

    device = "cpu"
    run_type: type[Run] = Run
    jit_compile: bool | str = "auto"  # whether runs get a program for this very network, see `CompiledStack.compile`

    def __init__(self, plan: Plan, threads: int | None = None) -> None:
        self.plan = plan
        self.threads = None if threads is None else positive_threads(threads, "threads")
        self.params = aligned_zeros(plan.memory_size, plan.dtype)
        self.slots = np.zeros(0, plan.dtype)
        self.state = np.array(START)
        self.optimizer: Any = None
        self.gate = Gate()
        self.turn = Turns()  # of fits of this network
        self.in_fit = False  # of an estimator
        self._predictors: dict[int, Inference] = {}  # by their link

    @property
    def operand(self) -> Any:
        """The parameters as programs take them."""
        return self.params

    def twin(self, plan: Plan) -> Engine:
        """Return an engine like this one, with these weights, for a plan of the same shapes."""
        engine = type(self)(plan, self.threads)
        engine.jit_compile = self.jit_compile
        engine.set_params(self.params)
        return engine

    def set_params(self, params: np.ndarray) -> None:
        """Replace the first so many elements of the flat vector of parameters: the trained ones, or all."""
        self.params[: params.size] = self._flat(params)

    def _flat(self, params: np.ndarray) -> np.ndarray:
        trained = np.shape(params) == (self.plan.n_parameters,)
        size = self.plan.n_parameters if trained else self.plan.memory_size
        return operand("params", params, (np.float32, np.float64), (size,))

    @property
    def step(self) -> int:
        """Optimizer steps done since the optimizer was reset."""
        return int(self.state[0])

    def get_weights(self, some: slice = slice(None)) -> list[np.ndarray]:
        """Copies of all weights, shaped like ``plan.weight_shapes``, or some of them; always of a whole step."""
        return self.gate.read(lambda: self.plan.unpack(self.params, some=some))

    def set_weights(self, weights: Sequence[np.ndarray], first: int | None = None) -> None:
        """Replace all weights, shaped like ``plan.weight_shapes``, or only these from position ``first`` on.

        In the midst of a run it is done after the step.
        """
        self.gate.write(lambda: self._packed(weights, first), self._replace_params())

    def _packed(self, weights: Sequence[np.ndarray], first: int | None) -> np.ndarray:
        """Return parameters with these weights."""
        params = aligned_zeros(self.params.size, self.plan.dtype)
        if first is not None:
            params[:] = self.params
        self.plan.pack(weights, params, first=first)
        self._round(params)
        return params

    def _round(self, params: np.ndarray) -> None:
        """Renew the rounded weights of mixed precision that lie behind the others."""
        if self.plan.mixed:
            round_weights(self.plan, params)

    def _replace_params(self) -> Callable[[np.ndarray], None]:
        """Return what puts other parameters instead of the present ones, in one step."""
        return functools.partial(operator.setitem, self.params, slice(None))

    def reset_optimizer(self, optimizer: Any) -> None:
        """Start anew with ``optimizer``: moments zero, step count zero."""

        def change(slots: np.ndarray) -> None:
            self.optimizer, self.slots = optimizer, slots
            self.state[:] = START

        self.gate.write(lambda: aligned_zeros(2 * self.plan.n_parameters, self.plan.dtype), change)
        optimizer.count(0)

    def get_state(self) -> dict[str, Any]:
        """State of the optimizer, independent of the machine.

        Its counters, and its moments shaped like the weights that are trained.
        """
        return self.gate.read(self._state)

    def _state(self) -> dict[str, Any]:
        slots = (slot for slot in np.split(self.slots, 2) if slot.size)
        return {"counters": self.state.copy(), "moments": [self.plan.unpack(slot, trained=True) for slot in slots]}

    def snapshot(self, more: Callable[[], T]) -> tuple[list[np.ndarray], dict[str, Any], T]:
        """Weights, the optimizer's state and what `more` returns, all of the same step."""
        return self.gate.read(lambda: (self.plan.unpack(self.params), self._state(), more()))

    def set_state(self, state: dict[str, Any]) -> None:
        """Bring the optimizer given to ``reset_optimizer`` to a state from ``get_state``."""
        self.gate.write(lambda: self._packed_state(state), self._replace_state)
        self.optimizer.count(self.step)

    def _packed_state(self, state: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
        """Return the counters and the flat vector of moments of a state."""
        counters, slots = counters_of(state), np.zeros(self.slots.size, self.plan.dtype)
        for slot, moments in zip(np.split(slots, 2), state["moments"], strict=True):
            self.plan.pack(moments, slot, trained=True)
        return counters, slots

    def _replace_state(self, packed: tuple[np.ndarray, np.ndarray]) -> None:
        self.state[:], self.slots[:] = packed

    def gradient(self, objective: Objective, samples: Samples) -> list[np.ndarray]:
        """Mean gradient of the loss over all rows as one training batch, shaped like the weights that are trained."""
        _, gradient = LossGradient(self, objective, samples)(self.params[: self.plan.n_parameters])
        return self.plan.unpack(gradient, trained=True)

    def predict(
        self,
        x: np.ndarray,
        threads: int | None = None,
        check: Callable[[], object] | None = None,
        link: int = codes.OWN_ACTIVATION,
    ) -> np.ndarray:
        """Outputs (n, n_outputs) for rows x (n, n_inputs) of the plan's dtype, C-contiguous.

        ``check`` raises if there are NaN or infinities in x. It is called if there seem to be some, which the compiled
        code notices while it computes. With a ``link`` of ``codes.LINKS`` the last layer, a dense one, has that instead
        of its activation, and the outputs are float64, (n, 2) for a pair, unless they are raw.
        """
        predictor = self._predictors.get(link)
        if predictor is None:
            columns = {codes.LOSS: codes.NO_LOSS, codes.IN_LANES: self.plan.is_narrow, codes.LINK: link}
            predictor = self._predictors[link] = self.inference(run_vector(columns))
        plan = self.plan
        plain = (  # in order, aligned and writable: a check that costs single rows little
            type(x) is np.ndarray
            and x.dtype is plan.dtype
            and x.ndim == 2
            and x.shape[1] == plan.n_inputs
            and x.flags.carray
        )
        if not plain:
            x = input_operand(plan, x)
        threads = threads or self.threads
        outputs: Any = None
        finished: Any = None
        if link < codes.IDENTITY:
            outputs = self._empty(x, (x.shape[0], plan.n_outputs))
        else:
            finished = np.empty((x.shape[0], link_width(link, plan.n_outputs)))
        trace = self.with_whole_weights(
            lambda params: predictor(params, x, outputs=outputs, finished=finished, threads=threads, plain=plain)
        )
        if trace != 0.0 and check is not None:
            check()
        return finished if outputs is None else outputs

    def _empty(self, x: Any, shape: tuple[int, ...]) -> Any:
        """Memory for predictions of rows x."""
        return np.empty(shape, self.plan.dtype)

    def inference(self, run: np.ndarray, objective: Objective | None = None) -> Any:
        """Return a forward pass, prepared."""
        return Inference(self.plan, run, objective)

    def with_whole_weights(self, compute: Callable[[Any], T]) -> T:
        """Return what `compute` makes of parameters of a whole step, also while another thread trains.

        If it does, `compute` is given a copy, perhaps after it was called in vain.
        """
        gate = self.gate
        version = gate.version
        if not gate.shut:
            result = compute(self.operand)
            if gate.version == version:
                return result
        return compute(self._copy_of_params())

    def _copy_of_params(self) -> np.ndarray:
        """Copy of the parameters after a whole step."""
        params = aligned_zeros(self.params.size, self.plan.dtype)

        def copied() -> None:
            params[:] = self.params

        self.gate.read(copied)
        return params

    def evaluate(self, objective: Objective, samples: Samples, threads: int | None = None) -> np.ndarray:
        """Mean loss, penalties included, and mean of each metric over the rows: float64 (1 + metrics,).

        Parameters
        ----------
        objective : Objective
        samples : Samples
            C-contiguous arrays of the plan's dtype.
        threads : int, optional
        """
        evaluation = Evaluation(self, objective, samples)
        means, penalty = self.with_whole_weights(
            lambda params: (evaluation.on(params, threads).mean(axis=0), self._penalty(params))
        )
        means[0] += penalty / (len(samples) if self.plan.l2_per_row else 1)
        return means

    def _penalty(self, params: Any) -> float:
        l2 = self.plan.factors[[kind_of(op).has_matrix for op in self.plan.ops], codes.L2]
        kernels = (weight for weight in self.plan.unpack(params) if weight.ndim >= 2)
        return float(sum(c * np.square(w, dtype=np.float64).sum() for c, w in zip(l2, kernels, strict=True) if c))

    def train(self, objective: Objective, samples: Samples, options: RunOptions) -> Run:
        """Prepare a run with the optimizer given to ``reset_optimizer``.

        Parameters
        ----------
        objective : Objective
        samples : Samples
            As in `evaluate`.
        options : RunOptions

        Raises
        ------
        ValueError
            If the network cannot be trained.
        """
        self.plan.check_trainable()
        samples = operands(self.plan, samples, objective.target_width)
        options = options.for_rows(len(samples))
        if options.order is not None:
            options = replace(options, order=order_operand(options.order, len(samples)))
        return self.run_type(self, objective, samples, options)

    def train_many(
        self,
        objective: Objective,
        samples: Samples,
        options: RunOptions,
        first_weights: Sequence[Sequence[np.ndarray]],
        seeds: Sequence[int],
    ) -> tuple[list[list[np.ndarray]], np.ndarray]:
        """Train several networks like this one on the same rows, with the optimizer given to ``reset_optimizer``.

        This network itself stays as it is.

        Parameters
        ----------
        objective, samples, options
            As in `train`; the seed is none of them.
        first_weights, seeds : of each network

        Returns
        -------
        list of list of ndarray
            The weights of each network.
        ndarray of shape (networks, epochs, 1 + metrics)
            Means of loss and metrics.
        """
        trained, logs = [], []
        for start, seed in zip(first_weights, seeds, strict=True):
            engine = self.twin(self.plan)
            engine.set_weights(start)
            engine.reset_optimizer(self.optimizer)
            run = engine.train(objective, samples, replace(options, seed=seed))
            while run.advance(run.epochs * run.steps_per_epoch - run.done):
                pass
            trained.append(engine.get_weights())
            logs.append([run.logs(epoch) for epoch in range(run.epochs)])
        return trained, np.array(logs)
