"""Learning rates over the epochs of a fit, as factors of `learning_rate_init`."""

import math

_WARM_UP, _CYCLE_UP = 0.1, 0.3  # shares of the epochs
_CYCLE_START, _CYCLE_END = 1 / 25, 1 / 250_000


def _cosine(start: float, end: float, share: float) -> float:
    return end + (start - end) * (1.0 + math.cos(math.pi * share)) / 2.0


def cosine(share: float) -> float:
    """Half a cosine from 1 to 0 (Loshchilov and Hutter, "SGDR", 2017, without restarts)."""
    return _cosine(1.0, 0.0, share)


def one_cycle(share: float) -> float:
    """Up from 1/25 and down to almost nothing (Smith and Topin, "Super-convergence", 2018), in PyTorch's shape."""
    if share < _CYCLE_UP:
        return _cosine(_CYCLE_START, 1.0, share / _CYCLE_UP)
    return _cosine(1.0, _CYCLE_END, (share - _CYCLE_UP) / (1.0 - _CYCLE_UP))


def warmup(share: float) -> float:
    """A straight line up to 1 in the first tenth (Goyal et al., 2017), then half a cosine down to 0."""
    if share < _WARM_UP:
        return max(share / _WARM_UP, 0.01)
    return cosine((share - _WARM_UP) / (1.0 - _WARM_UP))


SCHEDULES = {"cosine": cosine, "one_cycle": one_cycle, "warmup": warmup}


def factor(name: str, epoch: int, epochs: int) -> float:
    """Factor for an epoch, counted from 0, of so many: that of its middle. Later epochs go on with the last one's."""
    return SCHEDULES[name]((min(epoch, epochs - 1) + 0.5) / epochs)
