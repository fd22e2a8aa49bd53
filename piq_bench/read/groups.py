"""Reads stored near-duplicate groups from groups.csv or groups.parquet and checks that they belong to the data set.

Groups are used as stored and never recomputed, because a score must not depend on the machine that hashed the images.
The file must list exactly the query and gallery images and must have been made with the grouping parameters of the data
set. In mode "neighbours" the pairs are computed from the stored hashes, which determine them exactly. A table with only
image, phash and group and without a header is accepted; the parameters of the data set then apply.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from piq_bench.errors import BadDataset, Problem, first_few, printable, quoted
from piq_bench.group.neighbours import neighbour_pairs
from piq_bench.group.nodes import make_nodes
from piq_bench.group.stored import (
    COLUMNS,
    CSV_MARK,
    HASH_PARAMETERS,
    REQUIRED,
    SCHEMA,
    SOURCE_COLUMN,
    WITHIN_SOURCE,
    as_benchmark_rows,
    checksums,
)
from piq_bench.read.table import read_table
from piq_bench.records import TRAIN, Grouping, Groups, IntArray

Texts = NDArray[np.object_]
Columns = dict[str, Texts]
Header = dict[str, object]

OPTIONAL_HEX = re.compile(r"([0-9a-f]{16})?")
NUMBER = re.compile(r"[0-9]{1,18}")
QUALITY = re.compile(r"([0-9]{1,3}(\.[0-9]{1,20})?(e-[0-9]{1,2})?)?")
MAKE_AGAIN = "make the file again with `piq groups`"


@dataclass(frozen=True)
class _FileRows:
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


def read_groups(path: Path, images: NDArray[np.object_], split: IntArray, grouping: Grouping) -> Groups:
    """Read the stored groups of a data set.

    Args:
        path: a .csv or .parquet file.
        images: shape (n_images,); image ids of the whole data set, ascending.
        split: shape (n_images,); index into SPLITS.
        grouping: the grouping parameters that the data set asks for.

    Raises:
        BadDataset: with every problem found.
        LimitExceeded: if mode "neighbours" would list too many pairs.
    """
    test_rows = np.flatnonzero(split != TRAIN)
    table, header = _read_file(path)
    problems = _header_problems(path.name, header, grouping, len(test_rows))
    missing = [name for name in _required_columns(header) if name not in table]
    if missing:
        remedy = f"the required columns are {', '.join(_required_columns(header))}"
        found = f"there is no column {first_few(missing, len(missing))}"
        problems.append(Problem("missing-column", path.name, found, remedy))
        raise BadDataset(str(path), problems)
    file_rows = _FileRows(path.name, table["image"])
    order, image_problems = _align(file_rows, images[test_rows], images)
    problems += image_problems
    problems += _value_problems(file_rows, table)
    if problems:
        raise BadDataset(str(path), problems)
    table = {name: column[order] for name, column in table.items()}
    file_rows = _FileRows(path.name, table["image"])
    group = np.array([int(value) for value in table["group"]], dtype=np.int64)
    problems += _group_problems(file_rows, group)
    if header is not None:
        problems += _checksum_problems(path.name, table, group, header)
    if problems:
        raise BadDataset(str(path), problems)
    return _build_groups(table, group, header, test_rows, grouping, len(images))


def _read_file(path: Path) -> tuple[Columns, Header | None]:
    """The columns as text, and the header if there is one."""
    content, problems = read_table(path, comment=True)
    if problems:
        raise BadDataset(str(path), problems)
    header = None
    if content.comment is not None:
        text = content.comment
        mark = CSV_MARK.removeprefix("#").strip()
        if path.suffix == ".csv":
            if not text.startswith(mark):
                found = f"its first line is {quoted(f'# {text}')}"
                raise _refusal(path, "bad-header", found, f"the first line must be '{CSV_MARK}' and parameters in JSON")
            text = text.removeprefix(mark)
        header = _parse_header(path, text)
    return {name: column.rows() for name, column in content.columns.items()}, header


def _parse_header(path: Path, text: str) -> Header:
    """The parameters in the header, which must be a JSON object."""
    try:
        header = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _refusal(path, "bad-header", f"its header is not valid JSON: {printable(error)}", MAKE_AGAIN) from error
    if not isinstance(header, dict):
        raise _refusal(path, "bad-header", "its header is not a JSON object", MAKE_AGAIN)
    return header


def _refusal(path: Path, code: str, found: str, remedy: str) -> BadDataset:
    """The refusal of a file that cannot be read any further."""
    return BadDataset(str(path), [Problem(code, path.name, found, remedy)])


def _header_problems(file: str, header: Header | None, grouping: Grouping, n_test: int) -> list[Problem]:
    """Problems of header parameters that differ from what the data set asks for."""
    if header is None:
        return []
    problems = []
    asked = {"hash": grouping.hash, "threshold": grouping.threshold, "mode": grouping.mode}
    for name, expected in asked.items():
        if header.get(name) != expected or isinstance(header.get(name), bool):
            found = f"was made with {name} {quoted(header.get(name))}, but benchmark.toml asks for {quoted(expected)}"
            remedy = f"{MAKE_AGAIN}, or change {name} under [grouping] in benchmark.toml"
            problems.append(Problem(f"other-{name}", file, found, remedy))
    expected_values = {"schema": SCHEMA, "definition": HASH_PARAMETERS["definition"], "images": n_test}
    for name, value in expected_values.items():
        if header.get(name) != value or isinstance(header.get(name), bool):
            found = f"{name} is {quoted(header.get(name))}, expected {quoted(value)}"
            problems.append(Problem(f"other-{name}", file, found, MAKE_AGAIN))
    if header.get("within") not in (None, WITHIN_SOURCE):
        found = f"within is {quoted(header.get('within'))}"
        problems.append(Problem("bad-within", file, found, f'within must be null or "{WITHIN_SOURCE}"'))
    minimum = header.get("min_quality")
    if minimum is not None and (
        isinstance(minimum, bool) or not isinstance(minimum, int | float) or minimum != minimum
    ):
        found = f"min_quality is {quoted(minimum)}"
        problems.append(Problem("bad-min-quality", file, found, "min_quality must be null or a number"))
    return problems


def _required_columns(header: Header | None) -> tuple[str, ...]:
    """The columns that a file must have: all of them if it has a header."""
    if header is None:
        return REQUIRED
    return (*COLUMNS, SOURCE_COLUMN) if header.get("within") == WITHIN_SOURCE else COLUMNS


def _align(file_rows: _FileRows, test_images: Texts, all_images: Texts) -> tuple[IntArray, list[Problem]]:
    """Shape (n_test,); the row in the file of each query and gallery image. Empty if there are problems."""
    row_of: dict[str, int] = {}
    for row, image in enumerate(file_rows.image):
        row_of.setdefault(image, row)
    wanted = set(test_images)
    problems = []
    repeated = [image for row, image in enumerate(file_rows.image) if row_of[image] != row]
    if repeated:
        found = f"{len(repeated)} rows repeat an image: {first_few(repeated, len(repeated))}"
        problems.append(Problem("duplicate-image", file_rows.file, found, "expected one row per image", len(repeated)))
    unknown = [image for image in file_rows.image if image not in wanted]
    if unknown:
        found = f"{len(unknown)} rows are not of a query or gallery image: {first_few(unknown, len(unknown))}"
        if set(unknown) <= set(all_images):
            found += " (training images)"
        problems.append(Problem("unknown-image", file_rows.file, found, "remove these rows", len(unknown)))
    absent = [image for image in test_images if image not in row_of]
    if absent:
        found = f"{len(absent)} query or gallery images are missing: {first_few(absent, len(absent))}"
        problems.append(Problem("missing-image", file_rows.file, found, MAKE_AGAIN, len(absent)))
    if problems:
        return np.empty(0, dtype=np.int64), problems
    return np.array([row_of[image] for image in test_images], dtype=np.int64), []


def _value_problems(file_rows: _FileRows, table: Columns) -> list[Problem]:
    """Problems of values that have the wrong form."""
    rules: Sequence[tuple[str, re.Pattern[str], str]] = (
        ("phash", OPTIONAL_HEX, "expected 16 hex digits in lower case, or nothing for an unreadable image"),
        ("group", NUMBER, "expected the index, from 0, of the group's first image among all query and gallery images"),
        ("quality", QUALITY, "expected a number from 0 to 510, or nothing"),
        ("bytes_sha256", OPTIONAL_HEX, "expected the first 16 hex digits of the file's SHA-256, or nothing"),
    )
    problems = []
    for name, pattern, remedy in rules:
        rows = [row for row, value in enumerate(table.get(name, ())) if not pattern.fullmatch(value)]
        if rows:
            found = f"{file_rows.name(rows[0])}: {name} is {quoted(table[name][rows[0]])}"
            found += f", and {len(rows) - 1} more rows" if len(rows) > 1 else ""
            problems.append(Problem(f"bad-{name.replace('_', '-')}", file_rows.file, found, remedy, len(rows)))
    return problems


def _group_problems(file_rows: _FileRows, group: IntArray) -> list[Problem]:
    """Check that each group number is the row of the group's own first image; rows are in the order of images."""
    row = np.arange(len(group))
    first_row = np.minimum(group, len(group) - 1)
    wrong = np.flatnonzero((group > row) | (group[first_row] != group))
    if not len(wrong):
        return []
    first = int(wrong[0])
    found = f"{quoted(file_rows.image[first])} has group {group[first]}, which is not the first image of that group"
    found += f", and {len(wrong) - 1} more rows" if len(wrong) > 1 else ""
    remedy = "group is the index, from 0, of the group's first image among all query and gallery images sorted by id"
    return [Problem("bad-group", file_rows.file, found, remedy, len(wrong))]


