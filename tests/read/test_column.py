"""Columns of text return what was put in, encoded or not."""

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from piq_bench.read import column as module
from piq_bench.read import column_files, unpack_column
from piq_bench.read.column import Column, ColumnBuilder, stored_column
from piq_bench.read.unpack_column import store_column

CELLS = st.lists(st.text(st.sampled_from("ab\0é"), max_size=2), max_size=30)
STORE_AND_LOAD = """\
import sys
from pathlib import Path
import pyarrow as pa
from piq_bench.read.column import stored_column
from piq_bench.read.unpack_column import store_column
ids = [f"{n:020}" for n in range(64_000)]
chunks = [pa.array(ids[first : first + 250] * 3) for first in range(0, len(ids), 250)]
values = pa.chunked_array([chunk.dictionary_encode() for chunk in chunks] if sys.argv[2] == "encoded" else chunks)
store_column(Path(sys.argv[1]), values)
column = stored_column(Path(sys.argv[1]))
assert list(column) == [text for chunk in chunks for text in chunk.to_pylist()]
print(pa.default_memory_pool().max_memory() / values.nbytes)
"""


def stored(values: pa.ChunkedArray) -> Column:
    """The column that comes back from its files."""
    with TemporaryDirectory() as folder:
        store_column(Path(folder, "7"), values)
        return stored_column(Path(folder, "7"))


@given(values=CELLS, pieces=st.integers(1, 7), many=st.integers(1, 20))
def test_a_column_is_the_texts_it_was_made_of(values: list[str], pieces: int, many: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(column_files, "MAX_DISTINCT", many)
        patch.setattr(unpack_column, "MAX_DISTINCT", many)
        patch.setattr(module, "PIECE_ROWS", pieces)
        builder = ColumnBuilder()
        for first in range(0, len(values), pieces):
            builder.extend(values[first : first + pieces])
        chunks = [pa.array(values[i : i + pieces], pa.large_string()) for i in range(0, len(values), pieces)]
        arrow = stored(pa.chunked_array(chunks, pa.large_string()))
        # The pieces have dictionaries of their own, which hold a text twice, and texts that no row has.
        encoded = [
            pa.DictionaryArray.from_arrays(
                pa.array([2 * place + place % 2 for place in range(len(chunk))], pa.int8()),
                pa.array([text for text in chunk.to_pylist() for _ in range(2)], pa.string()),
            )
            for chunk in chunks
        ]
        dictionary = stored(pa.chunked_array(encoded, pa.dictionary(pa.int8(), pa.string())))
        for column in (builder.build(), arrow, dictionary, Column.from_texts(values)):
            assert list(column) == values == column.rows().tolist() == column[:]
            assert len(column) == len(values)
            assert [column[row] for row in range(len(values))] == values
            assert column.distinct == set(values)
            number = {value: 7 * i for i, value in enumerate(sorted(set(values)))}
            assert column.to_numbers(number).tolist() == [number[value] for value in values]
            order = np.random.default_rng(len(values)).permutation(len(values))
            assert list(column.reordered(order)) == [values[row] for row in order]


def test_repeated_texts_are_encoded_and_ids_are_not() -> None:
    column = Column.from_texts(["red", "green"] * 1000)
    assert column.texts.tolist() == ["red", "green"]
    assert column.rows()[0] is column.rows()[998]
    ids = [f"{n:07}" for n in range(2 * column_files.MAX_DISTINCT)]
    assert Column.from_texts(ids).codes is None
    assert stored(pa.chunked_array([pa.array(ids, pa.large_string())])).codes is None


def test_null_is_the_empty_text() -> None:
    values = pa.chunked_array([pa.array([None, "x"], pa.large_string()), pa.array([None], pa.large_string())])
    assert list(stored(values)) == ["", "x", ""]
    assert list(Column.empty(2)) == ["", ""]
    assert Column.empty(0).distinct == frozenset()


@pytest.mark.parametrize("kind", [pa.string(), pa.dictionary(pa.int32(), pa.string()), pa.int64()])
def test_a_stored_column_is_the_same_one(kind: pa.DataType) -> None:
    values: list[object] = [7, None, 7, -1] if kind == pa.int64() else ["é", None, "é", ""]
    texts = ["" if value is None else str(value) for value in [*values, values[0]]]
    assert list(stored(pa.chunked_array([pa.array(values, kind), pa.array(values[:1], kind)], kind))) == texts
    assert list(stored(pa.chunked_array([pa.array(values, kind)[2:]], kind))) == texts[2:4]


@given(values=st.lists(st.integers(-(2**63), 2**63 - 1)), pieces=st.integers(1, 7), skipped=st.integers(0, 3))
def test_numbers_are_their_texts(values: list[int], pieces: int, skipped: int) -> None:
    chunks = [pa.array(values[first : first + pieces], pa.int64()) for first in range(0, len(values), pieces)]
    for many in (0, 1 << 16):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(column_files, "MAX_DISTINCT", many)
            column = stored(pa.chunked_array([chunk[skipped:] for chunk in chunks], pa.int64()))
        assert list(column) == [str(value) for chunk in chunks for value in chunk.to_pylist()[skipped:]]
        assert (column.codes is None) == (2 * column.texts.size > len(column) and many == 0)


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.string_view(), pa.int64()])
def test_a_dictionary_of_any_type_is_its_texts(kind: pa.DataType) -> None:
    numbers = [7, None, 7, -1]
    values = numbers if kind == pa.int64() else [None if number is None else f"é{number}" for number in numbers]
    codes = pa.array([3, 0, 1, 2, None, 0], pa.uint8())
    column = stored(pa.chunked_array([pa.DictionaryArray.from_arrays(codes, pa.array(values, kind))]))
    texts = ["" if value is None else str(value) for value in values]
    assert list(column) == [texts[3], texts[0], texts[1], texts[2], "", texts[0]]


