"""Reads a list of image names: text, one a line; a .npy array; a JSON list; or a CSV or Parquet file with a column."""

from collections.abc import Sequence
from pathlib import Path

from piq_bench.convert.features import MAX_ROWS, NAME_KEYS, as_texts, first_usual, refusal
from piq_bench.convert.numpy_files import read_npy
from piq_bench.documents import parse_json
from piq_bench.errors import BadSubmission, printable
from piq_bench.read.kinds import N_BYTES, kind_of
from piq_bench.read.table import SUFFIXES, read_table

MAX_BYTES = 1 << 30


def read_names(path: Path) -> Sequence[str]:
    """Read one name for each row of features.

    Raises:
        BadSubmission: if the file cannot be read as a list of names.
    """
    try:
        if path.exists() and not path.is_file():  # a pipe or a device could be read without an end
            raise refusal(path, "unreadable", "is no file", "pass a file with one name for each row of features")
        with path.open("rb") as stream:
            start = stream.read(N_BYTES)
        kind = kind_of(start)
        if kind is not None and kind.hides_file:
            raise refusal(path, "bad-names", kind.found, kind.remedy_for(path.name))
        if path.stat().st_size > MAX_BYTES:
            raise refusal(path, "too-large", f"has more than {MAX_BYTES} bytes", "expected a list of names")
        if start.startswith(b"\x93NUMPY"):
            texts = as_texts(read_npy(path, "image"))
        elif path.suffix in SUFFIXES:
            return _column(path)
        else:
            content = path.read_text(encoding="utf-8-sig")
            texts = _parse(content, is_json=path.suffix == ".json")
    except OSError as error:
        found = printable(error.strerror or error)
        raise refusal(path, "unreadable", found, "check the path and its permissions") from None
    except ValueError as error:
        remedy = "text in UTF-8 with one name a line, or a JSON list of names"
        raise refusal(path, "bad-names", printable(error), remedy) from None
    if not texts:
        remedy = "expected one name for each row of features"
        raise refusal(path, "bad-names", "holds no list of names", remedy)
    return texts


def _parse(content: str, *, is_json: bool) -> list[str] | None:
    if is_json:
        return as_texts(parse_json(content))
    lines = [line for line in content.split("\n") if line.strip()]
    return as_texts(lines) if len(lines) <= MAX_ROWS else None


def _column(path: Path) -> Sequence[str]:
    table, problems = read_table(path, refusal=BadSubmission)
    problems = [problem for problem in problems if problem.code not in ("column-name", "duplicate-column")]
    if problems:  # of rows; the names of other columns, such as the index of a pandas frame, do not matter
        raise BadSubmission(str(path), problems)
    known = first_usual(list(table.columns), NAME_KEYS)
    if not known:
        raise refusal(
            path,
            "bad-names",
            "has no column of names",
            "expected one column called 'image' or 'path', named in the first line",
        )
    return list(table.columns[known[0]])
