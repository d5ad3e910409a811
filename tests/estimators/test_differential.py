"""fastnn's estimators in their default precision beside scikit-learn's, through random lives."""

import os

import pytest
from differential import Life

LIVES = int(os.environ.get("FASTNN_TEST_LIVES", 400))


@pytest.mark.slow
@pytest.mark.parametrize("part", range(4))
def test_random_lives_are_scikit_learns(part):
    for seed in range(part, LIVES, 4):
        assert not Life(seed).live()
