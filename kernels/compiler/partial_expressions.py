"""Expressions of a kernel, computed as far as they are known before the program runs.

Only integers, truth values and None are computed; whatever touches a float stays, so results keep their bits.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

OPERATORS: dict[type, Callable] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod, ast.LShift: operator.lshift, ast.RShift: operator.rshift, ast.BitAnd: operator.and_,
    ast.BitOr: operator.or_, ast.BitXor: operator.xor, ast.USub: operator.neg, ast.Not: operator.not_,
    ast.Eq: operator.eq, ast.NotEq: operator.ne, ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt,
    ast.GtE: operator.ge, ast.Is: operator.is_, ast.IsNot: operator.is_not,
}  # fmt: skip


class SourceMissing(RuntimeError):
    """The source of a kernel, which has to be read to rewrite it, is not there."""


class _Unknown:
    """What only the run knows."""

    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN = _Unknown()


@dataclass(frozen=True)
class Table:
    """Integers in an array, or behind a pointer into it; UNKNOWN where they differ from run to run."""

    values: tuple
    shape: tuple = ()
    start: int = 0

    def __getitem__(self, index: int) -> Any:
        return self.values[self.start + index]


@dataclass(frozen=True)
class Record:
    """A named tuple, of whose fields some are known."""

    fields: tuple[str, ...]
    values: tuple

    def __getitem__(self, name: str) -> Any:
        return self.values[self.fields.index(name)]


def behind(value: Any, offset: int = 0) -> Any:
    """What is known of a pointer to an element of a table, or of a record with pointers instead of tables."""
    if isinstance(value, Record):
        return Record(value.fields, tuple(map(behind, value.values)))
    return Table(value.values, (), value.start + offset) if isinstance(value, Table) else value


def identity(value: Any) -> Any:
    """What two values have in common if they stand for the same code: True == 1, but they have different types."""
    if isinstance(value, Record):
        return Record, value.fields, tuple(map(identity, value.values))
    return type(value), value


def is_scalar(value: Any) -> bool:
    """Whether a value can stand in a kernel's code as a constant."""
    return value is None or isinstance(value, (bool, int))


def known(node: ast.AST) -> Any:
    """Value of an expression that `Expressions.value` returned; UNKNOWN if the run decides it."""
    if isinstance(node, ast.Constant):
        return node.value if is_scalar(node.value) else UNKNOWN
    return getattr(node, "known", UNKNOWN)


def knowing(node: ast.expr, value: Any) -> ast.expr:
    """The expression, marked with its value."""
    node.known = value  # type: ignore[attr-defined]
    return node


def folded(function: Callable, values: Sequence[Any]) -> ast.expr | None:
    """The constant that a function makes of known values, in 64 bits as in programs; None if it is not known."""
    if not all(map(is_scalar, values)):
        return None
    try:
        value = function(*values)
    except (ArithmeticError, TypeError, ValueError):  # the run shall say what happens
        return None
    return ast.Constant((value + 2**63) % 2**64 - 2**63 if type(value) is int else value)


def is_pure(node: ast.expr) -> bool:
    """Whether an expression is a value, or an address behind a pointer, that may as well be left out."""
    if isinstance(node, ast.Call):
        return isinstance(node.func, ast.Name) and node.func.id == "at" and all(map(is_pure, node.args))
    if isinstance(node, ast.Attribute):
        return is_pure(node.value)
    return isinstance(node, (ast.Name, ast.Constant))


