"""A column of text that needs little memory: it is dictionary-encoded unless most of its texts are distinct.

Labels, videos and identities repeat over millions of rows, so that checks run once per distinct text. Only image ids
differ in every row; they are stored row by row.
"""

from array import array
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import count, pairwise
from pathlib import Path
from typing import overload

import numpy as np
from numpy.typing import NDArray

from piq_bench.read.column_files import BOUNDS, CODES, LONG_BOUNDS, NULL, NUMBERS, TEXTS, are_ids
from piq_bench.records import IntArray

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
        self._code_of = _no_codes()
        self._codes = array("i")
        self._texts: list[str] | None = None  # used instead of codes once the texts turn out to be ids

    def extend(self, values: Sequence[str]) -> None:
        """Append rows."""
        if self._texts is not None:
            self._texts.extend(values)
            return
        self._codes.fromlist(list(map(self._code_of.__getitem__, values)))
        if are_ids(len(self._code_of), len(self._codes)):
            texts = list(self._code_of)
            self._texts = list(map(texts.__getitem__, self._codes))

    def build(self) -> Column:
        """The column of all rows so far."""
        if self._texts is not None:
            return Column(object_array(self._texts))
        return Column(object_array(list(self._code_of)), np.array(self._codes, dtype=np.int32))


def _no_codes() -> defaultdict[str, int]:
    """Gives each new text the next code."""
    return defaultdict(count().__next__)


def stored_column(path: Path) -> Column:
    """The column in the files of `read.unpack_column`, which must come from our own process."""
    if path.with_suffix(NUMBERS).exists():
        numbers, rows = np.unique(np.fromfile(path.with_suffix(NUMBERS), dtype=np.int64), return_inverse=True)
        texts = object_array(list(map(str, numbers.tolist())))
        return Column(texts[rows]) if are_ids(texts.size, rows.size) else Column(texts, rows.astype(np.int32))
    texts = _stored_texts(path)
    try:
        codes = np.fromfile(path.with_suffix(CODES), dtype=np.int32)
    except FileNotFoundError:  # one text per row
        return Column(texts)
    texts = np.append(texts, "")  # for NULL
    codes[codes == NULL] = texts.size - 1
    used = np.flatnonzero(np.bincount(codes, minlength=texts.size))
    if are_ids(used.size, codes.size):
        return Column(texts[codes])
    code_of = _no_codes()  # a dictionary may hold a text twice, and texts that no row has
    new_codes = np.zeros(texts.size, dtype=np.int32)
    new_codes[used] = [code_of[text] for text in texts[used]]
    return Column(object_array(list(code_of)), new_codes[codes])


def _stored_texts(path: Path) -> NDArray[np.object_]:
    is_long = path.with_suffix(LONG_BOUNDS).exists()
    bounds = np.fromfile(path.with_suffix(LONG_BOUNDS if is_long else BOUNDS), np.int64 if is_long else np.int32)
    texts = np.empty(max(0, bounds.size - 1), dtype=object)
    with path.with_suffix(TEXTS).open("rb") as stream:
        stream.seek(int(bounds[0]) if bounds.size else 0)
        for first in range(0, texts.size, PIECE_ROWS):
            own = bounds[first : first + PIECE_ROWS + 1]
            content = stream.read(int(own[-1] - own[0]))
            ends = pairwise((own - own[0]).tolist())
            text = content.decode()
            is_ascii = len(text) == len(content)
            texts[first : first + PIECE_ROWS] = (
                [text[start:end] for start, end in ends]
                if is_ascii
                else [content[start:end].decode() for start, end in ends]
            )
    return texts


def object_array(values: Sequence[str]) -> NDArray[np.object_]:
    """Shape (n,), object dtype; Python texts compare by code point and may have any length."""
    texts = np.empty(len(values), dtype=object)
    texts[:] = values
    return texts
