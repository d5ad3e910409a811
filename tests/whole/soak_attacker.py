"""The process that attacks those of `soak_victim`: signals, limits, a full disk, hands in the folder of the cache.

Whatever happens, a job ends with the bits of an undisturbed one, every file is whole and of a whole step, nothing
hangs, foreign files stay, and what fails does so for a reason that this process gave it.
``python -m tests.whole.soak_attacker FOLDER SECONDS SEED`` prints a report, as JSON.
"""

import builtins
import contextlib
import json
import os
import pickle
import random
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter, defaultdict, deque
from pathlib import Path

from fastnn.models import load_model
from tests.whole.soak_cache import Cache
from tests.whole.soak_victim import JOBS, digest

VICTIMS = 2
PATIENCE = 300  # seconds without a word after which a victim hangs; it compiles, beside others, in less
LONGEST = 0.5  # seconds that a limit or a pause lasts
SIGNALS = {  # what may come of each
    "INT": {"KeyboardInterrupt"},
    "KILL": {"SIGKILL"},
    "TERM": {"SystemExit"},
    "USR1": set(),
    "USR2": set(),
    "ALRM": set(),
}
EARLY = {"INT", "KILL"}  # may strike before a victim has its handlers
MEBIBYTE = 2**20
LLVM_ENDS = ("out of memory", "bad_alloc", "Unable to allocate")  # the process, where memory runs out in its midst
LIMITS = {  # bounds of the limit, and what may come of it; those of memory and processor time are beyond what is used
    "AS": (0, 32 * MEBIBYTE, {"MemoryError", "OSError", "ImportError", "RuntimeError"}),
    "CPU": (0, 1, {"TimeUp"}),
    "FSIZE": (0, 8192, {"OSError"}),
    "NOFILE": (0, 16, {"OSError", "ImportError"}),
    "NPROC": (0, 2, {"OSError", "RuntimeError"}),
    "STACK": (MEBIBYTE, 4 * MEBIBYTE, set()),
}


class Failure(Exception):
    """What must not be."""


