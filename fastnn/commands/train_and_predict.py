"""What ``fastnn train`` and ``fastnn predict`` do: a table becomes a problem, a model, a file, and predictions."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn.callbacks import LambdaCallback
from fastnn.commands.csv_files import CsvFile, listing
from fastnn.commands.csv_table import Preparation, understand_target
from fastnn.commands.outputs import write
from fastnn.models import model_file
from fastnn.models.model_file import PREPARATION

if TYPE_CHECKING:
    from fastnn.callbacks import Callback
    from fastnn.models import Sequential

_HOPELESS = 100  # times the loss of a network that has learnt nothing
NAMED_SETS = ("pima", "sign-mnist", "breast-cancer", "digits")


@dataclass(frozen=True)
class Problem:
    """Raw features, shape (rows, features), and targets as class indices or numbers, shape (rows,), in two parts.

    `note` says what was made of the file, where that was not told.
    """

    preparation: Preparation
    x: np.ndarray
    y: np.ndarray
    x_validation: np.ndarray
    y_validation: np.ndarray
    note: str = ""

    def scaled(self) -> "Problem":
        """Return the same with standardization by the training rows."""
        return replace(self, preparation=self.preparation.scaled(self.x, self.y))


def named_problem(name: str, validation: float, seed: int) -> Problem:
    """Load one of `NAMED_SETS`; one that has a test set is validated on it, unless `validation` is 0."""
    from fastnn import datasets

    if name == "pima":
        x, y = datasets.load_pima()
        prepared = Preparation("classification", "diabetes", datasets.PIMA_FEATURES, 9, classes=("0", "1"))
        return _split(prepared, x, y, validation, seed)
    if name == "sign-mnist":
        train, test = datasets.load_sign_mnist()
        features = tuple(f"pixel{i + 1}" for i in range(784))
        classes = tuple(datasets.SIGN_MNIST_LETTERS)
    elif name == "digits":
        train, test = datasets.load_digits()
        features = tuple(f"pixel_{row}_{column}" for row in range(8) for column in range(8))
        classes = tuple(map(str, range(10)))
    else:
        from sklearn.datasets import load_breast_cancer

        train, test = datasets.load_breast_cancer()
        bunch = load_breast_cancer()
        features, classes = tuple(bunch.feature_names.tolist()), tuple(bunch.target_names.tolist())
    prepared = Preparation("classification", "class", features, len(features) + 1, classes=classes)
    if validation == 0:
        test = (test[0][:0], test[1][:0])
    x, x_test = (part.reshape(-1, len(features)) for part in (train[0], test[0]))
    return Problem(prepared, x, train[1], x_test, test[1])


def files_of(data: str) -> list[Path]:
    """Files that are read for a named set, or for a table."""
    from fastnn import datasets

    return datasets.local_files() if data in NAMED_SETS else [Path(data)]


def csv_problem(
    path: Path,
    target: str,
    task: str = "auto",
    drop: Sequence[str] = (),
    header: bool | None = None,
    validation: float = 0.2,
    seed: int = 0,
) -> Problem:
    """Read a CSV file; all columns but the target and those to drop are features.

    Raises
    ------
    OSError
        The file cannot be read.
    ValueError
        A column does not exist, a cell is no number, or the target does not fit the task.
    """
    table = CsvFile(path, header)
    goal = table.find(target)
    unused = {goal, *map(table.find, drop)}
    columns = [i for i in range(len(table.names)) if i not in unused]
    if not columns:
        raise ValueError(f"{path}: no column is left as a feature; the columns are {listing(table.names)}")
    x, labels = table.read(columns, goal)
    task, classes = understand_target(labels, task, table.names[goal], table.lines)
    features = tuple(table.names[i] for i in columns)
    prepared = Preparation(task, table.names[goal], features, len(table.names), table.has_header, classes)
    problem = _split(prepared, x, prepared.encode(labels), validation, seed)
    return replace(problem, note=table.decision if header is None else "")


def _split(prepared: Preparation, x: np.ndarray, y: np.ndarray, validation: float, seed: int) -> Problem:
    """Keep a random part for validation, with the same fraction of each class where they are large enough."""
    if not validation:
        return Problem(prepared, x, y, x[:0], y[:0])
    from sklearn.model_selection import train_test_split

    kept = round(len(x) * validation)
    if not 0 < kept < len(x):
        raise ValueError(f"--validation {validation:g} of {len(x)} rows leaves one part without rows")
    k = len(prepared.classes)
    stratify = y if k and np.bincount(y).min() > 1 and k <= min(kept, len(x) - kept) else None
    x, x_validation, y, y_validation = train_test_split(x, y, test_size=kept, random_state=seed, stratify=stratify)
    return Problem(prepared, x, y, x_validation, y_validation)


def build(
    prepared: Preparation,
    hidden: Sequence[int],
    activation: str,
    optimizer: str,
    learning_rate: float | None,
    dtype: str,
) -> "Sequential":
    """Make and compile the network: hidden layers of one activation, and the output layer and loss of the task."""
    from fastnn import layers, optimizers
    from fastnn.models import Sequential

    outputs, last, loss = 1, "linear", "mean_squared_error"
    if len(prepared.classes) == 2:
        last, loss = "sigmoid", "binary_crossentropy"
    elif prepared.classes:
        outputs, last, loss = len(prepared.classes), "softmax", "sparse_categorical_crossentropy"
    method = optimizers.get(optimizer)
    if learning_rate is not None:
        method.learning_rate = learning_rate
    model = Sequential(
        [
            layers.Input((len(prepared.features),)),
            *(layers.Dense(width, activation=activation) for width in hidden),
            layers.Dense(outputs, activation=last),
        ],
        dtype=dtype,
    )
    model.compile(optimizer=method, loss=loss, metrics=["accuracy"] if prepared.classes else [])
    return model


def describe(problem: Problem, hidden: Sequence[int]) -> str:
    """Say in a few lines what will be trained on what."""
    prepared = problem.preparation
    k = len(prepared.classes)
    kinds = f"{k} classes: {listing(prepared.classes)}" if k else "a number"
    widths = "-".join(map(str, (len(prepared.features), *hidden, k if k > 2 else 1)))
    same = (problem.x == problem.x[0]).all(axis=0)
    constant = [name for name, alike in zip(prepared.features, same, strict=True) if alike]
    return (
        (f"table    {problem.note}\n" if problem.note else "")
        + (f"warning  constant in the training rows: {listing(constant)}\n" if constant else "")
        + f"data     {len(problem.x):,} rows to train, {len(problem.x_validation):,} to validate, "
        f"{len(prepared.features)} features\n"
        f"target   {prepared.target} ({prepared.task}, {kinds})\n"
        f"network  {widths}"
    )


def fit(model: "Sequential", problem: Problem, epochs: int, batch_size: int, callback: "Callback") -> int:
    """Train, and return how many epochs were done; fewer than wanted if the user interrupted after the first.

    Raises
    ------
    ValueError
        The training diverged.
    """
    prepared = problem.preparation
    x, x_validation = (prepared.inputs(part, model.variable_dtype) for part in (problem.x, problem.x_validation))
    y, y_validation = (prepared.targets(part) for part in (problem.y, problem.y_validation))
    losses: list[float] = []
    optimizer: Any = model.optimizer

    def note(epoch: int, logs: Mapping[str, float]) -> None:
        losses.append(logs["loss"])
        model.stop_training = math.isnan(losses[-1])

    try:
        model.fit(
            x,
            y,
            batch_size=batch_size,
            epochs=epochs,
            verbose=0,
            callbacks=[callback, LambdaCallback(on_epoch_end=note)],
            validation_data=(x_validation, y_validation) if len(x_validation) else None,
        )
    except KeyboardInterrupt:
        if not losses:
            raise
    fitted, others = (model.predict(part, verbose=0) if len(part) else np.zeros((0, 1)) for part in (x, x_validation))
    finite = not math.isnan(losses[-1]) and all(map(_is_finite, (*model.get_weights(), fitted, others)))
    if not finite or _is_hopeless(prepared, y, fitted, losses[-1]):
        raise ValueError(
            f"the training diverged (loss {losses[-1]:.4g} in epoch {len(losses)}), so nothing is saved: try a "
            f"smaller --learning-rate than {float(optimizer.learning_rate):g}"
            + ("" if prepared.mean else ", or --scale")
        )
    return len(losses)


def _is_finite(array: np.ndarray) -> bool:
    return bool(np.isfinite(array).all())


def _is_hopeless(prepared: Preparation, y: np.ndarray, outputs: np.ndarray, loss: float) -> bool:
    """Whether a network is far worse than one that always answers 0, or gives all classes the same probability."""
    if not prepared.classes:
        with np.errstate(over="ignore"):
            return bool(np.mean((outputs[:, 0] - y) ** 2.0) > _HOPELESS * np.mean(y**2.0) > 0)
    right = np.mean(prepared.probabilities(outputs).argmax(axis=1) == y)
    return bool(right <= np.bincount(y).max() / len(y) and loss > _HOPELESS * math.log(len(prepared.classes)))


def scores(problem: Problem, model: "Sequential") -> str:
    """Judge a model on both parts: accuracy, or root mean squared error and R² in the target's units."""
    parts = {"training": (problem.x, problem.y), "validation": (problem.x_validation, problem.y_validation)}
    return "\n".join(
        f"{name:<12}{_score(problem.preparation, model, x, y)}" for name, (x, y) in parts.items() if len(x)
    )


