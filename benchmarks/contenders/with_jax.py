"""JAX on the CPU: a whole epoch, shuffling included, is one jitted scan over its batches."""

from __future__ import annotations

from functools import cache, partial
from typing import Any

import numpy as np

from benchmarks.contenders.base import Contender, Work, need, pairs
from benchmarks.problems import ADAM, LAST_ACTIVATIONS, FitProblem, PredictProblem, StepProblem


def _logits(weights: list[Any], activation: str, x: Any) -> Any:
    import jax

    function = {"relu": jax.nn.relu, "tanh": jax.numpy.tanh}[activation]
    *hidden, (kernel, bias) = pairs(weights)
    for k, b in hidden:
        x = function(x @ k + b)
    return x @ kernel + bias


def _loss(weights: list[Any], activation: str, name: str, x: Any, y: Any) -> Any:
    import jax
    from jax import numpy as jnp

    z = _logits(weights, activation, x)
    if name == "binary_crossentropy":
        return jnp.mean(jnp.logaddexp(0.0, z) - y * z)
    if name == "mean_squared_error":
        return jnp.mean((z - y) ** 2)
    return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(z), y[:, None], axis=1))


def _adam(state: tuple, gradients: list[Any]) -> tuple:
    """One step; the state holds weights, both moments and the number of steps done."""
    from jax import numpy as jnp

    weights, first, second, t = state
    t = t + 1
    rate = ADAM.learning_rate * jnp.sqrt(1 - ADAM.beta_2**t) / (1 - ADAM.beta_1**t)
    first = [ADAM.beta_1 * m + (1 - ADAM.beta_1) * g for m, g in zip(first, gradients, strict=True)]
    second = [ADAM.beta_2 * v + (1 - ADAM.beta_2) * g * g for v, g in zip(second, gradients, strict=True)]
    weights = [w - rate * m / (jnp.sqrt(v) + ADAM.epsilon) for w, m, v in zip(weights, first, second, strict=True)]
    return weights, first, second, t


def _start(weights: list[np.ndarray]) -> tuple:
    from jax import numpy as jnp

    arrays = [jnp.array(w) for w in weights]
    return arrays, [jnp.zeros_like(w) for w in arrays], [jnp.zeros_like(w) for w in arrays], jnp.zeros(())


@cache
def _epoch(activation: str, loss: str, batch: int) -> Any:
    """Compiled function from (state, key, x, y) to the state after one epoch."""
    import jax

    def step(state: tuple, rows: Any, x: Any, y: Any) -> tuple:
        gradients = jax.grad(_loss)(state[0], activation, loss, x[rows], y[rows])
        return _adam(state, gradients), None

    @jax.jit
    def epoch(state: tuple, key: Any, x: Any, y: Any) -> tuple:
        order, whole = jax.random.permutation(key, len(x)), len(x) // batch * batch
        if whole:
            state, _ = jax.lax.scan(partial(step, x=x, y=y), state, order[:whole].reshape(-1, batch))
        if whole < len(x):
            state, _ = step(state, order[whole:], x, y)
        return state

    return epoch


class Jax(Contender):
    name = "jax"
    label = "JAX"
    distributions = ("jax", "jaxlib")

    def fit(self, problem: FitProblem, seed: int) -> Work:
        import jax

        task = problem.task
        need(task.dtype == "float32")
        epoch = _epoch(task.activation, task.loss, task.batch)
        x, y = jax.numpy.array(problem.data.x), jax.numpy.array(problem.y_column)
        keys = list(jax.random.split(jax.random.key(seed), task.epochs))
        state = jax.block_until_ready([_start(problem.weights)])

        def run() -> None:
            for key in keys:
                state[0] = epoch(state[0], key, x, y)
            jax.block_until_ready(state)

        return Work(run, lambda: [np.asarray(w) for w in state[0][0]])

    def predict(self, problem: PredictProblem) -> Work:
        import jax

        task, x = problem.task, problem.x
        need(LAST_ACTIVATIONS[task.loss] == "sigmoid")
        weights = [jax.numpy.array(w) for w in problem.weights]
        outputs = jax.jit(lambda x: jax.nn.sigmoid(_logits(weights, task.activation, x)))
        return Work.of(lambda: np.asarray(outputs(x)))

    def step(self, problem: StepProblem) -> Work:
        import jax

        state = [_start(problem.weights)]
        gradients = [jax.numpy.array(g) for g in problem.gradients]
        adam = jax.jit(_adam, donate_argnums=0)

        def run() -> None:
            state[0] = jax.block_until_ready(adam(state[0], gradients))

        return Work(run, lambda: [np.asarray(w) for w in state[0][0]])
