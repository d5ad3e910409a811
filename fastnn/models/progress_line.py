"""The progress line, as Keras prints it."""

import shutil
import sys
import time
from collections.abc import Mapping

from fastnn.kernels.host.streams import say, stdout

_CELLS = 20
_INTERVAL = 0.05  # seconds between two drawings of a line in progress


class ProgressLine:
    """Shows how far an epoch, an evaluation or a prediction has come.

    On a terminal and in a notebook the line is drawn again as it grows; elsewhere only finished lines are written.

    Parameters
    ----------
    steps : int
        Steps of a whole line.
    verbose : {0, 1, 2}
        Silent, line with a bar, or line without.
    """

    def __init__(self, steps: int, verbose: int) -> None:
        self._steps = steps
        self._verbose = verbose
        self._live = verbose == 1 and (stdout().isatty() or "ipykernel" in sys.modules)
        self._cell = "━" if stdout().can_show("━") else "="
        self._begun = self._drawn = time.perf_counter()
        self._width = 0  # of what now stands on the line

    def begin(self, title: str = "", at: float | None = None) -> None:
        """Start a line, under a title line if there is one; `at` is the time of its start, by default now."""
        if title and self._verbose:
            say(title)
        self._begun = time.perf_counter() if at is None else at

    def update(self, step: int, logs: Mapping[str, float]) -> None:
        """Draw the line again, if enough time has passed."""
        now = time.perf_counter()
        if self._live and now - self._drawn >= _INTERVAL:
            self._drawn = now
            duration = (now - self._begun) / max(step, 1)
            self._draw(step, _duration((self._steps - step) * duration), duration, logs)

    def finish(self, logs: Mapping[str, float], at: float | None = None) -> None:
        """Write the line in its last form; `at` is the time of its end, by default now."""
        seconds = (time.perf_counter() if at is None else at) - self._begun
        per_step = seconds / self._steps
        if self._verbose == 1:
            self._draw(self._steps, f"{seconds:.0f}s", per_step, logs)
            say("", flush=self._live)
        elif self._verbose == 2:
            count = f"{self._steps}/{self._steps}"
            say(f"{count} - {seconds:.0f}s - {_per_step(per_step)}{_metrics(logs)}")
        self._width = 0

    def leave(self) -> None:
        """End a line that will not be finished, so that what follows starts on a new one."""
        if self._width:
            say("", flush=True)
            self._width = 0

    def _draw(self, step: int, clock: str, per_step: float, logs: Mapping[str, float]) -> None:
        count = f"{step:{len(str(self._steps))}d}/{self._steps}"
        full = _CELLS * step // self._steps
        info = f"{_per_step(per_step)}{_metrics(logs)}"
        plain = f"{count} {self._cell * _CELLS} {clock} {info}"
        if not self._live:
            say(plain, end="")
            return
        if step < self._steps:  # a line that wraps cannot be drawn over
            room = shutil.get_terminal_size().columns - 1
            info = info[: max(0, len(info) - max(0, len(plain) - room))]
        width = len(count) + _CELLS + len(clock) + len(info) + 3
        bar = f"\x1b[32m{self._cell * full}\x1b[37m{self._cell * (_CELLS - full)}\x1b[0m"
        blanks = " " * (self._width - width)
        say(f"\r\x1b[1m{count}\x1b[0m {bar} \x1b[1m{clock}\x1b[0m {info}{blanks}", end="", flush=True)
        self._width = width


def _duration(seconds: float) -> str:
    minutes, whole = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}:{minutes:02d}:{whole:02d}"
    return f"{minutes}:{whole:02d}" if minutes else f"{whole}s"


def _per_step(seconds: float) -> str:
    if seconds >= 1 or seconds == 0:
        return f"{seconds:.0f}s/step"
    return f"{seconds * 1e3:.0f}ms/step" if seconds >= 1e-3 else f"{seconds * 1e6:.0f}us/step"


def _metrics(logs: Mapping[str, float]) -> str:
    return "".join(
        f" - {name}: {value:.4f}" if abs(value) > 1e-3 else f" - {name}: {value:.4e}" for name, value in logs.items()
    )
