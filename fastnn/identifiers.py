"""How users name things: strings, classes, objects and Keras-like configuration dicts become objects of one table."""

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

from fastnn.estimator_warnings import warn

_warned: set[str] = set()


def unknown_name(what: str, name: object, choices: Iterable[str]) -> ValueError:
    """Make the error for a name that is in no table: it suggests the nearest one and lists the choices."""
    choices = sorted(choices)
    near = difflib.get_close_matches(str(name).lower(), choices, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return ValueError(f"unknown {what} {name!r}.{hint} Choose one of: {', '.join(choices)}.")


def resolve(identifier: Any, table: Mapping[str, Any], base: type, what: str) -> Any:
    """Turn a user's way of naming something into an object.

    Parameters
    ----------
    identifier : str, object, class or dict
        A name in `table` (case and underscores do not matter), an instance of `base`, a subclass of it, or a
        configuration dict ``{"class_name": name, "config": {...}}``.
    table : mapping of str to callable
        Canonical lower-case names and aliases, each with the class or function that makes the object.
    base : type
        What the result must be an instance of.
    what : str
        Name of the kind of thing, for messages.

    Raises
    ------
    ValueError
        For a name that is not in the table.
    TypeError
        For anything that is neither a name, a dict nor an object of the right type.
    """
    if isinstance(identifier, base):
        return identifier
    if isinstance(identifier, type) and issubclass(identifier, base):
        return identifier()
    config: Mapping[str, Any] = {}
    name = identifier
    if isinstance(identifier, Mapping):
        if "class_name" not in identifier:
            raise ValueError(
                f"a {what} given as a dict needs the keys 'class_name' and 'config'; got the keys {sorted(identifier)}"
            )
        name, config = identifier["class_name"], identifier.get("config") or {}
    if not isinstance(name, str):
        raise TypeError(
            f"expected a {what} as a name, an object of fastnn or a configuration dict; "
            f"got {identifier!r} of type {type(identifier).__name__}"
        )
    make = table.get(name.lower()) or {key.replace("_", ""): value for key, value in table.items()}.get(
        name.lower().replace("_", "")
    )
    if make is None:
        raise unknown_name(what, name, table)
    return make(**config)


def serialize(thing: Any) -> dict[str, Any]:
    """Return the configuration dict of an object with ``get_config``: the inverse of `resolve`."""
    return {"class_name": type(thing).__name__, "config": thing.get_config()}


def old_spelling(old: str, new: str) -> None:
    """Warn, once in the life of the process, that an argument has a newer name."""
    if old not in _warned:
        _warned.add(old)
        warn(f"the argument {old!r} is an old spelling of {new!r}", FutureWarning)
