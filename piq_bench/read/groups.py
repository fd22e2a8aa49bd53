"""Reads stored near-duplicate groups from groups.csv or groups.parquet and checks that they belong to the data set.

Groups are used as stored and never recomputed, because a score must not depend on the machine that hashed the images.

A file by `piq groups`, which is known by its parameters (see `group.stored`), must list exactly the query and gallery
images and must have been made with the grouping parameters of the data set. In mode "neighbours" the pairs are computed
from the stored hashes, which determine them exactly.

A table of any other tool needs only image and group: images with the same text as group are near-duplicates, and an
image that is not listed, or has no group, is alone. If such a table has a column of the data set's hash, the grouping
parameters of the data set apply to it; otherwise its groups are given, and no hash is known.
"""

import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from piq_bench.documents import parse_json
from piq_bench.errors import BadDataset, BadInput, Problem, first_few, printable, quoted
from piq_bench.group.components import first_rows
from piq_bench.group.hashes import HASHES, hash_parameters
from piq_bench.group.neighbours import neighbour_pairs
from piq_bench.group.nodes import make_nodes
from piq_bench.group.stored import (
    CSV_MARK,
    SCHEMA,
    SOURCE_COLUMN,
    WITHIN_SOURCE,
    as_benchmark_rows,
    checksums,
    columns,
    parameters_file,
    parameters_text,
)
from piq_bench.group.sweep import HIGHEST_SHOWN
from piq_bench.read.id_repair import nearest_ids
from piq_bench.read.identity_names import look_missing
from piq_bench.read.table import read_table
from piq_bench.read.validate import closest, text_fault
from piq_bench.records import GIVEN, TRAIN, Grouping, Groups, IntArray

Texts = NDArray[np.object_]
Columns = dict[str, Texts]
Header = dict[str, object]

OPTIONAL_HEX = re.compile(r"([0-9a-f]{16})?")
NUMBER = re.compile(r"[0-9]{1,18}")
QUALITY = re.compile(r"([0-9]{1,3}(\.[0-9]{1,20})?(e-[0-9]{1,2})?)?")
HEX_REMEDY = "expected 16 hex digits in lower case, or nothing for an unreadable image"
BYTES_REMEDY = "expected the first 16 hex digits of the file's SHA-256, or nothing"
NEARBY = 8  # images on either side, in order of ids, among which the one that is meant is looked for
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


def read_groups(
    path: Path, images: NDArray[np.object_], split: IntArray, grouping: Grouping
) -> tuple[Groups, list[Problem]]:
    """Read the stored groups of a data set.

    Args:
        path: a .csv or .parquet file.
        images: shape (n_images,); image ids of the whole data set, ascending.
        split: shape (n_images,); index into SPLITS.
        grouping: the grouping parameters that the data set asks for.

    Returns:
        The groups, and notes on rows that were passed over or look like a slip.

    Raises:
        BadDataset: with every problem found.
        LimitExceeded: if mode "neighbours" would list too many pairs.
    """
    table, header = _read_file(path)
    if header is None:
        return _read_any(path, table, images, split, grouping)
    try:
        return _read_own(path, table, header, images, split, grouping), []
    except BadDataset as refusal:
        raise BadDataset(str(path), _with_other_tool(path, refusal.problems)) from None


def _read_own(path: Path, table: Columns, header: Header, images: Texts, split: IntArray, grouping: Grouping) -> Groups:
    """Check and convert a file that `piq groups` wrote."""
    test_rows = np.flatnonzero(split != TRAIN)
    hash_name = str(header.get("hash")) if header.get("hash") in HASHES else grouping.hash
    problems = _header_problems(path.name, header, grouping, len(test_rows))
    _require_columns(path, table, _own_columns(header, hash_name), problems)
    file_rows = _FileRows(path.name, table["image"])
    order, image_problems = _align(file_rows, images[test_rows], images)
    problems += image_problems
    problems += _value_problems(file_rows, table, hash_name)
    if problems:
        raise BadDataset(str(path), problems)
    table = {name: column[order] for name, column in table.items()}
    file_rows = _FileRows(path.name, table["image"])
    group = np.array([int(value) for value in table["group"]], dtype=np.int64)
    problems += _group_problems(file_rows, group)
    problems += _checksum_problems(path.name, table, hash_name, group, header)
    if problems:
        raise BadDataset(str(path), problems)
    return _hashed_groups(table, group, header, test_rows, grouping, len(images))


def _with_other_tool(path: Path, problems: Sequence[Problem]) -> list[Problem]:
    """The same problems; the first one says what to do if the parameters beside the table are of an earlier table."""
    beside = parameters_file(path)
    if path.suffix != ".csv" or not beside.is_file():
        return list(problems)
    first, *others = problems
    remedy = f"{first.remedy}; if another tool wrote this table, remove {beside.name}"
    return [replace(first, remedy=remedy), *others]


