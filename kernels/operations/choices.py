"""Kernels that do one of many things by a code, built from tables.

Written by hand, such a kernel is a chain of ``if code == ...`` that has to be kept true to its table, and so is its
twin for the other target. Here the source of the chain is put together from the table. It is a kernel like any other:
copied for each element type, rewritten for known codes, compiled for each target; `inspect.getsource` shows it.
"""

from __future__ import annotations

import inspect
import itertools
import linecache
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Call:
    """A call in the source of a kernel.

    Attributes
    ----------
    function : what is called: a kernel, a formula, or a loop over vectors
    arguments : str
        Expressions of the kernel's parameters and of names of its module.
    result : str
        What stands before the call: "return", or names and an equals sign.
    """

    function: Callable[..., Any]
    arguments: str
    result: str = ""


def chosen(
    cases: Mapping[int | tuple[int, str], Call | None], otherwise: Call | None, by: str | None = None
) -> Callable[[Callable], Callable]:
    """Decorate a function that gives a kernel its name, parameters, and docstring; its body is put together here.

    Parameters
    ----------
    cases : mapping of int, or of int and str, to Call or None
        What the kernel does for each code, or for a code if a condition holds; None: nothing. The tests stand in this
        order, codes with equal calls side by side.
    otherwise : Call or None
        What it does for any other code.
    by : str, optional
        Expression of the code; by default the kernel's first parameter.

    Examples
    --------
    >>> @chosen({1: Call(abs, "x", "return"), 2: Call(max, "x, 0", "return")}, Call(int, "0", "return"))
    ... def made(code, x):
    ...     \"\"\"Make something of x.\"\"\"
    >>> print(inspect.getsource(made), end="")
    def made(code, x):
        if code == 1:
            return made_0(x)
        elif code == 2:
            return made_1(x, 0)
        else:
            return made_otherwise(0)
    """

    def build(declared: Callable) -> Callable:
        parameters, name = list(inspect.signature(declared).parameters), declared.__name__
        scope = dict(declared.__globals__)
        lines = [f"def {name}({', '.join(parameters)}):"]

        def branch(test: str, call: Call | None, label: object) -> None:
            line = "pass"
            if call is not None:
                scope[f"{name}_{label}"] = call.function
                line = f"{call.result} {name}_{label}({call.arguments})".lstrip()
            lines.extend((f"    {test}:", f"        {line}"))

        word = "if"
        for number, (call, group) in enumerate(itertools.groupby(cases, cases.__getitem__)):
            pairs = [case if isinstance(case, tuple) else (case, "") for case in group]
            tests = [f"{by or parameters[0]} == {code}" + f" and {test}" * bool(test) for code, test in pairs]
            branch(f"{word} {' or '.join(tests)}", call, number)
            word = "elif"
        if otherwise is not None:
            branch("else", otherwise, "otherwise")
        return _defined(declared, "\n".join([*lines, ""]), scope)

    return build


def _defined(declared: Callable, text: str, scope: dict[str, Any]) -> Callable:
    """Make a function of the source of one, which it keeps as ``source``; tracebacks and `inspect` find it too."""
    file_name = f"<{declared.__module__}.{declared.__qualname__}>"
    linecache.cache[file_name] = len(text), None, text.splitlines(keepends=True), file_name
    exec(compile(text, file_name, "exec", dont_inherit=True), scope)
    made = scope[declared.__name__]
    made.__doc__, made.source = declared.__doc__, text
    return made
