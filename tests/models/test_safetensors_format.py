"""The format of files against the library of those who made it: the same bytes, and no file that it would not read."""

import json
import random

import numpy as np
import pytest
from safetensors import SafetensorError
from safetensors.numpy import load, save
from test_damaged_files import GOLDEN, assembled, mutated, parts

from fastnn.models import safetensors_format
from fastnn.models.safetensors_format import FormatError, HeaderError, decoded, encoded

KINDS = ["f4", "f8", "f2", "?", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8"]


def random_file(choices):
    names = ["a", "b/c", "ä😀", 'quote"', "back\\slash", "new\nline", "nul\0", "tab\t\x7f", "zero"]
    arrays = np.random.default_rng(choices.randrange(2**32))
    tensors = {}
    for name in choices.sample(names, choices.randrange(len(names))):
        shape = tuple(choices.choice([1, 2, 3, 5, 0]) for _ in range(choices.randrange(4)))
        tensors[name] = np.asarray(arrays.random(shape) * 9).astype(choices.choice(KINDS))
    return tensors, {"fastnn": "".join(choices.choices('{"a\\\n\0ß😀}', k=choices.randrange(50)))}


@pytest.mark.parametrize("seed", range(40))
def test_the_same_bytes_as_the_library(seed):
    tensors, metadata = random_file(random.Random(seed))
    content = b"".join(encoded(tensors, metadata))
    assert content == save(tensors, metadata)
    again, texts = decoded(content)
    assert texts == metadata
    assert set(again) == set(tensors)
    for name, value in tensors.items():
        np.testing.assert_array_equal(again[name], value, strict=True)


def test_arrays_that_lie_otherwise():
    """Strides and orders of bytes are those of the array, not of the file."""
    matrix = np.arange(12.0).reshape(3, 4)
    tensors = {"turned": matrix.T, "every other": matrix[:, ::2], "other end": matrix.astype(">f8")}
    again, _ = decoded(b"".join(encoded(tensors, {})))
    for name, value in tensors.items():
        np.testing.assert_array_equal(again[name], value)


def library_reads(content):
    try:
        return load(content)
    except (SafetensorError, KeyError):  # a KeyError for types of which NumPy knows none
        return None


def test_damaged_files_are_judged_as_by_the_library():
    choices, counts = random.Random(5), {True: 0, False: 0}
    for _ in range(1500):
        content = mutated(choices)
        theirs = library_reads(content)
        try:
            ours, _ = decoded(content)
        except FormatError:
            ours = None
        counts[ours is not None] += 1
        assert (ours is None) == (theirs is None)
        for name in ours or ():
            np.testing.assert_array_equal(ours[name], theirs[name], strict=True)
    assert min(counts.values()) > 100


def header_with(change):
    header, tensors = parts(GOLDEN[0])
    return assembled(change(header), tensors)


@pytest.mark.parametrize(
    "content",
    [
        b"", b"1234567", (9).to_bytes(8, "little") + b"{}", (2).to_bytes(8, "little") + b"[]",
        (2**63).to_bytes(8, "little") + b"{}", (2).to_bytes(8, "little") + b"{}x",
        header_with(lambda header: header.decode().encode("utf-16")),
        header_with(lambda header: b"\xef\xbb\xbf" + header),
        header_with(lambda header: header.replace(b'"F32"', b'"C64"', 1)),
        header_with(lambda header: header.replace(b'"F32"', b'["F32"]', 1)),
        header_with(lambda header: header.replace(b'"__metadata__":{', b'"__metadata__":{"x":1,', 1)),
        header_with(lambda header: header.replace(b"{", b'{"__metadata__":{},', 1)),
        assembled(b"[" * 100_000, b""), assembled(b'{"a":' * 100_000, b""), assembled(b"1" * 5000, b""),
    ],
    ids=range(15),
)  # fmt: skip
def test_what_is_not_the_format(content):
    with pytest.raises(FormatError):
        decoded(content)


def test_a_header_may_be_as_large_as_the_format_allows_and_no_larger(monkeypatch):
    tensors = {"weights": np.ones(3, np.float32)}
    size = len(encoded(tensors, {"fastnn": "x" * 1000})[1])
    monkeypatch.setattr(safetensors_format, "LARGEST_HEADER", size)
    content = b"".join(encoded(tensors, {"fastnn": "x" * 1000}))
    assert decoded(content)[1] == json.loads(parts(content)[0])["__metadata__"]
    with pytest.raises(HeaderError, match=f"names and texts take {size + 8:,} bytes of a file of safetensors"):
        encoded(tensors, {"fastnn": "x" * (1000 + 8)})


def test_arrays_are_not_copied():
    """What is written are the arrays themselves; what is read lies in the content."""
    weights = np.ones((100, 100), np.float32)
    buffers = encoded({"weights": weights}, {})
    assert np.shares_memory(buffers[-1], weights)
    content = b"".join(buffers)
    assert np.shares_memory(decoded(content)[0]["weights"], np.frombuffer(content, np.uint8))
