"""Random networks, trained and changed at random beside the oracle: see ``random_networks.py``."""

import os
import random

import pytest
from harness import assert_same_bits, folders_of
from random_networks import Case

CASES = int(os.environ.get("FASTNN_TEST_NETWORKS", 40))


@pytest.mark.parametrize("dtype", ["float32", pytest.param("float64", marks=pytest.mark.slow)])
@pytest.mark.parametrize("part", range(4))
def test_random_networks(dtype, part):
    """They end with what the oracle has, and with the same bits for any number of threads."""
    for seed in range(part, CASES, 4):
        weights = [Case(seed, dtype, threads).live() for threads in (1, seed % 2 + 2)]
        assert_same_bits(*weights)


@pytest.mark.slow
@pytest.mark.parametrize("simd", ["", "none"])
def test_random_networks_in_processes_that_share_a_cache(fresh_cache, run_python, simd):
    """Each process finds programs that others compiled, in another order, and compiles some itself."""
    code = """
        import os, sys
        sys.path[:0] = os.environ["TESTS"].split(os.pathsep)
        from random_networks import Case
        for seed in map(int, os.environ["SEEDS"].split()):
            Case(seed, "float64", None).live()
        """
    order = random.Random(0)
    for _ in range(5):
        seeds = order.sample(range(1000, 2000), 4)
        run_python(code, TESTS=os.pathsep.join(folders_of(__file__)), SEEDS=" ".join(map(str, seeds)), FASTNN_SIMD=simd)


@pytest.mark.slow
def test_random_networks_with_programs_of_their_own():
    assert_same_bits(Case(0, "float64", 1, True).live(), Case(0, "float64", 1, False).live())
