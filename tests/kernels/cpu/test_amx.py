"""Tiles of AMX: a multiplication bit for bit, training on what stands in for the instructions, and who chooses.

On a CPU with AMX, ``test_bfloat16.py`` runs on it, and the last test here compares it with its emulation. Everywhere
else the instructions are replaced in two ways that know nothing of each other and must agree: by vector code
(``FASTNN_AMX=emulate``), and by a signal handler that decodes the machine code made for AMX (``tile_traps.c``).
"""

import re
import shutil
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from fastnn.kernels.compiler import jit
from fastnn.kernels.host import amx_permission, cpu
from fastnn.kernels.llvm import amx_tiles
from fastnn.kernels.llvm.instructions import I64, PROGRAM_MODE, at, float_mode, set_float_mode
from fastnn.kernels.llvm.vectors import Vectors
from fastnn.kernels.reference import bfloat16
from harness import AMX_FEATURES, folders_of, with_amx
from numba import types
from numba.extending import intrinsic

HERE = Path(__file__).parent
FLOAT = np.dtype(np.float32)
SMALLEST = Fraction(2) ** -126
CHOICE, REASON = cpu.tile_choice()
has_bfloat16 = pytest.mark.skipif(not cpu.has_bfloat16(), reason="this CPU has no AVX512-BF16: NOT TESTED")
has_amx = pytest.mark.skipif(CHOICE != "amx", reason=f"{REASON}: NOT TESTED")
lacks_amx = pytest.mark.skipif(CHOICE == "amx", reason="this CPU has AMX: no need to stand in for it")


def multiplication(kind):
    """Program that adds to a square of numbers the product of squares of pairs, on tiles of this kind."""

    @intrinsic
    def multiply(typingctx, c, a, b):
        def codegen(context, builder, signature, arguments):
            kind.configure(builder)
            emitter = kind(Vectors(context, builder, c.dtype))
            for tile, pointer in zip((3, 5, 6), arguments, strict=True):
                emitter.load(tile, pointer, I64(16))
            emitter.multiply(3, 5, 6)
            emitter.store(3, arguments[0], I64(16))
            kind.release(builder)
            return context.get_dummy_value()

        return types.void(c, a, b), codegen

    def multiplication_case(c, a, b):
        mode = float_mode()
        set_float_mode(PROGRAM_MODE)
        multiply(at(c, 0), at(a, 0), at(b, 0))
        set_float_mode(mode)

    return jit.program(multiplication_case, FLOAT, kind.__name__)


def rounded(value):
    """The float32 nearest to a fraction, ties to even, subnormals zero."""
    if abs(value) < SMALLEST / 2:
        return Fraction(0)
    exponent = abs(value).numerator.bit_length() - value.denominator.bit_length()
    exponent -= abs(value) < Fraction(2) ** exponent
    unit = Fraction(2) ** (exponent - 23)
    result = round(value / unit) * unit
    return result if abs(result) >= SMALLEST else Fraction(0)


def flushed(values):
    """Fractions of an array of float32, zero for subnormals."""
    return [[Fraction(float(v)) if abs(v) >= SMALLEST else Fraction(0) for v in row] for row in values]


def multiplied(c, a, b):
    """Intel's operation of TDPBF16PS in exact arithmetic: c (16, 16), a (16, 32), b (32, 16), rows of b in order."""
    c, a, b = flushed(c), flushed(a), flushed(b)
    for m in range(16):
        for n in range(16):
            sums = [Fraction(0), Fraction(0)]
            for k in range(32):
                sums[k % 2] = rounded(sums[k % 2] + a[m][k] * b[k][n])
            c[m][n] = rounded(c[m][n] + rounded(sums[0] + sums[1]))
    return np.array(c, float).astype(FLOAT)


def pairs(values):
    """Rows of bfloat16 as rows of pairs."""
    return np.ascontiguousarray((values.view(np.uint32) >> 16).astype(np.uint16)).view(FLOAT)


