"""How compiled functions become one program.

Numba optimizes every function and makes machine code of it, and again of all it calls in each of its callers: with
calls ten deep most of the time goes into code that nobody runs. Here inner functions are only lowered. A program links
each of them once and is optimized as a whole.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import llvmlite.binding as llvm
from numba.core.codegen import JITCodeLibrary, JITCPUCodegen
from numba.core.compiler import CompilerBase, DefaultPassBuilder
from numba.core.compiler_machinery import register_pass
from numba.core.typed_passes import InlineOverloads, NativeLowering, NopythonRewrites
from numba.core.untyped_passes import InlineClosureLikes

# Stages for what kernels have none of: closures, expressions of whole arrays, overloads to be inlined in Numba's IR.
NEEDLESS = (InlineClosureLikes, InlineOverloads, NopythonRewrites)


class InnerLibrary(JITCodeLibrary):
    """A function that only compiled code calls, as it was lowered."""

    def _optimize_functions(self, module: Any) -> None:
        module.data_layout = self._codegen._data_layout

    def finalize(self) -> None:
        for function in self._final_module.functions:
            if not function.is_declaration:
                function.linkage = llvm.Linkage.linkonce_odr
        self._shared_module = self._final_module
        self._finalized = True


def linked(library: JITCodeLibrary, found: dict[JITCodeLibrary, None]) -> dict[JITCodeLibrary, None]:
    """Add to ``found`` all libraries that ``library`` needs, each once."""
    for needed in library._linking_libraries:
        if needed not in found:
            found[needed] = None
            if isinstance(needed, InnerLibrary):  # others bring what they need with them
                linked(needed, found)
    return found


def keep_to_itself(module: Any) -> list[Any]:
    """Let a program call no functions but its own, though another one in the process has some of the same names.

    Numba tells functions of one name apart by a count of this process, which says nothing of programs that other
    processes compiled. Returns these functions.
    """
    inner = [each for each in module.functions if each.linkage == llvm.Linkage.linkonce_odr and not each.is_declaration]
    for function in inner:
        function.linkage = llvm.Linkage.internal
    return inner


def drop_unused_arguments(module: Any, builder: Any) -> None:
    """Drop what inner functions get and do not use, such as most fields of records: a small step would feel it.

    LLVM does so with internal functions only. They do not stay internal for the stages that follow, which would put
    each that is called once into its caller and take a sixth longer.
    """
    inner = {function.name for function in keep_to_itself(module)}
    passes = llvm.create_new_module_pass_manager()
    passes.add_dead_arg_elimination_pass()
    passes.run(module, builder)
    for function in module.functions:
        if function.name in inner:
            function.linkage = llvm.Linkage.linkonce_odr


class ProgramLibrary(JITCodeLibrary):
    """A function that Python calls, with all that it calls."""

    def finalize(self) -> None:
        self._linking_libraries = list(linked(self, {}))
        super().finalize()

    def _optimize_final_module(self) -> None:
        manager, builder = self._codegen._module_pass_manager()
        drop_unused_arguments(self._final_module, builder)
        manager.run(self._final_module, builder)
        keep_to_itself(self._final_module)


class NetworkLibrary(ProgramLibrary):
    """A program for one network: most of its functions are called once, so they become part of their callers."""

    def _optimize_final_module(self) -> None:
        keep_to_itself(self._final_module)
        super()._optimize_final_module()

    def _finalize_final_module(self) -> None:
        self._verify_declare_only_symbols()
        self._compiled_object = self._codegen._tm.emit_object(self._final_module)
        self._finalized = True

    def serialize_using_object_code(self) -> tuple[str, bytes]:
        self._ensure_finalized()
        return self.name, self._compiled_object


class LoadedLibrary(JITCodeLibrary):
    """The machine code of a program for one network."""

    @classmethod
    def _unserialize(cls, codegen: Any, state: tuple[str, bytes]) -> LoadedLibrary:
        name, machine_code = state
        library = codegen.create_library(name)
        library.enable_object_caching()
        library._set_compiled_object(machine_code)
        library._finalize_final_module()
        return library

    def get_pointer_to_function(self, name: str) -> int:
        return self._codegen._engine.get_function_address(name)


class NetworkCodegen(JITCPUCodegen):
    """Holds the machine code of one program, which is freed with it: Numba's own engine never frees any."""

    _library_class = LoadedLibrary


@register_pass(mutates_CFG=True, analysis_only=False)
class InnerLowering(NativeLowering):
    """Lowering of a function that gets no machine code of its own."""

    _name = "inner_lowering"

    def run_pass(self, state: Any) -> bool:
        state.flags.no_compile = True
        state.library = InnerLibrary(state.targetctx.codegen(), state.func_id.func_qualname)
        super().run_pass(state)
        # stands for machine code that is never made: Numba wants a builtin, a new one each
        entry: Callable = list[Any]().append
        state.targetctx.insert_user_function(entry, state.cr.fndesc, [state.library])
        state.cr = state.cr._replace(cfunc=entry)
        return True


@register_pass(mutates_CFG=True, analysis_only=False)
class ProgramLowering(NativeLowering):
    """Lowering, optimization and machine code of a program."""

    _name = "program_lowering"
    library = ProgramLibrary

    def run_pass(self, state: Any) -> bool:
        state.library = self.library(state.targetctx.codegen(), state.func_id.func_qualname)
        state.library.enable_object_caching()
        return super().run_pass(state)


@register_pass(mutates_CFG=True, analysis_only=False)
class NetworkLowering(ProgramLowering):
    """The same of a program for one network."""

    _name = "network_lowering"
    library = NetworkLibrary

    def run_pass(self, state: Any) -> bool:
        state.flags.no_compile = True
        return super().run_pass(state)


def _compiler(lowering: type) -> type:
    class Compiler(CompilerBase):
        def define_pipelines(self) -> list:
            pipeline = DefaultPassBuilder.define_nopython_pipeline(self.state)
            pipeline.passes = [
                (lowering if stage is NativeLowering else stage, text)
                for stage, text in pipeline.passes
                if stage not in NEEDLESS
            ]
            pipeline.finalize()
            return [pipeline]

    return Compiler


InnerCompiler, ProgramCompiler, NetworkCompiler = map(_compiler, (InnerLowering, ProgramLowering, NetworkLowering))
