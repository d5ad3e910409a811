"""CSV files: what a table is on the disk, whether it has names, and numbers out of it, with the line in every error."""

import csv
import gzip
import io
import math
import re
import stat
import zlib
from array import array
from collections.abc import Iterator, Sequence
from itertools import islice
from operator import itemgetter
from pathlib import Path

import numpy as np

MISSING = {"", "na", "n/a", "nan", "null", "none", "?"}
_LONGEST_CELL = 2**24  # characters; more is a quote that is never closed
_LOOK_AHEAD = 100  # rows that tell whether the first line has names
_NUMBER = re.compile(r"[ \t]*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?[ \t]*", re.ASCII)
_COMMAS = re.compile(r"[+-]?\d+(,\d+)+(\.\d+)?")
_FOREIGN = {  # how files begin that are no text in UTF-8
    b"PK\x03\x04": "a zip archive or a workbook; unpack it, or save the sheet as CSV",
    b"\xff\xfe": "text in UTF-16; save it in UTF-8",
    b"\xfe\xff": "text in UTF-16; save it in UTF-8",
}
_COMPLAINTS = {  # what the parser says, and what it means
    "unexpected end of data": "a quote is opened here and never closed",
    "field larger than field limit": f"a cell has more than {_LONGEST_CELL:,} characters; is a quote never closed?",
    "expected after '\"'": "a quote is closed in the middle of a cell; double those that belong to the text",
}


class CsvFile:
    """A CSV file whose columns are numbers, but for a target that may be text.

    Comma, semicolon or tab separate the cells, whichever the first line has most of. A file without names gets
    ``column_1``, ``column_2``, ... Without ``header`` the first line is looked at: it has names if it holds text and no
    numbers, or text where the rows below have numbers.

    Parameters
    ----------
    path : path
        A file or a pipe; UTF-8, plain or gzip.
    header : bool, optional
        Whether the first line names the columns. Default: look.

    Attributes
    ----------
    names : list of str
    has_header : bool

    Raises
    ------
    OSError
        The file cannot be read, or is damaged.
    ValueError
        The file is empty, not text, names a column twice, or may have a header or not.
    """

    def __init__(self, path: str | Path, header: bool | None = None) -> None:
        self.path = Path(path)
        self._content = self._read_content()
        self._separator = self._find_separator()
        first, *below = [cells for _, cells in islice(self._records(), 1 + _LOOK_AHEAD)] or [[]]
        if not any(cell.strip() for cell in first):
            raise ValueError(f"{self.path}: the first line is empty; expected a CSV table")
        self.has_header = self._has_names(first, below) if header is None else header
        self.names = list(map(_one_line, first)) if self.has_header else numbered(len(first))
        self._indices = {name: i for i, name in enumerate(self.names)}
        if len(self._indices) < len(self.names):
            twice = next(name for i, name in enumerate(self.names) if self._indices[name] != i)
            raise ValueError(f"{self.path}: several columns are named {twice!r}; column names must differ")

    @property
    def decision(self) -> str:
        """One line that says what the first line was taken for."""
        if self.has_header:
            return f"first line taken as names: {listing(self.names)}"
        return "first line taken as data (--header: it has names)"

    def __contains__(self, column: str) -> bool:
        return column in self._indices

    def find(self, column: str) -> int:
        """Index of a column given by its name or, if no column has that name, by its number (0 first, -1 last)."""
        if column in self._indices:
            return self._indices[column]
        try:
            return range(len(self.names))[whole_number(column)]
        except (ValueError, IndexError):
            raise ValueError(
                f"{self.path}: there is no column {column!r}; the columns are {listing(self.names)}"
            ) from None

    def read(self, numbers: Sequence[int], text: int | None = None) -> tuple[np.ndarray, list[str]]:
        """Read some columns as float64, shape (rows, columns), and one as text.

        Raises
        ------
        ValueError
            A cell is no finite number, or a line has too few or too many cells; the message says where.
        """
        values, labels = array("d"), []
        pick = itemgetter(*numbers) if len(numbers) > 1 else lambda cells: [cells[i] for i in numbers]
        plain = self._content.isascii() and b"_" not in self._content  # then no row needs a look
        for line, cells in self._rows():
            row = pick(cells)
            try:
                found = list(map(float, row))
            except ValueError:
                found = [math.nan]
            if not math.isfinite(sum(found)) or not (plain or _is_plain("".join(row))):
                self._check(line, cells, numbers)
            values.extend(found)
            if text is not None:
                labels.append(cells[text].strip())
        return np.frombuffer(values, dtype=float).reshape(-1, len(numbers)), labels

    def lines(self) -> list[int]:
        """Numbers of the lines on which the rows begin."""
        return [line for line, _ in self._rows()]

    def _check(self, line: int, cells: list[str], numbers: Sequence[int]) -> None:
        for i in numbers:
            if not is_number(cells[i]):
                complaint = _complaint(cells[i])
                if line == 1:
                    complaint += "; if the first line names the columns: --header"
                raise ValueError(f"{self.path}, line {line}, column {self.names[i]!r}: {complaint}")

    def _rows(self) -> Iterator[tuple[int, list[str]]]:
        empty = True
        for line, cells in islice(self._records(), int(self.has_header), None):
            if not cells or (cells == [""] and len(self.names) > 1):
                continue  # a blank line
            if len(cells) != len(self.names):
                raise ValueError(f"{self.path}, line {line}: expected {len(self.names)} cells, got {len(cells)}")
            empty = False
            yield line, cells
        if empty:
            raise ValueError(f"{self.path}: there is no row of data below the header")

    def _records(self) -> Iterator[tuple[int, list[str]]]:
        """Yield the number of the line on which a record begins, and its cells."""
        text = io.TextIOWrapper(io.BytesIO(self._content), encoding="utf-8-sig", newline="")
        reader = csv.reader(text, delimiter=self._separator, skipinitialspace=True, strict=True)
        limit = csv.field_size_limit(_LONGEST_CELL)
        try:
            while True:
                line = reader.line_num + 1
                try:
                    yield line, next(reader)
                except StopIteration:
                    return
                except csv.Error as error:
                    known = (meaning for said, meaning in _COMPLAINTS.items() if said in str(error))
                    raise ValueError(f"{self.path}, line {line}: {next(known, error)}") from None
                except UnicodeDecodeError:
                    raise self._not_utf8() from None
        finally:
            csv.field_size_limit(limit)

    def _read_content(self) -> bytes:
        mode = self.path.stat().st_mode
        if stat.S_ISDIR(mode) or stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
            raise OSError(f"{self.path} is {'a folder' if stat.S_ISDIR(mode) else 'a device'}; expected a CSV file")
        content = self.path.read_bytes()
        try:
            if content.startswith(b"\x1f\x8b"):
                content = gzip.decompress(content)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise OSError(f"{self.path} is damaged or incomplete ({error}); get it again") from None
        for beginning, what in _FOREIGN.items():
            if content.startswith(beginning):
                raise ValueError(f"{self.path}: not a text file in UTF-8 but {what}")
        if b"\0" in content:
            line = _line_at(content, content.index(b"\0"))
            raise ValueError(f"{self.path}, line {line}: not a text file in UTF-8 (a zero byte)")
        return content

    def _not_utf8(self) -> ValueError:
        try:
            self._content.decode()
        except UnicodeDecodeError as error:
            line = _line_at(self._content, error.start)
            byte = self._content[error.start]
            return ValueError(f"{self.path}, line {line}: not a text file in UTF-8 (byte 0x{byte:02x}: {error.reason})")
        raise AssertionError("decoded after all")

    def _find_separator(self) -> str:
        beginning = self._content[:_LONGEST_CELL]
        line = re.match(rb'(?:"[^"]*"|[^"\r\n]+)*', beginning)
        bare = re.sub(rb'"[^"]*"', b"", line[0] if line else b"")
        return max(",;\t", key=lambda separator: bare.count(separator.encode()))

    def _has_names(self, first: list[str], below: list[list[str]]) -> bool:
        numbers = sum(map(_meant_as_number, first))
        words = [i for i, cell in enumerate(first) if not (_meant_as_number(cell) or cell.strip().lower() in MISSING)]
        if len(words) in (0, len(first)):
            return bool(words)
        over_numbers = [i for i in words if _is_numeric([cells[i] for cells in below if len(cells) == len(first)])]
        if over_numbers and len(words) < numbers:
            raise ValueError(
                f"{self.path}: does line 1 name the columns? It has {first[over_numbers[0]]!r} above numbers, and "
                f"{numbers} numbers; say --header or --no-header"
            )
        return bool(over_numbers)


