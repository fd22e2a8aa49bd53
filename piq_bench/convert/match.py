"""Finds the row of each query and gallery image by the names in a feature file.

A name may be the image id, a path that ends with it or a part of its end, or only the base name. The whole file is
matched in one way, the strictest that fits any of its rows: were ways mixed, a training image could take the place of a
missing test image with the same base name.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np

from piq_bench.errors import BadSubmission, Problem, first_few
from piq_bench.records import GALLERY, QUERY, SPLITS, Benchmark, IntArray

NO_ROW = -1
Finder = Callable[[str], Sequence[int]]  # from a name to the rows of the images that it may mean


def match_names(path: Path, names: Sequence[str], benchmark: Benchmark, *, stems: bool = False) -> tuple[IntArray, str]:
    """Find the row of each image of the test set.

    Args:
        path: the feature file, for messages.
        names: the image of each row.
        benchmark: the benchmark; its labels are not used.
        stems: whether names are base names up to their first dot.

    Returns:
        Shape (n_test,); the row of each test image, NO_ROW for missing junk. And a note about rows of no test image,
        empty if there are none.

    Raises:
        BadSubmission: with all names that are ambiguous and all images that are missing.
    """
    cleaned = [_cleaned(name) for name in names]
    images = [str(image) for image in benchmark.images]
    problems: list[Problem] = []
    meant: list[Sequence[int]] = []
    for finder in [_by_stem(images)] if stems else [_by_id(images), _by_tail(images), _by_base_name(images)]:
        meant = [finder(name) for name in cleaned]
        if any(meant):
            break
    is_test = benchmark.split != SPLITS.index("train")
    ambiguous = [row for row, of in enumerate(meant) if len(of) > 1 and is_test[list(of)].any()]
    if ambiguous:
        shown = (f"{names[row]}: {images[meant[row][0]]} or {images[meant[row][1]]}" for row in ambiguous)
        found = f"{len(ambiguous)} names fit several images: {first_few(shown, len(ambiguous))}"
        problems.append(
            Problem("ambiguous-name", "names", found, "write the image ids of the data set", len(ambiguous))
        )
    rows = np.full(len(images), NO_ROW)
    twice: list[str] = []
    for row, of in enumerate(meant):
        if len(of) == 1 and is_test[of[0]]:
            if rows[of[0]] != NO_ROW:
                twice.append(f"{images[of[0]]}: rows {rows[of[0]]} and {row}")
            rows[of[0]] = row
    if twice:
        found = f"{len(twice)} images have several rows: {first_few(twice, len(twice))}"
        problems.append(Problem("duplicate-image", "names", found, "one row for each image", len(twice)))
    unclear = {image for row in ambiguous for image in meant[row]}
    problems += _missing(rows, unclear, benchmark, names)
    if problems:
        raise BadSubmission(str(path), problems)
    used = np.isin(np.arange(len(names)), rows)
    extra = np.flatnonzero(~used).tolist()
    note = f"{len(extra)} rows are of no query or gallery image: {first_few((names[row] for row in extra), len(extra))}"
    return rows[benchmark.test_rows], note if extra else ""


def _missing(rows: IntArray, unclear: Iterable[int], benchmark: Benchmark, names: Sequence[str]) -> list[Problem]:
    """The images without a row, for each split; junk may be missing."""
    missing = (rows == NO_ROW) & ~benchmark.junk
    missing[list(unclear)] = False
    problems = []
    for split in (QUERY, GALLERY):
        absent = benchmark.images[missing & (benchmark.split == split)]
        if absent.size:
            verb = "images are" if absent.size > 1 else "image is"
            found = f"{absent.size} {SPLITS[split]} {verb} missing: {first_few(absent, absent.size)}"
            remedy = f"expected a row for each; names in the file are like {first_few(names[:1], 1) or 'nothing'}"
            problems.append(Problem("missing-image", "names", found, remedy, int(absent.size)))
    return problems


def _cleaned(name: str) -> str:
    return name.strip().replace("\\", "/").removeprefix("./")


def _by_id(images: Sequence[str]) -> Finder:
    row_of = {image: row for row, image in enumerate(images)}
    return lambda name: [row_of[name]] if name in row_of else []


def _by_tail(images: Sequence[str]) -> Finder:
    """The longest id that ends the path; else all ids that the path ends."""
    row_of = {image: row for row, image in enumerate(images)}
    by_base = _by_base_name(images)

    def find(name: str) -> Sequence[int]:
        parts = name.split("/")
        for first in range(len(parts) - 1):  # a base name alone is no tail
            row = row_of.get("/".join(parts[first:]))
            if row is not None:
                return [row]
        return [row for row in by_base(name) if images[row].endswith(f"/{name}")] if len(parts) > 1 else []

    return find


def _by_base_name(images: Sequence[str]) -> Finder:
    return _by_key(images, lambda name: name.rpartition("/")[2])


def _by_stem(images: Sequence[str]) -> Finder:
    return _by_key(images, lambda name: name.rpartition("/")[2].partition(".")[0])


def _by_key(images: Sequence[str], key: Callable[[str], str]) -> Finder:
    rows: defaultdict[str, list[int]] = defaultdict(list)
    for row, image in enumerate(images):
        rows[key(image)].append(row)
    return lambda name: rows.get(key(name), ())
