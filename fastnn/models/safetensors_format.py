"""Named arrays as safetensors: a length, a header in JSON, and the bytes of the arrays, https://github.com/huggingface/safetensors.

The format's own library copies all arrays before it writes, and ends the process, or raises what is no Exception, when
there is no memory for that. Here the arrays are written from where they are, and read where the file's content is.
"""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

LARGEST_HEADER = 100_000_000  # bytes, of the format
_CODES = {  # in the order in which the library writes arrays, the last first
    "bool": "BOOL", "uint8": "U8", "int8": "I8", "int16": "I16", "uint16": "U16", "float16": "F16", "int32": "I32",
    "uint32": "U32", "float32": "F32", "float64": "F64", "int64": "I64", "uint64": "U64",
}  # fmt: skip
_DTYPES = {code: np.dtype(name).newbyteorder("<") for name, code in _CODES.items()}
_RANKS = {name: -rank for rank, name in enumerate(_CODES)}


class FormatError(ValueError):
    """Content that is not in the format."""


class HeaderError(ValueError):
    """Names and texts that are too large for the format."""


def encoded(tensors: Mapping[str, np.ndarray], metadata: Mapping[str, str]) -> list[Any]:
    """Return the content of a file as buffers to be written one after the other, those of the arrays themselves.

    Raises
    ------
    HeaderError
        If the header is larger than the format allows.
    """
    header: dict[str, Any] = {"__metadata__": dict(metadata)}
    buffers, start = [], 0
    for name in sorted(tensors, key=lambda name: (_RANKS[tensors[name].dtype.name], name)):
        array = tensors[name]
        plain = np.ascontiguousarray(array, array.dtype.newbyteorder("<")).reshape(-1)
        end = start + plain.nbytes
        header[name] = {"dtype": _CODES[array.dtype.name], "shape": list(array.shape), "data_offsets": [start, end]}
        buffers.append(plain.view(np.uint8))
        start = end
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    if len(text) > LARGEST_HEADER:
        raise HeaderError(
            f"names and texts take {len(text):,} bytes of a file of safetensors, which may have {LARGEST_HEADER:,}"
        )
    return [len(text).to_bytes(8, "little"), text, *buffers]


def decoded(content: bytes) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Return arrays, which lie in the content and cannot be written to, and metadata.

    Raises
    ------
    FormatError
        If the content is not in the format, or does not end where its last array ends.
    """
    size = int.from_bytes(content[:8], "little")
    if len(content) < 8 or size > min(LARGEST_HEADER, len(content) - 8):
        raise FormatError("it is too short for the header that it announces")
    try:
        header = json.loads(content[8 : 8 + size].decode(), object_pairs_hook=_without_repetition)
        metadata = header.pop("__metadata__", {})
        if not all(isinstance(text, str) for text in metadata.values()):
            raise FormatError("its metadata are no texts")
        extents = sorted((*_extent(entry), name) for name, entry in header.items())
    except FormatError:
        raise
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise FormatError(f"its header cannot be read: {error!r}") from None
    tensors, end = {}, 0
    for start, stop, shape, code, name in extents:
        dtype, count = _DTYPES[code], math.prod(shape)
        if start != end or stop - start != count * dtype.itemsize or 8 + size + stop > len(content):
            raise FormatError(f"{name!r} has {start} to {stop} as its place, after {end}")
        array = np.frombuffer(content, dtype, count, 8 + size + start) if count else np.empty(0, dtype)
        tensors[name], end = array.astype(dtype.newbyteorder("="), copy=False).reshape(shape), stop
    if 8 + size + end != len(content):
        raise FormatError("it does not end where its last array ends")
    return tensors, metadata


def _extent(entry: Mapping[str, Any]) -> tuple[int, int, Sequence[int], str]:
    shape, (start, stop) = entry["shape"], entry["data_offsets"]
    if not all(type(number) is int and number >= 0 for number in (*shape, start, stop)):
        raise FormatError("its shapes and places are no whole numbers")
    if entry["dtype"] not in _DTYPES:
        raise FormatError(f"it has arrays of the type {entry['dtype']!r}")
    return start, stop, shape, entry["dtype"]


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise FormatError("its header has a name twice")
    return found