def test_a_text_of_a_dictionary_is_held_once() -> None:
    twice = pa.DictionaryArray.from_arrays(pa.array([0, 1, None, 0]), pa.array(["a", "a", "unused"]))
    column = stored(pa.chunked_array([twice]))
    assert (column.texts.tolist(), list(column)) == (["a", ""], ["a", "a", "", "a"])
    null = pa.DictionaryArray.from_arrays(pa.array([0, 1, None, 0]), pa.array([None, "a"]))
    assert list(stored(pa.chunked_array([null]))) == ["", "a", "", ""]


@pytest.mark.parametrize("kind", [pa.int8(), pa.uint8(), pa.int32(), pa.int64()])
def test_slices_of_a_dictionary_with_nulls_are_their_texts(kind: pa.DataType) -> None:
    texts = ["a", None, "b", "", "a", "c", None, "b", "d", "d", "a", None]
    encoded = pa.array(texts, pa.string()).dictionary_encode().cast(pa.dictionary(kind, pa.string()))
    for first, last in ((0, 12), (3, 12), (4, 6), (9, 11), (5, 5)):
        column = stored(pa.chunked_array([encoded[first:last], encoded[:2]]))
        assert list(column) == [text or "" for text in (*texts[first:last], *texts[:2])]
        assert list(stored(pa.chunked_array([encoded[first:last]]))) == [text or "" for text in texts[first:last]]


def test_a_part_of_a_dictionary_is_a_dictionary() -> None:
    for kind in (pa.string(), pa.large_string()):
        part = pa.array(["unused", "é", "b", "c"], kind)[1:]
        column = stored(pa.chunked_array([pa.DictionaryArray.from_arrays(pa.array([2, 0, 1, 0]), part)]))
        assert list(column) == ["c", "é", "b", "é"]


@pytest.mark.parametrize("kind", ["encoded", "plain"])
def test_memory_follows_the_texts_and_not_the_chunks(tmp_path: Path, kind: str) -> None:
    command = [sys.executable, "-c", STORE_AND_LOAD, str(tmp_path / "a"), kind]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert float(done.stdout) < 10  # times the memory of the column; with a dictionary for each chunk, 61 and 19
