"""How a run chooses the size of its team from what its slices tell."""

import pytest
from fastnn.kernels import team

from fastnn.threads import TeamSize, get_num_threads, positive_threads


@pytest.fixture(autouse=True)
def many_cores(monkeypatch):
    monkeypatch.setattr(team, "available_cores", lambda: 64)


def slices(team, pace, shares, count):
    """Report ``count`` slices of 100 steps: seconds a step and share of the cores' time, both by team size."""
    sizes = []
    for _ in range(count):
        sizes.append(team.size)
        seconds = 100 * pace[team.size]
        team.report(100, seconds, shares[team.size] * seconds * team.size)
    return sizes


def test_a_team_that_gets_its_cores_is_left_alone():
    assert slices(TeamSize(2), {2: 1e-3, 1: 2e-3}, {2: 0.98, 1: 1.0}, 30) == [2] * 30


def test_a_starved_team_gives_way_to_one_thread_and_is_tried_again():
    sizes = slices(TeamSize(2), {2: 4e-3, 1: 2e-3}, {2: 0.6, 1: 0.9}, 45)
    assert sizes == [2] + ([2] + [1] * TeamSize.SLICES) * 4


def test_one_slice_without_a_core_is_forgiven():
    team = TeamSize(2)
    for share in [0.6, 1.0] * 10:
        assert slices(team, {2: 1e-3}, {2: share}, 1) == [2]


def test_a_team_with_fewer_cores_than_members_gives_way_at_once(monkeypatch):
    monkeypatch.setattr(team, "available_cores", lambda: 3)
    assert slices(TeamSize(4), {4: 4e-3, 1: 2e-3}, {4: 0.6, 1: 0.9}, 2) == [4, 1]


def test_a_starved_team_that_is_still_quicker_stays():
    sizes = slices(TeamSize(4), {4: 1e-3, 1: 2e-3}, {4: 0.6, 1: 0.9}, 24)
    assert sizes.count(1) <= 3
    assert sizes[:3] == [4, 4, 1]


def test_the_team_is_back_when_the_machine_is_free():
    team = TeamSize(2)
    slices(team, {2: 4e-3, 1: 2e-3}, {2: 0.5, 1: 0.9}, 5)
    assert team.size == 1
    assert slices(team, {2: 1e-3, 1: 2e-3}, {2: 0.99, 1: 1.0}, 30)[-15:] == [2] * 15


def test_a_team_of_one_never_changes():
    assert slices(TeamSize(1), {1: 1e-3}, {1: 0.1}, 20) == [1] * 20


def test_short_slices_tell_nothing():
    assert slices(TeamSize(2), {2: 1e-6}, {2: 0.1}, 20) == [2] * 20


@pytest.mark.parametrize("value", [0, -1, 1.5, True, "two", "", None])
def test_numbers_of_threads_are_positive_and_whole(value):
    with pytest.raises(ValueError, match="threads must be a positive whole number of threads; got"):
        positive_threads(value, "threads")
    assert positive_threads("3", "threads") == positive_threads(3, "threads") == 3


@pytest.mark.parametrize(
    ("openmp", "own", "expected"),
    [("1", None, 1), ("3,2", None, 3), ("9", None, 8), ("0", None, 8), ("x", None, 8), (None, None, 8), ("1", "5", 5)],
)
def test_workers_of_joblib_and_dask_keep_to_their_share(monkeypatch, openmp, own, expected):
    monkeypatch.setattr(team, "available_cores", lambda: 8)
    for name, value in (("OMP_NUM_THREADS", openmp), ("FASTNN_NUM_THREADS", own)):
        monkeypatch.delenv(name, raising=False) if value is None else monkeypatch.setenv(name, value)
    assert get_num_threads() == expected


def test_a_loky_worker_gets_its_share():
    from joblib import Parallel, delayed, parallel_config

    with parallel_config("loky", inner_max_num_threads=1):
        assert Parallel(n_jobs=2)(delayed(get_num_threads)() for _ in range(2)) == [1, 1]
