"""Machine code of the CUDA kernels, made without a GPU: every one compiles, links and keeps its numbers in registers.

PTX comes from Numba, machine code of it from NVIDIA's linker, which needs no driver and counts registers.
"""

import re
from types import SimpleNamespace

import numpy as np
import pytest
from harness import import_all

pytest.importorskip("numba_cuda", reason="needs the extra fastnn-core[cuda]")
nvjitlink = pytest.importorskip("cuda.bindings.nvjitlink", reason="needs the extra fastnn-core[cuda]")
import_all("fastnn.kernels.cuda")
from fastnn.kernels.cuda import gemm_choice, jit, variants  # noqa: E402
from fastnn.kernels.cuda.launches import shuffle  # noqa: E402

ENTRIES, cuda = jit.ENTRIES, jit.cuda
for methods in gemm_choice.METHODS.values():
    for method in methods:
        for product in gemm_choice.PRODUCTS:
            gemm_choice.product_kernel(product, method)

REGISTERS = 65536  # of a multiprocessor
STATIC_SHARED = 48 * 1024  # bytes that a block may have without asking for more
SAVED_BYTES = 4 * 64  # a function that is called saves registers of its caller, which are counted as spilled
# What kernels with this in their names have, and others have not.
INSTRUCTIONS = {
    "multiply_pairs": "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32",
    "multiply_tf32": "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32",
}


def is_quick(name, dtype):
    """One precision of all kernels, and one size of tiles."""
    return dtype == "float32" and ("_tiles_" not in name or name.endswith("64x64"))


CASES = [
    pytest.param(function, dtype, marks=[] if is_quick(function.__name__, dtype) else [pytest.mark.slow])
    for function, entry in ENTRIES.items()
    for dtype in [*entry.dtypes, *["mixed"] * entry.mixed]
]


def name_of(value):
    return getattr(value, "__name__", value)


def signatures(arguments, dtype):
    """Types of a kernel's arguments, once for each type of ``x`` or ``s``."""
    from numba.cuda import types
    from numba.cuda.np.numpy_support import from_dtype

    element, letters = from_dtype(np.dtype(dtype)), arguments.lower()
    given = [types.boolean, types.uint8, types.int64, types.float16, types.float64]
    for x in given if "s" in letters else [element, types.uint8] if "x" in letters else [element]:
        kinds = {"n": element, "x": x, "s": x, "u": types.uint8, "i": types.int64, "j": types.int32, "d": types.float64}
        yield tuple(kinds[letter.lower()][::1] if letter.isupper() else kinds[letter] for letter in arguments)


def linked(ptx, architecture):
    """What the linker says about machine code for an architecture; RuntimeError where it refuses."""
    handle = nvjitlink.create(2, [f"-arch=sm_{architecture[0]}{architecture[1]}", "-verbose"])
    code = ptx.encode()

    def log(size, read):
        text = bytearray(size(handle))
        read(handle, text)
        return text.decode(errors="replace").strip("\0")

    try:
        nvjitlink.add_data(handle, nvjitlink.InputType.PTX, code, len(code), "kernel")
        nvjitlink.complete(handle)
        return log(nvjitlink.get_info_log_size, nvjitlink.get_info_log)
    except nvjitlink.nvJitLinkError as error:
        raise RuntimeError(log(nvjitlink.get_error_log_size, nvjitlink.get_error_log)) from error
    finally:
        nvjitlink.destroy(handle)


def compiled(function, dtype, signature, architecture, monkeypatch):
    """PTX of a kernel."""
    device = SimpleNamespace(compute_capability=architecture)
    monkeypatch.setattr("numba.cuda.dispatcher.get_current_device", lambda: device)
    mixed = dtype == "mixed"
    source = jit.source(function, np.dtype("float32" if mixed else dtype), *[variants.MIXED] * mixed)
    return cuda.compile_ptx(source, signature, cc=architecture, launch_bounds=ENTRIES[function].threads)[0]


def largest(pattern, report):
    return max((int(number) for number in re.findall(pattern, report)), default=0)


@pytest.mark.parametrize(("function", "dtype"), CASES, ids=name_of)
@pytest.mark.parametrize("architecture", [pytest.param((8, 0), marks=pytest.mark.slow), (9, 0)], ids=["sm_80", "sm_90"])
def test_machine_code(function, dtype, architecture, monkeypatch, record_property):
    entry = ENTRIES[function]
    for signature in signatures(entry.arguments, "float32" if dtype == "mixed" else dtype):
        ptx = compiled(function, dtype, signature, architecture, monkeypatch)
        for part, instruction in INSTRUCTIONS.items():
            assert (instruction in ptx) == (part in function.__name__), instruction
        rounds = dtype == "mixed" or "multiply_pairs" in function.__name__
        assert ("cvt.rn.bf16x2.f32" in ptx) == rounds
        report = linked(ptx, architecture)
        registers, shared = largest(r"used (\d+) registers", report), largest(r"(\d+) bytes smem", report)
        (name,) = re.findall(r"Compiling entry function '(\S+)'", report)
        spilled = {
            place: int(stored)
            for place, stored in re.findall(r"Function properties for (\w+)\n.*, (\d+) bytes spill stores", report)
        }
        record_property("registers", registers)
        record_property("shared", shared)
        record_property("spilled", spilled)
        assert spilled.pop(name) == 0, report
        assert max(spilled.values(), default=0) <= SAVED_BYTES, report
        assert 0 < registers * entry.threads <= REGISTERS, report
        assert shared <= STATIC_SHARED, report


def test_no_block_has_more_threads_than_its_kernel_was_compiled_for():
    from fastnn.engine.cuda import inference, launches, training_launches

    most = max(launches.THREADS, launches.ROW_THREADS, launches.FEW_THREADS, inference.MOST_THREADS)
    assert most <= min(entry.threads for function, entry in ENTRIES.items() if "_tiles_" not in function.__name__)
    assert ENTRIES[shuffle.shuffle_epoch].threads >= training_launches.SHUFFLING_THREADS
    for method in (method for methods in gemm_choice.METHODS.values() for method in methods):
        for product in gemm_choice.PRODUCTS:
            assert ENTRIES[gemm_choice.product_kernel(product, method)].threads == method.threads