def _read_any(
    path: Path, table: Columns, images: Texts, split: IntArray, grouping: Grouping
) -> tuple[Groups, list[Problem]]:
    """Check and convert a table of any tool; its names of groups may be any texts."""
    _require_columns(path, table, ("image", "group"), [])
    if not len(table["image"]):
        raise _refusal(path, "no-rows", "has a header but no rows", "expected one row per image of a group")
    file_rows = _FileRows(path.name, table["image"])
    test_rows = np.flatnonzero(split != TRAIN)
    row_of: dict[str, int] = {}
    for row, image in enumerate(file_rows.image):
        row_of.setdefault(image, row)
    problems = _given_problems(file_rows, table["group"], row_of, images)
    hashed = grouping.hash in table
    if hashed:
        problems += _hash_problems(file_rows, table, row_of, images[test_rows], grouping.hash)
    if problems:
        raise BadDataset(str(path), problems)
    number: dict[str, int] = {}
    names = [table["group"][row_of[image]] if image in row_of else "" for image in images[test_rows]]
    # An image without a name of a group gets a number of its own, after those of all names.
    group = first_rows(
        np.array(
            [number.setdefault(name, len(number)) if name else len(names) + row for row, name in enumerate(names)],
            dtype=np.int64,
        )
    )
    notes = _given_notes(file_rows, row_of, set(images[split == TRAIN]), names)
    if set(columns(grouping.hash)) <= set(table):
        where = parameters_file(path).name if path.suffix == ".csv" else "the metadata of the file"
        found = f"has the columns that `piq groups` writes, but its parameters, in {where}, are missing"
        notes.append(Problem("no-parameters", path.name, found, f"put them back, or {MAKE_AGAIN}"))
    if hashed:
        table = {name: column[[row_of[image] for image in images[test_rows]]] for name, column in table.items()}
        return _hashed_groups(table, group, None, test_rows, grouping, len(images)), notes
    groups = as_benchmark_rows(group, test_rows, len(images))
    parameters = {"header": None, "parameters_from": "given", **asdict(GIVEN)}
    return Groups(GIVEN, np.zeros(len(images), dtype=np.uint64), groups, parameters=parameters), notes


def _require_columns(path: Path, table: Columns, required: Sequence[str], problems: list[Problem]) -> None:
    """Refuse a table without one of the columns, since nothing more can be checked; `problems` are told as well."""
    missing = [name for name in required if name not in table]
    if missing:
        remedy = f"the required columns are {', '.join(required)}"
        found = f"there is no column {first_few(missing, len(missing))}"
        raise BadDataset(str(path), [*problems, Problem("missing-column", path.name, found, remedy)])


def _given_problems(file_rows: _FileRows, group: Texts, row_of: Mapping[str, int], images: Texts) -> list[Problem]:
    """Problems of a table of any tool: unknown images, an image in two groups, names that are no plain text."""
    file, problems = file_rows.file, []
    known = set(images)
    unknown = [image for image in row_of if image not in known]
    if unknown:
        found = f"{len(unknown)} images are not in the data set: {first_few(unknown, len(unknown))}"
        meant = _image_meant(unknown[0], images)
        remedy = "remove these rows" + (f"; did you mean {quoted(meant)} for the first?" if meant else "")
        problems.append(Problem("unknown-image", file, found, remedy, len(unknown)))
    twice = [row for row, image in enumerate(file_rows.image) if group[row_of[image]] != group[row]]
    if twice:
        first = twice[0]
        before = row_of[file_rows.image[first]]
        found = f"{file_rows.name(first)}: group is {quoted(group[first])}, but {quoted(group[before])}"
        found += f" in row {before + 1}" + (f", and {len(twice) - 1} more rows" if len(twice) > 1 else "")
        problems.append(Problem("image-in-two-groups", file, found, "put each image into one group", len(twice)))
    faults = {name: fault for name in set(group) if (fault := text_fault(name)) is not None}
    bad = [row for row, name in enumerate(group) if name in faults] if faults else []
    if bad:
        found = f"{file_rows.name(bad[0])}: group is {quoted(group[bad[0]])}: {faults[group[bad[0]]]}"
        found += f", and {len(bad) - 1} more rows" if len(bad) > 1 else ""
        remedy = "printable text without spaces at its ends, or nothing for an image alone"
        problems.append(Problem("bad-group", file, found, remedy, len(bad)))
    return problems


