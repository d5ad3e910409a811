"""Losses of one output with its weight: what a loop over outputs, or rows, makes of each."""

from __future__ import annotations

from .elementary import exp, select, sigmoid
from .losses import (
    absolute_error,
    absolute_error_grad,
    binary_crossentropy,
    binary_crossentropy_grad,
    binary_focal,
    binary_focal_grad,
    huber,
    huber_grad,
    log_cosh,
    log_cosh_grad,
    log_rate_deviance,
    log_rate_poisson,
    logit_crossentropy,
    logit_focal,
    logit_focal_grad,
    pinball,
    pinball_grad,
    poisson,
    poisson_deviance,
    poisson_grad,
    squared_error,
    squared_error_grad,
)


def on_outputs(value, gradient):
    """Weighted loss, output and scaled gradient of a loss of outputs."""

    def element(z, t, w, scale):
        return w * value(z, t), z, w * scale * gradient(z, t)

    return element


def on_shaped_outputs(value, gradient):
    """Twin of ``on_outputs`` for a loss with a parameter."""

    def element(z, t, w, scale, shape):
        return w * value(z, t, shape), z, w * scale * gradient(z, t, shape)

    return element


def on_links(value, link):
    """Twin of ``on_outputs`` where ``link`` gives outputs, and their difference from the target is the gradient."""

    def element(z, t, w, scale):
        y = link(z)
        return w * value(z, t), y, w * scale * (y - t)

    return element


def of_logit(z, t, w, scale, limit):
    """Weighted cross-entropy of a logit, at most ``limit`` before it is weighted, probability and scaled gradient."""
    loss, y = logit_crossentropy(z, t), sigmoid(z)
    return w * select(loss > limit, limit, loss), y, w * scale * (y - t)


def focal(p, t, w, scale, gamma, positive, negative):
    """Weighted loss, probability and scaled gradient of focal cross-entropies."""
    loss = binary_focal(p, t, gamma, positive, negative)
    return w * loss, p, w * scale * binary_focal_grad(p, t, gamma, positive, negative)


def focal_of_logit(z, t, w, scale, gamma, positive, negative):
    """``focal`` of logits."""
    loss = logit_focal(z, t, gamma, positive, negative)
    return w * loss, sigmoid(z), w * scale * logit_focal_grad(z, t, gamma, positive, negative)


SQUARED, ABSOLUTE = on_outputs(squared_error, squared_error_grad), on_outputs(absolute_error, absolute_error_grad)
LOG_COSH, PROBABILITY = on_outputs(log_cosh, log_cosh_grad), on_outputs(binary_crossentropy, binary_crossentropy_grad)
RATE, DEVIANCE = on_outputs(poisson, poisson_grad), on_outputs(poisson_deviance, poisson_grad)
HUBER, PINBALL = on_shaped_outputs(huber, huber_grad), on_shaped_outputs(pinball, pinball_grad)
LOG_RATE, LOG_RATE_DEVIANCE = on_links(log_rate_poisson, exp), on_links(log_rate_deviance, exp)
