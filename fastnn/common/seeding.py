"""Where seeds come from: one process-wide generator, from fresh entropy or from `set_seed`."""

import numpy as np

_generator = np.random.Generator(np.random.Philox())


def set_seed(seed: int) -> None:
    """Restart the process-wide generator, so that everything seeded after this call repeats."""
    global _generator
    _generator = np.random.Generator(np.random.Philox(seed))


def fresh_seed() -> int:
    """Return the next seed of the process-wide generator, in [0, 2**63)."""
    return int(_generator.integers(2**63))


def generator(seed: int | None = None) -> np.random.Generator:
    """Make a generator for one object: repeatable for a given seed, else started from the process-wide generator."""
    return np.random.Generator(np.random.Philox(fresh_seed() if seed is None else seed))
