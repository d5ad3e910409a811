"""``fastnn bench``: hands over to the benchmark suite, which lies in the checkout and not in the installed package."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import fastnn


def run(arguments: Sequence[str]) -> NoReturn:
    """Run the suite instead of this process, in the current folder: signals to it reach the suite.

    Parameters
    ----------
    arguments : sequence of str
        As after ``fastnn bench``.

    Raises
    ------
    FileNotFoundError
        If fastnn was installed without its checkout.
    """
    root = Path(fastnn.__file__).resolve().parent.parent
    if not (root / "benchmarks" / "__main__.py").is_file():
        raise FileNotFoundError(
            "the benchmark suite is part of fastnn's repository, not of the installed package: clone the repository, "
            "and run `make bench` there"
        )
    paths = [str(root), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(sys.executable, [sys.executable, "-m", "benchmarks", *arguments], environment)
