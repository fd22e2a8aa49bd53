"""Writes a column of a Parquet table to the files that `read.column.stored_column` reads.

It does without numpy, and in the usual case also without `pyarrow.compute`, which takes as long to import as a small
table to read: a cast and an encoding import it.
"""

from pathlib import Path

import pyarrow as pa

from piq_bench.read.column_files import BOUNDS, CODES, LONG_BOUNDS, MAX_DISTINCT, NULL, NUMBERS, TEXTS, are_ids


def store_column(path: Path, values: pa.ChunkedArray) -> None:
    """Write text, dictionary-encoded or not, or whole numbers: int64 as they are, others as text.

    Args:
        path: the files' name; each adds a suffix of its own.
        values: the column; null becomes the empty text, or NULL as a code.
    """
    if pa.types.is_dictionary(values.type):
        _store_encoded(path, _one_dictionary(values))
        return
    if pa.types.is_int64(values.type) and not values.null_count:
        with path.with_suffix(NUMBERS).open("wb") as stream:
            for chunk in values.chunks:
                stream.write(_of_rows(chunk.buffers()[1], 8 * chunk.offset, 8 * len(chunk)))
        return
    # One chunk, because Arrow goes through a whole dictionary once for each.
    texts = values.cast(pa.large_string()).combine_chunks()
    head = texts.slice(0, 2 * MAX_DISTINCT).dictionary_encode()
    if are_ids(len(head.dictionary), len(head)):
        _store_texts(path, texts)
    else:
        _store_encoded(path, texts.dictionary_encode() if len(head) < len(texts) else head)


def _one_dictionary(values: pa.ChunkedArray) -> pa.DictionaryArray:
    """Dictionary-encoded chunks as one."""
    chunks = values.unify_dictionaries().chunks
    dictionary = chunks[0].dictionary if chunks else pa.array([], values.type.value_type)
    indices = pa.chunked_array([chunk.indices for chunk in chunks], values.type.index_type)
    return pa.DictionaryArray.from_arrays(indices.combine_chunks(), dictionary)


def _store_encoded(path: Path, encoded: pa.DictionaryArray) -> None:
    codes = _filled(_cast(encoded.indices, pa.int32()), NULL)
    path.with_suffix(CODES).write_bytes(_of_rows(codes.buffers()[1], 4 * codes.offset, 4 * len(codes)))
    _store_texts(path, encoded.dictionary)


def _store_texts(path: Path, texts: pa.Array) -> None:
    texts = _filled(texts if pa.types.is_string(texts.type) else _cast(texts, pa.large_string()), "")
    suffix, width = (BOUNDS, 4) if pa.types.is_string(texts.type) else (LONG_BOUNDS, 8)
    _, bounds, content = texts.buffers()
    path.with_suffix(suffix).write_bytes(_of_rows(bounds, width * texts.offset, width * (len(texts) + 1)))
    path.with_suffix(TEXTS).write_bytes(content or b"")


def _cast(values: pa.Array, kind: pa.DataType) -> pa.Array:
    return values if values.type == kind else values.cast(kind)


def _filled(values: pa.Array, value: int | str) -> pa.Array:
    """The values with another one for null."""
    if not values.null_count:
        return values
    from pyarrow.compute import fill_null  # only here, since it asks for pandas as well

    return fill_null(values, value)


def _of_rows(buffer: pa.Buffer | None, start: int, n_bytes: int) -> pa.Buffer | bytes:
    """A part of a buffer; nothing if there are no rows."""
    return buffer.slice(start, n_bytes) if buffer is not None and buffer.size else b""
