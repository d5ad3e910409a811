"""The disk cache of compiled programs: stored once, checked when loaded, never in the way."""

import hashlib
import os
import pickle
import shutil
import subprocess
import sys
import textwrap
import threading
import time

import numpy as np
import pytest
from fastnn.kernels.compiler import jit, program_cache, sources
from fastnn.kernels.host import cache_folder, cpu, files
from harness import folders_of
from permissions import obeying_modes

from fastnn import kernels

SINGLE, DOUBLE = np.dtype("float32"), np.dtype("float64")


def cached_case(x, y):
    """A program that is quick to compile."""
    for i in range(x.size):
        y[i] = 0.5 * x[i] + 1.5


def dispatcher(dtype=SINGLE):
    """The program as a new process would get it, after its first call gave the right result."""
    program = jit._program(cached_case, dtype, "")
    x = np.arange(5, dtype=dtype)
    y = np.zeros_like(x)
    program(x, y)
    np.testing.assert_array_equal(y, 0.5 * x + 1.5)
    return program


def was_loaded(program):
    return sum(program.stats.cache_hits.values()) == 1


@pytest.fixture
def stored(fresh_cache):
    """The file of a program in a cache folder of its own."""
    dispatcher()
    (path,) = fresh_cache.glob("kernels-*/*.bin")
    return path


def kept(folder):
    """Names of the files in a folder of programs, but for its mark."""
    return sorted(file.name for file in folder.iterdir() if file.name != cache_folder.MARK)


def test_a_program_is_one_file_and_is_loaded(fresh_cache):
    assert not was_loaded(dispatcher())
    (path,) = fresh_cache.glob("kernels-*/*.bin")
    assert path.name == "cached_case_float32.bin"
    written = path.stat()
    assert was_loaded(dispatcher())
    assert path.stat().st_mtime_ns == written.st_mtime_ns
    assert path.parent.stat().st_mode & 0o077 == 0 or os.name == "nt"
    assert not was_loaded(dispatcher(DOUBLE))
    assert kept(path.parent) == ["cached_case_float32.bin", "cached_case_float64.bin"]


def with_digest(payload):
    return hashlib.sha256(payload).digest() + payload


