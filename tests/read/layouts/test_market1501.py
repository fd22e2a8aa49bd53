"""Market-1501 style folders are read from their file names alone."""

from pathlib import Path

import pytest
from folders import write_market

from piq_bench.errors import BadDataset, LimitExceeded
from piq_bench.read.dataset import inspect_dataset, read_benchmark
from piq_bench.read.layouts import scan as module
from piq_bench.records import SAME_CAMERA

NAMES = {
    "bounding_box_train": ["0002_c1s1_000451_03.jpg", "0007_c2s3_000001_01.jpg"],
    "query": ["0001_c1s1_001051_00.jpg"],
    "bounding_box_test": [
        "-1_c1s1_000401_03.jpg",
        "0000_c1s1_000151_01.jpg",
        "0001_c2s1_000301_01.jpg",
        "0001_c6s4_000810_05.jpg.jpg",
    ],
}


def test_person_camera_and_sequence_come_from_the_name(tmp_path: Path) -> None:
    benchmark = read_benchmark(write_market(tmp_path / "market", NAMES))
    assert benchmark.images.tolist() == sorted(f"{part}/{name}" for part, names in NAMES.items() for name in names)
    assert benchmark.images[0] == "bounding_box_test/-1_c1s1_000401_03.jpg"
    assert benchmark.split.tolist() == [2, 2, 2, 2, 0, 0, 1]
    assert benchmark.identities == ("0001", "0002", "0007")
    assert benchmark.identity.tolist() == [-1, -1, 0, 0, 1, 2, 0]
    assert benchmark.junk.tolist() == [True, *[False] * 6]
    assert benchmark.distractor.tolist() == [False, True, *[False] * 5]
    assert benchmark.camera is not None
    assert benchmark.camera.tolist() == ["c1", "c1", "c2", "c6", "c1", "c2", "c1"]
    assert benchmark.sequence is not None
    assert benchmark.sequence.tolist() == ["c1s1", "c1s1", "c2s1", "c6s4", "c1s1", "c2s3", "c1s1"]
    assert benchmark.exclude == (SAME_CAMERA,)
    assert [task.kind for task in benchmark.tasks] == ["retrieval"]
    assert (benchmark.name, benchmark.layout, benchmark.root) == ("market", "market1501", tmp_path / "market")


def test_names_without_a_sequence_are_read(tmp_path: Path) -> None:
    names = {
        "bounding_box_train": ["0003_c1_f0044158.jpg"],
        "query": ["0005_c2_f0046985.jpg"],
        "bounding_box_test": ["0005_c5_f0051781.jpg"],
    }
    benchmark = read_benchmark(write_market(tmp_path, names))
    assert benchmark.sequence is None
    assert benchmark.camera is not None
    assert benchmark.camera.tolist() == ["c5", "c1", "c2"]


def test_other_files_are_ignored_and_reported_unless_file_managers_left_them(tmp_path: Path) -> None:
    folder = write_market(tmp_path, NAMES)
    for left_behind in ("Thumbs.db", "Desktop.ini", ".DS_Store", "._0001_c1s1_001051_00.jpg"):
        (folder / "query" / left_behind).touch()
    (folder / "query" / "nested").mkdir()
    (folder / "query" / "nested" / "0001_c1s1_001051_00.jpg").touch()
    (folder / "query" / "readme.txt").touch()
    inspection = inspect_dataset(folder)
    assert [(note.code, note.where, note.found, note.count) for note in inspection.notes] == [
        ("ignored-file", "query", "ignored: 'nested', 'readme.txt'", 2),
        ("litter", folder.name, "4 entries that file managers left behind are passed over", 4),
        ("other-sizes", "Market-1501", inspection.notes[2].found, 3),
    ]
    assert inspection.benchmark.images.size == 7


def test_benchmark_toml_may_name_it(tmp_path: Path) -> None:
    folder = write_market(tmp_path, NAMES)
    head = 'schema = "piq-bench/benchmark/1"\nname = "m"\nversion = "2"\n'
    (folder / "benchmark.toml").write_text(head + "[grouping]\nthreshold = 4\n", encoding="utf-8")
    benchmark = read_benchmark(folder)
    assert (benchmark.name, benchmark.version, benchmark.grouping.threshold) == ("m", "2", 4)
    assert [task.name for task in benchmark.tasks] == ["reid"]
    own = '[tasks.gender]\naspect = "a"\nlabels = ["f", "m"]\n'
    (folder / "benchmark.toml").write_text(head + own, encoding="utf-8")
    with pytest.raises(BadDataset, match="task-without-labels"):
        read_benchmark(folder)


@pytest.mark.parametrize(
    ("part", "name", "code"),
    [
        ("query", "person7.jpg", "image-name"),
        ("query", "0001-c1s1.jpg", "image-name"),
        ("query", "0001_c1s1_x y.jpg", "image-name"),
        ("query", "-2_c1s1_0.jpg", "query-not-in-gallery"),  # -2 has no special meaning: it is an identity
        ("query", "0009_c1s1_0.jpg", "query-not-in-gallery"),
        ("query", "0002_c1s1_0.jpg", "identity-overlap"),
        ("bounding_box_test", "0007_c1s1_0.jpg", "identity-overlap"),
    ],
)
def test_bad_names_and_identities_in_the_wrong_split_are_refused(
    tmp_path: Path, part: str, name: str, code: str
) -> None:
    folder = write_market(tmp_path, NAMES)
    (folder / part / name).touch()
    with pytest.raises(BadDataset) as refusal:
        read_benchmark(folder)
    assert code in [problem.code for problem in refusal.value.problems]
    assert name.split("_")[0] in str(refusal.value)


def test_missing_and_empty_folders_are_refused(tmp_path: Path) -> None:
    (tmp_path / "one" / "query").mkdir(parents=True)
    with pytest.raises(BadDataset) as refusal:
        read_benchmark(tmp_path / "one")
    assert "has 'query' of Market-1501" in str(refusal.value)
    assert "it lacks 'bounding_box_train', 'bounding_box_test'" in str(refusal.value)
    with pytest.raises(BadDataset) as refusal:
        read_benchmark(write_market(tmp_path / "empty", {}))
    assert [problem.code for problem in refusal.value.problems] == ["no-rows"]


def test_too_many_files_are_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_TABLE_ROWS", 3)
    with pytest.raises(LimitExceeded, match="more than 3 files"):
        read_benchmark(write_market(tmp_path, NAMES))
