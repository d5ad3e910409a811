"""Counter-based random numbers: Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC11).

A number depends on the seed and on its position alone, so neither threads nor devices can change it.
Counters are (index, row, step or epoch, stream); stream 0 shuffles, stream 1 + i drops out in operation i.
"""

from __future__ import annotations

from ..llvm.instructions import at

WORD = 0xFFFFFFFF
MULTIPLIER_0, MULTIPLIER_1 = 0xD2511F53, 0xCD9E8D57
KEY_STEP_0, KEY_STEP_1 = 0x9E3779B9, 0xBB67AE85
ROUNDS = 10
SHUFFLE_STREAM, FIRST_DROPOUT_STREAM = 0, 1


def philox(c0, c1, c2, c3, key_0, key_1):
    """Four random 32-bit words for a counter of four and a key of two 32-bit words, all held in int64."""
    for _ in range(ROUNDS):
        product_0, product_1 = MULTIPLIER_0 * c0, MULTIPLIER_1 * c2
        # signed overflow wraps, so the high word is right once its sign extension is masked off
        c0, c1, c2, c3 = (
            ((product_1 >> 32) & WORD) ^ c1 ^ key_0,
            product_1 & WORD,
            ((product_0 >> 32) & WORD) ^ c3 ^ key_1,
            product_0 & WORD,
        )
        key_0, key_1 = (key_0 + KEY_STEP_0) & WORD, (key_1 + KEY_STEP_1) & WORD
    return c0, c1, c2, c3


def exchange(order, i, word):
    """One step of Fisher-Yates: element i is exchanged with a random one not after it."""
    j = (word * (i + 1)) >> 32
    kept = order[i]
    order[i] = order[j]
    order[j] = kept


def shuffle(order, n, epoch, key_0, key_1):
    """Fill ``order`` with a permutation of 0 .. n-1 that depends on the key and the epoch alone."""
    for i in range(n):
        order[i] = i
    for block in range((n - 1) // 4, -1, -1):
        w0, w1, w2, w3 = philox(block, 0, epoch, SHUFFLE_STREAM, key_0, key_1)
        i = 4 * block
        if i + 3 < n:
            exchange(order, i + 3, w3)
        if i + 2 < n:
            exchange(order, i + 2, w2)
        if i + 1 < n:
            exchange(order, i + 1, w1)
        exchange(order, i, w0)


def dropout_threshold(rate):
    """The words below it, of all 2**32, drop an element."""
    return int(rate * 4294967296.0 + 0.5)


def dropout_block(mask, left, block, r, step, stream, threshold, kept, key_0, key_1):
    """Write multipliers ``4 * block`` .. ``4 * block + 3`` of a row, or the ``left`` that there are."""
    w0, w1, w2, w3 = philox(block, r, step, stream, key_0, key_1)
    mask[0] = kept if w0 >= threshold else 0.0
    if left > 1:
        mask[1] = kept if w1 >= threshold else 0.0
    if left > 2:
        mask[2] = kept if w2 >= threshold else 0.0
    if left > 3:
        mask[3] = kept if w3 >= threshold else 0.0


def dropout_row(mask, columns, r, step, stream, rate, key_0, key_1):
    """Write the multipliers of one row: 0 with probability ``rate``, else 1 / (1 - rate)."""
    threshold, kept = dropout_threshold(rate), 1.0 / (1.0 - rate)
    for block in range((columns + 3) // 4):
        dropout_block(
            at(mask, 4 * block), columns - 4 * block, block, r, step, stream, threshold, kept, key_0, key_1
        )
