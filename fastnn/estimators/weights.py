"""Weights of an estimator as attributes: names, a check of those that users assign, and their precision."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from sklearn.base import is_classifier

from fastnn.common.arithmetic import heedless
from fastnn.common.host_arrays import host_array

ARRAYS_PER_LAYER = {None: 2, "layer": 4, "batch": 6}  # of a hidden layer


def attributes(weights: Sequence[Any], normalization: str | None) -> dict[str, list]:
    """Return what the weights of an engine are as attributes."""
    step = ARRAYS_PER_LAYER[normalization]
    named: dict[str, list] = {"coefs_": list(weights[::step]), "intercepts_": list(weights[1::step])}
    if step > 2:
        hidden = range(0, len(weights) - 2, step)
        named["normalizations_"] = [tuple(weights[first + 2 : first + step]) for first in hidden]
    return named


def flattened(named: Mapping[str, Any]) -> list[Any]:
    """Return the arrays of these attributes, one attribute after the other."""
    normalizations = [array for arrays in named.get("normalizations_", ()) for array in arrays]
    return [*named["coefs_"], *named["intercepts_"], *normalizations]


def names(layers: int, normalization: str | None) -> list[str]:
    """Return the names of the weights of so many layers, such as ``coefs_[0]``, in the order of an engine."""
    others = range(ARRAYS_PER_LAYER[normalization] - 2)
    every = [
        [f"coefs_[{i}]", f"intercepts_[{i}]", *(f"normalizations_[{i}][{j}]" for j in others)] for i in range(layers)
    ]
    every[-1] = every[-1][:2]  # outputs are not normalized
    return [name for layer in every for name in layer]


def assigned_weights(estimator: Any, dtype: np.dtype) -> list[np.ndarray]:
    """Return checked copies of ``coefs_``, ``intercepts_`` and ``normalizations_`` in the order of an engine.

    They may be of any network that takes the estimator's features and gives its outputs, or any outputs if it is a
    regressor.

    Parameters
    ----------
    dtype : dtype that the estimator computes in

    Raises
    ------
    ValueError
        If they do not fit each other, or hold numbers that are too large for `dtype`.
    TypeError
        If they hold no real numbers.
    """
    kernels, biases = _listed("coefs_", estimator.coefs_), _listed("intercepts_", estimator.intercepts_)
    layers, kept = len(kernels) + 1, estimator.__dict__.get("_kept")
    before = kept and 1 + sum(array.ndim == 2 for array in kept)
    if estimator.n_layers_ not in (layers, before or estimator.n_layers_):
        raise ValueError(
            f"n_layers_ is {estimator.n_layers_}, but coefs_ holds {len(kernels)} arrays, those of {layers} layers: "
            "assign coefs_ and intercepts_ of the network that you want"
        )
    if not kernels or len(kernels) != len(biases):
        raise ValueError(
            f"coefs_ holds {len(kernels)} arrays and intercepts_ {len(biases)}; each layer of a network has one of both"
        )
    normalization, last = estimator._normalization, len(kernels) - 1
    others = _listed("normalizations_", getattr(estimator, "normalizations_", ()))
    if len(others) != (0 if normalization is None else last):
        raise ValueError(
            f"normalizations_ holds {len(others)} tuples; a network with normalization={normalization!r} and {last} "
            f"hidden layers has {0 if normalization is None else last}"
        )
    name_of, width, weights = iter(names(last + 1, normalization)), estimator.n_features_in_, []
    for layer, (kernel, bias) in enumerate(zip(kernels, biases, strict=True)):
        units = estimator.n_outputs_ if layer == last and is_classifier(estimator) else None
        weights.append(_array(next(name_of), kernel, (width, units), dtype))
        width = weights[-1].shape[1]
        weights.append(_array(next(name_of), bias, (width,), dtype))
        if layer < len(others):
            arrays, count = _listed(f"normalizations_[{layer}]", others[layer]), ARRAYS_PER_LAYER[normalization] - 2
            if len(arrays) != count:
                raise ValueError(f"normalizations_[{layer}] holds {len(arrays)} arrays, expected {count}")
            weights += [_array(next(name_of), array, (width,), dtype) for array in arrays]
    return weights


def _listed(name: str, value: Any) -> list[Any]:
    if isinstance(value, (str, bytes, dict)) or not np.iterable(value):
        raise TypeError(f"{name} must be a list of arrays; got {type(value).__name__}")
    return list(value)


def _array(name: str, value: Any, shape: tuple[int | None, ...], dtype: np.dtype) -> np.ndarray:
    """Return a copy as float32 or float64, if it has this shape, None standing for any size but 0."""
    array = host_array(value, name)
    fits = array.ndim == len(shape) and all(
        size and wanted in (None, size) for size, wanted in zip(array.shape, shape, strict=True)
    )
    if not fits:
        wanted = str(shape).replace("None", "n")
        raise ValueError(
            f"{name} has the shape {array.shape}, but the layer before it, or the estimator's data, ask for {wanted}: "
            "kernels have a row for each column of the one before and a column for each neuron, the rest one number "
            "for each neuron"
        )
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        kept = np.array(array, np.float32 if array.dtype == np.float32 else np.float64, order="C")
        if np.isfinite(array).all() and not np.isfinite(kept.astype(dtype)).all():
            raise ValueError(f"{name} holds numbers that are too large for {dtype}: set dtype='float64'")
    return kept


as_dtype = heedless(np.ndarray.astype)


def rounded(weights: Sequence[np.ndarray], dtype: np.dtype) -> list[np.ndarray]:
    """Return the weights of a fit in the dtype that predictions compute in.

    Raises
    ------
    ValueError
        If a finite one is too large for it.
    """
    converted = [as_dtype(array, dtype) for array in weights]
    if all(np.isfinite(array).all() for array in weights) and not all(np.isfinite(array).all() for array in converted):
        raise ValueError(
            f"Solver produced non-finite parameter weights in {dtype}, which predictions are computed in: take a "
            "smaller learning rate, scale the data, or set dtype='float64'"
        )
    return converted