def _score(prepared: Preparation, model: "Sequential", x: np.ndarray, y: np.ndarray) -> str:
    outputs = model.predict(prepared.inputs(x, model.variable_dtype), verbose=0)
    if prepared.classes:
        right = np.mean(prepared.probabilities(outputs).argmax(axis=1) == y)
        return f"accuracy {right:.1%}"
    error, variance = np.mean((np.array(prepared.decode(outputs)) - y) ** 2), y.var()
    explained = f", R² {1 - error / variance:.4f}" if variance else ""
    return f"root mean squared error {np.sqrt(error):.5g}{explained}"


def save(model: "Sequential", prepared: Preparation, path: Path, reads: Sequence[Path] = ()) -> None:
    """Write a model file that `load` reads; it must be none of the files that were read."""
    model.metadata[PREPARATION] = prepared.to_dict()
    write(path, model_file.encoded(model), reads)


def load(path: Path) -> tuple["Sequential", Preparation | None]:
    """Read a model file, and what it remembers of the table; a model that was saved in Python remembers none.

    Raises
    ------
    OSError
        The file cannot be read.
    ValueError
        It is no model.
    """
    from fastnn.models import Sequential

    model = model_file.from_bytes(model_file.read(path), repr(str(path)), Sequential, None, None, compiled=False)
    known = model.metadata.get(PREPARATION)
    try:
        return model, None if known is None else Preparation.from_dict(known)
    except (AttributeError, TypeError) as error:
        raise ValueError(f"{path}: metadata[{PREPARATION!r}] is not what `fastnn train` puts there ({error})") from None


