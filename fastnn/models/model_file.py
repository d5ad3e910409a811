"""Model files: weights as safetensors, with the configuration as JSON in the file's metadata. No pickle, no code.

Format 1: the metadata have one key, ``fastnn``: a JSON object of ``version`` (1), ``model``, ``compile``,
``metadata`` and, if the file holds the state of a training, ``training``. It is one key because safetensors writes
several in any order, and equal models are to make equal files. Tensors are named ``<layer>/<weight>``, such as
``dense/kernel``; the optimizer's are ``optimizer:counters`` and ``optimizer:<moment>:<number of the trained weight>``,
moments that are all zero left out. In backups ``training`` has ``surroundings`` too, with the states of callbacks,
whose arrays are the tensors ``callback:<number>:<number>``.

Names of layers have no ``/`` in them and differ, so no two tensors have one name. What would not come back from JSON
as it is, such as tuples in ``metadata``, is refused before anything is written: see `plain_values.plain`.
Configurations may have tuples, as constructors take lists as well. States of callbacks mark tuples, as
``{"tuple of the file": [...]}``. Files of former versions may have null as ``metadata``, and load with an empty dict.
"""

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fastnn import layers
from fastnn.common import plain_values
from fastnn.common.declarations import our_base
from fastnn.common.identifiers import MissingClassError, custom_classes, custom_objects, serialize
from fastnn.common.model_file_errors import ModelFileError, OtherTrainingError
from fastnn.common.plain_values import plain
from fastnn.engine.training_record import Surroundings, TrainingRecord
from fastnn.kernels.host.files import write_atomically
from fastnn.metrics import Metric, get_list
from fastnn.models import safetensors_format

FORMAT, VERSION = "fastnn", 1
COUNTERS = "optimizer:counters"
PREPARATION = "preparation"  # key of the metadata of models by `fastnn train`
_FOREIGN = {  # how files of others begin
    b"PK\x03\x04": "a zip archive, as Keras' .keras files and PyTorch's are",
    b"\x89HDF\r\n\x1a\n": "an HDF5 file, as Keras' .h5 files are",
    b"\x80": "a pickle",
}


def encoded(model: Any, include_optimizer: bool = True, surroundings: Surroundings | None = None) -> list[Any]:
    """Return a model as the content of a file, in parts; a backup has the surroundings of the fit in it.

    Raises
    ------
    TypeError, ValueError
        If the model holds what would not come back from the file as it is.
    """
    own_classes(model)  # refuses two of one name
    config: dict[str, Any] = {
        "version": VERSION,
        "model": plain(model.get_config(), "get_config()", plain_values.as_arguments),
        "compile": None,
        "metadata": plain(model.metadata, "metadata"),
    }
    if model.optimizer is not None:
        compiled = {
            "optimizer": serialize(model.optimizer),
            "loss": model.loss and serialize(model.loss),
            "metrics": [serialize(metric) for metric in _distinct(model.metrics)],
        }
        config["compile"] = plain(compiled, "compile", plain_values.as_arguments)
        if model.jit_compile != "auto":
            config["compile"]["jit_compile"] = model.jit_compile
    weights, state, record = model.snapshot()
    tensors = dict(zip(model.weight_shapes(), weights, strict=True))
    if include_optimizer and (state or record):
        moments = state["moments"] if state else []
        config["training"] = {"moments": len(moments), "record": record and record.to_config()}
        if state:
            tensors[COUNTERS] = state["counters"]
        for moment, values in enumerate(moments):
            if any(value.any() for value in values):
                tensors |= {f"optimizer:{moment}:{index}": value for index, value in enumerate(values)}
    if surroundings is not None:
        config["training"]["surroundings"], arrays = surroundings.to_config()
        tensors |= arrays
    try:
        return safetensors_format.encoded(tensors, {FORMAT: json.dumps(config)})
    except safetensors_format.HeaderError as error:
        size = len(json.dumps(config["metadata"]))
        raise ValueError(f"{error}; metadata has {size:,} of them: keep large texts in files of their own") from None


def to_bytes(model: Any) -> bytes:
    """Return a model as the content of a file."""
    return b"".join(encoded(model))


