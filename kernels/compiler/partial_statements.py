"""Statements of a kernel, carried out as far as their expressions are known before the program runs."""

from __future__ import annotations

import ast
from collections.abc import Sequence

from .partial_expressions import UNKNOWN, Expressions, Table, identity, is_scalar, known

FEW_TURNS = 4  # of a loop that is unrolled
MOST_TURNS = 16  # of one whose turns look up different elements of a table, and of a ``while``
Block = Sequence[ast.stmt]
Left = tuple[list[ast.stmt], str]  # what is left of statements, and how they end if they always do: "return", ...


class _NotUnrolled(Exception):
    """Whether a loop is left in mid-turn is for the run to decide."""


def assigned_names(statements: Block) -> set[str]:
    """Names that statements give values to."""
    nodes = (node for statement in statements for node in ast.walk(statement))
    return {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}


def _names(expression: ast.expr) -> set[str]:
    """Names that an expression looks up."""
    return {node.id for node in ast.walk(expression) if isinstance(node, ast.Name)}


class Statements(Expressions):
    """Carries out statements."""

    def __init__(self) -> None:
        self.names = {}
        self._loops: list[set[str] | None] = []  # names that a loop around the statement assigns; None if unrolled
        self._undecided = 0  # tests around the statement, within its loop, that the run decides

    def block(self, statements: Block) -> Left:
        """Carry out one statement after another, up to one after which no other is reached."""
        left: list[ast.stmt] = []
        for statement in statements:
            rest, end = getattr(self, f"_do_{type(statement).__name__.lower()}")(statement)
            left += rest
            if end:
                return left, end
        return left, ""

    def _do_pass(self, node: ast.Pass) -> Left:
        return [], ""

    def _do_expr(self, node: ast.Expr) -> Left:
        value = self.value(node.value)
        return ([ast.Expr(value)] if isinstance(value, ast.Call) else []), ""

    def _do_return(self, node: ast.Return) -> Left:
        return [ast.Return(None if node.value is None else self.value(node.value))], "return"

    def _do_break(self, node: ast.Break) -> Left:
        return self._leave(node, "break")

    def _do_continue(self, node: ast.Continue) -> Left:
        return self._leave(node, "continue")

    def _leave(self, node: ast.stmt, end: str) -> Left:
        assigned = self._loops[-1]
        if assigned is not None:
            return [*self._written(assigned), node], end
        if self._undecided:
            raise _NotUnrolled
        return [], end

    def _do_assign(self, node: ast.Assign) -> Left:
        (target,), value = node.targets, self.value(node.value)
        if isinstance(target, ast.Name):
            return self._bind(target.id, value), ""
        if isinstance(target, ast.Subscript):
            return [ast.Assign([self.value(target)], value)], ""
        assert isinstance(target, ast.Tuple)
        names = [element.id for element in target.elts if isinstance(element, ast.Name)]
        if isinstance(value, ast.Tuple) and len(names) == len(target.elts):
            return self._bind_all(names, value.elts), ""
        for name in names:
            self.names.pop(name, None)
        targets = [each if isinstance(each, ast.Name) else self.value(each) for each in target.elts]
        return [ast.Assign([ast.Tuple(targets, ast.Store())], value)], ""

    def _bind(self, name: str, value: ast.expr) -> list[ast.stmt]:
        """Give a name its value; if that is a constant, it is written down only where paths meet."""
        self.names.pop(name, None)
        if known(value) is not UNKNOWN:
            self.names[name] = known(value)
        return [] if is_scalar(known(value)) else [ast.Assign([ast.Name(name, ast.Store())], value)]

    def _bind_all(self, names: list[str], values: list[ast.expr]) -> list[ast.stmt]:
        """Give names their values, all of which are computed before any name changes."""
        written = [each for name, value in zip(names, values, strict=True) for each in self._bind(name, value)]
        if len(written) < 2:
            return written
        targets, right = zip(*((each.targets[0], each.value) for each in written), strict=True)  # type: ignore[attr-defined]
        return [ast.Assign([ast.Tuple(list(targets), ast.Store())], ast.Tuple(list(right), ast.Load()))]

    def _do_augassign(self, node: ast.AugAssign) -> Left:
        if isinstance(node.target, ast.Name):
            name = node.target.id
            value = self.value(ast.BinOp(ast.Name(name, ast.Load()), node.op, node.value))
            if known(value) is not UNKNOWN:
                return self._bind(name, value), ""
            right = self.value(node.value)
            return [*self._forget({name}), ast.AugAssign(node.target, node.op, right)], ""
        assert isinstance(node.target, ast.Subscript)
        target = ast.Subscript(self.value(node.target.value), self.value(node.target.slice), node.target.ctx)
        return [ast.AugAssign(target, node.op, self.value(node.value))], ""

    def _written(self, names: set[str]) -> list[ast.stmt]:
        """Assignments of the constants that names are known to be."""
        return [
            ast.Assign([ast.Name(name, ast.Store())], ast.Constant(self.names[name]))
            for name in sorted(names)
            if name in self.names and is_scalar(self.names[name])
        ]

    def _forget(self, names: set[str]) -> list[ast.stmt]:
        """From here on only the run knows these names; what is known of them is written down."""
        written = self._written(names)
        for name in names:
            self.names.pop(name, None)
        return written

    def _do_if(self, node: ast.If) -> Left:
        test = self.value(node.test)
        if known(test) is not UNKNOWN:
            return self.block(node.body if known(test) else node.orelse)
        before, paths = self.names, []
        self._undecided += 1
        for statements in (node.body, node.orelse):
            self.names = dict(before)
            left, end = self.block(statements)
            paths.append((left, end, self.names))
        self._undecided -= 1
        (body, end, names), (other, other_end, other_names) = paths
        if end or other_end:
            self.names = other_names if end else names
        else:
            same = {
                name: value
                for name, value in names.items()
                if name in other_names and identity(value) == identity(other_names[name])
            }
            for left, own in ((body, names), (other, other_names)):
                self.names = own
                left += self._written(own.keys() - same.keys())
            self.names = same
        rest: list[ast.stmt] = [ast.If(test, body or [ast.Pass()], other)] if body or other else []
        return rest, "return" if end and other_end else ""

    def _do_for(self, node: ast.For) -> Left:
        items: list[ast.expr] | None
        if isinstance(node.iter, ast.Tuple):  # whose items are looked at turn by turn
            items = None if assigned_names(node.body) & _names(node.iter) else node.iter.elts
        else:
            assert isinstance(node.iter, ast.Call)
            items = self._counted(node, [self.value(argument) for argument in node.iter.args])
        before = dict(self.names)
        try:
            if items is not None:
                return self._unrolled(node.target, items, node.body)
        except _NotUnrolled:
            self.names = before
        assigned = assigned_names([node])
        written, over = self._forget(assigned), self.value(node.iter)
        return [*written, ast.For(node.target, over, self._any_turn(node.body, assigned), [])], ""

    def _counted(self, node: ast.For, bounds: list[ast.expr]) -> list[ast.expr] | None:
        """The numbers of the turns of a loop over a range; None if it stays a loop."""
        if not all(isinstance(known(bound), int) for bound in bounds):
            return None
        turns = range(*map(known, bounds))
        few = len(turns) <= FEW_TURNS or (len(turns) <= MOST_TURNS and self._walks_table(node))
        return [ast.Constant(turn) for turn in turns] if few else None

    def _walks_table(self, node: ast.For) -> bool:
        """Whether the turns of a loop look up different elements of a known table."""
        assert isinstance(node.target, ast.Name)
        for call in (each for each in ast.walk(node) if isinstance(each, ast.Call) and len(each.args) == 2):
            base, offset = call.args
            in_table = isinstance(base, (ast.Name, ast.Attribute)) and isinstance(known(self.value(base)), Table)
            if in_table and node.target.id in _names(offset):
                return True
        return False

    def _unrolled(self, target: ast.expr, items: list[ast.expr], statements: Block) -> Left:
        left: list[ast.stmt] = []
        for item in items:
            bound, _ = self._do_assign(ast.Assign([target], item))
            body, end = self._turn(statements)
            left += [*bound, *body]
            if end in ("return", "break"):
                return left, end.removeprefix("break")
        return left, ""

    def _turn(self, statements: Block) -> Left:
        """One turn of a loop that is unrolled."""
        undecided, self._undecided = self._undecided, 0
        self._loops.append(None)
        try:
            return self.block(statements)
        finally:
            self._loops.pop()
            self._undecided = undecided

    def _any_turn(self, statements: Block, assigned: set[str]) -> list[ast.stmt]:
        """The turns of a loop that stays one, in which ``assigned`` names change."""
        before, undecided, self._undecided = dict(self.names), self._undecided, 0
        self._loops.append(assigned)
        body, end = self.block(statements)
        if not end:
            body += self._written(assigned)
        self._loops.pop()
        self.names, self._undecided = before, undecided
        return body or [ast.Pass()]

    def _do_while(self, node: ast.While) -> Left:
        before = dict(self.names)
        left: list[ast.stmt] = []
        try:
            for _ in range(MOST_TURNS):
                test = known(self.value(node.test))
                if test is UNKNOWN:
                    break
                if not test:
                    return left, ""
                body, end = self._turn(node.body)
                left += body
                if end in ("return", "break"):
                    return left, end.removeprefix("break")
        except _NotUnrolled:
            pass
        self.names = before
        assigned = assigned_names(node.body)
        written = self._forget(assigned)
        return [*written, ast.While(self.value(node.test), self._any_turn(node.body, assigned), [])], ""
