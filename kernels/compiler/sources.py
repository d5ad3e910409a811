"""What compiled programs are made from: the kernels, which Python takes from files, from a zip, or from one program."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterator, Mapping
from importlib.machinery import SourceFileLoader, SourcelessFileLoader
from typing import TYPE_CHECKING
from zipimport import zipimporter

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

BUILT = "_digest"  # module that setup.py writes into a wheel: a frozen program has modules, but no files
READING = (SourceFileLoader, SourcelessFileLoader, zipimporter)  # what runs is what the files hold


def files_of(folder: Traversable) -> dict[str, bytes]:
    """Name and content of the files that Python takes modules from, in all folders of a package."""
    return dict(sorted(_files(folder, "")))


def _files(folder: Traversable, path: str) -> Iterator[tuple[str, bytes]]:
    for entry in folder.iterdir():
        if entry.is_dir():
            if entry.name != "__pycache__":
                yield from _files(entry, f"{path}{entry.name}/")
        elif entry.name.endswith((".py", ".pyc")) and entry.name.partition(".")[0] != BUILT and entry.is_file():
            yield path + entry.name, entry.read_bytes()


def digest_of(files: Mapping[str, bytes]) -> bytes:
    """SHA-256 of names and contents."""
    digest = hashlib.sha256()
    for name, content in files.items():
        digest.update(hashlib.sha256(name.encode()).digest() + hashlib.sha256(content).digest())
    return digest.digest()


@functools.cache
def digest() -> bytes | None:
    """Digest of all kernels: a change in any of them is another one. None where nothing can tell.

    It is made from their files, which may be edited where they lie, and from what the wheel says of itself: the files
    that a frozen program brings need not be what runs.
    """
    from importlib import resources

    try:
        files = files_of(resources.files("fastnn.kernels"))
    except OSError:  # a frozen program may have no such folder
        files = {}
    try:
        from fastnn.kernels._digest import DIGEST
    except ModuleNotFoundError:
        if files and isinstance(__spec__.loader, READING):
            return digest_of(files)
        from ..host.cache_folder import say_once

        say_once(
            "compiled programs are not kept, as nothing here tells these kernels from those of other versions, neither "
            "their files nor a digest of them: install or freeze fastnn from its wheel"
        )
        return None
    return digest_of({**files, BUILT: DIGEST})
