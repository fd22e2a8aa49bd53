"""Defines the groups file for its writer and its reader: columns, header, checksums and the numbering of groups.

A group's number is the position of its first image, from 0, among all query and gallery images in ascending order of
their ids. An image without near-duplicates is a group of its own.
"""

import hashlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from piq_bench.records import NO_GROUP, IntArray

SCHEMA = "piq-bench/groups/1"
CSV_MARK = f"# {SCHEMA} "
METADATA_KEY = b"piq-bench"
SOURCE_COLUMN = "source"  # written only if just images of the same source are linked
WITHIN_SOURCE = "source"


def columns(hash_name: str) -> tuple[str, ...]:
    """The columns that every file with a header has; that of the hashes bears the hash's name."""
    return ("image", hash_name, "group", "quality", "bytes_sha256")


def was_written_here(path: Path) -> bool:
    """Whether a groups file has the header that `piq groups` writes; false if it cannot be read."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        if path.suffix == ".parquet":
            return METADATA_KEY in (pq.read_schema(path).metadata or {})
        with path.open("rb") as stream:
            return stream.read(len(CSV_MARK)) == CSV_MARK.encode()
    except (OSError, pa.ArrowException):
        return False


def lines_sha256(lines: Iterable[object]) -> str:
    """SHA-256 of a column: each value in UTF-8 with a zero byte after it."""
    text = "".join(f"{line}\0" for line in lines)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def checksums(images: Iterable[object], hash_name: str, hashes: Iterable[str], group: IntArray) -> dict[str, str]:
    """Checksums of the three columns that scores depend on, in ascending order of images."""
    return {
        "images_sha256": lines_sha256(images),
        f"{hash_name}_sha256": lines_sha256(hashes),
        "group_sha256": lines_sha256(group.tolist()),
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
