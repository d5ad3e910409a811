"""The house: every file stands in a room, and imports run down, in no circle (docs/architecture.md).

Imports inside functions count, and those of names that are only strings, as in ``imported("fastnn.engine.factory")``.
"""

import ast
from pathlib import Path

import pytest

import fastnn
from fastnn import kernels

BUILDINGS = {package.__name__: Path(package.__file__).parent for package in (fastnn, kernels)}
# Rooms from the roof to the ground: each imports only what stands below; those side by side know nothing of each other.
FASTNN = (
    ("__main__", "__pyinstaller"),
    ("commands",),
    ("export",),
    ("estimators", "models", "utils"),
    ("engine",),
    ("data",),
    ("lowering",),
    ("layers",),
    ("metrics",),
    ("losses",),
    ("activations", "callbacks", "datasets", "initializers", "optimizers", "plotting", "regularizers"),
    ("common",),
)
KERNELS = (
    ("cpu", "cuda"),
    ("operations",),
    ("compiler",),
    ("llvm",),
    ("element_types",),
    ("reference",),
    ("sizes",),
    ("records",),
    ("codes",),
    ("formulas",),
    ("host",),
)
# What rooms of fastnn/ import of kernels/; others import nothing there but `host`.
OF_KERNELS = {
    "engine": {"cpu", "cuda", "operations", "compiler", "codes", "sizes", "element_types", "records"},
    "data": {"cuda"},
    "lowering": {"codes", "sizes", "records"},
    "activations": {"reference"},
    "losses": {"codes", "reference"},
    "metrics": {"codes", "reference"},
    "estimators": {"codes", "compiler", "cpu"},
    "export": {"reference"},
    "commands": {"compiler"},
}
DOORS = {"fastnn", "fastnn.kernels"}  # of the buildings: whoever imports a file has imported them
BY_NAME = {  # functions that import what they are given
    "imported": "",
    "import_module": "",
    "kernels": "fastnn.kernels.",
}


def modules():
    """Path of each module, by its name."""
    found = {}
    for package, folder in BUILDINGS.items():
        for path in folder.rglob("*.py"):
            *parts, last = path.relative_to(folder).with_suffix("").parts
            elsewhere = package == "fastnn" and "kernels" in parts  # they lie there in wheels
            if not elsewhere and path.name != "_digest.py":
                found[".".join([package, *parts, *[last] * (last != "__init__")])] = path
    return found


MODULES = modules()


def imports_of(name):
    """Pairs of each module of the house that this one imports, and whether it does so inside a function."""
    path = MODULES[name]
    package = name.split(".")[: None if path.name == "__init__.py" else -1]

    def visit(node, within):
        within |= isinstance(node, (ast.FunctionDef, ast.Lambda))
        if isinstance(node, ast.Import):
            yield from ((alias.name, within) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = (
                [*package[: len(package) - node.level + 1], *filter(None, [node.module])]
                if node.level
                else [node.module]
            )
            for alias in node.names:
                full = ".".join([*base, alias.name])
                yield (full if full in MODULES else ".".join(base)), within
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            called = getattr(node.func, "attr", getattr(node.func, "id", ""))
            if called in BY_NAME:
                yield f"{BY_NAME[called]}{node.args[0].value}", within
        for child in ast.iter_child_nodes(node):
            yield from visit(child, within)

    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {
        (target, within) for target, within in visit(tree, False) if target in MODULES and target not in {name} | DOORS
    }


ARROWS = {(name, target) for name in MODULES if name not in DOORS for target, _ in imports_of(name)}


def room_of(name):
    """Building and room of a module."""
    if name.startswith("fastnn.kernels."):
        return "kernels", name.split(".")[2]
    return "fastnn", name.split(".")[1]


def floor_of(building, room):
    """How many floors a room stands below the roof."""
    plan = KERNELS if building == "kernels" else FASTNN
    (floor,) = (floor for floor, rooms in enumerate(plan) if room in rooms)
    return floor


def circles(arrows):
    """Groups of nodes from each of which a way leads to all others."""
    after = {}
    for start, end in arrows:
        after.setdefault(start, set()).add(end)

    def reached(node):
        seen, new = set(), {node}
        while new:
            seen |= new
            new = set().union(*(after.get(each, set()) for each in new)) - seen
        return seen

    ways = {node: reached(node) for node in after}
    groups = {frozenset(other for other in ways[node] if node in ways.get(other, ())) for node in after}
    return sorted(sorted(group) for group in groups if len(group) > 1)


def test_a_circle_is_found():
    assert circles({("a", "b"), ("b", "c"), ("c", "a"), ("c", "d"), ("d", "e")}) == [["a", "b", "c"]]
    assert circles({("a", "b"), ("b", "c"), ("a", "c")}) == []


def test_imports_are_found():
    assert ("fastnn.engine.cuda.engine", True) in imports_of("fastnn.engine.factory")
    assert ("fastnn.engine.factory", True) in imports_of("fastnn.models.network")
    assert ("fastnn.kernels.cpu.training", True) in imports_of("fastnn.engine.run")
    assert ("fastnn.kernels.codes", False) in imports_of("fastnn.kernels.cpu.step")
    assert len(ARROWS) > 500


@pytest.mark.parametrize("name", sorted(MODULES.keys() - DOORS))
def test_every_file_stands_in_a_room(name):
    assert floor_of(*room_of(name)) >= 0


def test_files_import_each_other_in_no_circle():
    assert circles(ARROWS) == []


def test_arrows_run_down():
    up = []
    for name, target in ARROWS:
        (building, room), (other, other_room) = room_of(name), room_of(target)
        if building != other:
            allowed = building == "fastnn" and other_room in {"host", *OF_KERNELS.get(room, ())}
        else:
            allowed = room == other_room or floor_of(building, room) < floor_of(other, other_room)
        if not allowed:
            up.append(f"{name} imports {target}")
    assert sorted(up) == []


def test_nothing_loads_what_is_for_gpus_before_it_is_asked_for():
    """But the factory, inside a function."""
    cuda = "fastnn.engine.cuda"
    found = {
        (name, within)
        for name in MODULES
        if not name.startswith(cuda)
        for target, within in imports_of(name)
        if target.startswith(cuda)
    }
    assert found == {("fastnn.engine.factory", True)}
    of_kernels = [(name, target) for name, target in ARROWS if target.startswith("fastnn.kernels.cuda")]
    assert {name.split(".")[1] for name, _ in of_kernels} <= {"engine", "data", "kernels"}


def test_rooms_of_cuda_do_not_know_each_other():
    """Blocks and launches: what both need stands beside them."""
    blocks, launches = "fastnn.kernels.cuda.blocks", "fastnn.kernels.cuda.launches"
    across = [
        (a, b)
        for a, b in ARROWS
        if (a.startswith(blocks) and b.startswith(launches)) or (a.startswith(launches) and b.startswith(blocks))
    ]
    assert across == []


def test_every_folder_says_what_it_is_for():
    for name, path in MODULES.items():
        if path.name == "__init__.py":
            assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))), name
