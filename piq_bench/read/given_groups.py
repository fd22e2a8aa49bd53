"""Reads near-duplicate groups from a table of any tool, which needs only image and group; see `read.groups`."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path

import numpy as np

from piq_bench.errors import BadDataset, Problem, first_few, quoted
from piq_bench.group.components import first_rows
from piq_bench.group.stored import (
    as_benchmark_rows,
    columns,
    parameters_file,
)
from piq_bench.read.group_rows import (
    BYTES_REMEDY,
    HEX_REMEDY,
    MAKE_AGAIN,
    OPTIONAL_HEX,
    Columns,
    FileRows,
    Texts,
    form_problems,
    hashed_groups,
    refusal,
    require_columns,
)
from piq_bench.read.id_repair import nearest_ids
from piq_bench.read.identity_names import look_missing
from piq_bench.read.validate import closest, text_fault
from piq_bench.records import GIVEN, TRAIN, Grouping, Groups, IntArray

NEARBY = 8  # images on either side, in order of ids, among which the one that is meant is looked for


def read_given(
    path: Path, table: Columns, images: Texts, split: IntArray, grouping: Grouping
) -> tuple[Groups, list[Problem]]:
    """Check and convert a table of any tool; its names of groups may be any texts."""
    require_columns(path, table, ("image", "group"), [])
    if not len(table["image"]):
        raise refusal(path, "no-rows", "has a header but no rows", "expected one row per image of a group")
    file_rows = FileRows(path.name, table["image"])
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
        return hashed_groups(table, group, None, test_rows, grouping, len(images)), notes
    groups = as_benchmark_rows(group, test_rows, len(images))
    parameters = {"header": None, "parameters_from": "given", **asdict(GIVEN)}
    return Groups(GIVEN, np.zeros(len(images), dtype=np.uint64), groups, parameters=parameters), notes


def _given_problems(file_rows: FileRows, group: Texts, row_of: Mapping[str, int], images: Texts) -> list[Problem]:
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
    file_rows: FileRows, table: Columns, row_of: Mapping[str, int], test_images: Texts, hash_name: str
) -> list[Problem]:
    """Problems of a table of any tool that has hashes: those of every query and gallery image, once each."""
    way_out = f"or remove the column {hash_name}: the groups are then given"
    problems = form_problems(file_rows, table, hash_name, OPTIONAL_HEX, f"{HEX_REMEDY}; {way_out}")
    if "bytes_sha256" in table:
        problems += form_problems(file_rows, table, "bytes_sha256", OPTIONAL_HEX, BYTES_REMEDY)
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
    file_rows: FileRows, row_of: Mapping[str, int], training: set[str], names: Iterable[str]
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
