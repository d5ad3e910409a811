"""The first use of a process, which imports Numba and makes programs: whatever strikes then, the next one works."""

import textwrap

import pytest

USE = """
    import ctypes, sys, threading, time
    import numpy as np
    def use():
        import fastnn
        fastnn.set_random_seed(1)
        model = fastnn.Sequential([fastnn.Dense(4, "relu", input_shape=(3,)), fastnn.Dense(1)])
        model.compile("adam", "mse")
        x = np.ones((20, 3))
        model.fit(x, x[:, 0], verbose=0, epochs=3)
        return model.predict(x, verbose=0)[0, 0].tobytes().hex()
    def elsewhere(function):
        thread = threading.Thread(target=function)
        thread.start()
        thread.join()
"""
DEEP = """
    def down(calls):
        return use() if calls <= 0 else down(calls - 1)
    def try_all():
        frame, depth = sys._getframe(), 0
        while frame:
            frame, depth = frame.f_back, depth + 1
        struck = 0
        for left in range({first}, 400, {step}):
            try:
                down(sys.getrecursionlimit() - depth - left)
                break
            except RecursionError:
                struck += 1
        print(struck > 0)
    {where}(try_all)
    print(use())
"""
STRUCK = """
    class Struck(Exception): ...
    def first():
        while True:
            try:
                use()
                return
            except Struck:
                pass
    thread = threading.Thread(target=first)
    thread.start()
    sent = 0
    while sent < 10 and thread.is_alive():
        time.sleep({pause})
        if any(other.name == "fastnn-compiler" and other.is_alive() for other in threading.enumerate()):
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(Struck))
            sent += 1
    thread.join()
    print(sent > 0, use())
"""


@pytest.fixture
def first_use(run_python):
    """A function that runs code after `USE` in a new process and returns the lines that it prints."""
    return lambda code: run_python(textwrap.dedent(USE) + textwrap.dedent(code), timeout=120).split()


@pytest.fixture
def expected(first_use):
    return first_use("print(use())")[0]


@pytest.mark.parametrize("first", [5, *(pytest.param(n, marks=pytest.mark.slow) for n in (8, 11))])
@pytest.mark.parametrize(
    "where",
    [
        pytest.param("(lambda f: f())", id="main"),
        pytest.param("elsewhere", id="other", marks=pytest.mark.slow),
    ],
)
def test_deep_in_a_recursion(first_use, expected, where, first):
    """Deeper and deeper below the limit, until it works or there is room enough."""
    assert first_use(DEEP.format(where=where, first=first, step=8)) == ["True", expected]


@pytest.mark.parametrize("limit", [80, *(pytest.param(n, marks=pytest.mark.slow) for n in (40, 120))])
def test_a_low_limit_of_recursion(first_use, expected, limit):
    code = f"""
        sys.setrecursionlimit({limit})
        try:
            use()
        except RecursionError:
            pass
        print(sys.getrecursionlimit())
        sys.setrecursionlimit(1000)
        print(use())
    """
    assert first_use(code) == [str(limit), expected]


@pytest.mark.parametrize("pause", [0.02, *(pytest.param(n, marks=pytest.mark.slow) for n in (0.005, 0.05))])
def test_exceptions_sent_to_the_thread(first_use, expected, pause):
    """While it waits for Numba; in the midst of other imports, or of starting a thread, Python itself may hang."""
    assert first_use(STRUCK.format(pause=pause)) == ["True", expected]


def test_an_import_that_fails_can_be_tried_again(first_use, expected):
    """Whatever it was, what is there of Numba is forgotten."""
    code = """
        import importlib
        class Failing:
            def find_spec(self, name, path=None, target=None):
                if name == "numba.np.ufunc":
                    raise MemoryError
        sys.meta_path.insert(0, Failing())
        try:
            use()
        except MemoryError:
            print(any(name.partition(".")[0] == "numba" for name in sys.modules))
        del sys.meta_path[0]
        print(use())
    """
    assert first_use(code) == ["False", expected]
