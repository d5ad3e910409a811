"""The summary of a model: Keras' table of layers, shapes and parameter counts."""

import shutil
from collections.abc import Callable
from html import escape
from typing import TYPE_CHECKING, Any

from fastnn.kernels.host.streams import say, stdout
from fastnn.layers.base import Layer

if TYPE_CHECKING:
    from rich.table import Table

_WIDTH = 88  # of the table, where the terminal has the room
_COLUMNS = (("Layer (type)", "left", 0.45), ("Output Shape", "left", 0.80), ("Param #", "right", 1.0))


def print_summary(
    name: str,
    layers: list[Layer],
    counts: dict[str, int],
    item_size: int,
    line_length: int | None = None,
    print_fn: Callable[[str], Any] | None = None,
) -> None:
    """Print the table of layers and, below it, the counts with their memory.

    Parameters
    ----------
    name : str
        Name of the model.
    layers : list of Layer
    counts : dict of str to int
        Lines below the table: what is counted and how many numbers it is.
    item_size : int
        Bytes of one number.
    line_length : int, optional
        Width of the table in columns, at least 20; by default what the terminal has room for, at most 88.
    print_fn : callable, optional
        Called once with the whole text; by default the text is printed, with colors on a terminal.
    """
    from rich import markup
    from rich.console import Console

    if line_length is None:
        line_length = min(_WIDTH, shutil.get_terminal_size().columns - 4)
    if line_length < 20:
        raise ValueError(f"line_length must be at least 20 columns; got {line_length}")
    colors: Any = {"color_system": None} if print_fn else {}
    console = Console(file=stdout(), highlight=False, width=max(line_length, 80), **colors)
    with console.capture() as capture:
        console.print(f'[bold]Model: "{markup.escape(name)}"[/]')
        console.print(_table(layers, line_length))
        for what, count in counts.items():
            console.print(f"[bold] {what}: [/][color(34)]{count:,}[/] ({_memory(count * item_size)})")
    if print_fn:
        print_fn(capture.get())
    else:
        say(capture.get(), end="")


def html_summary(name: str, layers: list[Layer], counts: dict[str, int], item_size: int) -> str:
    """Return the same as HTML; parameters as in `print_summary`."""
    rows = [_cells(layer) for layer in layers]
    header = "".join(f'<th style="text-align: {side}">{escape(title)}</th>' for title, side, _ in _COLUMNS)
    body = "".join(
        "<tr>"
        + "".join(
            f'<td style="text-align: {side}">{escape(cell)}</td>'
            for cell, (_, side, _) in zip(row, _COLUMNS, strict=True)
        )
        + "</tr>"
        for row in rows
    )
    below = "<br>".join(f"{what}: {count:,} ({_memory(count * item_size)})" for what, count in counts.items())
    return (
        f"<div><b>Model: &quot;{escape(name)}&quot;</b><table><thead><tr>{header}</tr></thead>"
        f"<tbody>{body}</tbody></table>{below}</div>"
    )


def _cells(layer: Layer) -> tuple[str, str, str]:
    """Return name and type, output shape and count of a layer."""
    shape = f"({', '.join(map(str, layer.output_shape))})" if layer.built else "?"
    count = f"{layer.count_params():,}" + ("" if layer.built else " (unbuilt)")
    return f"{layer.name} ({type(layer).__name__})", shape, count


def _table(layers: list[Layer], line_length: int) -> "Table":
    from rich import markup
    from rich.table import Column, Table

    columns, left = [], 0
    for header, justify, fraction in _COLUMNS:
        right = int(fraction * line_length)
        columns.append(Column(header, justify=justify, width=right - left))  # type: ignore[arg-type]
        left = right
    table = Table(*columns, width=line_length, show_lines=True)
    for layer in layers:
        shape = ", ".join(_colored(size) for size in layer.output_shape) if layer.built else ""
        table.add_row(
            f"{markup.escape(layer.name)} ([color(33)]{markup.escape(type(layer).__name__)}[/])",
            f"({shape})" if layer.built else "?",
            _colored(f"{layer.count_params():,}") + ("" if layer.built else " (unbuilt)"),
        )
    return table


def _colored(size: int | str | None) -> str:
    return f"[color({45 if size is None else 34})]{size}[/]"


def _memory(size: float) -> str:
    for unit in ("B", "KB", "MB"):
        if size < 1024:
            return f"{size:.2f} {unit}"
        size /= 1024
    return f"{size:.2f} GB"
