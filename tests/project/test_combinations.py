"""What stays quick of a test that is marked ``covering``."""

import itertools
import subprocess
import sys
from pathlib import Path

from combinations import covering


def test_every_value_is_seen_in_as_few_combinations_as_the_longest_list_has_values():
    cases = [set(enumerate(case)) for case in itertools.product("abcd", "xy", "123")]
    chosen = [cases[number] for number in covering(cases)]
    assert set().union(*chosen) == set().union(*cases)
    assert len(chosen) == 4
    assert {value: sum((1, value) in case for case in chosen) for value in "xy"} == {"x": 2, "y": 2}


def test_the_mark_leaves_these_quick():
    file = Path(__file__).with_name("test_frozen.py")
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", "-m", "not slow", file]
    quick = subprocess.run(command, capture_output=True, text=True).stdout
    assert quick.count("test_versions_have_folders_of_their_own[") == 4  # of seven