def numbered(columns: int) -> list[str]:
    """Names for the columns of a file without header."""
    return [f"column_{i + 1}" for i in range(columns)]


def is_number(cell: str) -> bool:
    """Whether a cell is a finite number as all programs write it, not all that Python takes for one (``1_0``)."""
    return _NUMBER.fullmatch(cell) is not None and math.isfinite(float(cell))


def whole_number(text: str) -> int:
    """Return the whole number that digits and a sign are.

    Raises
    ------
    ValueError
        It is something else, or what only Python takes for one.
    """
    if not re.fullmatch(r"\s*[+-]?\d+\s*", text, re.ASCII):
        raise ValueError(f"expected a whole number, got {text!r}")
    return int(text)


def _is_numeric(column: list[str]) -> bool:
    given = [cell for cell in column if cell.strip().lower() not in MISSING]
    return bool(given) and all(map(is_number, given))


def _is_plain(text: str) -> bool:
    """Whether `float` takes nothing in a text for a number but what all programs do."""
    return text.isascii() and "_" not in text


def _meant_as_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return _COMMAS.fullmatch(cell.strip()) is not None
    return True


def _one_line(name: str) -> str:
    return re.sub(r"\s*[\r\n]+\s*", " ", name.strip())


def _line_at(content: bytes, offset: int) -> int:
    return 1 + len(re.findall(rb"\r\n|\r|\n", content[:offset]))


def _complaint(cell: str) -> str:
    if cell.strip().lower() in MISSING:
        return f"the value is missing ({cell!r}); fill in or remove such rows"
    shown = repr(cell if len(cell) <= 60 else f"{cell[:60]}...")
    if _COMMAS.fullmatch(cell.strip()):
        return f"expected a number, got {shown}; write it with a decimal point and without thousands separators"
    return f"expected a finite number, got {shown}; write categories as numbers, or leave the column out with --drop"


def listing(names: Sequence[str], most: int = 12) -> str:
    """Write names in a row, a long row shortened."""
    shown = ", ".join(name if len(name) <= 60 else f"{name[:60]}..." for name in names[:most])
    return shown + (f", ... ({len(names)} in all)" if len(names) > most else "")
