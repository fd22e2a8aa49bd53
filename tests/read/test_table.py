"""Tables are read as unchanged text, with the line number of each row."""

import csv
import io
import os
from pathlib import Path
from random import Random
from types import ModuleType

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from folders import write_csv, write_parquet
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from unpacking_here import unpack_forked

from piq_bench.errors import BadDataset, BadSubmission, LimitExceeded
from piq_bench.read import table as module
from piq_bench.read import table_header, unpack_table
from piq_bench.read.table import Table, read_ahead, read_table

CELLS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)


def written(folder: Path, content: str | bytes, name: str = "table.csv") -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def columns(table: Table) -> dict[str, list[str]]:
    return {name: list(column) for name, column in table.columns.items()}


@pytest.mark.parametrize("name", ["table.csv", "table.parquet"])
def test_a_table_read_ahead_is_the_same_one(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    (write_csv if path.suffix == ".csv" else write_parquet)(path)
    table, problems = read_ahead(path, comment=True)()
    assert columns(table) == columns(read_table(path, comment=True)[0])
    assert (table.n_rows > 0, problems) == (True, [])
    path.write_bytes(b"")
    refused = read_ahead(path)
    with pytest.raises(BadDataset):
        refused()


def codes(path: Path) -> list[str]:
    """Codes of all problems, raised or returned."""
    try:
        return [problem.code for problem in read_table(path)[1]]
    except (BadDataset, LimitExceeded) as refusal:
        return [problem.code for problem in refusal.problems]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(rows=st.lists(st.tuples(CELLS, CELLS, CELLS), max_size=6), end=st.sampled_from(["\n", "\r\n"]))
def test_csv_comes_back_as_it_was_written_with_the_line_of_each_row(
    tmp_path: Path, rows: list[tuple[str, str, str]], end: str
) -> None:
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, lineterminator=end, quoting=csv.QUOTE_ALL)
    writer.writerow(("a", "b", "c"))
    expected_lines = []
    for row in rows:
        written_so_far = stream.getvalue()
        # Universal newlines: an editor ends a line at \n, \r and \r\n.
        expected_lines.append(len(io.StringIO(written_so_far, newline=None).read().split("\n")))
        writer.writerow(row)
    table, problems = read_table(written(tmp_path, stream.getvalue()))
    assert problems == []
    assert list(zip(*table.columns.values(), strict=True)) == rows
    assert list(table.lines) == expected_lines


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(rows=st.lists(st.tuples(CELLS, CELLS), max_size=6))
def test_parquet_comes_back_as_it_was_written(tmp_path: Path, rows: list[tuple[str, str]]) -> None:
    table, problems = read_table(write_parquet(tmp_path / "table.parquet", rows, ("a", "b")))
    assert problems == []
    assert list(zip(*table.columns.values(), strict=True)) == rows
    assert list(table.lines) == list(range(1, len(rows) + 1))
    assert table.unit == "row"


def test_the_batch_size_does_not_change_the_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [(f"{n}", "two\nlines" if n % 7 == 3 else "one") for n in range(50)]
    path = write_csv(tmp_path / "table.csv", rows, ("a", "b"))

    def read(size: int) -> tuple[dict[str, list[str]], list[int]]:
        monkeypatch.setattr(module, "BATCH_ROWS", size)
        table, _ = read_table(path)
        return columns(table), list(table.lines)

    assert read(1) == read(3) == read(256)


def test_a_byte_order_mark_blank_lines_and_windows_line_ends_are_ignored(tmp_path: Path) -> None:
    table, problems = read_table(written(tmp_path, b"\xef\xbb\xbfa,b\r\n1,2\r\n\r\n3,4"))
    assert problems == []
    assert columns(table) == {"a": ["1", "3"], "b": ["2", "4"]}
    assert [table.place(row) for row in (0, 1)] == ["line 2", "line 4"]


def test_text_is_read_unchanged(tmp_path: Path) -> None:
    table, _ = read_table(written(tmp_path, "a,b\n007, 7\nNaN,1e5\nNULL,\n"))
    assert columns(table) == {"a": ["007", "NaN", "NULL"], "b": [" 7", "1e5", ""]}


def test_a_comment_is_read_on_request(tmp_path: Path) -> None:
    path = written(tmp_path, '# kind {"x": 1}\na\n1\n')
    table, _ = read_table(path, comment=True)
    assert (table.comment, columns(table), list(table.lines)) == ('kind {"x": 1}', {"a": ["1"]}, [3])
    without, _ = read_table(written(tmp_path, "a\n1\n"), comment=True)
    assert (without.comment, list(without.lines)) == (None, [2])


def test_parquet_metadata_is_the_comment(tmp_path: Path) -> None:
    content = pa.table({"a": ["1"]}).replace_schema_metadata({"piq-bench": "kind"})
    pq.write_table(content, tmp_path / "table.parquet")
    assert read_table(tmp_path / "table.parquet")[0].comment == "kind"