def _hash_problems(
    file_rows: _FileRows, table: Columns, row_of: Mapping[str, int], test_images: Texts, hash_name: str
) -> list[Problem]:
    """Problems of a table of any tool that has hashes: those of every query and gallery image, once each."""
    way_out = f"or remove the column {hash_name}: the groups are then given"
    problems = _form_problems(file_rows, table, hash_name, OPTIONAL_HEX, f"{HEX_REMEDY}; {way_out}")
    if "bytes_sha256" in table:
        problems += _form_problems(file_rows, table, "bytes_sha256", OPTIONAL_HEX, BYTES_REMEDY)
    absent = [image for image in test_images if image not in row_of]
    if absent:
        found = f"{len(absent)} query or gallery images are missing: {first_few(absent, len(absent))}"
        remedy = f"{MAKE_AGAIN}, {way_out}, and images that are not listed are alone"
        problems.append(Problem("missing-image", file_rows.file, found, remedy, len(absent)))
    repeated = [image for row, image in enumerate(file_rows.image) if row_of[image] != row]
    if repeated:
        found = f"{len(repeated)} rows repeat an image: {first_few(repeated, len(repeated))}"
        problems.append(Problem("duplicate-image", file_rows.file, found, "expected one row per image", len(repeated)))
    return problems


def _image_meant(image: str, images: Texts) -> str | None:
    """The image that an unknown one probably misspells, among those of the same file name and those next to it."""
    ids = images.tolist()
    place = bisect_left(ids, image)
    return nearest_ids([image], ids)[0] or closest(image, ids[max(0, place - NEARBY) : place + NEARBY])


def _given_notes(
    file_rows: _FileRows, row_of: Mapping[str, int], training: set[str], names: Iterable[str]
) -> list[Problem]:
    """Notes on rows that change nothing, and on a name of a group that often means "no group"."""
    file, notes = file_rows.file, []
    trained = [image for image in row_of if image in training]
    if trained:
        found = f"{len(trained)} training images are passed over: {first_few(trained, len(trained))}"
        notes.append(Problem("training-image", file, found, "groups are of query and gallery images", len(trained)))
    n_repeats = len(file_rows.image) - len(row_of)
    if n_repeats:
        found = f"{n_repeats} rows repeat an image with the same group"
        notes.append(Problem("duplicate-image", file, found, "list each image once", n_repeats))
    counts = Counter(names)
    suspects = [name for name in look_missing(counts, ()) if counts[name] > 1]
    if suspects:
        found = f"{counts[suspects[0]]} images are near-duplicates, in one group called {quoted(suspects[0])}"
        remedy = "leave the cell of an image without a group empty"
        found += f"; if that name means no group, {remedy}"
        notes.append(Problem("group-looks-missing", file, found, remedy, len(suspects)))
    return notes


def _read_file(path: Path) -> tuple[Columns, Header | None]:
    """The columns as text, and the header if there is one."""
    content, problems = read_table(path, comment=True)
    used = ("image", "group", "quality", "bytes_sha256", SOURCE_COLUMN, *HASHES)
    # A column of no meaning here may be of any type.
    problems = [one for one in problems if one.code != "column-type" or any(quoted(name) in one.found for name in used)]
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
    else:
        beside = parameters_file(path)
        try:
            parameters = parameters_text(path)
        except OSError as error:
            found = printable(error.strerror or error)
            raise _refusal(beside, "unreadable-file", found, "check the path and its permissions") from None
        except ValueError as error:
            raise _refusal(beside, "bad-header", printable(error), MAKE_AGAIN) from None
        header = None if parameters is None else _parse_header(beside, parameters)
    return {name: column.rows() for name, column in content.columns.items()}, header


def _parse_header(path: Path, text: str | bytes) -> Header:
    """The parameters in the header, which must be a JSON object."""
    try:
        header = parse_json(text)
    except ValueError as error:
        raise _refusal(path, "bad-header", f"its header is not valid JSON: {printable(error)}", MAKE_AGAIN) from error
    if not isinstance(header, dict):
        raise _refusal(path, "bad-header", "its header is not a JSON object", MAKE_AGAIN)
    return header


def _refusal(path: Path, code: str, found: str, remedy: str) -> BadDataset:
    """The refusal of a file that cannot be read any further."""
    return BadDataset(str(path), [Problem(code, path.name, found, remedy)])


