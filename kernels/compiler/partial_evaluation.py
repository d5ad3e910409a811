"""Kernels rewritten for arguments that are known beforehand: the sizes and functions of one network.

What is known is computed and what only the run can do stays, as a new kernel: tests that are decided go, entries of
known tables become constants, loops over the operations of a network are unrolled, and every kernel that is called is
rewritten for what its call tells it. So the compiler gets straight code without the generality (online partial
evaluation: Jones, Gomard and Sestoft, "Partial evaluation and automatic program generation", 1993).
"""

from __future__ import annotations

import ast
import builtins
import copy
import functools
import inspect
import sys
import textwrap
import types
from collections.abc import Callable, Sequence
from typing import Any

from .partial_expressions import (
    UNKNOWN,
    Record,
    SourceMissing,
    behind,
    folded,
    identity,
    is_pure,
    is_scalar,
    knowing,
    known,
)
from .partial_statements import Statements, assigned_names

COMPUTED = (min, max, int, abs)  # functions of integers
_MISSING = (
    "jit_compile=True needs the source of fastnn's kernels, but that of {} is {}: install fastnn with its .py files, "
    "or leave jit_compile at 'auto'"
)


class Evaluator:
    """Rewrites kernels for one program.

    Parameters
    ----------
    stands_for : callable
        What the program has for a kernel; None for what is not to be rewritten.
    constant : callable
        The integer that a global of a kernel's module is in the program, or UNKNOWN.
    """

    def __init__(self, stands_for: Callable[[Any], Callable | None], constant: Callable[[Any], Any]) -> None:
        self.stands_for, self.constant = stands_for, constant
        self._made: dict[tuple, Residual] = {}

    def residual(self, function: Callable, values: tuple, entry: bool = False) -> Residual:
        """What is left of a kernel for arguments of which some are known, made once.

        Parameters
        ----------
        function : plain function of a kernel module
        values : tuple
            For each parameter an integer, a truth value, None, a `Table`, a `Record`, or UNKNOWN.
        entry : bool, default=False
            Keep all parameters, even those whose value is now part of the code.
        """
        key = function, tuple(map(identity, values)), entry
        if key not in self._made:
            self._made[key] = Residual(self, function, values, entry)
        return self._made[key]

    @property
    def functions(self) -> set[Callable]:
        """All kernels made."""
        return {made.function for made in self._made.values()}


def _definition(function: Callable) -> ast.FunctionDef:
    """Read a kernel where it came from, mostly its module, and make sure that it is what runs."""
    name, code = function.__module__, function.__code__
    try:  # what ``operations/choices.py`` builds brings its own source
        text = vars(function).get("source") or inspect.getsource(sys.modules[name])
    except OSError as error:
        raise SourceMissing(_MISSING.format(name, "not here")) from error
    if not any(_is_same(code, other) for other in _codes(text)):
        raise SourceMissing(_MISSING.format(name, "that of another version"))
    block = inspect.getblock(text.splitlines(keepends=True)[code.co_firstlineno - 1 :])
    definition = ast.parse(textwrap.dedent("".join(block))).body[0]
    assert isinstance(definition, ast.FunctionDef)
    return definition


@functools.lru_cache(maxsize=64)
def _codes(text: str) -> list[types.CodeType]:
    """Return the code of all functions of a module."""
    found = [compile(text, "", "exec", dont_inherit=True)]
    for code in found:
        found += [constant for constant in code.co_consts if isinstance(constant, types.CodeType)]
    return found


def _is_same(code: types.CodeType, other: types.CodeType) -> bool:
    return all(
        getattr(code, name) == getattr(other, name)
        for name in ("co_firstlineno", "co_name", "co_code", "co_names", "co_varnames", "co_freevars")
    ) and repr(code.co_consts) == repr(other.co_consts)


