"""How a run chooses the size of its team from what its slices tell."""

import pytest

from fastnn import Dense, MLPClassifier, Sequential
from fastnn.engine import cores, threads
from fastnn.engine.threads import TeamSize, get_num_threads, most_threads, positive_threads, set_num_threads


@pytest.fixture(autouse=True)
def many_cores(monkeypatch):
    monkeypatch.setattr(cores, "available_cores", lambda: 64)


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
    monkeypatch.setattr(cores, "available_cores", lambda: 3)
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


@pytest.fixture
def few_cores(monkeypatch):
    """A machine of 24 cores, which has said nothing yet; back to the default number of threads in the end."""
    monkeypatch.setattr(threads.os, "cpu_count", lambda: 24)
    monkeypatch.setattr(threads, "_told", set())
    yield
    set_num_threads(None)


TOO_MANY = [97, 100_000, 10**30, 10**5000, "100000", "0" * 20 + "9" * 5000]


@pytest.mark.parametrize("value", TOO_MANY, ids=["97", "100000", "1e30", "1e5000", "text", "long text"])
def test_more_threads_than_a_machine_has_use_for_are_cut_with_a_word(few_cores, value):
    with pytest.warns(RuntimeWarning, match="^threads asks for more than 96, all that this machine has use for: 96"):
        assert positive_threads(value, "threads") == 96
    assert positive_threads(value, "threads") == 96  # without another word
    assert positive_threads(96, "threads") == 96


@pytest.mark.parametrize(("cores", "most"), [(None, 64), (1, 64), (16, 64), (17, 68), (256, 1024)])
def test_most_threads(monkeypatch, cores, most):
    monkeypatch.setattr(threads.os, "cpu_count", lambda: cores)
    assert most_threads() == most


def test_wherever_threads_are_asked_for_there_is_a_bound(few_cores, monkeypatch):
    x = [[0.0, 1.0]] * 30
    model = Sequential([Dense(1, input_shape=(2,))], threads=10**5)
    with pytest.warns(RuntimeWarning, match="threads asks for more than 96"):
        assert model.engine.threads == 96
    threads._told.clear()
    with pytest.warns(RuntimeWarning, match="threads asks for more than 96"):
        set_num_threads(10**5)
    assert get_num_threads() == 96
    set_num_threads(None)
    monkeypatch.setenv("FASTNN_NUM_THREADS", "100000")
    with pytest.warns(RuntimeWarning, match="FASTNN_NUM_THREADS asks for more than 96"):
        assert get_num_threads() == 96
    monkeypatch.delenv("FASTNN_NUM_THREADS")
    threads._told.clear()
    with pytest.warns(RuntimeWarning, match="threads asks for more than 96"):
        estimator = MLPClassifier((2,), threads=10**5, tol=1e9, n_iter_no_change=1).fit(x, [0, 1] * 15)
    assert estimator.get_params()["threads"] == 10**5


@pytest.mark.parametrize(
    ("openmp", "own", "expected"),
    [
        ("1", None, 1),
        ("3,2", None, 3),
        ("9", None, 8),
        ("0", None, 8),
        ("x", None, 8),
        (None, None, 8),
        ("1", "5", 5),
        pytest.param("9" * 5000, None, 8, id="long"),
    ],
)
def test_workers_of_joblib_and_dask_keep_to_their_share(monkeypatch, openmp, own, expected):
    monkeypatch.setattr(cores, "available_cores", lambda: 8)
    for name, value in (("OMP_NUM_THREADS", openmp), ("FASTNN_NUM_THREADS", own)):
        monkeypatch.delenv(name, raising=False) if value is None else monkeypatch.setenv(name, value)
    assert get_num_threads() == expected


def test_a_loky_worker_gets_its_share():
    from joblib import Parallel, delayed, parallel_config

    with parallel_config("loky", inner_max_num_threads=1):
        assert Parallel(n_jobs=2)(delayed(get_num_threads)() for _ in range(2)) == [1, 1]
