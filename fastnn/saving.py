"""Model files: weights as safetensors, with the configuration as JSON in the file's metadata. No pickle, no code.

Format 1: the metadata have one key, ``fastnn``: a JSON object of ``version`` (1), ``model``, ``compile`` and
``metadata``. It is one key because safetensors writes several in any order, and equal models are to make equal files.
Tensors are named ``<layer>/<weight>``, such as ``dense/kernel``; names that begin with ``optimizer:`` are reserved.
"""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from fastnn.identifiers import serialize
from fastnn.kernels.cache import write_atomically

FORMAT, VERSION = "fastnn", 1


def to_bytes(model: Any) -> bytes:
    """Return a model as the content of a file."""
    from safetensors.numpy import save

    config: dict[str, Any] = {
        "version": VERSION,
        "model": model.get_config(),
        "compile": None,
        "metadata": model.metadata,
    }
    if model.optimizer is not None:
        config["compile"] = {
            "optimizer": serialize(model.optimizer),
            "loss": model.loss and serialize(model.loss),
            "metrics": [serialize(metric) for metric in model.metrics],
        }
    weights = dict(zip(model.weight_shapes(), model.get_weights(), strict=True))
    return save(weights, {FORMAT: json.dumps(config)})


def from_bytes(content: bytes, source: str, kind: Any, device: str, threads: int | None, compiled: bool = True) -> Any:
    """Return the model that a file holds.

    Parameters
    ----------
    content : bytes
    source : str
        Where it comes from, for messages.
    kind : type
        Class of the model.
    device, threads
        Where the model runs.
    compiled : bool, default=True
        Compile it as it was.

    Raises
    ------
    ValueError
        If the content is no model of fastnn, damaged, or of a newer format.
    """
    config, tensors = _parse(content, source)
    try:
        model = kind.from_config(config["model"], device=device, threads=threads)
        if model.built:
            model.set_weights([tensors[name] for name in model.weight_shapes()])
        if compiled and config["compile"] is not None:
            model.compile(**config["compile"])
        model.metadata = dict(config.get("metadata", {}))
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{source} is a damaged model file ({error!r})") from error
    return model


def _parse(content: bytes, source: str) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return configuration and tensors."""
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        tensors = load(content)
        size = int.from_bytes(content[:8], "little")
        metadata = json.loads(content[8 : 8 + size]).get("__metadata__", {})
    except (SafetensorError, KeyError, ValueError) as error:
        raise ValueError(f"{source} is not a model saved by fastnn, or it is damaged ({error})") from None
    if FORMAT not in metadata:
        raise ValueError(f"{source} is a safetensors file, but not a model saved by fastnn")
    try:
        config = json.loads(metadata[FORMAT])
        version = config["version"]
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{source} is a damaged model file: its configuration cannot be read ({error!r})") from None
    if not isinstance(version, int) or version > VERSION:
        raise ValueError(
            f"{source} has version {version!r} of the format, this fastnn reads up to {VERSION}: install a newer fastnn"
        )
    return config, tensors


def write(path: str | os.PathLike[str], content: bytes, overwrite: bool = True) -> None:
    """Write a model file, whole or not at all.

    Raises
    ------
    FileExistsError
        If the file exists and `overwrite` is false.
    OSError
        If it cannot be written.
    """
    target = Path(path)
    if target.is_dir():
        raise IsADirectoryError(f"cannot save to {str(target)!r}: it is a folder")
    if not target.parent.is_dir():
        raise FileNotFoundError(f"cannot save to {str(target)!r}: there is no folder {str(target.parent)!r}")
    if target.exists() and not overwrite:
        raise FileExistsError(f"{str(target)!r} exists and overwrite is False")
    write_atomically(target, content)


def read(path: str | os.PathLike[str]) -> bytes:
    """Return the content of a file.

    Raises
    ------
    FileNotFoundError, OSError
        If there is none, or it cannot be read.
    """
    target = Path(path)
    if not target.is_file():
        raise FileNotFoundError(f"no model file at {str(target)!r}")
    return target.read_bytes()
