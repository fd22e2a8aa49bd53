"""groups.csv or groups.parquet to `Groups`, checked against the images and the grouping of the data set.

The groups are taken as stored, never computed again: a score must not depend on who hashed. What is checked is that
the file speaks of these images and was made with the parameters that the data set asks for. Only mode "neighbours"
needs more than the file's groups: its pairs follow exactly from the stored hashes. A bare table of image, phash and
group, without a header, is taken too; its parameters are then those of the data set.
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

Column = NDArray[np.object_]
Table = dict[str, Column]
Header = dict[str, object]

HEX = re.compile(r"[0-9a-f]{16}")
OPTIONAL_HEX = re.compile(r"([0-9a-f]{16})?")
NUMBER = re.compile(r"[0-9]{1,18}")
QUALITY = re.compile(r"([0-9]{1,3}(\.[0-9]{1,20})?(e-[0-9]{1,2})?)?")
MAKE_AGAIN = "make the file again with `piq groups`"


@dataclass(frozen=True)
class Place:
    """Where a column's values stand in the file, for messages: "row 7 ('a.jpg')", the first row being 1."""

    file: str
    image: Column

    def of(self, row: int) -> str:
        """One row."""
        return f"row {row + 1} ({quoted(self.image[row])})"


def read_groups(path: Path, images: NDArray[np.object_], split: IntArray, grouping: Grouping) -> Groups:
    """Read the stored groups of a data set.

    Args:
        path: a .csv or .parquet file.
        images: shape (n_images,), ids of the whole data set, ascending.
        split: shape (n_images,), index into SPLITS.
        grouping: what the data set asks for.

    Raises:
        BadDataset: with every problem found.
        LimitExceeded: if mode "neighbours" would list too many pairs.
    """
    test_rows = np.flatnonzero(split != TRAIN)
    table, header = read_file(path)
    problems = header_problems(path.name, header, grouping, len(test_rows))
    missing = [name for name in required_columns(header) if name not in table]
    if missing:
        remedy = f"columns are {', '.join(required_columns(header))}"
        problems.append(Problem("missing-column", path.name, f"no column {first_few(missing, len(missing))}", remedy))
        raise BadDataset(str(path), problems)
    place = Place(path.name, table["image"])
    order, found = aligned(place, images[test_rows], images)  # (n_test,) row of the file of each image
    problems += found
    problems += bad_values(place, table)
    if problems:
        raise BadDataset(str(path), problems)
    table = {name: column[order] for name, column in table.items()}
    place = Place(path.name, table["image"])
    group = np.array([int(value) for value in table["group"]], dtype=np.int64)
    problems += group_problems(place, group)
    if header is not None:
        problems += checksum_problems(path.name, table, group, header)
    if problems:
        raise BadDataset(str(path), problems)
    return groups_of(table, group, header, test_rows, grouping, len(images))


def groups_of(
    table: Table, group: IntArray, header: Header | None, test_rows: IntArray, grouping: Grouping, n_images: int
) -> Groups:
    """The record of a table that has passed all checks, its rows in order of images."""
    phash = np.zeros(n_images, dtype=np.uint64)
    phash[test_rows] = numbers_of(table["phash"])
    pairs = None
    if grouping.mode == "neighbours":
        pairs = test_rows[stored_pairs(table, header or {}, grouping.threshold)]
    parameters: Mapping[str, object] = header or {
        "header": None,
        "parameters_from": "benchmark.toml",
        "hash": grouping.hash,
        "threshold": grouping.threshold,
        "mode": grouping.mode,
    }
    return Groups(grouping, phash, as_benchmark_rows(group, test_rows, n_images), pairs, parameters)


def stored_pairs(table: Table, header: Header, threshold: int) -> IntArray:
    """All pairs within the threshold, by the rules that the file was made with."""
    n_images = len(table["phash"])
    readable = table["phash"] != ""
    minimum = header.get("min_quality")
    nothing = np.zeros(n_images, dtype=np.uint64)
    quality = np.zeros(n_images)
    if isinstance(minimum, int | float):
        quality = np.array([float(value) if value else np.nan for value in table["quality"]], dtype=np.float64)
    nodes = make_nodes(
        numbers_of(table["phash"]),
        bytes_hash=numbers_of(table["bytes_sha256"]) if "bytes_sha256" in table else nothing,
        readable=readable.astype(np.bool_),
        quality=quality,
        min_quality=float(minimum) if isinstance(minimum, int | float) else None,
        source=table[SOURCE_COLUMN] if header.get("within") == WITHIN_SOURCE else None,
    )
    return neighbour_pairs(nodes, threshold)


def numbers_of(digits: Column) -> NDArray[np.uint64]:
    """Hex digits to numbers, 0 where empty."""
    return np.array([int(value or "0", 16) for value in digits], dtype=np.uint64)


def read_file(path: Path) -> tuple[Table, Header | None]:
    """Columns as text, and the header where there is one."""
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
                raise unusable(path, "bad-header", found, f"the first line is '{CSV_MARK}' and parameters in JSON")
            text = text.removeprefix(mark)
        header = parsed_header(path, text)
    return {name: column.rows() for name, column in content.columns.items()}, header


def parsed_header(path: Path, text: str) -> Header:
    """The JSON object of parameters."""
    try:
        header = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise unusable(path, "bad-header", f"its header is no JSON: {printable(error)}", MAKE_AGAIN) from error
    if not isinstance(header, dict):
        raise unusable(path, "bad-header", "its header is no JSON object", MAKE_AGAIN)
    return header


