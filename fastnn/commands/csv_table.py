"""What stands between a table and a network, and what a model file must know to read the next table."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np

from fastnn.commands.csv_files import MISSING, CsvFile, is_number, listing, numbered

_MOST_CLASSES = 30  # whole numbers with at most so many different values are taken for class labels
_ROUNDING = 10 * np.finfo(float).eps  # of the largest value: columns that vary less are constant


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
        """Return the same with features, and the target of a regression, standardized by the rows given."""
        mean, spread = _center_and_spread(x, self.features)
        size = np.where(mean, np.abs(mean), 1.0)  # of a constant column: a small change of it stays small
        found: dict[str, Any] = {"mean": tuple(mean.tolist()), "scale": tuple(np.where(spread, spread, size).tolist())}
        if self.task == "regression":
            mean, spread = _center_and_spread(y[:, np.newaxis], [self.target])
            found |= {"target_mean": float(mean[0]), "target_scale": float(spread[0]) or 1.0}
        return replace(self, **found)

    def inputs(self, x: np.ndarray, dtype: str = "float32") -> np.ndarray:
        """Raw features, shape (rows, features), as the network wants them."""
        if self.mean:
            x = (x - np.array(self.mean)) / np.array(self.scale)
        with np.errstate(over="ignore"):
            found = np.ascontiguousarray(x, dtype=dtype)
        if not np.isfinite(found).all():
            r, column = np.argwhere(~np.isfinite(found))[0]
            raise ValueError(f"column {self.features[column]!r}: {x[r, column]:g} is too large for {dtype}")
        return found

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
        if self.has_header:
            missing = [name for name in self.features if name not in table]
            if missing:
                found = listing(table.names) if table.has_header else "no header line (--header says that there is one)"
                doubtful = table.has_header and len(missing) == len(self.features)
                doubt = "; does its first line name the columns?" if doubtful else ""
                raise ValueError(
                    f"{table.path}: the model needs the columns {listing(missing)}; the file has {found}{doubt}"
                )
            return [table.find(name) for name in self.features]
        if len(table.names) == len(self.features):
            return list(range(len(self.features)))
        if len(table.names) == self.columns:
            indices = {name: i for i, name in enumerate(numbered(self.columns))}
            return [indices[name] for name in self.features]
        raise ValueError(
            f"{table.path}: the model needs {len(self.features)} columns (or {self.columns}, as in the file it was "
            f"trained on, which had no header); the file has {len(table.names)}"
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON has them, with lists as tuples."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Preparation":
        """Undo `to_dict`.

        Raises
        ------
        AttributeError, TypeError
            If these are other values.
        """
        fields: dict[str, Any] = {key: tuple(v) if isinstance(v, list) else v for key, v in values.items()}
        made = cls(**fields)
        texts = (made.task, made.target, *made.features, *made.classes)
        numbers = (made.columns, made.target_mean, made.target_scale, *made.mean, *made.scale)
        if not (all(isinstance(text, str) for text in texts) and all(isinstance(n, (int, float)) for n in numbers)):
            raise TypeError(f"got {made}")
        return made


def understand_target(
    labels: Sequence[str], task: str, name: str, lines: Callable[[], Sequence[int]] | None = None
) -> tuple[str, tuple[str, ...]]:
    """Decide whether a column is a target of classification or regression, and find its classes.

    Parameters
    ----------
    labels : sequence of str
        The column as text.
    task : {"auto", "classification", "regression"}
        With "auto", text and whole numbers of at most 30 different values are class labels.
    name : str
        Name of the column, for messages.
    lines : callable, optional
        Returns the lines on which the labels stand, for messages.

    Returns
    -------
    task : str
    classes : tuple of str
        Distinct labels in numerical, else alphabetical order; empty for a regression.

    Raises
    ------
    ValueError
        A label is missing, there is only one class, the target of a regression is no number, or it cannot be told
        whether labels are numbers or text.
    """

    def first(label: str) -> str:
        r = labels.index(label)
        return f"line {lines()[r]}" if lines else f"row {r + 1} of the data"

    distinct = sorted(set(labels))
    missing = next((label for label in distinct if label.lower() in MISSING - {"none"}), None)
    if missing is not None:
        raise ValueError(f"target {name!r}: {first(missing)} has no value ({missing!r})")
    texts = [label for label in distinct if not is_number(label)]
    if task == "auto":
        if texts and len(distinct) - len(texts) > _MOST_CLASSES:
            raise ValueError(
                f"target {name!r}: most values are numbers, but {first(texts[0])} has {texts[0]!r}; mend it, or say "
                "--task classification"
            )
        whole = not texts and all(float(label).is_integer() for label in distinct)
        task = "classification" if texts or (whole and len(distinct) <= _MOST_CLASSES) else "regression"
    if task == "regression":
        if texts:
            raise ValueError(
                f"target {name!r}: a regression needs numbers, got {texts[0]!r}; use --task classification"
            )
        return task, ()
    if len(distinct) < 2:
        raise ValueError(f"target {name!r}: a classification needs at least two classes, got only {distinct[0]!r}")
    if texts:
        return task, tuple(distinct)
    classes = sorted(distinct, key=float)
    for label, other in pairwise(classes):
        if float(label) == float(other):
            raise ValueError(f"target {name!r}: {label!r} and {other!r} are the same number; write it in one way")
    return task, tuple(classes)


def _center_and_spread(values: np.ndarray, names: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of columns, shape (rows, columns); the latter is 0 where only rounding differs."""
    with np.errstate(over="ignore", invalid="ignore"):
        mean, deviation = values.mean(axis=0), values.std(axis=0)
    for name, spread in zip(names, deviation, strict=True):
        if not np.isfinite(spread):
            raise ValueError(f"column {name!r}: its numbers are too large to be scaled; write it in another unit")
    return mean, np.where(deviation > _ROUNDING * np.abs(values).max(axis=0), deviation, 0.0)
