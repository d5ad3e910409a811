"""The ``fastnn`` command."""

import json
import os
import sys
import time
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

import fastnn
from fastnn import optimizers
from fastnn.commands import outputs
from fastnn.commands.csv_files import CsvFile, whole_number
from fastnn.kernels.host.streams import stdout, tolerant_streams


class _Commands(TyperGroup):
    """Commands whose expected failures are one line and exit status 1, not a traceback."""

    def main(self, *args: Any, **options: Any) -> Any:
        with tolerant_streams():
            return super().main(*args, **options)

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # so that closing it stays quiet too
            raise typer.Exit(1) from None
        except (ImportError, MemoryError, OSError, TypeError, ValueError) as error:
            if ctx.params["traceback"]:
                raise
            text: Any = error
            if isinstance(error, OSError) and error.strerror:
                text = f"{error.filename}: {error.strerror}" if error.filename else error.strerror
            print(f"fastnn: error: {text}", file=sys.stderr)
            raise typer.Exit(1) from None
        except KeyboardInterrupt:
            print("fastnn: interrupted", file=sys.stderr)
            raise typer.Exit(130) from None


app = typer.Typer(
    cls=_Commands,
    help="Train and use small and medium neural networks on compiled kernels.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)
cache_app = typer.Typer(
    help="Look at or clear the folder of compiled programs.", no_args_is_help=True, rich_markup_mode="markdown"
)
app.add_typer(cache_app, name="cache")


class Task(StrEnum):
    """Values of ``--task``."""

    auto = "auto"
    classification = "classification"
    regression = "regression"


class DType(StrEnum):
    """Values of ``--dtype``."""

    float32 = "float32"
    float64 = "float64"
    mixed_bfloat16 = "mixed_bfloat16"


Threads = Annotated[int | None, typer.Option(min=1, help="Threads of a fit. Default: what `fastnn info` says.")]
Seed = Annotated[int, typer.Option(min=0, max=2**32 - 1, help="The same seed gives the same result.")]
Header = Annotated[
    bool | None, typer.Option("--header/--no-header", help="Whether the first line names the columns. Default: look.")
]


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"fastnn {fastnn.__version__}")
        raise typer.Exit


@app.callback()
def _common(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and stop.")
    ] = False,
    traceback: Annotated[bool, typer.Option("--traceback", help="Show where in the code an error arose.")] = False,
) -> None:
    pass


@app.command()
def demo(
    full: Annotated[bool, typer.Option("--full", help="All 20 epochs of sign-MNIST on both sides.")] = False,
    output: Annotated[Path, typer.Option(help="Folder for the pictures.")] = Path("fastnn-demo"),
    threads: Threads = None,
    seed: Seed = 0,
) -> None:
    """Train both reference tasks with fastnn and with scikit-learn, and compare time and accuracy.

    Pima diabetes is a net of 8-16-8-1 units, sign-language MNIST one of 784-512-512-24. Learning curves, a confusion
    matrix and a grid of misread hands are written as PNG. Set FASTNN_DATA to the folder of the data files; data that
    cannot be had are replaced by sets that ship with scikit-learn. Takes less than two minutes on two cores.
    """
    from fastnn.commands.demo import run

    run(full=full, output=output, threads=threads, seed=seed)


@app.command(add_help_option=False, context_settings={"ignore_unknown_options": True, "allow_extra_args": True})
def bench(ctx: typer.Context) -> None:
    """Measure fastnn beside other libraries on equal terms; needs the checkout. `fastnn bench --help` says more."""
    from fastnn.commands.bench import run

    run(ctx.args)


