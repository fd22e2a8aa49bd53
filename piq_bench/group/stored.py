"""Defines the groups file for its writer and its reader: columns, parameters, checksums and the numbering of groups.

The parameters of a Parquet file are in its metadata. Those of a CSV file are in a JSON file beside it, groups.csv.json,
so that every tool reads the table; earlier versions wrote them into a comment on the first line.

A group's number is the position of its first image, from 0, among all query and gallery images in ascending order of
their ids. An image without near-duplicates is a group of its own.
"""

import hashlib
import io
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from piq_bench.documents import parse_json
from piq_bench.records import NO_GROUP, IntArray

SCHEMA = "piq-bench/groups/1"
CSV_MARK = f"# {SCHEMA} "  # of earlier versions
PARAMETERS_SUFFIX = ".json"
MAX_PARAMETERS_BYTES = 1 << 20
METADATA_KEY = b"piq-bench"
MAX_FOOTER_BYTES = 16 << 20
SOURCE_COLUMN = "source"  # written only if just images of the same source are linked
WITHIN_SOURCE = "source"


def columns(hash_name: str) -> tuple[str, ...]:
    """The columns that every file with a header has; that of the hashes bears the hash's name."""
    return ("image", hash_name, "group", "quality", "bytes_sha256")


def parameters_file(path: Path) -> Path:
    """The JSON file that holds the parameters of a CSV file, beside it."""
    return path.with_name(path.name + PARAMETERS_SUFFIX)


def parameters_text(path: Path) -> bytes | None:
    """The content of the JSON file beside a CSV file; None if there is no such file.

    Raises:
        ValueError: if it is too large.
        OSError: if it cannot be read.
    """
    if path.suffix != ".csv" or not parameters_file(path).is_file():
        return None
    with parameters_file(path).open("rb") as stream:
        content = stream.read(MAX_PARAMETERS_BYTES + 1)
    if len(content) > MAX_PARAMETERS_BYTES:
        raise ValueError(f"has more than {MAX_PARAMETERS_BYTES} bytes")
    return content


def foreign_file(path: Path) -> Path | None:
    """The file that writing groups would replace although `piq groups` did not write it; None if there is none."""
    beside = parameters_file(path)
    if path.exists() and not was_written_here(path):
        return path
    is_strange = beside.is_symlink() or (beside.exists() and _parameters_beside(path) is None)
    if path.suffix == ".csv" and is_strange:
        return beside
    return None


def was_written_here(path: Path) -> bool:
    """Whether a groups file has the parameters that `piq groups` writes; false if it cannot be read."""
    try:
        with path.open("rb") as stream:
            if path.suffix == ".parquet":
                return _has_parquet_key(stream)
            first = stream.readline(MAX_PARAMETERS_BYTES)
    except OSError:
        return False
    parameters = _parameters_beside(path)
    own = () if parameters is None else columns(str(parameters.get("hash")))
    return first.startswith(CSV_MARK.encode()) or tuple(first.decode(errors="replace").strip().split(","))[:5] == own


def _has_parquet_key(stream: BinaryIO) -> bool:
    """Whether the footer of a Parquet file has METADATA_KEY; the bytes are searched, as the library may crash on them.

    Thrift writes a key with its length between two marks of a text, of which the second begins the key's value.
    """
    n_before = max(0, stream.seek(0, io.SEEK_END) - 8)
    stream.seek(n_before)
    end = stream.read(8)
    n_bytes = int.from_bytes(end[:4], "little")
    if end[4:] != b"PAR1" or n_bytes > min(n_before, MAX_FOOTER_BYTES):
        return False
    stream.seek(n_before - n_bytes)
    return bytes([0x18, len(METADATA_KEY)]) + METADATA_KEY + b"\x18" in stream.read(n_bytes)


def _parameters_beside(path: Path) -> dict[str, object] | None:
    """The parameters in the JSON file beside a CSV file; None if it holds none of `piq groups`."""
    try:
        content = parse_json(parameters_text(path) or b"")
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) and content.get("schema") == SCHEMA else None


def lines_sha256(lines: Iterable[str]) -> str:
    """SHA-256 of a column: each value in UTF-8 with a zero byte after it."""
    text = "\0".join([*lines, ""])
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def checksums(images: Iterable[str], hash_name: str, hashes: Iterable[str], group: IntArray) -> dict[str, str]:
    """Checksums of the three columns that scores depend on, in ascending order of images."""
    return {
        "images_sha256": lines_sha256(images),
        f"{hash_name}_sha256": lines_sha256(hashes),
        "group_sha256": lines_sha256(map(str, group.tolist())),
    }


def hex_digits(values: NDArray[np.uint64]) -> list[str]:
    """16 hexadecimal digits for each value."""
    return [f"{value:016x}" for value in values.tolist()]


def as_benchmark_rows(group: IntArray, test_rows: IntArray, n_images: int) -> IntArray:
    """Converts group numbers of a groups file, shape (n_test,), to those of `Groups`, shape (n_images,).

    In `Groups` a group's number is the benchmark row of its first image, and an image alone has no group.
    """
    alone = np.bincount(group, minlength=len(group))[group] == 1
    result = np.full(n_images, NO_GROUP, dtype=np.int64)
    result[test_rows] = np.where(alone, NO_GROUP, test_rows[group])
    return result
