"""Reads tables of features: a column of paths, and the embedding as a column of lists or as one column per dimension.

Columns per dimension are numbered from 0, with nothing or one common text before the number: "0", "1", ... or "x_0",
"x_1", ... Other columns are ignored.
"""

import csv
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from piq_bench.convert.features import FEATURE_KEYS, MAX_DIMENSION, MAX_ROWS, NAME_KEYS, first_usual, refusal
from piq_bench.documents import parse_json
from piq_bench.errors import BadSubmission, printable
from piq_bench.read.container import Limits
from piq_bench.read.mapped import Array
from piq_bench.read.parquet import parquet_columns, read_parquet

if TYPE_CHECKING:
    import pyarrow as pa

NUMBERED = re.compile(r"([A-Za-z][A-Za-z_. -]{0,40})?(0|[1-9][0-9]{0,4})")
MAX_FILE_BYTES = 8 << 30
MAX_HEADER_BYTES = 4 << 20
BLOCK_BYTES = 16 << 20  # a row must fit into one block
CSV_REMEDY = "save it with pandas.DataFrame.to_csv(path, index=False), or as Parquet"


def read_parquet_frame(path: Path) -> dict[str, object]:
    """The columns of names and features of a Parquet file.

    Raises:
        BadSubmission: with every problem of these columns.
        LimitExceeded: if the file unpacks to more than fits.
    """
    columns = parquet_columns(path)
    names = [name for name, _ in columns]
    lists = [name for name, is_list in columns if is_list]
    numbered = _numbered(names)
    wanted = first_usual(names, NAME_KEYS) + (first_usual(lists, FEATURE_KEYS) or lists or numbered)
    container = read_parquet(path, Limits(MAX_ROWS, dict.fromkeys([*wanted, "meta"], MAX_DIMENSION)))
    if container.problems:
        raise BadSubmission(str(path), container.problems)
    meta = {} if container.meta is None else {"meta": container.meta}
    return _joined({**container.arrays, **meta}, numbered)


def read_csv_frame(path: Path) -> dict[str, object]:
    """The columns of names and features of a CSV file; lists are written like [0.1, 0.2].

    Raises:
        BadSubmission: if the file is no CSV table, or a value of a feature is no number.
    """
    import pyarrow as pa
    from pyarrow import csv as arrow

    if path.stat().st_size > MAX_FILE_BYTES:
        raise refusal(path, "too-large", f"has more than {MAX_FILE_BYTES} bytes", "save it as Parquet or .npz")
    header = _header(path)
    lists = first_usual(header, FEATURE_KEYS)
    numbered = [] if lists else _numbered(header)
    texts = first_usual(header, NAME_KEYS) + lists
    if not texts + numbered:
        found = f"has no column of names or features; its first line is {printable(','.join(header))!r}"
        raise refusal(
            path, "unclear", found, "expected columns such as 'path' and 'embedding', or 'path', 0, 1, 2, ..."
        )
    types = dict.fromkeys(texts, pa.string()) | dict.fromkeys(numbered, pa.float64())
    try:
        table = arrow.read_csv(
            path,
            read_options=arrow.ReadOptions(block_size=BLOCK_BYTES),
            convert_options=arrow.ConvertOptions(
                column_types=types, include_columns=list(types), strings_can_be_null=False, null_values=[""]
            ),
        )
    except (pa.ArrowException, OSError, ValueError) as error:
        raise refusal(path, "bad-table", f"cannot be read as CSV: {printable(error, 200)}", CSV_REMEDY) from None
    content: dict[str, object] = {}
    for name in types:
        column = table.column(name)
        if column.null_count:
            raise refusal(path, "null", f"{column.null_count} values are empty", "every row needs a value", name)
        if name in lists:
            content[name] = _lists(path, name, column)
        else:
            content[name] = column.to_pylist() if name in texts else column.to_numpy()
    return _joined(content, numbered)


def _header(path: Path) -> list[str]:
    """Names of the columns."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            line = stream.readline(MAX_HEADER_BYTES)
        return next(csv.reader([line], strict=True), [])
    except (UnicodeDecodeError, csv.Error) as error:
        raise refusal(path, "bad-table", f"its first line is not CSV: {printable(error)}", CSV_REMEDY) from None


def _numbered(names: Sequence[str]) -> list[str]:
    """The largest set of columns that are numbered from 0 without a gap, in the order of their numbers."""
    found: dict[str, dict[int, str]] = {}
    for name in names:
        match = NUMBERED.fullmatch(name)
        if match and not name.startswith("Unnamed"):  # the index of a pandas frame
            found.setdefault(match[1] or "", {})[int(match[2])] = name
    whole = [columns for columns in found.values() if set(columns) == set(range(len(columns)))]
    largest = max(whole, key=len, default={})
    return [largest[number] for number in range(len(largest))]


def _joined(content: Mapping[str, object], numbered: Sequence[str]) -> dict[str, object]:
    """The content with the columns of single dimensions joined to one matrix."""
    columns = [content[name] for name in numbered if name in content]
    rest = {name: value for name, value in content.items() if name not in numbered}
    vectors = [column for column in columns if isinstance(column, np.ndarray) and column.dtype.kind in "fiu"]
    if vectors and len(vectors) == len(numbered):
        rest[FEATURE_KEYS[0]] = np.stack(vectors, axis=1)
    return rest


def _lists(path: Path, name: str, column: "pa.ChunkedArray") -> Array:
    """Lists written as text, as a matrix."""
    rows: list[Array] = []
    for number, text in enumerate(column.to_pylist(), 1):
        try:
            # pandas writes numpy arrays with blanks and line breaks: [0.1 0.2
            inner = text.strip().removeprefix("[").removesuffix("]")
            row = np.asarray(parse_json(f"[{inner}]") if "," in inner else inner.split(), dtype=np.float64)
        except (ValueError, TypeError):
            row = np.zeros((0, 0))
        if row.ndim != 1 or row.size != (rows[0].size if rows else row.size) or not row.size or "..." in text:
            wanted = f"{rows[0].size} numbers" if rows else "numbers"
            found = f"row {number} is {printable(text, 40)!r}, which is no list of {wanted}"
            raise refusal(path, "bad-table", found, "write all values of the list; Parquet keeps them exactly", name)
        rows.append(row)
    return np.stack(rows) if rows else np.zeros((0, 1))
