"""Memory and blocks of the simulator whose accesses are noted: see ``races.py``.

``Block`` takes the place of the simulator's way to run a block, and gives the kernel all else.
"""

import math
import operator
import sys
import threading

import numpy as np
from numba.cuda.np.numpy_support import as_dtype
from numba.cuda.simulator import kernel as simulator
from numba.cuda.simulator.kernelapi import FakeCUDAAtomic
from numba.cuda.types import Type
from races import ATOMIC, READ, WRITE, Launch, Memory, line_of

# The simulator's functions for one instruction: their memory is not the kernel's, and their barriers order nothing.
STAND_INS = {"_multiply"}
WIDE = {"load4", "store4"}  # its functions for an access to four elements, which must be aligned as a whole
SMALLEST_SHARED = 4  # bytes of an element in dynamic shared memory


class Buffer:
    """Memory that a pointer may lead to.

    Parameters
    ----------
    name : str
    data : ndarray
    memory : Memory
        Where accesses are noted.
    cell : int, optional
        Bytes of the parts that are noted, by default those of an element.
    """

    def __init__(self, name, data, memory, cell=None):
        self.name, self.data, self.memory = name, data, memory
        self.address, self.step = data.ctypes.data, data.itemsize
        self.cells = range(0, self.step, cell or self.step)

    def note(self, place, kind, frame):
        """Note an access to an element; returns its place."""
        launch, size = self.memory.launch, self.data.size
        access = launch.now, frame.f_code, frame.f_lasti
        if not 0 <= place < size:
            raise IndexError(f"{launch.name}: no element {place} of {self.name}\n  {launch.said(kind, access)}")
        if frame.f_code.co_name in WIDE:
            first = frame.f_locals["base"].first + frame.f_locals["offset"]
            if first % 4:
                launch.found(f"element {first} of {self.name} is not the first of an aligned four", (kind, access))
        for cell in self.cells:
            self.memory.note(self.address + place * self.step + cell, kind, access, (place, self.name))
        return place


class Pointer:
    """What kernels take for an array: elements of a buffer, counted from place ``first``."""

    __slots__ = "_buffer", "first"

    def __init__(self, buffer, first=0):
        self._buffer, self.first = buffer, first

    @property
    def size(self):
        return self._buffer.data.size - self.first

    def __getitem__(self, index):
        buffer = self._buffer
        if type(index) is slice:
            if index != slice(index.start, None):
                raise TypeError("kernels move pointers, and take no slices")
            return Pointer(buffer, self.first + operator.index(index.start))
        place, memory = self.first + operator.index(index), buffer.memory
        known = memory.reads.get(buffer.address + place * buffer.step)
        if not known or known[0] != memory.launch.now or place < 0 or len(buffer.cells) > 1:  # else nothing new
            buffer.note(place, READ, sys._getframe(1))
        return buffer.data[place]

    def __setitem__(self, index, value):
        place = self.first + operator.index(index)
        self._buffer.data[self._buffer.note(place, WRITE, sys._getframe(1))] = value

    def atomic(self, operation, index, values, frame):
        place = self.first + operator.index(index)
        return operation(self._buffer.data, self._buffer.note(place, ATOMIC, frame), *values)


class Atomic:
    """``cuda.atomic``."""

    def __getattr__(self, name):
        operation = getattr(FakeCUDAAtomic(), name)
        return lambda array, index, *values: array.atomic(operation, index, values, sys._getframe(1))


class Local:
    """``cuda.local``: arrays full of NaN, or of the largest number."""

    def array(self, shape, dtype):
        dtype = _dtype(dtype)
        return np.full(shape, np.nan if dtype.kind == "f" else np.iinfo(dtype).max, dtype)


