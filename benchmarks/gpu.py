"""Speed on a GPU: whole epochs of fastnn beside PyTorch, eager and as CUDA graphs, and JAX, on the same device.

``python -m benchmarks.gpu`` (or ``make bench-gpu``) prints a line for each task and contender: seconds of an epoch, the
loss at the end, and how often fastnn on the GPU would fit into that time. Data are on the device before the clock
starts, the first epoch (compilation) is not timed, and every contender starts from the same weights.
"""

from __future__ import annotations

import argparse
import importlib.util
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
from fastnn.kernels.host.streams import say

from benchmarks.data import load, missing
from fastnn import losses, optimizers
from fastnn.data.samples import Samples
from fastnn.engine import devices, factory
from fastnn.engine.run_options import RunOptions
from fastnn.layers import Dense
from fastnn.lowering.lower import lower

MANY = (64, 1024)  # networks at once


@dataclass(frozen=True)
class Task:
    """A network with its rows: relu in between, a sigmoid on one output or a softmax on several."""

    name: str
    data: str
    widths: tuple[int, ...]
    batch: int
    epochs: int

    @property
    def loss(self) -> str:
        return "binary_crossentropy" if self.widths[-1] == 1 else "sparse_categorical_crossentropy"


TASKS = (
    Task("Pima, batch 10", "Pima", (8, 16, 8, 1), 10, 150),
    Task("sign-MNIST, batch 200", "sign-MNIST", (784, 512, 512, 24), 200, 5),
    Task("sign-MNIST, batch 4096", "sign-MNIST", (784, 512, 512, 24), 4096, 5),
)


@dataclass
class Problem:
    """A task with its arrays and first weights, kernels (inputs, units) and biases in turn."""

    task: Task
    x: np.ndarray
    y: np.ndarray
    weights: list[np.ndarray]


def problem_of(task: Task) -> Problem:
    """Return the rows of a task, or their stand-in, and weights drawn as Glorot and Bengio do."""
    data = load(task.data, missing([task.data])).scaled()
    rng = np.random.default_rng(0)
    weights = []
    for inputs, units in pairwise(task.widths):
        limit = math.sqrt(6 / (inputs + units))
        weights += [rng.uniform(-limit, limit, (inputs, units)).astype(np.float32), np.zeros(units, np.float32)]
    return Problem(task, np.ascontiguousarray(data.x, np.float32), data.y.reshape(-1, 1), weights)


def fastnn_engine(problem: Problem, device: str) -> tuple[Any, Any, Samples, RunOptions]:
    """Return an engine, its objective, the rows and the options of a run."""
    *hidden, last = problem.task.widths[1:]
    layers = [*(Dense(units, "relu") for units in hidden), Dense(last, "sigmoid" if last == 1 else "softmax")]
    engine = factory.make_engine(lower(layers, problem.task.widths[0]), device)
    engine.set_weights(problem.weights)
    engine.reset_optimizer(optimizers.Adam())
    objective = engine.plan.objective(losses.get(problem.task.loss))
    samples = Samples(problem.x, problem.y.astype(np.float32))
    return engine, objective, samples, RunOptions(problem.task.batch, problem.task.epochs, shuffle=True)


