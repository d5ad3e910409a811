"""Compiled kernels are kept on disk, and loaded by the next process; no GPU is needed."""

import pytest

pytest.importorskip("numba_cuda", reason="needs the extra fastnn-core[cuda]")

CODE = """
from types import SimpleNamespace
import numpy as np
from numba.cuda import codegen, dispatcher, types
device = SimpleNamespace(compute_capability=(8, 0))  # in the place of a GPU
dispatcher.get_current_device = lambda: device
codegen.CUDACodeLibrary._ensure_cc = lambda library, cc: (8, 0)
from fastnn.kernels.cuda import jit
from fastnn.kernels.cuda.blocks import inference
jit.cuda.get_current_device = lambda: device
dispatcher._Kernel.bind = lambda kernel: kernel._codelibrary.get_cubin(cc=(8, 0))

kernel = jit.kernel(inference.infer_blocks, np.dtype("float32"))
vectors = {"I": types.int64[::1], "N": types.float32[::1], "D": types.float64[::1]}
compiled = kernel.compile(tuple(vectors[letter] for letter in "IIINNNNNNNNDN"))
print(len(compiled._codelibrary.get_cubin(cc=(8, 0)).code), *kernel._cache_hits.values(), "loaded")
"""


def test_a_kernel_is_kept(run_python, fresh_cache):
    environment = {"FASTNN_CACHE_DIR": fresh_cache, "FASTNN_QUIET": 1, "NUMBA_ENABLE_CUDASIM": 0}
    size, *loaded = run_python(CODE, **environment).split()
    assert loaded == ["loaded"]
    assert len(list(fresh_cache.rglob("infer_blocks_float32-*.bin"))) == 1
    assert run_python(CODE, **environment).split() == [size, "1", "loaded"]
