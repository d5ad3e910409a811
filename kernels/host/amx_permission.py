"""Permission to use the tiles of AMX, which a process asks the system for."""

from __future__ import annotations

import ctypes
import errno
import os
import sys

# Linux keeps room for the 8 kB of tiles only for processes that ask (arch/x86/include/uapi/asm/prctl.h).
SYS_ARCH_PRCTL = 158
ARCH_GET_XCOMP_PERM, ARCH_REQ_XCOMP_PERM = 0x1022, 0x1023
XFEATURE_TILEDATA = 18


def refusal() -> str:
    """Ask Linux to let this process use tiles; returns why it may not, or nothing if it may."""
    if sys.platform != "linux":
        return f"no permission: {sys.platform} is not asked for it, only Linux is"
    library = ctypes.CDLL(None, use_errno=True)
    call, granted = library.syscall, ctypes.c_ulong(0)
    number = ctypes.c_long(SYS_ARCH_PRCTL)
    if call(number, ctypes.c_long(ARCH_REQ_XCOMP_PERM), ctypes.c_ulong(XFEATURE_TILEDATA)):
        code = ctypes.get_errno()
        small = "a thread's signal stack is too small to save tiles on"
        return f"Linux refuses permission: {small if code == errno.ENOSPC else os.strerror(code)}"
    failed = call(number, ctypes.c_long(ARCH_GET_XCOMP_PERM), ctypes.byref(granted))
    if failed or not granted.value >> XFEATURE_TILEDATA & 1:
        return "Linux grants no permission"
    return ""
