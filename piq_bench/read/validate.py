"""The rules that the rows of a data set obey, and the messages about rows that break them.

Each rule checks all rows of some columns and gives problems that name file, row, image and value, with the number of
rows at fault. The syntax of files is checked where they are read; here only their content is checked.
"""

import difflib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from heapq import nsmallest

import numpy as np
from numpy.typing import NDArray

from piq_bench.errors import N_OFFENDERS_SHOWN, Problem, quoted
from piq_bench.records import GALLERY, NO_IDENTITY, QUERY, SPLITS, TRAIN, BoolArray, IntArray

RowNamer = Callable[[int], str]
"""Gives the name of a row in messages, such as "line 214 ('m01/00007.jpg')", for its index."""

Texts = Sequence[str] | NDArray[np.object_]

MAX_PATH = 1024
MAX_SEGMENT = 255
MAX_NAME = 256
MAX_EXPECTED = 12
MIN_SIMILARITY = 0.6  # similarity ratio of difflib; "aduld" and "adult" have 0.8
MIN_NAME_SIMILARITY = 0.75  # of columns: finds "Gender" and "expresion", but does not take "quality" for "identity"
# C0 and C1 controls, line separators, bidirectional marks, halves of surrogate pairs.
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
PLAIN_PATH = re.compile(r"(?:[A-Za-z0-9_]+[A-Za-z0-9_.-]*/)*[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*")
PLAIN = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"
TO_SLASHES = bytes.maketrans(b".\n", b"//")
PIECE_ROWS = 1 << 16
DRIVE = re.compile(r"[A-Za-z]:")


def path_fault(path: str) -> str | None:
    """What is wrong with an image id, which must be a relative POSIX path; None if it is valid.

    >>> path_fault("m01/00007.jpg")
    >>> path_fault("../00007.jpg")
    'it leaves the folder'
    """
    if len(path) <= MAX_SEGMENT and PLAIN_PATH.fullmatch(path):  # the length first: the pattern backtracks
        return None
    if not path:
        return "it is empty"
    if fault := text_fault(path, MAX_PATH):
        return fault
    if "\\" in path:
        return "it has a backslash"
    if path.startswith("/") or DRIVE.match(path):
        return "it is absolute"
    segments = path.split("/")
    if ".." in segments:
        return "it leaves the folder"
    if "" in segments or "." in segments:
        return "it has an empty or '.' segment"
    if any(len(segment.encode()) > MAX_SEGMENT for segment in segments):
        return f"a segment has more than {MAX_SEGMENT} bytes"
    return None


def text_fault(text: str, most: int = MAX_NAME) -> str | None:
    """What is wrong with a name, such as an identity or a camera; None if it is valid. The empty text is valid."""
    if len(text) > most:
        return f"it has more than {most} characters"
    if CONTROL.search(text):
        return "it has control characters"
    if text != text.strip():
        return "it has spaces at its ends"
    return None


def closest(value: str, known: Iterable[str], min_similarity: float = MIN_SIMILARITY) -> str | None:
    """The known name that `value` probably misspells, None if there is none."""
    value = value.strip().casefold()
    folded = {name.casefold(): name for name in known}
    # Of texts of very unequal length, even the best common part is too short; a text of a megabyte is not searched.
    by_folded = {
        name: known_name
        for name, known_name in folded.items()
        if 2 * min(len(name), len(value)) >= min_similarity * (len(name) + len(value))
    }
    if not by_folded:
        return None
    found = difflib.get_close_matches(value, by_folded, n=1, cutoff=min_similarity)
    return by_folded[found[0]] if found else None


def expected(value: str, known: Sequence[str]) -> str:
    """Lists the valid values and what `value` probably misspells: "one of 'child', 'adult'; did you mean 'adult'?"."""
    listed = ", ".join(quoted(name) for name in known[:MAX_EXPECTED])
    rest = len(known) - MAX_EXPECTED
    text = f"one of {listed}" + (f" and {rest} more" if rest > 0 else "")
    meant = closest(value, known)
    return text if meant is None else f"{text}; did you mean {quoted(meant)}?"


