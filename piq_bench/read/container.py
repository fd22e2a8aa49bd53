"""What a submission's container may hold, and what was found in it: the bounds and the record that all forms share."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from piq_bench.errors import BadSubmission, Problem, first_few, printable
from piq_bench.read.mapped import Array

MAX_MEMORY_BYTES = 8 << 30  # of one array that must be held in memory; a folder's embedding need not
MAX_STRAY_MEMBERS = 16  # besides the arrays that the benchmark knows; they are named in the report
MAX_META_BYTES = 64 << 10
MAX_TEXT_WIDTH = 1024  # characters of one image id or label
MEMBER = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}\.npy")


@dataclass
class Limits:
    """What a benchmark allows: rows of a submission, and columns by array name."""

    n_rows: int
    n_columns: Mapping[str, int]

    @property
    def n_members(self) -> int:
        """Files or columns that a container may hold."""
        return len(self.n_columns) + MAX_STRAY_MEMBERS


@dataclass
class Container:
    """What was found: arrays by name, the text of meta, and every problem on the way."""

    arrays: dict[str, Array] = field(default_factory=dict)
    meta: str | None = None
    problems: list[Problem] = field(default_factory=list)
    named: set[str] = field(default_factory=set)

    def refuse(self, code: str, where: str, found: str, remedy: str, count: int = 1) -> None:
        """Note a problem and go on."""
        self.problems.append(Problem(code, where, found, remedy, count))


def check_declared(name: str, dtype: np.dtype[np.generic], shape: tuple[int, ...], limits: Limits) -> str | None:
    """Why an array of this kind is too large to be read for this benchmark, or None."""
    if name == "meta":
        return None if shape == () and dtype.itemsize <= MAX_META_BYTES * 4 else "meta is one text of at most 64 KiB"
    if len(shape) not in (1, 2):
        return f"shape {shape}: one or two dimensions are possible"
    if shape[0] > 2 * limits.n_rows + 1000:
        return f"{shape[0]} rows, the benchmark has {limits.n_rows} query and gallery images"
    if len(shape) == 2 and shape[1] > limits.n_columns.get(name, 0):
        return f"{shape[1]} columns, at most {limits.n_columns.get(name, 0)} are possible"
    if dtype.kind in "US" and dtype.itemsize > MAX_TEXT_WIDTH * (4 if dtype.kind == "U" else 1):
        return f"dtype {dtype.str}: texts of at most {MAX_TEXT_WIDTH} characters are possible"
    return None


def unknown_arrays(found: Container, known: Mapping[str, int]) -> list[str]:
    """Names in the container that the benchmark has no use for."""
    return sorted(found.named - set(known))


def list_names(names: list[str]) -> str:
    """For a message."""
    return first_few(names, len(names))


def unreadable(path: Path, error: OSError | ValueError) -> BadSubmission:
    """The refusal of a path that the system does not open."""
    missing = isinstance(error, FileNotFoundError)
    words = error.strerror if isinstance(error, OSError) else str(error)
    found = "no such file or folder" if missing else printable(words)
    return BadSubmission(str(path), [Problem("unreadable", path.name, found, "check the path and its permissions")])
