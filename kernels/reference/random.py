"""The oracle's random numbers: Philox4x32-10, shuffles and dropout; see ``reference/``."""

import math

import numpy as np


def philox4x32(counter, key):
    """Philox4x32-10 of Salmon et al. (SC11): words (..., 4) for counters (..., 4) and a key of two words."""
    low = np.uint64(0xFFFFFFFF)
    c0, c1, c2, c3 = np.moveaxis(np.asarray(counter, np.uint64), -1, 0)
    k0, k1 = (int(word) for word in key)
    for _ in range(10):
        product_0, product_1 = np.uint64(0xD2511F53) * c0, np.uint64(0xCD9E8D57) * c2
        c0, c2 = (product_1 >> np.uint64(32)) ^ c1 ^ np.uint64(k0), (product_0 >> np.uint64(32)) ^ c3 ^ np.uint64(k1)
        c1, c3 = product_1 & low, product_0 & low
        k0, k1 = (k0 + 0x9E3779B9) % 2**32, (k1 + 0xBB67AE85) % 2**32
    return np.stack([c0, c1, c2, c3], axis=-1).astype(np.uint32)


def random_words(count, row, time, stream, seed):
    """Return the first `count` words of the counters (0, row, time, stream), (1, row, time, stream), ..."""
    counter = np.full((-(-count // 4), 4), (0, row, time, stream), np.uint64)
    counter[:, 0] = np.arange(len(counter))
    return philox4x32(counter, (seed % 2**32, seed >> 32)).ravel()[:count]


def permutation(n, seed, epoch):
    """Order of the rows in an epoch: Fisher-Yates from the last index down, index i with word i of the epoch."""
    order, words = list(range(n)), random_words(n, 0, epoch, 0, seed).tolist()
    for i in range(n - 1, 0, -1):
        j = words[i] * (i + 1) >> 32
        order[i], order[j] = order[j], order[i]
    return np.array(order, np.int64)


def dropout_mask(rows, columns, rate, seed, op, step):
    """Multipliers (rows, columns) of operation `op` after `step` optimizer steps: 0, or 1 / (1 - rate) where kept."""
    words = np.array([random_words(columns, row, step, 1 + op, seed) for row in range(rows)]).reshape(rows, columns)
    return np.where(words >= math.floor(rate * 2.0**32 + 0.5), 1.0 / (1.0 - rate), 0.0)