def _checksum_problems(file: str, table: Columns, group: IntArray, header: Header) -> list[Problem]:
    """Check that the columns are those that the header was written for."""
    actual = checksums(table["image"], table["phash"], group)
    return [
        Problem(
            "bad-checksum", file, f"the column does not match {name} in the header: one of them was edited", MAKE_AGAIN
        )
        for name, digest in actual.items()
        if header.get(name) != digest
    ]


def _build_groups(
    table: Columns, group: IntArray, header: Header | None, test_rows: IntArray, grouping: Grouping, n_images: int
) -> Groups:
    """Build `Groups` from a table that has passed all checks and whose rows are in the order of images."""
    phash = np.zeros(n_images, dtype=np.uint64)
    phash[test_rows] = _parse_hashes(table["phash"])
    pairs = None
    if grouping.mode == "neighbours":
        pairs = test_rows[_stored_pairs(table, header or {}, grouping.threshold)]
    parameters: Mapping[str, object] = header or {
        "header": None,
        "parameters_from": "benchmark.toml",
        "hash": grouping.hash,
        "threshold": grouping.threshold,
        "mode": grouping.mode,
    }
    return Groups(grouping, phash, as_benchmark_rows(group, test_rows, n_images), pairs, parameters)


def _stored_pairs(table: Columns, header: Header, threshold: int) -> IntArray:
    """All pairs within the threshold, under the rules (quality, source) that the file was made with."""
    n_images = len(table["phash"])
    readable = table["phash"] != ""
    minimum = header.get("min_quality")
    nothing = np.zeros(n_images, dtype=np.uint64)
    quality = np.zeros(n_images)
    if isinstance(minimum, int | float):
        quality = np.array([float(value) if value else np.nan for value in table["quality"]], dtype=np.float64)
    nodes = make_nodes(
        _parse_hashes(table["phash"]),
        bytes_hash=_parse_hashes(table["bytes_sha256"]) if "bytes_sha256" in table else nothing,
        readable=readable.astype(np.bool_),
        quality=quality,
        min_quality=float(minimum) if isinstance(minimum, int | float) else None,
        source=table[SOURCE_COLUMN] if header.get("within") == WITHIN_SOURCE else None,
    )
    return neighbour_pairs(nodes, threshold)


def _parse_hashes(digits: Texts) -> NDArray[np.uint64]:
    """Shape (n,), uint64; hashes from hex digits, 0 where empty."""
    return np.array([int(value or "0", 16) for value in digits], dtype=np.uint64)
