"""How plain functions become programs: element types, vector levels, what the machine code may need."""

import json
import os
import pickle
import struct
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from fastnn.kernels import reference
from fastnn.kernels.compiler import jit
from fastnn.kernels.cpu.inference import infer_rows
from fastnn.kernels.cpu.training import train_steps
from fastnn.kernels.element_types import specialized
from fastnn.kernels.formulas import elementary
from fastnn.kernels.formulas.elementary import exp, sigmoid
from fastnn.kernels.host import cpu, files, numba_settings
from harness import Problem, tolerance

import fastnn
from fastnn.layers import Dense

TENTH = 0.1


def types_case(x, y):
    """Constants of every kind, a global, a kernel with constants of its own."""
    y[0] = x[0] * 0.1
    y[1] = x[1] * TENTH
    y[2] = sigmoid(x[2])
    y[3] = 0.1 + 0.2
    y[4] = exp(x[3]) + (1.0 if x[4] > 0.7 else 2.5)
    count = 3
    y[5] = x[5] + count // 2


def test_everything_is_computed_in_the_element_type(dtype):
    x = np.linspace(0.3, 1.3, 6).astype(dtype)
    y = np.zeros_like(x)
    jit.program(types_case, dtype)(x, y)
    tenth = dtype.type(0.1)
    assert y[0] == x[0] * tenth
    assert y[1] == x[1] * tenth
    np.testing.assert_allclose(y[2], 1 / (1 + np.exp(-x[2])), rtol=4 * np.finfo(dtype).eps)
    np.testing.assert_allclose(y[3], 0.3, rtol=np.finfo(dtype).eps)
    np.testing.assert_allclose(y[4], np.exp(x[3]) + 1.0, rtol=4 * np.finfo(dtype).eps)
    assert y[5] == x[5] + 1


def intermediate_case(x):
    """A number that only the wider type can tell from 0."""
    return (x[0] + 1e-10) - x[0]


def test_constants_do_not_widen_the_sum(dtype):
    difference = jit.program(intermediate_case, dtype)(np.ones(1, dtype))
    assert difference == tolerance(dtype, 0.0, (1.0 + 1e-10) - 1.0)


def test_plain_functions_stay_as_they_are():
    code, scope = sigmoid.__code__, dict(sigmoid.__globals__)
    copy = specialized(sigmoid, np.dtype("float32"), lambda kernel: len)
    assert {type(constant) for constant in copy.__code__.co_consts if constant} == {np.float32, str}
    assert copy.__globals__["exp"] is len
    assert copy.__name__ == "sigmoid_float32"
    assert sigmoid.__code__ is code
    assert elementary.__dict__ == scope


def test_lanes_are_those_of_the_level(dtype):
    width = {"avx512": 64, "avx2": 32, "neon": 16, "none": 32}[cpu.simd_level()]
    assert cpu.vector_bytes() == width
    assert cpu.lanes(dtype) == width // dtype.itemsize


@pytest.mark.parametrize(
    ("features", "levels"),
    [
        ("sse2", ["none"]),
        ("avx2", ["none"]),
        ("avx2 fma", ["none", "avx2"]),
        ("avx2 fma avx512f", ["none", "avx2"]),
        ("avx2 fma avx512f avx512vl avx512dq", ["none", "avx2", "avx512"]),
        ("neon fp-armv8", ["none", "neon"]),
    ],
)
def test_level_of_a_cpu(monkeypatch, features, levels):
    monkeypatch.setattr(cpu, "cpu_features", lambda: frozenset(features.split()))
    level = cpu.simd_level.__wrapped__
    monkeypatch.delenv("FASTNN_SIMD", raising=False)
    assert level() == levels[-1]
    for wanted in levels:
        monkeypatch.setenv("FASTNN_SIMD", wanted)
        assert level() == wanted
    for wanted in ({"avx512", "avx2", "neon"} - set(levels)) | {"sse", "AVX2"}:
        monkeypatch.setenv("FASTNN_SIMD", wanted)
        with pytest.raises(
            ValueError, match=f"FASTNN_SIMD='{wanted}': this CPU offers {', '.join(levels)}; choose one"
        ):
            level()


def test_features_may_be_named(monkeypatch):
    found = numba_settings.settings()
    monkeypatch.setattr(numba_settings, "settings", lambda: found | {"CPU_FEATURES": "-avx2,+nothing-known,-fma"})
    assert cpu.cpu_features.__wrapped__() == {"nothing-known"}
    monkeypatch.setattr(numba_settings, "settings", lambda: found | {"CPU_FEATURES": ""})
    assert cpu.cpu_features.__wrapped__() == frozenset()


