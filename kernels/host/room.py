"""Memory that must be there before a library is asked for work that it cannot give up."""

from __future__ import annotations

import mmap

MEBIBYTE = 2**20


def check_room(mebibytes: int, purpose: str) -> None:
    """Raise MemoryError unless the process may have that much memory more.

    LLVM ends the process where it gets no memory, and OpenBLAS, which comes with SciPy, waits for some for ever.
    """
    try:
        mmap.mmap(-1, mebibytes * MEBIBYTE).close()
    except OSError as error:
        raise MemoryError(
            f"{purpose} needs {mebibytes} MiB of memory, more than there is or than the process may have: raise its "
            "limit (`ulimit -v`), or free some"
        ) from error
