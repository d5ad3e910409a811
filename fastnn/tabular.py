"""Tables for the command line: CSV files in, columns by name, and what a model file must know to read the next one."""

import csv
import gzip
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TextIO

import numpy as np

_MOST_CLASSES = 30  # whole numbers with at most so many different values are taken for class labels
_MISSING = {"", "na", "n/a", "nan", "null", "none", "?"}


class CsvFile:
    """A CSV file whose columns are numbers, but for a target that may be text.

    Comma, semicolon or tab separate the cells, whichever the first line has most of. Without ``header`` the first line
    is a header unless all its cells are numbers; a file without one gets the names ``column_1``, ``column_2``, ...

    Parameters
    ----------
    path : path
        Plain or ``.gz``, UTF-8.
    header : bool, optional
        Whether the first line names the columns. Default: look.

    Raises
    ------
    OSError
        The file cannot be read.
    ValueError
        The file is empty, not text, or names a column twice.
    """

    def __init__(self, path: str | Path, header: bool | None = None) -> None:
        self.path = Path(path)
        with self._open() as file:
            try:
                line = file.readline()
            except UnicodeDecodeError as error:
                raise ValueError(f"{self.path}: not a text file in UTF-8 ({error})") from None
        self._separator = max(",;\t", key=line.count)
        first = next(csv.reader([line], delimiter=self._separator), [])
        if not any(cell.strip() for cell in first):
            raise ValueError(f"{self.path}: the first line is empty; expected a CSV table")
        self.has_header = not all(map(_is_number, first)) if header is None else header
        self.names = [name.strip() for name in first] if self.has_header else _numbered(len(first))
        twice = sorted({name for name in self.names if self.names.count(name) > 1})
        if twice:
            raise ValueError(f"{self.path}: several columns are named {twice[0]!r}; column names must differ")

    def find(self, column: str) -> int:
        """Index of a column given by its name or, if no column has that name, by its number (0 first, -1 last)."""
        if column in self.names:
            return self.names.index(column)
        try:
            return range(len(self.names))[int(column)]
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
        rows, labels = [], []
        for line, cells in self._rows():
            try:
                row = np.array([float(cells[i]) for i in numbers])
            except ValueError:
                row = np.array([np.nan])
            if not np.isfinite(row).all():
                bad = next(i for i in numbers if not _is_number(cells[i]) or not np.isfinite(float(cells[i])))
                raise ValueError(f"{self.path}, line {line}, column {self.names[bad]!r}: {_complaint(cells[bad])}")
            rows.append(row)
            if text is not None:
                labels.append(cells[text].strip())
        if not rows:
            raise ValueError(f"{self.path}: there is no row of data below the header")
        return np.stack(rows), labels

    def _rows(self) -> Iterator[tuple[int, list[str]]]:
        with self._open() as file:
            reader = csv.reader(file, delimiter=self._separator)
            if self.has_header:
                next(reader)
            for cells in reader:
                if not cells:
                    continue  # a blank line
                if len(cells) != len(self.names):
                    raise ValueError(
                        f"{self.path}, line {reader.line_num}: expected {len(self.names)} cells, got {len(cells)}"
                    )
                yield reader.line_num, cells

    def _open(self) -> TextIO:
        opener = gzip.open if self.path.suffix == ".gz" else open
        return opener(self.path, "rt", encoding="utf-8-sig", newline="")  # type: ignore[return-value]


