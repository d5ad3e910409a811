"""The one table of contenders."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

from benchmarks.contenders.base import Contender
from benchmarks.contenders.with_fastnn import FastNN
from benchmarks.contenders.with_jax import Jax
from benchmarks.contenders.with_numpy import NumPy
from benchmarks.contenders.with_onnxruntime import OnnxRuntime
from benchmarks.contenders.with_sklearn import ScikitLearn
from benchmarks.contenders.with_torch import CompiledPyTorch, PyTorch

CONTENDERS: dict[str, type[Contender]] = {
    contender.name: contender for contender in (FastNN, NumPy, ScikitLearn, PyTorch, CompiledPyTorch, Jax, OnnxRuntime)
}
SUBJECT = FastNN.name


def choose(peers: Iterable[str] | None, quick: bool = False) -> list[str]:
    """Return the names of the contenders: fastnn and the peers asked for, or all that are installed.

    Raises
    ------
    ValueError
        For a name that is not in the table, or a peer that cannot run here.
    """
    installed = [name for name, contender in CONTENDERS.items() if not contender.lacks()]
    if peers is None:
        return [name for name in installed if not (quick and CONTENDERS[name].slow_start)]
    wanted = {SUBJECT, *peers}
    for name in sorted(wanted):
        if name not in CONTENDERS:
            close = get_close_matches(name, CONTENDERS)
            hint = f"; did you mean {' or '.join(close)}?" if close else ""
            raise ValueError(f"unknown peer {name!r}; there are {', '.join(CONTENDERS)}{hint}")
        if name not in installed:
            raise ValueError(f"{name} cannot run here: {CONTENDERS[name].lacks()}")
    return [name for name in CONTENDERS if name in wanted]
