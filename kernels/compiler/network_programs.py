"""Programs for single networks: their memory comes back when they are no longer used.

There may be thousands of them in a search. Numba frees no machine code, as one engine holds all of a process, and what
it knows of compiled functions keeps itself. So such a program has an engine of its own, and is loaded into it as if it
came from the disk; what the compilation leaves behind is dropped.
"""

from __future__ import annotations

import gc
from typing import Any

from numba.core.compiler import CompileResult

from .linking import NetworkCodegen
from .program_cache import ProgramCache


class NetworkCache(ProgramCache):
    """The cache of one program for one network, which loads it whether it was stored or was just compiled."""

    def __init__(self, name: str, target: str) -> None:
        super().__init__(name, target, for_network=True)
        self._compiled: Any = None  # until it is stored

    def loaded(self, target_context: Any, result: Any) -> Any:
        """Return a freshly compiled program, ready to run."""
        compiled = result._reduce()
        self._compiled = compiled if self.path else None
        return self._restored(target_context, compiled)

    def _reduced(self, result: Any) -> Any:
        compiled, self._compiled = self._compiled, None
        return compiled

    def _restored(self, target_context: Any, reduced: Any) -> Any:
        own = target_context.subtarget(_internal_codegen=NetworkCodegen("fastnn.network"))
        return CompileResult._rebuild(own, *reduced)


def forget(dispatchers: list[Any]) -> None:
    """Free what was compiled of kernels, whose results hold each other and which Numba's tables would keep for ever."""
    while dispatchers:
        dispatcher = dispatchers.pop()
        dispatcher._make_finalizer()()
        dispatcher._reset_overloads()
        dispatcher.targetctx.data_model_manager._cache.pop(dispatcher._numba_type_, None)
    del dispatcher
    gc.collect(0)  # all of it is young, as the collector does not work during a compilation
