"""The one table of tasks: what is measured, at which sizes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from difflib import get_close_matches

from benchmarks.kinds import Estimator, Fit, Predict, Product, Script, Search, Step, Task

SIGN_MNIST = (784, 512, 512, 24)
CROSSENTROPY = "sparse_categorical_crossentropy"


def _products() -> Iterable[Product]:
    shapes = [(10, 8, 16), (200, 784, 512), (200, 512, 512), (200, 512, 24), (32, 784, 512), (256, 256, 256)]
    for rows, inputs, outputs in shapes:
        for operation in ("forward", "weight gradient", "input gradient"):
            if not (operation == "input gradient" and inputs in (8, 784)):  # nobody needs the first layer's
                name = f"{operation.replace(' ', '-')}-{rows}-{inputs}-{outputs}"
                yield Product(
                    name=name, operation=operation, rows=rows, inputs=inputs, outputs=outputs, threads=1,
                    in_quick=(rows, inputs) == (200, 512),
                )  # fmt: skip


def _scaling() -> Iterable[Fit]:
    base = Fit(
        name="", group="scaling", data="clouds", layers=(64, 128, 128, 10), loss=CROSSENTROPY, batch=128, rows=8192,
        epochs=1,
    )  # fmt: skip
    for batch in (1, 4, 16, 64, 256, 1024):
        place = ("batch size", batch)
        yield replace(
            base, name=f"scaling-batch-{batch}", batch=batch, rows=4096, scale=place, in_quick=batch in (4, 64, 1024)
        )
    for width in (8, 16, 31, 32, 33, 64, 100, 128, 256, 512, 1024):
        layers, place = (64, width, width, 10), ("units of a layer", width)
        yield replace(base, name=f"scaling-width-{width}", layers=layers, scale=place, in_quick=width in (16, 64, 256))
    for rows in (1024, 4096, 16384, 65536):
        yield replace(base, name=f"scaling-rows-{rows}", rows=rows, scale=("rows", rows), in_quick=False)
    for epochs in (1, 4, 16):
        yield replace(
            base, name=f"scaling-epochs-{epochs}", rows=4096, epochs=epochs, scale=("epochs", epochs),
            in_quick=False,
        )  # fmt: skip
    for threads in (1, 2, 4, 8, 16, 32, 64):
        yield replace(
            _sign_mnist(200), name=f"scaling-threads-{threads}", group="scaling", epochs=1, threads=threads,
            scale=("threads", threads), in_quick=False,
        )  # fmt: skip


def _sign_mnist(batch: int) -> Fit:
    return Fit(
        name=f"sign-mnist-{batch}", data="sign-MNIST", layers=SIGN_MNIST, loss=CROSSENTROPY, batch=batch,
        epochs=1 if batch < 100 else 2, tolerance=0.35 if batch < 100 else 0.15, in_quick=batch in (32, 200),
    )  # fmt: skip


# On raw features the order of the rows alone moves the loss by a tenth.
_PIMA = Fit(
    name="pima", data="Pima", layers=(8, 16, 8, 1), batch=10, epochs=150, threads=1, jit_compile=True, tolerance=0.35
)
_SIMPLECHAINS = Fit(
    name="simplechains", data="matrix exponential", layers=(4, 32, 16, 4), activation="tanh", loss="mean_squared_error",
    batch=10_000, epochs=200, jit_compile=True,
)  # fmt: skip
_PIMA_ESTIMATOR = Estimator(
    name="classifier-pima", data="Pima", hidden=_PIMA.layers[1:-1], batch=_PIMA.batch, epochs=_PIMA.epochs, threads=1
)
_PIMA_SCRIPT = Script(
    name="script-pima", data="Pima", layers=_PIMA.layers, batch=_PIMA.batch, epochs=_PIMA.epochs, threads=1
)

TASKS: dict[str, Task] = {
    task.name: task
    for task in (
        _PIMA,
        replace(_PIMA, name="pima-general", jit_compile=False, in_quick=False),
        *map(_sign_mnist, (32, 128, 200, 512)),
        replace(_sign_mnist(200), name="sign-mnist-200-bf16", dtype="mixed_bfloat16", in_quick=False),
        _SIMPLECHAINS,
        replace(_SIMPLECHAINS, name="simplechains-general", jit_compile=False, in_quick=False),
        Fit(name="tabular", data="wide table", layers=(50, 256, 256, 256, 1), batch=256, epochs=2),
        replace(_PIMA, name="eight-fits", models=8, threads=None),
        _PIMA_ESTIMATOR,
        replace(_PIMA_ESTIMATOR, name="classifier-pima-validation", validation=True, in_quick=False),
        Estimator(name="classifier-sparse-text", data="sparse text", hidden=(100,), batch=200, epochs=5),
        Search(
            name="search-pima",
            data="Pima",
            hidden=((8,), (16,), (32,), (16, 8), (32, 16)),
            alphas=(1e-4, 1e-2, 1.0, 10.0),
            rates=(1e-3, 3e-3, 1e-2),
            batch=_PIMA.batch,
            epochs=_PIMA.epochs,
            most_rounds=1,
            in_quick=False,
        ),
        *(Predict(name=f"predict-{rows}", rows=rows) for rows in (1, 32, 10_000, 1_000_000)),
        *_products(),
        *(
            Step(name=f"adam-{name}", layers=layers, threads=1)
            for name, layers in (("pima", _PIMA.layers), ("sign-mnist", SIGN_MNIST))
        ),
        replace(_PIMA_SCRIPT, name="script-pima-first", empty_cache=True, in_quick=False),
        _PIMA_SCRIPT,
        Script(
            name="script-sign-mnist",
            data="sign-MNIST",
            layers=SIGN_MNIST,
            loss=CROSSENTROPY,
            batch=200,
            epochs=1,
            in_quick=False,
        ),
        *_scaling(),
    )
}
GROUPS = tuple(dict.fromkeys(task.group for task in TASKS.values()))


def choose(names: Iterable[str], quick: bool = False) -> list[Task]:
    """Return the tasks that are named, by their own names or by those of groups; all if nothing is named.

    Raises
    ------
    ValueError
        For a name of neither.
    """
    names = list(names) or list(GROUPS)
    for name in names:
        if name not in TASKS and name not in GROUPS:
            close = get_close_matches(name, [*TASKS, *GROUPS])
            hint = f"did you mean {' or '.join(close)}?" if close else "`fastnn bench --list` lists them"
            raise ValueError(f"unknown task {name!r}; groups are {', '.join(GROUPS)}; {hint}")
    if not quick:
        return [task for task in TASKS.values() if task.name in names or task.group in names]
    return [task.quick() for task in TASKS.values() if task.name in names or (task.group in names and task.in_quick)]
