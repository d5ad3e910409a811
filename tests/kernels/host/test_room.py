"""First fits of processes that have no memory for them: one MemoryError, and the fit is done once there is some."""

import os

import pytest

CODE = """
    import resource
    import numba.core.registry, numpy as np
    from fastnn import Dense, Sequential, set_random_seed
    {first}

    def fit(**options):
        set_random_seed(0)
        model = Sequential([Dense(12, "relu", input_shape=(6,)), Dense(1)])
        model.compile("adam", "mse", **options)
        x = np.random.default_rng(0).normal(size=(100, 6))
        return model.fit(x, x[:, 0], epochs=2, verbose=0).history["loss"]

    def used():
        with open("/proc/self/statm") as file:
            return int(file.read().split()[0]) * resource.getpagesize()

    resource.setrlimit(resource.RLIMIT_AS, (used() + MEBIBYTES * 2**20, -1))
    try:
        fit({options})
    except MemoryError as error:
        print(error)
    resource.setrlimit(resource.RLIMIT_AS, (-1, -1))
    assert fit({options}) == fit()
"""
LOADED = "import scipy.linalg, sklearn.linear_model"
CASES = {  # MiB of memory, what is imported, arguments of compile, whether the programs are kept, what has no room
    "OpenBLAS would wait for ever": (64, "", "", True, "loading a compiled program needs 128 MiB"),
    "LLVM would end it while loading": (8, LOADED, "", True, "loading a compiled program needs 32 MiB"),
    "LLVM would end it while compiling": (68, LOADED, "", False, "compiling a program needs 64 MiB"),
    "a network's own program": (8, LOADED, "jit_compile=True", True, "loading a compiled program needs 32 MiB"),
    "enough": (300, "", "", True, ""),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_a_first_fit_without_memory(fresh_cache, run_python, case):
    pytest.importorskip("resource")
    if not os.path.exists("/proc/self/statm"):
        pytest.skip("this system does not say what a process uses")
    mebibytes, first, options, kept, refusal = CASES[case]
    code = CODE.format(first=first, options=options)
    if kept:
        run_python(code.replace("MEBIBYTES", "10_000"))
    printed = run_python(code.replace("MEBIBYTES", str(mebibytes)))
    assert bool(printed) == bool(refusal)
    assert printed.partition(" of memory")[0].strip() in (refusal, "")  # Python may be the first that has none