def test_whole_numbers_dictionaries_and_nulls_of_parquet_are_text(tmp_path: Path) -> None:
    content = {
        "number": pa.array([16777216, None], pa.int64()),
        "names": pa.array(["x", None]).dictionary_encode(),
        "large": pa.array(["y", ""], pa.large_string()),
        "nothing": pa.nulls(2),
    }
    pq.write_table(pa.table(content), tmp_path / "table.parquet")
    table, problems = read_table(tmp_path / "table.parquet")
    assert problems == []
    assert columns(table) == {"number": ["16777216", ""], "names": ["x", ""], "large": ["y", ""], "nothing": ["", ""]}


@pytest.mark.parametrize(
    ("column", "shown"),
    [
        (pa.array([1.5]), "double"),
        (pa.array([["x"]]), "list<"),
        (pa.array([True]), "bool"),
        (pa.array([b"x"]), "binary"),
    ],
)
def test_other_types_of_parquet_are_refused(tmp_path: Path, column: pa.Array, shown: str) -> None:
    pq.write_table(pa.table({"a": ["x"], "b": column}), tmp_path / "table.parquet")
    table, problems = read_table(tmp_path / "table.parquet")
    assert [problem.code for problem in problems] == ["column-type"]
    assert "'b' is of type" in problems[0].found
    assert shown in problems[0].found
    assert columns(table)["a"] == ["x"]


@pytest.mark.parametrize(
    ("content", "code", "says"),
    [
        ("a,b\n1\n1,2\n1,2,3\n", "ragged-row", "'line 2: 1 values', 'line 4: 3 values'"),
        (b"a,b\n1,2\n\xff,2\n\xc3", "encoding", "not UTF-8 on line 3, 4"),
        (b"a,b\n1,\0\n", "nul-byte", "NUL bytes on line 2"),
        ('a,b\n1,2\n"x"y,2\n', "csv-syntax", "the row that begins on line 3"),
        ('a,b\n1,2\n"never,closed\n1,2\n', "csv-syntax", "the row that begins on line 3"),
        ("a,a\n1,2\n", "duplicate-column", "'a'"),
        ("a, b\n1,2\n", "column-name", "' b'"),
        ("a,\n1,2\n", "column-name", "''"),
        ("a,\x1b[31m\n1,2\n", "column-name", r"'\x1b[31m'"),
    ],
)
def test_problems_are_returned_with_their_lines(tmp_path: Path, content: str | bytes, code: str, says: str) -> None:
    table, problems = read_table(written(tmp_path, content))
    assert isinstance(table, Table)
    assert code in [problem.code for problem in problems]
    assert says in next(problem.found for problem in problems if problem.code == code)


def test_rows_before_and_after_a_fault_are_kept(tmp_path: Path) -> None:
    table, _ = read_table(written(tmp_path, 'a,b\n1,2\n3\n4,5\n"6"7,8\n9,10\n'))
    assert columns(table) == {"a": ["1", "4"], "b": ["2", "5"]}
    assert list(table.lines) == [2, 4]


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("table.csv", b"", "empty-file"),
        ("table.csv", b"\n\n", "empty-file"),
        ("table.csv", b"a;b\n1;2\n", "separator"),
        ("table.csv", "a,b\n".encode("utf-16"), "encoding"),
        ("table.tsv", b"a\tb\n", "table-format"),
        ("table.parquet", b"PAR1 no more", "parquet"),
        ("table.parquet", b"a,b\n1,2\n", "parquet"),
    ],
)
def test_a_file_that_is_not_a_table_is_refused(tmp_path: Path, name: str, content: bytes, code: str) -> None:
    path = written(tmp_path, content, name)
    assert codes(path) == [code]
    with pytest.raises(BadSubmission):
        read_table(path, refusal=BadSubmission)


def test_parquet_text_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    broken = pa.Array.from_buffers(pa.string(), 1, [None, pa.py_buffer(b"\0\0\0\0\1\0\0\0"), pa.py_buffer(b"\xff")])
    pq.write_table(pa.table({"a": broken}), tmp_path / "table.parquet")
    assert codes(tmp_path / "table.parquet") == ["parquet"]


def test_a_truncated_parquet_file_is_refused(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "table.parquet")
    for kept in (0.3, 0.6, 0.99):
        content = path.read_bytes()
        cut = written(tmp_path, content[: int(len(content) * kept)], "cut.parquet")
        assert codes(cut) == ["parquet"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="one process per file takes too long")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.parametrize("seed", range(2))
def test_a_damaged_parquet_file_is_read_or_refused_and_nothing_else(
    tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "unpack_apart", unpack_forked)
    random = Random(seed)
    whole = write_parquet(tmp_path / "table.parquet").read_bytes()
    for _ in range(20):  # each takes a process; tests/fuzz reads thousands
        damaged = bytearray(whole)
        for _ in range(random.randint(1, 3)):
            damaged[random.randrange(len(damaged))] = random.randrange(256)
        try:
            table, _ = read_table(written(tmp_path, bytes(damaged), "damaged.parquet"))
        except (BadDataset, LimitExceeded) as refusal:
            assert str(refusal).replace("\n", "").isprintable()
        else:
            assert {len(column) for column in table.columns.values()} <= {table.n_rows}


