"""``python -m fastnn``: the command line."""

from fastnn.commands.cli import main

main()