def _distinct(metrics: Sequence[Metric]) -> Sequence[Metric]:
    """Return metrics, unless the user has changed their list or their names to what ``compile`` would not take."""
    for metric in metrics:
        if not isinstance(metric, Metric):
            raise TypeError(f"metrics must be objects of fastnn.metrics; got one of type {type(metric).__name__}")
    names = [metric.name for metric in metrics]
    if names != [metric.name for metric in get_list(metrics)]:
        raise ValueError(f"metrics must have names of their own, under which they are reported; got {names}")
    return metrics


def from_bytes(
    content: bytes,
    source: str,
    kind: Any,
    device: str | None,
    threads: int | None,
    compiled: bool = True,
    custom: Mapping[str, Any] | None = None,
) -> Any:
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
        Compile it as it was, with the optimizer's state.
    custom : dict of str to type, optional
        Classes of the user's by name.

    Raises
    ------
    ModelFileError
        If the content is no model of fastnn, damaged, or of a newer format.
    """
    return _model(*_parse(content, source), source, kind, device, threads, compiled, custom)


def _model(
    config: dict[str, Any],
    tensors: dict[str, np.ndarray],
    source: str,
    kind: Any,
    device: str | None,
    threads: int | None,
    compiled: bool,
    custom: Mapping[str, Any] | None,
) -> Any:
    ours, model = our_base(kind), kind.__new__(kind)  # a derived class may have another constructor, and compile
    try:
        with custom_objects(custom):
            described = config["model"]
            stack = [layers.get(layer) for layer in described["layers"]]
            weights = _by_layer(tensors)
            for layer in stack:
                layer.expect(weights.get(layer.name, {}))
            ours.__init__(model, stack, described["name"], described["dtype"], device=device, threads=threads)
            if described.get("input_shape") is not None:
                model.build(described["input_shape"])
            if not model.built:
                for layer in stack:
                    layer.expect(None)
            if compiled and config["compile"] is not None:
                ours.compile(model, **config["compile"])
                _set_training(model, config, tensors)
            model.metadata = config.get("metadata") or {}  # former versions saved None
    except MemoryError:
        raise
    except MissingClassError as error:
        raise ModelFileError(f"{source}: {error}") from None
    except Exception as error:  # whatever a damaged configuration leads to
        raise _damaged(source, error) from error
    return model


def _by_layer(tensors: Mapping[str, np.ndarray]) -> dict[str, dict[str, np.ndarray]]:
    """Return the weights in a file by their layers' names and their own."""
    found: dict[str, dict[str, np.ndarray]] = {}
    for name, value in tensors.items():
        layer, _, weight = name.rpartition("/")
        found.setdefault(layer, {})[weight] = value
    return found


def own_classes(model: Any) -> dict[str, type]:
    """Return the classes of the user's that a model is made of, by name."""
    return custom_classes(*model.layers, model.optimizer, model.loss, *model.metrics)


def restore(model: Any, content: bytes, source: str) -> None:
    """Bring a built and compiled model to the state of the same model in a file.

    Raises
    ------
    ModelFileError
        If the file is damaged, or of another model or fit; the given one is then as it was.
    """
    config, tensors = _parse(content, source)
    saved = _model(config, tensors, source, type(model), "cpu", None, True, own_classes(model))
    surroundings = _surroundings(config, tensors, source)
    shapes, dtype = model.weight_shapes(), model.dtype
    optimizers = [type(of.optimizer).__name__ for of in (saved, model)]
    if (saved.weight_shapes(), saved.dtype) != (shapes, dtype) or optimizers[0] != optimizers[1]:
        raise OtherTrainingError(
            f"{source} is of another model: it has the weights {saved.weight_shapes()} of {saved.dtype} and the "
            f"optimizer {optimizers[0]}, this one has {shapes} of {dtype} and {optimizers[1]}"
        )
    record = saved.record()
    if record is not None:
        record.surroundings = surroundings
        if found := model.differences_from(record):
            raise OtherTrainingError(
                f"{source} is the backup of another fit: {'; '.join(found)}. Fit with the same again, or take another "
                "folder, or delete the backup, to begin anew"
            )
    model.set_weights(saved.get_weights())
    model.optimizer.take_from(saved.optimizer)
    model.engine.set_state(saved.engine.get_state())
    model.take_record(record)


