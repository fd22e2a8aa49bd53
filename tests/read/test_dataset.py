"""Data sets of all layouts give the same `Benchmark`, whatever the order of rows and the format of the file."""

import os
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from folders import COLUMNS, ROWS, TOML, changed, shared_data, write_csv, write_folder, write_market, write_parquet
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from piq_bench.errors import BadDataset
from piq_bench.metrics.fingerprint import fingerprint
from piq_bench.read.dataset import inspect_dataset, read_benchmark
from piq_bench.read.vocabulary import DEFAULT_TASKS
from piq_bench.records import SAME_GROUP, SPLITS, Benchmark


def same(one: Benchmark, other: Benchmark, *, but: tuple[str, ...] = ("root", "layout")) -> bool:
    """Whether two benchmarks agree in every field."""
    for field in fields(Benchmark):
        a, b = getattr(one, field.name), getattr(other, field.name)
        if field.name in but:
            continue
        if field.name == "labels":
            if a.keys() != b.keys() or not all(np.array_equal(a[task], b[task]) for task in a):
                return False
        elif not (np.array_equal(a, b) if isinstance(a, np.ndarray) else a == b):
            return False
    return True


def test_every_value_of_the_table_is_in_the_benchmark(tmp_path: Path) -> None:
    benchmark = read_benchmark(write_folder(tmp_path, reversed(ROWS)))
    rows = sorted(ROWS)
    assert [task.name for task in benchmark.tasks] == ["reid", "gender", "mood"]
    assert benchmark.images.tolist() == [row[0] for row in rows]
    assert [SPLITS[index] for index in benchmark.split] == [row[1] for row in rows]
    names = [*benchmark.identities, ""]  # index -1, no identity, is the empty name
    assert [names[index] for index in benchmark.identity] == [row[2] for row in rows]
    labels = [*benchmark.tasks[1].labels, ""]
    assert [labels[index] for index in benchmark.labels["gender"]] == [row[3] for row in rows]
    assert benchmark.labels["mood"].tolist() == [  # happy, sad, angry
        [1, 0, 0], [1, 1, 0], [-1, -1, -1], [0, 0, 0], [0, 1, 0], [0, 1, 1], [-1, -1, -1],
    ]  # fmt: skip
    assert benchmark.source is not None
    assert benchmark.source.tolist() == [row[5] for row in rows]
    assert benchmark.camera is not None
    assert benchmark.camera.tolist() == [row[6] for row in rows]
    assert (benchmark.sequence, benchmark.groups) == (None, None)
    assert not benchmark.junk.any()
    assert not benchmark.distractor.any()
    assert benchmark.exclude == ()
    assert (benchmark.root, benchmark.layout) == (tmp_path, "folder")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
@given(
    rows=st.permutations(ROWS),
    columns=st.permutations(range(len(COLUMNS))),
    suffix=st.sampled_from([".csv", ".parquet"]),
)
def test_neither_order_nor_format_changes_anything(
    tmp_path: Path, rows: list[tuple[str, ...]], columns: list[int], suffix: str
) -> None:
    for path in tmp_path.glob("other/annotations.*"):
        path.unlink()
    header = [COLUMNS[index] for index in columns]
    cells = [[row[index] for index in columns] for row in rows]
    one = read_benchmark(write_folder(tmp_path / "one"))
    other = read_benchmark(write_folder(tmp_path / "other", cells, header, suffix=suffix))
    assert same(one, other)
    assert fingerprint(one) == fingerprint(other)


def test_a_path_may_be_text(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, ROWS)
    assert same(read_benchmark(str(folder)), read_benchmark(folder), but=())


def test_images_are_sorted_by_code_point(tmp_path: Path) -> None:
    names = ["a/10.jpg", "a/9.jpg", "B.jpg", "ä.jpg", "a.jpg", "\U0001f600.jpg", "\uff21.jpg"]
    rows = [(name, "train", "", "", "") for name in names] + [("z.jpg", "gallery", "", "", "")]
    benchmark = read_benchmark(write_folder(tmp_path, rows, ("image", "split", "identity", "gender", "mood")))
    assert benchmark.images.tolist() == sorted([*names, "z.jpg"], key=lambda name: [ord(c) for c in name])


def test_identities_are_text_and_large_numbers_stay_apart(tmp_path: Path) -> None:
    rows = changed(0, identity="016777216")
    rows[1] = changed(1, identity="16777216")[1]
    rows[2] = changed(2, identity="16777217")[2]
    expected = ("016777216", "16777216", "16777217", "p2", "p3")
    assert read_benchmark(write_folder(tmp_path / "csv", rows)).identities == expected
    assert read_benchmark(write_folder(tmp_path / "parquet", rows, suffix=".parquet")).identities == expected


