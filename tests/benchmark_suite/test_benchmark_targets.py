"""The targets: figures are taken from results as they say, and verdicts follow."""

import json
import math
import subprocess
import sys
import time
from dataclasses import replace
from types import SimpleNamespace

import pytest

pytest.importorskip("benchmarks", reason="the suite is in the checkout only")

from benchmarks import accuracy, memory, session, targets, terms
from benchmarks.contenders import CONTENDERS
from benchmarks.kinds import Search
from benchmarks.results import Figure, Results, TaskResult
from benchmarks.tasks import TASKS


def results(limited="", **figures):
    """Results with the seconds of contenders, or whole figures, for each task; a family's members are named by it."""
    tasks = []
    for name, of in figures.items():
        task = TASKS.get(name.replace("_", "-"))
        name, group, scale = (task.name, task.group, task.scale) if task else (name, "products", None)
        of = {peer: f if isinstance(f, Figure) else Figure([[f]]) for peer, f in of.items()}
        tasks.append(TaskResult(name, name, group, "unit", 2, "", 100.0, scale, of))
    machine = {"cpu": "Some CPU", "cpu_features": ["avx512f"], "simd": "avx2"}
    return Results("2026-01-01", False, 1, machine, 0.0, {}, {"2": 200.0}, tasks, limited)


def verdict(case, *of):
    (target,) = [each for each in targets.TARGETS if each.case == case]
    return targets.verdict(target, of)


def test_tasks_and_peers_of_targets_exist():
    whole = results(**{name: dict.fromkeys(CONTENDERS, 1.0) for name in TASKS})
    for task in whole.tasks:
        for figure in task.figures.values():
            figure.quality = dict.fromkeys(("memory", "gain", "score"), 1.0)
    cases = [targets.verdict(target, [whole, replace(whole, limited="avx2")])[0] for target in targets.TARGETS]
    assert "–" not in cases
    assert {line[3] for line in targets.rows([results()])} == {"not measured"}


def test_ratios_and_seconds():
    pima = results(pima={"fastnn": 77e-6, "scikit-learn": 77e-4, "jax": 77e-5})
    assert verdict("Pima: times scikit-learn", pima) == ("100.00×", "missed")
    assert verdict("Pima: times JAX", pima) == ("10.00×", "missed")
    assert verdict("Pima: times PyTorch", pima) == ("–", "not measured")
    assert verdict("Pima: one step", pima) == ("1 µs", "missed")
    assert verdict("AVX2, Pima: times scikit-learn", pima)[1] == "not measured"
    assert verdict("AVX2, Pima: times scikit-learn", pima, replace(pima, limited="avx2")) == ("100.00×", "reached")


def test_derived_figures():
    found = results(
        **{name: {"fastnn": 1.0} for name in ("scaling_rows_1024", "scaling_epochs_1")},
        scaling_rows_65536={"fastnn": 96.0},
        scaling_epochs_16={"fastnn": 1.1},
        scaling_threads_1={"fastnn": 1.9},
        scaling_threads_2={"fastnn": 1.0},
        scaling_batch_64={"fastnn": 1.0},
        scaling_batch_256={"fastnn": 1.3},
        sign_mnist_200={"fastnn": 1.0, "pytorch": 6.0},
        sign_mnist_200_bf16={"fastnn": 0.5, "pytorch": 3.0},
        slow={"fastnn": 1.0, "numpy": 0.9},
        fast={"fastnn": 1.0, "numpy": 1.5},
        other={"fastnn": 1.0},
        eight_fits={"fastnn": Figure([[1.0]], {"gain": 1.85})},
        predict_1000000={"fastnn": Figure([[1.0]], {"memory": 60e6})},
    )
    assert verdict("Rows: dearer in large sets", found) == ("1.50×", "missed")
    assert verdict("Epochs: dearer in long fits", found) == ("1.10×", "reached")
    assert verdict("2 threads: times 1 thread", found) == ("1.90×", "reached")
    assert verdict("Batch sizes: largest cliff", found) == ("1.30×", "missed")
    assert verdict("sign-MNIST, batch 200: share of the peak", found) == ("50 %", "missed")
    assert verdict("mixed_bfloat16: times PyTorch float32", found) == ("12.00×", "does not apply: no amx-bf16")
    assert verdict("Products: slowest shape, times NumPy's BLAS", found) == ("0.90×", "missed")
    assert verdict("Eight fits in a pool: times one by one", found) == ("1.85×", "reached")
    assert verdict("Predict 1,000,000 rows: memory", found) == ("60.0 MB", "missed")