@app.command()
def train(
    data: Annotated[str, typer.Argument(help="CSV file, or a set: pima, sign-mnist, breast-cancer, digits.")],
    target: Annotated[
        str | None, typer.Option(help="Target column of the CSV file: name or number (-1: last).")
    ] = None,
    drop: Annotated[list[str] | None, typer.Option(help="Column to leave out; may be given several times.")] = None,
    header: Header = None,
    task: Annotated[Task, typer.Option(help="What to predict; auto looks at the target column.")] = Task.auto,
    hidden: Annotated[str, typer.Option(help="Units of the hidden layers, such as 64,32; empty for none.")] = "64,32",
    activation: Annotated[str, typer.Option(help="Activation of the hidden layers.")] = "relu",
    epochs: Annotated[int, typer.Option(min=1, help="Passes over the training rows.")] = 50,
    batch_size: Annotated[int, typer.Option(min=1, help="Rows of a training step.")] = 32,
    optimizer: Annotated[str, typer.Option(help=f"One of {', '.join(optimizers.names())}.")] = "adam",
    learning_rate: Annotated[float | None, typer.Option(help="Step size. Default: the optimizer's.")] = None,
    validation: Annotated[float, typer.Option(min=0, max=0.9, help="Fraction of rows kept for validation.")] = 0.2,
    scale: Annotated[bool, typer.Option(help="Standardize features; predict does the same.")] = True,
    output: Annotated[Path, typer.Option(help="Model file to write.")] = Path("model.safetensors"),
    dtype: Annotated[DType, typer.Option(help="Precision.")] = DType.float32,
    threads: Threads = None,
    seed: Seed = 0,
) -> None:
    """Train a network on a table and save it.

    All columns but the target must be numbers. A target of text or of few whole numbers means classification. The model
    file remembers columns, scaling and class names, so that `fastnn predict` needs nothing else.
    """
    from fastnn.commands import train_and_predict
    from fastnn.commands.console import EpochBar, bars, results, working
    from fastnn.commands.machine import warm_up_steps
    from fastnn.commands.train_and_predict import NAMED_SETS

    widths = _widths(hidden)
    reads = train_and_predict.files_of(data)
    _check_output(output, reads)
    fastnn.set_random_seed(seed)
    fastnn.set_num_threads(threads)
    with working(f"reading {data}"):
        if data in NAMED_SETS:
            problem = train_and_predict.named_problem(data, validation, seed)
        else:
            if not Path(data).exists():
                raise typer.BadParameter(f"{data!r} is neither a file nor one of {', '.join(NAMED_SETS)}")
            if target is None:
                raise typer.BadParameter("name the column to predict", param_hint="--target")
            table = Path(data)
            problem = train_and_predict.csv_problem(table, target, task.value, drop or (), header, validation, seed)
    if scale:
        problem = problem.scaled()
    model = train_and_predict.build(problem.preparation, widths, activation, optimizer, learning_rate, dtype.value)
    out = results()
    out.print(train_and_predict.describe(problem, widths), soft_wrap=True)
    with working("making kernels ready"):
        for _, step in warm_up_steps([dtype.value]):
            step()
    begun = time.perf_counter()
    with bars() as progress:
        done = train_and_predict.fit(model, problem, epochs, batch_size, EpochBar(progress, "training", epochs))
    seconds = time.perf_counter() - begun
    train_and_predict.save(model, problem.preparation, output, reads)
    out.print(train_and_predict.scores(problem, model), soft_wrap=True)
    out.print(f"{done} epoch{'s' * (done > 1)} in {seconds:.2f} s; saved {output}", soft_wrap=True)
    if done < epochs:
        raise KeyboardInterrupt


