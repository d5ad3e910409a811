"""What commands write: regular files, whole or not at all, through no link and onto nothing that the command reads."""

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from fastnn.kernels.host.files import target_of, write_atomically


def check(path: Path, reads: Iterable[Path] = ()) -> None:
    """Fail before the work, not after it.

    Raises
    ------
    OSError
        If one of the functions below would not write to `path`; ``strerror`` says why.
    """
    target_of(path, reads, follow_links=False)


def write(path: Path, content: bytes | Iterable[Any], reads: Iterable[Path] = ()) -> None:
    """Write a file that is none of `reads`, under whatever name."""
    write_atomically(path, content, durable=True, reads=reads, follow_links=False)


def write_text(path: Path, text: str, reads: Iterable[Path] = ()) -> None:
    """Write a text in UTF-8."""
    write(path, text.encode(), reads)


def csv_text(names: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Return a table as the text of a CSV file."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([names, *rows])
    return text.getvalue()


def write_picture(path: Path, figure: Any, dpi: int) -> None:
    """Write a figure of matplotlib as PNG."""
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=dpi)
    write(path, content.getvalue())
