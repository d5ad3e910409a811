"""Attributes of objects of fastnn: one that nothing would heed is refused, instead of kept and ignored."""

import difflib
import functools
import inspect
import sys
from collections import defaultdict
from collections.abc import Mapping
from types import FrameType
from typing import Any, ClassVar

# What methods of a class have given its objects, so that frames are looked at once: they cost a microsecond
_given: defaultdict[type, set[str]] = defaultdict(set)


class Strict:
    """An object that has the attributes it was made with, and takes no others.

    Methods of its class may give it more, so a subclass can have what it likes. Others can change what there is, as far
    as `_change` allows.
    """

    _old_names: ClassVar[Mapping[str, str]] = {}  # of attributes, with what they are called now

    def __setattr__(self, name: str, value: Any) -> None:
        self._heed(name, value)
        kind = type(self)
        if name in self.__dict__ or (name not in _given[kind] and hasattr(kind, name)):
            if self._guards(name) and not _is_own(kind, sys._getframe(1)):
                value = self._change(name, value)
        elif name not in _given[kind]:
            if _is_own(kind, sys._getframe(1)):
                _given[kind].add(name)
            elif not _is_being_made(self, sys._getframe(1)):
                raise AttributeError(self._unknown(name))
        object.__setattr__(self, name, value)

    def _heed(self, name: str, value: Any) -> None:
        """Raise AttributeError for what not even methods of the class may set."""

    @classmethod
    def _guards(cls, name: str) -> bool:
        """Whether others change this attribute by `_change`."""
        return False

    def _change(self, name: str, value: Any) -> Any:
        """Return what to keep for an attribute that others set, or raise AttributeError."""
        return value

    def _unknown(self, name: str) -> str:
        names = [known for known in dir(self) if not known.startswith("_")]
        near = self._old_names.get(name) or next(iter(difflib.get_close_matches(name, names, n=1)), None)
        hint = f"did you mean {near!r}?" if near else "it would be ignored"
        return f"{type(self).__name__} has no attribute {name!r}: {hint}"


class Unchangeable(Strict):
    """An object that stays as it was made."""

    @classmethod
    def _guards(cls, name: str) -> bool:
        return not name.startswith("_")

    def _change(self, name: str, value: Any) -> Any:
        raise AttributeError(
            f"{name} of {type(self).__name__} cannot be changed: make a new object with the {name} wanted"
        )


def as_the_constructor_takes_it(thing: Any, name: str, value: Any) -> Any:
    """Return an object like this one but for one argument; errors are those of its constructor."""
    return type(thing)(**(thing.get_config() | {name: value}))


def arguments(kind: type) -> frozenset[str]:
    """Return the names of what the constructors of a class and of its bases take."""
    return _arguments(kind)


@functools.cache
def _arguments(kind: type) -> frozenset[str]:
    makers = [vars(base)["__init__"] for base in kind.__mro__[:-1] if "__init__" in vars(base)]
    return frozenset(name for maker in makers for name in inspect.signature(maker).parameters) - {"self"}


def _is_own(kind: type, frame: FrameType) -> bool:
    """Whether code in the body of the class, or of a base, is running: a method, or a function in one."""
    module, name = frame.f_globals.get("__name__"), frame.f_code.co_qualname
    return any(name.startswith(f"{base.__qualname__}.") and base.__module__ == module for base in kind.__mro__)


def _is_being_made(thing: Any, frame: FrameType | None) -> bool:
    """Whether an object is set up by what its constructor has called."""
    while frame is not None:
        code = frame.f_code
        if code.co_name == "__init__" and code.co_argcount and frame.f_locals.get(code.co_varnames[0]) is thing:
            return True
        frame = frame.f_back
    return False
