"""Reports of the benchmark suite say what was measured, and no more."""

import json
import math
import os
import socket
from dataclasses import replace

import pytest

pytest.importorskip("benchmarks", reason="the suite is in the checkout only")

from benchmarks import charts, report
from benchmarks.results import Figure, Results, TaskResult, machine_facts, machine_kind


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


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
@pytest.mark.parametrize("name", ["results.json", "report.md", "speed-up.png"])
def test_reports_replace_nothing_but_files(tmp_path, name):
    os.mkfifo(tmp_path / name)
    for attempt in (lambda: report.check(tmp_path), lambda: report.write(tiny_results(), tmp_path)):
        with pytest.raises(OSError, match="it is a pipe"):
            attempt()
    os.unlink(tmp_path / name)
    (tmp_path / name).symlink_to("elsewhere")
    with pytest.raises(OSError, match="it is a symbolic link to elsewhere"):
        report.check(tmp_path)
    assert not (tmp_path / "elsewhere").exists()


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
