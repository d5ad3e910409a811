"""Which of all combinations of some values are enough to see each value once: for the mark ``covering``."""

from collections import Counter


def covering(cases):
    """Numbers of a few sets that hold together what all hold: those that add most, and then what is rarest so far."""
    chosen, missing, seen = [], set().union(*cases), Counter()
    while missing:
        gains = [(len(case & missing), -sum(seen[value] for value in case)) for case in cases]
        chosen.append(gains.index(max(gains)))
        missing -= cases[chosen[-1]]
        seen.update(cases[chosen[-1]])
    return chosen
