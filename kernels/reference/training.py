"""The oracle's networks, their gradients, and a whole training in float64 NumPy; see ``reference/``."""

import numpy as np

from .activations import activation, activation_gradient
from .dense import dense_backward_input, dense_backward_params, dense_forward
from .losses import FROM_LOGITS, LOSSES, loss, loss_gradient, metric
from .normalization import normalization_backward, normalization_forward, weights_of_normalization
from .optimizers import clipped, optimizer_step
from .random import dropout_mask, permutation


def forward(layers, weights, x, seed=0, step=None):
    """Return the outputs of a model, and per layer what its backward pass needs; dropout acts if a step is given.

    A layer is a dict: kind "dense" (activation, alpha, use_bias, l2, and mixed for products of bfloat16), "activation"
    (activation, alpha), "dropout" (rate, and op where the operation's number is not the layer's), or a
    normalization (see ``reference/normalization.py``). `weights` are in Keras' order.
    """
    remaining, tape, y = iter(weights), [], np.asarray(x, np.float64)
    for number, layer in enumerate(layers):
        record = {"x": y}
        if layer["kind"] == "dropout":
            shape, op = y.shape, layer.get("op", number)
            record["mask"] = 1.0 if step is None else dropout_mask(*shape, layer["rate"], seed, op, step)
            y = y * record["mask"]
        elif layer["kind"].endswith("normalization"):
            own = {weight: next(remaining) for weight, _ in weights_of_normalization(layer)}
            y = normalization_forward(layer, own, y, record, training=step is not None)
        else:
            if layer["kind"] == "dense":
                record["kernel"] = next(remaining)
                bias = next(remaining) if layer.get("use_bias", True) else None
                y = dense_forward(y, record["kernel"], bias, layer.get("mixed", False))
            record["z"] = y
            y = activation(layer.get("activation", "linear"), y, layer.get("alpha", 0.0))
        tape.append(record)
    return y, tape


def _mean_weights(rows, sample_weights, weighted_mean):
    """Weights of the rows in a batch's mean, and what its penalties are multiplied by where they are divided too."""
    sample_weights = np.ones(rows) if sample_weights is None else np.asarray(sample_weights, np.float64)
    total = sample_weights.sum() if weighted_mean else rows
    return (sample_weights / total, 1.0 / total) if total else (0.0 * sample_weights, 0.0)


def loss_and_gradients(
    layers, weights, name, x, y, sample_weights=None, seed=0, step=None, loss_scale=1.0, weighted_mean=False,
    l2_per_row=False, loss_options=None,
):  # fmt: skip
    """Loss of a batch with its penalties, gradient of every trained weight array, and the outputs.

    An activation before the loss that goes with it is differentiated with it, as a loss on logits.
    """
    output, tape = forward(layers, weights, x, seed, step)
    own = LOSSES.get(name.removeprefix("sparse_"))  # not of a loss of logits
    fused = own is not None and bool(own.activation) and own.activation == layers[-1].get("activation")
    predicted, name = (tape[-1]["z"], name + FROM_LOGITS) if fused else (output, name)
    scale, l2_factor = _mean_weights(len(x), sample_weights, weighted_mean)
    scale, l2_factor = loss_scale * scale, l2_factor if l2_per_row else 1.0
    value, gradients = scale @ loss(name, y, predicted, **(loss_options or {})), []
    d = scale[:, None] * loss_gradient(name, y, predicted, **(loss_options or {}))
    for layer, record in zip(reversed(layers), reversed(tape), strict=True):
        if layer["kind"] == "dropout":
            d = d * record["mask"]
            continue
        if layer["kind"].endswith("normalization"):
            d, own_gradients = normalization_backward(layer, record, d)
            gradients[:0] = own_gradients
            continue
        if not (fused and record is tape[-1]):
            d = activation_gradient(layer.get("activation", "linear"), record["z"], layer.get("alpha", 0.0), d)
        if layer["kind"] == "dense":
            kernel, l2, mixed = record["kernel"], l2_factor * layer.get("l2", 0.0), layer.get("mixed", False)
            value += l2 * np.sum(kernel**2)
            kernel_gradient, bias_gradient = dense_backward_params(record["x"], d, mixed)
            gradients[:0] = [kernel_gradient + 2.0 * l2 * kernel, bias_gradient][: 1 + layer.get("use_bias", True)]
            d = dense_backward_input(d, kernel, mixed)
    return value, gradients, output


def _trained(layers):
    """For every weight array whether it is trained."""
    for layer in layers:
        if layer["kind"] == "dense":
            yield from [True] * (1 + layer.get("use_bias", True))
        elif layer["kind"].endswith("normalization"):
            yield from (trained for _, trained in weights_of_normalization(layer))


def train(
    layers, weights, name, optimizer, hyperparameters, x, y, *, batch_size, epochs=1, shuffle=True, seed=0,
    sample_weights=None, metrics=(), first_epoch=0, state=None, loss_scale=1.0, weighted_mean=False, l2_per_row=False,
    loss_options=None, clipping=(0.0, 0.0, 0.0),
):  # fmt: skip
    """Train copies of the weights; return them and, per epoch, the means over its rows of loss and metrics.

    A batch of all rows is not shuffled.
    """
    state, n = {} if state is None else state, len(x)
    weights = [np.array(w, np.float64) for w in weights]
    trained = [w for w, is_trained in zip(weights, _trained(layers), strict=True) if is_trained]
    flat = np.concatenate([w.ravel() for w in trained])
    parts = np.split(flat, np.cumsum([w.size for w in trained])[:-1])
    logs = np.zeros((epochs, 1 + len(metrics)))
    for epoch in range(epochs):
        order = permutation(n, seed, first_epoch + epoch) if shuffle and batch_size < n else np.arange(n)
        for start in range(0, n, batch_size):
            rows = order[start : start + batch_size]
            chosen = None if sample_weights is None else sample_weights[rows]
            step = state.get("step", 0)
            value, gradients, output = loss_and_gradients(
                layers, weights, name, x[rows], y[rows], chosen, seed, step, loss_scale, weighted_mean, l2_per_row,
                loss_options,
            )  # fmt: skip
            flat_gradient = np.concatenate([g.ravel() for g in clipped(gradients, *clipping)])
            optimizer_step(optimizer, hyperparameters, flat, flat_gradient, state)
            for weight, part in zip(trained, parts, strict=True):
                weight[...] = part.reshape(weight.shape)
            factors = _mean_weights(len(rows), chosen if weighted_mean else None, weighted_mean)[0]
            logs[epoch] += np.multiply(len(rows), [value, *(factors @ metric(key, y[rows], output) for key in metrics)])
    return weights, logs / n
