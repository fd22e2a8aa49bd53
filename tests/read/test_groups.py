import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from group_builders import Row, balanced_hashes, benchmark_of, hashed_of

from piq_bench.errors import BadDataset
from piq_bench.group.build import GroupReport, group_hashed, write_groups
from piq_bench.group.stored import (
    CSV_MARK,
    MAX_PARAMETERS_BYTES,
    METADATA_KEY,
    foreign_file,
    parameters_file,
    was_written_here,
)
from piq_bench.read.groups import read_groups
from piq_bench.records import GIVEN, Benchmark, Grouping, Groups

ROWS = [Row("a.jpg", "train", "z"), *(Row(f"{i:02d}.jpg", "query" if i % 5 == 0 else "gallery", "p", "fg"[i % 2])
                                      for i in range(40)), Row("z.jpg", "train", "z")]  # fmt: skip
MODES = ("components", "neighbours")


def benchmark(mode: str = "components", threshold: int = 6) -> Benchmark:
    return benchmark_of(
        ROWS, grouping=Grouping(threshold=threshold, mode="neighbours" if mode == "neighbours" else "components")
    )


def report_of(made_for: Benchmark, *, within_source: bool = False, min_quality: float | None = None) -> GroupReport:
    hashes = balanced_hashes(40, seed=2).tolist()
    hashes[10:14] = [0, 1 << 63, 1 << 63, 0]
    hashed = hashed_of(
        hashes,
        bytes_hash=[*range(1, 12), 7777, 7777, *range(14, 41)],
        quality=[float(i % 9) / 3 for i in range(40)],
        readable=[i != 13 for i in range(40)],
    )
    return group_hashed(made_for, hashed, within_source=within_source, min_quality=min_quality)


def read(path: Path, made_for: Benchmark) -> Groups:
    return read_groups(path, made_for.images, made_for.split, made_for.grouping)[0]


def refused(path: Path, made_for: Benchmark) -> dict[str, str]:
    """The code and the text of each problem."""
    with pytest.raises(BadDataset) as caught:
        read(path, made_for)
    return {problem.code: f"{problem.found} -> {problem.remedy}" for problem in caught.value.problems}


def edited(path: Path, change: Callable[[dict[str, object], list[str]], None]) -> None:
    """Rewrite a CSV and the parameters beside it after a change of both (the column names are line 0)."""
    lines = path.read_text(encoding="utf-8").splitlines()
    header = json.loads(parameters_file(path).read_text(encoding="utf-8"))
    change(header, lines)
    parameters_file(path).write_text(json.dumps(header), encoding="utf-8")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def as_earlier_versions_wrote(path: Path) -> None:
    """Move the parameters into a comment on the first line."""
    header = json.loads(parameters_file(path).read_text(encoding="utf-8"))
    path.write_text(CSV_MARK + json.dumps(header) + "\n" + path.read_text(encoding="utf-8"), encoding="utf-8")
    parameters_file(path).unlink()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    target = tmp_path / "groups.csv"
    write_groups(target, report_of(benchmark()))
    return target


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("within", "min_quality"), [(False, None), (True, None), (False, 1.5), (True, 1.5)])
def test_what_was_written_is_read_back(
    tmp_path: Path, suffix: str, mode: str, within: bool, min_quality: float | None
) -> None:
    made_for = benchmark(mode, threshold=10)
    report = report_of(made_for, within_source=within, min_quality=min_quality)
    target = tmp_path / f"groups{suffix}"
    write_groups(target, report)
    groups = read(target, made_for)
    assert groups.grouping == made_for.grouping
    assert groups.phash.dtype == np.uint64
    np.testing.assert_array_equal(groups.phash, report.groups.phash)
    np.testing.assert_array_equal(groups.group, report.groups.group)
    assert groups.parameters == report.groups.parameters
    if mode == "neighbours":
        assert groups.pairs is not None
        assert report.groups.pairs is not None
        assert len(groups.pairs) > 5
        np.testing.assert_array_equal(groups.pairs, report.groups.pairs)
    else:
        assert groups.pairs is None


