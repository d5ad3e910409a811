"""The ``fastnn`` command: one file a command, what it reads, and what it prints."""
