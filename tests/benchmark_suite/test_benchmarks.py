"""The benchmark suite: every task runs and compares, and the gate refuses what it should."""

import gc
import math
import os
import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

import fastnn.commands.bench

pytest.importorskip("benchmarks", reason="the suite is in the checkout only")

from benchmarks import data, peak, problems, runner, session, terms
from benchmarks.contenders import CONTENDERS, choose
from benchmarks.contenders.base import Contender, NotOffered, Work
from benchmarks.kinds import Fit, Product, Script
from benchmarks.results import Results
from benchmarks.tasks import TASKS
from benchmarks.tasks import choose as choose_tasks
from benchmarks.worker import Worker, WorkerFailed

STAND_INS = frozenset({"Pima", "sign-MNIST"})  # no data, no download
ALWAYS = ("fastnn", "numpy", "scikit-learn")
FAST_TASKS = [
    pytest.param(task, marks=[] if task.in_quick and not isinstance(task, Script) else [pytest.mark.slow], id=task.name)
    for task in TASKS.values()
    if not (isinstance(task, Script) and task.empty_cache)
]


@pytest.fixture(autouse=True)
def _one_thread():
    with terms.limited(1), threadpool_limits(1):
        yield


class InProcess(dict):
    """Sessions in the place of a runner's workers."""

    threads, stand_ins = 1, STAND_INS

    def __missing__(self, name):
        here = session.Session(name, 1, STAND_INS)
        self[name] = SimpleNamespace(call=lambda method, *arguments: getattr(here, method)(*arguments))
        return self[name]


@pytest.fixture(autouse=True)
def quick_collections():
    """Collections between two timings do not go through all that compilers left before the test."""
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.mark.parametrize("task", FAST_TASKS)
def test_every_task_runs_and_compares(task, monkeypatch):
    monkeypatch.setattr(session, "MOST_RUNS", 1)
    monkeypatch.setattr(problems, "JUDGED_ROWS", 200)
    task = task.smallest()
    result = runner.measure(task, ALWAYS, InProcess(), rounds=1)
    assert not [figure.refused for figure in result.figures.values() if figure.refused]
    assert all(figure.seconds > 0 for figure in result.figures.values())
    if getattr(task, "dtype", "float32") == "float32":
        assert "fastnn" in result.figures
        assert ("stand-in" in result.title) == (getattr(task, "data", "") in STAND_INS)
        assert len(result.figures) >= 2
        assert (result.flops > 0) == isinstance(task, (Fit, Product))


@pytest.mark.slow
def test_an_empty_cache_is_empty(tmp_path, monkeypatch):
    monkeypatch.setenv("FASTNN_CACHE_DIR", str(tmp_path))
    figures = runner.measure(TASKS["script-pima-first"].smallest(), ALWAYS, InProcess(), rounds=1).figures
    assert list(figures) == ["fastnn"]
    assert figures["fastnn"].quality["memory"] > 1e7
    assert not list(tmp_path.iterdir())


def test_contenders_reach_the_same_weights_from_the_same_batches():
    """With the whole set as one batch the order of the rows has no effect, so losses must agree to rounding."""
    problem = problems.make(replace(TASKS["simplechains"].smallest(), batch=96, epochs=10))
    losses = []
    for name in ALWAYS:
        work = CONTENDERS[name]().fit(problem, 0)
        work.run()
        losses.append(problem.judge(work.result())["loss"])
    assert losses == pytest.approx([losses[0]] * 3, rel=1e-5)


LOSSES = {"fastnn": {"loss": 0.5}, "numpy": {"loss": 0.52}, "jax": {"loss": 0.49}}


@pytest.mark.parametrize(
    ("loss", "reason"),
    [(math.nan, "loss nan"), (3.0, "not below the 2 it started from"), (0.7, "too far from the others' 0.5")],
)
def test_a_loss_out_of_range_is_refused(loss, reason):
    refused = terms.refusals(TASKS["sign-mnist-200"], {"loss": 2.0}, {**LOSSES, "pytorch": {"loss": loss}})
    assert list(refused) == ["pytorch"]
    assert reason in refused["pytorch"]


def test_good_losses_are_not_refused():
    assert terms.refusals(TASKS["sign-mnist-200"], {"loss": 2.0}, LOSSES) == {}


@pytest.mark.parametrize("error", [1e-3, math.nan])
def test_a_wrong_output_is_refused(error):
    qualities = {"fastnn": {"error": 1e-7}, "numpy": {"error": error}}
    assert list(terms.refusals(TASKS["predict-32"], {}, qualities)) == ["numpy"]


class Wrong(Contender):
    """Predicts ones, and fails at everything else."""

    name = "wrong"
    distributions = ("numpy",)

    def predict(self, problem):
        return Work.of(lambda: np.ones((len(problem.x), 1)))

    def fit(self, problem, seed):
        raise RuntimeError("out of order")


