"""The rules that the rows of a data set obey, and the wording of what breaks them.

In come columns, out come problems that name file, row, image and value. Every rule looks at all rows and says how many
break it. The form of the files is checked where they are read; here it is what they say.
"""

import difflib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from piq_bench.errors import N_OFFENDERS_SHOWN, Problem, quoted
from piq_bench.records import GALLERY, NO_IDENTITY, QUERY, SPLITS, TRAIN, BoolArray, IntArray

Place = Callable[[int], str]
"""Where a row stands, for messages: "line 214 ('m01/00007.jpg')"."""

Texts = Sequence[str] | NDArray[np.object_]

MAX_PATH = 1024
MAX_SEGMENT = 255
MAX_NAME = 256
MAX_EXPECTED = 12
SIMILAR = 0.6  # of difflib: "aduld" is "adult"
# C0 and C1 controls, line separators, marks that turn the direction of text, halves of surrogate pairs.
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
PLAIN_PATH = re.compile(r"(?:[A-Za-z0-9_]+[A-Za-z0-9_.-]*/)*[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*")
PLAIN = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"
MARKS_ALIKE = bytes.maketrans(b".\n", b"//")
PIECE_ROWS = 1 << 16
DRIVE = re.compile(r"[A-Za-z]:")


def path_fault(path: str) -> str | None:
    """What is wrong with an image id, which is a relative POSIX path; None for nothing.

    >>> path_fault("m01/00007.jpg")
    >>> path_fault("../00007.jpg")
    'it leaves the folder'
    """
    if PLAIN_PATH.fullmatch(path) and len(path) <= MAX_SEGMENT:
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
    """What is wrong with a name (an identity, a camera); None for nothing. The empty text is not looked at."""
    if CONTROL.search(text):
        return "it has control characters"
    if text != text.strip():
        return "it has blanks around it"
    if len(text) > most:
        return f"it has more than {most} characters"
    return None


def closest(value: str, known: Iterable[str], similar: float = SIMILAR) -> str | None:
    """The known name that `value` was probably meant to be."""
    by_folded = {name.casefold(): name for name in known}
    found = difflib.get_close_matches(value.strip().casefold(), by_folded, n=1, cutoff=similar)
    return by_folded[found[0]] if found else None


def expected(value: str, known: Sequence[str]) -> str:
    """What would be right instead of `value`: "one of 'child', 'adult'; did you mean 'adult'?"."""
    listed = ", ".join(quoted(name) for name in known[:MAX_EXPECTED])
    rest = len(known) - MAX_EXPECTED
    text = f"one of {listed}" + (f" and {rest} more" if rest > 0 else "")
    meant = closest(value, known)
    return text if meant is None else f"{text}; did you mean {quoted(meant)}?"


def rows_problem(
    code: str, where: str, rows: Sequence[int], place: Place, say: Callable[[int], str], remedy: str
) -> Problem:
    """One problem of many rows: counts them and names the first few."""
    few = ", ".join(f"{place(row)}: {say(row)}" for row in rows[:N_OFFENDERS_SHOWN])
    rest = len(rows) - N_OFFENDERS_SHOWN
    return Problem(code, where, few + (f" and {rest} more" if rest > 0 else ""), remedy, len(rows))


def values_problems(
    code: str, where: str, column: Texts, faults: Mapping[str, str], place: Place, remedy: str
) -> list[Problem]:
    """A problem for all rows whose value is at fault.

    Args:
        code: of the problem.
        where: file and column.
        column: shape (n_rows,).
        faults: what is wrong with each wrong value.
        place: where a row stands.
        remedy: what would be right.
    """
    if not faults:
        return []
    rows = [row for row, value in enumerate(column) if value in faults]
    return [rows_problem(code, where, rows, place, lambda row: f"{quoted(column[row])}: {faults[column[row]]}", remedy)]


def image_problems(file: str, images: Texts, place: Place) -> list[Problem]:
    """Rule: an image id is a safe relative path."""
    faults: dict[str, str] = {}
    for first in range(0, len(images), PIECE_ROWS):
        piece = images[first : first + PIECE_ROWS]
        if not _are_plain_paths(piece):
            faults |= {image: fault for image in set(piece) if (fault := path_fault(image)) is not None}
    remedy = "a relative path with forward slashes, such as m01/00007.jpg"
    return values_problems("image-path", f"{file}: image", images, faults, place, remedy)


