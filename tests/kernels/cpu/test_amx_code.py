"""The machine code made for AMX: compiled here for a CPU that has it, read, and not run."""

import collections
import re
from pathlib import Path

import pytest
from fastnn.kernels.host import cpu
from harness import folders_of, with_amx

HERE = Path(__file__).parent
has_bfloat16 = pytest.mark.skipif(not cpu.has_bfloat16(), reason="this CPU has no AVX512-BF16: NOT TESTED")

# Compiles training and prediction for AMX without running them, and prints their assembly.
ASSEMBLY = f"""
    import sys
    import numpy as np
    from fastnn.kernels.host import amx_permission
    amx_permission.refusal = lambda: ""
    sys.path[:0] = {folders_of(__file__)!r}
    from fastnn.engine import engine, inference, run as runs
    from fastnn.engine.run_options import RunOptions
    from fastnn.kernels.cpu import variants
    from fastnn.kernels.cpu.inference import infer_rows
    from fastnn.kernels.cpu.training import train_steps
    from fastnn.optimizers import Adam
    from test_training_kernels import deep
    problem = deep(mixed=True)
    engine.Engine.set_weights = lambda engine, weights: None
    class Compiled:
        def __init__(self, program):
            self.program, self.entry_point = program, None
        def compile(self, signature):
            self.program.compile(signature)
            self.entry_point = self
        def __call__(self, *arguments): ...
    make = runs.input_program
    runs.input_program = inference.input_program = lambda *arguments: Compiled(make(*arguments))
    engine, objective = problem.engine()
    engine.reset_optimizer(Adam())
    engine.train(objective, problem.samples(engine.plan.dtype), RunOptions(batch_size=32, shuffle=True))
    engine.predict(problem.x)
    for function in (train_steps, infer_rows):
        program = variants.program(function, engine.plan.dtype, mixed=True, normalized=engine.plan.is_normalized)
        (assembly,) = program.inspect_asm().values()
        print(assembly, "# end of program")
"""

# Left, right and sum of a block of 2x2 tiles, and of one of 2x1, whose second sum is number 1.
TILES_OF_SUMS = {(4, 6, 0), (4, 7, 1), (5, 6, 2), (5, 7, 3), (5, 6, 1)}

INSTRUCTION = re.compile(r"^\s+([a-z]\w*)\s*([^#\n]*)")
LABEL = re.compile(r"^(\.\w+):")


def reaches_return(lines, start):
    """Whether a path leads from line ``start`` to a return that does not pass TILERELEASE.

    Numba tests after each call whether the kernel raised, which kernels never do: that is no path.
    """
    labels = {match[1]: number for number, line in enumerate(lines) if (match := LABEL.match(line))}
    seen, waiting = set(), [start]
    while waiting:
        number = waiting.pop()
        if number in seen:
            continue
        seen.add(number)
        match = INSTRUCTION.match(lines[number])
        name, operands = match.groups() if match else ("", "")
        if name == "tilerelease":
            continue
        if name.startswith("ret"):
            return True
        raised = name == "jne" and lines[number - 1].split() == ["testl", "%eax,", "%eax"]
        if name.startswith("j") and not raised:
            waiting.append(labels[operands.strip()])
        if name not in ("jmp", "jmpq", "ud2"):
            waiting.append(number + 1)
    return False


@pytest.mark.slow
@has_bfloat16
def test_machine_code_for_amx_has_the_instructions_and_no_others(run_python):
    printed = run_python(with_amx(ASSEMBLY), NUMBA_CPU_NAME="sapphirerapids", FASTNN_AMX="")
    programs = printed.split("# end of program")[:2]
    for program in programs:
        lines = program.splitlines()
        found = [match.groups() for line in lines if (match := INSTRUCTION.match(line))]
        counts = collections.Counter(name for name, operands in found if "tmm" in operands or "tile" in name)
        assert set(counts) == {"ldtilecfg", "tilerelease", "tilezero", "tileloadd", "tilestored", "tdpbf16ps"}
        assert counts["ldtilecfg"] == counts["tilerelease"] == 1
        # operands in registers 4 to 7, sums in 0 to 3, loaded from where they lie: nothing was spilled
        assert {operands for name, operands in found if name == "tdpbf16ps"} == {
            f"%tmm{right}, %tmm{left}, %tmm{total}" for left, right, total in TILES_OF_SUMS
        }
        assert not [operands for name, operands in found if name == "tileloadd" and re.search(r"\(%r[sb]p", operands)]
        (begin,) = (number for number, line in enumerate(lines) if "\tldtilecfg" in line)
        assert not reaches_return(lines, begin)
        assert reaches_return(lines, next(n for n, line in enumerate(lines) if "\ttilerelease" in line) + 1)
