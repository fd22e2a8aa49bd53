"""Tables of OpenMetricLearning and wildlife-datasets are recognised by their columns."""

from pathlib import Path

import pytest
from folders import write_csv, write_market

from piq_bench.errors import BadDataset
from piq_bench.read.dataset import inspect_dataset, read_benchmark
from piq_bench.records import Rule

OML = ("label", "split", "is_query", "is_gallery", "path", "sequence", "category")
ROWS = (
    ("1", "train", "", "", "t/1.jpg", "a", "cat"),
    ("2", "validation", "True", "False", "v/1.jpg", "b", "cat"),
    ("2", "validation", "False", "True", "v/2.jpg", "c", "dog"),
    ("3", "validation", "0", "1", "v/3.jpg", "b", "dog"),
)


def test_an_oml_table_keeps_its_roles_and_its_sequences(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "df.csv", ROWS, OML)
    for given in (path, tmp_path):
        benchmark = read_benchmark(given)
        assert benchmark.images.tolist() == ["t/1.jpg", "v/1.jpg", "v/2.jpg", "v/3.jpg"]
        assert benchmark.split.tolist() == [0, 1, 2, 2]
        assert benchmark.identities == ("1", "2", "3")
        assert benchmark.exclude == (Rule(("sequence",)),)  # whatever the label
        assert benchmark.columns["category"].tolist() == ["cat", "cat", "dog", "dog"]
        assert (benchmark.root, benchmark.images_folder, benchmark.name) == (tmp_path, ".", "df")


def test_without_sequences_nothing_is_excluded(tmp_path: Path) -> None:
    rows = [row[:5] for row in ROWS]
    assert read_benchmark(write_csv(tmp_path / "df.csv", rows, OML[:5])).exclude == ()


def test_an_image_that_is_query_and_gallery_is_refused_with_the_count_and_a_remedy(tmp_path: Path) -> None:
    rows = [*ROWS, *(("4", "validation", "True", "true", f"v/{i}.jpg", "", "") for i in range(4, 9))]
    with pytest.raises(BadDataset) as refusal:
        read_benchmark(write_csv(tmp_path / "df.csv", rows, OML))
    (problem,) = refusal.value.problems
    assert (problem.code, problem.count) == ("query-and-gallery", 5)
    assert "line 6 ('v/4.jpg'): split 'validation', is_query 'True', is_gallery 'true'" in problem.found
    assert "list a copy" in problem.remedy


@pytest.mark.parametrize(
    ("row", "code"),
    [
        (("4", "validation", "", "", "v/9.jpg", "", ""), "image-without-role"),
        (("4", "train", "True", "", "v/9.jpg", "", ""), "train-image-with-role"),
        (("4", "test", "True", "", "v/9.jpg", "", ""), "unknown-split"),
        (("4", "validation", "maybe", "", "v/9.jpg", "", ""), "bad-flag"),
        (("2", "validation", "False", "True", "v/2.jpg", "", ""), "duplicate-image"),
        (("4", "validation", "False", "True", "/v/9.jpg", "", ""), "image-path"),
    ],
)
def test_each_fault_of_an_oml_table_is_named(tmp_path: Path, row: tuple[str, ...], code: str) -> None:
    with pytest.raises(BadDataset) as refusal:
        read_benchmark(write_csv(tmp_path / "df.csv", [*ROWS, row], OML))
    assert [problem.code for problem in refusal.value.problems] == [code]


def test_boxes_are_ignored_with_a_note(tmp_path: Path) -> None:
    columns = (*OML, "x_1", "x_2", "y_1", "y_2")
    rows = [(*row, "0", "5", "0", "5") for row in ROWS]
    found = inspect_dataset(write_csv(tmp_path / "df.csv", rows, columns))
    assert "boxes are ignored: images count as a whole" in [note.found for note in found.notes]


def test_two_tables_of_a_kind_need_the_path_of_one(tmp_path: Path) -> None:
    for name in ("a.csv", "b.csv"):
        write_csv(tmp_path / name, ROWS, OML)
    with pytest.raises(BadDataset, match=r"'a\.csv', 'b\.csv' are tables of the same kind"):
        read_benchmark(tmp_path)
    assert read_benchmark(tmp_path / "b.csv").name == "b"


WILD = ("", "image_id", "identity", "path", "species", "date", "bbox")
TURTLES = (
    ("0", "a1", "t001", "images/a 1.jpg", "turtle", "2020-01-01", "[1, 2, 3, 4]"),
    ("1", "a2", "unknown", "images/a2.jpg", "turtle", "", ""),
    ("2", "a3", "t002", "images/a3.jpg", "turtle", "2020-01-02", ""),
)


def test_a_wildlife_table_is_all_train_and_unknown_is_nobody(tmp_path: Path) -> None:
    found = inspect_dataset(write_csv(tmp_path / "metadata.csv", TURTLES, WILD))
    benchmark = found.benchmark
    assert benchmark.images.tolist() == ["images/a 1.jpg", "images/a2.jpg", "images/a3.jpg"]
    assert benchmark.split.tolist() == [0, 0, 0]
    assert benchmark.identities == ("t001", "t002")
    assert benchmark.identity.tolist() == [0, -1, 1]
    assert benchmark.columns["species"].tolist() == ["turtle"] * 3
    assert [note.code for note in found.notes] == ["no-split"]
    with pytest.raises(BadDataset, match="every image is in split train"):
        read_benchmark(tmp_path / "metadata.csv")


def test_ids_and_paths_of_a_wildlife_table_are_unique(tmp_path: Path) -> None:
    rows = [*TURTLES, ("3", "a1", "t002", "images/a3.jpg", "", "", "")]
    with pytest.raises(BadDataset) as refusal:
        inspect_dataset(write_csv(tmp_path / "metadata.csv", rows, WILD))
    assert sorted(problem.where for problem in refusal.value.problems) == [
        "metadata.csv: image",
        "metadata.csv: image_id",
    ]


def test_a_market_folder_stays_one_whatever_table_lies_in_it(tmp_path: Path) -> None:
    names = {part: [f"000{i}_c{i + 1}s1_000451_03.jpg"] for i, part in enumerate(("bounding_box_train", "query"))}
    folder = write_market(tmp_path / "market", {**names, "bounding_box_test": ["0001_c2s1_000451_03.jpg"]})
    write_csv(folder / "df.csv", ROWS, OML)
    assert read_benchmark(folder).layout == "market1501"


def test_our_own_layout_comes_first(tmp_path: Path) -> None:
    write_csv(tmp_path / "annotations.csv", TURTLES, ("x", *WILD[1:]))
    write_csv(tmp_path / "metadata.csv", TURTLES, WILD)
    with pytest.raises(BadDataset, match=r"benchmark\.toml"):
        inspect_dataset(tmp_path)
