"""What the pages say is so: Python runs as typed and prints what stands below it; commands and links exist."""

import importlib.util
import re
import shlex
import tomllib
from pathlib import Path

import pytest
import typer
from fastnn.kernels.host import cpu

import fastnn.commands.cli

ROOT = Path(__file__).resolve().parents[2]
PAGES = {
    page.relative_to(ROOT).as_posix(): page.read_text(encoding="utf-8")
    for folder in (".", "docs", "docs/decisions", "kernels", "examples", "benchmarks")
    for page in sorted((ROOT / folder).glob("*.md"))
}
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```\n(?:\n```text\n(.*?)^```\n)?", re.MULTILINE | re.DOTALL)
CONSOLE_LINE = re.compile(r"^\$ (.*)", re.MULTILINE)
OTHERS = ("mapie", "mlflow", "skl2onnx")
INLINE_COMMAND = re.compile(r"`((?:make|fastnn|python|pip|bash) [^`]+)`")
LINK = re.compile(r"\]\((?!https?:)([^)#]*)#?([^)]*)\)")


def python_of(page):
    """The blocks of Python of a page, each with the text below it: what it prints."""
    return [(code, text) for language, code, text in BLOCK.findall(PAGES[page]) if language == "python"]


def commands_of(page):
    """The commands of a page, each as a list of words: those of its console blocks and those in its text."""
    consoles = "".join(code for language, code, _ in BLOCK.findall(PAGES[page]) if language == "console")
    commands = CONSOLE_LINE.findall(consoles) + INLINE_COMMAND.findall(BLOCK.sub("", PAGES[page]))
    return [shlex.split(command, comments=True) for command in commands]


def with_any(of):
    """The pages that have any of these."""
    return [page for page in PAGES if of(page)]


@pytest.fixture
def prints(request, checkout, run_python, tmp_path):
    """A function that runs the Python of a page in a new process; what each block prints.

    Warnings are errors, unless the page is about other libraries, whose own they may be.
    """

    def prints(page, **environment):
        blocks = [code for code, _ in python_of(page)]
        if "load_pima" in "".join(blocks):
            request.getfixturevalue("pima")
        others = [name for name in OTHERS if re.search(rf"^(?:import|from) {name}\b", "".join(blocks), re.MULTILINE)]
        for name in others:
            pytest.importorskip(name, reason=f"{name} is not installed (`make test-clients`): NOT TESTED")
        end = "-- end of block --\n"
        code = f"import warnings\nwarnings.simplefilter({'ignore' if others else 'error'!r})\n"
        code += "".join(f"{block}print({end!r}, end='')\n" for block in blocks)
        environment |= {"PYTHONPATH": checkout, "MLFLOW_DISABLE_TELEMETRY": "true"}
        return run_python(code, cwd=tmp_path, **environment).split(end)[:-1]

    return prints


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("page", with_any(python_of))
def test_python(prints, page, threads):
    assert prints(page, FASTNN_NUM_THREADS=threads) == [text for _, text in python_of(page)]


@pytest.mark.slow
@pytest.mark.skipif(cpu.simd_level() != "avx512", reason="this CPU's own vectors are those of the test above")
@pytest.mark.parametrize("page", with_any(python_of))
def test_python_without_avx512(prints, page):
    assert prints(page, FASTNN_SIMD="avx2") == [text for _, text in python_of(page)]


@pytest.mark.parametrize("page", with_any(commands_of))
def test_commands(page, checkout):
    for command in commands_of(page):
        assert not (fault := fault_of(*command)), f"{shlex.join(command)}: {fault}"


def fault_of(program, *words):
    """What is wrong with a command; empty if it can be run."""
    match program, *words:
        case "make", *targets:
            known = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
            return {target for target in targets if "=" not in target} - set(known)
        case "pip", "install", *packages:
            extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
            asked = {extra for name in packages for extra in re.findall(r"^\.\[(.*)\]$", name)}
            return asked - extras.keys() or [name for name in packages if name.startswith("fastnn")]
        case "python", "-m", module, *_:
            return "" if importlib.util.find_spec(module) else f"no module {module}"
        case ("python" | "bash"), file, *_:
            return "" if (ROOT / file).is_file() else f"no file {file}"
        case "fastnn", "bench", *words:
            from benchmarks.__main__ import bench

            suite = typer.Typer()
            suite.command()(bench)
            return unknown_options(typer.main.get_command(suite), words)
        case "fastnn", *words:
            command = typer.main.get_command(fastnn.commands.cli.app)
            while words and not words[0].startswith("-") and hasattr(command, "commands"):
                if (name := words.pop(0)) not in command.commands:
                    return f"no command {name}"
                command = command.commands[name]
            return unknown_options(command, words)
    return ""


def unknown_options(command, words):
    known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    return {word.split("=")[0] for word in words if word.startswith("-")} - known - {"--help"}


def test_faults_of_commands_are_found(checkout):
    for command in (
        "make nothing", "pip install '.[nothing]'", "pip install 'fastnn-core[cuda]'", "python -m benchmarks.nothing",
        "python examples/nothing.py", "fastnn nothing", "fastnn cache nothing", "fastnn train x.csv --nothing",
        "fastnn bench --nothing",
    ):  # fmt: skip
        assert fault_of(*shlex.split(command)), command


@pytest.mark.parametrize("page", with_any(lambda page: LINK.findall(PAGES[page])))
def test_links(page, checkout):
    for path, heading in LINK.findall(PAGES[page]):
        target = (ROOT / page).parent / path if path else ROOT / page
        assert target.exists(), path
        if heading:
            headings = re.findall(r"^#+ (.*)", target.read_text(encoding="utf-8"), re.MULTILINE)
            assert heading in [re.sub(r"[^\w -]", "", text).lower().replace(" ", "-") for text in headings]


def test_the_first_screen_shows_how_to_see_and_to_test_it(checkout):
    language, code, _ = BLOCK.findall(PAGES["README.md"])[0]
    assert language == "console"
    assert [line.split("#")[0].strip() for line in code.splitlines()] == ["$ make demo", "$ make test"]
