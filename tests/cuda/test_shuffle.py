"""The order of an epoch's rows, made by many threads, is the one of all other devices."""

import numpy as np
import pytest
from fastnn.kernels import codes, reference
from fastnn.kernels.cuda import jit
from fastnn.kernels.cuda.jit import cuda
from fastnn.kernels.cuda.launches.shuffle import shuffle_epoch

SEED = (7 << 32) + 77


@pytest.mark.parametrize("rows", [1, 2, 3, 5, 17, 203] if jit.SIMULATED else [1, 17, 203, 27455])
@pytest.mark.parametrize("threads", [1, 8] if jit.SIMULATED else [32, 1024])
def test_order_is_the_oracles(rows, threads):
    run, clock = np.zeros(codes.METRICS_START, np.int64), np.zeros(len(codes.CLOCK_COLUMNS), np.int64)
    run[codes.ROWS], run[codes.BATCH], run[codes.FIRST_EPOCH] = rows, 2, 3
    run[codes.SEED_LOW], run[codes.SEED_HIGH] = SEED & 0xFFFFFFFF, SEED >> 32
    for epoch in (0, 1):
        clock[codes.NEXT_STEP] = epoch * -(-rows // 2)
        order, partners, reserved = (cuda.device_array(rows, np.int32) for _ in range(3))
        jit.kernel(shuffle_epoch, np.dtype("float32"))[1, threads](run, order, partners, reserved, clock)
        np.testing.assert_array_equal(order.copy_to_host(), reference.permutation(rows, SEED, 3 + epoch))