def test_a_level_that_is_none_is_one_clear_error(run_python):
    code = "from fastnn import Sequential, layers\nm = Sequential([layers.Dense(1, input_dim=1)])\nm.predict([[1.0]])"
    with pytest.raises(AssertionError, match="ValueError: FASTNN_SIMD='mmx': this CPU offers none"):
        run_python(code, FASTNN_SIMD="mmx")


def test_threads_that_ask_at_once_share_one_program():
    interval, gate = sys.getswitchinterval(), threading.Barrier(8)
    kernels = [make_case(number) for number in range(20)]
    programs = [[] for _ in range(8)]

    def ask(own):
        for kernel in kernels:
            gate.wait()
            own.append(jit.program(kernel, np.dtype("float64")))

    threads = [threading.Thread(target=ask, args=(own,)) for own in programs]
    sys.setswitchinterval(1e-6)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert all(own == programs[0] for own in programs)


def make_case(number):
    def shared_case(x):
        return sigmoid(x) + number

    shared_case.__qualname__ = f"shared_case_{number}"
    return shared_case


# --- machine code -------------------------------------------------------------------------------------------------

WRAPPER = ("Py", "_Py", "numba_", "NRT_adapt_", "NRT_Free", "NRT_MemInfo_call_dtor")  # the way in from Python and back
ALLOWED = {"", "sched_yield", "memset", "memcpy", "memmove"}


def undefined_symbols(elf):
    """Names that a 64-bit ELF object leaves to the linker."""
    header = struct.unpack_from("<16sHHIQQQIHHHHHH", elf)
    offset, size, count = header[6], header[11], header[12]
    sections = [struct.unpack_from("<IIQQQQIIQQ", elf, offset + number * size) for number in range(count)]
    names = set()
    for section in sections:
        if section[1] == 2:  # a symbol table
            strings = sections[section[6]][4]
            for place in range(section[4], section[4] + section[5], 24):
                name, _, _, defined_in = struct.unpack_from("<IBBH", elf, place)
                if defined_in == 0:
                    names.add(elf[strings + name : elf.index(b"\0", strings + name)].decode())
    return names


def symbols_of(function, dtype):
    """Symbols of a program by way of its cache file: (signature, (library, ...)), (name, kind, (object, bitcode))."""
    path = jit.program(function, dtype)._cache.path
    _, (library, *_) = pickle.loads(path.read_bytes()[files.DIGEST_BYTES :])
    return undefined_symbols(library[2][0])


def library_case(x):
    """What must be found: a call of the C library."""
    return x[0] ** 1.5


@pytest.mark.skipif(sys.platform != "linux", reason="reads ELF objects")
def test_programs_need_nothing_but_the_core_yielded(dtype):
    """No library function, no allocation, no exception: the programs could be linked into a plain shared library."""
    problem = Problem([Dense(3), Dense(1)], 2, "mse")
    engine, objective, _ = problem.train(dtype)
    engine.evaluate(objective, problem.samples(dtype))
    jit.program(library_case, dtype)(np.ones(1, dtype))
    assert any(name.startswith("pow") for name in symbols_of(library_case, dtype))
    for function in (train_steps, infer_rows):
        needed = {name for name in symbols_of(function, dtype) if not name.startswith(WRAPPER)}
        assert needed <= ALLOWED
        assert "sched_yield" in needed


WITHOUT_JIT = """
import os, sys
way = sys.argv[1]
if way == "set before":
    import numba
    numba.config.DISABLE_JIT = True
elif way == "set late":
    import numba
    os.environ["NUMBA_DISABLE_JIT"] = "1"
import numpy as np
import fastnn
from fastnn.kernels.compiler import jit
from fastnn.kernels.operations.random import shuffle

order = np.arange(9)
jit.program(shuffle, np.dtype("float32"))(order, 9, 3, 5, 0)
import numba
function = lambda x: x
assert numba.njit(function) is function if way != "set late" else numba.config.DISABLE_JIT
print(order.tolist())
"""


@pytest.mark.parametrize(
    "way", ["environment", "set late", *(pytest.param(way, marks=pytest.mark.slow) for way in ("file", "set before"))]
)
def test_without_jit_for_the_users_functions(tmp_path, way):
    """NUMBA_DISABLE_JIT is for the functions of the user, which stay plain Python; programs have no other form."""
    if way == "file":
        pytest.importorskip("yaml")
        (tmp_path / ".numba_config.yaml").write_text("disable_jit: 1\n")
    environment = {**os.environ, "FASTNN_CACHE_DIR": str(tmp_path / "cache"), "FASTNN_QUIET": "1"}
    environment["PYTHONPATH"] = str(Path(fastnn.__file__).parents[1])
    if way == "environment":
        environment["NUMBA_DISABLE_JIT"] = "1"
    command = [sys.executable, "-W", "error", "-c", WITHOUT_JIT, way]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == reference.permutation(9, 5, 3).tolist()