def test_the_order_of_rows_does_not_matter(path: Path) -> None:
    before = read(path, benchmark())
    edited(path, lambda header, lines: lines.__setitem__(slice(1, None), lines[:0:-1]))
    after = read(path, benchmark())
    np.testing.assert_array_equal(before.group, after.group)
    np.testing.assert_array_equal(before.phash, after.phash)


@pytest.mark.parametrize("mode", MODES)
def test_a_bare_table_has_the_parameters_of_the_data_set(path: Path, mode: str) -> None:
    parameters_file(path).unlink()
    lines = path.read_text(encoding="utf-8").splitlines()
    bare = "\n".join(",".join(line.split(",")[:3]) for line in lines)
    path.write_text("\ufeff" + bare + "\n", encoding="utf-8")
    groups = read(path, benchmark(mode))
    np.testing.assert_array_equal(groups.group, report_of(benchmark()).groups.group)
    assert groups.parameters["parameters_from"] == "benchmark.toml"
    assert groups.parameters["threshold"] == 6
    if mode == "neighbours":
        assert groups.pairs is not None
        flat = {int(row) for row in groups.pairs.ravel()} & set(np.flatnonzero(groups.phash == 1 << 63).tolist())
        assert not flat  # flat images have meaningless hashes, and the hashes of their bytes are not in a bare table


def test_missing_repeated_and_unknown_images_come_at_once(path: Path) -> None:
    def change(header: dict[str, object], lines: list[str]) -> None:
        lines[3] = lines[4]
        lines[6] = lines[6].replace("05.jpg", "q.jpg")
        lines[7] = lines[7].replace("06.jpg", "a.jpg")

    edited(path, change)
    problems = refused(path, benchmark())
    assert problems["missing-image"].startswith("3 query or gallery images are missing: '02.jpg', '05.jpg', '06.jpg'")
    assert problems["duplicate-image"].startswith("1 rows repeat an image: '03.jpg'")
    assert problems["unknown-image"].startswith("2 rows are not of a query or gallery image: 'q.jpg', 'a.jpg'")


def test_training_images_in_the_file_are_reported_as_such(path: Path) -> None:
    edited(path, lambda header, lines: lines.append(lines[1].replace("00.jpg", "a.jpg")))
    assert "(training images)" in refused(path, benchmark())["unknown-image"]


@pytest.mark.parametrize(
    ("column", "value", "code", "expected"),
    [
        (1, "xyz", "bad-phash", "16 hex digits"),
        (1, "0123456789abcde", "bad-phash", "16 hex digits"),
        (1, "ABCDEF0123456789", "bad-phash", "lower case"),
        (2, "-1", "bad-group", "from 0"),
        (2, "1.0", "bad-group", "from 0"),
        (2, "", "bad-group", "from 0"),
        (2, "9" * 40, "bad-group", "from 0"),
        (2, "39", "bad-group", "not the first image"),
        (2, "1000000", "bad-group", "not the first image"),
        (3, "nan", "bad-quality", "0 to 510"),
        (3, "-3", "bad-quality", "0 to 510"),
        (4, "0", "bad-bytes-sha256", "SHA-256"),
    ],
)
def test_a_bad_value_is_named_with_its_row(path: Path, column: int, value: str, code: str, expected: str) -> None:
    def change(header: dict[str, object], lines: list[str]) -> None:
        cells = lines[4].split(",")
        cells[column] = value
        lines[4] = ",".join(cells)

    edited(path, change)
    problems = refused(path, benchmark())
    assert set(problems) - {"bad-checksum"} == {code}
    assert "'03.jpg'" in problems[code]
    assert expected in problems[code]