def rows_problem(
    code: str, where: str, rows: Sequence[int], row_name: RowNamer, row_fault: Callable[[int], str], remedy: str
) -> Problem:
    """One problem for many rows; counts them and names the first few with their faults."""
    few = ", ".join(f"{row_name(row)}: {row_fault(row)}" for row in rows[:N_OFFENDERS_SHOWN])
    rest = len(rows) - N_OFFENDERS_SHOWN
    return Problem(code, where, few + (f" and {rest} more" if rest > 0 else ""), remedy, len(rows))


def values_found(
    n_rows: Mapping[str, int], first_row: Mapping[str, int], row_name: RowNamer, fault: Callable[[str], str]
) -> str:
    """Names the wrong values that most rows have, each with its first row, and counts the rows of all others.

    Args:
        n_rows: number of rows of each wrong value.
        first_row: the first row of each.
        row_name: names a row in messages.
        fault: what is wrong with a value.
    """
    shown = nsmallest(N_OFFENDERS_SHOWN, n_rows, key=lambda value: (-n_rows[value], first_row[value]))
    parts = [
        f"{row_name(first_row[value])}: {quoted(value)}"
        + (f" (and in {counted(n_rows[value] - 1, 'more row')})" if n_rows[value] > 1 else "")
        + f": {fault(value)}"
        for value in shown
    ]
    n_others = len(n_rows) - len(shown)
    rest = sum(n_rows.values()) - sum(n_rows[value] for value in shown)
    others = f" and {rest} more" + (f" rows with {counted(n_others, 'other value')}" if rest > n_others else "")
    return ", ".join(parts) + (others if rest else "")


def counted(n: int, noun: str) -> str:
    """A number with its noun: "1 row", "2 rows"."""
    return f"{n} {noun}" + ("" if n == 1 else "s")


def values_problems(
    code: str, where: str, column: Texts, faults: Mapping[str, str], row_name: RowNamer, remedy: str
) -> list[Problem]:
    """One problem for all rows with an invalid value, by distinct value; an empty list if there are none.

    Args:
        code: code of the problem.
        where: file and column.
        column: shape (n_rows,); the values.
        faults: what is wrong with each invalid value.
        row_name: names a row in messages.
        remedy: what would be right.
    """
    if not faults:
        return []
    n_rows: dict[str, int] = {}
    first_row: dict[str, int] = {}
    for row, value in enumerate(column):
        if value in faults:
            first_row.setdefault(value, row)
            n_rows[value] = n_rows.get(value, 0) + 1
    found = values_found(n_rows, first_row, row_name, faults.__getitem__)
    return [Problem(code, where, found, remedy, sum(n_rows.values()))]


def image_problems(file: str, images: Texts, row_name: RowNamer) -> list[Problem]:
    """Check that every image id is a safe relative path."""
    faults: dict[str, str] = {}
    for first in range(0, len(images), PIECE_ROWS):
        piece = images[first : first + PIECE_ROWS]
        if not _are_plain_paths(piece):
            faults |= {image: fault for image in set(piece) if (fault := path_fault(image)) is not None}
    remedy = "a relative path with forward slashes, such as m01/00007.jpg"
    return values_problems("image-path", f"{file}: image", images, faults, row_name, remedy)


def are_plain(texts: Texts) -> bool:
    """Whether all texts are short and consist of PLAIN bytes, '/' and '.': then `text_fault` accepts them all.

    Most data sets pass, and checking many texts at once is many times faster than checking each.
    """
    pieces = (texts[first : first + PIECE_ROWS] for first in range(0, len(texts), PIECE_ROWS))
    return all(_joined_if_plain(piece, MAX_NAME) is not None for piece in pieces)


def _are_plain_paths(images: Texts) -> bool:
    """Whether all ids are plain and have single '/' and '.' between other characters: `path_fault` accepts them all."""
    joined = _joined_if_plain(images, MAX_SEGMENT)
    return joined is not None and b"//" not in b"/" + joined.translate(TO_SLASHES) + b"/"


