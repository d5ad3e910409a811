"""The epoch loop that both faces stand on, with a run that computes nothing."""

import pytest

from fastnn.engine.epoch_loop import EpochLoop


class FakeRun:
    """A run whose calls do so many steps at most; one of them may be interrupted."""

    def __init__(self, epochs=3, steps_per_epoch=4, most=10**6, interrupt_at=None, done=0):
        self.epochs, self.steps_per_epoch, self.done = epochs, steps_per_epoch, done
        self.most, self.interrupt_at, self.asked = most, interrupt_at, []

    def advance(self, steps):
        self.asked.append(steps)
        self.done += min(steps, self.most)
        if self.interrupt_at is not None and self.done >= self.interrupt_at:
            raise KeyboardInterrupt


class Loop(EpochLoop):
    """Notes what it is told, and stops where it is told to."""

    def __init__(self, run, each_batch=False, each_epoch=False, stop_at=None, stop_after=None, ahead=None):
        super().__init__(run, each_batch, each_epoch)
        self.told, self.times = [], []
        self.stop_at, self.stop_after, self.ahead = stop_at, stop_after, ahead

    def _begin(self, epoch, at=None):
        self.told.append(f"begin {epoch}")
        self.times.append(at)

    def _begin_batch(self, step):
        self.told.append(f"step {step}")

    def _end_batch(self, epoch, step):
        self.told.append(f"done {epoch}.{step}")

    def _look(self, epoch, steps):
        self.told.append(f"at {epoch}.{steps}")

    def _record(self, epoch):
        assert self.finished == epoch
        self.told.append(f"record {epoch}")

    def _report(self, epoch, at=None):
        assert self.finished == epoch + 1
        self.told.append(f"report {epoch}")
        self.times.append(at)
        return "enough" if epoch == self.stop_after else ""

    def _stopped(self):
        return "stopped" if self.stop_at is not None and self.run.done >= self.stop_at else ""

    def _epochs_ahead(self):
        return super()._epochs_ahead() if self.ahead is None else self.ahead


def whole(*epochs):
    return [f"{word} {epoch}" for epoch in epochs for word in ("begin", "record", "report")]


def test_unwatched_epochs_are_one_advance():
    loop = Loop(FakeRun())
    assert loop._train() == ""
    assert loop.run.asked == [12]
    assert loop.told == whole(0, 1, 2)
    assert loop.finished == 3


def test_watched_epochs_are_done_one_by_one():
    loop = Loop(FakeRun(), each_epoch=True)
    assert loop._train() == ""
    assert loop.run.asked == [4, 4, 4]
    assert loop.told == whole(0, 1, 2)


def test_watched_batches_are_done_one_by_one():
    loop = Loop(FakeRun(epochs=2, steps_per_epoch=2), each_batch=True)
    assert loop.each_epoch
    assert loop._train() == ""
    assert loop.run.asked == [1, 1, 1, 1]
    assert loop.told == [
        "begin 0", "step 0", "done 0.0", "at 0.1", "step 1", "done 0.1", "record 0", "report 0",
        "begin 1", "step 0", "done 1.0", "at 1.1", "step 1", "done 1.1", "record 1", "report 1",
    ]  # fmt: skip


def test_calls_that_end_anywhere():
    loop = Loop(FakeRun(most=7))
    assert loop._train() == ""
    assert loop.run.asked == [12, 5]
    assert loop.told == [*whole(0), "begin 1", "at 1.3", "record 1", "report 1", *whole(2)]


def test_no_further_than_the_epochs_that_may_be_looked_ahead():
    loop = Loop(FakeRun(epochs=5), ahead=2)
    assert loop._train() == ""
    assert loop.run.asked == [8, 8, 4]
    assert loop.told == whole(*range(5))


def test_no_further_than_looked_ahead_where_calls_are_cut_short():
    loop = Loop(FakeRun(epochs=5, most=3), ahead=2)
    assert loop._train() == ""
    assert loop.run.asked[:4] == [8, 5, 6, 7]  # to the end of two epochs from the present one on


def test_a_report_stops_the_training():
    loop = Loop(FakeRun(), each_epoch=True, stop_after=1)
    assert loop._train() == "enough"
    assert loop.told == whole(0, 1)
    assert loop.run.done == 8


@pytest.mark.parametrize("each_epoch", [False, True])
def test_an_epoch_that_is_stopped_in_its_midst_is_reported(each_epoch):
    loop = Loop(FakeRun(most=3), each_epoch=each_epoch, stop_at=6)
    assert loop._train() == "stopped"
    assert loop.run.done == (6 if not each_epoch else 7)
    assert loop.told[-3:] == [f"at 1.{loop.run.done - 4}", "record 1", "report 1"]
    assert loop.finished == 2


def test_the_reason_of_a_report_counts_before_the_other():
    loop = Loop(FakeRun(most=3), stop_at=6, stop_after=1)
    assert loop._train() == "enough"


def test_nothing_is_done_if_stopped_before():
    loop = Loop(FakeRun(), stop_at=0)
    assert loop._train() == "stopped"
    assert (loop.told, loop.run.asked) == ([], [])


def test_no_reason_is_asked_for_after_the_last_step():
    loop = Loop(FakeRun(), stop_at=12)
    assert loop._train() == ""
    assert Loop(FakeRun(epochs=0))._train() == ""


def test_going_on_in_the_midst_of_an_epoch_does_not_begin_it_again():
    loop = Loop(FakeRun(done=6))
    loop.finished = 1
    assert loop._train() == ""
    assert loop.run.asked == [6]
    assert loop.told == ["record 1", "report 1", *whole(2)]


def test_stopped_before_in_the_midst_of_an_epoch():
    """As in a fit that goes on from the backup of one that was stopped: the epoch is still reported."""
    loop = Loop(FakeRun(done=6), stop_at=0)
    loop.finished = 1
    assert loop._train() == "stopped"
    assert loop.told == ["record 1", "report 1"]


def test_an_interrupt_passes_with_all_that_was_reported():
    loop = Loop(FakeRun(interrupt_at=8), each_epoch=True)
    with pytest.raises(KeyboardInterrupt):
        loop._train()
    assert loop.told == [*whole(0), "begin 1"]
    assert (loop.finished, loop.run.done) == (1, 8)
    loop.run.interrupt_at = None
    assert loop._finish() == ""  # as a face may do afterwards
    assert loop.finished == 2


def test_epochs_told_afterwards_have_times_in_order():
    loop = Loop(FakeRun(most=10))
    loop._train()
    begun, times = loop.times[0], loop.times[1:6]
    assert begun is None
    assert times == sorted(times)
    assert times[0] == times[1]  # the end of one is the beginning of the next