DAMAGE = {
    "empty": lambda content: b"",
    "head": lambda content: content[:10],
    "digest": lambda content: content[:32],
    "half": lambda content: content[: len(content) // 2],
    "shorter": lambda content: content[:-1],
    "longer": lambda content: content + b"\0",
    "zeros": lambda content: bytes(len(content)),
    "zeroed": lambda content: content[:32] + bytes(len(content) - 32),
    "flipped": lambda content: content[:2000] + bytes([content[2000] ^ 1]) + content[2001:],
    "garbage": lambda content: os.urandom(len(content)),
    "text": lambda content: with_digest(b"no pickle"),
    "pickle": lambda content: with_digest(pickle.dumps("no program")),
    "other": lambda content: with_digest(pickle.dumps((pickle.loads(content[32:])[0], ("no", "program")))),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_file_is_compiled_again(stored, damage):
    content = stored.read_bytes()
    stored.write_bytes(damage(content))
    assert not was_loaded(dispatcher())
    assert was_loaded(dispatcher())
    assert kept(stored.parent) == [stored.name]


def test_files_that_changed_places(stored):
    dispatcher(DOUBLE)
    other = stored.with_name("cached_case_float64.bin")
    content = stored.read_bytes()
    stored.write_bytes(other.read_bytes())
    other.write_bytes(content)
    for dtype in (SINGLE, DOUBLE):
        assert not was_loaded(dispatcher(dtype))
        assert was_loaded(dispatcher(dtype))


def test_a_folder_where_the_file_should_be(stored):
    stored.unlink()
    stored.mkdir()
    assert not was_loaded(dispatcher())
    assert kept(stored.parent) == [stored.name]


def test_a_folder_that_vanishes(stored):
    program = jit._program(cached_case, DOUBLE, "")
    shutil.rmtree(stored.parent)
    program(np.zeros(1), np.zeros(1))
    assert kept(stored.parent) == ["cached_case_float64.bin"]


@pytest.mark.parametrize("folder", ["/dev/null/cache", "{tmp}/file", "~nobody-of-this-name/cache"])
def test_without_a_folder(tmp_path, monkeypatch, folder):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("FASTNN_CACHE_DIR", folder.format(tmp=tmp_path))
    monkeypatch.chdir(tmp_path)
    assert program_cache.cache_root() is None
    assert not was_loaded(dispatcher())
    assert not was_loaded(dispatcher())
    assert [file.name for file in tmp_path.iterdir()] == ["file"]


@obeying_modes
def test_a_folder_that_is_read_only(tmp_path, monkeypatch):
    monkeypatch.setenv("FASTNN_CACHE_DIR", str(tmp_path))
    tmp_path.chmod(0o500)
    assert program_cache.cache_root() is None
    assert not was_loaded(dispatcher())
    assert list(tmp_path.iterdir()) == []


@obeying_modes
def test_programs_in_a_folder_that_became_read_only(stored):
    """As in a container's image: what is there is loaded, what is not is compiled, and nothing is written."""
    for folder in (stored.parent.parent, stored.parent):
        folder.chmod(0o500)
    assert was_loaded(dispatcher())
    assert not was_loaded(dispatcher(DOUBLE))
    assert kept(stored.parent) == [stored.name]
    for folder in (stored.parent.parent, stored.parent):
        folder.chmod(0o700)


@obeying_modes
def test_a_file_that_may_not_be_read(stored):
    stored.chmod(0)
    assert not was_loaded(dispatcher())
    assert was_loaded(dispatcher())  # it was replaced


class HalfWritten:
    """A file on a disk that is full when half of the content is there."""

    def __init__(self, path, mode):
        self.file = open(path, mode)  # noqa: SIM115 - closed at the end

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()

    def writelines(self, parts):
        content = b"".join(parts)
        self.file.write(content[: len(content) // 2])
        raise OSError(28, "No space left on device")


def test_a_full_disk(fresh_cache, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(files, "open", HalfWritten, raising=False)
        assert not was_loaded(dispatcher())
    assert list(fresh_cache.glob("kernels-*/*.bin")) == []
    assert not was_loaded(dispatcher())
    assert was_loaded(dispatcher())


# --- what the folder's name holds -----------------------------------------------------------------------------------


def test_the_target_decides_the_folder(fresh_cache):
    assert program_cache.kernel_folder("a").parent == fresh_cache
    assert program_cache.kernel_folder("a") == program_cache.kernel_folder("a") != program_cache.kernel_folder("b")


@pytest.mark.parametrize("module", ["fastnn", "numba", "llvmlite"])
def test_versions_decide_the_folder(fresh_cache, monkeypatch, module):
    before = program_cache.kernel_folder("a")
    monkeypatch.setattr(sys.modules[module], "__version__", "0.0")
    assert program_cache.kernel_folder("a") != before


def test_every_kernel_source_decides_the_folder(fresh_cache, tmp_path, monkeypatch):
    folder = shutil.copytree(os.path.dirname(kernels.__file__), tmp_path / "kernels")
    monkeypatch.setattr("importlib.resources.files", lambda package: folder)
    monkeypatch.setattr(sources, "digest", sources.digest.__wrapped__)
    original = program_cache.kernel_folder("a")
    for name in ("formulas/elementary.py", "cpu/gemm.py", "codes.py"):
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content + b"\n")
        assert program_cache.kernel_folder("a") != original
        (folder / name).write_bytes(content)
        assert program_cache.kernel_folder("a") == original
    (folder / "within").mkdir()
    (folder / ".#codes.py").symlink_to("nowhere")  # as an editor marks what it edits
    assert program_cache.kernel_folder("a") == original
    for name in ("one_more.py", "within/codes.py", "without_source.pyc"):
        (folder / name).write_bytes(b"")
        assert program_cache.kernel_folder("a") != original
        (folder / name).unlink()
    (folder / "codes.py").rename(folder / "other.py")
    assert program_cache.kernel_folder("a") != original


def test_the_cpu_decides_the_folder(monkeypatch):
    before = cpu.target_description()
    monkeypatch.setattr(cpu, "cpu_features", lambda: frozenset({"sse2"}))
    assert cpu.target_description() != before


# --- in processes of their own --------------------------------------------------------------------------------------

PERCEPTRON = """
    import sys
    sys.stderr = sys.stdout
    import numpy as np
    from fastnn import Perceptron
    x = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    print(Perceptron(shuffle=False).fit(x, [0, 0, 0, 1]).predict(x).tolist())
"""
RESULT = "[0, 0, 0, 1]\n"


def test_the_second_process_compiles_nothing(fresh_cache, run_python):
    first = run_python(PERCEPTRON)
    assert first.startswith("fastnn: compiling kernels for this machine")
    assert first.endswith(RESULT)
    files = {file: file.stat().st_mtime_ns for file in fresh_cache.glob("kernels-*/*")}
    assert files
    assert all(cache_folder.FILE_NAME.fullmatch(file.name) for file in files)  # else they would never be deleted
    assert run_python(PERCEPTRON) == RESULT
    assert {file: file.stat().st_mtime_ns for file in fresh_cache.glob("kernels-*/*")} == files


@pytest.mark.slow
def test_programs_of_several_processes_do_not_mix(fresh_cache, run_python):
    """Each compiled in a new process, both have functions of the same names that differ, such as the pass forward."""
    code = """
        import os, numpy as np, fastnn
        for beta in os.environ["BETAS"].split():
            normalization = fastnn.layers.BatchNormalization(beta_initializer=fastnn.initializers.Constant(float(beta)))
            layers = [normalization] if float(beta) else []
            model = fastnn.Sequential([fastnn.Input((3,)), *layers, fastnn.Dense(1, kernel_initializer="ones")])
            print(model.predict(np.zeros((2, 3)), verbose=0).sum())
        """
    printed = [run_python(code, BETAS=betas).split() for betas in ("0", "2", "0 2", "2 0")]
    assert printed == [["0.0"], ["12.0"], ["0.0", "12.0"], ["12.0", "0.0"]]


def test_quiet(fresh_cache, run_python):
    assert run_python(PERCEPTRON, FASTNN_QUIET=1) == RESULT


def test_said_once_in_a_process(fresh_cache, run_python):
    code = (
        PERCEPTRON
        + "    from fastnn.kernels.compiler import jit\n    from fastnn.kernels.operations import random\n"
        + "    jit.program(random.philox, np.dtype(float))(*range(6))\n"
    )
    assert run_python(code).count("compiling") == 1


def test_without_a_home(run_python, tmp_path):
    output = run_python(PERCEPTRON, FASTNN_CACHE_DIR="/dev/null/cache", HOME="/dev/null")
    assert output.endswith(RESULT)


def test_processes_at_once(fresh_cache):
    command = [sys.executable, "-c", textwrap.dedent(PERCEPTRON)]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    assert all(process.communicate()[0].endswith(RESULT) for process in processes)
    assert not list(fresh_cache.glob("**/*.tmp"))
    assert list(fresh_cache.glob("kernels-*/*.bin"))


def test_write_atomically(tmp_path):
    path = tmp_path / "file"
    files.write_atomically(path, b"one")
    files.write_atomically(path, b"two")
    assert path.read_bytes() == b"two"
    with pytest.raises(FileNotFoundError):
        files.write_atomically(tmp_path / "nowhere" / "file", b"one")
    assert [file.name for file in tmp_path.iterdir()] == ["file"]


AT_ONCE = """
    import sys, time
    import fastnn
    time.sleep(max(0, float(sys.argv[1]) - time.time()))
""" + PERCEPTRON.replace("sys.stderr = sys.stdout", "")


def at_once(count, environment):
    start = str(time.time() + 1.5)
    command = [sys.executable, "-W", "ignore", "-c", textwrap.dedent(AT_ONCE), start]
    environment = {**os.environ, "FASTNN_QUIET": "1", **environment}
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) for _ in range(count)]
    outputs = [process.communicate()[0] for process in processes]
    assert [process.returncode for process in processes] == [0] * count
    return set(outputs)


@pytest.mark.slow
def test_eight_processes_compile_at_once(fresh_cache):
    """Also while the folder is deleted again and again under their hands."""
    expected = at_once(8, {})
    assert len(expected) == 1
    assert not list(fresh_cache.glob("**/*.tmp"))
    stop = threading.Event()

    def delete():
        while not stop.wait(0.3):
            shutil.rmtree(fresh_cache, ignore_errors=True)

    deleter = threading.Thread(target=delete)
    deleter.start()
    try:
        assert at_once(4, {}) == expected
    finally:
        stop.set()
        deleter.join()
    assert at_once(1, {"FASTNN_CACHE_DIR": "/dev/null/nowhere", "HOME": "/dev/null"}) == expected


def test_clock_jumps(stored):
    """Dates of files decide nothing."""
    for date in (0, 1e9, 4e9):
        os.utime(stored, (date, date))
        os.utime(stored.parent, (date, date))
        assert was_loaded(dispatcher())


def test_files_of_another_version_beside(stored, monkeypatch):
    """Two versions, side by side in one folder, each find their own program."""
    import numba

    with monkeypatch.context() as patch:
        patch.setattr(numba, "__version__", "0.0")
        assert not was_loaded(dispatcher())
        assert was_loaded(dispatcher())
    assert was_loaded(dispatcher())
    assert len(list(stored.parent.parent.glob("kernels-*/*.bin"))) == 2


def test_a_read_only_installation(run_python, tmp_path, checkout):
    """Sources and home that nobody may write: everything works, and nothing is written there."""
    copy, home = tmp_path / "site", tmp_path / "home"
    home.mkdir()
    for name in ("fastnn", "kernels"):
        shutil.copytree(checkout / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    before = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*"))
    folders = [path for path in (copy, home, *copy.rglob("*")) if path.is_dir()]
    for folder in folders:
        folder.chmod(0o555)
    code = f"""
    import os, sys
    sys.path[:0] = {folders_of(__file__)!r}
    from permissions import obeying_modes
    @obeying_modes
    def use():
        assert not os.access({str(copy)!r}, os.W_OK) and not os.access({str(home)!r}, os.W_OK)
        exec({textwrap.dedent(PERCEPTRON)!r}, {{}})
    use()
    """
    output = run_python(code, cwd=copy, PYTHONPATH=copy, HOME=home, XDG_CACHE_HOME="", FASTNN_CACHE_DIR="")
    assert output.endswith(RESULT)
    for folder in folders:
        folder.chmod(0o755)
    assert sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*")) == before