def test_a_group_is_numbered_by_an_image_of_its_own(path: Path) -> None:
    def change(header: dict[str, object], lines: list[str]) -> None:
        cells = lines[3].split(",")
        lines[3] = ",".join([*cells[:2], "1", *cells[3:]])
        cells = lines[2].split(",")
        lines[2] = ",".join([*cells[:2], "0", *cells[3:]])

    edited(path, change)
    problems = refused(path, benchmark())
    assert "'02.jpg' has group 1, which is not the first image of that group" in problems["bad-group"]


@pytest.mark.parametrize(
    ("asked", "code", "sentence"),
    [
        (Grouping(threshold=8), "other-threshold", "was made with threshold '6', but benchmark.toml asks for '8'"),
        (Grouping(mode="neighbours"), "other-mode", "was made with mode 'components'"),
        (Grouping(hash="pdq"), "other-hash", "was made with hash 'phash'"),
    ],
)
def test_other_parameters_than_the_data_set_asks_for_are_refused(
    path: Path, asked: Grouping, code: str, sentence: str
) -> None:
    problems = refused(path, replace(benchmark(), grouping=asked))
    assert set(problems) == {code}
    assert sentence in problems[code]
    assert "`piq groups`" in problems[code]


@pytest.mark.parametrize(
    ("key", "value", "code"),
    [
        ("schema", "piq-bench/groups/2", "other-schema"),
        ("definition", "piq-bench/phash/2", "other-definition"),
        ("images", 41, "other-images"),
        ("images", True, "other-images"),
        ("threshold", "6", "other-threshold"),
        ("threshold", None, "other-threshold"),
        ("within", "camera", "bad-within"),
        ("min_quality", "x", "bad-min-quality"),
        ("min_quality", float("nan"), "bad-header"),
        ("min_quality", 10**400, "bad-header"),
        ("images_sha256", "0" * 64, "bad-checksum"),
        ("phash_sha256", None, "bad-checksum"),
        ("group_sha256", 3, "bad-checksum"),
    ],
)
def test_a_header_that_does_not_fit_is_refused(path: Path, key: str, value: object, code: str) -> None:
    edited(path, lambda header, lines: header.__setitem__(key, value))
    assert set(refused(path, benchmark())) == {code}


@pytest.mark.parametrize("within", [False, True])
@pytest.mark.parametrize("mode", MODES)
def test_a_file_of_an_earlier_version_is_read_as_before(tmp_path: Path, mode: str, within: bool) -> None:
    made_for, path = benchmark(mode), tmp_path / "groups.csv"
    write_groups(path, report_of(made_for, within_source=within, min_quality=1.5))
    now = read(path, made_for)
    as_earlier_versions_wrote(path)
    before = read(path, made_for)
    assert before.parameters == now.parameters
    np.testing.assert_array_equal(before.group, now.group)
    np.testing.assert_array_equal(before.pairs, now.pairs)
    assert was_written_here(path)


def test_pandas_reads_the_table(path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    table = pandas.read_csv(path)
    assert list(table.columns) == ["image", "phash", "group", "quality", "bytes_sha256"]
    assert table["image"].tolist() == [f"{i:02d}.jpg" for i in range(40)]
    assert (table["group"].iloc[11], table["group"].dtype.kind) == (11, "i")


def test_lost_parameters_are_noted(path: Path) -> None:
    made_for = benchmark()
    parameters_file(path).unlink()
    groups, notes = read_groups(path, made_for.images, made_for.split, made_for.grouping)
    assert groups.parameters["parameters_from"] == "benchmark.toml"
    (note,) = notes
    assert note.code == "no-parameters"
    assert "its parameters, in groups.csv.json, are missing" in note.found
    assert not was_written_here(path)


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"\xff", b"[" * 100_000, b" " * MAX_PARAMETERS_BYTES + b"{}", b'{"a": 1, "a": 2}']
)
def test_parameters_that_cannot_be_read_are_refused(path: Path, content: bytes) -> None:
    parameters_file(path).write_bytes(content)
    with pytest.raises(BadDataset, match=r"groups\.csv\.json") as caught:
        read(path, benchmark())
    assert [problem.code for problem in caught.value.problems] == ["bad-header"]
    assert not was_written_here(path)


