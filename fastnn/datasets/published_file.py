"""Data files as their publishers ship them: found, checked by SHA-256, parsed once and kept in the cache folder."""

import gzip
import hashlib
import io
import os
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn.kernels.host.cache_folder import cache_root, make_folder, say_once
from fastnn.kernels.host.files import sealed, unsealed, write_atomically
from fastnn.kernels.host.streams import stderr
from fastnn.kernels.host.trusted import Unusable, check_own_folder, read_kept

Array = NDArray[Any]
Split = tuple[tuple[Array, Array], tuple[Array, Array]]


@dataclass(frozen=True)
class PublishedFile:
    """One published file: what it is called, how its content is known and parsed, and where it comes from.

    Parameters
    ----------
    name : str
        File name; the file may also be compressed (``.gz``, ``.zip``) or lie in a folder named like it.
    sha256 : str
        Digest of the uncompressed content.
    parse : callable
        Turns the content into features and labels.
    download : callable
        Returns the content, or raises.
    advice : str
        Sentence for error messages: how to get the file.
    archives : tuple of str
        Zip files, by their publisher's names, that may hold the file.
    """

    name: str
    sha256: str
    parse: Callable[[bytes], tuple[Array, Array]]
    download: Callable[[], bytes]
    advice: str
    archives: tuple[str, ...] = ()

    def load(self, path: str | os.PathLike[str] | None = None) -> tuple[Array, Array]:
        """Return features and labels from `path` (a file or a folder), or from wherever the file is found.

        Raises
        ------
        FileNotFoundError
            If the file is nowhere to be had.
        OSError
            If the file cannot be read or is damaged.
        ValueError
            If its content is not the published one.
        """
        if path is not None:
            found = self._locate(Path(path))
            if found is None:
                raise FileNotFoundError(
                    f"no {self.name} (plain, .gz or .zip) at path={os.fspath(path)!r}. {self.advice}"
                )
            with busy(f"Reading {found}"):
                return self._check_and_parse(read_plain(found, self.name), str(found))

        root = cache_root(to_write=False)
        kept = self._kept(root)
        arrays = self._read_arrays(kept) if kept else None
        if arrays is None:
            with busy(f"Reading {self.name}"):
                arrays = self._check_and_parse(*self._obtain(root))
            if kept:
                with suppress(OSError, Unusable):  # a full disk: the file is parsed again next time
                    self._write_arrays(kept, *arrays)
        return arrays

    def _obtain(self, root: Path | None) -> tuple[bytes, str]:
        """Content of the file and where it came from: ``FASTNN_DATA``, the cache folder, or a download."""
        paths = _search_paths(root)
        for path in paths:
            if found := self._locate(path):
                return read_plain(found, self.name), str(found)
        try:
            return self.download(), f"the downloaded {self.name}"
        except Exception as error:  # no network, no client, no account: each means that there is none
            looked = " or ".join(map(str, paths)) or "any folder (FASTNN_DATA is not set)"
            raise FileNotFoundError(
                f"{self.name} is not in {looked}, and the download failed ({type(error).__name__}: {error}). "
                f"{self.advice} A copy of your own: pass path=..., or set FASTNN_DATA to its folder."
            ) from error

    def local_files(self) -> list[Path]:
        """Return the files on this machine that `load` may read."""
        root = cache_root(to_write=False)
        found = [self._locate(path) for path in _search_paths(root)]
        return [path for path in (*found, self._kept(root)) if path]

    def _kept(self, root: Path | None) -> Path | None:
        """Where parsed arrays are kept."""
        return root / "data" / f"{self.name}-{self.sha256[:12]}.arrays" if root else None

    def _read_arrays(self, path: Path) -> tuple[Array, Array] | None:
        """Read parsed arrays back; None if they are not there, or not exactly what was written of this file."""
        try:
            payload = unsealed(read_kept(path), self._origin)
            if payload is not None:
                with np.load(io.BytesIO(payload), allow_pickle=False) as arrays:
                    return arrays["x"], arrays["y"]
        except Unusable as fault:
            say_once(f"kept data are not used: {fault}")
        except Exception:  # whatever is wrong with it, parsing again is the cure
            pass
        return None

    def _write_arrays(self, path: Path, x: Array, y: Array) -> None:
        file = io.BytesIO()
        np.savez(file, x=x, y=y)
        make_folder(path.parent)
        check_own_folder(path.parent)
        write_atomically(path, sealed(file.getvalue(), self._origin), mode=0o600)

    @property
    def _origin(self) -> bytes:
        return bytes.fromhex(self.sha256)

    def _locate(self, path: Path) -> Path | None:
        """Find the file at `path`: that file itself, or in that folder under any name it is published with."""
        if path.is_file():
            return path
        names = (self.name, f"{self.name}.gz", f"{self.name}.zip", f"{Path(self.name).stem}/{self.name}")
        return next((path / name for name in names + self.archives if (path / name).is_file()), None)

    def _check_and_parse(self, content: bytes, origin: str) -> tuple[Array, Array]:
        sha256 = hashlib.sha256(content).hexdigest()
        if sha256 != self.sha256:
            raise ValueError(
                f"{origin} is not {self.name} as published: its SHA-256 is {sha256}, expected {self.sha256}. "
                f"It may be incomplete or edited (a header line, other line ends). {self.advice}"
            )
        return self.parse(content)


def _search_paths(root: Path | None) -> list[Path]:
    """Folders where files are looked for."""
    named = os.environ.get("FASTNN_DATA")
    return [*([Path(named).expanduser()] if named else []), *([root / "data"] if root else [])]


def read_plain(path: Path, member: str) -> bytes:
    """Content of `path`, uncompressed where it is a gzip or zip file (told by its first bytes, not by its name).

    Of a zip file it is the member called `member`, in whichever folder of the archive.

    Raises
    ------
    FileNotFoundError
        If the zip file has no such member.
    OSError
        If the file cannot be read or is damaged.
    """
    content = path.read_bytes()
    try:
        if content.startswith(b"\x1f\x8b"):
            return gzip.decompress(content)
        if content.startswith(b"PK\x03\x04"):
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                names = archive.namelist()
                for name in names:
                    if name.rpartition("/")[2] == member:
                        return archive.read(name)
            raise FileNotFoundError(f"{path} holds no {member}, only {', '.join(names[:10])}")
    except (EOFError, gzip.BadGzipFile, zipfile.BadZipFile, zlib.error) as error:
        raise OSError(f"{path} is damaged or incomplete ({error}); get it again") from error
    return content


@contextmanager
def busy(message: str) -> Iterator[None]:
    """Show `message` with a moving sign on the standard error stream while the block runs, if that is a terminal."""
    if not stderr().isatty():
        yield
        return
    from rich.console import Console
    from rich.markup import escape

    with Console(file=stderr()).status(escape(message)):
        yield


def numbers_of(csv: bytes, dtype: type, columns: int) -> Array:
    """Parse rows of bare numbers, some ten times faster than `numpy.loadtxt`; the digest vouches for the format."""
    return np.fromstring(csv.replace(b"\n", b","), dtype, sep=",").reshape(-1, columns)
