"""What all optimizers have: a learning rate, weight decay and limits of the gradients."""

from collections.abc import Mapping
from typing import Any, ClassVar, TypedDict

import numpy as np

from fastnn.common import checks
from fastnn.common.attributes import arguments, as_the_constructor_takes_it
from fastnn.common.declarations import Declared
from fastnn.common.identifiers import serialize
from fastnn.optimizers import schedules
from fastnn.optimizers.schedules import LearningRateSchedule


class Limits(TypedDict, total=False):
    """Keyword arguments of every optimizer, described in `Optimizer`."""

    clipnorm: float | None
    clipvalue: float | None
    global_clipnorm: float | None


class Common(Limits, total=False):
    """The same with weight decay."""

    weight_decay: float | None


class Optimizer(Declared):
    """Base of the optimizers: a name, a learning rate, and limits of the gradients.

    What a constructor takes may be changed at any time, within its range; in a fit it holds from the next step that
    has not begun.

    Parameters
    ----------
    learning_rate : float or LearningRateSchedule
        Step size, >= 0, or a schedule of ``fastnn.optimizers.schedules``.
    weight_decay : float, optional
        Each step first takes ``learning_rate * weight_decay`` of every weight away, >= 0 (Loshchilov and Hutter, 2019).
    clipnorm : float, optional
        Largest Euclidean norm, > 0, of the gradient of each weight array by itself, of which a layer's kernel and its
        bias are two; a longer one is scaled down. Gradients of penalties are part of it.
    clipvalue : float, optional
        Largest magnitude of each element of the gradients, > 0.
    global_clipnorm : float, optional
        Largest norm of all gradients taken together, > 0.

    Attributes
    ----------
    schedule : LearningRateSchedule or None
    iterations : int
        Steps done. It is 0 again after ``compile``.

    Raises
    ------
    ValueError
        If more than one of `clipnorm`, `clipvalue` and `global_clipnorm` is given, or a number is out of range.
    """

    name: ClassVar[str]
    schedule: LearningRateSchedule | None = None
    _iterations = 0
    _old_names: ClassVar[Mapping[str, str]] = {"lr": "learning_rate"}

    def __init__(
        self,
        learning_rate: float | LearningRateSchedule,
        *,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
    ) -> None:
        self.learning_rate = learning_rate
        self.weight_decay = None if weight_decay is None else checks.number("weight_decay", weight_decay, 0.0)
        limits = {"clipnorm": clipnorm, "clipvalue": clipvalue, "global_clipnorm": global_clipnorm}
        given = {name: limit for name, limit in limits.items() if limit is not None}
        if len(given) > 1:
            values = ", ".join(f"{name}={limit}" for name, limit in given.items())
            raise ValueError(f"only one of clipnorm, clipvalue and global_clipnorm can be given; got {values}")
        for name, limit in given.items():
            limits[name] = checks.number(name, limit, 0.0, above=True)
        self.clipnorm, self.clipvalue, self.global_clipnorm = limits.values()

    @property
    def learning_rate(self) -> float:
        """Step size; assign to it at any time, also during a fit, unless there is a schedule.

        Raises
        ------
        TypeError
            If it is assigned a number though there is a schedule.
        """
        return (
            self._learning_rate if self.schedule is None else float(self.schedule.rates(np.array([self.iterations]))[0])
        )

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        if isinstance(value, (LearningRateSchedule, Mapping)):
            self.schedule = schedules.get(value)
        elif self.schedule is not None:
            raise TypeError(
                f"learning_rate is set by the schedule {type(self.schedule).__name__}: make the optimizer with a "
                "number to be able to change it"
            )
        else:
            self._learning_rate = checks.number("learning_rate", value, 0.0)

    @property
    def iterations(self) -> int:
        """Steps done; it cannot be set."""
        return self._iterations

    def count(self, iterations: int) -> None:
        """Take note of the number of steps done."""
        vars(self)["_iterations"] = iterations  # quick, as every call of a program comes here

    def take_from(self, other: "Optimizer") -> None:
        """Become like another optimizer of the same class."""
        self.__dict__ = dict(vars(other))  # at once, so that no interrupt leaves half of it

    @classmethod
    def _guards(cls, name: str) -> bool:
        if name == "learning_rate":
            return False  # its setter checks it
        return name == "name" or name in vars(Optimizer) or name in arguments(cls)

    def _change(self, name: str, value: Any) -> Any:
        if name == "name" or name in vars(Optimizer):
            hint = ": assign learning_rate" if name == "schedule" else ""
            raise AttributeError(f"{name} of an optimizer cannot be set{hint}")
        return getattr(as_the_constructor_takes_it(self, name, value), name) if name in self.get_config() else value

    @property
    def slots(self) -> int:
        """Number of vectors of the size of the weights that the optimizer keeps between steps."""
        raise NotImplementedError

    def hyperparameters(self) -> tuple[float, ...]:
        """Return the values in the order of ``fastnn.kernels.codes.HYPERPARAMETERS``; 0.0 where unused."""
        raise NotImplementedError

    def _values(
        self, beta_1: float = 0.0, beta_2: float = 0.0, epsilon: float = 0.0, nesterov: bool = False
    ) -> tuple[float, ...]:
        return (self.learning_rate, beta_1, beta_2, epsilon, self.weight_decay or 0.0, float(nesterov))

    def clipping(self) -> tuple[float, ...]:
        """Return the limits in the order of ``fastnn.kernels.codes.CLIPPING``; 0.0 for none."""
        return (self.clipvalue or 0.0, self.clipnorm or 0.0, self.global_clipnorm or 0.0)

    def get_config(self) -> dict[str, Any]:
        """Return arguments that make an equal object."""
        hidden = ("schedule", "_iterations", "_learning_rate")
        rate = self._learning_rate if self.schedule is None else serialize(self.schedule)
        return {"learning_rate": rate} | {key: value for key, value in vars(self).items() if key not in hidden}
