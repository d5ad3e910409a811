"""Tables of results: for the terminal, as a Markdown report with charts, and in the README.

``python -m benchmarks.report --readme`` writes the table between the markers in README.md anew.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from pathlib import Path

from fastnn.kernels.host.streams import say

from benchmarks import targets
from benchmarks.contenders import CONTENDERS, SUBJECT
from benchmarks.results import BUSY, Results, TaskResult
from fastnn.commands import outputs

HEADINGS = {
    "training": "Training: time per epoch",
    "estimators": "Estimators: time per fit or search, from Python to Python",
    "prediction": "Prediction: time per call, from NumPy to NumPy",
    "products": "Matrix products of dense layers, one core",
    "optimizer": "Optimizer: time per step",
    "start": "Start-up: whole scripts in a new process",
    "scaling": "Scaling: time per epoch",
}
README_GROUPS = ("training", "estimators", "prediction", "start")
MARKERS = "<!-- results -->", "<!-- /results -->"
_ROOT = Path(__file__).resolve().parent.parent
EXPLANATION = (
    "Medians; in each of {rounds} rounds the contenders took turns, each in a process of its own with the same arrays, "
    "starting weights, batches and threads. Numbers with × say how many times as long as fastnn it took. Losses are "
    "computed from each contender's weights by the same float64 code; a time is withheld if they differ too much."
)


def duration(seconds: float) -> str:
    """Write a time with three digits and a fitting unit."""
    for factor, unit in ((1.0, "s"), (1e3, "ms"), (1e6, "µs")):
        if seconds * factor >= 0.9995:
            return f"{digits(seconds * factor)} {unit}"
    return f"{digits(seconds * 1e9)} ns"


def digits(number: float, count: int = 3) -> str:
    """Write a positive number with so many digits that count, and no exponent."""
    if number <= 0:
        return "0"
    exponent = int(f"{number:.{count - 1}e}".partition("e")[2])  # after rounding: 9.996 has three digits as 10.0
    return f"{number:,.{max(0, count - 1 - exponent)}f}"


def times_as_long(ratio: float) -> str:
    return f"{digits(ratio, 2)}×" if math.isfinite(ratio) else ""


def cell(results: Results, task: TaskResult, name: str) -> list[str]:
    """Lines that say what a contender did: time and ratio, then what its result was worth."""
    figure = task.figures.get(name)
    if figure is None:
        return ["–"]
    if figure.refused:
        return ["no time:", figure.refused]
    lines = [duration(figure.seconds)]
    if name != SUBJECT and (ratio := times_as_long(task.ratio(name))):
        lines[0] += f", {ratio}"
    if task.group == "products":
        lines.append(f"{digits(task.rate(name) / 1e9)} GFLOP/s, {results.share_of_peak(task, name):.0%} of peak")
        return lines
    found = figure.quality
    texts = {
        "loss": lambda value: f"loss {value:.3g}",
        "accuracy": lambda value: f"{value:.1%}",
        "score": lambda value: f"best {value:.1%}",
        "error": lambda value: f"error {value:.0e}",
        "gain": lambda value: f"{value:.2f}× one by one",
        "memory": lambda value: f"{value / 1e6:.0f} MB" if value >= 1e6 else "",
    }
    return [*lines, ", ".join(filter(None, (text(found[key]) for key, text in texts.items() if key in found)))]


def contenders_in(tasks: Sequence[TaskResult]) -> list[str]:
    """Names of those with a figure, in the order of the table."""
    return [name for name in CONTENDERS if any(name in task.figures for task in tasks)]


def table(results: Results, group: str) -> tuple[list[str], list[list[list[str]]]]:
    """Header, and rows of cells of lines, of one group."""
    tasks = [task for task in results.tasks if task.group == group]
    names = contenders_in(tasks)
    header = ["task", "threads", *(CONTENDERS[name].label for name in names)]
    rows = [
        [[task.title], [str(task.threads)], *(cell(results, task, name) for name in names)]
        for task in tasks
        if SUBJECT in task.figures
    ]
    return header, rows


def groups(results: Results) -> list[str]:
    """Groups that have a task with a figure of fastnn."""
    return [group for group in HEADINGS if table(results, group)[1]]


def markdown_table(results: Results, group: str) -> str:
    header, rows = table(results, group)
    lines = [header, ["---"] + ["---:"] * (len(header) - 1)]
    lines += [["<br>".join(part) for part in row] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def machine_line(results: Results) -> str:
    """One sentence on machine and versions."""
    machine = results.machine
    peaks = ", ".join(
        f"{peak / 1e9:.0f} GFLOP/s on {threads} thread{'s' * (threads != '1')}"
        for threads, peak in results.peaks.items()
    )
    versions = ", ".join(
        f"{CONTENDERS[name].label} {version}" for name, version in results.versions.items() if name in CONTENDERS
    )
    limited = " (limited to these)" if results.limited else ""
    busy = f", on a busy machine (load {results.busy:.1f} on each core)" if results.busy > BUSY else ""
    return (
        f"{machine['cpu']}, {machine['cores']} cores, {machine['simd']} kernels{limited}, {machine['system']}; "
        f"measured float32 multiply-add peak {peaks}. Python {machine['versions']['python']}, {versions}. "
        f"{results.date}{', quick run' if results.quick else ''}{busy}."
    )


def markdown(results: Results, charts: Sequence[Path] = ()) -> str:
    """The whole report."""
    parts = ["# Benchmarks of fastnn", machine_line(results), EXPLANATION.format(rounds=results.rounds)]
    for group in groups(results):
        parts += [f"## {HEADINGS[group]}", markdown_table(results, group)]
    parts += ["## Targets", _targets(results)]
    if charts:
        parts += ["## Charts", *(f"![{path.stem}]({path.name})" for path in charts)]
    return "\n\n".join([*parts, "## Details", details(results)]) + "\n"


def _targets(results: Results) -> str:
    """Targets and derived figures that these results hold."""
    lines = [targets.HEADER, ["---"] * len(targets.HEADER)]
    lines += [line for line in targets.rows([results]) if line[3] != "not measured"]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def details(results: Results) -> str:
    """Data, spread and, where there is no time, the reason, for every contender at every task."""
    header = ["task", "contender", "median", "spread", "result or reason", "data"]
    lines = [header, ["---"] * len(header)]
    for task in results.tasks:
        for name, figure in task.figures.items():
            numbers = ", ".join(f"{key} {value:.4g}" for key, value in figure.quality.items())
            time = [duration(figure.seconds), f"±{figure.spread:.1%}"] if figure.turns else ["–", "–"]
            lines.append([task.name, CONTENDERS[name].label, *time, figure.refused or numbers, task.about])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def check(folder: Path) -> None:
    """Make the folder, and fail if `write` would, before anything is measured.

    Raises
    ------
    OSError
        If a file cannot be written.
    """
    from benchmarks import charts

    folder.mkdir(parents=True, exist_ok=True)
    for name in ("results.json", "report.md", *charts.names()):
        outputs.check(folder / name)


def write(results: Results, folder: Path) -> list[Path]:
    """Write results.json, report.md and, if matplotlib is there, charts to a folder; return their paths."""
    from benchmarks import charts

    folder.mkdir(parents=True, exist_ok=True)
    results.save(folder / "results.json")  # first, so that nothing measured is lost
    pictures = charts.draw(results, folder)
    outputs.write_text(folder / "report.md", markdown(results, pictures))
    return [folder / "report.md", folder / "results.json", *pictures]


def readme_section(results: Results) -> str:
    """What stands between the markers of README.md."""
    wanted = [group for group in README_GROUPS if group in groups(results)]
    parts = [machine_line(results)]
    for group in wanted:
        parts += [f"**{HEADINGS[group]}**", markdown_table(results, group)]
    return "\n\n".join([*parts, EXPLANATION.format(rounds=results.rounds)])


def update_readme(results: Results, readme: Path) -> None:
    """Replace what stands between the markers.

    Raises
    ------
    ValueError
        If the file lacks a marker.
    """
    text = readme.read_text()
    start, end = MARKERS
    if text.count(start) != 1 or text.count(end) != 1:
        raise ValueError(f"{readme.name} must hold the markers {start} and {end} once each")
    before, rest = text.split(start)
    after = rest.split(end)[1]
    outputs.write_text(readme, f"{before}{start}\n\n{readme_section(results)}\n\n{end}{after}")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.report", description=__doc__.splitlines()[0])
    parser.add_argument("results", type=Path, nargs="?", help="JSON of a run; default: the one in benchmarks/results")
    parser.add_argument("--readme", action="store_true", help="write the table in README.md anew")
    parser.add_argument("--folder", type=Path, help="write report and charts to this folder")
    options = parser.parse_args(arguments)
    committed = [Results.load(path) for path in sorted((_ROOT / "benchmarks" / "results").glob("*.json"))]
    whole = [results for results in committed if not results.limited]
    if options.results is None and len(whole) != 1:
        parser.error(f"name the file of results; benchmarks/results holds {len(whole)} without --simd")
    results = Results.load(options.results) if options.results else whole[0]
    if options.readme:
        update_readme(results, _ROOT / "README.md")
    if options.folder:
        write(results, options.folder)
    if not (options.readme or options.folder):
        say(markdown(results))


if __name__ == "__main__":
    main()
