"""Unpacks an untrusted Parquet file into .npy files; runs in a process of its own, which `read.parquet` starts.

It receives a request from that module and leaves a folder of arrays and a `report.json` with every problem. The process
is separate because the Parquet library crashes on some damaged files, and because its memory can then be limited: the
library expands run lengths before it counts them. The footer is therefore checked before any column is read.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from piq_bench.errors import BadInput, BadSubmission, LimitExceeded, Problem, lacks_memory, printable, quoted
from piq_bench.limits import MAX_MEMORY_BYTES, MAX_META_BYTES, MAX_TEXT_WIDTH, most_bytes
from piq_bench.read.container import Container, Limits, shape_fault
from piq_bench.read.mapped import Array
from piq_bench.read.unpacking import REPORT, without_dictionary
from piq_bench.write.submission import META_KEY

MAX_NUMBER_BYTES = 8


def main(request: Mapping[str, Any]) -> None:
    """Unpack a file for the process that started this one.

    Args:
        request: path of the file, folder to write to, n_rows and max_columns as in `Limits`.
    """
    folder = Path(request["folder"])
    try:
        container = unpack(Path(request["path"]), Limits(request["n_rows"], request["max_columns"]))
    except (BadInput, MemoryError) as refusal:
        problems = refusal.problems if isinstance(refusal, BadInput) else ()
        _write_report(folder, Container(problems=list(problems)), too_large=not isinstance(refusal, BadSubmission))
        return
    for name, values in container.arrays.items():
        np.save(folder / f"{name}.npy", values, allow_pickle=False)
    _write_report(folder, container)


def unpack(path: Path, limits: Limits) -> Container:
    """Read the columns that the benchmark knows; meta is in the file's metadata under the key "piq-bench".

    Raises:
        BadSubmission: if the file is not a valid Parquet file or holds too many columns.
        LimitExceeded: if a column unpacks to more memory than is allowed.
    """
    container = Container()
    try:
        with pq.ParquetFile(path) as file:
            metadata, names = file.metadata, _readable_columns(path, file, limits, container)
            _read_meta(file.schema_arrow.metadata or {}, container)
        names = [name for name in names if name in limits.max_columns]
        names = [name for name in names if _is_small_enough(path, metadata, name, limits, container)]
        # Texts stay dictionary-encoded, so that a text of a megabyte repeated in every row is held only once.
        plain = without_dictionary(metadata)
        texts = [name for name in names if _is_text(file.schema_arrow.field(name).type) and name not in plain]
        with pq.ParquetFile(path, read_dictionary=texts) as file:
            for name in names:
                _read_column(file, name, limits, container)
    except (pa.ArrowException, OSError, ValueError) as error:
        if lacks_memory(error):
            raise MemoryError from None
        remedy = "the file is truncated or damaged: write it again"
        raise BadSubmission(str(path), [Problem("not-an-archive", path.name, printable(error), remedy)]) from None
    return container


def _write_report(folder: Path, container: Container, *, too_large: bool = False) -> None:
    report = {
        "names": sorted(container.names),
        "arrays": sorted(container.arrays),
        "meta": container.meta,
        "notes": container.notes,
        "problems": [asdict(problem) for problem in container.problems],
        "too_large": too_large,
    }
    (folder / REPORT).write_text(json.dumps(report), encoding="utf-8")


def _readable_columns(path: Path, file: pq.ParquetFile, limits: Limits, container: Container) -> list[str]:
    """Names of the columns that may be read; the others become problems."""
    names, metadata = [str(name) for name in file.schema_arrow.names], file.metadata
    if max(len(names), metadata.num_columns) > limits.max_members:
        problem = f"{metadata.num_columns} columns, but at most {limits.max_members} are allowed"
        raise BadSubmission(str(path), [Problem("too-many-members", path.name, problem, "one column for each array")])
    container.names.update(name for name in names if name != "meta")
    for name in sorted({name for name in names if names.count(name) > 1}):
        container.refuse("duplicate-member", printable(name), "is the name of several columns", "write each array once")
    if "meta" in names:
        remedy = 'put it into the schema metadata of the file, under the key "piq-bench"'
        container.refuse("bad-meta", "meta", "is a column", remedy)
    if metadata.num_rows > limits.max_rows:
        problem = f"{metadata.num_rows} rows, but the benchmark has {limits.n_rows} query and gallery images"
        container.refuse("bad-shape", "image", problem, "expected one row per query and gallery image")
        return []
    return [name for name in names if names.count(name) == 1 and name != "meta"]


def _is_small_enough(path: Path, metadata: pq.FileMetaData, name: str, limits: Limits, container: Container) -> bool:
    """Whether a column is small enough, judged by the footer: run lengths pack billions of values into a few bytes."""
    n_values = n_bytes = 0
    for group in range(metadata.num_row_groups):
        for place in range(metadata.num_columns):
            chunk = metadata.row_group(group).column(place)
            if chunk.path_in_schema == name or chunk.path_in_schema.startswith(f"{name}."):
                n_values += chunk.num_values
                n_bytes += chunk.total_uncompressed_size
    if n_values > metadata.num_rows * limits.max_columns[name]:
        most = limits.max_columns[name]
        problem = f"{n_values} values in {metadata.num_rows} rows, but at most {most} per row are allowed"
        remedy = f"expected one row for each of the {limits.n_rows} query and gallery images"
        container.refuse("bad-shape", name, problem, remedy)
        return False
    most = min(MAX_MEMORY_BYTES, most_bytes(path.stat().st_size))
    if max(n_bytes, n_values * MAX_NUMBER_BYTES) > most:
        problem = f"unpacks to {max(n_bytes, n_values * MAX_NUMBER_BYTES)} bytes, the limit is {most}"
        raise LimitExceeded(str(path), [Problem("too-large", name, problem, "pass a folder instead")])
    return True


def _read_meta(metadata: dict[bytes, bytes], container: Container) -> None:
    raw = metadata.get(META_KEY)
    if raw is None:
        return
    container.names.add("meta")
    if len(raw) > MAX_META_BYTES:
        container.refuse("bad-meta", "meta", "is larger than 64 KiB", "name, benchmark, distance and the like")
        return
    try:
        container.meta = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        problem = f"is not UTF-8: {printable(error)}"
        container.refuse("bad-meta", "meta", problem, 'a JSON object: {"name": ...}')


def _read_column(file: pq.ParquetFile, name: str, limits: Limits, container: Container) -> None:
    try:
        content = file.read(columns=[name], use_threads=False).column(0)
        content.validate(full=True)  # finds text that is not UTF-8 and offsets outside the data
        if len(content) != file.metadata.num_rows:
            raise pa.ArrowInvalid(f"{len(content)} values for {file.metadata.num_rows} rows")
        array = _to_array(content, name, container)
    except (pa.ArrowException, OSError, ValueError) as error:
        if lacks_memory(error):
            raise MemoryError from None
        container.refuse("damaged", name, f"cannot be unpacked: {printable(error)}", "write the file again")
        return
    if array is None:
        return
    fault = None if array.dtype.kind == "U" else shape_fault(name, array.dtype, array.shape, limits)
    if fault is None:
        container.arrays[name] = array
    else:
        remedy = f"expected one row for each of the {limits.n_rows} query and gallery images"
        container.refuse("bad-shape", name, fault, remedy)


def _to_array(column: pa.ChunkedArray, name: str, container: Container) -> Array | None:
    """One column as an array; lists of equal length become its second dimension. None, with a problem, if refused."""
    remedy = "use text, whole numbers, floats, or lists of numbers that are all of one length"
    kind = column.type
    if column.null_count:
        row = int(np.flatnonzero(column.is_null().to_numpy())[0])
        problem = f"{column.null_count} values are null, first in row {row}"
        container.refuse("null", name, problem, "every row needs a value", column.null_count)
        return None
    if _is_text(kind):
        if not pa.types.is_dictionary(kind):
            column = column.dictionary_encode()
        parts = [_decode(chunk, name, container) for chunk in column.chunks]
        accepted = [part for part in parts if part is not None]
        return np.concatenate(accepted) if len(accepted) == len(parts) and parts else None
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        flat = column.combine_chunks()
        values = flat.flatten()
        if not _is_number(values.type) or values.null_count:
            problem = f"has Parquet type {quoted(kind)} with nulls or values that are not numbers"
            container.refuse("bad-dtype", name, problem, remedy)
            return None
        n_rows = len(column)
        width = len(values) // n_rows if n_rows else 0
        if not pa.types.is_fixed_size_list(kind):
            lengths = flat.value_lengths().to_numpy()
            usual = int(np.bincount(lengths).argmax()) if n_rows else 0
            other = np.flatnonzero(lengths != usual)
            if other.size:
                problem = f"row {other[0]} has {lengths[other[0]]} values, but most rows have {usual}"
                container.refuse("ragged", name, problem, "the same number of values in every row", other.size)
                return None
        return np.asarray(values.to_numpy(zero_copy_only=False)).reshape(n_rows, width)
    if _is_number(kind):
        return np.asarray(column.to_numpy())
    container.refuse("bad-dtype", name, f"has Parquet type {quoted(kind)}", remedy)
    return None


def _decode(chunk: pa.DictionaryArray, name: str, container: Container) -> Array | None:
    """The texts of one dictionary-encoded chunk. None, with a problem, if one of them is refused."""
    longest = pc.max(pc.utf8_length(chunk.dictionary)).as_py() or 0
    if longest > MAX_TEXT_WIDTH:
        remedy = f"texts of at most {MAX_TEXT_WIDTH} characters"
        container.refuse("bad-text", name, f"has a text of {longest} characters", remedy)
        return None
    if pc.any(pc.match_substring(chunk.dictionary, "\0")).as_py():
        container.refuse("bad-text", name, "has a text with NUL characters", "text without control characters")
        return None
    distinct = np.asarray(chunk.dictionary.to_pylist(), dtype=np.str_)
    values: Array = distinct[np.asarray(chunk.indices.to_numpy(zero_copy_only=False))]
    return values


def _is_text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        return _is_text(kind.value_type)
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind))
