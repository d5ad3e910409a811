"""How the command line speaks: results on standard output, progress and errors on standard error.

Results that cannot be written are an error; progress that cannot is left out.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from fastnn.callbacks import Callback
from fastnn.kernels.host import streams

_WIDTH_OF_FILES = 110  # of a table that is written to a file or a pipe, which have no width


def results() -> Console:
    """Make a console on standard output."""
    return _console(streams.results())


def messages() -> Console:
    """Make a console on standard error."""
    return _console(streams.stderr())


def _console(stream: Any) -> Console:
    console = Console(file=stream, highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        console.width = max(console.width, _WIDTH_OF_FILES)
    return console


@contextmanager
def working(what: str) -> Iterator[None]:
    """Show that something without steps is running."""
    with messages().status(what):
        yield


@contextmanager
def bars(live: bool = True) -> Iterator[Progress]:
    """Show progress bars: add a task to the result for each.

    Parameters
    ----------
    live : bool, default True
        Draw several times a second in a thread of its own; else only when told to, which leaves timings alone.
    """
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, TextColumn("[dim]{task.fields[note]}"), console=messages(), auto_refresh=live) as progress:
        yield progress


class EpochBar(Callback):
    """Moves a bar of `bars` on by one for each epoch and writes the epoch's figures beside it.

    Parameters
    ----------
    progress : rich.progress.Progress
        From `bars`.
    description : str
        Stands before the bar.
    epochs : int
        Length of the bar.
    """

    def __init__(self, progress: Progress, description: str, epochs: int) -> None:
        self.progress = progress
        self.task = progress.add_task(description, total=epochs, note="")

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        note = "  ".join(f"{name} {value:.4g}" for name, value in (logs or {}).items())
        self.progress.update(self.task, completed=epoch + 1, note=note)


def info_lines(found: dict[str, Any]) -> list[tuple[str, str]]:
    """Write `machine.facts` as names and texts."""
    threads, memory = found["threads"], found["memory_bytes"]
    reasons = [f"{threads['cores']} cores", f"affinity {threads['affinity']}", f"quota {threads['quota'] or 'none'}"]
    reasons += [f"{name} {threads[name] or 'not set'}" for name in ("FASTNN_NUM_THREADS", "OMP_NUM_THREADS")]
    return [
        ("system", found["system"]),
        ("cpu", found["cpu"]),
        ("memory", f"{memory / 2**30:.1f} GiB" if memory else "unknown"),
        ("kernels", f"{found['simd']} (this CPU has {' '.join(found['cpu_features']) or 'no vector unit known here'})"),
        ("tiles", tiles_line(found["tiles"])),
        ("device", device_line(found["device"])),
        ("threads", f"{threads['number']} ({', '.join(reasons)})"),
        ("cache", cache_line(found["cache"])),
        *found["versions"].items(),
    ]


def device_line(device: dict[str, str]) -> str:
    """Write the device of models that are not given one, and what there is of GPUs."""
    return f"{device['default']} (cuda: {device['cuda'] or device['reason']})"


def tiles_line(tiles: dict[str, str]) -> str:
    """Write what multiplies tiles of bfloat16, and why it is not AMX."""
    return tiles["kind"] + (f" ({tiles['reason']})" if tiles["reason"] else "")


def cache_line(usage: dict[str, Any]) -> str:
    """Write `machine.cache_usage` as one line."""
    if usage["folder"] is None:
        return "none: no folder can be used, so every process compiles anew (FASTNN_CACHE_DIR names another)"
    parts = [f"{usage['programs']} programs, {megabytes(usage['bytes'])}"]
    if usage["old_bytes"]:
        parts.append(f"{megabytes(usage['old_bytes'])} of other versions")
    if usage["unmarked"]:
        parts.append(f"{usage['unmarked']} named kernels-... without fastnn's mark, never deleted")
    if not usage["writable"]:
        parts.append("may only be read")
    return f"{usage['folder']} ({'; '.join(parts)})"


def megabytes(size: int) -> str:
    """Write a number of bytes in MB."""
    return f"{size / 1e6:.1f} MB"