def predictions(
    model: "Sequential", prepared: Preparation | None, table: CsvFile, probabilities: bool
) -> tuple[list[str], list[list[Any]]]:
    """Apply a model to a table.

    A model that was not made by ``fastnn train`` knows no names: it takes all columns in order and gives bare outputs.

    Returns
    -------
    names : list of str
        Names of the columns of the result.
    rows : list of list
        One row for each row of data.

    Raises
    ------
    ValueError
        Columns are missing, a cell is no number, the model gives none, or probabilities are wanted of a regression.
    """
    if prepared is None:
        x, _ = table.read(range(len(table.names)))
        outputs = _outputs(model, x, table)
        return [f"output_{i + 1}" for i in range(outputs.shape[1])], outputs.tolist()
    if probabilities and not prepared.classes:
        raise ValueError("this model does regression; --proba is for classification")
    x, _ = table.read(prepared.select(table))
    outputs = _outputs(model, prepared.inputs(x, model.variable_dtype), table)
    names, rows = [prepared.target], [[value] for value in prepared.decode(outputs)]
    if probabilities:
        names += [f"probability of {name}" for name in prepared.classes]
        for row, found in zip(rows, prepared.probabilities(outputs).tolist(), strict=True):
            row += [round(probability, 6) for probability in found]
    return names, rows


def _outputs(model: "Sequential", x: np.ndarray, table: CsvFile) -> np.ndarray:
    outputs = model.predict(x, verbose=0)
    good = np.isfinite(outputs).all(axis=1)
    if not good.all():
        line = table.lines()[int(np.argmin(good))]
        raise ValueError(
            f"{table.path}, line {line}: the model gives no finite number for this row; either its training diverged, "
            "or the row is far from what it was trained on"
        )
    return outputs
