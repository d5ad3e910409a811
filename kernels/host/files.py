"""Where files may be written: no device is replaced, nor anything that is read; and what a new file takes over."""

from __future__ import annotations

import errno
import os
import re
import shutil
import stat
from collections.abc import Iterable
from pathlib import Path

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
