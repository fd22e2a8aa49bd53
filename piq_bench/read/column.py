"""A column of text that needs little memory: it is dictionary-encoded unless most of its texts are distinct.

Labels, videos and identities repeat over millions of rows, so that checks run once per distinct text. Only image ids
differ in every row; they are stored row by row.
"""

from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np
from numpy.typing import NDArray

from piq_bench.records import IntArray

if TYPE_CHECKING:
    import pyarrow as pa

MAX_DISTINCT = 1 << 16  # with more, and more than half as many as rows, the texts are ids
PIECE_ROWS = 1 << 16


@dataclass(frozen=True, eq=False)
class Column(Sequence[str]):
    """One text per row.

    Attributes:
        texts: shape (n_texts,), str (object dtype); the distinct texts in any order, or one text per row.
        codes: shape (n_rows,), int32; index into `texts` of each row's text; None if `texts` has one text per row.
    """

    texts: NDArray[np.object_]
    codes: NDArray[np.int32] | None = None

    @classmethod
    def from_texts(cls, values: Sequence[str]) -> "Column":
        """A column of the given texts, one per row."""
        builder = ColumnBuilder()
        builder.extend(values)
        return builder.build()

    @classmethod
    def empty(cls, n_rows: int) -> "Column":
        """A column with the empty text in every row."""
        return cls(object_array([""] if n_rows else []), np.zeros(n_rows, dtype=np.int32))

    def __len__(self) -> int:
        return self.texts.size if self.codes is None else self.codes.size

    @overload
    def __getitem__(self, row: int) -> str: ...
    @overload
    def __getitem__(self, row: slice) -> Sequence[str]: ...
    def __getitem__(self, row: int | slice) -> str | Sequence[str]:
        if isinstance(row, slice):
            return list(map(self.__getitem__, range(len(self))[row]))
        return str(self.texts[row] if self.codes is None else self.texts[self.codes[row]])

    def __iter__(self) -> Iterator[str]:
        for first in range(0, len(self), PIECE_ROWS):
            part = slice(first, first + PIECE_ROWS)
            yield from (self.texts[part] if self.codes is None else self.texts[self.codes[part]]).tolist()

    @cached_property
    def distinct(self) -> frozenset[str]:
        """The distinct texts."""
        return frozenset(self.texts.tolist())

    def rows(self) -> NDArray[np.object_]:
        """Shape (n_rows,), str (object dtype); equal texts share one object if the column is encoded."""
        return self.texts if self.codes is None else self.texts[self.codes]

    def reordered(self, order: IntArray) -> "Column":
        """The column with row `order[i]` as its row i."""
        return Column(self.texts[order]) if self.codes is None else Column(self.texts, self.codes[order])

    def to_numbers(self, number: Mapping[str, int]) -> IntArray:
        """Shape (n_rows,); the number of each row's text."""
        numbers = np.fromiter(map(number.__getitem__, self.texts), dtype=np.int64, count=self.texts.size)
        return numbers if self.codes is None else numbers[self.codes]


class ColumnBuilder:
    """Builds a column from texts that arrive piece by piece."""

    def __init__(self) -> None:
        self._code_of = _Codes()
        self._codes = array("i")
        self._texts: list[str] | None = None  # used instead of codes once the texts turn out to be ids

    def extend(self, values: Sequence[str]) -> None:
        """Append rows."""
        if self._texts is not None:
            self._texts.extend(values)
            return
        self._codes.extend(map(self._code_of.__getitem__, values))
        if MAX_DISTINCT < len(self._code_of) > len(self._codes) // 2:
            texts = list(self._code_of)
            self._texts = list(map(texts.__getitem__, self._codes))

    def build(self) -> Column:
        """The column of all rows so far."""
        if self._texts is not None:
            return Column(object_array(self._texts))
        return Column(object_array(list(self._code_of)), np.array(self._codes, dtype=np.int32))


class _Codes(dict[str, int]):
    """Gives each new text the next code."""

    def __missing__(self, text: str) -> int:
        code = len(self)
        self[text] = code
        return code


def store_column(path: Path, values: "pa.ChunkedArray") -> None:
    """Write Parquet text, or numbers as text, to a file for `stored_column`."""
    import pyarrow as pa

    is_encoded = pa.types.is_dictionary(values.type)
    # One chunk, because Arrow goes through a whole dictionary once for each.
    content = _one_dictionary(values) if is_encoded else values.cast(pa.large_string()).combine_chunks()
    table = pa.table([content], names=[""])
    with pa.OSFile(str(path), "wb") as stream, pa.ipc.new_stream(stream, table.schema) as writer:
        writer.write_table(table)


