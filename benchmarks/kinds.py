"""Kinds of tasks: training, an estimator, a search, prediction, a matrix product, an optimizer step, a whole script.

A task's figure is the time of one unit (an epoch, a call, ...). `quick` is the smaller task of ``--quick``, which takes
only a part of the table unless a task is named; `smallest` is the one that the tests run.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import ClassVar, Self


@dataclass(frozen=True, kw_only=True)
class Task:
    """What all kinds of tasks have in common.

    Attributes
    ----------
    name : str
        As on the command line.
    group : str
        Where it stands in the report; also a name on the command line.
    threads : int or None
        Most threads that anyone may use; None for what the run allows.
    scale : tuple of (str, float) or None
        Family of a scaling chart and place on its horizontal axis.
    in_quick : bool
        Quick runs do it too.
    most_rounds : int or None
        Turns of each contender, if fewer than the run's: for what takes minutes, many fits in itself.
    """

    name: str
    group: str
    threads: int | None = None
    scale: tuple[str, float] | None = None
    in_quick: bool = True
    most_rounds: int | None = None

    unit: ClassVar[str]

    @property
    def title(self) -> str:
        raise NotImplementedError

    @property
    def units(self) -> int:
        """Units in one run, by which its time is divided."""
        return 1

    def flops(self, rows: int) -> float:
        """Floating-point operations of one unit in matrix products; 0 where they are not what counts."""
        return 0.0

    def quick(self) -> Self:
        return self

    def smallest(self) -> Self:
        return self.quick()


def products(layers: Iterable[int]) -> list[int]:
    """Weights of each dense layer."""
    return [inputs * outputs for inputs, outputs in pairwise(layers)]


def net(layers: Iterable[int]) -> str:
    return "-".join(map(str, layers))


@dataclass(frozen=True, kw_only=True)
class Fit(Task):
    """Training with Adam, shuffled each epoch, from given weights.

    Attributes
    ----------
    data : str
        Name in ``data.SETS``.
    layers : tuple of int
        Width of the input and units of each dense layer.
    rows : int or None
        Use the first rows only.
    models : int
        So many models are trained at once, in a pool of threads; and, to compare, one after another.
    jit_compile : bool
        fastnn, too, compiles a program for this very network; JAX and compiled PyTorch always do.
    tolerance : float
        How far a loss may be from the median of all contenders, as a share of it.
    """

    data: str
    layers: tuple[int, ...]
    activation: str = "relu"
    loss: str = "binary_crossentropy"
    batch: int
    epochs: int
    rows: int | None = None
    dtype: str = "float32"
    models: int = 1
    jit_compile: bool = False
    tolerance: float = 0.15

    group: str = "training"

    unit = "epoch"

    @property
    def title(self) -> str:
        precision = "" if self.dtype == "float32" else f", {self.dtype}"
        models = f", {self.models} models at once" if self.models > 1 else ""
        program = ", jit_compile" * self.jit_compile
        return f"{self.data} {net(self.layers)}, batch {self.batch:,}{precision}{models}{program}"

    @property
    def units(self) -> int:
        return self.epochs * self.models

    def flops(self, rows: int) -> float:
        """Products of one epoch: forward, weight gradient, and input gradient but for the first layer."""
        sizes = products(self.layers)
        return 2.0 * rows * (3 * sum(sizes) - sizes[0])

    def shortened(self, rows: int, epochs: int) -> Self:
        return replace(self, rows=min(rows, self.rows or rows), epochs=min(epochs, self.epochs))

    def quick(self) -> Self:
        if self.scale and self.rows:
            return self.shortened(self.rows // 4, self.epochs)
        epochs = 30 // min(self.models, 6) if self.epochs > 10 else 1
        short = self.shortened(max(4096, self.batch), epochs)
        return replace(short, tolerance=1.5 * self.tolerance)

    def smallest(self) -> Self:
        short = self.shortened(96, 3)
        return replace(short, batch=min(self.batch, 40), jit_compile=False, tolerance=2 * self.tolerance)


@dataclass(frozen=True, kw_only=True)
class Estimator(Task):
    """A whole ``MLPClassifier.fit``, with Adam, by the estimators that have scikit-learn's parameters.

    Attributes
    ----------
    validation : bool
        A tenth of the rows is held back and scored after each epoch (``early_stopping``, which never stops it).
    """

    data: str
    hidden: tuple[int, ...]
    batch: int
    epochs: int
    validation: bool = False
    rows: int | None = None
    tolerance: float = 0.35

    group: str = "estimators"

    unit = "fit"

    @property
    def title(self) -> str:
        validation = ", validation" if self.validation else ""
        hidden = ", ".join(map(str, self.hidden))
        return f"MLPClassifier(({hidden})).fit: {self.data}, batch {self.batch}, {self.epochs} epochs{validation}"

    def quick(self) -> Self:
        return replace(self, epochs=min(self.epochs, 30), rows=2000, tolerance=1.5 * self.tolerance)

    def smallest(self) -> Self:
        return replace(self, rows=200, epochs=3, batch=40, tolerance=3 * self.tolerance)


@dataclass(frozen=True, kw_only=True)
class Search(Task):
    """scikit-learn's GridSearchCV around a scaler and an ``MLPClassifier``, on as many workers as there are threads.

    Attributes
    ----------
    hidden, alphas, rates : tuple
        The grid: hidden layers, penalties, learning rates.
    tolerance : float
        How far a best score may be from the median of all contenders.
    """

    data: str
    hidden: tuple[tuple[int, ...], ...]
    alphas: tuple[float, ...]
    rates: tuple[float, ...]
    folds: int = 5
    batch: int
    epochs: int
    rows: int | None = None
    tolerance: float = 0.03

    group: str = "estimators"

    unit = "search"

    @property
    def settings(self) -> int:
        return len(self.hidden) * len(self.alphas) * len(self.rates)

    @property
    def title(self) -> str:
        return (
            f"GridSearchCV: {self.data}, {self.settings} settings, {self.folds} folds, batch {self.batch}, "
            f"{self.epochs} epochs"
        )

    def quick(self) -> Self:
        return replace(self, epochs=min(self.epochs, 10), alphas=self.alphas[:1], tolerance=2 * self.tolerance)

    def smallest(self) -> Self:
        few = replace(self, hidden=self.hidden[:2], alphas=self.alphas[:1], rates=self.rates[-1:])
        return replace(few, folds=2, epochs=5, rows=200, tolerance=0.3)


@dataclass(frozen=True, kw_only=True)
class Predict(Task):
    """Outputs for rows that lie in a NumPy array, as a NumPy array."""

    layers: tuple[int, ...] = (8, 16, 8, 1)
    activation: str = "relu"
    loss: str = "binary_crossentropy"
    rows: int
    group: str = "prediction"

    unit = "call"

    @property
    def title(self) -> str:
        return f"predict {self.rows:,} row{'s' * (self.rows > 1)}, {net(self.layers)}"

    def quick(self) -> Self:
        return replace(self, rows=min(self.rows, 200_000))

    def smallest(self) -> Self:
        return replace(self, rows=min(self.rows, 1000))


@dataclass(frozen=True, kw_only=True)
class Product(Task):
    """One of the three matrix products of a dense layer (inputs, outputs) on a batch of rows, on one core."""

    operation: str  # "forward", "weight gradient" or "input gradient"
    rows: int
    inputs: int
    outputs: int
    group: str = "products"

    unit = "product"

    @property
    def title(self) -> str:
        return f"{self.operation}, {self.rows} rows, {self.inputs} to {self.outputs}"

    def flops(self, rows: int) -> float:
        return 2.0 * self.rows * self.inputs * self.outputs


@dataclass(frozen=True, kw_only=True)
class Step(Task):
    """One step of Adam on the weights of a network, the gradient given."""

    layers: tuple[int, ...]
    group: str = "optimizer"

    unit = "step"

    @property
    def title(self) -> str:
        parameters = sum(products(self.layers)) + sum(self.layers[1:])
        return f"Adam step, {parameters:,} parameters ({net(self.layers)})"


@dataclass(frozen=True, kw_only=True)
class Script(Task):
    """A whole script in a new process: imports, reading the data, fit, predictions.

    Attributes
    ----------
    empty_cache : bool
        Nothing compiled is found on disk.
    """

    data: str
    layers: tuple[int, ...]
    loss: str = "binary_crossentropy"
    batch: int
    epochs: int
    rows: int | None = None
    empty_cache: bool = False
    tolerance: float = 0.2
    group: str = "start"

    unit = "script"

    @property
    def title(self) -> str:
        cache = ", nothing compiled before" if self.empty_cache else ""
        return f"script: {self.data} {net(self.layers)}, {self.epochs} epoch{'s' * (self.epochs > 1)}{cache}"

    def quick(self) -> Self:
        return replace(self, epochs=min(self.epochs, 30), most_rounds=1)

    def smallest(self) -> Self:
        return replace(self, rows=200, epochs=min(self.epochs, 3), batch=min(self.batch, 40), tolerance=2.0)
