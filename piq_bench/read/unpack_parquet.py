"""A submission in one Parquet file to .npy files, in a process of its own; the footer is checked before any column.

In: a request as `read.parquet` sends it. Out: a folder of arrays and `report.json` with every problem. Only that module
starts this one: the Parquet library ends its process on some damaged files, and unpacks runs before it counts them.
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

from piq_bench.errors import BadInput, BadSubmission, LimitExceeded, Problem, printable, quoted
from piq_bench.read.container import MAX_MEMORY_BYTES, MAX_META_BYTES, MAX_TEXT_WIDTH, Container, Limits, check_declared
from piq_bench.read.mapped import Array
from piq_bench.read.parquet import REPORT
from piq_bench.write.submission import META_KEY

WIDEST_NUMBER = 8  # bytes


def main(request: Mapping[str, Any]) -> None:
    """Unpack a file for the process that started this one.

    Args:
        request: path, folder, n_rows and n_columns (as in `Limits`), max_memory.
    """
    folder = Path(request["folder"])
    _limit_memory(request["max_memory"])
    try:
        found = unpack(Path(request["path"]), Limits(request["n_rows"], request["n_columns"]))
    except (BadInput, MemoryError) as refusal:
        problems = refusal.problems if isinstance(refusal, BadInput) else ()
        _report(folder, Container(problems=list(problems)), too_large=not isinstance(refusal, BadSubmission))
        return
    for name, values in found.arrays.items():
        np.save(folder / f"{name}.npy", values, allow_pickle=False)
    _report(folder, found)


def unpack(path: Path, limits: Limits) -> Container:
    """Columns by name; meta from the file's metadata under the key "piq-bench".

    Raises:
        BadSubmission: if it is no Parquet file.
        LimitExceeded: if it unpacks to more memory than is allowed.
    """
    found = Container()
    try:
        with pq.ParquetFile(path) as file:
            metadata, names = file.metadata, _names(path, file, limits, found)
            _take_meta(file.schema_arrow.metadata or {}, found)
        names = [name for name in names if name in limits.n_columns and _fits(path, metadata, name, limits, found)]
        # Texts stay in their dictionaries: one of a megabyte, said to stand in every row, costs no more than itself.
        texts = [name for name in names if _is_text(file.schema_arrow.field(name).type)]
        with pq.ParquetFile(path, read_dictionary=texts) as file:
            for name in names:
                _read_column(file, name, limits, found)
    except (pa.ArrowException, OSError, ValueError) as error:
        remedy = "the file is truncated or damaged: write it again"
        raise BadSubmission(str(path), [Problem("not-an-archive", path.name, printable(error), remedy)]) from None
    return found


def _limit_memory(max_memory: int) -> None:
    try:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (max_memory, max_memory))
    except (ImportError, OSError, ValueError):  # no such limit on this system
        return


def _report(folder: Path, found: Container, *, too_large: bool = False) -> None:
    report = {
        "named": sorted(found.named),
        "arrays": sorted(found.arrays),
        "meta": found.meta,
        "problems": [asdict(problem) for problem in found.problems],
        "too_large": too_large,
    }
    (folder / REPORT).write_text(json.dumps(report), encoding="utf-8")


def _names(path: Path, file: pq.ParquetFile, limits: Limits, found: Container) -> list[str]:
    """Columns that may be read."""
    names, metadata = [str(name) for name in file.schema_arrow.names], file.metadata
    if max(len(names), metadata.num_columns) > limits.n_members:
        problem = f"{metadata.num_columns} columns, at most {limits.n_members} are possible"
        raise BadSubmission(str(path), [Problem("too-many-members", path.name, problem, "one for each array")])
    found.named.update(name for name in names if name != "meta")
    for name in sorted({name for name in names if names.count(name) > 1}):
        found.refuse("duplicate-member", printable(name), "is the name of several columns", "write each array once")
    if "meta" in names:
        remedy = 'put it into the metadata of the schema, under the key "piq-bench"'
        found.refuse("bad-meta", "meta", "is a column", remedy)
    if metadata.num_rows > 2 * limits.n_rows + 1000:
        problem = f"{metadata.num_rows} rows, the benchmark has {limits.n_rows} query and gallery images"
        found.refuse("bad-shape", "image", problem, "one row per query and gallery image")
        return []
    return [name for name in names if names.count(name) == 1 and name != "meta"]


def _fits(path: Path, metadata: pq.FileMetaData, name: str, limits: Limits, found: Container) -> bool:
    """Whether what the footer says of a column may be unpacked: run lengths pack billions of values into bytes."""
    n_values = n_bytes = 0
    for group in range(metadata.num_row_groups):
        for place in range(metadata.num_columns):
            chunk = metadata.row_group(group).column(place)
            if chunk.path_in_schema == name or chunk.path_in_schema.startswith(f"{name}."):
                n_values += chunk.num_values
                n_bytes += chunk.total_uncompressed_size
    if n_values > metadata.num_rows * limits.n_columns[name]:
        problem = f"{n_values} values in {metadata.num_rows} rows, at most {limits.n_columns[name]} a row are possible"
        found.refuse("bad-shape", name, problem, f"one row for each of the {limits.n_rows} query and gallery images")
        return False
    if max(n_bytes, n_values * WIDEST_NUMBER) > MAX_MEMORY_BYTES:
        problem = f"unpacks to {max(n_bytes, n_values * WIDEST_NUMBER)} bytes, the limit is {MAX_MEMORY_BYTES}"
        raise LimitExceeded(str(path), [Problem("too-large", name, problem, "pass a folder instead")])
    return True


def _take_meta(metadata: dict[bytes, bytes], found: Container) -> None:
    raw = metadata.get(META_KEY)
    if raw is None:
        return
    found.named.add("meta")
    if len(raw) > MAX_META_BYTES:
        found.refuse("bad-meta", "meta", "is larger than 64 KiB", "name, benchmark, distance and the like")
        return
    try:
        found.meta = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        found.refuse("bad-meta", "meta", f"is no UTF-8: {printable(error)}", 'a JSON object: {"name": ...}')


def _read_column(file: pq.ParquetFile, name: str, limits: Limits, found: Container) -> None:
    try:
        content = file.read(columns=[name]).column(0)
        content.validate(full=True)  # text that is no UTF-8, offsets that point nowhere
        if len(content) != file.metadata.num_rows:
            raise pa.ArrowInvalid(f"{len(content)} values for {file.metadata.num_rows} rows")
        array = _column(content, name, found)
    except (pa.ArrowException, OSError, ValueError) as error:
        found.refuse("damaged", name, f"cannot be unpacked: {printable(error)}", "write the file again")
        return
    if array is None:
        return
    excess = None if array.dtype.kind == "U" else check_declared(name, array.dtype, array.shape, limits)
    if excess is None:
        found.arrays[name] = array
    else:
        found.refuse("bad-shape", name, excess, f"one row for each of the {limits.n_rows} images")


def _column(column: pa.ChunkedArray, name: str, found: Container) -> Array | None:
    """One column as an array; lists of one length become its second dimension."""
    remedy = "text, whole numbers, floats, or lists of numbers of one length"
    kind = column.type
    if column.null_count:
        row = int(np.flatnonzero(column.is_null().to_numpy())[0])
        problem = f"{column.null_count} values are null, first in row {row}"
        found.refuse("null", name, problem, "every row needs a value", column.null_count)
        return None
    if _is_text(kind):
        if not pa.types.is_dictionary(kind):
            column = column.dictionary_encode()
        parts = [_dictionary_values(chunk, name, found) for chunk in column.chunks]
        whole = [part for part in parts if part is not None]
        return np.concatenate(whole) if len(whole) == len(parts) and parts else None
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        flat = column.combine_chunks()
        values = flat.flatten()
        if not _is_number(values.type) or values.null_count:
            found.refuse("bad-dtype", name, f"Parquet type {quoted(kind)} with nulls or no numbers", remedy)
            return None
        n_rows = len(column)
        width = len(values) // n_rows if n_rows else 0
        if not pa.types.is_fixed_size_list(kind):
            lengths = flat.value_lengths().to_numpy()
            usual = int(np.bincount(lengths).argmax()) if n_rows else 0
            other = np.flatnonzero(lengths != usual)
            if other.size:
                problem = f"row {other[0]} has {lengths[other[0]]} values, most rows have {usual}"
                found.refuse("ragged", name, problem, "as many values in every row", other.size)
                return None
        return np.asarray(values.to_numpy(zero_copy_only=False)).reshape(n_rows, width)
    if _is_number(kind):
        return np.asarray(column.to_numpy())
    found.refuse("bad-dtype", name, f"Parquet type {quoted(kind)}", remedy)
    return None


def _dictionary_values(chunk: pa.DictionaryArray, name: str, found: Container) -> Array | None:
    """One chunk of texts, stored as places in a list of distinct ones."""
    longest = pc.max(pc.utf8_length(chunk.dictionary)).as_py() or 0
    if longest > MAX_TEXT_WIDTH:
        remedy = f"texts of at most {MAX_TEXT_WIDTH} characters"
        found.refuse("bad-text", name, f"a text of {longest} characters", remedy)
        return None
    if pc.any(pc.match_substring(chunk.dictionary, "\0")).as_py():
        found.refuse("bad-text", name, "a text with NUL characters", "text without control characters")
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
