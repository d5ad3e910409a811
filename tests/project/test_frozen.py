"""Without .py files (a zip, .pyc files, a frozen program) no version runs the programs of another."""

import compileall
import marshal
import os
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from fastnn.kernels.compiler import sources

PROGRAM = Path(__file__).with_name("frozen_program.py")
PERCEPTRON = """
    import fastnn
    print(fastnn.Perceptron(shuffle=False).fit([[0.0], [1.0]], [0, 1]).predict([[1.0], [0.0]]))
"""
RIGHT, WRONG = "[1 0]\n", "[0 0]\n"


def upgraded(site):
    """Change a kernel, as a new version may."""
    kernel = site / "fastnn" / "kernels" / "cpu" / "perceptron.py"
    text = kernel.read_text()
    assert "change = rate * error" in text
    kernel.write_text(text.replace("change = rate * error", "change = error * (0 - rate)"))


def built(site):
    """Write the digest anew, as setup.py does."""
    kernels = site / "fastnn" / "kernels"
    digest = sources.digest_of(sources.files_of(kernels))
    (kernels / "_digest.py").write_text(f"DIGEST = {digest!r}\n")


def as_folder(site):
    return site


def as_zip(site):
    return shutil.make_archive(str(site), "zip", site)


def without_sources(site):
    assert compileall.compile_dir(site, quiet=1, legacy=True)
    for path in site.rglob("*.py"):
        path.unlink()
    return site


MEMORY = '''
"""Modules from a table, as frozen programs have them."""
import importlib.abc, importlib.readers, importlib.util, marshal, sys
from pathlib import Path
from types import SimpleNamespace

class Loader(importlib.abc.InspectLoader):
    def is_package(self, name):
        return MODULES[name][0]

    def get_code(self, name):
        return marshal.loads(MODULES[name][1])

    def get_source(self, name):
        return None

    def get_resource_reader(self, name):
        return importlib.readers.FileReader(SimpleNamespace(path=Path(PLACE, *name.split("."), "__init__.py")))

class Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name in MODULES:
            spec = importlib.util.spec_from_loader(name, Loader(), is_package=MODULES[name][0])
            spec.origin, spec.has_location = str(Path(PLACE, *name.split("."))) + ".pyc", True
            return spec

sys.meta_path.insert(0, Finder())
'''


def in_memory(site):
    """Folder of a ``sitecustomize`` that brings the modules: files there are none."""
    modules = {}
    for path in (site / "fastnn").rglob("*.py"):
        *within, name = path.relative_to(site).with_suffix("").parts
        package = name == "__init__"
        code = compile(path.read_bytes(), path.relative_to(site), "exec")
        modules[".".join(within if package else [*within, name])] = package, code
    folder = site.with_name(f"{site.name}-frozen")
    folder.mkdir()
    table = {name: (package, marshal.dumps(code)) for name, (package, code) in modules.items()}
    text = f"MODULES = {table!r}\nPLACE = {str(folder)!r}\n"
    (folder / "sitecustomize.py").write_text(text + MEMORY)
    return folder


FORMS = {form.__name__: form for form in (as_folder, as_zip, without_sources, in_memory)}


@pytest.fixture
def versions(wheel, tmp_path):
    """Two versions, unpacked."""
    older, newer = (shutil.copytree(wheel, tmp_path / name) for name in ("older", "newer"))
    upgraded(newer)
    return older, newer


CHANGES = {f"{name}-upgraded": (form, True) for name, form in FORMS.items()}
CHANGES |= {f"{name}-edited": (form, False) for name, form in FORMS.items() if form is not in_memory}


@pytest.mark.covering
@pytest.mark.parametrize(("form", "digest"), CHANGES.values(), ids=CHANGES)
def test_versions_have_folders_of_their_own(versions, tmp_path, fresh_cache, run_python, form, digest):
    if digest:
        built(versions[1])
    code = "from fastnn.kernels.compiler import program_cache; print(program_cache.kernel_folder('a'))"
    older, newer = (run_python(code, cwd=tmp_path, PYTHONPATH=form(site)) for site in versions)
    assert older != newer
    assert {Path(each).parent for each in (older, newer)} == {fresh_cache}


@pytest.mark.slow
@pytest.mark.parametrize("form", [as_zip, without_sources, in_memory], ids=lambda form: form.__name__)
def test_an_upgrade_runs_its_own_programs(versions, tmp_path, fresh_cache, run_python, form):
    built(versions[1])
    older, newer = map(form, versions)
    assert run_python(PERCEPTRON, cwd=tmp_path, PYTHONPATH=older) == RIGHT
    assert run_python(PERCEPTRON, cwd=tmp_path, PYTHONPATH=newer) == WRONG
    programs = {path: path.stat().st_mtime_ns for path in fresh_cache.rglob("*.bin")}
    assert len({path.parent for path in programs}) == 2
    assert run_python(PERCEPTRON, cwd=tmp_path, PYTHONPATH=older) == RIGHT
    assert {path: path.stat().st_mtime_ns for path in fresh_cache.rglob("*.bin")} == programs


