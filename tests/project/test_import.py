"""``import fastnn`` costs next to nothing, and every public name is there when it is asked for."""

import ast
import inspect
import json

import pytest

import fastnn

OPTIONAL = {"matplotlib", "pandas", "polars", "rich", "torch", "typer"}
HEAVY = OPTIONAL | {"llvmlite", "numba", "numpy", "platformdirs", "safetensors", "scipy", "sklearn"}


def test_import_is_light(run_python):
    code = """
        import json, os, sys, threading
        import fastnn
        tasks = len(os.listdir("/proc/self/task")) if os.path.isdir("/proc/self/task") else 1
        print(json.dumps([sorted(sys.modules), max(threading.active_count(), tasks)]))
    """
    modules, threads = json.loads(run_python(code))
    assert sorted(HEAVY & set(modules)) == []
    assert threads == 1


def test_import_is_quick(run_python):
    code = """
        import time, numpy
        start = time.perf_counter()
        import fastnn
        print(time.perf_counter() - start)
    """
    assert min(float(run_python(code)) for _ in range(5)) < 0.25


def test_public_modules_wait_with_their_optional_parts(run_python):
    code = f"""
        import sys, fastnn
        for name in {fastnn._MODULES}:
            getattr(fastnn, name)
        print(" ".join(sys.modules))
    """
    assert sorted(OPTIONAL & set(run_python(code).split())) == []


@pytest.mark.parametrize("name", fastnn.__all__)
def test_every_public_name_is_there(name):
    assert getattr(fastnn, name) is not None
    assert name in dir(fastnn)


def test_names_for_type_checkers_are_the_public_names():
    tree = ast.parse(inspect.getsource(fastnn))
    (block,) = (node for node in tree.body if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test))
    declared = {alias.name: node.module for node in block.body for alias in node.names}
    table = {name: f"fastnn.{module}" for name, module in fastnn._HOME.items()}
    assert declared == table | dict.fromkeys(fastnn._MODULES, "fastnn")


def test_import_styles(run_python):
    run_python(
        """
        import fastnn as keras
        assert keras.utils.to_categorical([0, 2], 3).tolist() == [[1, 0, 0], [0, 0, 1]]
        from fastnn.models import Sequential
        assert keras.models.Sequential is Sequential is keras.Sequential
        names = {}
        exec("from fastnn import *", names)
        assert names["Dense"] is keras.layers.Dense
        assert set(keras.__all__) <= set(names)
        """
    )


def test_unknown_name_gets_a_hint():
    with pytest.raises(AttributeError, match="'Sequental'; did you mean Sequential"):
        fastnn.Sequental  # noqa: B018
    with pytest.raises(AttributeError, match="dir"):
        fastnn.qqqq  # noqa: B018
    assert not hasattr(fastnn, "__wrapped__")
