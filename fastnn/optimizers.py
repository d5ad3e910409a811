"""Optimizers: names, defaults and ranges of their hyper-parameters. The update formulas are in ``fastnn.kernels``."""

from collections.abc import Mapping
from typing import Any, ClassVar

from fastnn import checks, schedules
from fastnn.identifiers import old_spelling, resolve, serialize
from fastnn.schedules import LearningRateSchedule


class Optimizer:
    """Base of the optimizers: a name, and a learning rate that may be changed at any time.

    Parameters
    ----------
    learning_rate : float or LearningRateSchedule
        Step size, > 0, or a schedule of ``fastnn.optimizers.schedules``.

    Attributes
    ----------
    schedule : LearningRateSchedule or None
    iterations : int
        Steps that were done when the last compiled call began.
    """

    name: ClassVar[str]
    schedule: LearningRateSchedule | None = None
    iterations = 0

    def __init__(self, learning_rate: float | LearningRateSchedule, lr: float | None = None) -> None:
        if lr is not None:
            old_spelling("lr", "learning_rate", depth=3)
            learning_rate = lr
        self.learning_rate = learning_rate

    @property
    def learning_rate(self) -> float:
        """Step size; assign to it at any time, also during a fit, unless there is a schedule.

        Raises
        ------
        TypeError
            If it is assigned a number though there is a schedule.
        """
        return self._learning_rate if self.schedule is None else float(self.schedule(self.iterations))

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
            self._learning_rate = checks.number("learning_rate", value, 0.0, above=True)

    @property
    def slots(self) -> int:
        """Number of vectors of the size of the weights that the optimizer keeps between steps."""
        raise NotImplementedError

    def hyperparameters(self) -> tuple[float, ...]:
        """Return the values in the order of ``fastnn.kernels.codes.HYPERPARAMETERS``; 0.0 where unused."""
        raise NotImplementedError

    def get_config(self) -> dict[str, Any]:
        """Return arguments that make an equal object."""
        hidden = ("schedule", "iterations", "_learning_rate")
        rate = self._learning_rate if self.schedule is None else serialize(self.schedule)
        return {"learning_rate": rate} | {key: value for key, value in vars(self).items() if key not in hidden}


class SGD(Optimizer):
    """Gradient descent, with momentum and Nesterov's variant of it (Sutskever et al., 2013).

    Parameters
    ----------
    learning_rate : float or LearningRateSchedule, default=0.01
        Step size, > 0.
    momentum : float, default=0.0
        Share of the previous step that is kept, in [0, 1).
    nesterov : bool, default=False
        Look ahead along the momentum.
    """

    name = "sgd"

    def __init__(
        self,
        learning_rate: float | LearningRateSchedule = 0.01,
        momentum: float = 0.0,
        nesterov: bool = False,
        *,
        lr: float | None = None,
    ) -> None:
        super().__init__(learning_rate, lr)
        self.momentum = checks.number("momentum", momentum, 0.0, 1.0)
        self.nesterov = bool(nesterov)

    @property
    def slots(self) -> int:
        return int(self.momentum > 0)

    def hyperparameters(self) -> tuple[float, ...]:
        return (self.learning_rate, self.momentum, 0.0, 0.0, 0.0, float(self.nesterov))


class RMSprop(Optimizer):
    """Gradient divided by a running root mean square of itself (Hinton, lecture 6, 2012).

    Parameters
    ----------
    learning_rate : float or LearningRateSchedule, default=0.001
        Step size, > 0.
    rho : float, default=0.9
        Decay of the running mean of squares, in [0, 1).
    momentum : float, default=0.0
        Share of the previous step that is kept, in [0, 1).
    epsilon : float, default=1e-7
        Added under the root, > 0.
    """

    name = "rmsprop"

    def __init__(
        self,
        learning_rate: float | LearningRateSchedule = 0.001,
        rho: float = 0.9,
        momentum: float = 0.0,
        epsilon: float = 1e-7,
        *,
        lr: float | None = None,
    ) -> None:
        super().__init__(learning_rate, lr)
        self.rho = checks.number("rho", rho, 0.0, 1.0)
        self.momentum = checks.number("momentum", momentum, 0.0, 1.0)
        self.epsilon = checks.number("epsilon", epsilon, 0.0, above=True)

    @property
    def slots(self) -> int:
        return 1 + int(self.momentum > 0)

    def hyperparameters(self) -> tuple[float, ...]:
        return (self.learning_rate, self.momentum, self.rho, self.epsilon, 0.0, 0.0)


