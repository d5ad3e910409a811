"""Plain values in a file, which come back as they were saved; arrays of callbacks are tensors beside them."""

import reprlib
import sys
from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy as np

ARRAY = "array of the file"  # key that stands for an array
TUPLE = "tuple of the file"  # and of a tuple, with its items
DEEPEST = 100  # nesting that every process can read
DIGITS = sys.int_info.str_digits_check_threshold  # of whole numbers that every process can read, whatever its limit is
_INSTEAD = {
    tuple: "list(...)",
    set: "sorted(...)",
    frozenset: "sorted(...)",
    bytes: "its text",
    np.ndarray: ".tolist()",
    np.generic: ".item()",
}
Inner = Callable[[Any, Any], Any]  # plain for an item, given with its key
Other = Callable[[Any, str, Inner], Any]  # what becomes of a value that JSON has no form for


def plain(value: Any, where: str, other: Other | None = None, reserved: Collection[str] = ()) -> Any:
    """Return a value in the plain types that JSON gives back: None, bools, numbers, strings, lists, dicts of strings.

    Parameters
    ----------
    value : Any
    where : str
        What it is called in messages, which name the item as in ``metadata['a'][3]``.
    other : callable, optional
        Returns the plain form of other values. By default they are refused.
    reserved : collection of str
        Keys that no dict may have.

    Raises
    ------
    TypeError
        If there is something else in it.
    ValueError
        If it is nested too deeply, or has a whole number or a string that could not be read again.
    """
    return _plain(value, (where,), other or _refuse, reserved)


def _plain(value: Any, path: tuple[Any, ...], other: Other, reserved: Collection[str]) -> Any:
    if value is None or isinstance(value, (bool, float)):
        return value
    if isinstance(value, str):
        if not (value.isascii() or _is_text(value)):
            raise ValueError(f"{_name(path)} is no text: it has surrogates, which UTF-8 does not; got {value[:40]!r}")
        return value
    if isinstance(value, int):
        if abs(value) >= 10**DIGITS:
            raise ValueError(f"{_name(path)} is a number of more than {DIGITS} digits: keep it as a string, hex(...)")
        return value
    if len(path) > DEEPEST:
        raise ValueError(f"{path[0]} is nested more than {DEEPEST} deep, or holds itself")

    def inner(item: Any, key: Any) -> Any:
        return _plain(item, (*path, key), other, reserved)

    if isinstance(value, list):
        return [inner(item, index) for index, item in enumerate(value)]
    if isinstance(value, dict):
        for key in value:
            if not isinstance(key, str):
                kind = type(key).__name__
                raise TypeError(f"{_name(path)} must be a dict with strings as keys; got a key of type {kind}")
            if key in reserved:
                raise ValueError(f"{_name(path)} has the key {key!r}, which marks other things in the file")
            inner(key, key)
        found = {key: inner(item, key) for key, item in value.items()}
        if len({str.__str__(key) for key in found}) < len(found):
            raise ValueError(f"{_name(path)} has keys that are the same as text")
        return found
    return other(value, _name(path), inner)


def _name(path: tuple[Any, ...]) -> str:
    return path[0] + "".join(f"[{reprlib.repr(key)}]" for key in path[1:])


def _type(value: Any) -> str:
    kind = type(value)
    module = "" if kind.__module__ == "builtins" else f"{kind.__module__}."
    items = f" of {value.dtype}" if isinstance(value, np.ndarray) else ""
    return f"one of type {module}{kind.__name__}{items}"


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _refuse(value: Any, where: str, inner: Inner) -> Any:
    other = next((other for kind, other in _INSTEAD.items() if isinstance(value, kind)), None)
    raise TypeError(
        f"{where} must be what JSON has: None, a bool, a number, a string, a list, or a dict with strings as keys; got "
        f"{_type(value)}{f', take {other}' if other else ''}"
    )


def as_arguments(value: Any, where: str, inner: Inner) -> Any:
    """For the configuration of an object, whose constructor takes lists as tuples and plain numbers as NumPy's."""
    if isinstance(value, tuple):
        return [inner(item, index) for index, item in enumerate(value)]
    return as_number(value, where, inner)


def as_number(value: Any, where: str, inner: Inner) -> Any:
    """For numbers, which may be NumPy's."""
    if isinstance(value, (np.generic, np.ndarray)) and value.ndim == 0 and not isinstance(value, np.longdouble):
        number = value.item()
        if isinstance(number, (bool, int, float)):
            return number
    return _refuse(value, where, inner)


def pack(state: Any, prefix: str, tensors: dict[str, np.ndarray], where: str) -> Any:
    """Return a state as JSON can hold it, and put its arrays among the tensors under names with this prefix.

    Raises
    ------
    TypeError, ValueError
        As `plain`, if the state, which is called `where` in messages, holds anything but plain values, NumPy's numbers,
        arrays of numbers, and lists, tuples and dicts of those.
    """

    def other(value: Any, where: str, inner: Inner) -> Any:
        if type(value) is np.ndarray and value.dtype.kind in "biuf" and value.dtype != np.longdouble:
            name = f"{prefix}{len(tensors)}"
            tensors[name] = np.array(value, value.dtype.newbyteorder("="), order="C")
            return {ARRAY: name}
        if type(value) is tuple:
            return {TUPLE: [inner(item, index) for index, item in enumerate(value)]}
        if isinstance(value, np.generic):
            return as_number(value, where, inner)
        raise TypeError(
            f"{where} must be None, a number, a string, an array of numbers, or a list, tuple or dict (with strings as "
            f"keys) of those; got {_type(value)}"
        )

    return plain(state, where, other, (ARRAY, TUPLE))


def unpack(packed: Any, tensors: Mapping[str, np.ndarray]) -> Any:
    """Return the state that `pack` was given."""
    if isinstance(packed, list):
        return [unpack(value, tensors) for value in packed]
    if isinstance(packed, dict):
        if ARRAY in packed:
            return tensors[packed[ARRAY]].copy()
        if TUPLE in packed:
            return tuple(unpack(value, tensors) for value in packed[TUPLE])
        return {key: unpack(value, tensors) for key, value in packed.items()}
    return packed
