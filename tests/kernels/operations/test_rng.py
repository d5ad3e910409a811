"""Compiled random numbers: published vectors, the oracle's orders and masks, keep rates, whole fits."""

import numpy as np
import pytest
from fastnn.kernels import reference
from fastnn.kernels.compiler import jit
from fastnn.kernels.llvm.instructions import at
from fastnn.kernels.operations.random import FIRST_DROPOUT_STREAM, dropout_row, philox, shuffle
from harness import Problem, assert_close, assert_same_bits, tolerance

from fastnn.layers import Activation, Dense, Dropout

SEEDS = (0, 1, 2**32 - 1, 2**32, 2**40 + 12345, 2**64 - 1)
GUARD = 12345.0


def rng_case(what, integers, mask, columns, row, step, stream, rate, key_0, key_1):
    """Words of a counter, order of an epoch (``step``), or multipliers of a dropout row."""
    if what == 0:
        words = philox(integers[0], integers[1], integers[2], integers[3], key_0, key_1)
        integers[0], integers[1], integers[2], integers[3] = words
    elif what == 1:
        shuffle(at(integers, 0), columns, step, key_0, key_1)
    else:
        dropout_row(at(mask, 0), columns, row, step, stream, rate, key_0, key_1)


def key(seed):
    return seed & 0xFFFFFFFF, seed >> 32


def program(dtype="float32"):
    return jit.program(rng_case, np.dtype(dtype))


def mask_of(dtype, columns, row, step, stream, rate, seed):
    mask = np.full(columns + 1, GUARD, dtype)
    program(dtype)(2, np.zeros(1, np.int64), mask, columns, row, step, stream, dtype.type(rate), *key(seed))
    assert mask[-1] == GUARD
    return mask[:-1]


# Known answers of the Random123 library (kat_vectors, philox4x32 with 10 rounds).
@pytest.mark.parametrize(
    ("counter", "key", "words"),
    [
        ("00000000 00000000 00000000 00000000", "00000000 00000000", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
        ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff", "408f276d 41c83b0e a20bc7c6 6d5451fd"),
        ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0", "d16cfe09 94fdcceb 5001e420 24126ea1"),
    ],
)
def test_known_answers(counter, key, words):
    counter, key, words = ([int(word, 16) for word in text.split()] for text in (counter, key, words))
    integers = np.array(counter)
    program()(0, integers, np.zeros(1, np.float32), 0, 0, 0, 0, 0.5, *key)
    assert integers.tolist() == words


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 17, 1000])
def test_orders_are_the_oracles(n):
    for seed in SEEDS:
        for epoch in (0, 1, 7, 100000):
            order = np.full(n + 1, -7)
            program()(1, order, np.zeros(1, np.float32), n, 0, epoch, 0, 0.5, *key(seed))
            assert order[:-1].tolist() == reference.permutation(n, seed, epoch).tolist()
            assert order[-1] == -7


@pytest.mark.parametrize("columns", [1, 2, 3, 4, 5, 17, 100])
def test_masks_are_the_oracles(dtype, columns):
    for number, seed in enumerate(SEEDS):
        operation, step, rate = number, 3 + 1000 * number, (0.25, 0.5, 0.1, 0.9, 0.3, 0.0)[number]
        expected = reference.dropout_mask(5, columns, rate, seed, operation, step)
        for row in range(5):
            mask = mask_of(dtype, columns, row, step, FIRST_DROPOUT_STREAM + operation, rate, seed)
            np.testing.assert_allclose(mask, expected[row], rtol=tolerance(dtype, 1e-6, 1e-15))


@pytest.mark.parametrize("rate", [0.001, 0.2, 0.5, 0.97])
def test_keep_rate(dtype, rate):
    mask = np.array([mask_of(dtype, 1000, row, 1, 1, rate, 42) for row in range(200)])
    sigma = np.sqrt(rate * (1 - rate) / mask.size)
    assert abs((mask > 0).mean() - (1 - rate)) < 4 * sigma
    assert len(np.unique(mask)) == 2


@pytest.mark.parametrize("seed", [3, 2**40 + 1])
def test_fit_with_shuffle_and_dropout_is_the_oracles(dtype, seed):
    """Dropouts first, in the middle, after an activation of their own, twice in a row and last."""
    layers = [
        Dropout(0.1), Dense(19, "tanh"), Dropout(0.3), Dropout(0.2), Dense(18, "gelu", use_bias=False), Dense(5),
        Dropout(0.25), Activation("elu"), Dropout(0.2), Dense(3), Dropout(0.5),
    ]  # fmt: skip
    problem = Problem(layers, 17, "mean_squared_error", rows=43, weighted=True)
    options = {"batch_size": 9, "epochs": 3, "seed": seed, "first_epoch": 2}
    engine, _, logs = problem.train(dtype, "sgd", **options)
    weights, expected = problem.oracle("sgd", **options)
    assert_close(engine.get_weights(), weights, tolerance(dtype, 2e-5, 1e-12))
    np.testing.assert_allclose(logs, expected, rtol=tolerance(dtype, 1e-5, 1e-12))


def test_other_seeds_and_epochs_give_other_fits():
    problem = Problem([Dense(5, "tanh"), Dropout(0.5), Dense(2)], 4, "mean_squared_error")

    def trained(**options):
        return problem.train("float32", "sgd", **options)[0].get_weights()[0]

    first = trained(seed=1)
    assert_same_bits(trained(seed=1), first)
    for options in ({"seed": 2}, {"seed": 1 + 2**32}, {"seed": 1, "first_epoch": 1}, {"seed": 1, "shuffle": False}):
        assert (trained(**options) != first).mean() > 0.5
