"""A submission in one Parquet file to named arrays; the footer is checked before any column is read."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from piq_bench.errors import BadSubmission, LimitExceeded, Problem, printable, quoted
from piq_bench.read.archive import (
    MAX_MEMBERS,
    MAX_MEMORY_BYTES,
    MAX_META_BYTES,
    Array,
    Container,
    Limits,
    check_declared,
)

META_KEY = b"piq-bench"


def read_parquet(path: Path, limits: Limits) -> Container:
    """Columns by name; meta from the file's metadata under the key "piq-bench".

    Raises:
        BadSubmission: if it is no Parquet file.
        LimitExceeded: if it unpacks to more memory than is allowed.
    """
    found = Container()
    try:
        with pq.ParquetFile(path) as file:
            schema, metadata = file.schema_arrow, file.metadata
            if metadata.num_columns > MAX_MEMBERS:
                problem = f"{metadata.num_columns} columns, at most {MAX_MEMBERS}"
                raise BadSubmission(str(path), [Problem("too-many-members", path.name, problem, "arrays only")])
            if len(set(schema.names)) < len(schema.names):
                found.refuse("duplicate-member", path.name, "names a column twice", "write each array once")
                return found
            found.named.update(str(name) for name in schema.names)
            if metadata.num_rows > 2 * limits.n_rows + 1000:
                problem = f"{metadata.num_rows} rows, the benchmark has {limits.n_rows} query and gallery images"
                found.refuse("bad-shape", "image", problem, "one row per query and gallery image")
                return found
            size = sum(metadata.row_group(i).total_byte_size for i in range(metadata.num_row_groups))
            if size > MAX_MEMORY_BYTES:
                problem = f"unpacks to {size} bytes, the limit is {MAX_MEMORY_BYTES}"
                raise LimitExceeded(str(path), [Problem("too-large", path.name, problem, "pass a folder instead")])
            _take_meta(schema.metadata or {}, found)
            for name in schema.names:
                if name in limits.n_columns:
                    array = _column(file.read(columns=[name]).column(0), str(name), found)
                    if array is not None:
                        _keep(str(name), array, limits, found)
    except (pa.ArrowException, OSError, ValueError) as error:
        remedy = "the file is truncated or damaged: write it again"
        raise BadSubmission(str(path), [Problem("not-an-archive", path.name, printable(error), remedy)]) from None
    return found


def meta_bytes(text: str) -> dict[bytes, bytes]:
    """The file metadata that holds meta."""
    return {META_KEY: text.encode("utf-8")}


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
        json.loads(found.meta)
    except (ValueError, RecursionError) as error:
        found.meta = None
        found.refuse("bad-meta", "meta", f"is no JSON: {printable(error)}", 'a JSON object: {"name": ...}')


def _keep(name: str, array: Array, limits: Limits, found: Container) -> None:
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
    if pa.types.is_dictionary(kind):
        column, kind = column.cast(kind.value_type), kind.value_type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return np.asarray(column.to_numpy(), dtype=np.str_)
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


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind))
