"""The on-disk cache of compiled programs.

Numba's own cache does not notice changed jit options, other source files or constants, and raises on a
damaged file. Here every program is one file in a folder whose name holds everything that can change the
code; each file starts with the SHA-256 of its content, so whatever is not exactly what was written is
compiled again.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import pickle
import sys
from pathlib import Path
from typing import Any

from ..host.cache_folder import MARK, MARK_TEXT, cache_root, files_of, make_folder, prune, say_once
from ..host.files import sealed, unsealed, write_atomically
from ..host.room import check_room
from ..host.streams import stderr
from ..host.trusted import Unusable, check_own_folder, read_kept
from . import sources

ROOM_TO_COMPILE = 64  # MiB
KEPT_NETWORKS = 500  # programs for single networks that a folder holds


def kernel_folder(target: str) -> Path | None:
    """Folder of the compiled programs for these kernels, these versions and this ``target`` description.

    None where no folder can be read, or nothing tells these kernels from those of other versions.
    """
    root = cache_root(to_write=False)  # a container's image may bring programs that are only read
    kernels = sources.digest() if root else None
    if root is None or kernels is None:
        return None
    import llvmlite
    import numba

    digest = hashlib.sha256(kernels)
    versions = (sys.modules["fastnn"].__version__, numba.__version__, llvmlite.__version__, sys.version, sys.platform)
    for part in (*versions, target):
        digest.update(part.encode() + b"\0")
    return root / f"kernels-{digest.hexdigest()[:16]}"


class ProgramCache:
    """Numba's cache interface (``Dispatcher._cache``) for one program with one signature."""

    def __init__(self, name: str, target: str, for_network: bool = False) -> None:
        folder = kernel_folder(target)
        self.path = folder / f"{name}{'.network' * for_network}.bin" if folder else None
        self.for_network = for_network

    @property
    def cache_path(self) -> str | None:
        return str(self.path.parent) if self.path else None

    def load_overload(self, signature: Any, target_context: Any) -> Any:
        """Return the stored program, or None if there is none that is whole; then it will be compiled."""
        target_context.refresh()
        try:
            payload = unsealed(read_kept(self.path)) if self.path else None
            if payload is not None:
                stored_signature, reduced = pickle.loads(payload)
                if stored_signature == str(signature):
                    self._mark_as_used()
                    return self._restored(target_context, reduced)
        except Unusable as fault:
            say_once(f"kept programs are not used: {fault}")
        except MemoryError:
            raise
        except Exception:  # whatever is wrong with the file, compiling again is the cure
            pass
        check_room(ROOM_TO_COMPILE, "compiling a program")
        announce.begin("network" if self.for_network else "machine")
        return None

    def save_overload(self, signature: Any, result: Any) -> None:
        """Store a freshly compiled program; a folder that cannot be written is no error."""
        if self.path is None:
            return
        content = sealed(self._payload(str(signature), result))
        try:
            self._write(self.path, content)
        except (Unusable, OSError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            say_once(f"compiled programs cannot be kept in {str(self.path.parent)!r}: {reason}")

    def _write(self, path: Path, content: bytes) -> None:
        folder = path.parent
        new = not folder.exists()
        if new:
            make_folder(folder)
        check_own_folder(folder)
        mode = 0o600 | folder.stat().st_mode & 0o044  # others may read what is in a folder that they may read
        if not (folder / MARK).exists():
            write_atomically(folder / MARK, MARK_TEXT, mode=mode)
        if new:
            prune(folder)
        write_atomically(path, content, mode=mode)
        networks = sorted(files_of(folder, "network"), key=lambda file: file.stat().st_mtime)
        for file in networks[:-KEPT_NETWORKS]:
            Path(file.path).unlink(missing_ok=True)

    def _payload(self, signature: str, result: Any) -> bytes:
        """Signature and program as bytes, for ``pickle``."""
        from numba.core.serialize import dumps

        return dumps((signature, self._reduced(result)))

    def _reduced(self, result: Any) -> Any:
        """Return what is stored of a program."""
        return result._reduce()

    def _restored(self, target_context: Any, reduced: Any) -> Any:
        """Return the program that was stored."""
        from numba.core.compiler import CompileResult

        return CompileResult._rebuild(target_context, *reduced)

    def _mark_as_used(self) -> None:
        if self.path:
            with contextlib.suppress(OSError):  # a folder that is only read keeps its date
                os.utime(self.path.parent)
                if self.for_network:
                    os.utime(self.path)

    def enable(self) -> None: ...

    def disable(self) -> None: ...

    def flush(self) -> None:
        if self.path:
            self.path.unlink(missing_ok=True)


class _Announcer:
    """Tells the user on stderr, once in a process for each purpose, that compilation has begun."""

    def __init__(self) -> None:
        self.begun: set[str] = set()

    def begin(self, purpose: str = "machine") -> None:
        """Say that kernels are compiled for this ``purpose``."""
        if purpose not in self.begun and not os.environ.get("FASTNN_QUIET"):
            print(f"fastnn: compiling kernels for this {purpose} (once, some seconds) ...", file=stderr(), flush=True)
        self.begun.add(purpose)


announce = _Announcer()
