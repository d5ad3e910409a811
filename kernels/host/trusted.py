"""Which folders and files are trusted, as far as nobody else could have written into them.

Compiled code that is kept runs in each process that loads it. So nothing is read but regular files of this user or of
root that nobody else may write, in folders of which that is true too, and which nobody else may replace:
what OpenSSH asks of its files (``StrictModes``). A group may write if it is the owner's private one, which is named
like the owner and has no other member. Folders above may be open to groups of this user, as homes in many containers
are: other members can put there only what is theirs, and that is refused. Windows has no owners and modes of this
kind: nothing is asked there.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import stat
from collections.abc import Iterator
from pathlib import Path

MOST_LINKS = 40  # in the path of a folder, the limit of Linux


class Unusable(Exception):
    """A folder or a file that is not used; the text says why."""


def check_folder(folder: Path) -> None:
    """Refuse a folder that somebody else might have written into, or replaced.

    Raises
    ------
    Unusable
        With the reason.
    OSError
        If there is no such folder, or it cannot be looked at.
    """
    for step, status in steps(folder):
        if fault := _fault(step, status, passed_through=True):
            raise Unusable(fault)
    if not stat.S_ISDIR(status.st_mode):
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(step))
    if fault := _fault(step, status):
        raise Unusable(fault)


def steps(path: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """Each folder and symbolic link that ``path`` goes through, and what it names, with their status."""
    left, links = [*reversed(path.parts)], 0
    here = Path(left.pop())
    yield here, os.lstat(here)
    while left:
        name = left.pop()
        if name == "..":
            here = here.parent
            continue
        status = os.lstat(here / name)
        if stat.S_ISLNK(status.st_mode):
            links += 1
            if links > MOST_LINKS:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
            yield here / name, status
            target = Path(os.readlink(here / name))
            left += reversed(target.parts)
            if target.is_absolute():
                here = Path(left.pop())
        else:
            here /= name
            yield here, status


def _fault(path: Path, status: os.stat_result, passed_through: bool = False) -> str:
    """Why somebody else might have written what has this status; empty if nobody could.

    A folder or link that is ``passed_through`` may lie among others' as in /tmp, where each may move his own alone.
    """
    if not hasattr(os, "geteuid"):
        return ""
    if status.st_uid not in {0, os.geteuid()} | ({_unmapped_user()} if passed_through else set()):
        return f"{str(path)!r} belongs to another user, {status.st_uid}"
    if stat.S_ISLNK(status.st_mode) or (passed_through and status.st_mode & stat.S_ISVTX):
        return ""
    if status.st_mode & stat.S_IWOTH:
        return f"others may write {str(path)!r} (chmod o-w ends that)"
    groups = {os.getegid(), *os.getgroups()} if passed_through else set()
    if status.st_mode & stat.S_IWGRP and status.st_gid not in groups and not _is_private_group(path, status):
        return f"a group may write {str(path)!r} (chmod g-w ends that)"
    return ""


@functools.cache
def _unmapped_user() -> int | None:
    """User whom root's files seem to belong to in a container that does not know root, as Apptainer's; else None."""
    try:
        users = Path("/proc/self/uid_map").read_text().splitlines()
        if any(line.split()[0] == "0" for line in users):
            return None
        return int(Path("/proc/sys/kernel/overflowuid").read_text())
    except (OSError, ValueError, IndexError):
        return None


def _is_private_group(path: Path, status: os.stat_result) -> bool:
    """Whether the group is its owner's alone, as many systems give each user one; access lists name further people."""
    import grp
    import pwd

    try:
        owner, group = pwd.getpwuid(status.st_uid), grp.getgrgid(status.st_gid)
    except KeyError:
        return False
    if hasattr(os, "listxattr"):
        with contextlib.suppress(OSError):  # a file system without any
            if "system.posix_acl_access" in os.listxattr(path):
                return False
    same = (group.gr_name, group.gr_gid) == (owner.pw_name, owner.pw_gid)
    return same and set(group.gr_mem) <= {owner.pw_name}


def unreadable(path: Path) -> Unusable:
    """Return the refusal of what another user keeps to himself."""
    return Unusable(
        f"{str(path)!r} belongs to user {os.lstat(path).st_uid} and may not be read "
        "(`fastnn warmup --shared` by that user lets others read it)"
    )


def read_kept(path: Path) -> bytes:
    """Return the content of a file in a folder below the root.

    Raises
    ------
    Unusable
        If somebody else might have written it, or its owner lets nobody else read it.
    OSError
        If there is no such regular file, or it cannot be read.
    """

    def opened(name: str, flags: int) -> int:
        return os.open(name, flags | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))

    check_own_folder(path.parent)
    try:
        with open(path, "rb", opener=opened) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise Unusable(f"{str(path)!r} is no regular file")
            if fault := _fault(path, status):
                raise Unusable(f"{str(path)!r} is not read: {fault}")
            return file.read()
    except PermissionError:
        closed = path if os.access(path.parent, os.X_OK) else path.parent
        if hasattr(os, "geteuid") and os.lstat(closed).st_uid != os.geteuid():
            raise unreadable(closed) from None
        raise


def check_own_folder(folder: Path) -> None:
    """Do as `check_folder` does, for a folder that fastnn makes below the root: it is no symbolic link."""
    if folder.is_symlink():
        raise Unusable(f"{str(folder)!r} is a symbolic link")
    check_folder(folder)