@dataclass(frozen=True)
class Preparation:
    """What stands between a table and a network: columns, scaling, and what the outputs mean. Kept in the model file.

    Attributes
    ----------
    task : "classification" or "regression"
    target : str
        Name of the target column.
    features : tuple of str
        Names of the columns that the network reads, in its order.
    columns : int
        Number of columns of the training file, the target and left-out ones included.
    has_header : bool
        Whether the names come from the file.
    classes : tuple of str
        Labels as they stand in the file, in the order of the outputs; empty for a regression.
    mean, scale : tuple of float
        Features go in as ``(x - mean) / scale``; empty for no scaling.
    target_mean, target_scale : float
        A regression's output is multiplied by the scale, then the mean is added.
    """

    task: str
    target: str
    features: tuple[str, ...]
    columns: int
    has_header: bool = True
    classes: tuple[str, ...] = ()
    mean: tuple[float, ...] = ()
    scale: tuple[float, ...] = ()
    target_mean: float = 0.0
    target_scale: float = 1.0

    def scaled(self, x: np.ndarray, y: np.ndarray) -> "Preparation":
        """Return the same with features, and the target of a regression, standardised by the rows given."""
        found: dict[str, Any] = {"mean": tuple(x.mean(axis=0).tolist()), "scale": tuple(_spread(x).tolist())}
        if self.task == "regression":
            found |= {"target_mean": float(y.mean()), "target_scale": float(_spread(y))}
        return replace(self, **found)

    def inputs(self, x: np.ndarray, dtype: str = "float32") -> np.ndarray:
        """Raw features, shape (rows, features), as the network wants them."""
        if self.mean:
            x = (x - np.array(self.mean)) / np.array(self.scale)
        return np.ascontiguousarray(x, dtype=dtype)

    def targets(self, y: np.ndarray) -> np.ndarray:
        """Class indices or raw regression targets, shape (rows,), as the network wants them."""
        return y if self.classes else (y - self.target_mean) / self.target_scale

    def encode(self, labels: Iterable[str]) -> np.ndarray:
        """Turn labels as text into class indices, or into numbers for a regression."""
        if not self.classes:
            return np.array([float(label) for label in labels])
        index = {label: i for i, label in enumerate(self.classes)}
        return np.array([index[label] for label in labels])

    def probabilities(self, outputs: np.ndarray) -> np.ndarray:
        """Turn outputs of the network into one probability for each class, shape (rows, classes)."""
        return np.hstack([1 - outputs, outputs]) if len(self.classes) == 2 else outputs

    def decode(self, outputs: np.ndarray) -> list[Any]:
        """Turn outputs of the network into labels as they stood in the training file, or into numbers."""
        if self.classes:
            return [self.classes[i] for i in self.probabilities(outputs).argmax(axis=1)]
        return (outputs[:, 0].astype(float) * self.target_scale + self.target_mean).tolist()

    def select(self, table: CsvFile) -> list[int]:
        """Columns of another file that hold the features, in the network's order.

        Columns with names are found wherever they stand; without names they must stand as they did in training.

        Raises
        ------
        ValueError
            Features are missing; the message lists them.
        """
        names = table.names
        if self.has_header:
            missing = [name for name in self.features if name not in names]
            if missing:
                found = listing(names) if table.has_header else "no header line (--header says that there is one)"
                raise ValueError(f"{table.path}: the model needs the columns {listing(missing)}; the file has {found}")
            return [names.index(name) for name in self.features]
        if len(names) == len(self.features):
            return list(range(len(names)))
        if len(names) == self.columns:
            return [_numbered(self.columns).index(name) for name in self.features]
        raise ValueError(
            f"{table.path}: the model needs {len(self.features)} columns (or {self.columns}, as in the file it was "
            f"trained on, which had no header); the file has {len(names)}"
        )

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Preparation":
        """Undo `dataclasses.asdict`, after JSON has made lists of the tuples."""
        fields: dict[str, Any] = {key: tuple(v) if isinstance(v, list) else v for key, v in values.items()}
        return cls(**fields)


def understand_target(labels: Sequence[str], task: str, name: str) -> tuple[str, tuple[str, ...]]:
    """Decide whether a column is a target of classification or regression, and find its classes.

    Parameters
    ----------
    labels : sequence of str
        The column as text.
    task : {"auto", "classification", "regression"}
        With "auto", text and whole numbers of at most 30 different values are class labels.
    name : str
        Name of the column, for messages.

    Returns
    -------
    task : str
    classes : tuple of str
        Distinct labels in numerical, else alphabetical order; empty for a regression.

    Raises
    ------
    ValueError
        A label is missing, there is only one class, or the target of a regression is no number.
    """
    distinct = sorted(set(labels))
    missing = next((label for label in distinct if label.lower() in _MISSING - {"none"}), None)
    if missing is not None:
        raise ValueError(f"target {name!r}: row {labels.index(missing) + 1} of the data has no value ({missing!r})")
    numeric = all(map(_is_number, distinct))
    if task == "auto":
        whole = numeric and all(float(label).is_integer() for label in distinct)
        task = "classification" if not numeric or (whole and len(distinct) <= _MOST_CLASSES) else "regression"
    if task == "regression":
        if not numeric:
            text = next(label for label in distinct if not _is_number(label))
            raise ValueError(f"target {name!r}: a regression needs numbers, got {text!r}; use --task classification")
        return task, ()
    if len(distinct) < 2:
        raise ValueError(f"target {name!r}: a classification needs at least two classes, got only {distinct[0]!r}")
    return task, tuple(sorted(distinct, key=float) if numeric else distinct)


def _numbered(columns: int) -> list[str]:
    """Names for the columns of a file without header."""
    return [f"column_{i + 1}" for i in range(columns)]


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _complaint(cell: str) -> str:
    if cell.strip().lower() in _MISSING:
        return f"the value is missing ({cell!r}); fill in or remove such rows"
    return f"expected a finite number, got {cell!r}; write categories as numbers, or leave the column out with --drop"


def _spread(values: np.ndarray) -> np.ndarray:
    """Compute the standard deviation along the rows; constant columns get 1."""
    deviation = values.std(axis=0)
    return np.where(deviation > 0, deviation, 1.0)


def listing(names: Sequence[str], most: int = 12) -> str:
    """Write names in a row, a long row shortened."""
    shown = ", ".join(map(str, names[:most]))
    return shown + (f", ... ({len(names)} in all)" if len(names) > most else "")
