"""Learning-rate schedules: the rate as a function of the optimizer steps done, with Keras' names and arguments.

A schedule is given instead of a number, ``Adam(learning_rate=CosineDecay(0.01, 1000))``; every step has its own
rate, however many steps one compiled call does. Steps may be arrays.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from fastnn.common import absent, checks
from fastnn.common.arithmetic import as_the_caller
from fastnn.common.attributes import Unchangeable
from fastnn.common.declarations import Declared
from fastnn.common.identifiers import is_own, resolve


class LearningRateSchedule(Unchangeable, Declared):
    """Base of the schedules: a class derived from it defines ``__call__`` for a step, counted from 0.

    With ``get_config`` and a constructor that takes what that returns, it is saved with the model.
    """

    def __call__(self, step: Any) -> Any:
        """Return the rate of a step, or an array of rates for an array of steps."""
        raise NotImplementedError(f"{type(self).__name__} needs a method __call__(self, step) that returns the rate")

    def rates(self, steps: np.ndarray) -> np.ndarray:
        """Return the rate of each step.

        Raises
        ------
        ValueError
            If the schedule is the user's, and gives a rate that is no finite number >= 0.
        """
        if is_own(type(self)):
            return np.asarray(self(steps), np.float64)
        name, rate = f"the rate of {type(self).__name__}", as_the_caller(self)
        return np.array([checks.number(name, rate(int(step)), 0.0) for step in steps])

    def get_config(self) -> dict[str, Any]:
        """Return arguments that make an equal object."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in vars(self).items()}


class _Decay(LearningRateSchedule):
    """A first rate that goes down with the steps, or with whole multiples of `decay_steps`."""

    def __init__(self, initial_learning_rate: float, decay_steps: float, decay_rate: float, staircase: bool) -> None:
        self.initial_learning_rate = checks.number("initial_learning_rate", initial_learning_rate, 0.0)
        self.decay_steps = checks.number("decay_steps", decay_steps, 0.0, above=True)
        self.decay_rate = checks.number("decay_rate", decay_rate, 0.0, above=True)
        self.staircase = bool(staircase)

    def _periods(self, step: Any) -> np.ndarray:
        periods = np.asarray(step, np.float64) / self.decay_steps
        return np.floor(periods) if self.staircase else periods


class ExponentialDecay(_Decay):
    """``initial_learning_rate * decay_rate ** (step / decay_steps)``.

    Parameters
    ----------
    initial_learning_rate, decay_steps, decay_rate : float
        All > 0.
    staircase : bool, default=False
        Round ``step / decay_steps`` down.
    """

    def __init__(
        self, initial_learning_rate: float, decay_steps: float, decay_rate: float, staircase: bool = False
    ) -> None:
        super().__init__(initial_learning_rate, decay_steps, decay_rate, staircase)

    def __call__(self, step: Any) -> Any:
        return self.initial_learning_rate * self.decay_rate ** self._periods(step)


class InverseTimeDecay(_Decay):
    """``initial_learning_rate / (1 + decay_rate * step / decay_steps)``.

    Parameters
    ----------
    initial_learning_rate, decay_steps, decay_rate : float
        All > 0.
    staircase : bool, default=False
        Round ``step / decay_steps`` down.
    """

    def __init__(
        self, initial_learning_rate: float, decay_steps: float, decay_rate: float, staircase: bool = False
    ) -> None:
        super().__init__(initial_learning_rate, decay_steps, decay_rate, staircase)

    def __call__(self, step: Any) -> Any:
        return self.initial_learning_rate / (1.0 + self.decay_rate * self._periods(step))


class PiecewiseConstantDecay(LearningRateSchedule):
    """One rate up to and with each boundary, another after the last.

    Parameters
    ----------
    boundaries : sequence of number
        Steps, increasing.
    values : sequence of float
        Rates, one more than boundaries, > 0.
    """

    def __init__(self, boundaries: Sequence[float], values: Sequence[float]) -> None:
        self.boundaries = tuple(checks.number("boundaries", boundary, 0.0) for boundary in boundaries)
        self.values = tuple(checks.number("values", value, 0.0) for value in values)
        if len(self.values) != len(self.boundaries) + 1 or list(self.boundaries) != sorted(self.boundaries):
            raise ValueError(
                f"boundaries must increase, and values have one more element; got {boundaries!r} and {values!r}"
            )

    def __call__(self, step: Any) -> Any:
        return np.array(self.values)[np.searchsorted(self.boundaries, np.asarray(step, np.float64))]