@has_bfloat16
@pytest.mark.parametrize("kind", [amx_tiles.EmulatedTiles, pytest.param(amx_tiles.AmxTiles, marks=has_amx)])
def test_multiplication_is_intels_bit_for_bit(rng, kind):
    """Numbers of all sizes, so that every rounding shows, and products and operands that are flushed to zero."""
    program = multiplication(kind)
    for smallest, largest in ((-6, 6), (-70, -55), (-130, 20)):
        a, b, c = (
            (rng.normal(size=shape) * 2.0 ** rng.integers(smallest, largest, shape)).astype(FLOAT)
            for shape in ((16, 32), (32, 16), (16, 16))
        )
        a, b = bfloat16(a).astype(FLOAT), bfloat16(b).astype(FLOAT)
        result = c.copy()
        by_columns = b.reshape(16, 2, 16).transpose(0, 2, 1).reshape(16, 32)
        program(result.ravel(), pairs(a).ravel(), pairs(by_columns).ravel())
        np.testing.assert_array_equal(result, multiplied(c, a, b))


@has_bfloat16
def test_multiplication_keeps_nan_and_infinity_in_their_rows_and_columns():
    a, b, c = np.ones((16, 32), FLOAT), np.ones((16, 32), FLOAT), np.zeros((16, 16), FLOAT)
    a[3, 7], b[5, 2 * 4] = np.inf, np.nan
    multiplication(amx_tiles.EmulatedTiles)(c.ravel(), pairs(a).ravel(), pairs(b).ravel())
    assert np.isnan(c[:, 4]).all()
    assert np.isinf(np.delete(c[3], 4)).all()
    assert (np.delete(np.delete(c, 3, axis=0), 4, axis=1) == 32).all()


# What every process of the tests below trains and predicts; it prints a digest of all bits.
TRAINING = f"""
    import hashlib, sys
    import numpy as np
    sys.path[:0] = {folders_of(__file__)!r}
    from test_training_kernels import deep, tiny, wide
    digest = hashlib.sha256()
    for problem, threads, options in (
        (deep, 1, dict(batch_size=31, epochs=2)), (deep, 3, dict(batch_size=131, epochs=1)),
        (wide, 2, dict(batch_size=97, epochs=1)), (tiny, 1, dict(batch_size=7, epochs=2)),
    ):
        engine, _, logs = problem(mixed=True).train(threads=threads, **options)
        outputs = engine.predict(problem().x, threads=threads)
        for result in (engine.params, engine.slots, logs, outputs):
            assert np.isfinite(result).all()
            digest.update(result.tobytes())
"""
TELL = "    print(digest.hexdigest())\n"

TRAPS = """
    import ctypes
    from fastnn.kernels.host import amx_permission
    amx_permission.refusal = lambda: ""
    traps = ctypes.CDLL({library!r})
    assert traps.install() == 0
"""

AFTER_TRAPS = """
    names = "configured", "released", "zeroed", "loaded", "stored", "multiplied"
    counts = dict(zip(names, (ctypes.c_long * 6).in_dll(traps, "counts")))
    assert counts["configured"] == counts["released"] > 0
    assert traps.is_configured() == 0
    assert counts["multiplied"] > counts["stored"] > 0
"""


@pytest.mark.slow
@has_bfloat16
@lacks_amx
def test_machine_code_for_amx_does_what_the_emulation_does(run_python, tmp_path):
    compiler = shutil.which("cc")
    if compiler is None or sys.platform != "linux":
        pytest.skip("no C compiler, or not Linux: NOT TESTED")
    library = tmp_path / "tile_traps.so"
    command = [compiler, "-O2", "-mfma", "-ffp-contract=off", "-shared", "-fPIC", HERE / "tile_traps.c", "-o", library]
    subprocess.run([*command, "-lm"], check=True)
    code = TRAPS.format(library=str(library)) + TRAINING + AFTER_TRAPS + TELL
    trapped = run_python(with_amx(code), FASTNN_AMX="")
    assert trapped == run_python(TRAINING + TELL, FASTNN_AMX="emulate")


