"""Threads that work together inside compiled code: where they meet, when they stop, and what is whose share.

Every member of a team is an ordinary Python thread (``fastnn/engine/team.py``) that runs the same ``nogil`` program
with its own rank; they meet at an atomic barrier. There is no pool and no threading layer: nothing spins when idle,
nothing breaks after a fork, and any number of teams may run at once.
"""

from __future__ import annotations

from ..llvm.instructions import atomic_add, atomic_load, atomic_store, pause, yield_core

# Indices into the int64 vector that members share, each on its own cache line.
ARRIVED, GENERATION, ABORTED, STOP, LAST = 0, 16, 32, 48, 64
SYNC_SIZE = 80
SPINS = 2000  # about 20 to 60 us; then the core is offered to others at each turn


def barrier(sync, size):
    """Wait until all ``size`` members are here; False if the team was called off before it was complete."""
    if size == 1:
        return True
    generation = atomic_load(sync, GENERATION)
    if atomic_add(sync, ARRIVED, 1) == size - 1:
        atomic_store(sync, ARRIVED, 0)
        atomic_store(sync, GENERATION, generation + 1)
        return True
    turns = 0
    while atomic_load(sync, GENERATION) == generation:
        if atomic_load(sync, ABORTED) != 0:
            return atomic_load(sync, GENERATION) != generation
        turns += 1
        if turns < SPINS:
            pause()
        else:
            yield_core()
    return True


def heed_stop(rank, size, sync, step):
    """At the beginning of a step, look whether it is to be the last; at least one barrier follows in the step."""
    if size > 1 and rank == 0 and atomic_load(sync, STOP) != 0:
        atomic_store(sync, LAST, step + 1)


def is_last(size, sync, step):
    """Whether all members leave after this step."""
    return size > 1 and atomic_load(sync, LAST) == step + 1


def share(rank, size, count):
    """First and last + 1 of the items 0 .. count-1 that belong to a member."""
    if size == 1:  # a division takes as long as the rest of a small layer's bookkeeping
        return 0, count
    return rank * count // size, (rank + 1) * count // size


def split(number, divisor):
    """Quotient and remainder."""
    if divisor == 1:
        return number, 0
    return number // divisor, number % divisor


def row_cuts(units, size):
    """Into how many blocks of rows to cut when ``units`` blocks of columns are to be shared by a team."""
    return 1 if units % size == 0 or units >= 4 * size else size
