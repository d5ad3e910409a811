"""The benchmark suite: every task runs and compares, the gate refuses what it should, reports say what was measured."""

import json
import math
import os
import socket
import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

import fastnn.bench

pytest.importorskip("benchmarks", reason="the suite is in the checkout only")

from benchmarks import charts, data, peak, problems, report, runner, session, terms
from benchmarks.contenders import CONTENDERS, choose
from benchmarks.contenders.base import Contender, NotOffered, Work
from benchmarks.kinds import Fit, Product, Script
from benchmarks.results import Figure, Results, TaskResult, machine_facts, machine_kind
from benchmarks.tasks import TASKS
from benchmarks.tasks import choose as choose_tasks
from benchmarks.worker import Worker, WorkerFailed

STAND_INS = frozenset({"pima", "sign-mnist"})  # no data, no download
ALWAYS = ("fastnn", "numpy", "scikit-learn")
FAST_TASKS = [task for task in TASKS.values() if not (isinstance(task, Script) and task.empty_cache)]


@pytest.fixture(autouse=True)
def _one_thread():
    with terms.limited(1), threadpool_limits(1):
        yield


class InProcess(dict):
    """Sessions in the place of a runner's workers."""

    threads = 1

    def __missing__(self, name):
        here = session.Session(name, 1, STAND_INS)
        self[name] = SimpleNamespace(call=lambda method, *arguments: getattr(here, method)(*arguments))
        return self[name]


def tiny_results():
    """Results of made-up runs, with one refusal."""
    figures = {
        "fastnn": Figure([[1e-4, 1.2e-4], [2e-4]], {"loss": 0.45, "accuracy": 0.77}),
        "scikit-learn": Figure([[1e-2], [3e-2]], {"loss": 0.46, "accuracy": 0.76}),
        "pytorch": Figure([], {"loss": 2.0}, "loss 2, too far from the others' 0.46"),
    }
    fast = Figure([[1e-3]], {"error": 1e-7})
    slow = Figure([[4e-3]], {"error": 1e-7})
    tasks = [TaskResult("pima", "pima 8-16-8-1, batch 10", "training", "epoch", 1, "some data", 1e6, None, figures)]
    tasks += [
        TaskResult("forward", "forward", "products", "product", 1, "", 1e8, None, {"fastnn": fast, "numpy": slow}),
        TaskResult("script", "a script", "start", "script", 1, "", 0.0, None, {"fastnn": fast, "scikit-learn": slow}),
        *(
            TaskResult(f"rows-{n}", f"{n} rows", "scaling", "epoch", 1, "", 0.0, ("rows", n), {"fastnn": fast})
            for n in (10, 100)
        ),
    ]
    versions = dict.fromkeys(("fastnn", "numpy", "scikit-learn", "pytorch"), "1.0")
    machine = {"cpu": "Some CPU (R) 7", "cores": 2, "simd": "avx2", "system": "Linux", "versions": {"python": "3.11"}}
    return Results("2026-01-01", False, 2, machine, 0.0, versions, {"1": 2e11}, tasks)


@pytest.mark.parametrize("task", FAST_TASKS, ids=lambda task: task.name)
def test_every_task_runs_and_compares(task, monkeypatch):
    monkeypatch.setattr(session, "MOST_RUNS", 1)
    monkeypatch.setattr(problems, "JUDGED_ROWS", 200)
    task = task.smallest()
    result = runner.measure(task, ALWAYS, InProcess(), rounds=1)
    assert not [figure.refused for figure in result.figures.values() if figure.refused]
    assert all(figure.seconds > 0 for figure in result.figures.values())
    if getattr(task, "dtype", "float32") == "float32":
        assert "fastnn" in result.figures
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


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="this system pins no process: NOT TESTED")
def test_limits_hold_within_and_are_lifted_after():
    before = dict(os.environ), os.sched_getaffinity(0)
    with terms.limited(1):
        assert len(os.sched_getaffinity(0)) == 1
        assert os.environ["OMP_NUM_THREADS"] == "1"
    assert (dict(os.environ), os.sched_getaffinity(0)) == before


def test_peak_is_above_any_product():
    rate = peak.measure(1)
    operands = np.ones((256, 256), np.float32)
    seconds = min(session.seconds_of(lambda: operands @ operands) for _ in range(5))
    assert rate > 0.7 * 2 * 256**3 / seconds


