"""A CSV or Parquet file to columns of text, with the line or row where each value stands.

In comes a file from anyone, out come columns of str and every fault of the file's form: encoding, separators, ragged
rows, column types. What the values mean is decided by the caller. Nothing is guessed or repaired: a value is the text
that stands in the file, so that identity "007" stays apart from "7".
"""

import codecs
import csv
import stat
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
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
from piq_bench.read.column import Collector, Column, arrow_column

if TYPE_CHECKING:
    from _csv import Reader as CsvReader

    import pyarrow as pa
    import pyarrow.parquet as pq

MAX_BYTES = 2 << 30
MAX_ROWS = 20_000_000
MAX_COLUMNS = 1000
MAX_LINE = 1 << 20
BATCH_ROWS = 256  # few enough to stay in the processor's cache: twice as fast as 8192
SUFFIXES = (".csv", ".parquet")
PARQUET_KEY = b"piq-bench"
TEXT_TYPES = ("string", "large_string", "string_view")  # by name: older versions of pyarrow do not know all of them
UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True, eq=False)
class Table:
    """Columns of text.

    Attributes:
        file: the file's name, for messages.
        columns: by name in file order; n_rows texts each. Of columns with one name, the first.
        lines: shape (n_rows,); where each row stands: its first line in a CSV file, its row in a Parquet file, from 1.
        unit: "line" or "row".
        comment: text of a CSV file's first line after "#", or of a Parquet file's metadata key "piq-bench", else None.
    """

    file: str
    columns: Mapping[str, Column]
    lines: Sequence[int]
    unit: Literal["line", "row"]
    comment: str | None = None

    @property
    def n_rows(self) -> int:
        """Number of rows without the header."""
        return len(self.lines)

    def place(self, row: int) -> str:
        """Where a row stands, for messages: "line 214"."""
        return f"{self.unit} {self.lines[row]}"


def read_table(
    path: Path, *, comment: bool = False, refusal: type[BadInput] = BadDataset
) -> tuple[Table, list[Problem]]:
    """Read a .csv or .parquet file.

    Args:
        path: the file.
        comment: whether a CSV file may begin with a line "# ...", which is no part of the table.
        refusal: what to raise.

    Returns:
        The table of all well-formed rows, and the faults of the others.

    Raises:
        BadInput: of type `refusal`, if there is no table to speak of.
        LimitExceeded: if the file has more than MAX_BYTES bytes or MAX_ROWS rows.
    """
    try:
        _check_file(path, refusal)
        return _read_csv(path, comment, refusal) if path.suffix == ".csv" else _read_parquet(path, refusal)
    except OSError as error:
        found, remedy = printable(error.strerror or error), "a file that this user may read"
        raise refusal(str(path), [Problem("unreadable-file", path.name, found, remedy)]) from None


def _check_file(path: Path, refusal: type[BadInput]) -> None:
    if path.suffix not in SUFFIXES:
        found = f"{quoted(path.suffix)} is no known kind of table"
        raise refusal(str(path), [Problem("table-format", path.name, found, "a file named .csv or .parquet")])
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):  # a pipe would block
        raise refusal(str(path), [Problem("unreadable-file", path.name, "is no regular file", "a file")])
    if status.st_size == 0:
        remedy = "a header and at least one row"
        raise refusal(str(path), [Problem("empty-file", path.name, "has 0 bytes", remedy)])
    if status.st_size > MAX_BYTES:
        raise _too_large(path, f"has {status.st_size} bytes", f"at most {MAX_BYTES} bytes")


def _too_large(path: Path, found: str, remedy: str) -> LimitExceeded:
    return LimitExceeded(str(path), [Problem("too-large", path.name, found, remedy)])


def _read_csv(path: Path, comment: bool, refusal: type[BadInput]) -> tuple[Table, list[Problem]]:
    problems = [] if _is_clean_text(path, refusal) else _text_problems(path)
    # surrogateescape lets reading go on past bytes that are no UTF-8, so that the other rows are checked as well.
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as stream:
        remark = None
        if comment and stream.read(1) == "#":
            remark = stream.readline().strip()
        else:
            stream.seek(0)
        return _parse_csv(path, stream, remark, problems, refusal)


