"""The oracle of batch and layer normalization: slow, obvious float64 NumPy, as in ``reference/``.

A layer is a dict: kind "batch_normalization" (epsilon, momentum, center, scale) or "layer_normalization" (the same
without momentum), or "normalization", which standardizes inputs by given statistics.
"""

import numpy as np


def weights_of_normalization(layer):
    """Names of the layer's weights in Keras' order, and whether each is trained."""
    if layer["kind"] == "normalization":
        yield from [("mean", False), ("variance", False)]
        return
    yield from [("gamma", True)] * layer.get("scale", True) + [("beta", True)] * layer.get("center", True)
    if layer["kind"] == "batch_normalization":
        yield from [("moving_mean", False), ("moving_variance", False)]


def normalization_forward(layer, weights, x, record, training):
    """Return the outputs of x (rows, columns) by the arrays in the dict `weights`.

    In training, the moving statistics among the weights are renewed. `record` gets what the backward pass needs.
    """
    if layer["kind"] == "normalization":
        return (x - weights["mean"]) / np.maximum(np.sqrt(np.float64(weights["variance"])), 1e-7)
    axis = 0 if layer["kind"] == "batch_normalization" else 1
    if axis == 0 and not training:
        mean, variance = (np.float64(weights[name]) for name in ("moving_mean", "moving_variance"))
    else:
        mean, variance = x.mean(axis, keepdims=True), x.var(axis, keepdims=True)
    if axis == 0 and training:
        for name, now in (("moving_mean", mean), ("moving_variance", variance)):
            weights[name][...] = layer["momentum"] * weights[name] + (1.0 - layer["momentum"]) * now[0]
    record["deviation"] = np.sqrt(variance + layer["epsilon"])
    record["normal"] = (x - mean) / record["deviation"]
    record["gamma"] = np.asarray(weights.get("gamma", 1.0), np.float64)
    return record["gamma"] * record["normal"] + weights.get("beta", 0.0)


def normalization_backward(layer, record, dy):
    """Gradient with respect to the input in training, and the gradients of gamma and beta, if the layer has them."""
    if layer["kind"] == "normalization":
        return np.full_like(dy, np.nan), []  # nothing below has weights
    axis, normal = 0 if layer["kind"] == "batch_normalization" else 1, record["normal"]
    gradients = {"scale": (dy * normal).sum(axis=0), "center": dy.sum(axis=0)}
    g = dy * record["gamma"]
    dx = g - g.mean(axis, keepdims=True) - normal * (g * normal).mean(axis, keepdims=True)
    return dx / record["deviation"], [gradients[name] for name in ("scale", "center") if layer.get(name, True)]