def _joined_if_plain(texts: Texts, most: int) -> bytes | None:
    """The texts as lines; None if one is longer than `most` or has other characters than PLAIN, '/' and '.'."""
    if max(map(len, texts)) > most:  # before texts of a megabyte each are joined
        return None
    joined = "\n".join(texts).encode("utf-8", "surrogatepass")
    has_others = joined.count(b"\n") != len(texts) - 1 or joined.translate(None, PLAIN + b"/.\n")
    return None if has_others else joined


def repeat_problems(file: str, images: NDArray[np.object_], split: IntArray, row_name: RowNamer) -> list[Problem]:
    """Check that every image is in one row, and therefore in one split.

    Args:
        file: name of the file that the rows are from.
        images: shape (n_images,); ascending, equal ones in the order of the file.
        split: shape (n_images,); index into SPLITS.
        row_name: names a row in messages.
    """
    repeats = np.flatnonzero(images[1:] == images[:-1]) + 1
    if not repeats.size:
        return []
    first: dict[str, int] = {}
    same_split: list[int] = []
    other_split: list[int] = []
    for row in repeats.tolist():
        before = first.setdefault(images[row], row - 1)
        (same_split if split[row] == split[before] else other_split).append(row)

    def row_fault(row: int) -> str:
        before = first[images[row]]
        place = row_name(before).split(" (")[0]
        return f"also in {place} ({_split_name(split, before)}, here {_split_name(split, row)})"

    problems = []
    if same_split:
        remedy = "list each image once"
        problems.append(rows_problem("duplicate-image", f"{file}: image", same_split, row_name, row_fault, remedy))
    if other_split:
        remedy = "put each image into one split only"
        problems.append(rows_problem("image-in-two-splits", f"{file}: image", other_split, row_name, row_fault, remedy))
    return problems


def identity_problems(
    file: str, split: IntArray, identity: IntArray, identities: Sequence[str], row_name: RowNamer
) -> list[Problem]:
    """Check that no identity is in both train and test, and that every query identity is in the gallery.

    Args:
        file: name of the file that the rows are from.
        split: shape (n_images,); index into SPLITS.
        identity: shape (n_images,); index into `identities`, or NO_IDENTITY.
        identities: names of the identities.
        row_name: names a row in messages.
    """
    first = {index: _first_rows(split == index, identity, len(identities)) for index in (TRAIN, QUERY, GALLERY)}
    test = np.where(first[QUERY] >= 0, first[QUERY], first[GALLERY])
    both = np.flatnonzero((first[TRAIN] >= 0) & (test >= 0))
    absent = np.flatnonzero((first[QUERY] >= 0) & (first[GALLERY] < 0))
    problems = []
    if both.size:
        few = ", ".join(
            f"{quoted(identities[i])} is in train ({row_name(int(first[TRAIN][i]))})"
            f" and in {_split_name(split, int(test[i]))} ({row_name(int(test[i]))})"
            for i in both[:N_OFFENDERS_SHOWN]
        )
        remedy = "no identity of train may be in query or gallery"
        problems.append(Problem("identity-overlap", f"{file}: identity", few + _rest(both.size), remedy, both.size))
    if absent.size:
        shown = absent[:N_OFFENDERS_SHOWN]
        few = ", ".join(f"{quoted(identities[i])} ({row_name(int(first[QUERY][i]))})" for i in shown)
        remedy = "every query identity needs an image in the gallery"
        found = f"no gallery image of {few}{_rest(absent.size)}"
        problems.append(Problem("query-not-in-gallery", f"{file}: identity", found, remedy, absent.size))
    return problems


def _first_rows(wanted: BoolArray, identity: IntArray, n_identities: int) -> IntArray:
    """Shape (n_identities,); the first row of each identity where `wanted` is true, -1 if there is none."""
    rows = np.flatnonzero(wanted & (identity != NO_IDENTITY))
    found, position = np.unique(identity[rows], return_index=True)
    first = np.full(n_identities, -1, dtype=np.int64)
    first[found] = rows[position]
    return first


def _split_name(split: IntArray, row: int) -> str:
    index = int(split[row])
    return SPLITS[index] if index >= 0 else "an unknown split"


def _rest(count: int) -> str:
    rest = count - N_OFFENDERS_SHOWN
    return f" and {rest} more" if rest > 0 else ""
