"""Races between threads of simulated kernels, barriers that a part of a block reaches, and strays of pointers.

The threads of a block run one after the other, each up to the next barrier. Every access is noted with its thread, and
compared with what other threads did to the same bytes: so a race shows in every run, whatever the order of threads.

Accesses are ordered within a thread; by ``syncthreads`` and its kin between threads of a block; and by the end of a
launch. Nothing else orders them: neither the lockstep of a warp nor time, and blocks of a launch not at all, for no
kernel has them meet. Two reads never conflict, nor do two atomic operations; a plain write conflicts with everything,
an atomic operation with plain reads and writes, whatever values they find or leave.
"""

import linecache
from collections import Counter, defaultdict

import numpy as np

READ, WRITE, ATOMIC = "reads", "writes", "atomically changes"
RIVALS = {READ: (WRITE, ATOMIC), WRITE: (READ, WRITE, ATOMIC), ATOMIC: (READ, WRITE)}

launched: defaultdict[str, set] = defaultdict(set)  # sizes of the blocks of each kernel


class Memory:
    """Accesses to some memory, by address.

    Of each kind there are the last access to an address; the one before it of another thread since the same barrier;
    and one of an earlier block.

    Parameters
    ----------
    launch : Launch
    fresh : bool
        Whether nobody has written it before the launch.
    """

    def __init__(self, launch, fresh):
        self.launch, self._fresh = launch, fresh
        self.accesses = {kind: ({}, {}, {}) for kind in RIVALS}
        self.reads, self.writes = self.accesses[READ][0], self.accesses[WRITE][0]

    def note(self, address, kind, access, element):
        launch = self.launch
        for rival in RIVALS[kind]:
            for known in self.accesses[rival]:
                earlier = known.get(address) if known else None
                if earlier and launch.unordered(earlier[0]):
                    launch.found("race for element {} of {}".format(*element), (kind, access), (rival, earlier))
        if self._fresh and kind != WRITE and address not in self.writes:
            launch.found("element {} of {} is read before it is written".format(*element), (kind, access))
        last, before, foreign = self.accesses[kind]
        earlier = last.get(address)
        if earlier and launch.unordered(earlier[0]):
            (before if earlier[0] >= launch.phase else foreign)[address] = earlier
        last[address] = access


class Launch:
    """What is known of a launch.

    A stamp tells a thread and the barriers it has passed: those of one block since one barrier are neighbors, and all
    stamps grow with time. ``now`` is that of the thread at work, ``phase`` the first since the last barrier, ``block``
    the first of the block. ``memory`` is that of all arguments.
    """

    def __init__(self, function, block_dim):
        self.name, self.memory = function.__name__, Memory(self, fresh=False)
        self._threads = list(np.ndindex(*block_dim))
        self.now = self.phase = self.block = -len(self._threads)
        self._blocks, self._texts, self._counts = {}, {}, Counter()
        launched[self.name].add(block_dim)

    def begin_block(self, point):
        self.block = self.phase + len(self._threads)
        self._blocks[self.block] = tuple(map(int, point))

    def begin_phase(self):
        self.phase += len(self._threads)

    def unordered(self, stamp):
        """Whether nothing orders an access with the present one, which is not earlier."""
        return stamp != self.now and (stamp >= self.phase or stamp < self.block)

    def found(self, what, *accesses):
        """Take down a fault of some accesses, each a kind, a stamp and a line; once for the same lines."""
        key = tuple((kind, code, instruction) for kind, (_, code, instruction) in accesses)
        self._counts[key] += 1
        if key not in self._texts:
            self._texts[key] = "\n  ".join([what, *(self.said(*access) for access in accesses)])

    def divided(self, sites):
        """Take down that threads, by number, wait at different barriers, or have come to the end, which is None."""
        lines = [
            f"thread {self._threads[number]} " + (f"waits: {line_of(*site[0])}" if site else "has come to the end")
            for number, site in sites
        ]
        self._texts[tuple(lines)] = "\n  ".join(["a barrier that not all threads of the block reach", *lines])

    def check(self):
        """Raise AssertionError if anything was found."""
        texts = [f"{self.name}, {max(1, self._counts[key])} times: {text}" for key, text in self._texts.items()]
        assert not texts, "\n".join(texts)

    def said(self, kind, access):
        """Who does what where."""
        stamp, *place = access
        block = self._blocks[max(first for first in self._blocks if first <= stamp)]
        return f"thread {self._threads[stamp % len(self._threads)]} of block {block} {kind} it: {line_of(*place)}"


def line_of(code, instruction):
    """Where an instruction comes from, and its source."""
    number = next(line for start, stop, line in code.co_lines() if start <= instruction < stop)
    file = code.co_filename.rpartition("/")[2]
    return f"{file}:{number}, {code.co_name}: {linecache.getline(code.co_filename, number).strip()}".rstrip(": ")