def test_paths_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    (tmp_path / "folder.csv").mkdir()
    assert codes(tmp_path / "folder.csv") == ["unreadable-file"]
    assert codes(tmp_path / "absent.csv") == ["unreadable-file"]


@pytest.mark.parametrize(
    ("place", "limit", "content"),
    [
        (module, "MAX_BYTES", "a,b\n1,2\n3,4\n5,6\n"),
        (module, "MAX_TABLE_ROWS", "a,b\n1,2\n3,4\n5,6\n"),
        (table_header, "MAX_COLUMNS", "a,b,c,d\n1,2,3,4\n"),
        (module, "MAX_LINE", "a,b\n1,222222222222\n"),
    ],
)
def test_limits_apply_to_csv(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: ModuleType, limit: str, content: str
) -> None:
    monkeypatch.setattr(place, limit, 2)
    with pytest.raises(LimitExceeded) as refusal:
        read_table(written(tmp_path, content))
    assert [problem.code for problem in refusal.value.problems] == ["too-large"]
    assert refusal.value.exit_code == 6


@pytest.mark.parametrize(
    ("place", "limit"), [(module, "MAX_BYTES"), (unpack_table, "MAX_TABLE_ROWS"), (table_header, "MAX_COLUMNS")]
)
def test_limits_apply_to_parquet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: ModuleType, limit: str
) -> None:
    path = write_parquet(tmp_path / "table.parquet")
    monkeypatch.setattr(place, limit, 2)
    assert codes(path) == ["too-large"]


def test_the_size_that_parquet_declares_is_checked_before_its_content(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "table.parquet"
    names = [f"{n:06}" for n in range(5000)]
    pq.write_table(pa.table({"a": names}), path, compression="zstd", use_dictionary=False)
    monkeypatch.setattr(
        unpack_table, "MAX_TABLE_BYTES", path.stat().st_size + 1
    )  # the file passes, what it unpacks to does not
    with pytest.raises(LimitExceeded, match="unpacks to"):
        read_table(path)


INDEX = ",image,age\n0,a,1\n1,b,2\n"


@pytest.mark.parametrize("mark", ["", "\ufeff"], ids=["", "byte order mark"])
def test_the_index_of_pandas_is_ignored_with_a_note(tmp_path: Path, mark: str) -> None:
    table, problems = read_table(written(tmp_path, mark + INDEX))
    assert problems == []
    assert columns(table) == {"image": ["a", "b"], "age": ["1", "2"]}
    (note,) = table.notes
    assert note.code == "index-column"
    assert "the first column has no name" in note.found
    assert "index=False" in note.remedy


def test_pandas_writes_such_an_index(tmp_path: Path) -> None:
    frame = pytest.importorskip("pandas").DataFrame({"image": ["a", "b"], "age": ["1", "2"]})
    frame.to_csv(tmp_path / "table.csv")
    assert (tmp_path / "table.csv").read_text() == INDEX


def test_empty_columns_of_spreadsheets_are_ignored_with_a_note(tmp_path: Path) -> None:
    table, problems = read_table(written(tmp_path, "a,,b,,\n1,,2,,\n3,,4,,\n"))
    assert problems == []
    assert columns(table) == {"a": ["1", "3"], "b": ["2", "4"]}
    assert [(note.code, note.count) for note in table.notes] == [("empty-column", 3)]


def test_a_filled_column_without_name_is_refused_once(tmp_path: Path) -> None:
    table, problems = read_table(written(tmp_path, "a,,b,,\n1,,2,x,\n3,,4,,y\n"))
    assert [(problem.code, problem.count) for problem in problems] == [("column-name", 2)]
    assert "of column 4" in problems[0].found
    assert columns(table) == {"a": ["1", "3"], "b": ["2", "4"]}


@pytest.mark.parametrize("line", ["sep=,", "sep=;", "SEP=\t", '"sep=,"', "sep="])
def test_the_separator_line_of_spreadsheets_is_one_problem(tmp_path: Path, line: str) -> None:
    with pytest.raises(BadDataset) as refused:
        read_table(written(tmp_path, f"{line}\na,b,c\n1,2,3\n"))
    (problem,) = refused.value.problems
    assert problem.code == "separator"
    assert "sep=" in problem.found.lower() and "delete this line" in problem.remedy


def test_columns_of_other_types_are_left_to_the_caller_if_asked(tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": ["x"], "b": [0.5], "c": [[1.0]]}), tmp_path / "table.parquet")
    table, problems = read_table(tmp_path / "table.parquet", any_type=True)
    assert problems == []
    assert columns(table) == {"a": ["x"]}
    assert {name: problem.code for name, problem in table.untyped.items()} == {"b": "column-type", "c": "column-type"}