@has_amx
def test_amx_does_what_the_emulation_does(run_python):
    assert run_python(TRAINING + TELL, FASTNN_AMX="") == run_python(TRAINING + TELL, FASTNN_AMX="emulate")


SELECTED = "way_forward or odd_shapes or training_is_the_oracles or follow_the_weights or same_bits or nan_and"


@has_bfloat16
@pytest.mark.parametrize("selected", [SELECTED, pytest.param("test", marks=pytest.mark.slow)], ids=["some", "all"])
def test_mixed_precision_on_emulated_tiles(run_python, selected):
    code = f"""
        import sys, pytest
        from fastnn.kernels.host import amx_permission, cpu
        assert cpu.tile_choice()[0] == "emulated"
        sys.exit(pytest.main(["-q", "-p", "no:cacheprovider", {str(HERE / "test_bfloat16.py")!r}, "-k", {selected!r}]))
    """
    printed = run_python(code, FASTNN_AMX="emulate", timeout=900)
    assert re.search(r"\d\d passed", printed)
    assert "failed" not in printed
    assert "skipped" not in printed


@pytest.mark.parametrize(
    ("environment", "choice"),
    [
        ({"FASTNN_AMX": "off"}, ("none", "FASTNN_AMX=off")),
        ({"FASTNN_AMX": "emulate"}, ("emulated", "FASTNN_AMX=emulate")),
        ({"FASTNN_AMX": "emulate", "FASTNN_SIMD": "none"}, ("none", "AVX512-BF16")),
    ],
)
def test_environment_chooses(run_python, environment, choice):
    kind, reason = choice if cpu.has_bfloat16() else ("none", "AVX512-BF16")
    printed = run_python("from fastnn.kernels.host import cpu; print(*cpu.tile_choice())", **environment)
    assert printed.startswith(kind)
    assert reason in printed


def test_unknown_switch_is_refused(monkeypatch):
    monkeypatch.setenv("FASTNN_AMX", "yes")
    with pytest.raises(ValueError, match=r"FASTNN_AMX='yes': choose 'off' or 'emulate'"):
        cpu.tile_choice.__wrapped__()


@has_bfloat16
def test_permission_decides(monkeypatch):
    """A CPU that has AMX by its features, under a system that grants or refuses it."""
    monkeypatch.delenv("FASTNN_AMX", raising=False)
    features = cpu.cpu_features()
    monkeypatch.setattr(cpu, "cpu_features", lambda: features - AMX_FEATURES)
    assert cpu.tile_choice.__wrapped__() == ("none", "this CPU has no AMX")
    monkeypatch.setattr(cpu, "cpu_features", lambda: features | AMX_FEATURES)
    monkeypatch.setattr(amx_permission, "refusal", lambda: "Linux refuses permission")
    assert cpu.tile_choice.__wrapped__() == ("none", "Linux refuses permission")
    monkeypatch.setattr(amx_permission, "refusal", lambda: "")
    assert cpu.tile_choice.__wrapped__() == ("amx", "")


@pytest.mark.skipif(sys.platform != "linux" or cpu.cpu_features() >= AMX_FEATURES, reason="a CPU that has AMX")
def test_system_refuses_what_the_cpu_lacks():
    assert re.match("Linux (refuses|grants no) permission", amx_permission.refusal())


@has_bfloat16
def test_programs_of_each_kind_are_kept_apart(run_python):
    code = """
        from fastnn.kernels.cpu import variants
        from fastnn.kernels.cpu.training import train_steps
        import numpy as np
        for mixed in (False, True):
            print(variants.program(train_steps, np.dtype(np.float32), mixed=mixed)._cache.path.name)
    """
    plain, mixed = run_python(code, FASTNN_AMX="off").split()
    same, emulated = run_python(code, FASTNN_AMX="emulate").split()
    assert same == plain
    assert len({plain, mixed, emulated}) == 3