class Residual(Statements):
    """What is left of one kernel; arguments as for `Evaluator.residual`.

    Attributes
    ----------
    function : the new kernel
    kept : list of bool, whether each parameter is one of the new kernel too
    result : expression of constants and parameters, if the kernel does nothing but return that; else None
    """

    def __init__(self, evaluator: Evaluator, function: Callable, values: tuple, entry: bool) -> None:
        tree = _definition(function)
        super().__init__()
        self._evaluator = evaluator
        self.parameters = [argument.arg for argument in tree.args.args]
        self._locals = assigned_names(tree.body) | set(self.parameters)
        closure = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
        self._scope = function.__globals__ | {name: cell.cell_contents for name, cell in closure}
        self.names = {
            name: value for name, value in zip(self.parameters, values, strict=True) if value is not UNKNOWN
        }
        self.kept = [entry or not is_scalar(value) for value in values]
        body, _ = self.block(tree.body)
        self.result = self._plain_result(body)
        tree.args.args = [argument for argument, stays in zip(tree.args.args, self.kept, strict=True) if stays]
        tree.body, tree.decorator_list = body or [ast.Pass()], []
        self.function = self._compiled(tree, function)

    def _plain_result(self, body: list[ast.stmt]) -> ast.expr | None:
        if not body:
            return ast.Constant(None)
        if len(body) > 1 or not isinstance(body[0], ast.Return) or body[0].value is None:
            return None
        nodes = list(ast.walk(body[0].value))
        names = {node.id for node in nodes if isinstance(node, ast.Name)}
        calls = any(isinstance(node, ast.Call) for node in nodes)
        return body[0].value if not calls and names <= set(self.parameters) else None

    def _compiled(self, tree: ast.FunctionDef, function: Callable) -> types.FunctionType:
        module = ast.fix_missing_locations(ast.Module([tree], []))
        exec(compile(module, function.__code__.co_filename, "exec"), self._scope)
        made = self._scope[tree.name]
        made.__module__ = function.__module__
        return made

    # what expressions ask

    def is_local(self, name: str) -> bool:
        return name in self._locals

    def global_value(self, name: str) -> Any:
        return self._constant_of(self._scope.get(name, UNKNOWN))

    def attribute(self, module: str, name: str) -> Any:
        return self._constant_of(getattr(self._scope[module], name))

    def _constant_of(self, value: Any) -> Any:
        return value if is_scalar(value) else self._evaluator.constant(value)

    def call(self, node: ast.Call, arguments: list[ast.expr]) -> ast.expr:
        assert isinstance(node.func, ast.Name)
        assert not node.keywords
        values = tuple(map(known, arguments))
        called: Any = self._scope.get(node.func.id, getattr(builtins, node.func.id, None))
        left = ast.Call(node.func, arguments, [])
        if called in COMPUTED:
            return folded(called, values) or left
        if isinstance(called, type) and hasattr(called, "_fields"):
            nothing = all(value is UNKNOWN for value in values)
            return left if nothing else knowing(left, Record(called._fields, values))
        if node.func.id == "at":
            return knowing(left, behind(*values)) if isinstance(values[1], int) else left
        if node.func.id == "pointers":
            return arguments[0] if values == (None,) else knowing(left, behind(*values))
        if hasattr(called, "exact"):
            return self._call_of(called.exact(values), node.func.id, arguments)
        kernel = self._evaluator.stands_for(called)
        if kernel is None or all(value is UNKNOWN for value in values):
            return left
        made = self._evaluator.residual(kernel, values)
        if made.result is not None and all(map(is_pure, arguments)):
            return self.value(_Substitution(made.parameters, arguments).visit(copy.deepcopy(made.result)))
        kept = [argument for argument, stays in zip(arguments, made.kept, strict=True) if stays]
        return self._call_of(made.function, node.func.id, kept)

    def _call_of(self, called: Any, name: str, arguments: list[ast.expr]) -> ast.expr:
        """Call what stands for ``name``, under a name of its own."""
        number = 0
        while (unique := f"{name}_{number}") in self._locals or self._scope.get(unique, called) is not called:
            number += 1
        self._scope[unique] = called
        return ast.Call(ast.Name(unique, ast.Load()), arguments, [])


class _Substitution(ast.NodeTransformer):
    """Replaces parameters by arguments."""

    def __init__(self, parameters: Sequence[str], arguments: Sequence[ast.expr]) -> None:
        self._arguments = dict(zip(parameters, arguments, strict=True))

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return self._arguments[node.id]
