"""The methods: names, defaults and ranges of their hyper-parameters.

Arguments, defaults and formulas are those of Keras 3 (``keras/src/optimizers``).
"""

from typing import Unpack

from fastnn.common import checks
from fastnn.optimizers.base import Common, Limits, Optimizer
from fastnn.optimizers.schedules import LearningRateSchedule


class SGD(Optimizer):
    """Gradient descent, with momentum and Nesterov's variant of it (Sutskever et al., 2013).

    Parameters
    ----------
    learning_rate : float or LearningRateSchedule, default=0.01
        Step size, >= 0.
    momentum : float, default=0.0
        Fraction of the previous step that is kept, in [0, 1].
    nesterov : bool, default=False
        Look ahead along the momentum.
    **common
        `weight_decay`, `clipnorm`, `clipvalue` and `global_clipnorm`, as in `Optimizer`.
    """

    name = "sgd"

    def __init__(
        self,
        learning_rate: float | LearningRateSchedule = 0.01,
        momentum: float = 0.0,
        nesterov: bool = False,
        **common: Unpack[Common],
    ) -> None:
        super().__init__(learning_rate, **common)
        self.momentum = checks.number("momentum", momentum, 0.0, 1.0, closed=True)
        self.nesterov = bool(nesterov)

    @property
    def slots(self) -> int:
        return int(self.momentum > 0)

    def hyperparameters(self) -> tuple[float, ...]:
        return self._values(self.momentum, nesterov=self.nesterov)


class RMSprop(Optimizer):
    """Gradient divided by a running root mean square of itself (Hinton, lecture 6, 2012).

    Parameters
    ----------
    learning_rate : float or LearningRateSchedule, default=0.001
        Step size, >= 0.
    rho : float, default=0.9
        Decay of the running mean of squares, in [0, 1).
    momentum : float, default=0.0
        Fraction of the previous step that is kept, in [0, 1].
    epsilon : float, default=1e-7
        Added under the root, > 0.
    **common
        `weight_decay`, `clipnorm`, `clipvalue` and `global_clipnorm`, as in `Optimizer`.
    """

    name = "rmsprop"

    def __init__(
        self,
        learning_rate: float | LearningRateSchedule = 0.001,
        rho: float = 0.9,
        momentum: float = 0.0,
        epsilon: float = 1e-7,
        **common: Unpack[Common],
    ) -> None:
        super().__init__(learning_rate, **common)
        self.rho = checks.number("rho", rho, 0.0, 1.0)
        self.momentum = checks.number("momentum", momentum, 0.0, 1.0, closed=True)
        self.epsilon = checks.number("epsilon", epsilon, 0.0, above=True)

    @property
    def slots(self) -> int:
        return 1 + int(self.momentum > 0)

    def hyperparameters(self) -> tuple[float, ...]:
        return self._values(self.momentum, self.rho, self.epsilon)


class Adagrad(Optimizer):
    """Gradient divided by the root of the sum of all its squares (Duchi et al., 2011).

    Parameters
    ----------
    learning_rate : float or LearningRateSchedule, default=0.001
        Step size, >= 0.
    initial_accumulator_value : float, default=0.1
        What the sum of squares begins with, >= 0.
    epsilon : float, default=1e-7
        Added under the root, > 0.
    **common
        `weight_decay`, `clipnorm`, `clipvalue` and `global_clipnorm`, as in `Optimizer`.
    """

    name = "adagrad"

    def __init__(
        self,
        learning_rate: float | LearningRateSchedule = 0.001,
        initial_accumulator_value: float = 0.1,
        epsilon: float = 1e-7,
        **common: Unpack[Common],
    ) -> None:
        super().__init__(learning_rate, **common)
        self.initial_accumulator_value = checks.number("initial_accumulator_value", initial_accumulator_value, 0.0)
        self.epsilon = checks.number("epsilon", epsilon, 0.0, above=True)

    @property
    def slots(self) -> int:
        return 1

    def hyperparameters(self) -> tuple[float, ...]:
        return self._values(epsilon=self.initial_accumulator_value + self.epsilon)


class Adam(Optimizer):
    """Adaptive moments (Kingma and Ba, 2015), in Keras' form with epsilon outside the root.

    Parameters
    ----------
    learning_rate : float or LearningRateSchedule, default=0.001
        Step size, >= 0.
    beta_1, beta_2 : float, default=0.9, 0.999
        Decay of the running means of the gradient and of its square, in [0, 1).
    epsilon : float, default=1e-7
        Added to the root, > 0.
    **common
        `weight_decay`, `clipnorm`, `clipvalue` and `global_clipnorm`, as in `Optimizer`.
    """

    name = "adam"

    def __init__(
        self,
        learning_rate: float | LearningRateSchedule = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        **common: Unpack[Common],
    ) -> None:
        super().__init__(learning_rate, **common)
        self.beta_1 = checks.number("beta_1", beta_1, 0.0, 1.0)
        self.beta_2 = checks.number("beta_2", beta_2, 0.0, 1.0)
        self.epsilon = checks.number("epsilon", epsilon, 0.0, above=True)

    @property
    def slots(self) -> int:
        return 2

    def hyperparameters(self) -> tuple[float, ...]:
        return self._values(self.beta_1, self.beta_2, self.epsilon)


class AdamW(Adam):
    """Adam with weight decay taken straight from the weights (Loshchilov and Hutter, 2019).

    Parameters
    ----------
    learning_rate : float or LearningRateSchedule, default=0.001
        Step size, >= 0.
    weight_decay : float, default=0.004
        Each step first takes ``learning_rate * weight_decay`` of every weight away, >= 0.
    beta_1, beta_2, epsilon, **limits
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
        **limits: Unpack[Limits],
    ) -> None:
        weight_decay = checks.number("weight_decay", weight_decay, 0.0)
        super().__init__(learning_rate, beta_1, beta_2, epsilon, weight_decay=weight_decay, **limits)


class Nadam(Adam):
    """Adam with Nesterov momentum (Dozat, 2016).

    Parameters
    ----------
    learning_rate, beta_1, beta_2, epsilon, **common
        As in `Adam`.
    """

    name = "nadam"


class Adamax(Adam):
    """Adam with the largest magnitude of past gradients instead of their root mean square (Kingma and Ba, 2015).

    Parameters
    ----------
    learning_rate, beta_1, beta_2, epsilon, **common
        As in `Adam`.
    """

    name = "adamax"


class Lion(Optimizer):
    """Steps of one size along the sign of a moment (Chen et al., 2023).

    Parameters
    ----------
    learning_rate : float or LearningRateSchedule, default=0.001
        Size of a step, >= 0.
    beta_1, beta_2 : float, default=0.9, 0.99
        Weights of the moment in the step and in its own update, in [0, 1).
    **common
        `weight_decay`, `clipnorm`, `clipvalue` and `global_clipnorm`, as in `Optimizer`.
    """

    name = "lion"

    def __init__(
        self,
        learning_rate: float | LearningRateSchedule = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.99,
        **common: Unpack[Common],
    ) -> None:
        super().__init__(learning_rate, **common)
        self.beta_1 = checks.number("beta_1", beta_1, 0.0, 1.0)
        self.beta_2 = checks.number("beta_2", beta_2, 0.0, 1.0)

    @property
    def slots(self) -> int:
        return 1

    def hyperparameters(self) -> tuple[float, ...]:
        return self._values(self.beta_1, self.beta_2)