def _are_plain_paths(images: Texts) -> bool:
    """Whether all are made of PLAIN bytes, with '/' and '.' only between others: then none is at fault, see path_fault.

    Most are, and looking at all at once is many times as fast as looking at each.
    """
    joined = "\n".join(images).encode("utf-8", "surrogatepass")
    if joined.count(b"\n") != len(images) - 1 or joined.translate(None, PLAIN + b"/.\n"):
        return False
    marks = b"/" + joined.translate(MARKS_ALIKE) + b"/"
    return b"//" not in marks and max(map(len, images)) <= MAX_SEGMENT


def repeat_problems(file: str, images: NDArray[np.object_], split: IntArray, place: Place) -> list[Problem]:
    """Rules: an image stands in one row, and so in one split.

    Args:
        file: where the rows come from.
        images: shape (n_images,); ascending, equal ones in the order of the file.
        split: shape (n_images,); index into SPLITS.
        place: where a row stands.
    """
    repeats = np.flatnonzero(images[1:] == images[:-1]) + 1
    if not repeats.size:
        return []
    first: dict[str, int] = {}
    twice: list[int] = []
    elsewhere: list[int] = []
    for row in repeats.tolist():
        before = first.setdefault(images[row], row - 1)
        (twice if split[row] == split[before] else elsewhere).append(row)

    def say(row: int) -> str:
        before = first[images[row]]
        return f"also in {place(before).split(' (')[0]} ({_split_of(split, before)}, here {_split_of(split, row)})"

    problems = []
    if twice:
        remedy = "each image once"
        problems.append(rows_problem("duplicate-image", f"{file}: image", twice, place, say, remedy))
    if elsewhere:
        remedy = "an image is in one split"
        problems.append(rows_problem("image-in-two-splits", f"{file}: image", elsewhere, place, say, remedy))
    return problems


def identity_problems(
    file: str, split: IntArray, identity: IntArray, identities: Sequence[str], place: Place
) -> list[Problem]:
    """Rules: nobody is in train and test; everybody who is asked for can be found in the gallery.

    Args:
        file: where the rows come from.
        split: shape (n_images,); index into SPLITS.
        identity: shape (n_images,); index into `identities`, or NO_IDENTITY.
        identities: names.
        place: where a row stands.
    """
    first = {index: _first_rows(split == index, identity, len(identities)) for index in (TRAIN, QUERY, GALLERY)}
    test = np.where(first[QUERY] >= 0, first[QUERY], first[GALLERY])
    both = np.flatnonzero((first[TRAIN] >= 0) & (test >= 0))
    absent = np.flatnonzero((first[QUERY] >= 0) & (first[GALLERY] < 0))
    problems = []
    if both.size:
        few = ", ".join(
            f"{quoted(identities[i])} in train ({place(int(first[TRAIN][i]))}) and in {_split_of(split, int(test[i]))}"
            f" ({place(int(test[i]))})"
            for i in both[:N_OFFENDERS_SHOWN]
        )
        remedy = "identities of train and of query and gallery are different people"
        problems.append(Problem("identity-overlap", f"{file}: identity", few + _rest(both.size), remedy, both.size))
    if absent.size:
        few = ", ".join(f"{quoted(identities[i])} ({place(int(first[QUERY][i]))})" for i in absent[:N_OFFENDERS_SHOWN])
        remedy = "every identity of a query has an image in the gallery"
        found = few + _rest(absent.size)
        problems.append(Problem("query-not-in-gallery", f"{file}: identity", found, remedy, absent.size))
    return problems


def _first_rows(wanted: BoolArray, identity: IntArray, n_identities: int) -> IntArray:
    """Shape (n_identities,); the first wanted row of each identity, -1 for none."""
    rows = np.flatnonzero(wanted & (identity != NO_IDENTITY))
    found, place = np.unique(identity[rows], return_index=True)
    first = np.full(n_identities, -1, dtype=np.int64)
    first[found] = rows[place]
    return first


def _split_of(split: IntArray, row: int) -> str:
    index = int(split[row])
    return SPLITS[index] if index >= 0 else "an unknown split"


def _rest(count: int) -> str:
    rest = count - N_OFFENDERS_SHOWN
    return f" and {rest} more" if rest > 0 else ""