class PolynomialDecay(LearningRateSchedule):
    """From one rate to another within `decay_steps`, along a power of the steps left.

    Parameters
    ----------
    initial_learning_rate, decay_steps : float
        > 0.
    end_learning_rate : float, default=0.0001
        >= 0.
    power : float, default=1.0
        > 0; 1 is a straight line.
    cycle : bool, default=False
        Whether to stretch the decay to the next multiple of `decay_steps` once it is over.
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        end_learning_rate: float = 0.0001,
        power: float = 1.0,
        cycle: bool = False,
    ) -> None:
        self.initial_learning_rate = checks.number("initial_learning_rate", initial_learning_rate, 0.0)
        self.decay_steps = checks.number("decay_steps", decay_steps, 0.0, above=True)
        self.end_learning_rate = checks.number("end_learning_rate", end_learning_rate, 0.0)
        self.power = checks.number("power", power, 0.0, above=True)
        self.cycle = bool(cycle)

    def __call__(self, step: Any) -> Any:
        step = np.asarray(step, np.float64)
        length = self.decay_steps * (np.maximum(1.0, np.ceil(step / self.decay_steps)) if self.cycle else 1.0)
        left = 1.0 - np.minimum(step, length) / length
        return (self.initial_learning_rate - self.end_learning_rate) * left**self.power + self.end_learning_rate


class CosineDecay(LearningRateSchedule):
    """Half a cosine down to ``alpha`` times the rate, after a linear warm-up (Loshchilov and Hutter, 2017).

    Parameters
    ----------
    initial_learning_rate : float
        Rate at step 0, >= 0.
    decay_steps : float
        Steps of the decay, > 0, without those of the warm-up.
    alpha : float, default=0.0
        Last rate, as a fraction of the one that the decay begins with, >= 0.
    warmup_target : float, optional
        Rate that the warm-up ends and the decay begins with. None: no warm-up.
    warmup_steps : float, default=0
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        alpha: float = 0.0,
        warmup_target: float | None = None,
        warmup_steps: float = 0,
    ) -> None:
        self.initial_learning_rate = checks.number("initial_learning_rate", initial_learning_rate, 0.0)
        self.decay_steps = checks.number("decay_steps", decay_steps, 0.0, above=True)
        self.alpha = checks.number("alpha", alpha, 0.0)
        self.warmup_target = None if warmup_target is None else checks.number("warmup_target", warmup_target, 0.0)
        self.warmup_steps = checks.number("warmup_steps", warmup_steps, 0.0)

    def __call__(self, step: Any) -> Any:
        step, top = np.asarray(step, np.float64), self.initial_learning_rate
        warmup = 0.0 if self.warmup_target is None else self.warmup_steps
        if self.warmup_target is not None:
            top = self.warmup_target
        done = np.clip((step - warmup) / self.decay_steps, 0.0, 1.0)
        rates = top * ((1.0 - self.alpha) * 0.5 * (1.0 + np.cos(math.pi * done)) + self.alpha)
        rising = self.initial_learning_rate + (top - self.initial_learning_rate) * step / max(warmup, 1.0)
        return np.where(step < warmup, rising, rates)[()]


