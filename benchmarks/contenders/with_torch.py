"""PyTorch on the CPU: eager, and compiled by torch.compile."""

from __future__ import annotations

import os
import shutil
import sysconfig
from collections.abc import Callable
from contextlib import nullcontext
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.contenders.base import Contender, Work, need
from benchmarks.kinds import Fit, Task
from benchmarks.problems import ADAM, LAST_ACTIVATIONS, FitProblem, PredictProblem, ScriptProblem, StepProblem

_SCRIPT = """
import sys
import numpy as np
import torch
from torch import nn

data = np.load(sys.argv[1])
x, y = data["x"], data["y"]
if x.dtype == np.uint8:
    x = x / np.float32(255)
x = torch.from_numpy(x)
y = torch.from_numpy(y) if {softmax} else torch.from_numpy(y.astype(np.float32)[:, None])
widths = {layers}
layers = []
for inputs, units in zip(widths[:-1], widths[1:]):
    layers += [nn.Linear(inputs, units), nn.ReLU()]
model = nn.Sequential(*layers[:-1])
for layer in layers[::2]:
    nn.init.xavier_uniform_(layer.weight)
loss_of = nn.CrossEntropyLoss() if {softmax} else nn.BCEWithLogitsLoss()
optimizer = torch.optim.Adam(model.parameters(), fused=True)
for epoch in range({epochs}):
    for rows in torch.randperm(len(x)).split({batch}):
        optimizer.zero_grad()
        loss_of(model(x[rows]), y[rows]).backward()
        optimizer.step()
with torch.inference_mode():
    outputs = model(x[:2000])
    np.save(sys.argv[2], (outputs.softmax(1) if {softmax} else outputs.sigmoid()).numpy())
"""


def _network(widths: tuple[int, ...], activation: str) -> Any:
    """Return dense layers without the last activation, which the losses include."""
    from torch import nn

    function = {"relu": nn.ReLU(), "tanh": nn.Tanh()}[activation]
    layers = [layer for inputs, units in pairwise(widths) for layer in (nn.Linear(inputs, units), function)]
    return nn.Sequential(*layers[:-1])


def _load(network: Any, weights: list[np.ndarray]) -> None:
    import torch

    with torch.no_grad():
        for parameter, array in zip(network.parameters(), weights, strict=True):
            parameter.copy_(torch.from_numpy(array.T.copy()))


def _loss(task: Fit, network: Any) -> Callable:
    """Return the loss of a batch, as a function of inputs and targets."""
    import torch
    from torch.nn import functional

    losses: dict[str, Callable] = {
        "binary_crossentropy": functional.binary_cross_entropy_with_logits,
        "sparse_categorical_crossentropy": functional.cross_entropy,
        "mean_squared_error": functional.mse_loss,
    }
    loss = losses[task.loss]
    mixed = torch.autocast("cpu", torch.bfloat16) if task.dtype == "mixed_bfloat16" else nullcontext()

    def of_batch(x: Any, y: Any) -> Any:
        with mixed:
            return loss(network(x), y)

    return of_batch


def _adam(parameters: Any) -> Any:
    import torch

    return torch.optim.Adam(parameters, ADAM.learning_rate, (ADAM.beta_1, ADAM.beta_2), ADAM.epsilon, fused=True)


class PyTorch(Contender):
    name = "pytorch"
    label = "PyTorch"
    distributions = ("torch",)

    def compiled(self, function: Callable) -> Callable:
        """Hook for the compiled variant."""
        return function

    def network(self, task: Fit) -> tuple[Any, Callable]:
        """Return a network and its loss."""
        network = _network(task.layers, task.activation)
        return network, self.compiled(_loss(task, network))

    def limit(self, threads: int) -> None:
        import torch

        torch.set_num_threads(threads)

    def threads(self) -> int | None:
        import torch

        return torch.get_num_threads()

    def fit(self, problem: FitProblem, seed: int) -> Work:
        import torch

        task = problem.task
        need(task.dtype in ("float32", "mixed_bfloat16"))
        torch.manual_seed(seed)
        x, y = torch.from_numpy(problem.data.x), torch.from_numpy(problem.y_column)
        network, loss = self.network(task)
        _load(network, problem.weights)
        optimizer = _adam(network.parameters())

        def run() -> None:
            for _ in range(task.epochs):
                for rows in torch.randperm(len(x)).split(task.batch):
                    optimizer.zero_grad()
                    loss(x[rows], y[rows]).backward()
                    optimizer.step()

        def result() -> list[np.ndarray]:
            arrays = [parameter.detach().numpy() for parameter in network.parameters()]
            return [array.T if array.ndim == 2 else array for array in arrays]

        return Work(run, result)

    def predict(self, problem: PredictProblem) -> Work:
        import torch

        need(LAST_ACTIVATIONS[problem.task.loss] == "sigmoid")
        network = _network(problem.task.layers, problem.task.activation)
        _load(network, problem.weights)

        def outputs(x: Any) -> Any:
            return network(x).sigmoid()

        outputs, x = self.compiled(outputs), problem.x

        def run() -> np.ndarray:
            with torch.inference_mode():
                return outputs(torch.from_numpy(x)).numpy()

        return Work.of(run)

    def step(self, problem: StepProblem) -> Work:
        import torch

        parameters = [torch.from_numpy(w.copy()).requires_grad_() for w in problem.weights]
        for parameter, gradient in zip(parameters, problem.gradients, strict=True):
            parameter.grad = torch.from_numpy(gradient)
        return Work(_adam(parameters).step, lambda: [parameter.detach().numpy() for parameter in parameters])

    def script(self, problem: ScriptProblem) -> str:
        task = problem.task
        need(not task.empty_cache)
        return _SCRIPT.format(layers=task.layers, epochs=task.epochs, batch=task.batch, softmax=task.layers[-1] > 1)


class CompiledPyTorch(PyTorch):
    name = "pytorch-compiled"
    label = "PyTorch compiled"
    slow_start = True

    @classmethod
    def lacks(cls) -> str:
        """Beside PyTorch it takes a C++ compiler and Python's headers."""
        if missing := super().lacks():
            return missing
        if not any(map(shutil.which, (os.environ.get("CXX", ""), "g++", "clang++"))):
            return "torch.compile needs a C++ compiler: g++, clang++, or the one that CXX names"
        if not Path(sysconfig.get_path("include"), "Python.h").exists():
            return "torch.compile needs Python's headers (python3-dev)"
        return ""

    def __init__(self) -> None:
        self._networks: dict[tuple, tuple[Any, Callable]] = {}

    def compiled(self, function: Callable) -> Callable:
        import torch

        return torch.compile(function, dynamic=False, fullgraph=True)  # what is not compiled fails, and is not timed

    def end(self, task: Task) -> None:
        """Forget what was compiled: after eight programs of one function PyTorch would run it as it is."""
        import torch

        self._networks.clear()
        torch.compiler.reset()

    def network(self, task: Fit) -> tuple[Any, Callable]:
        """Return the task's one network of its kind, since compiling takes longer than most fits."""
        need(task.models == 1)
        key = (task.layers, task.activation, task.loss, task.dtype)
        if key not in self._networks:
            self._networks[key] = super().network(task)
        return self._networks[key]

    def step(self, problem: StepProblem) -> Work:
        return Contender.step(self, problem)

    def script(self, problem: ScriptProblem) -> str:
        return Contender.script(self, problem)
