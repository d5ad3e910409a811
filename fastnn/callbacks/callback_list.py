"""The callbacks of one run, called hook by hook."""

from collections.abc import Callable, Iterable
from typing import Any

from fastnn.callbacks.base import HOOKS, Callback, modern
from fastnn.callbacks.checkpoints import BackupAndRestore
from fastnn.callbacks.history import History
from fastnn.common.arithmetic import as_the_caller

_OLD_NAMES = {modern(name): name for name in ("on_batch_begin", "on_batch_end")}
CallbackState = tuple[str, Any]  # the name of its class, and what its `get_state` gave


class CallbackList:
    """The callbacks of one run, called hook by hook in their order; those that back it up come last.

    What they keep is then what all others have made of the same step or epoch.

    Parameters
    ----------
    callbacks : Callback or iterable of Callback, optional
    model : Sequential
    **params
        Given to every callback's ``set_params``.

    Attributes
    ----------
    history : History
        The user's, or one that is added at the end.
    back_up : bool
        Whether one of them is a `BackupAndRestore`.
    """

    def __init__(self, callbacks: Any, model: Any, **params: Any) -> None:
        if callbacks is None:
            callbacks = []
        self.callbacks = list(callbacks) if isinstance(callbacks, Iterable) else [callbacks]
        for callback in self.callbacks:
            if not isinstance(callback, Callback):
                hint = "; call it to make an object" if isinstance(callback, type) else _hint(callback)
                raise TypeError(f"callbacks must be objects of fastnn.callbacks.Callback; got {callback!r}{hint}")
        histories = [callback for callback in self.callbacks if type(callback) is History]
        self.history = histories[0] if histories else History()
        if not histories:
            self.callbacks.append(self.history)
        for callback in self.callbacks:
            callback.set_params(params)
            callback.set_model(model)
        self.back_up = any(isinstance(callback, BackupAndRestore) for callback in self.callbacks)
        in_turn = sorted(self.callbacks, key=lambda callback: isinstance(callback, BackupAndRestore))
        self._receivers = {
            hook: [self._receiver(callback, name) for callback in in_turn for name in _names(callback, hook)]
            for hook in HOOKS
        }

    def _receiver(self, callback: Callback, name: str) -> Callable[..., None]:
        receiver = getattr(callback, name)
        return receiver if callback is self.history else as_the_caller(receiver)

    def call(self, hook: str, *arguments: Any) -> None:
        """Call a hook of every callback that has it."""
        for receiver in self._receivers[hook]:
            receiver(*arguments)

    def get_states(self) -> list[CallbackState]:
        """Return the states of all callbacks that have one, but for the history of the run.

        Raises
        ------
        TypeError
            If one of them has only one of `get_state` and `set_state`.
        """
        return [(type(callback).__name__, callback.get_state()) for callback in self._with_state()]

    def kinds_with_state(self) -> list[str]:
        """Return the names of their classes."""
        return [type(callback).__name__ for callback in self._with_state()]

    def set_states(self, states: list[CallbackState]) -> None:
        """Give every callback the state that one of its class at its index had.

        Raises
        ------
        ValueError
            If one does not take it.
        """
        for callback, (kind, state) in zip(self._with_state(), states, strict=True):
            if state is not None:
                try:
                    callback.set_state(state)
                except Exception as error:
                    raise ValueError(f"{kind} cannot go on with the state of a backup ({error!r})") from error

    def _with_state(self) -> list[Callback]:
        found = []
        for callback in self.callbacks:
            own = [getattr(type(callback), name) is not getattr(Callback, name) for name in ("get_state", "set_state")]
            if any(own) and not all(own):
                raise TypeError(f"{type(callback).__name__} has only one of get_state and set_state; define both")
            if all(own) and callback is not self.history:
                found.append(callback)
        return found

    def looks_at(self, phase: str) -> bool:
        """Whether a callback other than the history has a hook at the beginning or end of this phase."""
        mine = [self.history.on_epoch_end]
        return any(
            receiver not in mine for moment in ("begin", "end") for receiver in self._receivers[f"on_{phase}_{moment}"]
        )


def _hint(callback: Any) -> str:
    """What to do about an object of another library, or of no base."""
    name = type(callback).__name__
    if name in _own_names():
        return f"; take fastnn.callbacks.{name}"
    if any(callable(getattr(callback, modern(hook), None)) for hook in HOOKS):
        return f"; derive the class {name} from it"
    return ""


def _own_names() -> set[str]:
    """Return the names of the classes of this room."""
    kinds: list[type] = [CallbackList, Callback]
    for kind in kinds:
        kinds += kind.__subclasses__()
    return {kind.__name__ for kind in kinds if kind.__module__.startswith("fastnn.callbacks.")}


def _names(callback: Callback, hook: str) -> list[str]:
    """Return the names under which a callback has this hook of its own."""
    old = _OLD_NAMES.get(hook)
    names = [old] if old is not None and hasattr(callback, old) else []
    if getattr(getattr(callback, hook), "__func__", None) is not getattr(Callback, hook):
        names.append(hook)
    return names
