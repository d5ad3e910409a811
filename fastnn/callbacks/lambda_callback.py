"""A callback made of functions."""

from collections.abc import Callable
from typing import Any

from fastnn.callbacks.base import HOOKS, Callback, modern
from fastnn.common.attributes import Strict


class LambdaCallback(Strict, Callback):
    """Callback made of functions: ``LambdaCallback(on_epoch_end=lambda epoch, logs: print(epoch))``.

    Parameters
    ----------
    **hooks : callable
        Functions by the names of the hooks of `Callback`.
    """

    def __init__(self, **hooks: Callable[..., Any] | None) -> None:
        for name, function in hooks.items():
            if modern(name) not in HOOKS:
                raise TypeError(f"LambdaCallback has no hook {name!r}; choose from {', '.join(HOOKS)}")
            if function is not None:
                setattr(self, name, function)