def stored_column(path: Path) -> Column:
    """The column in a file of `store_column`, which must come from our own process."""
    import pyarrow as pa

    with pa.OSFile(str(path)) as stream, pa.ipc.open_stream(stream) as reader:
        values = reader.read_all().column(0)
    column = dictionary_column(values) if pa.types.is_dictionary(values.type) else arrow_column(values)
    del values
    pa.default_memory_pool().release_unused()  # Arrow would keep as much as the texts take
    return column


def arrow_column(values: "pa.ChunkedArray") -> Column:
    """A column from Parquet text of type large_string; null becomes the empty text."""
    import pyarrow as pa

    values = _filled(values)
    head, codes = _encode(values.slice(0, 2 * MAX_DISTINCT))
    if _are_ids(len(head), codes.size):
        return Column(_python_texts(values))
    distinct, codes = _encode(values) if codes.size < len(values) else (head, codes)
    return Column(_python_texts(pa.chunked_array([distinct])), codes)


def dictionary_column(values: "pa.ChunkedArray") -> Column:
    """A column from dictionary-encoded Parquet text; null becomes the empty text.

    Texts of the dictionary that no row has are dropped, and each text stays once.
    """
    import pyarrow as pa

    encoded = _one_dictionary(values)
    null = len(encoded.dictionary)
    codes = _indices(encoded.indices, null).astype(np.int32, copy=False)
    used = np.flatnonzero(np.bincount(codes, minlength=null + 1))
    texts = np.append(_python_texts(_filled(pa.chunked_array([encoded.dictionary]))), "")
    if _are_ids(used.size, codes.size):
        return Column(texts[codes])
    code_of = _Codes()
    new_codes = np.zeros(texts.size, dtype=np.int32)
    new_codes[used] = [code_of[text] for text in texts[used]]
    return Column(object_array(list(code_of)), new_codes[codes])


def _filled(values: "pa.ChunkedArray") -> "pa.ChunkedArray":
    """The texts with the empty text for null."""
    import pyarrow.compute as pc

    return pc.fill_null(values, "") if values.null_count else values  # not always: it imports pandas


def _one_dictionary(values: "pa.ChunkedArray") -> "pa.DictionaryArray":
    """Dictionary-encoded chunks as one, with texts of type large_string."""
    import pyarrow as pa

    chunks = values.unify_dictionaries().chunks
    dictionary = chunks[0].dictionary if chunks else pa.array([], pa.string())
    indices = pa.chunked_array([chunk.indices for chunk in chunks], values.type.index_type)
    return pa.DictionaryArray.from_arrays(indices.combine_chunks(), dictionary.cast(pa.large_string()))


def _are_ids(n_distinct: int, n_rows: int) -> bool:
    return MAX_DISTINCT < n_distinct > n_rows // 2


def _python_texts(values: "pa.ChunkedArray") -> NDArray[np.object_]:
    """Shape (n,); the texts of an array without nulls. Arrow's `to_numpy` would import pandas."""
    texts = np.empty(len(values), dtype=object)
    for first in range(0, texts.size, PIECE_ROWS):
        texts[first : first + PIECE_ROWS] = values.slice(first, PIECE_ROWS).to_pylist()
    return texts


def _indices(indices: "pa.Array", null: int) -> NDArray[np.integer[Any]]:
    """Indices into a dictionary, with `null` for those that are null; without `to_numpy` as well."""
    rows = slice(indices.offset, indices.offset + len(indices))
    valid, data = indices.buffers()
    if not len(indices):
        return np.zeros(0, dtype=np.int32)
    numbers = np.frombuffer(data, dtype=str(indices.type))[rows]
    if not indices.null_count:
        return numbers
    is_valid = np.unpackbits(np.frombuffer(valid, dtype=np.uint8), bitorder="little")[rows]
    return np.where(is_valid, numbers, null)


def _encode(values: "pa.ChunkedArray") -> "tuple[pa.Array, NDArray[np.int32]]":
    """The distinct texts, and the index of each row's text among them."""
    encoded = values.combine_chunks().dictionary_encode()
    return encoded.dictionary, _indices(encoded.indices, 0).astype(np.int32, copy=False)


def object_array(values: Sequence[str]) -> NDArray[np.object_]:
    """Shape (n,), object dtype; Python texts compare by code point and may have any length."""
    texts = np.empty(len(values), dtype=object)
    texts[:] = values
    return texts
