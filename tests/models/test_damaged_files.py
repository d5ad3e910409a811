"""Model files under a fuzzer: a model or one ModelFileError, whatever comes, in memory bounded by the file's."""

import copy
import json
import os
import random
import tracemalloc
import warnings
from pathlib import Path

import numpy as np
import pytest
from permissions import obeying_modes

from fastnn.layers import Dense
from fastnn.models import Sequential, load_model
from fastnn.models.model_file import ModelFileError, from_bytes, to_bytes

FILES = int(os.environ.get("FASTNN_TEST_FILES", "20000"))
GOLDEN = [path.read_bytes() for path in sorted((Path(__file__).parents[1] / "golden").glob("*.fastnn"))]
X = np.ones((2, 2, 3))


def parts(content):
    size = int.from_bytes(content[:8], "little")
    return content[8 : 8 + size], content[8 + size :]


def assembled(header, tensors):
    return len(header).to_bytes(8, "little") + header + tensors


def with_config(content, change):
    """The file with its configuration changed, as a well-formed file."""
    header, tensors = parts(content)
    header = json.loads(header)
    config = json.loads(header["__metadata__"]["fastnn"])
    config = change(config)
    header["__metadata__"]["fastnn"] = json.dumps(config)
    return assembled(json.dumps(header).encode(), tensors)


VALUES = [
    None, True, False, 0, -1, 1, 2, 3, 2**31, 2**63, 10**30, -(2**64), 0.5, 1e308, float("nan"), float("inf"), "", "x",
    "Dense", "relu", "softmax", "step", "float64", "float16", "object", "mixed_bfloat16", "__class__", "os.system", [],
    {}, [0], [10**9], [[[]]], {"class_name": "Dense", "config": {"units": 10**12}}, {"class_name": "Input"}, "a" * 1000,
]  # fmt: skip


def places(tree, path=()):
    """Every place in a tree of dicts and lists."""
    yield path
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in items:
        yield from places(value, (*path, key))


def changed_tree(tree, choices):
    """A tree with a value changed, removed, repeated or exchanged somewhere."""
    tree = json.loads(json.dumps(tree))
    for _ in range(choices.choice([1, 1, 1, 2, 4])):
        path = choices.choice(list(places(tree)))
        if not path:
            continue
        holder = tree
        for key in path[:-1]:
            holder = holder[key]
        key, kind = path[-1], choices.randrange(6)
        if kind == 0:
            del holder[key]
        elif kind == 1 and isinstance(holder, list):
            holder.insert(key, holder[key])
        elif kind == 2 and isinstance(holder, dict):
            holder[choices.choice(["x", "units", "name", "lr", "init", "config", "input_shape"])] = holder.pop(key)
        elif kind == 3 and isinstance(holder[key], (int, float)):
            holder[key] = holder[key] * choices.choice([-1, 2, 10, 10**9, 0.5]) + choices.choice([0, 1, -1])
        else:
            holder[key] = copy.deepcopy(choices.choice(VALUES))
    return tree


def mutated(choices):
    content = choices.choice(GOLDEN)
    kind = choices.randrange(10)
    if kind < 4:
        return with_config(content, lambda config: changed_tree(config, choices))
    header, tensors = parts(content)
    if kind == 4:  # names, types, shapes and places of the tensors
        tree = changed_tree(json.loads(header), choices)
        return assembled(json.dumps(tree).encode(), tensors)
    if kind == 5:
        return content[: choices.randrange(len(content))]
    if kind == 6:
        return assembled(header, tensors + choices.randbytes(choices.randrange(1, 100)))
    if kind == 7:  # a header that is a lie
        return choices.choice([0, 1, 10**6, 2**40, 2**63, 2**64 - 1]).to_bytes(8, "little") + content[8:]
    data = bytearray(content)
    for _ in range(choices.choice([1, 1, 2, 5, 20])):
        place = choices.randrange(len(data) if kind == 8 else 8 + len(header))
        data[place] = choices.choice([data[place] ^ (1 << choices.randrange(8)), choices.randrange(256), 0, 0x22, 0x7B])
    return bytes(data)


def check(content):
    """Load; return whether it gave a model, which then must work."""
    try:
        model = from_bytes(content, "the file", Sequential, "cpu", None)
    except ModelFileError:
        return False
    to_bytes(model) if model.built else model.get_config()
    return True


