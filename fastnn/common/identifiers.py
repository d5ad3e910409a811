"""How users name things: strings, classes, objects and Keras-like configuration dicts become objects of one table."""

import difflib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType
from typing import Any

from fastnn.common.plain_values import as_arguments, plain
from fastnn.common.user_warnings import warn

_CUSTOM = "Custom>"  # stands before the names of classes of the user's in configurations
_OWN = "a class of your own needs a get_config that returns the arguments of its constructor"
_custom: ContextVar[Mapping[str, Any]] = ContextVar("custom objects", default=MappingProxyType({}))
_warned: set[str] = set()


class MissingClassError(ValueError):
    """A configuration names a class of the user's that nobody has given."""


def unknown_name(what: str, name: object, known: Iterable[str]) -> ValueError:
    """Make the error for a name that is in no table: it suggests the nearest one and lists the choices."""
    known = sorted(known)
    near = difflib.get_close_matches(str(name).lower(), known, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return ValueError(f"unknown {what} {name!r}.{hint} {choices(known)}")


def resolve(identifier: Any, table: Mapping[str, Any], base: type, what: str) -> Any:
    """Turn whatever a user names something by into an object.

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
                f"{article(what)} given as a dict needs the keys 'class_name' and 'config'; got the keys "
                f"{sorted(identifier)}"
            )
        name, config = identifier["class_name"], identifier.get("config") or {}
    if not isinstance(name, str):
        raise TypeError(
            f"expected {article(what)} as a name, an object of fastnn or a configuration dict; "
            f"{what_came(identifier, table, what)}"
        )
    make, custom = _named(name, table), _custom.get().get(name.removeprefix(_CUSTOM))
    if custom is not None and make is None:
        return custom.from_config(dict(config)) if hasattr(custom, "from_config") else custom(**config)
    if name.startswith(_CUSTOM):
        name = name.removeprefix(_CUSTOM)
        raise MissingClassError(
            f"the {what} is of the class {name!r}, which is not fastnn's: pass it as "
            f"custom_objects={{{name!r}: {name}}}"
        )
    if make is None:
        raise unknown_name(what, name, table)
    return make(**config)


def _named(name: str, table: Mapping[str, Any]) -> Any:
    return table.get(name.lower()) or {key.replace("_", ""): value for key, value in table.items()}.get(
        name.lower().replace("_", "")
    )


def what_came(thing: Any, table: Mapping[str, Any], what: str) -> str:
    """Say what was given instead of a name or an object of fastnn, and what to do."""
    kind = thing if isinstance(thing, type) or hasattr(thing, "__qualname__") else type(thing)
    name, library = getattr(kind, "__name__", ""), str(getattr(kind, "__module__", "")).partition(".")[0]
    if library in ("keras", "tf_keras", "tensorflow", "torch"):
        same = "take fastnn's of the same name" if _named(name, table) else "fastnn has none of this name"
        return f"got {name} of {library}: {same}"
    if library == "fastnn" and isinstance(thing, type):
        return f"got the class {name}: call it to make an object"
    if library == "fastnn":
        return f"got {article(name)} of {kind.__module__}"
    got = f"got {thing!r} of type {type(thing).__name__}"
    if not callable(thing):
        return got
    if what == "initializer":
        return f"{got}: derive a class from fastnn.initializers.Initializer, with __call__(self, shape, dtype)"
    return f"{got}: {article(what)} is compiled and cannot be a function or class of your own. {choices(table)}"


def article(noun: str) -> str:
    """Return a noun with its indefinite article."""
    return f"{'an' if noun[0].lower() in 'aeiou' else 'a'} {noun}"


def choices(names: Iterable[str]) -> str:
    """Return the sentence that lists what there is."""
    return f"Choose one of: {', '.join(sorted(names))}."


def serialize(thing: Any) -> dict[str, Any]:
    """Return the configuration dict of an object with ``get_config``: the inverse of `resolve`.

    Raises
    ------
    TypeError
        If the class is the user's, and cannot be made anew from what its ``get_config`` returns.
    """
    kind, config = type(thing), thing.get_config()
    if is_own(kind):
        return {"class_name": kind.__name__, "config": config}
    where = f"get_config() of {kind.__name__}"
    try:
        with custom_objects(custom_classes(thing)):
            again = kind.from_config(plain(config, where, as_arguments)).get_config()
    except Exception as error:  # whatever the user's constructor raises
        raise TypeError(
            f"{kind.__name__} cannot be made from what its get_config() returns ({error}): {_OWN}"
        ) from error
    config, again = (plain(each, where, as_arguments) for each in (config, again))
    if again != config:
        raise TypeError(f"{kind.__name__} made from what its get_config() returns has another configuration: {_OWN}")
    return {"class_name": _CUSTOM + kind.__name__, "config": config}


def is_own(kind: type) -> bool:
    """Whether a class is fastnn's, and not one that a user derived."""
    return kind.__module__.partition(".")[0] == "fastnn"


@contextmanager
def custom_objects(objects: Mapping[str, Any] | None) -> Iterator[None]:
    """Let `resolve` find classes of the user's by these names."""
    token = _custom.set({**_custom.get(), **(objects or {})})
    try:
        yield
    finally:
        _custom.reset(token)


def custom_classes(*things: Any) -> dict[str, type]:
    """Return the classes of the user's by name, among those of the things and of what they are made of.

    Raises
    ------
    ValueError
        If two of them have one name.
    """
    found: dict[str, type] = {}
    for thing in things:
        if hasattr(thing, "get_config"):
            kind = type(thing)
            inner = custom_classes(*vars(thing).values())
            for name, other in [*inner.items(), *([] if is_own(kind) else [(kind.__name__, kind)])]:
                if found.setdefault(name, other) is not other:
                    raise ValueError(f"two classes have the name {name!r}, by which they are saved; rename one")
    return found


def old_spelling(old: str, new: str) -> None:
    """Warn, once in the life of the process, that an argument has a newer name."""
    if old not in _warned:
        _warned.add(old)
        warn(f"the argument {old!r} is an old spelling of {new!r}", FutureWarning)