class Shared:
    """``cuda.shared`` of one block."""

    def __init__(self, launch, dynamic_bytes):
        self._launch, self._made = launch, {}
        self._dynamic, self._noted = np.empty(dynamic_bytes, np.byte), Memory(launch, fresh=True)

    def array(self, shape, dtype):
        frame, dtype = sys._getframe(1), _dtype(dtype)
        if shape == 0:
            whole = self._dynamic[: self._dynamic.size // dtype.itemsize * dtype.itemsize].view(dtype)
            assert dtype.itemsize % SMALLEST_SHARED == 0
            return Pointer(Buffer("dynamic shared memory", whole, self._noted, SMALLEST_SHARED))
        place = frame.f_code, frame.f_lasti
        if place not in self._made:
            data, name = np.empty(shape, dtype), f"the shared array of {line_of(*place)}"
            stands_in = frame.f_code.co_name in STAND_INS
            self._made[place] = data if stands_in else Pointer(Buffer(name, data, Memory(self._launch, fresh=True)))
        return self._made[place]


def _dtype(dtype):
    return as_dtype(dtype) if isinstance(dtype, Type) else np.dtype(dtype)


def _pointers(function, arguments, memory):
    """What a kernel gets for its arguments."""
    arrays = {i: given._item._ary for i, given in enumerate(arguments) if hasattr(given, "_item")}
    assert all(array.ndim == 1 and array.flags.c_contiguous for array in arrays.values())
    names, cell = function.__code__.co_varnames, _common_cell(arrays.values())
    return [
        Pointer(Buffer(names[i], arrays[i], memory, cell)) if i in arrays else given
        for i, given in enumerate(arguments)
    ]


def _common_cell(arrays):
    """Bytes of a part that all elements consist of, if arrays of different elements overlap."""
    arrays = sorted((array for array in arrays if array.size), key=lambda array: array.ctypes.data)
    end = 0
    for array, before in zip(arrays, [None, *arrays], strict=False):
        start = array.ctypes.data
        if start < end and (array.itemsize != before.itemsize or (start - before.ctypes.data) % array.itemsize):
            return math.gcd(*(other.itemsize for other in arrays), *(other.ctypes.data for other in arrays))
        end = max(end, start + array.nbytes)
    return None


class Thread(simulator.BlockThread):
    """A thread of a block, which works when it is its turn."""

    def __init__(self, function, block, point, number, place):
        super().__init__(function, block, point, place, False)
        self.number, self.done = number, False
        self.site = None  # of the barrier that it waits at
        self._turn, self._over = threading.Semaphore(0), threading.Semaphore(0)

    def advance(self):
        """Let it work up to the next barrier, or to the end."""
        self.site = None
        self._turn.release()
        self._over.acquire()

    def run(self):
        self._turn.acquire()
        if not self.abort:
            super().run()
        self.done = True
        self._over.release()

    def syncthreads(self):
        frame, site = sys._getframe(1), []
        while frame.f_code.co_name != "run":
            if "/cuda/simulator/" not in frame.f_code.co_filename:
                site.append((frame.f_code, frame.f_lasti))
            frame = frame.f_back
        self.site = tuple(site[:-1])
        self._over.release()
        self._turn.acquire()
        if self.abort:
            raise RuntimeError("another thread failed")


class Block(simulator.BlockManager):
    """Takes the place of the simulator's way to run a block: ``numba.cuda.simulator.kernel.BlockManager``."""

    def __init__(self, function, grid_dim, block_dim, debug):
        super().__init__(function, grid_dim, block_dim, debug)
        self._cuda = simulator._get_kernel_context()
        if not hasattr(self._cuda, "launch"):
            self._cuda.launch, self._cuda.pointers = Launch(function, block_dim), None
            self._cuda._atomic, self._cuda._local = Atomic(), Local()
            self._cuda.dynamic_bytes = self._cuda.shared._dynshared_size

    def run(self, point, *arguments):
        launch = self._cuda.launch
        launch.begin_block(point)
        self._cuda._shared = Shared(launch, self._cuda.dynamic_bytes)
        if self._cuda.pointers is None:
            self._cuda.pointers = _pointers(self._f, arguments, launch.memory)
        places = enumerate(np.ndindex(*self._block_dim))
        waiting = [Thread(lambda: self._f(*self._cuda.pointers), self, point, *place) for place in places]
        for thread in waiting:
            thread.start()
        ordered = True
        while waiting:
            if ordered:
                launch.begin_phase()
            for thread in waiting:
                launch.now = launch.phase + thread.number
                thread.advance()
                if thread.exception:
                    self._end(waiting)
                    raise thread.exception[0].with_traceback(thread.exception[1])
            sites = {thread.site: thread.number for thread in waiting}
            if len(sites) > 1:
                launch.divided([(number, site) for site, number in sites.items()])
            ordered = not any(code.co_name in STAND_INS for code, _ in waiting[0].site or ())
            waiting = [thread for thread in waiting if thread.site]
        launch.check()

    def _end(self, threads):
        for thread in threads:
            thread.abort = True
            while not thread.done:
                thread.advance()
