"""The on-disk cache of compiled programs.

Numba's own cache does not notice changed jit options, other source files or constants, and raises on a
damaged file. Here every program is one file in a folder whose name holds everything that can change the
code; each file starts with the SHA-256 of its content, so whatever is not exactly what was written is
compiled again.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import pickle
import shutil
import sys
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from .files import refusal, take_over, target_of
from .streams import stderr

DIGEST_BYTES = 32
KEPT_FOLDERS = 8  # of so many versions compiled code is kept
KEPT_NETWORKS = 500  # programs for single networks that a folder holds


def cache_root(to_write: bool = True) -> Path | None:
    """Folder for everything fastnn keeps on disk, or None where no folder can be written, or else read.

    ``FASTNN_CACHE_DIR`` names it; without that it is the user's cache folder of the operating system.
    """
    named = os.environ.get("FASTNN_CACHE_DIR")
    try:
        if named:
            root = Path(named).expanduser().absolute()
        else:
            import platformdirs

            root = Path(platformdirs.user_cache_dir("fastnn", appauthor=False))
        if not root.is_absolute():  # "~/...": nobody knows a home
            return None
        root.mkdir(parents=True, exist_ok=True, mode=0o700)
    except (OSError, RuntimeError):
        return None
    return root if os.access(root, (os.W_OK if to_write else os.R_OK) | os.X_OK) else None


@functools.cache
def _sources_digest() -> bytes:
    """Digest of all kernel sources: a change in any of them starts a new folder."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.name.encode())
        digest.update(path.read_bytes())
    return digest.digest()


def kernel_folder(target: str) -> Path | None:
    """Folder of the compiled programs for these sources, these versions and this ``target`` description."""
    root = cache_root(to_write=False)  # a container's image may bring programs that are only read
    if root is None:
        return None
    import llvmlite
    import numba

    digest = hashlib.sha256(_sources_digest())
    for part in (numba.__version__, llvmlite.__version__, sys.version, sys.platform, target):
        digest.update(part.encode() + b"\0")
    return root / f"kernels-{digest.hexdigest()[:16]}"


def prune(folder: Path) -> None:
    """Remove the folders of other versions beside ``folder``, but for those used last."""
    others = [path for path in folder.parent.glob("kernels-*") if path != folder]
    with contextlib.suppress(OSError):  # another process may be at it
        others.sort(key=lambda path: path.stat().st_mtime)
        for path in others[: 1 - KEPT_FOLDERS]:
            shutil.rmtree(path, ignore_errors=True)


def write_atomically(
    path: Path,
    content: bytes,
    durable: bool = False,
    *,
    reads: Iterable[Path] = (),
    follow_links: bool = True,
    cached: bool = False,
) -> None:
    """Write ``content`` to a temporary name beside the file and rename it, so no reader sees half a file.

    A file that is replaced keeps its mode and its owner, unless it is ``cached``. With ``durable`` the content is on
    the disk before the name is, so that not even a power cut leaves half a file.

    Raises
    ------
    OSError
        As `target_of`, or if the system fails; an older file is then as it was.
    """
    target = target_of(path, reads, follow_links, cached)
    kept = target.exists() and not cached
    temporary = target.with_name(f"{target.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        temporary.touch(0o600 if kept else 0o666, exist_ok=False)  # private until it has the mode of the older file
        if kept:
            take_over(target, temporary)
        with open(temporary, "wb") as file:
            file.write(content)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        os.replace(temporary, target)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise refusal(error.errno, error.strerror or str(error), path) from error
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


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
            content = self.path.read_bytes() if self.path else b""
            digest, payload = content[:DIGEST_BYTES], content[DIGEST_BYTES:]
            if content and hashlib.sha256(payload).digest() == digest:
                stored_signature, reduced = pickle.loads(payload)
                if stored_signature == str(signature):
                    self._mark_as_used()
                    return self._restored(target_context, reduced)
        except Exception:  # whatever is wrong with the file, compiling again is the cure
            pass
        announce.begin("network" if self.for_network else "machine")
        return None

    def save_overload(self, signature: Any, result: Any) -> None:
        """Store a freshly compiled program; a folder that cannot be written is no error."""
        if self.path is None:
            return
        payload = self._payload(str(signature), result)
        try:
            if not self.path.parent.exists():
                self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                prune(self.path.parent)
            write_atomically(self.path, hashlib.sha256(payload).digest() + payload, cached=True)
            networks = sorted(self.path.parent.glob("*.network.bin"), key=lambda path: path.stat().st_mtime)
            for path in networks[:-KEPT_NETWORKS]:
                path.unlink(missing_ok=True)
        except OSError:
            pass

    def _payload(self, signature: str, result: Any) -> bytes:
        """Signature and program as bytes, for ``pickle``."""
        from numba.core.serialize import dumps

        return dumps((signature, result._reduce()))

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
    """Tells the user on stderr, once in a process for each purpose, that compilation is under way."""

    def __init__(self) -> None:
        self.begun: set[str] = set()

    def begin(self, purpose: str = "machine") -> None:
        """Say that kernels are compiled for this ``purpose``."""
        if purpose not in self.begun and not os.environ.get("FASTNN_QUIET"):
            print(f"fastnn: compiling kernels for this {purpose} (once, some seconds) ...", file=stderr(), flush=True)
        self.begun.add(purpose)


announce = _Announcer()
