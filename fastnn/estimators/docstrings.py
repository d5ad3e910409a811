"""Docstrings of the estimators: entries that two classes share are written once."""

import inspect
import re
from collections.abc import Collection

_ENTRY = re.compile(r"^(\w+(?:, [\w.]+)*)(?: : .*)?\n(?: +\S.*\n?)*", re.MULTILINE)
_SECTION = re.compile(r"^(\w+)\n-+\n", re.MULTILINE)


def with_entries_of(other: type, docstring: str | None, but: Collection[str]) -> str | None:
    """Return a docstring with each entry ``first, ..., last`` replaced by those of another class, in the same section.

    Parameters
    ----------
    other : class
        Its docstring has the entries.
    docstring : str or None
        None, as under ``python -OO``, stays None.
    but : names that are left out, beside those that the docstring has itself
    """
    if docstring is None or other.__doc__ is None:
        return None
    text, *sections = _SECTION.split(inspect.cleandoc(docstring) + "\n")
    others = _SECTION.split(inspect.cleandoc(other.__doc__) + "\n")[1:]
    entries = dict(zip(others[::2], others[1::2], strict=True))
    for title, section in zip(sections[::2], sections[1::2], strict=True):
        known = {name for entry in _ENTRY.finditer(section) for name in _names(entry) if "..." not in _names(entry)}
        shared = "".join(
            entry[0] for entry in _ENTRY.finditer(entries.get(title, "")) if not {*_names(entry)} & {*known, *but}
        )
        filled = _ENTRY.sub(lambda entry, shared=shared: shared if "..." in _names(entry) else entry[0], section)
        text += f"{title}\n{'-' * len(title)}\n{filled}"
    return text


def _names(entry: re.Match[str]) -> list[str]:
    return entry[1].split(", ")