def test_a_wrong_contender_gets_no_time_and_a_failing_one_is_noted(monkeypatch):
    monkeypatch.setitem(CONTENDERS, "wrong", Wrong)

    class Workers(InProcess):
        def __missing__(self, name):
            worker = super().__missing__(name)
            original = worker.call

            def call(method, *arguments):
                try:
                    return original(method, *arguments)
                except RuntimeError as error:
                    raise WorkerFailed(str(error)) from None

            worker.call = call
            return worker

    found = runner.measure(TASKS["predict-1"], ["fastnn", "wrong"], Workers(), rounds=2)
    assert len(found.figures["fastnn"].turns) == 2
    assert found.figures["wrong"].turns == []
    assert "error" in found.figures["wrong"].refused
    found = runner.measure(TASKS["pima"].smallest(), ["fastnn", "wrong"], Workers(), rounds=1)
    assert found.figures["wrong"].refused == "out of order"
    assert found.figures["fastnn"].turns


def test_an_interrupted_run_keeps_what_is_finished(monkeypatch):
    class Workers(InProcess):
        def __init__(self, threads, stand_ins):
            super().__init__()

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

    def stop(text, steps):
        if "predict-32" in text:
            raise KeyboardInterrupt

    monkeypatch.setattr(runner, "Workers", Workers)
    tasks = choose_tasks(["predict-1", "predict-32"])
    results = runner.run(tasks, ["fastnn", "numpy"], 1, 1, progress=stop)
    assert [task.name for task in results.tasks] == ["predict-1"]
    assert results.peaks["1"] > 1e8
    with pytest.raises(KeyboardInterrupt):
        runner.run(tasks[1:], ["fastnn", "numpy"], 1, 1, progress=stop)


def test_different_arrays_are_not_compared():
    workers, task = InProcess(), TASKS["pima"].smallest()
    original = workers["numpy"].call

    def call(method, *arguments):
        found = original(method, *arguments)
        return replace(found, digest="another") if method == "begin" else found

    workers["numpy"].call = call
    with pytest.raises(terms.TermsBroken, match="arrays differ: fastnn .*, numpy"):
        runner.measure(task, ["fastnn", "numpy"], workers, rounds=1)


def test_digests_tell_arrays_apart():
    task = TASKS["pima"].smallest()
    first, same = (problems.make(task, STAND_INS) for _ in range(2))
    assert first.digest() == same.digest()
    same.data.x[0, 0] += 1
    assert first.digest() != same.digest()


def test_too_many_threads_break_the_terms():
    class Greedy(Contender):
        name = "greedy"

        def threads(self):
            return 3

    terms.check_threads(Greedy(), 3)
    with pytest.raises(terms.TermsBroken, match="greedy would use 3 threads where 2 are allowed"):
        terms.check_threads(Greedy(), 2)


def test_a_worker_is_limited_answers_and_survives_failures():
    worker = Worker("numpy", 1, STAND_INS)
    try:
        begun = worker.call("begin", TASKS["predict-32"])  # checks the threads of its BLAS
        assert begun.digest == problems.make(TASKS["predict-32"]).digest()
        assert worker.call("turn", 0).quality["error"] < 1e-5
        with pytest.raises(NotOffered):
            worker.call("begin", TASKS["script-pima"])
        with pytest.raises(WorkerFailed, match="AttributeError"):
            worker.call("nonsense")
        assert worker.call("begin", TASKS["predict-1"])
    finally:
        worker.close()
    assert not worker.alive
    with pytest.raises(WorkerFailed, match="the process ended"):
        worker.call("end")


def test_workers_are_gone_with_their_run():
    with runner.Workers(1, STAND_INS) as workers:
        started = [workers[name] for name in ("numpy", "fastnn")]
        assert all(worker.alive for worker in started)
    assert not any(worker.alive for worker in started)


def test_judging_takes_one_blas_thread_and_gives_the_others_back():
    def threads():
        return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}

    with threadpool_limits(2, user_api="blas"):
        before, numpy = threads(), session.Session("numpy", 2, STAND_INS)
        numpy.problem = SimpleNamespace(judge=lambda result: threads())
        assert numpy._judge(None) <= {1}
        assert threads() == before


def test_what_libraries_hold_is_not_collected_between_two_runs():
    numpy = session.Session("numpy", 1, STAND_INS)
    numpy.begin(TASKS["predict-1"])
    assert gc.get_freeze_count() > len(gc.get_objects())
    numpy.end()
    assert gc.get_freeze_count() == 0


def test_contenders_let_go_after_each_task_also_of_one_that_failed(monkeypatch):
    ended = []

    class Forgetful(Wrong):
        name = "forgetful"

        def end(self, task):
            ended.append(task.name)

    monkeypatch.setitem(CONTENDERS, "forgetful", Forgetful)
    here = session.Session("forgetful", 1, STAND_INS)
    here.begin(TASKS["predict-1"])
    here.end()
    with pytest.raises(RuntimeError, match="out of order"):
        here.begin(TASKS["pima"].smallest())
    here.begin(TASKS["predict-32"])
    assert ended == ["predict-1", "pima"]
    here.end()


