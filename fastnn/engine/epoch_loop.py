"""The epoch loop: how far the compiled program runs at once, and what happens between."""

from __future__ import annotations

import time
from typing import Any


class EpochLoop:
    """One fit in progress: takes a run through its epochs, and tells of each of them in its turn.

    The run advances by single steps if somebody looks at batches, by epochs if somebody looks at epochs, and else as
    far as it can; what there is to tell of those epochs is then told afterwards. Subclasses say who is told what, and
    when to stop.

    Parameters
    ----------
    run : Run
        Its first epoch is number 0 in all that follows.
    each_batch, each_epoch : bool
        Whether somebody looks at single batches, and at epochs.

    Attributes
    ----------
    finished : int
        Epochs that are recorded.
    """

    def __init__(self, run: Any, each_batch: bool, each_epoch: bool) -> None:
        self.run, self.each_batch, self.each_epoch = run, each_batch, each_batch or each_epoch
        self.finished = 0

    def _begin(self, epoch: int, at: float | None = None) -> None:
        """Tell that an epoch begins, or has begun at a time of ``time.perf_counter``."""

    def _begin_batch(self, step: int) -> None:
        """Tell that a step of an epoch begins."""

    def _end_batch(self, epoch: int, step: int) -> None:
        """Tell that it is done."""

    def _look(self, epoch: int, steps: int) -> None:
        """Tell that so many steps of an unfinished epoch are done."""

    def _record(self, epoch: int) -> None:
        """Note what came of an epoch; when this is done, the epoch counts as finished."""

    def _report(self, epoch: int, at: float | None = None) -> str:
        """Tell of a recorded epoch, which has ended at a time, or now; return why to stop after it, else ""."""
        return ""

    def _stopped(self) -> str:
        """Return why to do no step more, else ""; asked before each advance."""
        return ""

    def _epochs_ahead(self) -> int:
        """Return how many epochs may be done before one of them is reported, where nobody looks at each."""
        return self.run.epochs

    def _do(self, steps: int) -> None:
        """Do so many steps, or some of them."""
        self.run.advance(steps)

    def _train(self) -> str:
        """Train until all epochs are done, or there is a reason to stop; return it, else "".

        An epoch that is stopped in its midst is recorded and reported as the others are.
        """
        run, per_epoch = self.run, self.run.steps_per_epoch
        total, reason, end = run.epochs * per_epoch, "", None
        while (before := run.done) < total and not (reason := self._stopped()):
            first, step = divmod(before, per_epoch)
            if step == 0:
                self._begin(first)
            start = time.perf_counter()
            self._advance(first, step)
            per_step = (time.perf_counter() - start) / (run.done - before)
            last, step = divmod(run.done, per_epoch)
            for epoch in range(first, last + (step > 0)):  # the epochs that this advance worked on
                if epoch > first:
                    self._begin(epoch, end)
                if epoch == last:
                    self._look(epoch, step)
                    break
                end = start + per_step * ((epoch + 1) * per_epoch - before)
                if reason := self._finish(end):
                    return reason
        if run.done % per_epoch:
            reason = self._finish() or reason
        return reason

    def _advance(self, epoch: int, step: int) -> None:
        if self.each_batch:
            self._begin_batch(step)
            self.run.advance(1)
            self._end_batch(epoch, step)
            return
        stop = min(epoch + (1 if self.each_epoch else self._epochs_ahead()), self.run.epochs)
        self._do(stop * self.run.steps_per_epoch - self.run.done)

    def _finish(self, at: float | None = None) -> str:
        """Record and report the next epoch; return why to stop after it, else ""."""
        epoch = self.finished
        self._record(epoch)
        self.finished = epoch + 1
        return self._report(epoch, at)
