"""The command line of the suite; `fastnn bench` passes its arguments here."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Annotated

import typer
from fastnn.kernels.host.streams import tolerant_streams
from rich.table import Table

from benchmarks import report, runner, terms
from benchmarks import tasks as task_table
from benchmarks.contenders import CONTENDERS, SUBJECT
from benchmarks.contenders import choose as choose_contenders
from benchmarks.ending import Ending
from benchmarks.results import BUSY, Results, TaskResult, machine_facts, machine_kind
from benchmarks.worker import WorkerFailed
from fastnn.commands import outputs
from fastnn.commands.console import bars, messages, results

ROUNDS, QUICK_ROUNDS = 5, 2


def bench(
    task: Annotated[list[str] | None, typer.Argument(help="Tasks or groups of tasks. Default: all.")] = None,
    peers: Annotated[
        str | None, typer.Option(help="Contenders beside fastnn, separated by commas. Default: all that can run here.")
    ] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="Most threads for anyone. Default: all cores.")] = None,
    simd: Annotated[
        str | None, typer.Option(help="Do as if the CPU had no more than avx2; none: fastnn's plain loops.")
    ] = None,
    rounds: Annotated[int | None, typer.Option(min=1, help=f"Turns of each. Default: {ROUNDS}.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Smaller tasks, under 3 minutes in all.")] = False,
    json: Annotated[
        Path | None, typer.Option(help="Also write the results to this file, or to a folder, named by the machine.")
    ] = None,
    output: Annotated[Path, typer.Option(help="Folder for report, results and charts.")] = Path("benchmark-report"),
    listing: Annotated[bool, typer.Option("--list", help="List tasks and contenders, and stop.")] = False,
) -> None:
    """Measure fastnn beside others on equal terms: training, prediction, matrix products, start-up.

    Contenders take turns, each in a process of its own that is given the same arrays, weights, batches and threads. A
    time is reported only if the loss reached is near the others'.
    """
    ending = Ending()
    ending.listen()
    out = results()
    if simd is not None:
        terms.limit_instructions(simd)
    if listing:
        out.print(_listing())
        return
    chosen = task_table.choose(task or [], quick)
    names = choose_contenders(None if peers is None else [name.strip() for name in peers.split(",") if name], quick)
    threads = threads or terms.available_cores()
    if threads > terms.available_cores():
        raise ValueError(f"--threads {threads}: this process may use {terms.available_cores()} cores")
    if json is not None:
        if json.suffix != ".json":
            json /= f"{machine_kind(machine_facts())}.json"
        json.parent.mkdir(parents=True, exist_ok=True)
        outputs.check(json)
    report.check(output)
    if (load := terms.load()) > BUSY:
        messages().print(
            f"other programs are busy (load {load:.1f} on each core): times will mean little", style="yellow"
        )
    if peers is None:
        for contender in CONTENDERS.values():
            if missing := contender.lacks():
                messages().print(f"without {contender.label}: {missing}", markup=False, soft_wrap=True)
    rounds = rounds or (QUICK_ROUNDS if quick else ROUNDS)
    written: list[Path] = []
    try:
        with bars(live=False) as progress:
            bar = progress.add_task("measuring", total=runner.steps(chosen, names, threads, rounds), note="")

            def step(text: str, done: int) -> None:
                if text:
                    progress.update(bar, note=text)
                progress.update(bar, advance=done, refresh=True)

            def finished(found: Results, result: TaskResult) -> None:
                progress.console.print(_line(result), soft_wrap=True, markup=False)

            measured = runner.run(chosen, names, threads, rounds, quick, step, finished, ending)
            measured.limited = simd or ""
            if json is not None:
                measured.save(json)
            written = report.write(measured, output)
        if len(measured.tasks) < len(runner.possible(chosen, threads)):
            messages().print("interrupted: what follows is what was finished", style="yellow")
        for group in report.groups(measured):
            out.print(_table(measured, group))
        out.print(report.machine_line(measured), soft_wrap=True, style="dim")
        out.print(report.EXPLANATION.format(rounds=rounds), soft_wrap=True, style="dim")
        out.print(f"Written: {', '.join(map(str, written))}", soft_wrap=True, markup=False)
    except KeyboardInterrupt:
        messages().print("interrupted before any task was finished", style="yellow")
    except OSError:
        if not written or ending.number is None:  # else the terminal may be gone, as after SIGHUP
            raise
    raise typer.Exit(ending.status)


def _listing() -> Table:
    table = Table("name", "group", "what", box=None)
    for name, each in task_table.TASKS.items():
        table.add_row(name, each.group, each.title)
    for name, contender in CONTENDERS.items():
        table.add_row(name, "contender", f"{contender.label}: {contender.lacks() or contender.version()}")
    return table


def _line(task: TaskResult) -> str:
    """One task in one line, as soon as it is measured."""
    if SUBJECT not in task.figures:
        return f"{task.name}: fastnn does not do this"
    parts = [f"fastnn {report.duration(task.figures[SUBJECT].seconds)}"] if task.figures[SUBJECT].turns else []
    for name, figure in task.figures.items():
        if figure.refused:
            parts.append(f"{name}: {figure.refused}")
        elif name != SUBJECT and math.isfinite(task.ratio(name)):
            parts.append(f"{name} {report.times_as_long(task.ratio(name))}")
    return f"{task.name}: {'; '.join(parts)}"


def _table(measured: Results, group: str) -> Table:
    header, rows = report.table(measured, group)
    table = Table(title=report.HEADINGS[group], title_justify="left", title_style="bold")
    for column in header:
        table.add_column(column, justify="left" if column == "task" else "right")
    for row in rows:
        table.add_row(*("\n".join(lines) for lines in row))
    return table


def main() -> None:
    """Run the command line; expected failures are one line."""
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command(context_settings={"help_option_names": ["-h", "--help"]})(bench)
    with tolerant_streams():
        try:
            app(prog_name="fastnn bench")
        except (OSError, ValueError, terms.TermsBroken, WorkerFailed) as error:
            print(f"fastnn: error: {error}", file=sys.stderr)
            sys.exit(1)


if __name__ == "__main__":
    main()
