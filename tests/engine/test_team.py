"""Teams: barriers with more threads than cores, starts that fail, and the cores that a machine allows."""

import os
import threading
import time

import numpy as np
import pytest
from fastnn.kernels.compiler import jit
from fastnn.kernels.operations import teamwork
from fastnn.kernels.operations.teamwork import barrier

from fastnn.engine import cores, team
from fastnn.engine.team import run_team, run_watched_team


def team_case(rank, size, sync, log, rounds):
    """In turn each member appends to a list of its rank; the others wait: the order shows a barrier that leaks."""
    if not barrier(sync, size):
        return
    for turn in range(rounds):
        if turn % size == rank:
            log[0] += 1
            log[log[0]] = rank
        barrier(sync, size)


def relay(size, rounds):
    log = np.zeros(rounds + 1, np.int64)
    program = jit.program(team_case, np.dtype("float32"))
    run_team(program, 1, np.zeros(2, np.int64), 1)  # compiles
    run_team(program, size, log, rounds)
    return log


@pytest.mark.parametrize("size", [1, 2, 3, 8])
def test_members_take_turns(size):
    rounds = 4000 if size <= cores.available_cores() else 400
    log = relay(size, rounds)
    assert log[0] == rounds
    assert log[1:].tolist() == [turn % size for turn in range(rounds)]


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity here")
def test_who_waits_gives_the_core_away():
    """Three of four members wait while one works; on one core they must not use up their time slices."""
    relay(1, 1)
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, [min(cores)])
    try:
        used = time.process_time()
        relay(4, 1000)
        used = time.process_time() - used
    finally:
        os.sched_setaffinity(0, cores)
    assert used < 1.0


def test_many_teams_at_once():
    logs = [None] * 4

    def work(number):
        logs[number] = relay(3, 200).tolist()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert logs == [[200, *(turn % 3 for turn in range(200))]] * 4


def run_watched(program, size, *arguments):
    return run_watched_team(program, size, team.Watch(60.0), *arguments)


both_ways = pytest.mark.parametrize("run", [run_team, run_watched])


@pytest.fixture
def program():
    """A compiled `team_case`."""
    relay(1, 1)
    return jit.program(team_case, np.dtype("float32"))


@pytest.fixture
def starts(monkeypatch):
    """Threads that were started; put into ``errors`` under a number, an error is what that start raises."""
    begin = threading.Thread.start

    class Starts(list):
        def __init__(self):
            self.errors = {}

    starts = Starts()

    def start(thread):
        starts.append(thread)
        if len(starts) in starts.errors:
            raise starts.errors[len(starts)]
        begin(thread)

    monkeypatch.setattr(threading.Thread, "start", start)
    return starts


def assert_whole(log, size):
    assert log.tolist() == [8, *(turn % size for turn in range(8))]


@both_ways
@pytest.mark.parametrize("failing", [1, 2, 3])
def test_an_interrupt_while_members_are_started_calls_the_team_off(program, starts, run, failing):
    starts.errors = {failing: KeyboardInterrupt()}
    log = np.zeros(9, np.int64)
    with pytest.raises(KeyboardInterrupt):
        run(program, 4, log, 8)
    assert (log == 0).all()
    assert not any(thread.is_alive() for thread in starts)


@pytest.mark.parametrize("allowed", [0, 1, 2])
@pytest.mark.parametrize("error", [RuntimeError("can't start new thread"), MemoryError()], ids=["limit", "memory"])
@both_ways
def test_where_fewer_threads_can_be_started_the_team_is_smaller(program, starts, run, error, allowed):
    starts.errors = {allowed + 1: error}
    log = np.zeros(9, np.int64)
    size = run(program, 4, log, 8)
    assert size == (allowed + 1 if run is run_team else max(allowed, 1))
    assert_whole(log, size)
    assert not any(thread.is_alive() for thread in starts)


def test_a_recursion_that_is_too_deep_is_no_lack_of_threads(program, starts):
    starts.errors = {1: RecursionError()}
    with pytest.raises(RecursionError):
        run_team(program, 4, np.zeros(9, np.int64), 8)


@both_ways
@pytest.mark.parametrize("error", [MemoryError("no memory"), KeyboardInterrupt()], ids=["memory", "interrupt"])
@pytest.mark.parametrize("failing", [1, 2, 3])
def test_a_member_that_fails_before_its_program_calls_the_team_off(program, starts, monkeypatch, run, error, failing):
    take, calls = team._take_core, []

    def take_core(taken):
        calls.append(taken)
        if len(calls) == failing:
            raise error
        take(taken)

    monkeypatch.setattr(team, "_take_core", take_core)
    log = np.zeros(9, np.int64)
    with pytest.raises(type(error)):
        run(program, 3, log, 8)
    assert (log == 0).all()
    assert not any(thread.is_alive() for thread in starts)
    monkeypatch.undo()
    run(program, 3, log, 8)
    assert_whole(log, 3)


