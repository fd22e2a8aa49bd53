"""Tables that break a rule are refused with exit code 4 and a message with place, value and remedy, no traceback."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from folders import COLUMNS, ROWS, TOML, Row, changed, write_csv, write_folder, write_parquet

from piq_bench.cli.stats import stats_command
from piq_bench.errors import EXIT_BAD_DATASET, BadDataset, LimitExceeded
from piq_bench.read.dataset import inspect_dataset, read_benchmark


@dataclass(frozen=True)
class Bad:
    """A data set with one fault.

    Attributes:
        code: the code of the expected problem.
        says: texts that the message must contain.
        rows, columns, toml: content of the folder.
        spoil: changes the folder after it was written.
        described: whether `piq-stats` describes the data set before it exits with 4.
    """

    code: str
    says: Sequence[str]
    rows: Sequence[Row] = ROWS
    columns: Row = COLUMNS
    toml: str = TOML
    spoil: Callable[[Path], object] = field(default=lambda folder: None)
    described: bool = False


def without(name: str) -> tuple[Sequence[Row], Row]:
    """Rows and columns without one column."""
    index = COLUMNS.index(name)
    return [(*row[:index], *row[index + 1 :]) for row in ROWS], (*COLUMNS[:index], *COLUMNS[index + 1 :])


def renamed(name: str, new: str) -> Row:
    return tuple(new if column == name else column for column in COLUMNS)


def replaced_by_a_folder(folder: Path) -> None:
    (folder / "annotations.csv").unlink()
    (folder / "annotations.csv").mkdir()


def raw(content: bytes) -> Callable[[Path], object]:
    return lambda folder: (folder / "annotations.csv").write_bytes(content)


def image(path: str) -> Sequence[Row]:
    return changed(3, image=path)


BAD = {
    "path leaves": Bad("image-path", ["line 5 ('../x.jpg')", "it leaves the folder"], image("../x.jpg")),
    "path leaves inside": Bad("image-path", ["'b/../../x.jpg'", "it leaves"], image("b/../../x.jpg")),
    "path absolute": Bad("image-path", ["'/x.jpg'", "it is absolute"], image("/x.jpg")),
    "path with drive": Bad("image-path", ["'C:/x.jpg'", "it is absolute"], image("C:/x.jpg")),
    "path with backslash": Bad("image-path", ["it has a backslash", "forward slashes"], image("b\\x.jpg")),
    "path with escape": Bad("image-path", [r"\x1b[31mx.jpg", "control characters"], image("\x1b[31mx.jpg")),
    "path with line break": Bad("image-path", [r"\nx.jpg", "control characters"], image("b/\nx.jpg")),
    "path turned around": Bad("image-path", [r"\u202e", "control characters"], image("b/\u202egpj.x")),
    "path empty": Bad("image-path", ["line 5", "it is empty"], image("")),
    "path with empty segment": Bad("image-path", ["empty or '.' segment"], image("b//x.jpg")),
    "path with dot segment": Bad("image-path", ["empty or '.' segment"], image("./x.jpg")),
    "path is a folder": Bad("image-path", ["empty or '.' segment"], image("b/")),
    "path with blank": Bad("image-path", ["'b/x.jpg '", "spaces at its ends"], image("b/x.jpg ")),
    "path too long": Bad("image-path", ["more than 1024 characters"], image("b/" * 600 + "x.jpg")),
    "segment too long": Bad("image-path", ["more than 255 bytes"], image("b/" + "x" * 256)),
    "same row twice": Bad("duplicate-image", ["line 9 ('a/01.jpg')", "also in line 2"], [*ROWS, ROWS[0]]),
    "image in two splits": Bad(
        "image-in-two-splits", ["line 5 ('a/01.jpg')", "(train, here query)"], image("a/01.jpg")
    ),
    "split unknown": Bad("unknown-split", ["line 5", "'test'", "query and gallery together"], changed(3, split="test")),
    "split misspelt": Bad("unknown-split", ["'galery'", "did you mean 'gallery'?"], changed(4, split="galery")),
    "split empty": Bad("unknown-split", ["line 5", "''"], changed(3, split="")),
    "split in capitals": Bad("unknown-split", ["did you mean 'train'?"], changed(0, split="Train")),
    "label unknown": Bad(
        "bad-label",
        ["annotations.csv: gender", "line 2 ('a/01.jpg')", "'femal'", "did you mean 'female'?"],
        changed(0, gender="femal"),
    ),
    "label with blank": Bad("bad-label", ["'male '", "did you mean 'male'?"], changed(3, gender="male ")),
    "two labels for a task of one": Bad(
        "bad-label", ["this task takes a single label"], changed(0, gender="female|male")
    ),
    "empty set for a task of one": Bad("bad-label", ["'-': unknown label"], changed(0, gender="-")),
    "multi-label unknown": Bad("bad-label", ["'sad|hapy'", "did you mean 'happy'?"], changed(0, mood="sad|hapy")),
    "multi-label twice": Bad("bad-label", ["'sad|sad'", "a label occurs twice"], changed(0, mood="sad|sad")),
    "multi-label with nothing": Bad("bad-label", ["before or after a '|' is missing"], changed(0, mood="sad|")),
    "multi-label none and one": Bad(
        "bad-label", ["'-|sad'", "'-' cannot be combined with labels"], changed(0, mood="-|sad")
    ),
    "multi-label by comma": Bad("bad-label", ["'sad,angry'", "joined by '|'"], changed(0, mood="sad,angry")),
    "identity with blank": Bad("bad-text", ["annotations.csv: identity", "'p1 '"], changed(0, identity="p1 ")),
    "identity with escape": Bad("bad-text", [r"\x07", "control characters"], changed(0, identity="p\x07")),
    "camera too long": Bad("bad-text", ["camera", "more than 256 characters"], changed(0, camera="c" * 300)),
    "identity in train and test": Bad(
        "identity-overlap",
        ["'p1' is in train (line 2 ('a/01.jpg')) and in gallery (line 7 ('b/03.jpg'))"],
        changed(5, identity="p1"),
        described=True,
    ),
    "query without a gallery image": Bad(
        "query-not-in-gallery",
        ["no gallery image of 'p9' (line 5 ('b/01.jpg'))"],
        changed(3, identity="p9"),
        described=True,
    ),
    "no column image": Bad("missing-column", ["there is no column 'image'"], *without("image")),
    "no column split": Bad("missing-column", ["there is no column 'split'"], *without("split")),
    "no column identity": Bad("missing-column", ["there is no column 'identity'"], *without("identity")),
    "no column of a task": Bad("missing-column", ["there is no column 'mood'"], *without("mood")),
    "task misspelt": Bad("unknown-column", ["'Gender'", "call it 'gender'"], columns=renamed("gender", "Gender")),
    "camera misspelt": Bad("unknown-column", ["'camra'", "call it 'camera'"], columns=renamed("camera", "camra")),
    "column twice": Bad("duplicate-column", ["'gender'"], columns=renamed("source", "gender")),
    "column without name": Bad("column-name", ["''"], columns=renamed("source", "")),
    "column with blank": Bad("column-name", ["' source'"], columns=renamed("source", " source")),
    "ragged": Bad("ragged-row", ["line 9: 2 values", "7 values, as in the header"], [*ROWS, ("c.jpg", "train")]),
    "no rows": Bad("no-rows", ["one row per image"], []),
    "empty file": Bad("empty-file", ["0 bytes"], spoil=raw(b"")),
    "semicolons": Bad("separator", ["commas"], spoil=raw(b"image;split;identity\na;train;p\n")),
    "UTF-16": Bad("encoding", ["UTF-16", "UTF-8"], spoil=raw("image,split\n".encode("utf-16"))),
    "Latin-1": Bad("encoding", ["not UTF-8 on line 2"], spoil=raw("image,split\nä.jpg,train\n".encode("latin-1"))),
    "NUL": Bad("nul-byte", ["NUL bytes on line 2"], spoil=raw(b"image,split\na\0.jpg,train\n")),
    "quote never closed": Bad("csv-syntax", ["line 2"], spoil=raw(b'image,split\n"a.jpg,train\n')),
    "CSV and Parquet": Bad(
        "ambiguous-file", ["as CSV and as Parquet"], spoil=lambda folder: write_parquet(folder / "annotations.parquet")
    ),
    "no annotations": Bad(
        "missing-file",
        ["annotations.csv or annotations.parquet", "piq import --help"],
        spoil=lambda folder: (folder / "annotations.csv").unlink(),
    ),
    "no benchmark.toml": Bad("unreadable-file", ["benchmark.toml"], spoil=lambda f: (f / "benchmark.toml").unlink()),
    "bad benchmark.toml": Bad("unknown-value", ["from 0 to 12"], toml=TOML.replace("threshold = 6", "threshold = 64")),
    "annotations is a folder": Bad("unreadable-file", ["not a regular file"], spoil=replaced_by_a_folder),
    "bad groups": Bad("", ["groups.csv"], spoil=lambda folder: (folder / "groups.csv").write_text("image,phash\n")),
}


@pytest.mark.parametrize("name", BAD)
def test_every_fault_is_refused_with_its_place_and_remedy(name: str, tmp_path: Path) -> None:
    bad = BAD[name]
    folder = write_folder(tmp_path / "set", bad.rows, bad.columns, toml=bad.toml)
    bad.spoil(folder)

    with pytest.raises(BadDataset) as refusal:
        read_benchmark(folder)
    message = str(refusal.value)
    assert bad.code in ["", *(problem.code for problem in refusal.value.problems)]
    for text in bad.says:
        assert text in message
    assert message.replace("\n", "").isprintable()

    result = CliRunner().invoke(stats_command, [str(folder), "--json", str(tmp_path / "stats.json")])
    assert result.exit_code == EXIT_BAD_DATASET
    assert isinstance(result.exception, SystemExit)  # no traceback
    assert "refused" in result.stderr
    assert (tmp_path / "stats.json").exists() == bad.described
    assert bool(result.stdout) == bad.described
    assert sorted(path.name for path in tmp_path.iterdir()) == ["set", *["stats.json"] * bad.described]


def test_all_problems_come_at_once_with_counts_and_the_first_few(tmp_path: Path) -> None:
    rows = [(f"c/{n}.jpg", "tset", "p1 ", "mal", "", "c", "c1") for n in range(10)]
    with pytest.raises(BadDataset) as refusal:
        read_benchmark(write_folder(tmp_path, [*ROWS, *rows], toml=TOML.replace("threshold = 6", "threshold = 60")))
    problems = {problem.code: problem for problem in refusal.value.problems}
    assert sorted(problems) == ["bad-label", "bad-text", "unknown-split", "unknown-value"]
    assert problems["unknown-split"].count == 10
    first = len(ROWS) + 2
    assert problems["unknown-split"].found.startswith(f"line {first} ('c/0.jpg'): 'tset' (and in 9 more rows): ")


def test_rows_of_parquet_are_named_by_number(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, changed(3, gender="mael"), suffix=".parquet")
    with pytest.raises(BadDataset, match=r"row 4 \('b/01.jpg'\): 'mael'"):
        read_benchmark(folder)


def test_rows_are_checked_even_if_another_file_is_invalid(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, changed(0, image="../x", split="trian"), toml="[")
    with pytest.raises(BadDataset) as refusal:
        read_benchmark(folder)
    assert [problem.code for problem in refusal.value.problems] == ["toml-syntax", "image-path", "unknown-split"]


def test_the_message_about_thousands_of_bad_rows_stays_short(tmp_path: Path) -> None:
    rows = [(f"{n}.jpg", "x" * 200, "", "", "", "", "") for n in range(2000)]
    with pytest.raises(BadDataset) as refusal:
        read_benchmark(write_folder(tmp_path, rows))
    assert len(str(refusal.value)) < 4000


def test_other_file_types_and_absent_paths_are_refused(tmp_path: Path) -> None:
    write_csv(tmp_path / "labels.txt")
    with pytest.raises(BadDataset, match="table-format"):
        read_benchmark(tmp_path / "labels.txt")
    with pytest.raises(BadDataset, match="missing-dataset"):
        read_benchmark(tmp_path / "absent")


def test_columns_without_meaning_may_be_of_any_type(tmp_path: Path) -> None:
    texts = {"image": ["a.jpg", "b.jpg"], "split": ["query", "gallery"], "identity": ["p", "p"]}
    index = pa.array([0.5, 1.5])
    toml = TOML.partition("[tasks.gender]")[0]
    (tmp_path / "benchmark.toml").write_text(toml, encoding="utf-8")
    pq.write_table(pa.table({**texts, "__index_level_0__": index}), tmp_path / "annotations.parquet")
    inspection = inspect_dataset(tmp_path)
    assert inspection.benchmark.images.tolist() == ["a.jpg", "b.jpg"]
    assert [(note.code, note.found) for note in inspection.notes] == [
        ("unused-column", "column '__index_level_0__' is ignored")
    ]
    pq.write_table(pa.table({**texts, "identity": index}), tmp_path / "annotations.parquet")
    with pytest.raises(BadDataset) as refused:
        inspect_dataset(tmp_path)
    assert [(problem.code, problem.found) for problem in refused.value.problems] == [
        ("column-type", "column 'identity' is of type 'double'")
    ]


def test_more_decisions_than_a_table_of_its_size_should_have_are_refused(tmp_path: Path) -> None:
    labels = ", ".join(f'"l{number}"' for number in range(4_000))
    toml = TOML + f'[tasks.marks]\naspect = "a"\nmulti_label = true\nlabels = [{labels}]\n'
    rows = [(f"{row}.jpg", "train", "-") for row in range(9_000)]
    write_folder(tmp_path, rows, ("image", "split", "marks"), toml=toml)
    with pytest.raises(LimitExceeded, match="9000 rows have 36027000 decisions on labels"):
        inspect_dataset(tmp_path)