def test_ratios_are_taken_turn_by_turn():
    task = tiny_results().tasks[0]
    assert task.ratio("scikit-learn") == pytest.approx((1e-2 / 1.1e-4 + 3e-2 / 2e-4) / 2)
    assert math.isnan(task.ratio("pytorch"))
    assert task.figures["fastnn"].seconds == pytest.approx(1.55e-4)


def test_results_come_back_from_json(tmp_path):
    results = tiny_results()
    results.save(tmp_path / "results.json")
    assert Results.load(tmp_path / "results.json") == results
    (tmp_path / "other.json").write_text(json.dumps({"tasks": []}))
    with pytest.raises(ValueError, match="holds no results"):
        Results.load(tmp_path / "other.json")


def test_machine_facts_name_no_machine_and_no_folder():
    facts = machine_facts()
    assert set(facts) == {"system", "cpu", "memory_bytes", "simd", "cpu_features", "versions", "cores"}
    assert "/" not in json.dumps(facts)
    assert socket.gethostname() not in facts["system"]
    assert machine_kind({"cpu": "Some CPU (R) 7", "simd": "avx2", "cores": 2}) == "some-7-avx2-2-cores"


def test_report_shows_times_losses_and_refusals(tmp_path):
    results = tiny_results()
    text = report.markdown(results)
    (row,) = [line for line in text.splitlines() if line.startswith("| pima 8-16")]
    assert "155 µs<br>loss 0.45, 77.0%" in row
    assert "20.0 ms, 120×<br>loss 0.46, 76.0%" in row
    assert "no time:<br>loss 2, too far" in row
    assert "100 GFLOP/s, 50% of peak" in text
    paths = report.write(results, tmp_path / "report")
    pictures = {f"{name}.png" for name in ("time-per-epoch", "speed-up", "scaling", "share-of-peak")}
    assert {path.name for path in paths} == {"report.md", "results.json"} | pictures
    assert all(path.stat().st_size > 500 for path in paths)


def test_nothing_to_draw_draws_nothing(tmp_path):
    assert charts.draw(replace(tiny_results(), tasks=[]), tmp_path) == []


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(3.2e-8, "32.0 ns"), (9.996e-7, "1.00 µs"), (1.234e-4, "123 µs"), (0.05, "50.0 ms"), (1234, "1,234 s")],
)
def test_durations(seconds, text):
    assert report.duration(seconds) == text


def test_readme_is_rewritten_between_the_markers_only(tmp_path):
    readme = tmp_path / "README.md"
    readme.write_text("# A\n<!-- results -->\nold\n<!-- /results -->\nafter\n")
    report.update_readme(tiny_results(), readme)
    text = readme.read_text()
    assert text.startswith("# A\n<!-- results -->\n\nSome CPU")
    assert text.endswith("<!-- /results -->\nafter\n")
    assert "old" not in text
    report.update_readme(tiny_results(), readme)
    assert readme.read_text() == text
    readme.write_text("no markers")
    with pytest.raises(ValueError, match="markers"):
        report.update_readme(tiny_results(), readme)


def test_readme_of_the_project_has_the_markers(checkout):
    assert all((checkout / "README.md").read_text().count(marker) == 1 for marker in report.MARKERS)


def test_tasks_and_peers_are_chosen_by_name():
    assert [task.name for task in choose_tasks(["pima"])] == ["pima"]
    assert {task.group for task in choose_tasks(["start", "optimizer"])} == {"start", "optimizer"}
    assert len(choose_tasks([], quick=True)) < len(choose_tasks([])) == len(TASKS)
    assert choose_tasks(["sign-mnist-512"], quick=True)[0].rows < 27_455
    with pytest.raises(ValueError, match="did you mean pima"):
        choose_tasks(["pimas"])
    assert choose(["numpy"]) == ["fastnn", "numpy"]
    with pytest.raises(ValueError, match="unknown peer 'caffe'"):
        choose(["caffe"])


def test_a_missing_set_is_replaced_and_said(monkeypatch):
    def gone():
        raise FileNotFoundError("no such set")

    monkeypatch.setitem(data.SETS, "pima", gone)
    assert data.missing(["pima", "clouds", ""]) == {"pima"}
    assert "no Pima data" in problems.make(TASKS["pima"], frozenset({"pima"})).about


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
        fastnn.bench.run([])