def test_a_table_of_another_tool_beside_old_parameters_is_refused_with_a_way_out(path: Path) -> None:
    path.write_text("image,group\n01.jpg,one\n02.jpg,one\n", encoding="utf-8")
    problems = refused(path, benchmark())
    assert "if another tool wrote this table, remove groups.csv.json" in problems["missing-column"]
    assert foreign_file(path) == path
    parameters_file(path).unlink()
    assert read(path, benchmark()).grouping == GIVEN


def test_parameters_of_another_tool_are_never_replaced(path: Path) -> None:
    assert foreign_file(path) is None
    path.unlink()
    assert foreign_file(path) is None
    parameters_file(path).write_text("{}", encoding="utf-8")
    assert foreign_file(path) == parameters_file(path)


def test_a_column_edited_by_hand_is_found(path: Path) -> None:
    def change(header: dict[str, object], lines: list[str]) -> None:
        cells = lines[1].split(",")
        cells[1] = "0000000000000000"
        lines[1] = ",".join(cells)

    edited(path, change)
    assert "phash_sha256" in refused(path, benchmark())["bad-checksum"]


def test_a_missing_column_is_named(path: Path) -> None:
    edited(path, lambda header, lines: lines.__setitem__(0, "image,phash,groups,quality,bytes_sha256"))
    assert "no column 'group'" in refused(path, benchmark())["missing-column"]
    edited(path, lambda header, lines: header.__setitem__("within", "source"))
    assert "'group', 'source'" in refused(path, benchmark())["missing-column"]


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "empty-file"),
        (b"\n", "empty-file"),
        (b"image,phash,group\na,b\0,c\n", "nul-byte"),
        (b"image,phash,group\n\xff,b,c\n", "encoding"),
        (b"image,phash,group\na,b,c,d\n", "ragged-row"),
        (b"image,phash,group\na,b\n", "ragged-row"),
        (b'image,phash,group\n"a,b,c\n', "csv-syntax"),
        (b"image,image,group\na,b,c\n", "duplicate-column"),
        (b"# something else\nimage,phash,group\n", "bad-header"),
        (CSV_MARK.encode() + b"{\nimage,phash,group\n", "bad-header"),
        (CSV_MARK.encode() + b"[]\nimage,phash,group\n", "bad-header"),
        (CSV_MARK.encode() + b"\xff\nimage,phash,group\n", "encoding"),
        (CSV_MARK.encode() + b"[" * 100_000 + b"\nimage,phash,group\n", "bad-header"),
        (b"image,phash,group\n", "no-rows"),
    ],
)
def test_a_file_that_is_not_a_table_is_refused(path: Path, content: bytes, code: str) -> None:
    parameters_file(path).unlink()
    path.write_bytes(content)
    assert set(refused(path, benchmark())) == {code}


def test_control_characters_never_reach_the_terminal(path: Path) -> None:
    edited(path, lambda header, lines: lines.__setitem__(4, "\x1b[31mred,xyz,0,,"))
    assert "\x1b" not in str(refused(path, benchmark()))


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    assert set(refused(tmp_path / "groups.csv", benchmark())) == {"unreadable-file"}
    assert set(refused(tmp_path / "groups.parquet", benchmark())) == {"unreadable-file"}


def test_invalid_parquet_is_refused(tmp_path: Path) -> None:
    target = tmp_path / "groups.parquet"
    target.write_bytes(b"PAR1 and no more")
    assert set(refused(target, benchmark())) == {"parquet"}
    pq.write_table(pa.table({"image": ["a"], "phash": ["b"]}), target)
    assert set(refused(target, benchmark())) == {"missing-column"}
    table = pa.table({"image": ["a"], "phash": ["b"], "group": [None]})
    pq.write_table(table.replace_schema_metadata({METADATA_KEY: b"[1]"}), target)
    assert set(refused(target, benchmark())) == {"bad-header"}
