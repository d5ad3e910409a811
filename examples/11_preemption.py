"""Trainings that are killed and go on: what a cluster that takes its machines back does, and two answers to it.

Such a cluster sends SIGTERM, waits some seconds, and kills. Here a parent trains in children, ends each in the midst of
its fit, and starts the next with the same command until one comes to the end. The first answer is a handler of SIGTERM
that saves the model at once and exits; the next process goes on from that very step. The second is the callback
BackupAndRestore, which needs no signal: its child is killed outright, and the next goes on from the last backup. Either
way the weights in the end are those of a training that nobody disturbed, bit for bit.
"""

import argparse
import hashlib
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

import fastnn
from fastnn import Dense, Dropout, Sequential
from fastnn.callbacks import BackupAndRestore, LambdaCallback

EPOCHS, KILLS = 200, 3
AGAIN = 75  # the exit code that says "start me again"


def data():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(10_000, 20)).astype(np.float32)
    return x, np.sin(x[:, 0]) * x[:, 1]


def compiled():
    fastnn.set_random_seed(1)
    layers = [Dense(64, activation="relu", input_shape=(20,)), Dropout(0.1), Dense(64, activation="relu"), Dense(1)]
    model = Sequential(layers)
    model.compile(optimizer="adam", loss="mse")
    return model


def save_when_told_to_end(model, file):
    """Return a callback that goes on where a handler has saved the model, and sets the handler up."""

    def save_and_exit(signum, frame):
        model.save(file)  # as it is after a whole step; the file is written whole, or left as it was
        record = model.record()
        print(f"  SIGTERM in epoch {record.epoch + 1} after step {record.step}: saved", flush=True)
        sys.exit(AGAIN)

    def begin(logs):
        if file.exists():
            model.restore(file)
        signal.signal(signal.SIGTERM, save_and_exit)  # not before, or it could save a model that has not gone on yet

    return LambdaCallback(on_train_begin=begin)


def train(answer, folder):
    """Train in this process, as the parent's children do."""
    model = compiled()
    callbacks = []
    if answer == "handler":
        callbacks = [save_when_told_to_end(model, folder / "model.fastnn")]
    elif answer == "backup":
        callbacks = [BackupAndRestore(folder)]
    tell = LambdaCallback(on_train_begin=lambda logs: print("training", flush=True))
    model.fit(*data(), batch_size=50, epochs=EPOCHS, verbose=0, callbacks=[*callbacks, tell])
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # what is left takes no time, and need not be done again
    weights = b"".join(weight.tobytes() for weight in model.get_weights())
    print(f"done {hashlib.sha256(weights).hexdigest()[:16]}", flush=True)


def run(answer, folder, seconds, end):
    """Run a child that is sent the signal `end` so many seconds into its fit; return its exit code and its digest."""
    command = [sys.executable, __file__, "--train", answer, "--folder", str(folder)]
    digest = ""
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        for line in child.stdout:
            if line == "training\n" and end is not None:
                try:
                    child.wait(seconds)
                except subprocess.TimeoutExpired:
                    child.send_signal(end)
            elif line.startswith("done "):
                digest = line.split()[1]
            elif line.startswith("  "):
                print(line, end="", flush=True)
    return child.returncode, digest


def main(seconds):
    _, undisturbed = run("nobody", ".", seconds, None)
    print(f"undisturbed: {undisturbed}")
    for answer, end in {"handler": signal.SIGTERM, "backup": signal.SIGKILL}.items():
        with tempfile.TemporaryDirectory() as folder:
            codes = []
            for kill in range(KILLS + 1):
                code, digest = run(answer, folder, seconds, end if kill < KILLS else None)
                codes.append(code)
                if code == 0:
                    break
        same = "the same bits" if digest == undisturbed else "OTHER BITS"
        print(f"{answer}: {digest} after processes that ended with {codes}: {same}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=0.15, help="from the beginning of a fit to its signal")
    parser.add_argument("--train", choices=["nobody", "handler", "backup"], help="train here, with this answer")
    parser.add_argument("--folder", type=Path, default=Path(), help="where that keeps its file")
    arguments = parser.parse_args()
    if arguments.train is None:
        main(arguments.seconds)
    else:
        train(arguments.train, arguments.folder)
