"""Unpacks an untrusted Parquet table into columns of text; runs in a process of its own, which `read.table` starts.

It leaves the files of each column (`read.column_files`) and a report with every problem. Sizes that the file declares
are checked before any column is read; the pages may still declare more, which only the limits of the process stop.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from piq_bench.errors import BadDataset, LimitExceeded, Problem, lacks_memory, printable, quoted, shortage
from piq_bench.limits import MAX_TABLE_BYTES, MAX_TABLE_ROWS, ROW_VALUES, VALUE_BYTES, most_bytes
from piq_bench.read.table_header import header_problems, too_large
from piq_bench.read.unpack_column import store_column
from piq_bench.read.unpacking import REPORT, without_dictionary

PARQUET_KEY = b"piq-bench"
TEXT_TYPES = ("string", "large_string", "string_view")  # by name: older versions of pyarrow lack some of them


def main(request: Mapping[str, Any]) -> None:
    """Unpack a table for the process that started this one.

    Args:
        request: path of the file, folder to write to, and any_type as in `read_table`.
    """
    folder = Path(request["folder"])
    try:
        report = unpack(Path(request["path"]), folder, any_type=request["any_type"])
    except (BadDataset, LimitExceeded) as refusal:
        end = "too-large" if isinstance(refusal, LimitExceeded) else "refused"
        report = {"end": end, "problems": [asdict(problem) for problem in refusal.problems]}
    except MemoryError:  # which Arrow's own is as well
        report = {"end": "no-memory", "problems": []}
    (folder / REPORT).write_text(json.dumps(report), encoding="utf-8")


def unpack(path: Path, folder: Path, *, any_type: bool) -> dict[str, object]:
    """Write each column to the folder, and give the report.

    Raises:
        BadDataset: if the file cannot be read as a table at all.
        LimitExceeded: if it declares more than it may unpack to.
        MemoryError: if memory does not suffice.
    """
    problems: list[Problem] = []
    columns: dict[str, str | None] = {}
    untyped: dict[str, Problem] = {}
    try:
        with pq.ParquetFile(path) as file:
            n_rows = file.metadata.num_rows
            types = list(file.schema_arrow)
            problems += header_problems(path, [entry.name for entry in types], BadDataset)
            _check_size(path, file.metadata)
            remark = (file.schema_arrow.metadata or {}).get(PARQUET_KEY)
        # Texts stay dictionary-encoded, so that a text of a megabyte repeated in every row is held only once.
        plain = without_dictionary(file.metadata)
        texts = [entry.name for entry in types if _is_text(entry.type) and entry.name not in plain]
        with pq.ParquetFile(path, read_dictionary=texts) as file:
            for place, entry in enumerate(types):
                if not _is_text(entry.type):
                    found = f"column {quoted(entry.name)} is of type {quoted(entry.type)}"
                    problem = Problem("column-type", path.name, found, "text or whole numbers")
                    if any_type:
                        untyped[entry.name] = problem
                        continue
                    problems.append(problem)
                if entry.name not in columns:
                    columns[entry.name] = str(place) if _is_text(entry.type) else None
                    if _is_text(entry.type):
                        _unpack_column(path, file, entry.name, n_rows, folder / str(place))
        comment = None if remark is None else remark.decode("utf-8")
    except (pa.ArrowException, ValueError, OSError) as error:
        if lacks_memory(error):
            raise MemoryError from None
        if isinstance(error, OSError) and error.errno is not None:  # the file's content may be fine
            is_ours = error.filename is not None and Path(error.filename).parent == folder
            if is_ours or shortage(str(error)) is not None:
                raise  # there is no room for what was unpacked
            found, remedy = printable(error.strerror or error), "check the path and its permissions"
            raise BadDataset(str(path), [Problem("unreadable-file", path.name, found, remedy)]) from None
        remedy = "a complete Parquet file with columns of text in UTF-8"
        raise BadDataset(str(path), [Problem("parquet", path.name, quoted(error), remedy)]) from None
    return {
        "end": "read",
        "problems": [asdict(problem) for problem in problems],
        "columns": columns,
        "untyped": {name: asdict(problem) for name, problem in untyped.items()},
        "n_rows": n_rows,
        "comment": comment,
    }


def _check_size(path: Path, metadata: pq.FileMetaData) -> None:
    """Check the sizes that the file declares before any of its content is unpacked."""
    if metadata.num_rows > MAX_TABLE_ROWS:
        raise too_large(path, f"has {metadata.num_rows} rows", f"at most {MAX_TABLE_ROWS} rows")
    n_bytes = sum(metadata.row_group(i).total_byte_size for i in range(metadata.num_row_groups))
    if n_bytes > MAX_TABLE_BYTES:
        raise too_large(path, f"unpacks to {n_bytes} bytes", f"at most {MAX_TABLE_BYTES} bytes")
    n_file_bytes = path.stat().st_size
    n_needed = metadata.num_rows * (metadata.num_columns + ROW_VALUES) * VALUE_BYTES
    if max(n_needed, n_bytes) > most_bytes(n_file_bytes):
        found = f"{n_file_bytes} bytes unpack to {max(n_needed, n_bytes)}, as in a decompression bomb"
        raise too_large(path, found, f"at most {most_bytes(n_file_bytes)} bytes; or write the table as .csv")


def _is_text(kind: pa.DataType) -> bool:
    from pyarrow import types

    if types.is_dictionary(kind):
        return _is_text(kind.value_type)
    return str(kind) in TEXT_TYPES or types.is_integer(kind) or types.is_null(kind)


def _unpack_column(path: Path, file: pq.ParquetFile, name: str, n_rows: int, to: Path) -> None:
    content = file.read([name], use_threads=False).column(0)
    content.validate(full=True)  # finds text that is not UTF-8 and offsets outside the data
    if len(content) != n_rows:
        found = f"column {quoted(name)} has {len(content)} values for {n_rows} rows"
        remedy = "the file is damaged: write it again"
        raise BadDataset(str(path), [Problem("parquet", path.name, found, remedy)])
    store_column(to, content)
