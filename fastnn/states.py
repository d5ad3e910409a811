"""States of callbacks in a file: plain values as JSON, arrays as tensors beside it."""

from typing import Any

import numpy as np

ARRAY = "array of the file"  # key that marks the place of an array


def pack(state: Any, prefix: str, tensors: dict[str, np.ndarray], where: str) -> Any:
    """Return a state as JSON can hold it, and put its arrays among the tensors under names with this prefix.

    Raises
    ------
    TypeError
        If the state, which is called `where` in messages, holds anything but None, bools, numbers, strings, arrays of
        numbers, and lists, tuples and dicts of those.
    """
    if isinstance(state, np.generic):
        state = state.item()
    if state is None or isinstance(state, (bool, int, float, str)):
        return state
    if isinstance(state, np.ndarray) and state.dtype.kind in "biuf" and state.dtype != np.longdouble:
        name = f"{prefix}{len(tensors)}"
        tensors[name] = np.array(state, state.dtype.newbyteorder("="), order="C")
        return {ARRAY: name}
    if isinstance(state, (list, tuple)):
        return [pack(value, prefix, tensors, f"{where}[{place}]") for place, value in enumerate(state)]
    if isinstance(state, dict) and ARRAY not in state and all(isinstance(key, str) for key in state):
        return {key: pack(value, prefix, tensors, f"{where}[{key!r}]") for key, value in state.items()}
    raise TypeError(
        f"{where} must be None, a number, a string, an array of numbers, or a list or a dict (with strings as keys) of "
        f"those; got {state!r} of type {type(state).__name__}"
    )


def unpack(packed: Any, tensors: dict[str, np.ndarray]) -> Any:
    """Return the state that `pack` was given; tuples have become lists."""
    if isinstance(packed, list):
        return [unpack(value, tensors) for value in packed]
    if isinstance(packed, dict):
        if ARRAY in packed:
            return tensors[packed[ARRAY]].copy()
        return {key: unpack(value, tensors) for key, value in packed.items()}
    return packed
