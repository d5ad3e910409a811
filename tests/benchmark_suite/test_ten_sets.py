"""The comparison of the classifiers as they come."""

import json

import pytest

typer_testing = pytest.importorskip("typer.testing")


def test_a_set(checkout, monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(str(checkout))
    import typer

    from benchmarks import ten_sets

    assert len(ten_sets.SETS) == 10
    app = typer.Typer()
    app.command()(ten_sets.main)
    run = typer_testing.CliRunner().invoke(
        app, ["--sets", "iris", "--seeds", "2", "--json", str(tmp_path / "runs.json")], catch_exceptions=False
    )
    assert run.exit_code == 0
    runs = json.loads((tmp_path / "runs.json").read_text())["runs"]["iris"]
    assert all(result["accuracy"] > 0.85 for results in runs.values() for result in results)
    difference, error = ten_sets.compare(runs)
    assert abs(difference) < 0.05
    assert error >= 0.0
    assert typer_testing.CliRunner().invoke(app, ["--sets", "iris,irises"]).exit_code == 2