def test_the_command_prints_verdicts_and_doubts(tmp_path, capsys):
    replace(results(pima={"fastnn": 1.0, "jax": 20.0}), quick=True).save(tmp_path / "results.json")
    runs = {"sign-mnist-200": [0.7, 0.72, 0.74], "sign-mnist-200-bf16": [0.71, 0.72, 0.73]}
    found = {task: {"fastnn": [{"test": value} for value in values]} for task, values in runs.items()}
    (tmp_path / "accuracy.json").write_text(json.dumps({"runs": found}))
    targets.main([str(tmp_path / "results.json"), "--accuracy", str(tmp_path / "accuracy.json")])
    text = capsys.readouterr().out
    assert "20.00×" in text
    assert "2 reached, 1 missed" in text
    assert "a quick run proves nothing" in text


def test_distance_of_means():
    assert accuracy.distance([1.0, 3.0], [1.0, 3.0]) == 0
    assert accuracy.distance([1.0, 3.0], [4.0, 6.0]) == pytest.approx(3 / math.sqrt(2))


def test_memory_of_a_call():
    grown = memory.growth(lambda: b"x" * 50_000_000)
    if math.isnan(grown):
        pytest.skip("this system does not tell: NOT TESTED")
    assert 49e6 < grown < 60e6
    assert memory.growth(lambda: None) < 5e6


def test_a_turn_ends_when_all_threads_rest(monkeypatch):
    used, waits = iter([0.0, 0.01, 0.01, 0.02, 0.02, 0.0201]), []
    clock = SimpleNamespace(perf_counter=time.perf_counter, process_time=lambda: next(used), sleep=waits.append)
    monkeypatch.setattr(session, "time", clock)
    session.settle()
    assert waits == [session.IDLE] * 3


def test_scores_too_far_apart_are_refused():
    task = TASKS["search-pima"]
    assert isinstance(task, Search)
    assert terms.refusals(task, {}, {"fastnn": {"score": 0.77}, "scikit-learn": {"score": 0.78}}) == {}
    scores = {"fastnn": 0.77, "scikit-learn": 0.6, "other": 0.78}
    refused = terms.refusals(task, {}, {name: {"score": score} for name, score in scores.items()})
    assert list(refused) == ["scikit-learn"]


def test_unknown_instructions_are_refused(monkeypatch):
    monkeypatch.setenv("FASTNN_SIMD", "none")  # restored afterwards
    with pytest.raises(ValueError, match="this CPU offers none"):
        terms.limit_instructions("avx1024")


def test_avx2_holds_for_every_library(checkout):
    """In processes of their own: fastnn's kernels, and a BLAS that would use AVX-512 if the CPU has it."""
    source = """
from benchmarks import terms
from benchmarks.tasks import TASKS
terms.limit_instructions("avx2")
from benchmarks.worker import Worker
worker = Worker("numpy", 1)
print(worker.call("begin", TASKS["predict-32"]).about)
worker.close()
"""
    from fastnn.kernels.host.cpu import cpu_features

    if not {"avx2", "fma"} <= cpu_features():
        pytest.skip("this CPU has no AVX2: NOT TESTED")
    program = f"if __name__ == '__main__':\n    exec({source!r})"
    done = subprocess.run([sys.executable, "-c", program], cwd=checkout, capture_output=True, text=True)
    assert done.stdout.strip() == "random rows", done.stderr
