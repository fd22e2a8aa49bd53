"""Reads an untrusted CSV or Parquet file as columns of text, with the line or row number of each value.

All faults of the file's syntax are reported: encoding, separators, ragged rows, column types. The caller decides what
the values mean. Nothing is guessed or repaired: a value is exactly the text in the file, so that the identities "007"
and "7" differ.
"""

import codecs
import csv
import json
import stat
import tempfile
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass, field
from functools import partial
from itertools import accumulate, islice
from pathlib import Path
from typing import IO, TYPE_CHECKING, Literal

from piq_bench.errors import (
    N_OFFENDERS_SHOWN,
    BadDataset,
    BadInput,
    LimitExceeded,
    Problem,
    first_few,
    printable,
    quoted,
)
from piq_bench.limits import MAX_LINE_BYTES as MAX_LINE
from piq_bench.limits import MAX_TABLE_BYTES as MAX_BYTES
from piq_bench.limits import MAX_TABLE_ROWS
from piq_bench.read.column import Column, ColumnBuilder, stored_column
from piq_bench.read.kinds import N_BYTES, kind_of
from piq_bench.read.table_header import header_problems, too_large
from piq_bench.read.unpacking import REPORT, TABLE, no_memory, unpack_apart

if TYPE_CHECKING:
    from _csv import Reader as CsvReader

BATCH_ROWS = 256  # fits the processor's cache: twice as fast as 8192
SUFFIXES = (".csv", ".parquet")
UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True, eq=False)
class Table:
    """Columns of text.

    Attributes:
        file: the file's name, for messages.
        columns: by name in file order, n_rows texts each; if a name is used twice, the first column of that name.
        lines: shape (n_rows,); the number of each row's first line in a CSV file, or of the row in a Parquet file; both
            count from 1.
        unit: what `lines` counts: "line" or "row".
        comment: text of a CSV file's first line after "#", or of a Parquet file's metadata key "piq-bench", else None.
        notes: columns without a name that were ignored.
        n_bytes: size of the file; what it may unpack to follows from it.
        untyped: by name of each column that is neither text nor whole numbers, the problem that this is for its user.
    """

    file: str
    columns: Mapping[str, Column]
    lines: Sequence[int]
    unit: Literal["line", "row"]
    comment: str | None = None
    notes: tuple[Problem, ...] = ()
    untyped: Mapping[str, Problem] = field(default_factory=dict)
    n_bytes: int = MAX_BYTES

    @property
    def n_rows(self) -> int:
        """Number of rows without the header."""
        return len(self.lines)

    def place(self, row: int) -> str:
        """Place of a row in the file, for messages: "line 214"."""
        return f"{self.unit} {self.lines[row]}"


ReadTable = Callable[[], tuple[Table, list[Problem]]]


def read_table(
    path: Path, *, comment: bool = False, any_type: bool = False, refusal: type[BadInput] = BadDataset
) -> tuple[Table, list[Problem]]:
    """Read a .csv or .parquet file.

    Args:
        path: the file.
        comment: whether a CSV file may begin with a line "# ...", which is not part of the table.
        any_type: whether a Parquet file may have columns of other types, which are returned as `untyped`.
        refusal: the type of exception to raise.

    Returns:
        The table of all well-formed rows, and the problems of the others.

    Raises:
        BadInput: of type `refusal`, if the file cannot be read as a table at all.
        LimitExceeded: if the file has more than MAX_BYTES bytes or MAX_TABLE_ROWS rows.
    """
    try:
        _check_file(path, refusal)
        return _read_csv(path, comment, refusal) if path.suffix == ".csv" else _read_parquet(path, any_type, refusal)
    except OSError as error:
        found, remedy = printable(error.strerror or error), "check the path and its permissions"
        raise refusal(str(path), [Problem("unreadable-file", path.name, found, remedy)]) from None


def read_ahead(path: Path, *, comment: bool = False, any_type: bool = False) -> ReadTable:
    """Start to read a table that is needed soon, while this process does something else.

    A Parquet file is unpacked by another process, which only has to be waited for. A CSV file is read later.

    Args:
        path: the file.
        comment: as for `read_table`.
        any_type: as for `read_table`.

    Returns:
        A function that returns what `read_table` returns, or raises what it raises.
    """
    read = partial(read_table, path, comment=comment, any_type=any_type)
    if path.suffix != ".parquet":
        return read
    pool = ThreadPoolExecutor(1)
    reading = pool.submit(copy_context().run, read)
    pool.shutdown(wait=False)
    return reading.result


