"""The benchmark suite: fastnn and others at the same tasks on equal terms. `fastnn bench` runs it; see README.md."""
