"""Names of learning-rate schedules, and the schedules over all steps of a fit that they stand for."""

from collections.abc import Callable

from fastnn.optimizers.schedules import CosineDecay, LearningRateSchedule, OneCycle


def _warmup(rate: float, steps: int) -> LearningRateSchedule:
    rising = steps / 10
    return CosineDecay(0.01 * rate, steps - rising, warmup_target=rate, warmup_steps=rising)


SCHEDULES: dict[str, Callable[[float, int], LearningRateSchedule]] = {
    "cosine": CosineDecay,
    "one_cycle": OneCycle,
    "warmup": _warmup,
}