class Victim:
    """A process, started again whenever it ends, and the job that it is at."""

    def __init__(self, folder, cache, bits, steps):
        self.folder, self.cache, self.bits, self.steps = folder, cache, bits, steps
        self.counts = Counter()
        self.reasons = deque([set()], 2)  # a signal may strike as late as in the next job

    def take(self, job):
        """Have another job, which begins anew."""
        self.job = job
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir()

    def start(self):
        self.counts["lives"] += 1
        self.words, self.errors = deque(), deque(maxlen=200)
        self.ready, self.heard = False, time.monotonic()
        environment = os.environ | {"FASTNN_CACHE_DIR": str(self.cache.folder)}
        self.process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "tests.whole.soak_victim"], env=environment, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        streams = ((self.process.stdout, self.words), (self.process.stderr, self.errors))
        self.readers = [threading.Thread(target=self._read, args=each, daemon=True) for each in streams]
        for reader in self.readers:
            reader.start()

    def _read(self, stream, words):
        with stream:
            for line in stream:
                self.heard = time.monotonic()
                words.append(line.rstrip("\n"))

    def _begin(self):
        self.reasons.append(set())
        self.heard = time.monotonic()
        with contextlib.suppress(OSError):  # it is dead, and will be noticed
            self.process.stdin.write(f"{self.job} {self.folder}\n")
            self.process.stdin.flush()

    def attend(self):
        """Hear what it says, start it again if it is dead, send it back to its job; returns whether that is done."""
        dead = self.process.poll() is not None
        if dead:
            self._join()
        done = False
        while self.words:
            done |= self._hear(*self.words.popleft().split(" ", 3))
        if dead:
            self._bury()
            if not done:
                self.start()
        elif time.monotonic() > self.heard + PATIENCE:
            self.process.send_signal(signal.SIGABRT)  # its fault handler tells where it hangs
            self.process.wait()
            self._join()
            raise Failure(self._described(f"no word for {PATIENCE} s"))
        return done

    def go_on(self):
        """Do the next job, in the same process if it lives."""
        if self.process.poll() is None:
            self._begin()
        else:
            self.start()

    def end(self):
        """Let the process end."""
        self.process.stdin.close()
        code = self.process.wait(PATIENCE)
        self._join()
        if code:
            raise Failure(self._described(f"it ended with {code}"))

    def _join(self):
        for reader in self.readers:
            reader.join()

    def _hear(self, word, job="", what="", message=""):
        if word == "ready":
            self.ready = True
            self._begin()
        elif word == "seen":
            self.counts["steps seen by handlers"] += 1
            self._check_step(job, "what a handler saw")
        elif word == "error":
            self.counts[f"{what} in a job"] += 1
            self._check_reason(what, message)
            self._check_files()
            self._begin()
        elif word == "done":
            self.counts[job] += 1
            self._check_files()
            if what != self.bits[job]:
                raise Failure(self._described(f"other bits: {what}"))
        return word == "done"

    def _bury(self):
        code = self.process.returncode
        said = [line for line in self.errors if line.strip() and not line.startswith("fastnn: ")]  # also after an error
        last = said[-1] if said else ""
        if code == 1:  # a traceback, of an error between jobs
            kind = last.partition(":")[0].rpartition(".")[2]
        elif any(phrase in line for line in self.errors for phrase in LLVM_ENDS):
            kind = "MemoryError"
        elif code < 0:
            kind = "KeyboardInterrupt" if code == -signal.SIGINT else signal.Signals(-code).name
        else:
            kind = "SystemExit" if code == 3 else f"exit {code}"
        self.counts[f"{kind} ended the process"] += 1
        self._check_reason(kind, last)
        self._check_files()

    def _check_reason(self, kind, message):
        error, allowed = getattr(builtins, kind, None), set().union(*self.reasons)
        kinds = {base.__name__ for base in error.__mro__} if isinstance(error, type) else {kind}
        if not kinds & allowed:
            raise Failure(self._described(f"{kind} though only {sorted(allowed)} may be: {message}"))

    def _check_step(self, found, what):
        if found not in self.steps[self.job]:
            raise Failure(self._described(f"{what}, {found}, is of no whole step{self._whose(found)}"))

    def _whose(self, found):
        return "".join(f", but of one of the job {job}" for job, steps in self.steps.items() if found in steps)

    def _check_files(self):
        for path in self.folder.rglob("*.fastnn"):
            self._check_step(digest(load_model(path), state=True), path.name)
            self.counts["files read"] += 1
        for path in self.folder.glob("*.pickle"):
            self._check_step(digest(pickle.loads(path.read_bytes())[1]), path.name)
            self.counts["files read"] += 1

    def _described(self, what):
        return "\n".join([f"{self.folder.name}, job {self.job}: {what}", *self.errors])


def undisturbed(cache, folder):
    """Do every job in peace; returns the bits that each ends with, and those of all steps."""
    folder.mkdir()
    command = [sys.executable, "-W", "ignore", "-m", "tests.whole.soak_victim", str(folder)]
    environment = os.environ | {"FASTNN_CACHE_DIR": str(cache)}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    bits, steps = {}, defaultdict(set)
    for word, *rest in map(str.split, done.stdout.splitlines()):
        if word == "step":
            steps[rest[0]].update(rest[1:])
        elif word == "done":
            bits[rest[0]] = rest[1]
    return bits, steps