def _header_problems(file: str, header: Header, grouping: Grouping, n_test: int) -> list[Problem]:
    """Problems of header parameters that differ from what the data set asks for."""
    problems = []
    asked = {"hash": grouping.hash, "threshold": grouping.threshold, "mode": grouping.mode}
    for name, expected in asked.items():
        if header.get(name) != expected or isinstance(header.get(name), bool):
            found = f"was made with {name} {quoted(header.get(name))}, but benchmark.toml asks for {quoted(expected)}"
            remedy = f"{MAKE_AGAIN}, or change {name} under [grouping] in benchmark.toml"
            problems.append(Problem(f"other-{name}", file, found, remedy))
    expected_values: dict[str, object] = {"schema": SCHEMA, "images": n_test}
    if header.get("hash") in HASHES:
        expected_values["definition"] = hash_parameters(str(header["hash"]))["definition"]
    for name, value in expected_values.items():
        if header.get(name) != value or isinstance(header.get(name), bool):
            found = f"{name} is {quoted(header.get(name))}, expected {quoted(value)}"
            problems.append(Problem(f"other-{name}", file, found, MAKE_AGAIN))
    if header.get("within") not in (None, WITHIN_SOURCE):
        found = f"within is {quoted(header.get('within'))}"
        problems.append(Problem("bad-within", file, found, f'within must be null or "{WITHIN_SOURCE}"'))
    minimum = header.get("min_quality")
    if minimum is not None and (isinstance(minimum, bool) or not isinstance(minimum, int | float)):
        found = f"min_quality is {quoted(minimum)}"
        problems.append(Problem("bad-min-quality", file, found, "min_quality must be null or a number"))
    return problems


def _own_columns(header: Header, hash_name: str) -> tuple[str, ...]:
    """The columns that a file by `piq groups` must have."""
    required = columns(hash_name)
    return (*required, SOURCE_COLUMN) if header.get("within") == WITHIN_SOURCE else required


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


def _value_problems(file_rows: _FileRows, table: Columns, hash_name: str) -> list[Problem]:
    """Problems of values that have the wrong form."""
    rules: Sequence[tuple[str, re.Pattern[str], str]] = (
        (hash_name, OPTIONAL_HEX, HEX_REMEDY),
        ("group", NUMBER, "expected the index, from 0, of the group's first image among all query and gallery images"),
        ("quality", QUALITY, "expected a number from 0 to 510, or nothing"),
        ("bytes_sha256", OPTIONAL_HEX, BYTES_REMEDY),
    )
    return [problem for rule in rules for problem in _form_problems(file_rows, table, *rule)]


def _form_problems(
    file_rows: _FileRows, table: Columns, name: str, pattern: re.Pattern[str], remedy: str
) -> list[Problem]:
    """At most one problem: values of a column that do not have the form of a pattern."""
    rows = [row for row, value in enumerate(table[name]) if not pattern.fullmatch(value)]
    if not rows:
        return []
    found = f"{file_rows.name(rows[0])}: {name} is {quoted(table[name][rows[0]])}"
    found += f", and {len(rows) - 1} more rows" if len(rows) > 1 else ""
    return [Problem(f"bad-{name.replace('_', '-')}", file_rows.file, found, remedy, len(rows))]


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


def _checksum_problems(file: str, table: Columns, hash_name: str, group: IntArray, header: Header) -> list[Problem]:
    """Check that the columns are those that the header was written for."""
    actual = checksums(table["image"], hash_name, table[hash_name], group)
    return [
        Problem(
            "bad-checksum", file, f"the column does not match {name} in the header: one of them was edited", MAKE_AGAIN
        )
        for name, digest in actual.items()
        if header.get(name) != digest
    ]


def _hashed_groups(
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
    return np.array([int(value or "0", 16) for value in digits], dtype=np.uint64)


def stored_grouping(path: Path) -> Grouping | None:
    """The parameters that a file by `piq groups` was made with; None if it is not such a file."""
    try:
        _, header = _read_file(path)
    except BadDataset:
        return None
    hash_name, threshold, mode = ((header or {}).get(name) for name in ("hash", "threshold", "mode"))
    known = hash_name in HASHES and mode in ("components", "neighbours")
    if not known or type(threshold) is not int or not 0 <= threshold <= HIGHEST_SHOWN:
        return None
    return Grouping(str(hash_name), threshold, "neighbours" if mode == "neighbours" else "components")


def is_as_written(path: Path) -> bool:
    """Whether a file is as `piq groups` wrote it: its header has the checksums of its columns, in any order of rows."""
    try:
        table, header = _read_file(path)
    except BadInput:
        return False
    hash_name = str((header or {}).get("hash"))
    if header is None or any(name not in table for name in ("image", "group", hash_name)):
        return False
    if not all(NUMBER.fullmatch(number) for number in table["group"]):
        return False
    order = np.argsort(table["image"], kind="stable")
    columns = {name: column[order] for name, column in table.items()}
    group = np.array([int(number) for number in columns["group"]], dtype=np.int64)
    return not _checksum_problems(path.name, columns, hash_name, group, header)