def _check_file(path: Path, refusal: type[BadInput]) -> None:
    if path.suffix not in SUFFIXES:
        found = f"files of type {quoted(path.suffix)} are not read"
        raise refusal(str(path), [Problem("table-format", path.name, found, "a .csv or .parquet file")])
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):  # reading from a pipe would block
        remedy = "a .csv or .parquet file"
        raise refusal(str(path), [Problem("unreadable-file", path.name, "is not a regular file", remedy)])
    if status.st_size == 0:
        remedy = "expected a header and at least one row"
        raise refusal(str(path), [Problem("empty-file", path.name, "is empty (0 bytes)", remedy)])
    with path.open("rb") as stream:
        kind = kind_of(stream.read(N_BYTES))
    if kind is not None:
        remedy = kind.remedy_for(path.name) if kind.hides_file else "a .csv or .parquet file"
        raise refusal(str(path), [Problem("table-format", path.name, kind.found, remedy)])
    if status.st_size > MAX_BYTES:
        raise too_large(path, f"has {status.st_size} bytes", f"at most {MAX_BYTES} bytes")


def _read_csv(path: Path, comment: bool, refusal: type[BadInput]) -> tuple[Table, list[Problem]]:
    problems = [] if _is_clean_text(path, refusal) else _encoding_problems(path)
    # surrogateescape reads past bytes that are not UTF-8, so that the other rows are checked as well.
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as stream:
        remark = None
        if comment and stream.read(1) == "#":
            remark = stream.readline().strip()
        else:
            stream.seek(0)
        return _parse_csv(path, stream, remark, problems, refusal)