class Attacker:
    """Attacks victims until the time is over, then lets each do every job in peace."""

    def __init__(self, folder, seconds, seed):
        self.folder, self.choices, self.counts = Path(folder), random.Random(seed), Counter()
        known = undisturbed(self.folder / "whole", self.folder / "undisturbed")
        self.end = time.monotonic() + seconds
        self.cache = Cache(self.folder / "cache", self.folder / "whole", self.choices)
        self.victims = [Victim(self.folder / f"victim{number}", self.cache, *known) for number in range(VICTIMS)]
        self.kinds = [self.signal] * 4 + [self.limit] * 4 + [self.edit] * 2 + [self.stop]
        self.kinds += [self.fill] * os.path.ismount(folder)

    def run(self):
        """Attack, and return what was done, and what came of it."""
        for victim in self.victims:
            victim.take(self.choices.choice(list(JOBS)))
            victim.start()
        try:
            while time.monotonic() < self.end:
                self.choices.choice(self.kinds)(self.choices.choice(self.victims))
                pause = time.monotonic() + self.choices.expovariate(4)
                while time.monotonic() < pause:
                    self._attend()
            self._finish()
        finally:
            for victim in self.victims:
                victim.process.kill()
        self.cache.mend()
        done = {"attacks": self.counts, "victims": sum((victim.counts for victim in self.victims), Counter())}
        if self.cache.lost:
            raise Failure(f"foreign files that were lost: {self.cache.lost}, by {done}")
        return done

    def _attend(self):
        for victim in self.victims:
            if victim.attend():
                victim.take(self.choices.choice(list(JOBS)))
                victim.go_on()
        time.sleep(0.01)

    def _finish(self):
        left = {victim: list(JOBS) for victim in self.victims}
        while left:
            for victim, jobs in list(left.items()):
                if not victim.attend():
                    continue
                if jobs:
                    victim.take(jobs.pop())
                    victim.go_on()
                else:
                    victim.end()
                    del left[victim]
            time.sleep(0.01)

    def signal(self, victim):
        name = self.choices.choice(list(SIGNALS))
        if not victim.ready and (name not in EARLY or self.choices.random() < 0.7):  # or it would never get to work
            return
        victim.reasons[-1] |= SIGNALS[name]
        self.counts[f"SIG{name}"] += 1
        victim.process.send_signal(getattr(signal, f"SIG{name}"))

    def stop(self, victim):
        self.counts["SIGSTOP"] += 1
        victim.process.send_signal(signal.SIGSTOP)
        self._wait()
        victim.process.send_signal(signal.SIGCONT)

    def limit(self, victim):
        if not victim.ready:
            return
        name, (least, most, reasons) = self.choices.choice(list(LIMITS.items()))
        pid, kind, value = victim.process.pid, getattr(resource, f"RLIMIT_{name}"), self.choices.randint(least, most)
        with contextlib.suppress(ProcessLookupError):
            if name == "AS":
                value += int(Path(f"/proc/{pid}/statm").read_text().split()[0]) * resource.getpagesize()
            elif name == "CPU":
                ticks = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
                value += sum(map(int, ticks)) // os.sysconf("SC_CLK_TCK")
            victim.reasons[-1] |= reasons
            self.counts[f"RLIMIT_{name}"] += 1
            before = resource.prlimit(pid, kind)
            resource.prlimit(pid, kind, (value, before[1]))
            self._wait()
            resource.prlimit(pid, kind, before)

    def fill(self, victim):
        for each in self.victims:
            each.reasons[-1] |= {"OSError"}
        self.counts["full disk"] += 1
        path = self.folder / "filling"
        with open(path, "wb", 0) as file:
            for size in (MEBIBYTE, 4096):
                with contextlib.suppress(OSError):
                    while True:
                        file.write(bytes(size))
            file.truncate(file.tell() - self.choices.choice([0, 0, 4096, 8192]))
        self._wait()
        path.unlink()

    def edit(self, victim):
        self.counts[f"cache: {self.cache.attack()}"] += 1

    def _wait(self):
        time.sleep(self.choices.uniform(0, LONGEST))


if __name__ == "__main__":
    try:
        print(json.dumps(Attacker(sys.argv[1], float(sys.argv[2]), int(sys.argv[3])).run()))
    except Failure as failure:
        sys.exit(str(failure))
