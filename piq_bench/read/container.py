"""The record of an opened submission, and the limits that every file format obeys while it is read."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from piq_bench.errors import BadSubmission, Problem, first_few, printable
from piq_bench.limits import MAX_META_BYTES, MAX_TEXT_WIDTH
from piq_bench.read.mapped import Array

DISTANCE, SIMILARITY = "distance", "similarity"
MATRICES = (DISTANCE, SIMILARITY)
QUERY_IDS, GALLERY_IDS = "query", "gallery"
OF_MATRIX = (*MATRICES, QUERY_IDS, GALLERY_IDS)  # arrays whose rows are not those of `image`
MAX_UNKNOWN_MEMBERS = 16  # files or columns besides the benchmark's arrays; each is named in the report
MEMBER_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}\.npy")


@dataclass
class Limits:
    """How large a submission to a benchmark may be.

    Attributes:
        n_rows: query and gallery images of the benchmark, which is the expected number of rows.
        max_columns: by name of each array that the benchmark knows, the most columns it may have.
        has_matrix: whether OF_MATRIX are among them as the arrays of a matrix, not as tasks of those names.
    """

    n_rows: int
    max_columns: Mapping[str, int]
    has_matrix: bool = False

    @property
    def max_rows(self) -> int:
        """More rows than expected are still read, so that repeated and unknown images can be named."""
        return 2 * self.n_rows + 1000

    @property
    def max_members(self) -> int:
        """Files or columns that a submission may hold."""
        return len(self.max_columns) + MAX_UNKNOWN_MEMBERS


@dataclass
class Container:
    """What a submission holds, whatever its file format.

    Attributes:
        arrays: the arrays that could be read, by name.
        meta: the text of meta, None if there is none or it could not be read.
        problems: everything found wrong so far.
        names: names of all arrays present, also of those that were refused; "meta" among them.
        notes: what was ignored, in words.
        is_table: whether the arrays are columns of a table, which may have columns of other meaning.
    """

    arrays: dict[str, Array] = field(default_factory=dict)
    meta: str | None = None
    problems: list[Problem] = field(default_factory=list)
    names: set[str] = field(default_factory=set)
    notes: list[str] = field(default_factory=list)
    is_table: bool = False

    def refuse(self, code: str, where: str, found: str, remedy: str, count: int = 1) -> None:
        """Record a problem; reading continues, so that all problems are reported together."""
        self.problems.append(Problem(code, where, found, remedy, count))

    def ignore_litter(self, names: Sequence[str]) -> None:
        """Record the files that tools left behind, if there are any."""
        if names:
            self.notes.append(f"ignored {first_few(names, len(names))}, left behind by file managers or other tools")


def shape_fault(name: str, dtype: np.dtype[np.generic], shape: tuple[int, ...], limits: Limits) -> str | None:
    """What is wrong with the shape or text width that an array declares; None if it may be read."""
    if name == "meta":
        return None if shape == () and dtype.itemsize <= MAX_META_BYTES * 4 else "meta is one text of at most 64 KiB"
    if len(shape) not in (1, 2):
        return f"shape {shape}, but an array has one or two dimensions"
    if shape[0] > limits.max_rows:
        return f"{shape[0]} rows, but the benchmark has {limits.n_rows} query and gallery images"
    max_columns = limits.max_columns.get(name, 0)
    if len(shape) == 2 and shape[1] > max_columns:
        return f"{shape[1]} columns, but at most {max_columns} are allowed"
    if dtype.kind in "US" and dtype.itemsize > MAX_TEXT_WIDTH * (4 if dtype.kind == "U" else 1):
        return f"dtype {dtype.str}, but texts have at most {MAX_TEXT_WIDTH} characters"
    return None


def unreadable(path: Path, error: OSError | ValueError) -> BadSubmission:
    """The refusal of a path that cannot be opened."""
    missing = isinstance(error, FileNotFoundError)
    reason = error.strerror if isinstance(error, OSError) else str(error)
    found = "no such file or folder" if missing else printable(reason)
    return BadSubmission(str(path), [Problem("unreadable", path.name, found, "check the path and its permissions")])