def fastnn_epochs(problem: Problem, device: str) -> Callable[[int], float]:
    """Train as many epochs as are asked for in as few calls as possible; return the loss of the last."""
    engine, objective, samples, options = fastnn_engine(problem, device)
    run = engine.train(objective, samples, replace(options, epochs=1 + problem.task.epochs))

    def epochs(count: int) -> float:
        goal = run.done + count * run.steps_per_epoch
        while run.done < goal:
            run.advance(goal - run.done)
        return float(run.logs(goal // run.steps_per_epoch - 1)[0])

    return epochs


def fastnn_many(problem: Problem, device: str, count: int) -> float:
    """Return the seconds of an epoch of a network, of ``count`` trained at once."""
    engine, objective, samples, options = fastnn_engine(problem, device)
    starts = [problem.weights] * count, list(range(count))
    engine.train_many(objective, samples, replace(options, epochs=1), *starts)
    begun = time.perf_counter()
    engine.train_many(objective, samples, options, *starts)
    return (time.perf_counter() - begun) / problem.task.epochs / count


def torch_epochs(problem: Problem, device: str, graph: bool) -> Callable[[int], float]:
    """Train with PyTorch step by step, or replay one captured step; a last, smaller batch is run eagerly."""
    import torch
    from torch import nn

    task = problem.task
    torch.set_float32_matmul_precision("highest")
    layers: list[Any] = []
    for kernel, bias in zip(problem.weights[::2], problem.weights[1::2], strict=True):
        layer = nn.Linear(*kernel.shape)
        with torch.no_grad():
            layer.weight.copy_(torch.from_numpy(kernel.T.copy()))
            layer.bias.copy_(torch.from_numpy(bias))
        layers += [layer, nn.ReLU()]
    network = nn.Sequential(*layers[:-1]).to(device)
    optimizer = torch.optim.Adam(network.parameters(), capturable=graph)
    x = torch.from_numpy(problem.x).to(device)
    one = task.widths[-1] == 1
    y = torch.from_numpy(problem.y.astype(np.float32) if one else problem.y[:, 0].astype(np.int64)).to(device)
    loss_of = nn.BCEWithLogitsLoss() if one else nn.CrossEntropyLoss()
    rows_now = torch.arange(min(task.batch, len(x)), device=device)
    total = torch.zeros((), device=device)

    def step(rows: Any) -> None:
        optimizer.zero_grad(set_to_none=False)
        loss = loss_of(network(x[rows]), y[rows])
        loss.backward()
        optimizer.step()
        total.add_(loss.detach() * len(rows))

    captured = None
    if graph:
        kept = [parameter.detach().clone() for parameter in network.parameters()]
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(3):
                step(rows_now)
        torch.cuda.current_stream().wait_stream(side)
        captured = torch.cuda.CUDAGraph()
        with torch.cuda.graph(captured):
            step(rows_now)
        with torch.no_grad():
            for parameter, value in zip(network.parameters(), kept, strict=True):
                parameter.copy_(value)
            for state in optimizer.state.values():
                for value in state.values():
                    value.zero_()

    def epochs(count: int) -> float:
        for _ in range(count):
            total.zero_()
            for rows in torch.randperm(len(x), device=device).split(task.batch):
                if captured is not None and len(rows) == len(rows_now):
                    rows_now.copy_(rows)
                    captured.replay()
                else:
                    step(rows)
        return float(total) / len(x)  # waits for the device

    return epochs


def jax_epochs(problem: Problem) -> Callable[[int], float]:
    """Train with JAX, a jitted scan for each epoch."""
    import jax

    from benchmarks.contenders import with_jax

    task = problem.task
    epoch = with_jax._epoch("relu", task.loss, task.batch)
    x = jax.numpy.array(problem.x)
    y = jax.numpy.array(problem.y if task.widths[-1] == 1 else problem.y[:, 0])
    state, key = [with_jax._start(problem.weights)], jax.random.key(0)

    def epochs(count: int) -> float:
        for number in range(count):
            state[0] = epoch(state[0], jax.random.fold_in(key, number), x, y)
        return float(with_jax._loss(state[0][0], "relu", task.loss, x, y))

    return epochs


def contenders(problem: Problem) -> dict[str, Callable[[], Callable[[int], float]]]:
    """Return who can be measured here."""
    found: dict[str, Callable[[], Callable[[int], float]]] = {
        "fastnn cuda": partial(fastnn_epochs, problem, "cuda"),
        "fastnn cpu": partial(fastnn_epochs, problem, "cpu"),
    }
    if importlib.util.find_spec("torch"):
        import torch

        if torch.cuda.is_available():
            found["PyTorch eager"] = partial(torch_epochs, problem, "cuda", graph=False)
            found["PyTorch graph"] = partial(torch_epochs, problem, "cuda", graph=True)
    if importlib.util.find_spec("jax"):
        import jax

        if jax.default_backend() == "gpu":
            found["JAX"] = partial(jax_epochs, problem)
    return found


def measure(epochs: Callable[[int], float], count: int) -> tuple[float, float]:
    """Return seconds of an epoch, after one that is not timed, and the loss at the end."""
    epochs(1)
    begun = time.perf_counter()
    loss = epochs(count)
    return (time.perf_counter() - begun) / count, loss


def main() -> None:
    """Measure all tasks, or those whose names begin as asked."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="beginnings of the names of tasks, such as Pima")
    names = tuple(parser.parse_args().names)
    try:
        devices.set_device("cuda")
    except RuntimeError as error:
        raise SystemExit(f"There is nothing to measure: {error}") from None
    devices.set_device("cpu")
    for task in TASKS:
        if names and not task.name.startswith(names):
            continue
        problem, ours = problem_of(task), 0.0
        for name, make in contenders(problem).items():
            seconds, loss = measure(make(), task.epochs)
            ours = ours or seconds
            say(
                f"{task.name:<24} {name:<16} {1e3 * seconds:10.3f} ms an epoch  {seconds / ours:7.1f}x  loss {loss:.3f}"
            )
        if task.data == "Pima":
            for count in MANY:
                each = fastnn_many(problem, "cuda", count)
                say(
                    f"{task.name:<24} {f'{count} at once':<16} {1e3 * each:10.3f} ms an epoch  {ours / each:7.1f} times"
                )


if __name__ == "__main__":
    main()