def _surroundings(config: dict[str, Any], tensors: dict[str, np.ndarray], source: str) -> Surroundings | None:
    """Return what a backup holds of the surroundings of its fit; None for files without it."""
    packed = (config.get("training") or {}).get("surroundings")
    if packed is None:
        return None
    try:
        return Surroundings.from_config(packed, tensors)
    except (AttributeError, KeyError, TypeError, RecursionError) as error:
        raise _damaged(source, error) from error


def _set_training(model: Any, config: dict[str, Any], tensors: dict[str, np.ndarray]) -> None:
    """Give a compiled model the state of its optimizer and how far its training has come."""
    training = config.get("training")
    if training is None:
        return
    if training["record"] is not None:
        model.take_record(TrainingRecord.from_config(training["record"]))
    if COUNTERS not in tensors:
        return
    counters, expected = tensors[COUNTERS], model.engine.get_state()
    if counters.shape != expected["counters"].shape or not ((counters >= 0) & (counters < 2**53)).all():
        raise ValueError(f"{COUNTERS} are {counters}")
    moments = []
    for moment, values in enumerate(expected["moments"]):
        names = [f"optimizer:{moment}:{index}" for index in range(len(values))]
        given = [tensors.get(name, value) for name, value in zip(names, values, strict=True)]
        for name, value, zeros in zip(names, given, values, strict=True):
            if value.shape != zeros.shape or value.dtype != zeros.dtype:
                raise ValueError(f"{name} is {value.dtype} {value.shape}, expected {zeros.dtype} {zeros.shape}")
        moments.append(given)
    model.engine.set_state({"counters": counters, "moments": moments})


def _damaged(source: str, error: Exception) -> ModelFileError:
    return ModelFileError(f"{source} is a damaged model file ({error!r})")


def _parse(content: bytes, source: str) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return configuration and tensors, which fill the file to its end."""
    try:
        tensors, metadata = safetensors_format.decoded(content)
    except safetensors_format.FormatError as error:
        for start, what in _FOREIGN.items():
            if content.startswith(start):
                raise ModelFileError(_foreign(source, what)) from None
        raise ModelFileError(f"{source} is not a model saved by fastnn, or it is damaged ({error})") from None
    if FORMAT not in metadata:
        raise ModelFileError(f"{source} is a safetensors file, but not a model saved by fastnn")
    try:
        config = json.loads(metadata[FORMAT])
        version = config["version"]
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise ModelFileError(
            f"{source} is a damaged model file: its configuration cannot be read ({error!r})"
        ) from None
    if type(version) is int and version < 1:
        raise ModelFileError(f"{source} is a damaged model file: it has version {version} of the format")
    if type(version) is not int or version > VERSION:
        raise ModelFileError(
            f"{source} has version {version!r} of the format, this fastnn reads up to {VERSION}: install a newer fastnn"
        )
    return config, tensors


def write(path: str | os.PathLike[str], content: bytes | Iterable[Any], overwrite: bool = True) -> None:
    """Write a model file, whole or not at all, and through to the disk; a symbolic link stays one.

    Raises
    ------
    FileExistsError
        If the file exists and `overwrite` is false.
    OSError
        If it is no regular file or cannot be written; an older file is then as it was.
    """
    target = Path(path)
    if target.exists() and not overwrite:
        raise FileExistsError(f"{str(target)!r} exists and overwrite is False")
    try:
        write_atomically(target, content, durable=True)
    except OSError as error:
        raise OSError(error.errno, f"cannot save to {str(target)!r}: {error.strerror or error}") from error


def read(path: str | os.PathLike[str]) -> bytes:
    """Return the content of a file.

    Raises
    ------
    FileNotFoundError, OSError
        If there is none, or it cannot be read.
    ModelFileError
        If it is a folder that another library wrote.
    """
    target = Path(path)
    if (target / "saved_model.pb").is_file() or (target / "config.json").is_file():
        raise ModelFileError(_foreign(repr(str(target)), "a folder that Keras or TensorFlow wrote"))
    if not target.is_file():
        raise FileNotFoundError(f"no model file at {str(target)!r}")
    return target.read_bytes()


def _foreign(source: str, what: str) -> str:
    return (
        f"{source} is not a model saved by fastnn but {what}. Make a Sequential of the same layers and give it the "
        "weights, model.set_weights(other_model.get_weights()): kernels are (inputs, units) as in Keras"
    )
