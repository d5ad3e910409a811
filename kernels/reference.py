"""The oracle of the tests: every kernel again in slow, obvious float64 NumPy, with no code shared with the fast path.

Arrays are rows by columns. Targets have the shape of the outputs, or (rows, 1) holding class numbers for the
sparse losses and metrics. Names are those of ``codes.py``.
"""

import math

import numpy as np

from .codes import HYPERPARAMETERS

_erf = np.vectorize(math.erf, otypes=[np.float64])
SELU_SCALE, SELU_ALPHA = 1.0507009873554804934193349852946, 1.6732632423543772848170429916717
MARGIN = 1e-7  # probabilities are clipped to [margin, 1 - margin]


# --- activations ----------------------------------------------------------------------------------------------


def _normal_distribution(z):
    return (1.0 + _erf(z / math.sqrt(2.0))) / 2.0


def _sigmoid(z):
    return 1.0 / (1.0 + np.exp(-z))


def _softmax(z):
    powers = np.exp(z - z.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


_ACTIVATIONS = {
    "linear": lambda z, alpha: z.copy(),
    "relu": lambda z, alpha: np.maximum(z, 0.0),
    "sigmoid": lambda z, alpha: _sigmoid(z),
    "tanh": lambda z, alpha: np.tanh(z),
    "softmax": lambda z, alpha: _softmax(z),
    "leaky_relu": lambda z, alpha: np.where(z > 0, z, alpha * z),
    "elu": lambda z, alpha: np.where(z > 0, z, alpha * np.expm1(z)),
    "selu": lambda z, alpha: SELU_SCALE * np.where(z > 0, z, SELU_ALPHA * np.expm1(z)),
    "gelu": lambda z, alpha: z * _normal_distribution(z),
    "silu": lambda z, alpha: z * _sigmoid(z),
    "softplus": lambda z, alpha: np.logaddexp(0.0, z),
    "step": lambda z, alpha: np.where(z > 0, 1.0, 0.0),
    "exponential": lambda z, alpha: np.exp(z),
}
_DERIVATIVES = {
    "linear": lambda z, alpha: np.ones_like(z),
    "relu": lambda z, alpha: np.where(z > 0, 1.0, 0.0),
    "sigmoid": lambda z, alpha: _sigmoid(z) * (1.0 - _sigmoid(z)),
    "tanh": lambda z, alpha: 1.0 - np.tanh(z) ** 2,
    "leaky_relu": lambda z, alpha: np.where(z > 0, 1.0, alpha),
    "elu": lambda z, alpha: np.where(z > 0, 1.0, alpha * np.exp(z)),
    "selu": lambda z, alpha: SELU_SCALE * np.where(z > 0, 1.0, SELU_ALPHA * np.exp(z)),
    "gelu": lambda z, alpha: _normal_distribution(z) + z * np.exp(-z * z / 2.0) / math.sqrt(2.0 * math.pi),
    "silu": lambda z, alpha: _sigmoid(z) * (1.0 + z * (1.0 - _sigmoid(z))),
    "softplus": lambda z, alpha: _sigmoid(z),
    "exponential": lambda z, alpha: np.exp(z),
}


def activation(name, z, alpha=0.0):
    """Return the outputs of an activation for pre-activations z of any shape; softmax runs along the last axis."""
    with np.errstate(over="ignore"):
        return _ACTIVATIONS[name](np.asarray(z, np.float64), alpha)


def activation_gradient(name, z, alpha, dy):
    """Gradient with respect to z, given the gradient dy with respect to the outputs."""
    z, dy = np.asarray(z, np.float64), np.asarray(dy, np.float64)
    if name == "softmax":
        y = _softmax(z)
        return y * (dy - (dy * y).sum(axis=-1, keepdims=True))
    with np.errstate(over="ignore"):
        return dy * _DERIVATIVES[name](z, alpha)


# --- dense layer ----------------------------------------------------------------------------------------------


def bfloat16(values):
    """Round to the nearest bfloat16, ties to even, as its instructions do: by way of float32, subnormals to zero."""
    values = np.asarray(values, np.float32)
    bits = np.where(np.abs(values) < np.finfo(np.float32).tiny, np.copysign(np.float32(0.0), values), values)
    bits = bits.view(np.uint32)
    nearest = (bits + np.uint32(0x7FFF) + (bits >> np.uint32(16) & np.uint32(1))) & np.uint32(0xFFFF0000)
    return np.where(np.isnan(values), np.nan, nearest.view(np.float32)).astype(np.float64)


def _operand(values, mixed):
    return bfloat16(values) if mixed else np.asarray(values, np.float64)


def dense_forward(x, kernel, bias=None, mixed=False):
    """Pre-activations (rows, out) of inputs (rows, in), kernel (in, out), bias (out,)."""
    z = _operand(x, mixed) @ _operand(kernel, mixed)
    return z if bias is None else z + np.asarray(bias, np.float64)


def dense_backward_input(dz, kernel, mixed=False):
    """Gradient with respect to the inputs, (rows, in), from dz (rows, out)."""
    return _operand(dz, mixed) @ _operand(kernel, mixed).T


def dense_backward_params(x, dz, mixed=False):
    """Gradients with respect to kernel (in, out) and bias (out,), summed over the rows."""
    dz = _operand(dz, mixed)
    return _operand(x, mixed).T @ dz, dz.sum(axis=0)


# --- random numbers -------------------------------------------------------------------------------------------


def philox4x32(counter, key):
    """Philox4x32-10 of Salmon et al. (SC11): words (..., 4) for counters (..., 4) and a key of two words."""
    low = np.uint64(0xFFFFFFFF)
    c0, c1, c2, c3 = np.moveaxis(np.asarray(counter, np.uint64), -1, 0)
    k0, k1 = (int(word) for word in key)
    for _ in range(10):
        product_0, product_1 = np.uint64(0xD2511F53) * c0, np.uint64(0xCD9E8D57) * c2
        c0, c2 = (product_1 >> np.uint64(32)) ^ c1 ^ np.uint64(k0), (product_0 >> np.uint64(32)) ^ c3 ^ np.uint64(k1)
        c1, c3 = product_1 & low, product_0 & low
        k0, k1 = (k0 + 0x9E3779B9) % 2**32, (k1 + 0xBB67AE85) % 2**32
    return np.stack([c0, c1, c2, c3], axis=-1).astype(np.uint32)


def random_words(count, row, time, stream, seed):
    """Return the first `count` words of the counters (0, row, time, stream), (1, row, time, stream), ..."""
    counter = np.full((-(-count // 4), 4), (0, row, time, stream), np.uint64)
    counter[:, 0] = np.arange(len(counter))
    return philox4x32(counter, (seed % 2**32, seed >> 32)).ravel()[:count]


def permutation(n, seed, epoch):
    """Order of the rows in an epoch: Fisher-Yates from the last place down, place i with word i of the epoch."""
    order, words = list(range(n)), random_words(n, 0, epoch, 0, seed).tolist()
    for i in range(n - 1, 0, -1):
        j = words[i] * (i + 1) >> 32
        order[i], order[j] = order[j], order[i]
    return np.array(order, np.int64)


def dropout_mask(rows, columns, rate, seed, op, step):
    """Multipliers (rows, columns) of operation `op` after `step` optimizer steps: 0, or 1 / (1 - rate) where kept."""
    words = np.array([random_words(columns, row, step, 1 + op, seed) for row in range(rows)]).reshape(rows, columns)
    return np.where(words >= math.floor(rate * 2.0**32 + 0.5), 1.0 / (1.0 - rate), 0.0)


# --- losses and metrics of each row -----------------------------------------------------------------------------


def _dense_target(name, target, output):
    target = np.asarray(target, np.float64)
    return np.eye(output.shape[1])[target[:, 0].astype(np.intp)] if name.startswith("sparse_") else target


def _unclipped(p):
    return (p >= MARGIN) & (p <= 1.0 - MARGIN)


def loss(name, target, output):
    """Loss of each row, (rows,); `output` holds logits where the name says so."""
    y = np.asarray(output, np.float64)
    t, name = _dense_target(name, target, y), name.removeprefix("sparse_")
    if name == "mean_squared_error":
        return ((y - t) ** 2).mean(axis=1)
    if name == "mean_absolute_error":
        return np.abs(y - t).mean(axis=1)
    if name == "binary_crossentropy":
        p = np.clip(y, MARGIN, 1.0 - MARGIN)
        return -(t * np.log(p) + (1.0 - t) * np.log(1.0 - p)).mean(axis=1)
    if name == "binary_crossentropy_from_logits":
        return (np.logaddexp(0.0, y) - t * y).mean(axis=1)
    if name == "categorical_crossentropy":  # of rows scaled to sum 1, as in Keras
        p = y / y.sum(axis=1, keepdims=True)
        return -(t * np.log(np.clip(p, MARGIN, 1.0 - MARGIN))).sum(axis=1)
    if name == "categorical_crossentropy_from_logits":
        shifted = y - y.max(axis=1, keepdims=True)
        return (t * (np.log(np.exp(shifted).sum(axis=1, keepdims=True)) - shifted)).sum(axis=1)
    if name.startswith("poisson_deviance"):  # half of it
        log_rate = y if name.endswith("from_logits") else np.log(y)
        deviance = np.exp(log_rate) - t + np.where(t > 0, t * (np.log(np.where(t > 0, t, 1.0)) - log_rate), 0.0)
        return deviance.mean(axis=1)
    raise ValueError(f"unknown loss {name!r}")


def loss_gradient(name, target, output):
    """Gradient of each row's loss with respect to its outputs (or logits), (rows, outputs)."""
    y = np.asarray(output, np.float64)
    t, name = _dense_target(name, target, y), name.removeprefix("sparse_")
    if name == "mean_squared_error":
        return 2.0 * (y - t) / y.shape[1]
    if name == "mean_absolute_error":
        return np.sign(y - t) / y.shape[1]
    if name == "binary_crossentropy":
        p = np.clip(y, MARGIN, 1.0 - MARGIN)
        return np.where(_unclipped(y), (p - t) / (p * (1.0 - p)), 0.0) / y.shape[1]
    if name == "binary_crossentropy_from_logits":
        return (activation("sigmoid", y) - t) / y.shape[1]
    if name == "categorical_crossentropy":
        total = y.sum(axis=1, keepdims=True)
        p = y / total
        dp = np.where(_unclipped(p), -t / np.clip(p, MARGIN, 1.0), 0.0)
        return (dp - (dp * p).sum(axis=1, keepdims=True)) / total
    if name == "categorical_crossentropy_from_logits":
        return t.sum(axis=1, keepdims=True) * _softmax(y) - t
    if name == "poisson_deviance":
        return (1.0 - t / y) / y.shape[1]
    if name == "poisson_deviance_from_logits":
        return (np.exp(y) - t) / y.shape[1]
    raise ValueError(f"unknown loss {name!r}")


def metric(name, target, output):
    """Metric of each row, (rows,); every loss is a metric too."""
    if not name.endswith("accuracy"):
        return loss(name, target, output)
    y = np.asarray(output, np.float64)
    t = _dense_target(name, target, y)
    if name == "binary_accuracy":
        return ((y > 0.5) == t).mean(axis=1)
    return (y.argmax(axis=1) == t.argmax(axis=1)).astype(np.float64)


# --- training -------------------------------------------------------------------------------------------------


def optimizer_step(name, hyperparameters, w, g, state):
    """One step over the flat weights w, in place; the dict `state`, empty at first, keeps moments and the count."""
    h = dict(zip(HYPERPARAMETERS, hyperparameters, strict=True))
    rate, beta_1, beta_2, epsilon = (h[key] for key in ("learning_rate", "beta_1", "beta_2", "epsilon"))
    state["step"] = t = state.get("step", 0) + 1
    m, v = (state.setdefault(key, np.zeros_like(w)) for key in "mv")
    if name == "sgd":
        m[:] = beta_1 * m - rate * g
        w += beta_1 * m - rate * g if h["nesterov"] else m
    elif name == "rmsprop":
        v[:] = beta_2 * v + (1.0 - beta_2) * g**2
        m[:] = beta_1 * m + rate * g / np.sqrt(v + epsilon)
        w -= m
    elif name in ("adam", "adamw"):
        w -= rate * h["weight_decay"] * w
        m[:] = beta_1 * m + (1.0 - beta_1) * g
        v[:] = beta_2 * v + (1.0 - beta_2) * g**2
        w -= rate * math.sqrt(1.0 - beta_2**t) / (1.0 - beta_1**t) * m / (np.sqrt(v) + epsilon)
    else:
        raise ValueError(f"unknown optimizer {name!r}")


def forward(layers, weights, x, seed=0, step=None):
    """Return the outputs of a model, and per layer what its backward pass needs; dropout acts if a step is given.

    A layer is a dict: kind "dense" (activation, alpha, use_bias, l2, and mixed for products of bfloat16), "activation"
    (activation, alpha) or "dropout" (rate, and op where the operation's number is not the layer's place). `weights`
    are in Keras' order.
    """
    remaining, tape, y = iter(weights), [], np.asarray(x, np.float64)
    for place, layer in enumerate(layers):
        record = {"x": y}
        if layer["kind"] == "dropout":
            shape, op = y.shape, layer.get("op", place)
            record["mask"] = 1.0 if step is None else dropout_mask(*shape, layer["rate"], seed, op, step)
            y = y * record["mask"]
        else:
            if layer["kind"] == "dense":
                record["kernel"] = next(remaining)
                bias = next(remaining) if layer.get("use_bias", True) else None
                y = dense_forward(y, record["kernel"], bias, layer.get("mixed", False))
            record["z"] = y
            y = activation(layer.get("activation", "linear"), y, layer.get("alpha", 0.0))
        tape.append(record)
    return y, tape


def _mean_weights(rows, row_weights, weighted_mean):
    """Weights of the rows in a batch's mean, and what its penalties are multiplied by where they are divided too."""
    row_weights = np.ones(rows) if row_weights is None else np.asarray(row_weights, np.float64)
    total = row_weights.sum() if weighted_mean else rows
    return (row_weights / total, 1.0 / total) if total else (0.0 * row_weights, 0.0)


def loss_and_gradients(
    layers, weights, name, x, y, row_weights=None, seed=0, step=None, loss_scale=1.0, weighted_mean=False,
    l2_per_row=False,
):  # fmt: skip
    """Loss of a batch with its penalties, gradient of every weight array, and the outputs.

    An activation before the loss that goes with it is differentiated with it, as a loss on logits.
    """
    output, tape = forward(layers, weights, x, seed, step)
    fused = {
        "sigmoid": "binary_crossentropy", "softmax": "categorical_crossentropy", "exponential": "poisson_deviance",
    }  # fmt: skip
    fused = name.removeprefix("sparse_") == fused.get(layers[-1].get("activation"))
    predicted, name = (tape[-1]["z"], name + "_from_logits") if fused else (output, name)
    scale, l2_share = _mean_weights(len(x), row_weights, weighted_mean)
    scale, l2_share = loss_scale * scale, l2_share if l2_per_row else 1.0
    value, gradients = scale @ loss(name, y, predicted), []
    d = scale[:, None] * loss_gradient(name, y, predicted)
    for layer, record in zip(reversed(layers), reversed(tape), strict=True):
        if layer["kind"] == "dropout":
            d = d * record["mask"]
            continue
        if not (fused and record is tape[-1]):
            d = activation_gradient(layer.get("activation", "linear"), record["z"], layer.get("alpha", 0.0), d)
        if layer["kind"] == "dense":
            kernel, l2, mixed = record["kernel"], l2_share * layer.get("l2", 0.0), layer.get("mixed", False)
            value += l2 * np.sum(kernel**2)
            kernel_gradient, bias_gradient = dense_backward_params(record["x"], d, mixed)
            gradients[:0] = [kernel_gradient + 2.0 * l2 * kernel, bias_gradient][: 1 + layer.get("use_bias", True)]
            d = dense_backward_input(d, kernel, mixed)
    return value, gradients, output


def train(
    layers, weights, name, optimizer, hyperparameters, x, y, *, batch_size, epochs=1, shuffle=True, seed=0,
    row_weights=None, metrics=(), first_epoch=0, state=None, loss_scale=1.0, weighted_mean=False, l2_per_row=False,
):  # fmt: skip
    """Train copies of the weights; return them and, per epoch, the means over its rows of loss and metrics."""
    state, n = {} if state is None else state, len(x)
    flat = np.concatenate([np.ravel(w) for w in weights]).astype(np.float64)
    ends = np.cumsum([np.size(w) for w in weights])[:-1]
    weights = [part.reshape(np.shape(w)) for part, w in zip(np.split(flat, ends), weights, strict=True)]
    logs = np.zeros((epochs, 1 + len(metrics)))
    for epoch in range(epochs):
        order = permutation(n, seed, first_epoch + epoch) if shuffle else np.arange(n)
        for start in range(0, n, batch_size):
            rows = order[start : start + batch_size]
            chosen = None if row_weights is None else row_weights[rows]
            step = state.get("step", 0)
            value, gradients, output = loss_and_gradients(
                layers, weights, name, x[rows], y[rows], chosen, seed, step, loss_scale, weighted_mean, l2_per_row
            )
            optimizer_step(optimizer, hyperparameters, flat, np.concatenate([g.ravel() for g in gradients]), state)
            shares = _mean_weights(len(rows), chosen if weighted_mean else None, weighted_mean)[0]
            logs[epoch] += np.multiply(len(rows), [value, *(shares @ metric(key, y[rows], output) for key in metrics)])
    return weights, logs / n
