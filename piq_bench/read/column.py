"""One column of text, small in memory: texts that repeat are held once, each row says which.

Labels, films and people repeat for millions of rows, and whatever is to be known of a value is worked out once per
different text. Only ids are different in every row.
"""

from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, overload

import numpy as np
from numpy.typing import NDArray

from piq_bench.records import IntArray

if TYPE_CHECKING:
    import pyarrow as pa

MANY = 1 << 16  # so many different texts, in more than half of the rows, are ids
PIECE_ROWS = 1 << 16


@dataclass(frozen=True, eq=False)
class Column(Sequence[str]):
    """Texts, row by row.

    Attributes:
        texts: shape (n_texts,), str (object dtype); texts that occur, each once, in no order; or one for each row.
        code: shape (n_rows,), int32; place of each row's text in `texts`; None where row i has text i.
    """

    texts: NDArray[np.object_]
    code: NDArray[np.int32] | None = None

    @classmethod
    def of(cls, values: Sequence[str]) -> "Column":
        """A column of given texts."""
        collected = Collector()
        collected.extend(values)
        return collected.column()

    @classmethod
    def empty(cls, n_rows: int) -> "Column":
        """The empty text in every row."""
        return cls(object_array([""] if n_rows else []), np.zeros(n_rows, dtype=np.int32))

    def __len__(self) -> int:
        return self.texts.size if self.code is None else self.code.size

    @overload
    def __getitem__(self, row: int) -> str: ...
    @overload
    def __getitem__(self, row: slice) -> Sequence[str]: ...
    def __getitem__(self, row: int | slice) -> str | Sequence[str]:
        if isinstance(row, slice):
            return list(map(self.__getitem__, range(len(self))[row]))
        return str(self.texts[row] if self.code is None else self.texts[self.code[row]])

    def __iter__(self) -> Iterator[str]:
        for first in range(0, len(self), PIECE_ROWS):
            part = slice(first, first + PIECE_ROWS)
            yield from (self.texts[part] if self.code is None else self.texts[self.code[part]]).tolist()

    @cached_property
    def distinct(self) -> frozenset[str]:
        """Every text that occurs."""
        return frozenset(self.texts.tolist())

    def rows(self) -> NDArray[np.object_]:
        """Shape (n_rows,); equal texts are one object where they repeat much."""
        return self.texts if self.code is None else self.texts[self.code]

    def taken(self, order: IntArray) -> "Column":
        """The rows in another order."""
        return Column(self.texts[order]) if self.code is None else Column(self.texts, self.code[order])

    def numbered(self, number: Mapping[str, int]) -> IntArray:
        """Shape (n_rows,); a number for each text."""
        numbers = np.fromiter(map(number.__getitem__, self.texts), dtype=np.int64, count=self.texts.size)
        return numbers if self.code is None else numbers[self.code]


class Collector:
    """Takes the values of a column piece by piece."""

    def __init__(self) -> None:
        self._number = _Numbers()
        self._code = array("i")
        self._texts: list[str] | None = None  # instead, once they turn out to be ids

    def extend(self, values: Sequence[str]) -> None:
        """Append values."""
        if self._texts is not None:
            self._texts.extend(values)
            return
        self._code.extend(map(self._number.__getitem__, values))
        if MANY < len(self._number) > len(self._code) // 2:
            texts = list(self._number)
            self._texts = list(map(texts.__getitem__, self._code))

    def column(self) -> Column:
        """What was taken."""
        if self._texts is not None:
            return Column(object_array(self._texts))
        return Column(object_array(list(self._number)), np.array(self._code, dtype=np.int32))


class _Numbers(dict[str, int]):
    """Numbers texts as they come."""

    def __missing__(self, text: str) -> int:
        number = len(self)
        self[text] = number
        return number


def arrow_column(values: "pa.ChunkedArray") -> Column:
    """A column of Parquet, cast to large_string; null is the empty text."""
    import pyarrow.compute as pc

    values = pc.fill_null(values, "")
    n_rows = len(values)
    head, code = _coded(values.slice(0, 2 * MANY))
    if MANY < len(head) > code.size // 2:
        texts = np.empty(n_rows, dtype=object)
        for first in range(0, n_rows, PIECE_ROWS):
            texts[first : first + PIECE_ROWS] = values.slice(first, PIECE_ROWS).to_numpy()
        return Column(texts)
    distinct, code = _coded(values) if code.size < n_rows else (head, code)
    return Column(object_array(distinct.to_pylist()), code)


def _coded(values: "pa.ChunkedArray") -> "tuple[pa.Array, NDArray[np.int32]]":
    """The distinct texts, and the place of each row's among them."""
    import pyarrow as pa

    chunks = values.dictionary_encode().unify_dictionaries().chunks
    code = [chunk.indices.to_numpy() for chunk in chunks]
    distinct = chunks[0].dictionary if chunks else pa.array([], pa.large_string())
    return distinct, np.concatenate([np.zeros(0, dtype=np.int32), *code])


def object_array(values: Sequence[str]) -> NDArray[np.object_]:
    """Shape (n,); Python texts, which compare by code point and may be of any length."""
    texts = np.empty(len(values), dtype=object)
    texts[:] = values
    return texts