@pytest.mark.slow
def test_compiled_pytorch_stays_compiled_over_many_tasks():
    """Its compiler gives up after eight programs of one function, unless it is told to forget them."""
    torch = pytest.importorskip("torch", reason="without PyTorch: NOT TESTED")
    if missing := CONTENDERS["pytorch-compiled"].lacks():
        pytest.skip(f"{missing}: NOT TESTED")
    here = session.Session("pytorch-compiled", 1, STAND_INS)
    for rows in range(2, 13):
        here.begin(replace(TASKS["predict-32"], rows=rows))
        here.end()
    compiled = here.contender.compiled(lambda x: x + 1)
    with pytest.raises(Exception, match="fullgraph=True"):
        [compiled(torch.ones(rows)) for rows in range(1, 12)]
    here.contender.end(None)


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="this system pins no process: NOT TESTED")
def test_limits_hold_within_and_are_lifted_after():
    before = dict(os.environ), os.sched_getaffinity(0)
    with terms.limited(1):
        assert len(os.sched_getaffinity(0)) == 1
        assert os.environ["OMP_NUM_THREADS"] == "1"
    assert (dict(os.environ), os.sched_getaffinity(0)) == before


@pytest.mark.parametrize("name", ["pima", "pima-general"])
def test_programs_for_one_network_are_used_where_the_task_says_so(name, monkeypatch):
    task = replace(TASKS[name], rows=30, epochs=1)

    def train(engine, *arguments, **options):
        raise RuntimeError(f"jit_compile is {engine.jit_compile}")

    monkeypatch.setattr(fastnn.engine.engine.Engine, "train", train)
    with pytest.raises(RuntimeError, match=f"jit_compile is {name == 'pima'}"):
        CONTENDERS["fastnn"]().prepare(problems.make(task, STAND_INS), 0).run()
    assert ("jit_compile" in task.title) is task.jit_compile


@pytest.mark.slow
@pytest.mark.alone
def test_peak_is_above_any_product():
    operands, rate = np.ones((256, 256), np.float32), 0.0
    with threadpool_limits(1):
        seconds = min(session.seconds_of(lambda: operands @ operands) for _ in range(5))
    for _ in range(10):  # others may be at work on this machine
        rate = max(rate, peak.measure(1))
        if rate > 0.7 * 2 * 256**3 / seconds:
            return
    raise AssertionError(f"peak {rate:.2e} operations a second, a product {2 * 256**3 / seconds:.2e}")


def test_tasks_and_peers_are_chosen_by_name():
    assert [task.name for task in choose_tasks(["pima"])] == ["pima"]
    assert {task.group for task in choose_tasks(["start", "optimizer"])} == {"start", "optimizer"}
    assert len(choose_tasks([], quick=True)) < len(choose_tasks([])) == len(TASKS)
    assert choose_tasks(["sign-mnist-512"], quick=True)[0].rows < 27_455
    assert choose_tasks(["predict-1000000"], quick=True)[0].rows < 1_000_000
    assert choose_tasks(["script-pima"], quick=True)[0].epochs < TASKS["script-pima"].epochs
    with pytest.raises(ValueError, match="did you mean pima"):
        choose_tasks(["pimas"])
    assert choose(["numpy"]) == ["fastnn", "numpy"]
    with pytest.raises(ValueError, match="unknown peer 'caffe'"):
        choose(["caffe"])


def test_a_missing_set_is_replaced_and_said(monkeypatch):
    def gone():
        raise FileNotFoundError("no such set")

    monkeypatch.setitem(data.SETS, "Pima", gone)
    assert data.missing(["Pima", "clouds", ""]) == {"Pima"}
    assert "no Pima data" in problems.make(TASKS["pima"], frozenset({"Pima"})).about


def test_the_command_runs_the_suite(checkout, tmp_path):
    command = [sys.executable, "-m", "fastnn", "bench", "predict-1", "--quick", "--rounds", "1", "--peers", "numpy"]
    files = ["--json", str(tmp_path / "found.json"), "--output", str(tmp_path / "report")]
    done = subprocess.run([*command, *files], cwd=checkout, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "predict 1 row" in done.stdout
    assert list(Results.load(tmp_path / "found.json").tasks[0].figures) == ["fastnn", "numpy"]
    assert (tmp_path / "report" / "report.md").exists()


def test_the_command_says_where_the_suite_is(monkeypatch, tmp_path):
    monkeypatch.setattr(fastnn, "__file__", str(tmp_path / "site" / "fastnn" / "__init__.py"))
    with pytest.raises(FileNotFoundError, match="part of fastnn's repository"):
        fastnn.commands.bench.run([])