@both_ways
@pytest.mark.parametrize("failing", [0, 1, 2])
@pytest.mark.parametrize("entered", [False, True])
def test_an_exception_in_any_member_reaches_the_caller_with_all_or_nothing_done(program, starts, run, failing, entered):
    def failing_program(rank, *arguments):
        if rank != failing or entered:
            program(rank, *arguments)
        if rank == failing:
            raise ZeroDivisionError

    log = np.zeros(9, np.int64)
    with pytest.raises(ZeroDivisionError):
        run(failing_program, 3, log, 8)
    if entered:
        assert_whole(log, 3)
    else:
        assert (log == 0).all()
    assert not any(thread.is_alive() for thread in starts)


def test_a_barrier_that_was_complete_counts_though_the_team_was_called_off_since(monkeypatch):
    """A member may leave the last barrier and fail before another one has seen that it was complete."""

    looked = []
    sync = np.zeros(teamwork.SYNC_SIZE, np.int64)

    def look(sync, place):
        looked.append(place)
        if looked == [teamwork.GENERATION, teamwork.GENERATION, teamwork.ABORTED]:
            sync[[teamwork.GENERATION, teamwork.ABORTED]] = 1
        return int(sync[place])

    monkeypatch.setattr(teamwork, "atomic_add", lambda sync, place, value: 0)
    monkeypatch.setattr(teamwork, "atomic_load", look)
    assert barrier(sync, 2)


def test_a_team_of_one_starts_no_thread(monkeypatch):
    monkeypatch.setattr(threading.Thread, "start", lambda thread: pytest.fail("a thread was started"))
    assert relay(1, 3).tolist() == [3, 0, 0, 0]


@pytest.fixture
def moves(monkeypatch):
    """Affinities that threads set for themselves, on a machine of cores 3, 5 and 7 where all threads start on 5."""
    asked = []
    monkeypatch.setattr(team, "_current_core", lambda: lambda: 5)
    monkeypatch.setattr(os, "sched_getaffinity", lambda thread: {3, 5, 7}, raising=False)
    monkeypatch.setattr(os, "sched_setaffinity", lambda thread, cores: asked.append((thread, cores)), raising=False)
    return asked


def test_a_member_leaves_the_core_of_another(moves):
    relay(2, 2)
    assert moves == [(0, {3}), (0, {3, 5, 7})]


def test_members_that_outnumber_the_cores_share_them(moves):
    relay(5, 2)
    assert [cores for _, cores in moves[::2]] == [{3}, {7}, {5}, {5}]


def test_a_member_that_may_not_leave_its_core_works_there(moves, monkeypatch):
    def refuse(thread, cores):
        raise PermissionError("not here")

    monkeypatch.setattr(os, "sched_setaffinity", refuse)
    assert relay(3, 4).tolist()[0] == 4


def test_where_threads_cannot_be_moved(monkeypatch):
    monkeypatch.setattr(team, "_current_core", lambda: None)
    assert relay(3, 4).tolist()[0] == 4


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system does not say where threads run")
def test_members_may_go_where_the_process_may():
    allowed, found = os.sched_getaffinity(0), []
    taken = {team._current_core()()} if team._current_core() else set()

    def look():
        team._take_core(taken)
        found.append(os.sched_getaffinity(0))

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert found == [allowed]


# --- cores --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("200000 100000\n", 2),
        ("250000 100000\n", 2),
        ("50000 100000\n", 1),
        ("1600000 100000\n", 16),
        ("max 100000\n", None),
        ("0 100000\n", None),
        ("100000 0\n", None),
    ],
)
def test_quota_of_version_2(tmp_path, content, expected):
    (tmp_path / "cpu.max").write_text(content)
    assert cores.quota_cores(tmp_path) == expected


@pytest.mark.parametrize(
    ("quota", "period", "expected"),
    [("400000\n", "100000\n", 4), ("30000\n", "100000\n", 1), ("-1\n", "100000\n", None)],
)
def test_quota_of_version_1(tmp_path, quota, period, expected):
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text(quota)
    (tmp_path / "cpu" / "cpu.cfs_period_us").write_text(period)
    assert cores.quota_cores(tmp_path) == expected


@pytest.mark.parametrize("content", [None, "", "nonsense", "a b\n", "max\n"])
def test_no_quota(tmp_path, content):
    if content is not None:
        (tmp_path / "cpu.max").write_text(content)
    assert cores.quota_cores(tmp_path) is None


def test_available_cores(monkeypatch):
    monkeypatch.setattr(cores.os, "sched_getaffinity", lambda process: {0, 3, 5, 6}, raising=False)
    for quota, expected in ((None, 4), (2, 2), (16, 4)):
        monkeypatch.setattr(cores, "quota_cores", lambda quota=quota: quota)
        assert cores.available_cores() == expected


def test_available_cores_where_affinity_is_unknown(monkeypatch):
    monkeypatch.delattr(cores.os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(cores, "quota_cores", lambda: None)
    for counted, expected in ((6, 6), (None, 1)):
        monkeypatch.setattr(cores.os, "cpu_count", lambda counted=counted: counted)
        assert cores.available_cores() == expected
