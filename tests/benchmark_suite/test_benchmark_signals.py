"""The benchmark suite ends as it is told to: no process is left, and what is finished is written."""

import os
import pty
import signal
import subprocess
import sys
import time
import uuid
from contextlib import suppress
from pathlib import Path

import pytest

pytest.importorskip("benchmarks", reason="the suite is in the checkout only")

from benchmarks import worker
from benchmarks.ending import Ending
from benchmarks.results import Results

pytestmark = pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs /proc: NOT TESTED")
MARK = "FASTNN_TEST_RUN"  # in the environment of every process of a run


def processes(mark):
    """Command lines of the processes that run with a mark, by number."""
    found = {}
    for folder in Path("/proc").iterdir():
        with suppress(OSError):  # it ended meanwhile
            if folder.name.isdigit() and f"{MARK}={mark}".encode() in (folder / "environ").read_bytes().split(b"\0"):
                found[int(folder.name)] = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
    return found


def wait_for(condition, seconds, what):
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, what()
        time.sleep(0.1)
    return found


@pytest.fixture(autouse=True)
def _handlers():
    """The signals do what they do by default, also under nohup; afterwards what they did."""
    numbers = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, signal.SIG_DFL) for number in numbers]
    yield
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_breaks_off_what_is_measured_and_nothing_else(number):
    ending = Ending()
    ending.listen()
    assert ending.status == 0
    with pytest.raises(KeyboardInterrupt), ending.measuring():
        os.kill(os.getpid(), number)
    os.kill(os.getpid(), signal.SIGTERM)  # while the report is written
    assert ending.status == 128 + number
    with pytest.raises(KeyboardInterrupt), ending.measuring():
        raise AssertionError("nothing more is measured")


def test_signals_that_were_ignored_stay_so():
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    ending = Ending()
    ending.listen()
    with ending.measuring():
        os.kill(os.getpid(), signal.SIGHUP)
    assert ending.status == 0


class Child:
    """Becomes a process that sleeps, wherever it is unpickled."""

    def __reduce__(self):
        return subprocess.Popen, (["sleep", "300"],)


@pytest.mark.parametrize("killed", [False, True])
def test_what_a_worker_started_is_gone_with_it(monkeypatch, killed):
    """Also where the worker itself was killed, and could tidy up nothing."""
    mark = uuid.uuid4().hex
    monkeypatch.setenv(MARK, mark)
    contender = worker.Worker("numpy", 1)
    try:
        with pytest.raises(worker.WorkerFailed, match="no attribute 'nonsense'"):
            contender.call("nonsense", Child())
        assert sorted(text.split()[0] for text in processes(mark).values())[-1] == "sleep"
        if killed:
            os.kill(contender._process.pid, signal.SIGKILL)
            contender._process.join()
        else:
            contender.terminate()
    finally:
        contender.close(at_once=True)
    wait_for(lambda: "sleep" not in str(processes(mark)), 10, lambda: str(processes(mark)))
    assert not contender.alive


class Said:
    """What was written to a terminal so far."""

    def __init__(self, terminal):
        os.set_blocking(terminal, False)
        self._stream, self._text = os.fdopen(terminal, "rb", 0), ""

    def text(self):
        with suppress(OSError, ValueError):  # nothing new, nobody there any more, or closed
            while new := self._stream.read(65536):
                self._text += new.decode(errors="replace")
        return self._text

    def close(self):
        self._stream.close()


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.parametrize(
    ("number", "task", "grandchild"),
    [
        (signal.SIGTERM, "search-pima", "loky"),
        (signal.SIGHUP, "script-sign-mnist", "script.py"),
        (signal.SIGKILL, "script-sign-mnist", "script.py"),
    ],
)
def test_a_signal_to_the_command_alone_ends_the_whole_run(checkout, tmp_path, number, task, grandchild):
    if task == "search-pima" and len(os.sched_getaffinity(0)) < 2:
        pytest.skip("joblib starts processes for two cores: NOT TESTED")
    mark, threads = uuid.uuid4().hex, "2" if task == "search-pima" else "1"
    command = [sys.executable, "-m", "fastnn", "bench", "adam-pima", task, "--peers", "scikit-learn,numpy"]
    options = ["--rounds", "1", "--threads", threads, "--output", str(tmp_path / "report")]
    environment = {**os.environ, MARK: mark, "https_proxy": "http://127.0.0.1:9"}  # and no data are fetched
    terminal, other_end = pty.openpty()
    run = subprocess.Popen([*command, *options], cwd=checkout, env=environment, stdout=other_end, stderr=other_end)
    os.close(other_end)
    said = Said(terminal)
    try:
        wait_for(lambda: "adam-pima: fastnn" in said.text(), 120, said.text)
        wait_for(lambda: grandchild in str(processes(mark)), 120, lambda: str(processes(mark)))
        if number == signal.SIGHUP:  # with which a terminal goes
            said.close()
        run.send_signal(number)
        wait_for(lambda: said.text() and run.poll() is not None, 60, said.text)
        wait_for(lambda: not processes(mark), 2 * worker.GRACE + 5, lambda: str(processes(mark)))
    finally:
        for left in processes(mark):
            with suppress(ProcessLookupError):
                os.kill(left, signal.SIGKILL)
        run.wait()
        said.close()
    assert run.returncode == (-number if number == signal.SIGKILL else 128 + number)
    if number != signal.SIGKILL:
        assert [result.name for result in Results.load(tmp_path / "report" / "results.json").tasks] == ["adam-pima"]
        assert (tmp_path / "report" / "report.md").exists()
    if number == signal.SIGTERM:
        assert "interrupted: what follows is what was finished" in said.text()