class Adam(Optimizer):
    """Adaptive moments (Kingma and Ba, 2015), in Keras' form with epsilon outside the root.

    Parameters
    ----------
    learning_rate : float or LearningRateSchedule, default=0.001
        Step size, > 0.
    beta_1, beta_2 : float, default=0.9, 0.999
        Decay of the running means of the gradient and of its square, in [0, 1).
    epsilon : float, default=1e-7
        Added to the root, > 0.
    """

    name = "adam"

    def __init__(
        self,
        learning_rate: float | LearningRateSchedule = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        *,
        lr: float | None = None,
    ) -> None:
        super().__init__(learning_rate, lr)
        self.beta_1 = checks.number("beta_1", beta_1, 0.0, 1.0)
        self.beta_2 = checks.number("beta_2", beta_2, 0.0, 1.0)
        self.epsilon = checks.number("epsilon", epsilon, 0.0, above=True)

    @property
    def slots(self) -> int:
        return 2

    def hyperparameters(self) -> tuple[float, ...]:
        return (self.learning_rate, self.beta_1, self.beta_2, self.epsilon, 0.0, 0.0)


class AdamW(Adam):
    """Adam with weight decay taken straight from the weights (Loshchilov and Hutter, 2019).

    Parameters
    ----------
    learning_rate : float or LearningRateSchedule, default=0.001
        Step size, > 0.
    weight_decay : float, default=0.004
        Each step first takes ``learning_rate * weight_decay`` of every weight away, >= 0.
    beta_1, beta_2, epsilon : float
        As in `Adam`.
    """

    name = "adamw"

    def __init__(
        self,
        learning_rate: float | LearningRateSchedule = 0.001,
        weight_decay: float = 0.004,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        *,
        lr: float | None = None,
    ) -> None:
        super().__init__(learning_rate, beta_1, beta_2, epsilon, lr=lr)
        self.weight_decay = checks.number("weight_decay", weight_decay, 0.0)

    def hyperparameters(self) -> tuple[float, ...]:
        return (self.learning_rate, self.beta_1, self.beta_2, self.epsilon, self.weight_decay, 0.0)


class Adamax(Adam):
    """Adam with the largest magnitude of past gradients in place of their root mean square (Kingma and Ba, 2015).

    Parameters
    ----------
    learning_rate, beta_1, beta_2, epsilon
        As in `Adam`.
    """

    name = "adamax"


class Lion(Optimizer):
    """Steps of one size along the sign of a moment (Chen et al., 2023).

    Parameters
    ----------
    learning_rate : float or LearningRateSchedule, default=0.001
        Size of a step, > 0.
    beta_1, beta_2 : float, default=0.9, 0.99
        Weights of the moment in the step and in its own update, in [0, 1).
    """

    name = "lion"

    def __init__(
        self,
        learning_rate: float | LearningRateSchedule = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.99,
        *,
        lr: float | None = None,
    ) -> None:
        super().__init__(learning_rate, lr)
        self.beta_1 = checks.number("beta_1", beta_1, 0.0, 1.0)
        self.beta_2 = checks.number("beta_2", beta_2, 0.0, 1.0)

    @property
    def slots(self) -> int:
        return 1

    def hyperparameters(self) -> tuple[float, ...]:
        return (self.learning_rate, self.beta_1, self.beta_2, 0.0, 0.0, 0.0)


_TABLE = {"sgd": SGD, "rmsprop": RMSprop, "adam": Adam, "adamw": AdamW, "adamax": Adamax, "lion": Lion}


def get(identifier: Any) -> Optimizer:
    """Return an optimizer by name, object, class or configuration dict.

    Raises
    ------
    ValueError
        For an unknown name; the message lists the known ones.
    """
    return resolve(identifier, _TABLE, Optimizer, "optimizer")
