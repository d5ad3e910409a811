"""The folder for everything fastnn keeps on disk: where it is, what in it fastnn wrote, and how others may read it.

Nothing is deleted but what fastnn wrote: files with names of programs, in a folder with the mark of its own.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import re
import stat
from pathlib import Path

from .streams import stderr
from .trusted import Unusable, check_folder, read_kept, steps, unreadable

KEPT_FOLDERS = 8  # of so many versions compiled code is kept
MARK = "CACHEDIR.TAG"  # in each folder of programs; tools for backups leave such folders out
MARK_TEXT = b"""Signature: 8a477f597d28d172789f06886806bc55
# Programs that fastnn compiled, and deletes when they have not been used for long. It makes them anew.
# See https://bford.info/cachedir/ for what this file says to other tools.
"""
FOLDER_NAME = re.compile(r"kernels-[0-9a-f]{16}")
FILE_NAME = re.compile(
    rf"(?P<program>\w+_float(32|64)\w*(-[0-9a-f]{{16}})?(?P<network>\.network)?\.bin|{re.escape(MARK)})"
    r"(?P<unfinished>\.[0-9a-f]{8}\.tmp)?"
)
ADVICE = "FASTNN_CACHE_DIR names another folder"


_said: set[str] = set()


def say_once(text: str) -> None:
    """Tell the user something on stderr, once in a process; a stream that fails is no reason to stop."""
    if text not in _said and not os.environ.get("FASTNN_QUIET"):
        _said.add(text)
        with contextlib.suppress(Exception):
            print(f"fastnn: {text}", file=stderr(), flush=True)


# --- where it is ----------------------------------------------------------------------------------------------------


@functools.cache
def _absolute(folder: Path) -> Path:
    """A relative folder counts from where the process is when it first asks."""
    return folder.absolute()


def _named_root() -> Path:
    named = os.environ.get("FASTNN_CACHE_DIR")
    if named:
        return _absolute(Path(named).expanduser())
    import platformdirs

    return Path(platformdirs.user_cache_dir("fastnn", appauthor=False))


def cache_root(to_write: bool = True) -> Path | None:
    """Folder for everything fastnn keeps on disk; None where it cannot be written, or else read, which is said once.

    ``FASTNN_CACHE_DIR`` names it; without that it is the user's cache folder of the operating system.
    """
    named = os.environ.get("FASTNN_CACHE_DIR") or "the user's cache folder"
    try:
        root = _named_root()
        named = str(root)
        if not root.is_absolute():  # "~/...": nobody knows a home
            raise Unusable("no home folder is known")
        try:
            check_folder(root)
        except FileNotFoundError:
            make_folder(root)
            check_folder(root)
        if not os.access(root, os.R_OK | os.X_OK):
            raise unreadable(root)
        if to_write and not os.access(root, os.W_OK):
            raise Unusable("it may not be written")
    except Unusable as fault:
        reason = str(fault)
    except (OSError, RuntimeError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
    else:
        return root
    say_once(f"nothing is kept in {named!r}, and each process compiles anew: {reason}; {ADVICE}")
    return None


def make_folder(folder: Path) -> None:
    """Make a folder, and those above it that are missing, for this user alone."""
    with contextlib.suppress(FileNotFoundError):
        os.lstat(folder)  # a path that is too long: before any of it is made
    for each in (*reversed(folder.parents), folder):
        if not os.path.lexists(each):
            with contextlib.suppress(FileExistsError):  # another process was faster
                os.mkdir(each, 0o700)


# --- what in it is ours ---------------------------------------------------------------------------------------------


def program_folders(root: Path) -> list[Path]:
    """Folders of compiled programs, of all versions: those with our names and our mark."""
    return sorted(path for path in root.iterdir() if FOLDER_NAME.fullmatch(path.name) and _is_marked(path))


def unmarked_folders(root: Path) -> list[Path]:
    """What is named like a folder of programs, but was not made as one."""
    return [path for path in root.glob("kernels-*") if not (FOLDER_NAME.fullmatch(path.name) and _is_marked(path))]


def _is_marked(folder: Path) -> bool:
    try:
        return read_kept(folder / MARK) == MARK_TEXT
    except (OSError, Unusable):
        return False


def files_of(folder: Path, kind: str = "program") -> list[os.DirEntry[str]]:
    """Files of ours in a folder of programs: each ``program``, or only each ``network``, or what is ``unfinished``."""
    with os.scandir(folder) as entries:
        return [
            entry
            for entry in entries
            if (name := FILE_NAME.fullmatch(entry.name)) and name[kind] and entry.is_file(follow_symlinks=False)
        ]


def delete_programs(folder: Path) -> None:
    """Delete what is ours in a folder of programs, and the folder if nothing else is in it.

    Raises
    ------
    OSError
        If it may not be done.
    """
    for entry in files_of(folder):
        if entry.name != MARK:
            Path(entry.path).unlink(missing_ok=True)
    if os.listdir(folder) == [MARK]:
        (folder / MARK).unlink()
        folder.rmdir()


def prune(folder: Path) -> None:
    """Delete the programs of other versions beside ``folder``, but for those used last."""
    with contextlib.suppress(OSError):  # another process may be at it
        others = [path for path in program_folders(folder.parent) if path != folder]
        others.sort(key=lambda path: path.stat().st_mtime, reverse=True)
        for path in others[KEPT_FOLDERS - 1 :]:
            delete_programs(path)


# --- shared with other users ----------------------------------------------------------------------------------------


def check_shareable(root: Path) -> None:
    """Refuse what `share` could not let others read.

    Raises
    ------
    OSError
        If they may not enter a folder above the root, or the root, and there is more in that than fastnn's.
    """
    own = not [path for path in root.iterdir() if path.name != "data" and not FOLDER_NAME.fullmatch(path.name)]
    for folder, status in steps(root):
        if stat.S_ISDIR(status.st_mode) and not status.st_mode & stat.S_IXOTH and not (folder == root and own):
            raise PermissionError(
                errno.EACCES, f"other users may not enter it, so they cannot share the cache; {ADVICE}", str(folder)
            )


def share(root: Path) -> None:
    """Let all users read the compiled programs, and those that will be kept beside them; only the owner may write.

    Raises
    ------
    OSError
        If this user may not do that.
    """
    folders = program_folders(root)
    for folder in (root, *folders):
        _allow(folder, 0o055)
    for folder in folders:
        for entry in files_of(folder):
            _allow(Path(entry.path), 0o044)


def _allow(path: Path, bits: int) -> None:
    mode = stat.S_IMODE(os.lstat(path).st_mode)
    if mode | bits != mode:
        os.chmod(path, mode | bits)