class CosineDecayRestarts(LearningRateSchedule):
    """Cosines that start anew, each longer and lower than the last (Loshchilov and Hutter, 2017: SGDR).

    Parameters
    ----------
    initial_learning_rate, first_decay_steps : float
        > 0.
    t_mul : float, default=2.0
        Length of a period relative to the one before, >= 1.
    m_mul : float, default=1.0
        Highest rate of a period relative to the one before, > 0.
    alpha : float, default=0.0
        Last rate of a period, as a fraction of `initial_learning_rate` times `m_mul`'s powers, >= 0.
    """

    def __init__(
        self,
        initial_learning_rate: float,
        first_decay_steps: float,
        t_mul: float = 2.0,
        m_mul: float = 1.0,
        alpha: float = 0.0,
    ) -> None:
        self.initial_learning_rate = checks.number("initial_learning_rate", initial_learning_rate, 0.0)
        self.first_decay_steps = checks.number("first_decay_steps", first_decay_steps, 0.0, above=True)
        self.t_mul = checks.number("t_mul", t_mul, 1.0)
        self.m_mul = checks.number("m_mul", m_mul, 0.0, above=True)
        self.alpha = checks.number("alpha", alpha, 0.0)

    def __call__(self, step: Any) -> Any:
        done = np.asarray(step, np.float64) / self.first_decay_steps
        if self.t_mul == 1.0:
            period = np.floor(done)
            done = done - period
        else:
            period = np.floor(np.log(1.0 - done * (1.0 - self.t_mul)) / math.log(self.t_mul))
            length = self.t_mul**period
            done = (done - (1.0 - length) / (1.0 - self.t_mul)) / length
        top = self.m_mul**period
        cosine = 0.5 * top * (1.0 + np.cos(math.pi * done))
        return self.initial_learning_rate * ((1.0 - self.alpha) * cosine + self.alpha)


class OneCycle(LearningRateSchedule):
    """Up to a high rate and down to a very low one, once (Smith and Topin, 2018); the rates of PyTorch's OneCycleLR.

    Momentum stays as it is. After `total_steps` the last rate is kept.

    Parameters
    ----------
    max_learning_rate : float
        Highest rate, > 0.
    total_steps : int
        Steps of the cycle, >= 1.
    pct_start : float, default=0.3
        Fraction of the steps in which the rate goes up, in (0, 1).
    anneal_strategy : {"cos", "linear"}, default="cos"
    div_factor : float, default=25.0
        The first rate is ``max_learning_rate / div_factor``, > 0.
    final_div_factor : float, default=1e4
        The last rate is the first divided by this, > 0.
    """

    def __init__(
        self,
        max_learning_rate: float,
        total_steps: int,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
    ) -> None:
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(f'anneal_strategy must be "cos" or "linear"; got {anneal_strategy!r}')
        self.max_learning_rate = checks.number("max_learning_rate", max_learning_rate, 0.0)
        self.total_steps = checks.integer("total_steps", total_steps, 1)
        self.pct_start = checks.number("pct_start", pct_start, 0.0, 1.0, above=True)
        self.anneal_strategy = anneal_strategy
        self.div_factor = checks.number("div_factor", div_factor, 0.0, above=True)
        self.final_div_factor = checks.number("final_div_factor", final_div_factor, 0.0, above=True)

    def __call__(self, step: Any) -> Any:
        step = np.minimum(np.asarray(step, np.float64), self.total_steps - 1.0)
        turn, end = self.pct_start * self.total_steps - 1.0, self.total_steps - 1.0
        first = self.max_learning_rate / self.div_factor
        rising = step <= turn
        start = np.where(rising, first, self.max_learning_rate)
        stop = np.where(rising, self.max_learning_rate, first / self.final_div_factor)
        done = np.where(rising, step / turn if turn else 1.0, (step - turn) / max(end - turn, 1e-12))
        if self.anneal_strategy == "cos":
            done = 0.5 * (1.0 - np.cos(math.pi * done))
        return (start + (stop - start) * done)[()]


_TABLE = {
    cls.__name__.lower(): cls
    for cls in (
        ExponentialDecay,
        InverseTimeDecay,
        PiecewiseConstantDecay,
        PolynomialDecay,
        CosineDecay,
        CosineDecayRestarts,
        OneCycle,
    )
}


def get(identifier: Any) -> LearningRateSchedule:
    """Return a schedule by object or configuration dict.

    Raises
    ------
    ValueError
        For an unknown name; the message lists the known ones.
    """
    return resolve(identifier, _TABLE, LearningRateSchedule, "learning-rate schedule")


absent.explain(__name__)