def test_quoted_values_are_read_and_unknown_columns_ignored(tmp_path: Path) -> None:
    rows = [(*row, 'two\nlines, and a "quote"', "x") for row in ROWS]
    inspection = inspect_dataset(write_folder(tmp_path, rows, (*COLUMNS, "caption", "box")))
    assert [(note.code, note.found) for note in inspection.notes] == [
        ("unused-column", "column 'caption' is ignored"),
        ("unused-column", "column 'box' is ignored"),
    ]
    assert sorted(inspection.benchmark.columns) == ["box", "caption"]
    without = replace(inspection.benchmark, columns={})
    assert same(without, read_benchmark(write_folder(tmp_path / "plain")))


def test_line_numbers_match_an_editor_even_if_values_span_lines(tmp_path: Path) -> None:
    rows = [(*row, "one\ntwo\r\nthree") for row in changed(2, split="x")]
    with pytest.raises(BadDataset, match=r"line 8 \('a/03.jpg'\): 'x'"):  # the header, then 3 lines each
        read_benchmark(write_folder(tmp_path, rows, (*COLUMNS, "caption")))


def test_windows_files_are_the_same_data(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "windows")
    path = folder / "annotations.csv"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    assert same(read_benchmark(folder), read_benchmark(write_folder(tmp_path / "unix")))


def test_a_benchmark_may_have_other_tasks_and_no_identities(tmp_path: Path) -> None:
    toml = TOML[: TOML.index("[tasks.reid]")] + '[tasks.hat]\naspect = "clothes"\nlabels = ["no", "yes"]\n'
    benchmark = read_benchmark(
        write_folder(tmp_path, [("1.jpg", "gallery", "yes")], ("image", "split", "hat"), toml=toml)
    )
    assert benchmark.retrieval_task is None
    assert benchmark.identities == ()
    assert benchmark.identity.tolist() == [-1]
    assert benchmark.labels["hat"].tolist() == [1]


def test_without_tasks_the_default_tasks_are_required(tmp_path: Path) -> None:
    toml = TOML[: TOML.index("[tasks.reid]")]
    columns = ("image", "split", "identity", *(task.name for task in DEFAULT_TASKS[1:]))
    rows = [("1.jpg", "gallery", "p1", "male", "old", "thin", "tall", "lying", "bent", "fear|anger")]
    benchmark = read_benchmark(write_folder(tmp_path / "good", rows, columns, toml=toml))
    assert benchmark.tasks == DEFAULT_TASKS
    assert benchmark.labels["expression"].tolist() == [[0, 0, 1, 1, 0, 0, 0]]
    with pytest.raises(BadDataset, match="there is no column 'physique'"):
        read_benchmark(write_folder(tmp_path / "bad", [row[:3] for row in rows], columns[:3], toml=toml))


@pytest.mark.parametrize("kept", [("image", "split"), ("image", "split", "gender")])
def test_labels_may_be_absent_if_they_are_not_needed(tmp_path: Path, kept: tuple[str, ...]) -> None:
    rows = [[dict(zip(COLUMNS, row, strict=True))[name] for name in kept] for row in ROWS]
    folder = write_folder(tmp_path, rows, kept)
    benchmark = read_benchmark(folder, need_labels=False)
    assert benchmark.identities == ()
    assert (benchmark.labels["mood"] == -1).all()
    assert benchmark.labels["mood"].shape == (len(ROWS), 3)
    assert benchmark.test_rows.tolist() == [3, 4, 5, 6]
    with pytest.raises(BadDataset, match="missing-column"):
        read_benchmark(folder)


def test_the_columns_of_a_bare_table_become_its_tasks(tmp_path: Path) -> None:
    rows = [
        ("1.jpg", "p1", "red", "a|b", "0.5", ""),
        ("2.jpg", "", "blue", "-", "0.7", ""),
        ("3.jpg", "p1", "", "", "", ""),
    ]
    path = write_csv(tmp_path / "labels.csv", rows, ("image", "identity", "hair colour", "extras", "score", "nothing"))
    benchmark = inspect_dataset(path).benchmark
    assert [(task.name, task.kind, task.labels, task.multi_label) for task in benchmark.tasks] == [
        ("reid", "retrieval", (), False),
        ("hair colour", "classification", ("blue", "red"), False),
        ("extras", "classification", ("a", "b"), True),
        ("score", "classification", ("0.5", "0.7"), False),
    ]
    assert (benchmark.name, benchmark.layout) == ("labels", "table")
    assert benchmark.split.tolist() == [0, 0, 0]
    assert benchmark.labels["extras"].tolist() == [[1, 1], [0, 0], [-1, -1]]
    with pytest.raises(BadDataset, match="no-test-images"):
        read_benchmark(path)