def fuzz(count, seed):
    choices, models = random.Random(seed), 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # old spellings
        for number in range(count):
            content = mutated(choices)
            try:
                models += check(content)
            except BaseException as error:
                Path("damaged.fastnn").write_bytes(content) if os.environ.get("FASTNN_TEST_KEEP") else None
                raise AssertionError(f"file {number} of seed {seed} raises {error!r}") from error
    return models


def test_mutated_files():
    models = fuzz(1500, 1)
    assert 0 < models < 1500


@pytest.mark.slow
def test_many_mutated_files():
    for seed in range(-(-FILES // 1000)):
        fuzz(1000, 100 + seed)


def test_memory_is_bounded_by_the_file():
    """Sizes that only the configuration claims cost nothing."""

    def claim(config, units):
        config["model"]["layers"][2]["config"]["units"] = units
        return config

    def wide(config, size):
        config["model"]["layers"][0]["config"]["shape"] = config["model"]["input_shape"][1:] = [size]
        config["model"]["input_shape"] = [None, size]
        return config

    content = next(c for c in GOLDEN if b"training" in c)
    tracemalloc.start()
    try:
        for size in (10**6, 10**9, 10**15):
            for change in (claim, wide):
                damaged = with_config(content, lambda config, c=change, s=size: c(config, s))
                with pytest.raises(ModelFileError, match="has the shape|units must be|shape must"):
                    from_bytes(damaged, "the file", Sequential, "cpu", None)
        assert tracemalloc.get_traced_memory()[1] < 40 * len(content) + 2_000_000
    finally:
        tracemalloc.stop()


def test_a_deep_configuration():
    header, tensors = parts(GOLDEN[0])
    for deep in ("[" * 100_000, '{"version": 1, "model": ' + "[" * 100_000):
        tree = json.loads(header)
        tree["__metadata__"]["fastnn"] = deep
        with pytest.raises(ModelFileError):
            from_bytes(assembled(json.dumps(tree).encode(), tensors), "the file", Sequential, "cpu", None)


@pytest.mark.parametrize("version", [2, 3, 10**20])
def test_newer_formats_are_refused_by_name(version):
    damaged = with_config(GOLDEN[0], lambda config: config | {"version": version})
    with pytest.raises(
        ModelFileError, match=f"has version {version} of the format, this fastnn reads up to 1: install"
    ):
        from_bytes(damaged, "the file", Sequential, "cpu", None)


@pytest.mark.parametrize("version", [0, -1, True, None, 1.0, "1"])
def test_versions_that_never_were(version):
    damaged = with_config(GOLDEN[0], lambda config: config | {"version": version})
    with pytest.raises(ModelFileError):
        from_bytes(damaged, "the file", Sequential, "cpu", None)


def test_a_disk_that_is_full_or_closed(tmp_path):
    """The old file stays whole, one error says why, and nothing is left behind."""
    resource = pytest.importorskip("resource")
    path = tmp_path / "model"
    model = Sequential([Dense(3000, input_shape=(300,))])
    model.save(path)
    before = path.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, limits[1]))
    try:
        with pytest.raises(OSError, match=f"cannot save to '{path}': File too large"):
            model.save(path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@obeying_modes
def test_a_folder_that_is_read_only(tmp_path):
    model = Sequential([Dense(3, input_shape=(2,))])
    model.save(tmp_path / "model")
    before = (tmp_path / "model").read_bytes()
    tmp_path.chmod(0o500)
    with pytest.raises(PermissionError, match="cannot save to"):
        model.save(tmp_path / "model")
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [before]


@obeying_modes
def test_a_file_that_may_not_be_read(tmp_path):
    Sequential([Dense(3, input_shape=(2,))]).save(tmp_path / "model")
    (tmp_path / "model").chmod(0)
    with pytest.raises(PermissionError):
        load_model(tmp_path / "model")


def test_a_link_stays_a_link(tmp_path):
    model = Sequential([Dense(3, input_shape=(2,))])
    model.save(tmp_path / "file")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    model.set_weights([np.ones((2, 3)), np.zeros(3)])
    model.save(tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert load_model(tmp_path / "file").get_weights()[0][0, 0] == 1