class Expressions:
    """Computes expressions.

    Attributes
    ----------
    names : dict
        What is known of local names: integers, truth values, None, tables, and records.
    """

    names: dict[str, Any]

    def global_value(self, name: str) -> Any:
        """The constant that a name of the module stands for, or UNKNOWN."""
        raise NotImplementedError

    def attribute(self, module: str, name: str) -> Any:
        """The constant of this name in another module, or UNKNOWN."""
        raise NotImplementedError

    def is_local(self, name: str) -> bool:
        """Whether a name is the kernel's own."""
        raise NotImplementedError

    def call(self, node: ast.Call, arguments: list[ast.expr]) -> ast.expr:
        """What is left of a call with these arguments."""
        raise NotImplementedError

    def value(self, node: ast.expr) -> ast.expr:
        """What is left of an expression; `known` tells its value.

        Raises
        ------
        TypeError
            For what kernels do not use.
        """
        method = getattr(self, f"_{type(node).__name__.lower()}", None)
        if method is None:
            raise TypeError(f"kernels have no {type(node).__name__}: {ast.unparse(node)}")
        return method(node)

    def _constant(self, node: ast.Constant) -> ast.expr:
        return node

    def _name(self, node: ast.Name) -> ast.expr:
        value = self.names.get(node.id, UNKNOWN) if self.is_local(node.id) else self.global_value(node.id)
        return ast.Constant(value) if is_scalar(value) else knowing(ast.Name(node.id, node.ctx), value)

    def _attribute(self, node: ast.Attribute) -> ast.expr:
        if isinstance(node.value, ast.Name) and not self.is_local(node.value.id):
            value = self.attribute(node.value.id, node.attr)
            return ast.Constant(value) if is_scalar(value) else node
        base = self.value(node.value)
        table = known(base)
        if isinstance(table, Record):
            value = table[node.attr]
            return ast.Constant(value) if is_scalar(value) else knowing(ast.Attribute(base, node.attr, node.ctx), value)
        if isinstance(table, Table) and node.attr == "shape":
            return ast.Tuple([ast.Constant(length) for length in table.shape], ast.Load())
        return ast.Attribute(base, node.attr, node.ctx)

    def _tuple(self, node: ast.Tuple) -> ast.expr:
        return ast.Tuple([self.value(element) for element in node.elts], node.ctx)

    def _subscript(self, node: ast.Subscript) -> ast.expr:
        base, subscript = self.value(node.value), self.value(node.slice)
        table, index = known(base), known(subscript)
        if isinstance(index, int) and isinstance(node.ctx, ast.Load):
            if isinstance(base, ast.Tuple):
                return base.elts[index]
            if isinstance(table, Table) and table[index] is not UNKNOWN:
                return ast.Constant(table[index])
        return ast.Subscript(base, subscript, node.ctx)

    def _folded(self, kind: type, operands: Sequence[ast.expr]) -> ast.expr | None:
        return folded(OPERATORS[kind], [known(operand) for operand in operands]) if kind in OPERATORS else None

    def _binop(self, node: ast.BinOp) -> ast.expr:
        left, right = self.value(node.left), self.value(node.right)
        return self._folded(type(node.op), (left, right)) or ast.BinOp(left, node.op, right)

    def _unaryop(self, node: ast.UnaryOp) -> ast.expr:
        operand = self.value(node.operand)
        return self._folded(type(node.op), (operand,)) or ast.UnaryOp(node.op, operand)

    def _compare(self, node: ast.Compare) -> ast.expr:
        left, *others = [self.value(each) for each in (node.left, *node.comparators)]
        kind = type(node.ops[0])
        if len(others) == 1 and kind in (ast.Is, ast.IsNot) and isinstance(known(left), (Table, Record)):
            return ast.Constant(kind is ast.IsNot)  # kernels compare with None alone
        folded = self._folded(kind, (left, others[0])) if len(others) == 1 else None
        return folded or ast.Compare(left, node.ops, others)

    def _boolop(self, node: ast.BoolOp) -> ast.expr:
        deciding, left = isinstance(node.op, ast.Or), []
        for operand in map(self.value, node.values):
            if known(operand) is UNKNOWN:
                left.append(operand)
            elif bool(known(operand)) is deciding:
                left.append(ast.Constant(deciding))
                break
        if not left:
            return ast.Constant(not deciding)
        return left[0] if len(left) == 1 else ast.BoolOp(node.op, left)

    def _ifexp(self, node: ast.IfExp) -> ast.expr:
        test = self.value(node.test)
        if known(test) is not UNKNOWN:
            return self.value(node.body if known(test) else node.orelse)
        return ast.IfExp(test, self.value(node.body), self.value(node.orelse))

    def _call(self, node: ast.Call) -> ast.expr:
        return self.call(node, [self.value(argument) for argument in node.args])