def _is_clean_text(path: Path, refusal: type[BadInput]) -> bool:
    """Whether all bytes are UTF-8 and none is NUL: a quick look before the slow one that finds the lines."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    with path.open("rb") as stream:
        while piece := stream.read(MAX_LINE):
            if piece.startswith(UTF16_MARKS):
                found = "is UTF-16, as some spreadsheet programs save it"
                raise refusal(str(path), [Problem("encoding", path.name, found, "save it as CSV in UTF-8")])
            if len(piece) == MAX_LINE and b"\n" not in piece and b"\r" not in piece:
                raise _too_large(path, f"a line has more than {MAX_LINE} bytes", "shorter lines")
            try:
                decoder.decode(piece)
            except UnicodeDecodeError:
                return False
            if b"\0" in piece:
                return False
    return not decoder.getstate()[0]  # bytes of a character that the file cuts off


def _text_problems(path: Path) -> list[Problem]:
    """The lines that hold what no text file holds."""
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
        ("encoding", not_utf8, "not UTF-8", "save the file as UTF-8"),
        ("nul-byte", with_nul, "NUL bytes", "plain text"),
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
        problems += _header_problems(path, header, refusal)
    columns = [Collector() for _ in header]
    lines = array("q")
    ragged: list[tuple[int, int]] = []
    line = n_lines + (1 if remark is None else 2)
    for batch, n_lines in rows:
        starts, line = _starts(batch, line, n_lines)
        if any(len(row) != len(header) for row in batch):
            ragged += [(at, len(row)) for at, row in zip(starts, batch, strict=True) if 0 != len(row) != len(header)]
            starts = [at for at, row in zip(starts, batch, strict=True) if len(row) == len(header)]
            batch = [row for row in batch if len(row) == len(header)]
        for column, values in zip(columns, zip(*batch, strict=True), strict=False):
            column.extend(values)
        lines.extend(starts)
        if len(lines) > MAX_ROWS:
            raise _too_large(path, f"has more than {MAX_ROWS} rows", f"at most {MAX_ROWS} rows")
    if faults:
        remedy = "quotes around a value come in pairs; a quote inside a value is doubled"
        problems.append(Problem("csv-syntax", path.name, f"the row that begins on line {line}: {faults[0]}", remedy))
    if ragged:
        few = first_few((f"line {at}: {n} values" for at, n in ragged), len(ragged))
        remedy = f"{len(header)} values, as in the header; quote values that hold a comma"
        problems.append(Problem("ragged-row", path.name, few, remedy, len(ragged)))
    by_name = {name: column.column() for name, column in reversed(list(zip(header, columns, strict=True)))}
    one_by_one = len(lines) > 0 and lines[-1] - lines[0] == len(lines) - 1
    places = range(lines[0], lines[-1] + 1) if one_by_one else lines
    return Table(path.name, {name: by_name[name] for name in header}, places, "line", remark), problems


def _rows(reader: "CsvReader", faults: list[str]) -> Iterator[tuple[list[list[str]], int]]:
    """The first row alone, then the others in batches, each with the number of lines it takes.

    A fault of syntax ends the file; the rows before it stay.
    """
    size = 1
    while True:
        before = reader.line_num
        batch: list[list[str]] = []
        try:
            for row in islice(reader, size):
                batch.append(row)  # one by one: a list made at once would lose the rows before a fault
        except csv.Error as error:
            faults.append(str(error))
        if batch:
            yield batch, reader.line_num - before
        if faults or not batch:
            return
        size = BATCH_ROWS


def _starts(batch: list[list[str]], line: int, n_lines: int) -> tuple[Sequence[int], int]:
    """The line where each row begins, and the one after the last: quoted values may hold line breaks."""
    if n_lines == len(batch):
        return range(line, line + n_lines), line + n_lines
    starts = list(accumulate((1 + sum(map(_breaks, row)) for row in batch), initial=line))
    return starts[:-1], starts[-1]


def _breaks(cell: str) -> int:
    return cell.count("\n") + cell.count("\r") - cell.count("\r\n")


def _header_problems(path: Path, header: Sequence[str], refusal: type[BadInput]) -> list[Problem]:
    if not header:
        remedy = "a first line with the names of the columns"
        raise refusal(str(path), [Problem("empty-file", path.name, "has no header", remedy)])
    if len(header) > MAX_COLUMNS:
        raise _too_large(path, f"has {len(header)} columns", f"at most {MAX_COLUMNS} columns")
    problems = []
    if len(header) == 1 and any(mark in header[0] for mark in ";\t"):
        found = f"the header is one value: {quoted(header[0])}"
        raise refusal(str(path), [Problem("separator", path.name, found, "commas between the values")])
    bad = [name for name in header if not name or name != name.strip() or not name.isprintable()]
    if bad:
        remedy = "names of printable characters without blanks around them"
        problems.append(Problem("column-name", path.name, f"columns {first_few(bad, len(bad))}", remedy, len(bad)))
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        found = f"more than one column is called {first_few(twice, len(twice))}"
        problems.append(Problem("duplicate-column", path.name, found, "each name once", len(twice)))
    return problems


def _read_parquet(path: Path, refusal: type[BadInput]) -> tuple[Table, list[Problem]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            n_rows = file.metadata.num_rows
            _check_parquet_size(path, file.metadata)
            header = list(file.schema_arrow.names)
            problems = _header_problems(path, header, refusal)
            remark = (file.schema_arrow.metadata or {}).get(PARQUET_KEY)
            columns: dict[str, Column] = {}
            for field in file.schema_arrow:
                if not _is_text(field.type):
                    found = f"column {quoted(field.name)} is of type {quoted(field.type)}"
                    problems.append(Problem("column-type", path.name, found, "text (whole numbers are read as text)"))
                if field.name not in columns:
                    text = _is_text(field.type)
                    columns[field.name] = _texts(file, field.name) if text else Column.empty(n_rows)
                    if len(columns[field.name]) != n_rows:
                        found = f"column {quoted(field.name)} has {len(columns[field.name])} values for {n_rows} rows"
                        raise refusal(str(path), [Problem("parquet", path.name, found, "a whole Parquet file")])
        comment = None if remark is None else remark.decode("utf-8")
    except (pa.ArrowException, UnicodeDecodeError, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # the file, not its content
        remedy = "a whole Parquet file with columns of text in UTF-8"
        raise refusal(str(path), [Problem("parquet", path.name, quoted(error), remedy)]) from None
    return Table(path.name, columns, range(1, n_rows + 1), "row", comment), problems


def _check_parquet_size(path: Path, metadata: "pq.FileMetaData") -> None:
    """What the file says of itself, before any of its content is unpacked."""
    if metadata.num_rows > MAX_ROWS:
        raise _too_large(path, f"has {metadata.num_rows} rows", f"at most {MAX_ROWS} rows")
    n_bytes = sum(metadata.row_group(i).total_byte_size for i in range(metadata.num_row_groups))
    if n_bytes > MAX_BYTES:
        raise _too_large(path, f"unpacks to {n_bytes} bytes", f"at most {MAX_BYTES} bytes")


def _is_text(kind: "pa.DataType") -> bool:
    from pyarrow import types

    if types.is_dictionary(kind):
        return _is_text(kind.value_type)
    return str(kind) in TEXT_TYPES or types.is_integer(kind) or types.is_null(kind)


def _texts(file: "pq.ParquetFile", name: str) -> Column:
    """One column as text; null is the empty text."""
    import pyarrow as pa

    content = file.read([name]).column(0)
    content.validate(full=True)  # text that is no UTF-8, offsets that point nowhere
    return arrow_column(content.cast(pa.large_string()))
