"""``python -m fastnn``: the command line."""

from fastnn.cli import main

main()
