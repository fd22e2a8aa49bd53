"""Finds a table by the columns of its header, and reads it under our names of columns."""

import csv
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

from piq_bench.errors import BadDataset, Problem, first_few
from piq_bench.read.annotations import parse_table
from piq_bench.read.column import Column
from piq_bench.read.rows import Rows
from piq_bench.read.table import Table, read_table

HEADER_BYTES = 1 << 16
MAX_TABLES = 100  # in a folder that is searched for one
SUFFIX = ".csv"


def tables_with(path: Path, required: Collection[str], other: Collection[str] = ()) -> list[Path]:
    """The CSV file, or those directly in a folder, whose header has all required columns and none of the others."""
    if path.is_dir():
        files = sorted(islice(path.glob(f"*{SUFFIX}"), MAX_TABLES + 1))
        if len(files) > MAX_TABLES:  # results of some program
            return []
    else:
        files = [path] if path.suffix == SUFFIX else []
    return [file for file in files if file.is_file() and _fits(_header(file), required, other)]


def the_table(path: Path, required: Collection[str], other: Collection[str] = ()) -> Path:
    """The only file that `tables_with` finds.

    Raises:
        BadDataset: if there are several.
    """
    found = tables_with(path, required, other)
    if len(found) > 1:
        names = first_few((file.name for file in found), len(found))
        remedy = "give the path of the file itself, or move the others away"
        problem = Problem("ambiguous-file", path.name, f"{names} are tables of the same kind", remedy)
        raise BadDataset(str(path), [problem])
    return found[0]


def read_columns(path: Path) -> tuple[Table, list[Problem]]:
    """Read a table without the index that pandas writes into a first column without a name.

    Raises:
        BadDataset: if the file is no table.
        LimitExceeded: if it is too large.
    """
    table, problems = read_table(path)
    if "" in table.columns and [name for name in table.columns if not name or name != name.strip()] == [""]:
        columns = {name: column for name, column in table.columns.items() if name}
        table, problems = replace(table, columns=columns), [p for p in problems if p.code != "column-name"]
    return table, problems


def checked_rows(
    path: Path, table: Table, problems: Sequence[Problem], columns: Mapping[str, Column], further: Collection[str]
) -> Rows:
    """The rows of a table under our names of columns, with some further columns as they are.

    Raises:
        BadDataset: with all problems, those found before included.
    """
    kept = {name: table.columns[name] for name in further if name in table.columns}
    parsed = parse_table(replace(table, columns={**kept, **columns}), (), need_labels=False)
    if problems or parsed.problems or parsed.rows is None:
        raise BadDataset(str(path), [*problems, *parsed.problems])
    return parsed.rows


def _header(file: Path) -> list[str]:
    """Names of a file's columns; none if it cannot be read, since it may be no part of the data set."""
    try:
        with file.open("rb") as stream:
            first = stream.readline(HEADER_BYTES).decode("utf-8-sig", errors="replace")
        return next(csv.reader([first]), [])
    except (OSError, csv.Error):
        return []


def _fits(header: list[str], required: Collection[str], other: Collection[str]) -> bool:
    return set(required) <= set(header) and not set(other) & set(header)
