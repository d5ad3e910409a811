"""Root writes anywhere, so where tests run as root, those of modes and permissions give that right up."""

import ctypes
import functools
import os
import threading

import pytest

VERSION_3, CHOWN, DAC_OVERRIDE, DAC_READ_SEARCH = 0x20080522, 0, 1, 2  # of <linux/capability.h>


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Data(ctypes.Structure):
    _fields_ = (("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32))


def give_up_rights(*rights):
    """Let the calling thread do without some of root's rights, for good."""
    libc, header, data = ctypes.CDLL(None, use_errno=True), _Header(VERSION_3, 0), (_Data * 2)()
    if libc.capget(ctypes.byref(header), data):
        pytest.skip("no capabilities here")
    kept = ~sum(1 << right for right in rights)
    data[0].effective &= kept
    data[0].permitted &= kept
    if libc.capset(ctypes.byref(header), data):
        raise OSError(ctypes.get_errno(), "capset")


def obeying_modes(test):
    """Let modes of files bind ``test``: root runs it in a thread that has given its right up for good."""
    if os.name == "nt":
        return pytest.mark.skip("no modes here")(test)
    if os.geteuid() != 0:
        return test

    @functools.wraps(test)
    def in_a_thread(*arguments, **options):
        errors = []

        def work():
            try:
                give_up_rights(DAC_OVERRIDE, DAC_READ_SEARCH)
                test(*arguments, **options)
            except BaseException as error:
                errors.append(error)

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        if errors:
            raise errors[0]

    return in_a_thread
