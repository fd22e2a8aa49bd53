"""The rules for the header of a table, of whatever format, and the refusal of a file that is too large.

Without numpy, which takes long to import: the process that unpacks a Parquet table needs nothing else of it.
"""

import re
from collections.abc import Sequence
from pathlib import Path

from piq_bench.errors import BadInput, LimitExceeded, Problem, first_few, quoted
from piq_bench.limits import MAX_TABLE_COLUMNS as MAX_COLUMNS

SEPARATOR_LINE = re.compile(r"sep=.?", re.IGNORECASE | re.DOTALL)


def header_problems(path: Path, header: Sequence[str], refusal: type[BadInput]) -> list[Problem]:
    """Problems of the names of columns.

    Raises:
        BadInput: of type `refusal`, if they are not names of columns at all.
        LimitExceeded: if there are too many.
    """
    is_parquet = path.suffix == ".parquet"  # in a CSV file, a column without name may still be ignored
    if not any(header):
        remedy = "expected a first line with the names of the columns"
        raise refusal(str(path), [Problem("empty-file", path.name, "has no header", remedy)])
    if len(header) > MAX_COLUMNS:
        raise too_large(path, f"has {len(header)} columns", f"at most {MAX_COLUMNS} columns")
    problems = []
    if SEPARATOR_LINE.fullmatch(header[0]) and not any(header[1:]):
        found = f"the first line is {quoted(','.join(header))}, which only tells a spreadsheet program the separator"
        remedy = "delete this line, and separate the values with commas"
        raise refusal(str(path), [Problem("separator", path.name, found, remedy)])
    if len(header) == 1 and any(mark in header[0] for mark in ";\t"):
        found = f"the header is one value: {quoted(header[0])}"
        raise refusal(str(path), [Problem("separator", path.name, found, "separate the values with commas")])
    bad = [name for name in header if name != name.strip() or not name.isprintable() or (is_parquet and not name)]
    if bad:
        remedy = "use printable names without spaces at their ends"
        found = f"invalid column names: {first_few(bad, len(bad))}"
        problems.append(Problem("column-name", path.name, found, remedy, len(bad)))
    twice = sorted({name for name in header if name and header.count(name) > 1})
    if twice:
        found = f"more than one column is called {first_few(twice, len(twice))}"
        problems.append(Problem("duplicate-column", path.name, found, "use each name once", len(twice)))
    return problems


def too_large(path: Path, found: str, remedy: str) -> LimitExceeded:
    """The refusal of a file that is larger than any table should be."""
    return LimitExceeded(str(path), [Problem("too-large", path.name, found, remedy)])
