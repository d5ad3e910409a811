"""The order of the rows in an epoch, that of ``operations/random.py: shuffle``, made by a whole block of threads.

The exchanges of Fisher and Yates form a fixed sequence, in which one must wait only for earlier ones of the same
element. In every round each exchange that is left reserves its two elements, the earliest one that wants an element
wins it, and those that won both are made (deterministic reservations: Shun, Gu, Blelloch, Fineman and Gibbons,
"Sequential random permutation, list contraction and tree contraction are highly parallel", SODA 2015). A number of
rounds that grows with the logarithm of the rows is enough.
"""

from __future__ import annotations

from ... import codes
from ...operations.random import SHUFFLE_STREAM, philox
from ..jit import cuda, entry

DONE = -1


@entry("IJJJI", threads=1024)
def shuffle_epoch(run, order, partners, reserved, clock):
    """Fill ``order`` (n,) for the epoch of the next step; ``partners`` and ``reserved`` (n,) are scratch. One block.

    Exchange i is that of element i with element ``partners[i]``, not behind it; that of the last element comes first.
    """
    thread, threads, n, batch = cuda.threadIdx.x, cuda.blockDim.x, run[codes.ROWS], run[codes.BATCH]
    epoch = run[codes.FIRST_EPOCH] + clock[codes.NEXT_STEP] // ((n + batch - 1) // batch)
    block = thread
    while 4 * block < n:
        words = philox(block, 0, epoch, SHUFFLE_STREAM, run[codes.SEED_LOW], run[codes.SEED_HIGH])
        for k in range(4):
            i = 4 * block + k
            if i < n:
                order[i], reserved[i], partners[i] = i, DONE, (words[k] * (i + 1)) >> 32
        block += threads
    cuda.syncthreads()
    left = 1
    while left != 0:
        i = thread
        while i < n:
            if partners[i] != DONE:
                cuda.atomic.max(reserved, i, i)
                cuda.atomic.max(reserved, partners[i], i)
            i += threads
        cuda.syncthreads()
        i = thread
        while i < n:
            j = partners[i]
            if j != DONE and reserved[i] == i and reserved[j] == i:
                order[i], order[j] = order[j], order[i]
                partners[i] = DONE - 1 - j
            i += threads
        cuda.syncthreads()
        mine = 0
        i = thread
        while i < n:
            j = partners[i]
            if j < DONE:  # made in this round: its elements are free again
                reserved[i] = reserved[DONE - 1 - j] = DONE
                partners[i] = DONE
            elif j != DONE:
                mine = 1
            i += threads
        left = cuda.syncthreads_or(mine)
