"""The machine and the process: the CPU, permissions, files, threads, and what nothing may interrupt."""
