"""Reads a safetensors file: a JSON header with the place of each tensor, then the values.

The header's size is limited, and every place is compared with the file's size before values are read.
"""

import math
from pathlib import Path

import numpy as np

from piq_bench.convert.features import NAME_KEYS, refusal
from piq_bench.documents import parse_json
from piq_bench.errors import BadSubmission, printable, quoted
from piq_bench.limits import MAX_MEMORY_BYTES
from piq_bench.read.mapped import Array

MAX_HEADER_BYTES = 100_000_000  # the format's own limit
DTYPES = {"F16": "<f2", "BF16": "<u2", "F32": "<f4", "F64": "<f8", "I8": "i1", "U8": "u1", "I16": "<i2", "I32": "<i4"}
REMEDY = "write it again with safetensors' save_file"


def is_safetensors(start: bytes, n_bytes: int) -> bool:
    """Whether a file of `n_bytes` that starts with these nine bytes or more is a safetensors file."""
    return len(start) > 8 and start[8:9] == b"{" and 8 + int.from_bytes(start[:8], "little") <= n_bytes


def read_safetensors(path: Path) -> dict[str, object]:
    """Tensors by name, and lists of names that its metadata holds as JSON.

    Raises:
        BadSubmission: if the header is damaged or declares more than the file has.
    """
    with path.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        if length > MAX_HEADER_BYTES:
            raise refusal(path, "bad-header", f"the header has {length} bytes", f"at most {MAX_HEADER_BYTES}")
        try:
            header = parse_json(stream.read(length).decode("utf-8"))
        except ValueError as error:
            raise refusal(path, "bad-header", f"the header is not JSON: {printable(error)}", REMEDY) from None
    if not isinstance(header, dict):
        raise refusal(path, "bad-header", "the header is no JSON object", REMEDY)
    content: dict[str, object] = {}
    n_bytes = 0
    for name, entry in header.items():
        if name == "__metadata__":
            content |= _names(entry)
        else:
            values = _tensor(path, name, entry, 8 + length)
            if values is not None:
                content[name] = values
                n_bytes += values.nbytes
            if n_bytes > 2 * path.stat().st_size:  # of bfloat16 are made twice as many bytes
                raise _fault(path, name, "shares its values with other tensors")
    return content


def _tensor(path: Path, name: str, entry: object, start: int) -> Array | None:
    """The values of one tensor; None if it is of a type that is not read."""
    dtype, shape, offsets = (entry.get(key) if isinstance(entry, dict) else None for key in _ENTRY)
    if not (
        isinstance(dtype, str)
        and isinstance(shape, list)
        and isinstance(offsets, list)
        and len(offsets) == 2
        and all(type(n) is int and 0 <= n < 1 << 48 for n in (*shape, *offsets))
    ):
        raise _fault(path, name, f"has the entry {quoted(entry)}")
    if dtype not in DTYPES:
        return None
    kind = np.dtype(DTYPES[dtype])
    n_values = math.prod(shape)
    if offsets[1] - offsets[0] != n_values * kind.itemsize or start + offsets[1] > path.stat().st_size:
        raise _fault(path, name, f"declares shape {tuple(shape)} in bytes {offsets[0]} to {offsets[1]}")
    if n_values * kind.itemsize > MAX_MEMORY_BYTES:
        raise refusal(path, "too-large", f"has more than {MAX_MEMORY_BYTES} bytes", "store float16", name)
    values = np.fromfile(path, kind, n_values, offset=start + offsets[0])
    if dtype == "BF16":  # the upper half of a float32
        values = (values.astype(np.uint32) << 16).view(np.float32)
    return values.reshape(shape)


_ENTRY = ("dtype", "shape", "data_offsets")


def _fault(path: Path, name: str, found: str) -> BadSubmission:
    return refusal(path, "truncated", f"{found}, which is not what the file holds", REMEDY, name)


def _names(metadata: object) -> dict[str, object]:
    """The lists of names in the metadata, whose values are texts by rule."""
    found: dict[str, object] = {}
    if isinstance(metadata, dict):
        for key, text in metadata.items():
            if key.lower() in NAME_KEYS and isinstance(text, str):
                try:
                    found[key] = parse_json(text)
                except ValueError:
                    found[key] = text.splitlines()
    return found
