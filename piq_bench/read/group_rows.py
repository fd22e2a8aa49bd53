"""Helps to read stored groups: rows named in messages, the form of values, and groups with their hashes."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from piq_bench.errors import BadDataset, Problem, first_few, quoted
from piq_bench.group.stored import SOURCE_COLUMN, WITHIN_SOURCE, as_benchmark_rows
from piq_bench.records import Grouping, Groups, IntArray

Texts = NDArray[np.object_]
Columns = dict[str, Texts]
Header = dict[str, object]

OPTIONAL_HEX = re.compile(r"[0-9a-f]{16}|")
NO_HASH = "0" * 16
HEX_REMEDY = "expected 16 hex digits in lower case, or nothing for an unreadable image"
BYTES_REMEDY = "expected the first 16 hex digits of the file's SHA-256, or nothing"
MAKE_AGAIN = "make the file again with `piq groups`"
PIECE_ROWS = 1 << 16


@dataclass(frozen=True)
class FileRows:
    """The rows of a groups file, named in messages by number and image.

    Attributes:
        file: the file's name.
        image: shape (n_rows,); the image id of each row.
    """

    file: str
    image: Texts

    def name(self, row: int) -> str:
        """Name of a row in messages, counted from 1: "row 7 ('a.jpg')"."""
        return f"row {row + 1} ({quoted(self.image[row])})"


def require_columns(path: Path, table: Columns, required: Sequence[str], problems: list[Problem]) -> None:
    """Refuse a table without one of the columns, since nothing more can be checked; `problems` are told as well."""
    missing = [name for name in required if name not in table]
    if missing:
        remedy = f"the required columns are {', '.join(required)}"
        found = f"there is no column {first_few(missing, len(missing))}"
        raise BadDataset(str(path), [*problems, Problem("missing-column", path.name, found, remedy)])


def form_problems(
    file_rows: FileRows, table: Columns, name: str, pattern: re.Pattern[str], remedy: str
) -> list[Problem]:
    """At most one problem: values of a column that do not have the form of a pattern."""
    if all_match(pattern, table[name]):
        return []
    rows = [row for row, value in enumerate(table[name]) if not pattern.fullmatch(value)]
    found = f"{file_rows.name(rows[0])}: {name} is {quoted(table[name][rows[0]])}"
    found += f", and {len(rows) - 1} more rows" if len(rows) > 1 else ""
    return [Problem(f"bad-{name.replace('_', '-')}", file_rows.file, found, remedy, len(rows))]


def all_match(pattern: re.Pattern[str], values: Texts) -> bool:
    """Whether every value has the form of a pattern; many at once, which is three times as fast as one by one."""
    many = re.compile(rf"(?:(?:{pattern.pattern})\n)*+")
    for first in range(0, len(values), PIECE_ROWS):
        piece = values[first : first + PIECE_ROWS].tolist()
        lines = "\n".join([*piece, ""])
        has_breaks = lines.count("\n") != len(piece)  # within a value, which would pass for two
        if has_breaks or not many.fullmatch(lines):
            return False
    return True


def refusal(path: Path, code: str, found: str, remedy: str) -> BadDataset:
    """The refusal of a file that cannot be read any further."""
    return BadDataset(str(path), [Problem(code, path.name, found, remedy)])


def hashed_groups(
    table: Columns, group: IntArray, header: Header | None, test_rows: IntArray, grouping: Grouping, n_images: int
) -> Groups:
    """Build `Groups` from a table that has passed all checks and whose rows are in the order of images."""
    phash = np.zeros(n_images, dtype=np.uint64)
    phash[test_rows] = _parse_hashes(table[grouping.hash])
    pairs = None
    if grouping.mode == "neighbours":
        pairs = _stored_pairs(table, header or {}, grouping, test_rows)
    parameters: Mapping[str, object] = header or {
        "header": None,
        "parameters_from": "benchmark.toml",
        "hash": grouping.hash,
        "threshold": grouping.threshold,
        "mode": grouping.mode,
    }
    return Groups(grouping, phash, as_benchmark_rows(group, test_rows, n_images), pairs, parameters)


def _stored_pairs(table: Columns, header: Header, grouping: Grouping, test_rows: IntArray) -> IntArray:
    """All pairs within the threshold, under the rules (quality, source) that the file was made with."""
    from piq_bench.group.neighbours import neighbour_pairs  # only here: other modes need no pairs
    from piq_bench.group.nodes import make_nodes

    digits = table[grouping.hash]
    n_images = len(digits)
    readable = digits != ""
    minimum = header.get("min_quality")
    nothing = np.zeros(n_images, dtype=np.uint64)
    quality = np.zeros(n_images)
    if isinstance(minimum, int | float):
        quality = np.array([float(value) if value else np.nan for value in table["quality"]], dtype=np.float64)
    nodes = make_nodes(
        _parse_hashes(digits),
        bytes_hash=_parse_hashes(table["bytes_sha256"]) if "bytes_sha256" in table else nothing,
        readable=readable.astype(np.bool_),
        quality=quality,
        min_quality=float(minimum) if isinstance(minimum, int | float) else None,
        source=table[SOURCE_COLUMN] if header.get("within") == WITHIN_SOURCE else None,
        hash_name=grouping.hash,
    )
    return neighbour_pairs(nodes, grouping.max_bits, rows=test_rows)


def _parse_hashes(digits: Texts) -> NDArray[np.uint64]:
    """Shape (n,), uint64; hashes from hex digits, 0 where empty."""
    packed = bytes.fromhex("".join([value or NO_HASH for value in digits.tolist()]))
    return np.frombuffer(packed, dtype=">u8").astype(np.uint64)
