"""Models from files."""

import os
from collections.abc import Mapping
from typing import Any

from fastnn.common.arithmetic import heedless
from fastnn.common.keras_arguments import accepting
from fastnn.common.user_warnings import warn
from fastnn.models import model_file
from fastnn.models.sequential import Sequential


@heedless
def load_model(
    filepath: str | os.PathLike[str],
    custom_objects: Mapping[str, Any] | None = None,
    compile: bool = True,
    *,
    device: str | None = None,
    threads: int | None = None,
) -> Sequential:
    """Read a model that `Sequential.save` wrote.

    Parameters
    ----------
    filepath : str or path
    custom_objects : dict of str to type, optional
        Classes of your own by name, that the model is made of.
    compile : bool, default=True
        Compile the model as it was compiled when it was saved, with the optimizer's state.
    device, threads
        As in `Sequential`.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ModelFileError
        A ValueError: if it is no model of fastnn, damaged, or of a newer format.

    Warns
    -----
    UserWarning
        If ``fastnn train`` wrote the file: the network alone neither scales its inputs nor names its outputs.
    """
    source = repr(os.fspath(filepath))
    content = model_file.read(filepath)
    model = model_file.from_bytes(content, source, Sequential, device, threads, compile, custom_objects)
    if model_file.PREPARATION in model.metadata:
        warn(
            f"{source} was written by `fastnn train`. This is the network alone: it does not scale its inputs and does "
            "not name its outputs, as `fastnn predict` does. model.metadata['preparation'] holds the columns, their "
            "mean and scale, and the classes"
        )
    return model


load_model = accepting(load_model, "load_model")