def test_a_column_of_free_text_does_not_become_a_task(tmp_path: Path) -> None:
    rows = [(f"{n}.jpg", f"caption {n}", "x") for n in range(1100)]
    inspection = inspect_dataset(write_parquet(tmp_path / "labels.parquet", rows, ("image", "caption", "mood")))
    assert [task.name for task in inspection.benchmark.tasks] == ["mood"]
    assert [note.code for note in inspection.notes] == ["unused-column"]


def test_a_bare_table_uses_the_benchmark_toml_beside_it(tmp_path: Path) -> None:
    folder = write_folder(tmp_path)
    benchmark = inspect_dataset(folder / "annotations.csv").benchmark
    assert benchmark.layout == "table"
    assert same(benchmark, read_benchmark(folder))


def test_a_table_has_the_groups_beside_it_as_its_folder_has(tmp_path: Path) -> None:
    folder = write_folder(tmp_path)
    lines = ["image,phash,group", *(f"b/0{i}.jpg,{i:016x},{group}" for i, group in ((1, 0), (2, 0), (3, 2), (4, 3)))]
    (folder / "groups.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    of_table, of_folder = read_benchmark(folder / "annotations.csv"), read_benchmark(folder)
    assert of_table.groups is not None and of_folder.groups is not None
    assert of_table.groups.group.tolist() == of_folder.groups.group.tolist()
    assert of_table.exclude == of_folder.exclude == (SAME_GROUP,)
    assert same(of_table, of_folder, but=("root", "layout", "groups"))


def test_a_table_without_a_split_has_no_groups(tmp_path: Path) -> None:
    folder = write_folder(tmp_path)
    (folder / "groups.csv").write_text("image,phash,group\nb/01.jpg,0,0\n", encoding="utf-8")
    rows = [(row[0], *row[2:]) for row in ROWS]
    table = write_csv(folder / "labels.csv", rows, (COLUMNS[0], *COLUMNS[2:]))
    assert inspect_dataset(table).benchmark.groups is None


def test_the_bundled_benchmark_is_read_without_a_path() -> None:
    benchmark = read_benchmark(None)
    assert benchmark.name == "portrait-mini"
    assert [task.name for task in benchmark.tasks] == [task.name for task in DEFAULT_TASKS]
    assert benchmark.images.size >= 3000
    assert benchmark.groups is not None


def test_problems_between_rows_are_returned_for_a_description(tmp_path: Path) -> None:
    inspection = inspect_dataset(write_folder(tmp_path, changed(5, identity="p1")))
    assert [problem.code for problem in inspection.integrity] == ["identity-overlap"]
    assert inspection.benchmark.images.size == len(ROWS)


def test_groups_are_read_with_the_data(tmp_path: Path) -> None:
    folder = write_folder(tmp_path)
    lines = ["b/01.jpg,00000000000000ff,0", "b/02.jpg,00000000000000fe,0"]
    lines += ["b/03.jpg,ff00000000000000,2", "b/04.jpg,0ff0000000000000,3"]
    (folder / "groups.csv").write_text("image,phash,group\n" + "\n".join(lines) + "\n", encoding="utf-8")
    groups = read_benchmark(folder).groups
    assert groups is not None
    assert groups.group.tolist() == [-1, -1, -1, 3, 3, -1, -1]  # rows of the whole data set
    write_parquet(folder / "groups.parquet")
    with pytest.raises(BadDataset, match="ambiguous-file"):
        read_benchmark(folder)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_may_not_be_read_is_refused(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "set")
    folder.chmod(0)
    try:
        with pytest.raises(BadDataset, match="unreadable-file"):
            read_benchmark(folder)
    finally:
        folder.chmod(0o700)


def test_annotations_come_before_a_market1501_folder(tmp_path: Path) -> None:
    write_market(tmp_path, {})
    assert read_benchmark(write_folder(tmp_path)).layout == "folder"


@pytest.mark.parametrize(
    ("name", "images", "identities", "sizes"),
    [("cmu_faces", 630, 18, None), ("pets09_s2l1", 2428, 9, {"train": 874, "query": 42, "gallery": 1512})],
)
def test_real_data_load(name: str, images: int, identities: int, sizes: dict[str, int] | None) -> None:
    folder = shared_data(name)
    lines = (folder / "annotations.csv").read_text(encoding="utf-8").splitlines()[1:]
    cells = [line.split(",") for line in lines]  # nothing is quoted there
    benchmark = read_benchmark(folder)
    assert benchmark.images.size == len(lines) == images
    assert len(benchmark.identities) == len({row[2] for row in cells} - {""}) == identities
    counted = {split: sum(row[1] == split for row in cells) for split in SPLITS}
    assert {split: int((benchmark.split == i).sum()) for i, split in enumerate(SPLITS)} == counted
    assert sizes in (None, counted)
