"""What a run of the suite found, as plain data that goes to JSON and back."""

from __future__ import annotations

import dataclasses
import json
import math
import re
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.contenders import SUBJECT
from fastnn.commands import outputs

FORMAT = 1
BUSY = 0.25  # load of each core from which times mean little


@dataclass
class Figure:
    """One contender at one task.

    Attributes
    ----------
    turns : list of list of float
        Seconds per unit of each timed run of each turn; empty if it was refused or failed.
    quality : dict of str to float
        Medians over the turns of loss, accuracy, error, memory in bytes: as far as the task has them.
    refused : str
        Why there are no times.
    """

    turns: list[list[float]] = field(default_factory=list)
    quality: dict[str, float] = field(default_factory=dict)
    refused: str = ""

    @property
    def medians(self) -> list[float]:
        """Median of each turn."""
        return [median(turn) for turn in self.turns]

    @property
    def seconds(self) -> float:
        """Median of the turns' medians; NaN without times."""
        return median(self.medians) if self.turns else math.nan

    @property
    def spread(self) -> float:
        """Half the distance between the fastest and the slowest turn, as a share of the median."""
        return (max(self.medians) - min(self.medians)) / 2 / self.seconds if self.turns else math.nan


@dataclass
class TaskResult:
    """All contenders at one task, the order of `figures` being that of the table of contenders."""

    name: str
    title: str
    group: str
    unit: str
    threads: int
    about: str
    flops: float = 0.0
    scale: tuple[str, float] | None = None
    figures: dict[str, Figure] = field(default_factory=dict)

    def ratio(self, name: str) -> float:
        """Median over the turns of a contender's time divided by fastnn's in the same turn."""
        ours, theirs = (self.figures[key].medians if key in self.figures else [] for key in (SUBJECT, name))
        return median([b / a for a, b in zip(ours, theirs, strict=False)]) if ours and theirs else math.nan

    def rate(self, name: str) -> float:
        """Operations per second in matrix products; NaN where they are not what counts."""
        return self.flops / self.figures[name].seconds if self.flops else math.nan


@dataclass
class Results:
    """A whole run.

    Attributes
    ----------
    machine : dict
        `fastnn.commands.machine.facts` without anything that names the machine or its folders.
    busy : float
        Load of each core by others before the run; near 0 on a machine fit for measuring.
    versions : dict of str to str
        Of the contenders.
    peaks : dict of str to float
        Measured multiply-add peak in operations per second, by number of threads.
    limited : str
        Instructions that the run was limited to (``--simd``); empty for all that the CPU has.
    """

    date: str
    quick: bool
    rounds: int
    machine: dict[str, Any]
    busy: float
    versions: dict[str, str]
    peaks: dict[str, float] = field(default_factory=dict)
    tasks: list[TaskResult] = field(default_factory=list)
    limited: str = ""
    format: int = FORMAT

    def share_of_peak(self, task: TaskResult, name: str) -> float:
        """Rate of a contender as a share of the peak of as many threads."""
        return task.rate(name) / self.peaks.get(str(task.threads), math.nan)

    def save(self, path: Path) -> None:
        text = json.dumps(dataclasses.asdict(self), indent=1, allow_nan=False)
        outputs.write_text(path, _compact(text) + "\n")

    @classmethod
    def load(cls, path: Path) -> Results:
        """Read what `save` wrote.

        Raises
        ------
        ValueError
            If it is something else.
        """
        found = json.loads(path.read_text())
        if not isinstance(found, dict) or found.get("format") != FORMAT:
            raise ValueError(f"{path} holds no results of this suite (format {FORMAT})")
        for task in found["tasks"]:
            task["figures"] = {name: Figure(**figure) for name, figure in task["figures"].items()}
            task["scale"] = tuple(task["scale"]) if task["scale"] else None
        return cls(**{**found, "tasks": [TaskResult(**task) for task in found["tasks"]]})


def _compact(text: str) -> str:
    """Put lists of plain values on one line each."""
    return re.sub(r"\[[^\[\]{}]*\]", lambda match: re.sub(r"\s*\n\s*", " ", match.group()), text)


def machine_facts() -> dict[str, Any]:
    """Facts of `fastnn.commands.machine` that may be published: what the machine is, not which one."""
    from fastnn.commands.machine import facts

    found = facts()
    kept = {key: found[key] for key in ("cpu", "memory_bytes", "simd", "cpu_features", "versions")}
    return {"system": found["system"].split("-")[0], **kept, "cores": found["threads"]["number"]}


def machine_kind(machine: dict[str, Any]) -> str:
    """Name for a file of results, such as ``amd-epyc-avx512-2-cores``."""
    words = "".join(c if c.isalnum() else " " for c in machine["cpu"].lower()).split()
    plain = [word for word in words if word not in ("cpu", "processor", "r", "tm")]
    return "-".join([*plain, machine["simd"], str(machine["cores"]), "cores"])
