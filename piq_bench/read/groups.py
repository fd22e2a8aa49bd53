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
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from piq_bench.documents import parse_json
from piq_bench.errors import BadDataset, BadInput, Problem, first_few, printable, quoted
from piq_bench.group.hashes import HASHES, hash_parameters
from piq_bench.group.stored import (
    CSV_MARK,
    SCHEMA,
    SOURCE_COLUMN,
    WITHIN_SOURCE,
    checksums,
    columns,
    parameters_file,
    parameters_text,
)
from piq_bench.read.given_groups import read_given
from piq_bench.read.group_rows import (
    BYTES_REMEDY,
    HEX_REMEDY,
    MAKE_AGAIN,
    OPTIONAL_HEX,
    Columns,
    FileRows,
    Header,
    Texts,
    all_match,
    form_problems,
    hashed_groups,
    refusal,
    require_columns,
)
from piq_bench.read.table import ReadTable, read_table
from piq_bench.records import TRAIN, Grouping, Groups, IntArray

NUMBER = re.compile(r"[0-9]{1,18}")
QUALITY = re.compile(r"(?:[0-9]{1,3}+(?:\.[0-9]{1,20}+)?+(?:e-[0-9]{1,2}+)?+)?+")


def read_groups(
    path: Path, images: NDArray[np.object_], split: IntArray, grouping: Grouping, read: ReadTable | None = None
) -> tuple[Groups, list[Problem]]:
    """Read the stored groups of a data set.

    Args:
        path: a .csv or .parquet file.
        images: shape (n_images,); image ids of the whole data set, ascending.
        split: shape (n_images,); index into SPLITS.
        grouping: the grouping parameters that the data set asks for.
        read: what `read_ahead` returned for the file, with its comment; None to read it now.

    Returns:
        The groups, and notes on rows that were passed over or look like a slip.

    Raises:
        BadDataset: with every problem found.
        LimitExceeded: if mode "neighbours" would list too many pairs.
    """
    table, header = _read_file(path, read)
    if header is None:
        return read_given(path, table, images, split, grouping)
    try:
        return _read_own(path, table, header, images, split, grouping), []
    except BadDataset as refusal:
        raise BadDataset(str(path), _with_other_tool(path, refusal.problems)) from None


def _read_own(path: Path, table: Columns, header: Header, images: Texts, split: IntArray, grouping: Grouping) -> Groups:
    """Check and convert a file that `piq groups` wrote."""
    test_rows = np.flatnonzero(split != TRAIN)
    hash_name = str(header.get("hash")) if header.get("hash") in HASHES else grouping.hash
    problems = _header_problems(path.name, header, grouping, len(test_rows))
    require_columns(path, table, _own_columns(header, hash_name), problems)
    file_rows = FileRows(path.name, table["image"])
    order, image_problems = _align(file_rows, images[test_rows], images)
    problems += image_problems
    problems += _value_problems(file_rows, table, hash_name)
    if problems:
        raise BadDataset(str(path), problems)
    table = {name: column[order] for name, column in table.items()}
    file_rows = FileRows(path.name, table["image"])
    group = np.array(list(map(int, table["group"].tolist())), dtype=np.int64)
    problems += _group_problems(file_rows, group)
    problems += _checksum_problems(path.name, table, hash_name, group, header)
    if problems:
        raise BadDataset(str(path), problems)
    return hashed_groups(table, group, header, test_rows, grouping, len(images))


def _with_other_tool(path: Path, problems: Sequence[Problem]) -> list[Problem]:
    """The same problems; the first one says what to do if the parameters beside the table are of an earlier table."""
    beside = parameters_file(path)
    if path.suffix != ".csv" or not beside.is_file():
        return list(problems)
    first, *others = problems
    remedy = f"{first.remedy}; if another tool wrote this table, remove {beside.name}"
    return [replace(first, remedy=remedy), *others]


def _read_file(path: Path, read: ReadTable | None = None) -> tuple[Columns, Header | None]:
    """The columns as text, and the header if there is one."""
    content, problems = read_table(path, comment=True) if read is None else read()
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
                raise refusal(path, "bad-header", found, f"the first line must be '{CSV_MARK}' and parameters in JSON")
            text = text.removeprefix(mark)
        header = _parse_header(path, text)
    else:
        beside = parameters_file(path)
        try:
            parameters = parameters_text(path)
        except OSError as error:
            found = printable(error.strerror or error)
            raise refusal(beside, "unreadable-file", found, "check the path and its permissions") from None
        except ValueError as error:
            raise refusal(beside, "bad-header", printable(error), MAKE_AGAIN) from None
        header = None if parameters is None else _parse_header(beside, parameters)
    return {name: column.rows() for name, column in content.columns.items()}, header


def _parse_header(path: Path, text: str | bytes) -> Header:
    """The parameters in the header, which must be a JSON object."""
    try:
        header = parse_json(text)
    except ValueError as error:
        raise refusal(path, "bad-header", f"its header is not valid JSON: {printable(error)}", MAKE_AGAIN) from error
    if not isinstance(header, dict):
        raise refusal(path, "bad-header", "its header is not a JSON object", MAKE_AGAIN)
    return header


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


def _align(file_rows: FileRows, test_images: Texts, all_images: Texts) -> tuple[IntArray, list[Problem]]:
    """Shape (n_test,); the row in the file of each query and gallery image. Empty if there are problems."""
    if np.array_equal(file_rows.image, test_images):  # as `piq groups` writes them
        return np.arange(len(test_images)), []
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


def _value_problems(file_rows: FileRows, table: Columns, hash_name: str) -> list[Problem]:
    """Problems of values that have the wrong form."""
    rules: Sequence[tuple[str, re.Pattern[str], str]] = (
        (hash_name, OPTIONAL_HEX, HEX_REMEDY),
        ("group", NUMBER, "expected the index, from 0, of the group's first image among all query and gallery images"),
        ("quality", QUALITY, "expected a number from 0 to 510, or nothing"),
        ("bytes_sha256", OPTIONAL_HEX, BYTES_REMEDY),
    )
    return [problem for rule in rules for problem in form_problems(file_rows, table, *rule)]


def _group_problems(file_rows: FileRows, group: IntArray) -> list[Problem]:
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
    actual = checksums(table["image"].tolist(), hash_name, table[hash_name].tolist(), group)
    return [
        Problem(
            "bad-checksum", file, f"the column does not match {name} in the header: one of them was edited", MAKE_AGAIN
        )
        for name, digest in actual.items()
        if header.get(name) != digest
    ]


def stored_grouping(path: Path) -> Grouping | None:
    """The parameters that a file by `piq groups` was made with; None if it is not such a file."""
    from piq_bench.group.sweep import HIGHEST_SHOWN  # only here: scoring does not sweep

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
    if not all_match(NUMBER, table["group"]):
        return False
    order = np.argsort(table["image"], kind="stable")
    columns = {name: column[order] for name, column in table.items()}
    group = np.array(list(map(int, columns["group"].tolist())), dtype=np.int64)
    return not _checksum_problems(path.name, columns, hash_name, group, header)