def _is_clean_text(path: Path, refusal: type[BadInput]) -> bool:
    """Whether all bytes are UTF-8 and none is NUL; a quick check before the slow one that finds the lines."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    with path.open("rb") as stream:
        while piece := stream.read(MAX_LINE):
            if piece.startswith(UTF16_MARKS):
                found = "is UTF-16, as some spreadsheet programs save it"
                raise refusal(str(path), [Problem("encoding", path.name, found, "save it as CSV in UTF-8")])
            if len(piece) == MAX_LINE and b"\n" not in piece and b"\r" not in piece:
                raise too_large(path, f"a line has more than {MAX_LINE} bytes", f"lines of at most {MAX_LINE} bytes")
            try:
                decoder.decode(piece)
            except UnicodeDecodeError:
                return False
            if b"\0" in piece:
                return False
    return not decoder.getstate()[0]  # bytes of a character that is cut off at the end of the file


def _encoding_problems(path: Path) -> list[Problem]:
    """Problems that name the lines with bytes that are not UTF-8 or with NUL bytes."""
    not_utf8: list[int] = []
    with_nul: list[int] = []
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as stream:
        for number, line in enumerate(stream, 1):
            if "\0" in line:
                with_nul.append(number)
            if any("\ud800" <= c <= "\udfff" for c in line):
                not_utf8.append(number)
    problems = []
    for code, lines, what, remedy in (
        ("encoding", not_utf8, "bytes that are not UTF-8", "save the file as UTF-8"),
        ("nul-byte", with_nul, "NUL bytes", "save the file as plain text"),
    ):
        if lines:
            few = ", ".join(map(str, lines[:N_OFFENDERS_SHOWN]))
            rest = f" and {len(lines) - N_OFFENDERS_SHOWN} more" if len(lines) > N_OFFENDERS_SHOWN else ""
            problems.append(Problem(code, path.name, f"{what} on line {few}{rest}", remedy, len(lines)))
    return problems


def _parse_csv(
    path: Path, stream: IO[str], remark: str | None, problems: list[Problem], refusal: type[BadInput]
) -> tuple[Table, list[Problem]]:
    faults: list[str] = []
    rows = _rows(csv.reader(stream, strict=True), faults)
    (header, *_), n_lines = next(rows, ([[]], 0))
    if not faults:
        problems += header_problems(path, header, refusal)
    columns = [ColumnBuilder() for _ in header]
    lines = array("q")
    ragged: list[tuple[int, int]] = []
    line = n_lines + (1 if remark is None else 2)
    for batch, n_lines in rows:
        starts, line = _first_lines(batch, line, n_lines)
        if {*map(len, batch)} != {len(header)}:
            ragged += [(at, len(row)) for at, row in zip(starts, batch, strict=True) if 0 != len(row) != len(header)]
            starts = [at for at, row in zip(starts, batch, strict=True) if len(row) == len(header)]
            batch = [row for row in batch if len(row) == len(header)]
        for column, values in zip(columns, zip(*batch, strict=True), strict=False):
            column.extend(values)
        lines.extend(starts)
        if len(lines) > MAX_TABLE_ROWS:
            raise too_large(path, f"has more than {MAX_TABLE_ROWS} rows", f"at most {MAX_TABLE_ROWS} rows")
    if faults:
        remedy = "close every quote, and double the quotes inside a value"
        problems.append(Problem("csv-syntax", path.name, f"in the row that begins on line {line}: {faults[0]}", remedy))
    if ragged:
        few = first_few((f"line {at}: {n} values" for at, n in ragged), len(ragged))
        remedy = f"expected {len(header)} values, as in the header; quote values that contain a comma"
        problems.append(Problem("ragged-row", path.name, few, remedy, len(ragged)))
    notes, nameless = _unnamed_columns(path, header, columns)
    problems += nameless
    by_name = {name: column.build() for name, column in reversed(list(zip(header, columns, strict=True))) if name}
    is_contiguous = len(lines) > 0 and lines[-1] - lines[0] == len(lines) - 1
    numbers = range(lines[0], lines[-1] + 1) if is_contiguous else lines
    return Table(
        path.name,
        {name: by_name[name] for name in header if name},
        numbers,
        "line",
        remark,
        notes,
        n_bytes=path.stat().st_size,
    ), problems


def _unnamed_columns(
    path: Path, header: Sequence[str], columns: Sequence[ColumnBuilder]
) -> tuple[tuple[Problem, ...], list[Problem]]:
    """Notes on columns of a CSV file that have no name and are ignored, and the problems of those that are not.

    Ignored are the first columns, in which pandas writes its index, and empty ones, which spreadsheet programs add.
    """
    unnamed = [place for place, name in enumerate(header) if not name]
    n_index = next((place for place, name in enumerate(header) if name), 0)
    filled = [place for place in unnamed if place >= n_index and columns[place].build().distinct - {""}]
    notes = []
    if n_index:
        found = "the first column has no name, as the index that pandas writes; it is ignored, not refused"
        notes.append(Problem("index-column", path.name, found, "leave it out: to_csv(..., index=False)", n_index))
    n_empty = len(unnamed) - n_index - len(filled)
    if n_empty:
        found = f"{n_empty} columns without name and content are ignored"
        notes.append(Problem("empty-column", path.name, found, "delete them in the spreadsheet", n_empty))
    if not filled:
        return tuple(notes), []
    remedy = "use printable names without spaces at their ends"
    found = f"invalid column names: {first_few([''] * len(filled), len(filled))}, of column {filled[0] + 1}"
    return tuple(notes), [Problem("column-name", path.name, found, remedy, len(filled))]


def _rows(reader: "CsvReader", faults: list[str]) -> Iterator[tuple[list[list[str]], int]]:
    """Yield the first row alone and then the others in batches, each with its number of lines.

    Reading ends at a syntax error, which is added to `faults`; the rows before it are kept.
    """
    size = 1
    while True:
        before = reader.line_num
        batch: list[list[str]] = []
        try:
            for row in islice(reader, size):
                batch.append(row)  # one by one, because list() would lose the rows before a syntax error
        except csv.Error as error:
            faults.append(str(error))
        if batch:
            yield batch, reader.line_num - before
        if faults or not batch:
            return
        size = BATCH_ROWS


def _first_lines(batch: list[list[str]], line: int, n_lines: int) -> tuple[Sequence[int], int]:
    """The first line of each row, and the line after the last row; quoted values may contain line breaks."""
    if n_lines == len(batch):
        return range(line, line + n_lines), line + n_lines
    starts = list(accumulate((1 + sum(map(_line_breaks, row)) for row in batch), initial=line))
    return starts[:-1], starts[-1]


def _line_breaks(cell: str) -> int:
    return cell.count("\n") + cell.count("\r") - cell.count("\r\n")


def _read_parquet(path: Path, any_type: bool, refusal: type[BadInput]) -> tuple[Table, list[Problem]]:
    """Read a Parquet file by having another process unpack it (`read.unpack_table`)."""
    with tempfile.TemporaryDirectory(prefix="piq-") as folder:
        if not unpack_apart(TABLE, path, Path(folder), {"any_type": any_type}):
            found, remedy = "the Parquet library crashed while unpacking it", "the file is damaged: write it again"
            raise refusal(str(path), [Problem("parquet", path.name, found, remedy)])
        report = json.loads(Path(folder, REPORT).read_text(encoding="utf-8"))
        problems = [Problem(**problem) for problem in report["problems"]]
        if report["end"] == "no-memory":
            raise LimitExceeded(str(path), [no_memory(path)])
        if report["end"] != "read":
            raise (LimitExceeded if report["end"] == "too-large" else refusal)(str(path), problems)
        n_rows = report["n_rows"]
        columns = {
            name: stored_column(Path(folder, file)) if file else Column.empty(n_rows)
            for name, file in report["columns"].items()
        }
    table = Table(
        path.name,
        columns,
        range(1, n_rows + 1),
        "row",
        report["comment"],
        untyped={name: Problem(**problem) for name, problem in report["untyped"].items()},
        n_bytes=path.stat().st_size,
    )
    return table, problems
