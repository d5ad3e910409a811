"""Every load and store of compiled code, checked to the byte: it stays within one of the buffers it was given.

Beside the guard pages, which notice only what leaves a buffer's pages: here a check stands before each access.
"""

import shutil
import sys

import pytest
from fastnn.kernels.host import cpu
from harness import folders_of

pytestmark = [
    pytest.mark.skipif(not sys.platform.startswith("linux") or not shutil.which("cc"), reason="needs Linux, cc"),
]

CODE = """
    import sys, warnings
    warnings.simplefilter("ignore")
    sys.path[:0] = {tests!r}
    import test_bounds
    print(*test_bounds.{work}({folder!r}))
"""


def allowing(functions):
    """Tell the checks of the arrays of a call, for ``guard_programs``."""

    def allow(arrays, more=False):
        if not more:
            functions.bounds_forget()
        for array in arrays:
            functions.bounds_allow(array.ctypes.data, array.nbytes)

    return allow


def checked(work, folder, **options):
    """Do ``work`` of the guard pages' tests; returns calls, accesses in the code, and checks done."""
    import ctypes

    import bounds
    import test_guard_pages

    functions = bounds.install(folder)
    calls = getattr(test_guard_pages, work)(False, allow=allowing(functions), **options)
    return calls, functions.places, ctypes.c_long.in_dll(functions, "checks").value


def everything(folder):
    return checked("exercise", folder)


def mixed(folder):
    return checked("exercise", folder, dtypes=("mixed_bfloat16",))


def estimators(folder):
    return checked("exercise_estimators", folder)


def pictures(folder):
    return checked("exercise_pictures", folder)


def trespass(folder):
    return checked("trespass", folder)


def run_checked(run_python, work, tmp_path, **environment):
    code = CODE.format(tests=folders_of(__file__), work=work, folder=str(tmp_path))
    return [int(word) for word in run_python(code, FASTNN_CACHE_DIR=tmp_path / "cache", **environment).split()]


def test_one_element_too_many_is_noticed(run_python, tmp_path):
    """Where no page ends."""
    with pytest.raises(AssertionError, match="out of bounds: 8 bytes at .* in .*trespass_case"):
        run_checked(run_python, "trespass", tmp_path)


LEVELS = dict.fromkeys([cpu.simd_level(), *(["avx2"] if cpu.simd_level() == "avx512" else []), "none"])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("work", "level"),
    [*((work, level) for work in ("everything", "pictures") for level in LEVELS), ("estimators", cpu.simd_level())],
)
def test_every_access_is_within_a_buffer(run_python, tmp_path, work, level):
    calls, places, checks = run_checked(run_python, work, tmp_path, FASTNN_SIMD=level)
    assert calls >= (100 if work == "everything" else 8)
    assert places > 5000
    assert checks > 100_000


@pytest.mark.slow
@pytest.mark.skipif(not cpu.has_bfloat16(), reason="this CPU has no AVX512-BF16: NOT TESTED")
@pytest.mark.parametrize("amx", ["off", "emulate"])
def test_every_access_of_mixed_precision_is_within_a_buffer(run_python, tmp_path, amx):
    calls, places, checks = run_checked(run_python, "mixed", tmp_path, FASTNN_AMX=amx)
    assert calls >= 100
    assert places > 5000
    assert checks > 100_000