@app.command()
def predict(
    model: Annotated[Path, typer.Argument(help="Model file from `fastnn train`.", exists=True, dir_okay=False)],
    data: Annotated[Path, typer.Argument(help="CSV file with the same columns.", exists=True, dir_okay=False)],
    output: Annotated[Path | None, typer.Option(help="CSV file to write. Default: standard output.")] = None,
    proba: Annotated[bool, typer.Option("--proba", help="Add the probability of each class.")] = False,
    header: Header = None,
) -> None:
    """Predict the target for each row of a table.

    Columns are found by name, in any order; others, the target included, are ignored. The first line has names if that
    of the training file had; without names, columns must stand in the order of the training file.
    """
    from fastnn.commands import train_and_predict
    from fastnn.commands.console import working

    if output is not None:
        _check_output(output, [model, data])
    with working(f"reading {data}"):
        network, prepared = train_and_predict.load(model)
        taken = header if header is not None or prepared is None else prepared.has_header
        table = CsvFile(data, taken)
        names, rows = train_and_predict.predictions(network, prepared, table, proba)
    if header is None:
        print(table.decision, file=sys.stderr)
    text = outputs.csv_text(names, rows)
    if output is not None:
        outputs.write_text(output, text, [model, data])
        print(f"{len(rows)} predictions written to {output}", file=sys.stderr)
        return
    if not stdout().can_show(text):
        print(f"{stdout().encoding} lacks some characters, ? stands for them; --output writes UTF-8", file=sys.stderr)
    print(text, end="")


@app.command()
def info(as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False) -> None:
    """Show the machine, the kernels chosen for it, threads, cache folder and versions."""
    from fastnn.commands.console import info_lines
    from fastnn.commands.machine import facts

    found = facts()
    if as_json:
        print(json.dumps(found, indent=2))
        return
    for name, text in info_lines(found):
        print(f"{name:<14}{text}")


@app.command()
def warmup(
    shared: Annotated[
        bool, typer.Option("--shared", help="Let all users read the programs; only you and root may write them.")
    ] = False,
) -> None:
    """Compile the programs of float32 and float64 for this machine and keep them: no later first fit has to wait.

    Those for bytes, sparse rows, clipped gradients and bfloat16 are compiled when they are first needed. Programs are
    private; where root makes them for another user, as in the image of a container, name a folder that both may enter
    with FASTNN_CACHE_DIR, and share it.
    """
    from fastnn.commands.console import bars
    from fastnn.commands.machine import cache_usage, warm_up_steps
    from fastnn.kernels.host.cache_folder import cache_root, check_shareable, share

    root = cache_root()
    if shared:
        if root is None:
            raise OSError("there is no cache folder that could be shared")
        check_shareable(root)
    begun = time.perf_counter()
    with bars() as progress:
        steps = warm_up_steps()
        bar = progress.add_task("compiling", total=len(steps), note="")
        for name, step in steps:
            progress.update(bar, note=name)
            step()
            progress.advance(bar)
        progress.update(bar, note="")
    if shared and root:
        share(root)
    usage = cache_usage()
    kept = f"kept in {usage['folder']}" if root and usage["folder"] else "not kept"
    kept += ": no cache folder can be written" * (root is None)
    kept += ", for all users" * shared
    print(f"ready in {time.perf_counter() - begun:.1f} s; {kept}")


@cache_app.command("info")
def cache_info() -> None:
    """Show where compiled programs are kept and how much room they take."""
    from fastnn.commands.console import cache_line
    from fastnn.commands.machine import cache_usage

    print(cache_line(cache_usage()))


@cache_app.command("clear")
def cache_clear() -> None:
    """Delete compiled programs of this and of other versions; the next fit compiles again. Data sets stay."""
    from fastnn.commands.console import megabytes
    from fastnn.commands.machine import clear_cache

    folders, size = clear_cache()
    print(f"deleted {folders} folder{'s' * (folders != 1)}, {megabytes(size)}")


def _widths(text: str) -> list[int]:
    try:
        widths = [whole_number(part) for part in text.split(",") if part.strip()]
    except ValueError:
        widths = [0]
    if any(width < 1 for width in widths):
        raise typer.BadParameter(f"expected numbers of units such as 64,32, got {text!r}", param_hint="--hidden")
    return widths


def _check_output(file: Path, reads: Sequence[Path]) -> None:
    try:
        outputs.check(file, reads)
    except OSError as error:
        raise typer.BadParameter(f"{file} cannot be written: {error.strerror}", param_hint="--output") from None


def main() -> None:
    """Run the command line."""
    app(prog_name="fastnn")
