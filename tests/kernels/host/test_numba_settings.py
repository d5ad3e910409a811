"""Numba's settings: those that may change code decide which is kept, and what cannot work is one clear error."""

import json
import os
import subprocess
import sys
from pathlib import Path

import llvmlite.binding
import pytest
from fastnn.kernels import reference
from fastnn.kernels.host import cpu, numba_settings
from numba.core import config
from numba.core.registry import cpu_target

import fastnn


@pytest.fixture
def target(monkeypatch):
    """A function that tells for what a new process with a setting would compile."""

    def target(name=None, value=None):
        with monkeypatch.context() as patch:
            if name is not None:
                patch.setattr(config, name, value, raising=False)
            found = numba_settings.settings.__wrapped__()
            patch.setattr(cpu, "settings", lambda: found)
            patch.setattr(numba_settings, "settings", lambda: found)
            patch.setattr(cpu, "cpu_features", cpu.cpu_features.__wrapped__)
            patch.setattr(cpu, "simd_level", cpu.simd_level.__wrapped__)
            return cpu.target_description()

    return target


CHANGES = [
    ("OPT", config._OptLevel(0)), ("OPT", config._OptLevel("max")), ("BOUNDSCHECK", 1), ("CPU_NAME", "generic"),
    ("CPU_FEATURES", ""), ("ENABLE_AVX", 0), ("LOOP_VECTORIZE", 0), ("SLP_VECTORIZE", 1), ("LLVM_REFPRUNE_PASS", 0),
    ("LLVM_REFPRUNE_FLAGS", "per_bb"), ("DISABLE_INTEL_SVML", 1), ("DEBUG_NRT", 1), ("FULL_TRACEBACKS", 1),
    ("A_SETTING_OF_A_LATER_NUMBA", 1),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value"), CHANGES, ids=[f"{name}={value}" for name, value in CHANGES])
def test_what_may_change_code_decides_what_is_kept(target, name, value):
    assert target() == target()
    assert target(name, value) != target()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DISABLE_JIT", 1), ("DEBUGINFO_DEFAULT", 1), ("EXTEND_VARIABLE_LIFETIMES", 1), ("ENABLE_PROFILING", 1),
        ("NUMBA_NUM_THREADS", 3), ("THREADING_LAYER", "omp"), ("DUMP_LLVM", 1), ("DEBUG", 1), ("COLOR_SCHEME", "x"),
        ("CACHE_DIR", "x"), ("GDB_BINARY", "x"), ("CUDA_DRIVER", "x"), ("ENABLE_CUDASIM", 1),
    ],
)  # fmt: skip
def test_what_changes_none_does_not(target, name, value):
    assert target(name, value) == target()


def test_what_llvm_was_given_decides_too(target, monkeypatch):
    """The user's own functions may have been compiled before a setting was changed."""
    before = target()
    monkeypatch.setattr(cpu_target.target_context.codegen(), "_tm_features", "+sse2")
    assert target() != before


def test_settings_count_as_they_were_first(monkeypatch):
    """Programs are found by them, so those that are compiled later must not be of other ones."""
    first = numba_settings.settings()
    monkeypatch.setenv("NUMBA_OPT", "1" if first["OPT"] != 1 else "2")
    monkeypatch.setenv("NUMBA_DEBUGINFO", "1")
    with numba_settings.prescribed(SLP_VECTORIZE=7):
        assert (first["OPT"], 0, 7) == (config.OPT, config.DEBUGINFO_DEFAULT, config.SLP_VECTORIZE)
        assert {name: getattr(config, name) for name in first if name != "SLP_VECTORIZE"} == {
            name: value for name, value in first.items() if name != "SLP_VECTORIZE"
        }
    assert int(os.environ["NUMBA_OPT"]) == config.OPT  # the user's own functions
    assert config.DEBUGINFO_DEFAULT == 1
    assert cpu.target_description() == cpu.target_description()
    monkeypatch.undo()
    config.reload_config()
    assert config.DEBUGINFO_DEFAULT == 0


def test_features_without_avx(monkeypatch):
    known = numba_settings.settings()
    monkeypatch.setattr(numba_settings, "settings", lambda: known | {"ENABLE_AVX": 0, "CPU_FEATURES": None})
    assert not [name for name in cpu.cpu_features.__wrapped__() if name.startswith("avx")]


