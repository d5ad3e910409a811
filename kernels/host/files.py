"""Files that are written whole or not at all, and where: no device is replaced, nor anything that is read."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import shutil
import stat
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import Any

DIGEST_BYTES = 32

_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFLNK: "a symbolic link that leads nowhere",
}


def target_of(path: Path, reads: Iterable[Path] = (), follow_links: bool = True) -> Path:
    """Return the file that writing to ``path`` makes or replaces: the path, or what it is a symbolic link to.

    Raises
    ------
    OSError
        If that is no regular file or write-protected, if it is one of ``reads`` under whatever name, if its folder is
        missing or cannot be written, or if it is a link and ``follow_links`` is false. ``strerror`` has the reason.
    """
    if path.is_symlink() and not follow_links:
        raise refusal(errno.ELOOP, f"it is a symbolic link to {os.readlink(path)}: name that file, or another", path)
    target = Path(os.path.realpath(path)) if path.is_symlink() else path
    try:
        kind = stat.S_IFMT(os.lstat(target).st_mode)
    except (FileNotFoundError, NotADirectoryError):
        if not target.parent.is_dir():
            raise refusal(errno.ENOENT, f"there is no folder {str(target.parent)!r}", path) from None
    else:
        if kind != stat.S_IFREG:
            reason = f"it is {_KINDS.get(kind, 'not a file')}"
            raise refusal(errno.EISDIR if kind == stat.S_IFDIR else errno.EINVAL, reason, path)
        for read in reads:
            if read.exists() and os.path.samefile(read, target):
                raise refusal(errno.EINVAL, f"it is the file that is read as {str(read)!r}", path)
        if not os.access(target, os.W_OK):
            raise refusal(errno.EACCES, "Permission denied, it is write-protected", path)
    if not os.access(target.parent, os.W_OK | os.X_OK):
        raise refusal(errno.EACCES, "Permission denied, its folder may not be written", path)
    return target


def left_behind(path: Path) -> list[Path]:
    """Temporary files that writing to ``path`` left in its folder when the process was killed."""
    ours = re.compile(re.escape(path.name) + r"\.[0-9a-f]+\.tmp")
    return [file for file in path.parent.iterdir() if ours.fullmatch(file.name) and file.is_file()]


def take_over(old: Path, new: Path) -> None:
    """Give a new file the owner, mode and access lists of an old one."""
    before, now = old.stat(), new.stat()
    if (before.st_uid, before.st_gid) != (now.st_uid, now.st_gid):
        try:
            os.chown(new, before.st_uid, before.st_gid)
        except PermissionError as error:
            owner = f"user {before.st_uid} and group {before.st_gid}"
            reason = f"it belongs to {owner}, which cannot be kept; delete it first"
            raise PermissionError(error.errno, reason) from error
    shutil.copystat(old, new)


def refusal(code: int | None, reason: str, path: Path) -> OSError:
    """Return the error that says why ``path`` is not written."""
    return OSError(code, reason, str(path))


def write_atomically(
    path: Path,
    content: bytes | Iterable[Any],
    durable: bool = False,
    *,
    reads: Iterable[Path] = (),
    follow_links: bool = True,
    mode: int | None = None,
) -> None:
    """Write ``content``, or its parts, to a temporary name beside the file and rename it: no reader sees half a file.

    A file that is replaced keeps its mode and its owner. With a ``mode``, which is for files that fastnn makes for
    itself, it gets that one, and is replaced whatever it is. With ``durable`` the content is on the disk before the
    name is, so that not even a power cut leaves half a file.

    Raises
    ------
    OSError
        As `target_of`, or if the system fails; an older file is then as it was.
    """
    target = target_of(path, reads, follow_links) if mode is None else path
    kept = mode is None and target.exists()
    parts: Iterable[Any] = [content] if isinstance(content, bytes) else content
    temporary = target.with_name(f"{target.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        temporary.touch(0o600 if kept or mode else 0o666, exist_ok=False)  # private until it has its mode
        if kept:
            with contextlib.suppress(FileNotFoundError):  # somebody has just deleted it
                take_over(target, temporary)
        elif mode:
            temporary.chmod(mode)
        with open(temporary, "wb") as file:
            file.writelines(parts)
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


def sealed(payload: bytes, of: bytes = b"") -> bytes:
    """Return what is written of a ``payload`` that was made ``of`` something."""
    return hashlib.sha256(of + payload).digest() + payload


def unsealed(content: bytes, of: bytes = b"") -> bytes | None:
    """Return the payload again, or None if the content is not exactly what was written of that."""
    payload = content[DIGEST_BYTES:]
    return payload if content[:DIGEST_BYTES] == hashlib.sha256(of + payload).digest() else None
