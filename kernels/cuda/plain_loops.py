"""Vector loops of the CPU (``llvm/vector_loops.py``) as plain loops, for devices whose vectors have one element.

Their number of arguments differs from formula to formula, so their source is put together from the description
that each loop carries.
"""

from __future__ import annotations

import string
import types

from .. import codes
from ..element_types import NUMBER
from ..llvm.vector_loops import Loop


def plain_loop(loop: Loop) -> types.FunctionType:
    """Return a kernel with the arguments of a vector loop, of sums of columns, of a sum over a row, or of losses."""
    if loop.kind == "row_loop":
        return _defined(loop, _losses(loop))
    names = string.ascii_lowercase
    targets = loop.outputs if loop.kind == "column_sums" else 0
    pointers = names[: targets + loop.pointers]
    numbers = names[len(pointers) : len(pointers) + loop.scalars]
    sources = pointers[targets:]
    moving = len(sources) - loop.fixed
    values = [f"{name}[{'offset' if index < moving else 'column'}]" for index, name in enumerate(sources)]
    body = {"vector_loop": _map, "column_sums": _sum_columns, "row_sum": _sum_row}[loop.kind](
        pointers[: loop.outputs], f"formula({', '.join([*values, *numbers])})"
    )
    head = "count" if loop.kind == "row_sum" else "rows, stride, count"
    lines = [f"def loop({head}, {', '.join(pointers + numbers)}):"]
    lines += [f"    {number} = NUMBER({number})" for number in numbers]
    return _defined(loop, lines + body)


def _defined(loop: Loop, lines: list[str]) -> types.FunctionType:
    scope = {"formula": loop.formula, "NUMBER": NUMBER, "__name__": __name__}
    exec("\n".join(lines), scope)
    return scope["loop"]  # type: ignore[return-value]


def _losses(loop: Loop) -> list[str]:
    parameters = [f"factors[{column}]" for column in loop.parameters]
    return [
        "def loop(columns, z, t, d, scale, factors, written):",
        "    total = 0.0",
        "    for j in range(columns):",
        f"        target = factors[{codes.KEPT}] * t[j] + factors[{codes.SPREAD}]",
        f"        loss, output, gradient = formula({', '.join(['z[j]', 'target', '1.0', 'scale', *parameters])})",
        "        if written:",
        "            z[j], d[j] = output, gradient",
        "        total += loss",
        "    return total / NUMBER(columns)",
    ]


def _map(targets: str, value: str) -> list[str]:
    return [
        "    for r in range(rows):",
        "        for column in range(count):",
        "            offset = r * stride + column",
        f"            {', '.join(f'{name}[offset]' for name in targets)} = {value}",
    ]


def _sum_columns(targets: str, value: str) -> list[str]:
    totals = [f"{name}_total" for name in targets]
    return [
        "    for column in range(count):",
        f"        {' = '.join(totals)} = 0.0",
        "        for r in range(rows):",
        "            offset = r * stride + column",
        f"            {', '.join(f'{name}_term' for name in targets)} = {value}",
        *(f"            {total} += {name}_term" for total, name in zip(totals, targets, strict=True)),
        *(f"        {name}[column] = {total}" for total, name in zip(totals, targets, strict=True)),
    ]


def _sum_row(targets: str, value: str) -> list[str]:
    return [
        "    total = 0.0",
        "    for offset in range(count):",
        f"        total += {value}",
        "    return total",
    ]