WRONG = {
    "avx2": "expected names with . or - before each",
    "+avx2, +fma": "expected names with",
    "+avx2;+fma": "expected names with",
    "+avx2,": "expected names with",
    "+": "expected names with",
    "+avx2,+of-a-later-cpu": "this CPU lacks avx2, of-a-later-cpu; change it or unset it",
    "-sse2": "there is no code without sse2",
    "+avx2,-cx8,-64bit": "there is no code without cx8, 64bit",
}


@pytest.mark.parametrize(("named", "message"), WRONG.items(), ids=WRONG)
def test_features_that_cannot_be(monkeypatch, named, message):
    """LLVM would end the process, or the CPU."""
    here = {"64bit": True, "avx2": "+avx2,-" in named, "fma": True, "of-a-later-cpu": False}
    known = numba_settings.settings()
    monkeypatch.setattr(llvmlite.binding, "get_host_cpu_features", lambda: here)
    monkeypatch.setattr(numba_settings, "settings", lambda: known | {"CPU_FEATURES": named})
    with pytest.raises(ValueError, match=message) as error:
        cpu.cpu_features.__wrapped__()
    assert str(error.value).startswith(f"NUMBA_CPU_FEATURES={named!r}: ")


CODE = """
import os, sys
if sys.argv[1] == "set":
    import numba
    numba.config.DEBUGINFO_DEFAULT = 1
elif sys.argv[1] == "late":
    import fastnn.kernels.compiler.jit
    os.environ["NUMBA_DEBUGINFO"] = os.environ["NUMBA_ENABLE_PROFILING"] = "1"
import numpy as np
from fastnn.kernels.compiler import jit
from fastnn.kernels.operations.random import shuffle

order = np.arange(9)
jit.program(shuffle, np.dtype("float32"))(order, 9, 3, 5, 0)
print(order.tolist())
"""


@pytest.mark.parametrize(
    "way", ["environment", "late", *(pytest.param(way, marks=pytest.mark.slow) for way in ("file", "set"))]
)
def test_programs_with_debugging_of_the_users_functions(tmp_path, way):
    if way == "file":
        pytest.importorskip("yaml")
        (tmp_path / ".numba_config.yaml").write_text("debuginfo: 1\nextend_variable_lifetimes: 1\n")
    environment = {**os.environ, "FASTNN_CACHE_DIR": str(tmp_path / "cache"), "FASTNN_QUIET": "1"}
    environment["PYTHONPATH"] = str(Path(fastnn.__file__).parents[1])
    if way == "environment":
        environment |= {"NUMBA_DEBUGINFO": "1", "NUMBA_ENABLE_PROFILING": "1"}
    command = [sys.executable, "-c", CODE, way]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == reference.permutation(9, 5, 3).tolist()


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("NUMBA_CPU_FEATURES", "avx2", "ValueError: NUMBA_CPU_FEATURES='avx2': expected names with"),
        ("NUMBA_NUM_THREADS", "0", "ValueError: Numba refuses its settings (NUMBA_NUM_THREADS='0'): "),
    ],
)
def test_what_cannot_work_is_said_in_one_sentence(run_python, name, value, message):
    for code in (
        "m = fastnn.Sequential([fastnn.layers.Dense(1, input_dim=1)])\nm.predict([[1.0]])",
        "fastnn.Perceptron().fit([[0.0], [1.0]], [0, 1])",
    ):
        with pytest.raises(AssertionError) as error:
            run_python("import fastnn\n" + code, **{name: value})
        assert message in str(error.value)


@pytest.mark.parametrize("text", ["- opt", "opt: [", "1: 2", "num_threads: 0"])
def test_a_file_that_numba_refuses_is_named(run_python, tmp_path, text):
    pytest.importorskip("yaml")
    (tmp_path / ".numba_config.yaml").write_text(text)
    with pytest.raises(AssertionError) as error:
        run_python("import fastnn.kernels.host.cpu", cwd=tmp_path, PYTHONPATH=Path(fastnn.__file__).parents[1])
    assert f"ValueError: Numba refuses its settings ({tmp_path / '.numba_config.yaml'}): " in str(error.value)


def test_settings_are_plain_and_the_same_in_every_process(run_python):
    code = "from fastnn.kernels.host import cpu; print(cpu.target_description())"
    assert run_python(code) == run_python(code, NUMBA_NUM_THREADS="1", PYTHONHASHSEED="1")
    assert " at 0x" not in cpu.target_description()