def unusable(path: Path, code: str, found: str, remedy: str) -> BadDataset:
    """A file that cannot be read any further."""
    return BadDataset(str(path), [Problem(code, path.name, found, remedy)])


def required_columns(header: Header | None) -> tuple[str, ...]:
    """A header promises all columns."""
    if header is None:
        return REQUIRED
    return (*COLUMNS, SOURCE_COLUMN) if header.get("within") == WITHIN_SOURCE else COLUMNS


def header_problems(file: str, header: Header | None, grouping: Grouping, n_test: int) -> list[Problem]:
    """Parameters that are not those the data set asks for."""
    if header is None:
        return []
    problems = []
    asked = {"hash": grouping.hash, "threshold": grouping.threshold, "mode": grouping.mode}
    for name, expected in asked.items():
        if header.get(name) != expected or isinstance(header.get(name), bool):
            found = f"made with {name} {quoted(header.get(name))}, but benchmark.toml asks for {quoted(expected)}"
            remedy = f"{MAKE_AGAIN}, or change {name} under [grouping] in benchmark.toml"
            problems.append(Problem(f"other-{name}", file, found, remedy))
    expected_values = {"schema": SCHEMA, "definition": HASH_PARAMETERS["definition"], "images": n_test}
    for name, value in expected_values.items():
        if header.get(name) != value or isinstance(header.get(name), bool):
            found = f"{name} is {quoted(header.get(name))}, expected {quoted(value)}"
            problems.append(Problem(f"other-{name}", file, found, MAKE_AGAIN))
    if header.get("within") not in (None, WITHIN_SOURCE):
        found = f"within is {quoted(header.get('within'))}"
        problems.append(Problem("bad-within", file, found, f'it is null or "{WITHIN_SOURCE}"'))
    minimum = header.get("min_quality")
    if minimum is not None and (
        isinstance(minimum, bool) or not isinstance(minimum, int | float) or minimum != minimum
    ):
        problems.append(Problem("bad-min-quality", file, f"min_quality is {quoted(minimum)}", "it is null or a number"))
    return problems


def aligned(place: Place, test_images: Column, all_images: Column) -> tuple[IntArray, list[Problem]]:
    """The row of the file of each query and gallery image, or what is wrong with the list of images."""
    row_of: dict[str, int] = {}
    for row, image in enumerate(place.image):
        row_of.setdefault(image, row)
    wanted = set(test_images)
    problems = []
    repeated = [image for row, image in enumerate(place.image) if row_of[image] != row]
    if repeated:
        found = f"{len(repeated)} rows repeat an image: {first_few(repeated, len(repeated))}"
        problems.append(Problem("duplicate-image", place.file, found, "one row per image", len(repeated)))
    unknown = [image for image in place.image if image not in wanted]
    if unknown:
        found = f"{len(unknown)} rows are of no query or gallery image: {first_few(unknown, len(unknown))}"
        if set(unknown) <= set(all_images):
            found += " (of the training set)"
        problems.append(Problem("unknown-image", place.file, found, "leave them out", len(unknown)))
    absent = [image for image in test_images if image not in row_of]
    if absent:
        found = f"{len(absent)} query or gallery images are missing: {first_few(absent, len(absent))}"
        problems.append(Problem("missing-image", place.file, found, MAKE_AGAIN, len(absent)))
    if problems:
        return np.empty(0, dtype=np.int64), problems
    return np.array([row_of[image] for image in test_images], dtype=np.int64), []


def bad_values(place: Place, table: Table) -> list[Problem]:
    """Values that are no hash, no number."""
    rules: Sequence[tuple[str, re.Pattern[str], str]] = (
        ("phash", OPTIONAL_HEX, "16 hex digits in lower case, or nothing for an unreadable image"),
        ("group", NUMBER, "the number of the group's first image among all query and gallery images, from 0"),
        ("quality", QUALITY, "a number from 0 to 510, or nothing"),
        ("bytes_sha256", OPTIONAL_HEX, "the first 16 hex digits of the file's SHA-256, or nothing"),
    )
    problems = []
    for name, pattern, remedy in rules:
        rows = [row for row, value in enumerate(table.get(name, ())) if not pattern.fullmatch(value)]
        if rows:
            found = f"{place.of(rows[0])}: {name} is {quoted(table[name][rows[0]])}"
            found += f", and {len(rows) - 1} more rows" if len(rows) > 1 else ""
            problems.append(Problem(f"bad-{name.replace('_', '-')}", place.file, found, remedy, len(rows)))
    return problems


def group_problems(place: Place, group: IntArray) -> list[Problem]:
    """A group is named by its own first image. Rows are in order of images here."""
    row = np.arange(len(group))
    named = np.minimum(group, len(group) - 1)
    wrong = np.flatnonzero((group > row) | (group[named] != group))
    if not len(wrong):
        return []
    first = int(wrong[0])
    found = f"{quoted(place.image[first])} has group {group[first]}, which is not the first image of that group"
    found += f", and {len(wrong) - 1} more rows" if len(wrong) > 1 else ""
    remedy = "group is the place, from 0, of the group's first image among all query and gallery images in order of ids"
    return [Problem("bad-group", place.file, found, remedy, len(wrong))]


def checksum_problems(file: str, table: Table, group: IntArray, header: Header) -> list[Problem]:
    """The columns must be those that the header was written for."""
    actual = checksums(table["image"], table["phash"], group)
    return [
        Problem("bad-checksum", file, f"{name} in the header is not that of the column: it was edited", MAKE_AGAIN)
        for name, digest in actual.items()
        if header.get(name) != digest
    ]
