"""What a fit is made of beside its epochs: two fits under the same conditions and with the same seed are the same."""

import hashlib
import math
from typing import Any

import numpy as np

from fastnn.common.identifiers import serialize
from fastnn.common.plain_values import as_arguments, plain
from fastnn.data.samples import Samples

WHOLE_BYTES, SAMPLED_ROWS = 4 << 20, 1024  # of an array whose digest is of all its rows; of a larger one


def of_fit(
    model: Any, samples: Samples, validation: Samples | None, *, batch_size: int, shuffle: bool, initial_epoch: int
) -> dict[str, Any]:
    """Return all that decides what a fit of a compiled model does beside its seed and epochs, as plain values.

    What first weights were drawn from is left out: a fit that goes on has other weights.
    """
    batch_size = min(batch_size, len(samples))
    layers = [serialize(layer) for layer in model.layers]
    for layer in layers:
        layer["config"] = {key: value for key, value in layer["config"].items() if not key.endswith("initializer")}
    conditions = {
        "data": _described(samples),
        "validation": None if validation is None else _described(validation),
        "batch_size": batch_size,
        "shuffle": bool(shuffle) and batch_size < len(samples),
        "initial_epoch": initial_epoch,
        "optimizer": serialize(model.optimizer),
        "loss": serialize(model.loss),
        "metrics": [serialize(metric) for metric in model.metrics],
        "layers": layers,
    }
    return plain(conditions, "the fit", as_arguments)  # as a file gives them back


def _described(samples: Samples) -> dict[str, Any]:
    parts = {"x": samples.x, "y": samples.y, "sample_weight or class_weight": samples.sample_weights}
    return {"rows": len(samples)} | {
        f"digest of {name}": None if array is None else digest(array) for name, array in parts.items()
    }


def digest(array: Any) -> str:
    """Return a digest of type, shape and content of an array on the host or a GPU, of a large one of some rows."""
    rows, size = len(array), array.dtype.itemsize * math.prod(array.shape)
    parts = [array[:]]
    if size > WHOLE_BYTES and rows > SAMPLED_ROWS:
        parts = [array[r : r + 1] for r in np.linspace(0, rows - 1, SAMPLED_ROWS).astype(int)]
    total = hashlib.blake2b(f"{np.dtype(array.dtype).name} {tuple(array.shape)}".encode(), digest_size=8)
    for part in parts:
        total.update(np.ascontiguousarray(part if isinstance(part, np.ndarray) else part.to_host()).data)
    return total.hexdigest()


def differences(before: Any, now: Any, name: str = "") -> list[str]:
    """Return in words what differs between two nests of dicts of plain values."""
    if isinstance(before, dict) and isinstance(now, dict):
        found = []
        for key in [*before, *(key for key in now if key not in before)]:
            inner = name if key in ("class_name", "config") else f"{name}.{key}" if name else str(key)
            found += differences(before.get(key), now.get(key), inner)
        return found
    if isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        pairs = enumerate(zip(before, now, strict=True))
        return [words for index, pair in pairs for words in differences(*pair, f"{name}[{index}]")]
    if before == now or _both_nan(before, now):
        return []
    return [f"{name} was {before!r}, is {now!r}"]


def _both_nan(before: Any, now: Any) -> bool:
    return isinstance(before, float) and isinstance(now, float) and math.isnan(before) and math.isnan(now)
