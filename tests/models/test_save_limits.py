"""Saving and loading when memory or disk runs out: well or not at all, with one plain error."""

import errno
import json
import os
import shutil
import sys

import numpy as np
import pytest
from fastnn.kernels.host import files

from fastnn.layers import Dense
from fastnn.models import Sequential, load_model
from fastnn.models.model_file import encoded, to_bytes

SWEEP = """
import collections, os, pickle, resource, sys
import numpy as np
from fastnn import Dense, Sequential
from fastnn.models import load_model

folder, action, points = sys.argv[1], sys.argv[2], int(sys.argv[3])
path = os.path.join(folder, "model")
width = 400
model = Sequential([Dense(width, "relu", input_shape=(width,)), Dense(1)])
model.compile("adam", "mse")
model.fit(np.ones((4, width)), np.ones(4), verbose=0)
model.metadata["text"] = "x" * 1_000_000
model.save(path)
load_model(path).predict(np.ones((1, width)))
with open(path, "rb") as file:
    before = file.read()
weights = [weight.tobytes() for weight in model.get_weights()]
actions = {
    "save": lambda: model.save(path), "load": lambda: load_model(path), "pickle": lambda: pickle.dumps(model),
}

def outcome(extra):
    # In a child, as limits can only be lowered, and as what must not happen is that the process dies
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    code = 9
    try:
        with open("/proc/self/statm") as file:
            used = int(file.read().split()[0]) * resource.getpagesize()
        unlimited = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (used, unlimited[1]))
        ballast = []  # in place of what Python holds ready from before
        for size in (1 << 22, 1 << 19, 1 << 16):
            try:
                while True:
                    ballast.append(bytearray(size))
            except MemoryError:
                pass
        resource.setrlimit(resource.RLIMIT_AS, (used + extra, unlimited[1]))
        try:
            actions[action]()
            code = 0
        except MemoryError:
            code = 1
        resource.setrlimit(resource.RLIMIT_AS, unlimited)
        assert os.listdir(folder) == ["model"]
        with open(path, "rb") as file:
            assert file.read() == before
        assert [weight.tobytes() for weight in model.get_weights()] == weights
    except BaseException as error:
        print(repr(error), file=sys.stderr)
        code = 8
    finally:
        os._exit(code)

steps = [int(8 * len(before) * (point / (points - 1)) ** 2) for point in range(points)]
print(dict(collections.Counter(outcome(extra) for extra in steps)))
"""


def sweep(tmp_path, run_python, action, points):
    """Do something under many limits of memory; return how often it went well (0) and ended in MemoryError (1)."""
    if not sys.platform.startswith("linux"):
        pytest.skip("limits and /proc are Linux'")
    folder = tmp_path / "folder"
    folder.mkdir()
    code = f"import sys\nsys.argv[1:] = {[str(folder), action, str(points)]!r}\n" + SWEEP
    return eval(run_python(code, FASTNN_NUM_THREADS="1").splitlines()[-1])


@pytest.mark.slow
@pytest.mark.parametrize("action", ["save", "load", "pickle"])
def test_memory_that_is_short(tmp_path, run_python, action):
    assert set(sweep(tmp_path, run_python, action, 30)) == {0, 1}


def big_model():
    return Sequential([Dense(300, input_shape=(300,))])


def test_saving_takes_no_second_copy():
    """The parts of a file are the arrays of the snapshot themselves."""
    model = big_model()
    parts = encoded(model)
    assert sum(np.asarray(part).nbytes for part in parts if isinstance(part, np.ndarray)) == 4 * 300 * 301
    assert b"".join(parts) == to_bytes(model)


FAILURES = [errno.ENOSPC, errno.EIO, errno.EDQUOT, errno.EROFS]


@pytest.mark.parametrize("call", ["fsync", "replace"])
@pytest.mark.parametrize("code", FAILURES, ids=[errno.errorcode[code] for code in FAILURES])
def test_the_disk_fails_late(tmp_path, monkeypatch, call, code):
    """Some disks tell of a lack of space only when the file is flushed or named."""
    path = tmp_path / "model"
    big_model().save(path)
    before = path.read_bytes()

    def fail(*_):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, call, fail)
    with pytest.raises(OSError, match="cannot save to") as caught:
        big_model().save(path)
    assert caught.value.errno == code
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["model"]


@pytest.mark.parametrize("error", [MemoryError(), KeyboardInterrupt(), SystemExit(3), RecursionError()], ids=repr)
def test_whatever_ends_the_writing(tmp_path, monkeypatch, error):
    path = tmp_path / "model"
    big_model().save(path)
    before = path.read_bytes()
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(error))
    with pytest.raises(type(error)):
        big_model().save(path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["model"]


def test_the_folder_is_removed_meanwhile(tmp_path, monkeypatch):
    folder = tmp_path / "folder"
    folder.mkdir()
    monkeypatch.setattr(os, "fsync", lambda _: shutil.rmtree(folder))
    with pytest.raises(FileNotFoundError, match="cannot save to"):
        big_model().save(folder / "model")
    assert os.listdir(tmp_path) == []


def test_a_file_is_cut_while_it_is_read(tmp_path, monkeypatch):
    """Whatever another process leaves of the file, there is a whole model or one error."""
    path = tmp_path / "model"
    model = big_model()
    model.save(path)
    content = path.read_bytes()
    size = int.from_bytes(content[:8], "little")
    for length in (0, 1, 8, 9, 8 + size - 1, 8 + size, 8 + size + 1, len(content) - 1):
        path.write_bytes(content[:length])
        with pytest.raises(ValueError, match="is not a model saved by fastnn, or it is damaged"):
            load_model(path)
    path.write_bytes(content)
    np.testing.assert_array_equal(load_model(path).get_weights()[0], model.get_weights()[0])


def test_parts_are_written_one_after_the_other(tmp_path):
    parts = [b"a", bytearray(b"b"), np.frombuffer(b"cd", np.uint8), memoryview(b"")]
    files.write_atomically(tmp_path / "file", parts)
    assert (tmp_path / "file").read_bytes() == b"abcd"


@pytest.mark.slow
def test_metadata_beyond_what_the_format_allows(tmp_path):
    """Said before anything is written, with the size and what to do."""
    model, path = big_model(), tmp_path / "model"
    model.save(path)
    before = path.read_bytes()
    model.metadata["text"] = "x" * 100_000_000
    message = r"100,00\d,\d* bytes .* may have 100,000,000; metadata has 100,000,012 of them"
    with pytest.raises(ValueError, match=message):
        model.save(path)
    assert path.read_bytes() == before
    model.metadata["text"] = "x" * (100_000_000 - 10_000)
    model.save(path)
    assert load_model(path).metadata == model.metadata
    assert json.loads(model.to_json())["config"]["name"] == "sequential"