def test_without_files_and_digest_nothing_is_kept(wheel, tmp_path, fresh_cache, run_python):
    site = shutil.copytree(wheel, tmp_path / "site")
    (site / "fastnn" / "kernels" / "_digest.py").unlink()
    folder = in_memory(site)
    stray = folder / "fastnn" / "kernels" / "codes.py"  # as of another version
    stray.parent.mkdir(parents=True)
    stray.write_text("")
    code = """
        import sys
        sys.stderr = sys.stdout
        from importlib import resources
        from fastnn import kernels
        from fastnn.commands import console, machine
        from fastnn.kernels.compiler import program_cache
        print([file.name for file in resources.files(kernels).iterdir()])
        print(program_cache.kernel_folder("a"), program_cache.kernel_folder("b"))
        print(console.cache_line(machine.cache_usage()))
        """
    files, told, folders, usage = run_python(code, cwd=tmp_path, PYTHONPATH=folder, FASTNN_QUIET="").splitlines()
    assert files == "['codes.py']"
    assert told.startswith("fastnn: compiled programs are not kept, as nothing here tells these kernels from those of")
    assert folders == "None None"
    assert "every process compiles anew" in usage


SOURCE = """
    import ast
    from fastnn.kernels.compiler import partial_expressions, partial_evaluation
    from fastnn.kernels.cpu import perceptron
    try:
        definition = partial_evaluation._definition(perceptron.perceptron_epochs)
        print("0 - rate" in ast.unparse(definition))
    except partial_expressions.SourceMissing as error:
        print(error)
"""


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_sources_are_those_of_what_runs(versions, run_python, form):
    """For `jit_compile`; those of the other version lie in the current folder, by the names in the code."""
    older, newer = versions
    printed = run_python(SOURCE, cwd=older, PYTHONPATH=form(newer), PYTHONSAFEPATH=1)
    if form in (as_folder, as_zip):
        assert printed == "True\n"
    else:
        assert "the source of fastnn's kernels, but that of fastnn.kernels.cpu.perceptron is not here" in printed


def test_sources_that_are_not_what_runs(versions, run_python):
    """As where the files of a frozen program are those of an older one."""
    older, newer = versions
    folder = in_memory(newer)
    (folder / "fastnn").mkdir()
    shutil.copytree(older / "fastnn" / "kernels", folder / "fastnn" / "kernels")
    assert "cpu.perceptron is that of another version" in run_python(SOURCE, PYTHONPATH=folder)


def test_the_digest_of_the_wheel(wheel, checkout):
    """It is that of the files, which are those of the checkout, where there is none."""
    (made,) = (runpy.run_path(str(path))["DIGEST"] for path in (wheel / "fastnn" / "kernels").glob("_digest.py"))
    assert made == sources.digest_of(sources.files_of(wheel / "fastnn" / "kernels"))
    assert made == sources.digest_of(sources.files_of(checkout / "kernels"))
    assert not (checkout / "kernels" / "_digest.py").exists()


# --- PyInstaller ----------------------------------------------------------------------------------------------------

LEFT_OUT = (
    "IPython", "PIL", "_pytest", "cuda", "dask", "distributed", "distutils", "hypothesis", "jinja2", "matplotlib",
    "numba.cuda", "pandas", "pkg_resources", "polars", "psutil", "pygments", "pytest", "rich", "setuptools", "tkinter",
    "tornado", "typer", "yaml",
)  # fmt: skip


@pytest.fixture
def frozen(wheel, tmp_path):
    """A function that runs the program, made from the wheel, and returns what it printed on both streams."""
    pytest.importorskip("PyInstaller", reason="needs PyInstaller: the extra fastnn-core[test]")
    command = [sys.executable, "-m", "PyInstaller", "--noconfirm", "--log-level=WARN", str(PROGRAM)]
    command += [f"--{name}={tmp_path / name}" for name in ("distpath", "workpath", "specpath")]
    command += [f"--exclude-module={name}" for name in LEFT_OUT]
    environment = {**os.environ, "PYTHONPATH": str(wheel), "PYINSTALLER_CONFIG_DIR": str(tmp_path / "config")}
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "distpath" / PROGRAM.stem

    def run(*cases):
        environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "FASTNN_QUIET")}
        command = [str(folder / PROGRAM.stem), *cases]
        done = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, timeout=900)
        assert done.returncode == 0, done.stderr
        return done.stdout, done.stderr

    run.kernels = folder / "_internal" / "fastnn" / "kernels"
    yield run
    shutil.rmtree(tmp_path)


@pytest.mark.slow
def test_a_program_frozen_by_pyinstaller(frozen, fresh_cache):
    printed, told = frozen("network", "estimator")
    assert [line.split()[0] for line in printed.splitlines()] == ["network", "estimator"]
    assert "compiling" in told
    assert frozen("network", "estimator") == (printed, "")
    digest, _ = frozen("digest")
    shutil.rmtree(frozen.kernels)  # the sources that the hook put there
    without, _ = frozen("digest", "another network")
    assert len(digest.split()[1]) == len(without.split()[1]) == 64
    assert without.split()[1] != digest.split()[1]
    assert "another network jit_compile=True needs the source of fastnn's kernels" in without
