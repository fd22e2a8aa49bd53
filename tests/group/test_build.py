import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from group_builders import Row, benchmark_of, hashed_of, sample_image
from oracles_groups import hash_by_imagehash

from piq_bench.errors import BadDataset, BadUsage, LimitExceeded
from piq_bench.group.build import build_groups, group_hashed, write_groups
from piq_bench.group.neighbours import neighbour_pairs
from piq_bench.group.nodes import make_nodes
from piq_bench.group.stored import METADATA_KEY, lines_sha256
from piq_bench.records import NO_GROUP, Benchmark, Grouping

A = 0xAAAAAAAAAAAAAAAA


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Two people; each query has a gallery image of the same pixels, and there is a training image."""
    folder = tmp_path / "images"
    folder.mkdir()
    for name, seed in {"a.png": 1, "b.png": 2, "c.png": 1, "d, e.png": 2, "t.png": 1, "x.png": 3}.items():
        sample_image(seed).save(folder / name)
    return folder


def benchmark(grouping: Grouping = Grouping()) -> Benchmark:  # noqa: B008  (frozen)
    rows = [Row("a.png", "query", "p", "f"), Row("b.png", "query", "q", "g"), Row("c.png", "gallery", "p", "f"),
            Row("d, e.png", "gallery", "q", "h"), Row("t.png", "train", "z"), Row("x.png", "gallery", "p")]  # fmt: skip
    return benchmark_of(rows, grouping=grouping)


def test_files_become_groups_of_the_test_set_alone(images: Path) -> None:
    report = build_groups(benchmark(), images, workers=1)
    assert report.images.tolist() == ["a.png", "b.png", "c.png", "d, e.png", "x.png"]
    assert report.group.tolist() == [0, 1, 0, 1, 4]
    assert report.groups.group.tolist() == [0, 1, 0, 1, NO_GROUP, NO_GROUP]  # t.png shows the same and takes no part
    assert report.groups.phash[[0, 4]].tolist() == [hash_by_imagehash(sample_image(1)), 0]
    level = report.sweep.level_at(6)
    assert level is not None
    assert (level.queries_lost, report.sweep.queries_with_positives) == (1, 2)  # q has d alone, p has x too


def test_links_within_a_source_only(images: Path) -> None:
    report = build_groups(benchmark(), images, workers=1, within_source=True)
    assert report.group.tolist() == [0, 1, 0, 3, 4]
    assert report.source is not None
    assert report.source.tolist() == ["f", "g", "f", "h", ""]


def test_images_below_the_lowest_quality_are_counted(images: Path) -> None:
    report = build_groups(benchmark(), images, workers=1, min_quality=500)
    assert report.group.tolist() == [0, 1, 0, 1, 4]  # equal files are still linked
    assert report.groups.parameters["below_min_quality"] == 5


def test_unreadable_images_stop_with_one_problem_per_reason(images: Path) -> None:
    (images / "a.png").write_bytes(b"no picture")
    (images / "b.png").unlink()
    (images / "c.png").unlink()
    with pytest.raises(BadDataset) as caught:
        build_groups(benchmark(), images, workers=1)
    problems = {problem.code: problem for problem in caught.value.problems}
    assert {code: problem.count for code, problem in problems.items()} == {
        "mostly-unreadable": 3,
        "not-an-image": 1,
        "missing-file": 2,
    }
    assert problems["missing-file"].found.startswith("2 images: 'b.png', 'c.png'")
    assert "3 of 5 images" in problems["mostly-unreadable"].found
    (images / "b.png").write_bytes(b"no picture")
    sample_image(1).save(images / "c.png")
    with pytest.raises(BadDataset) as caught:
        build_groups(benchmark(), images, workers=1)
    assert [problem.code for problem in caught.value.problems] == ["not-an-image"]
    assert "--keep-going" in caught.value.problems[0].remedy


def test_keep_going_accepts_at_most_half_of_the_images(images: Path) -> None:
    rows = [Row(name, "query" if name == "a.png" else "gallery") for name in ("a.png", "b.png", "c.png", "x.png")]
    for name in ("a.png", "c.png"):
        (images / name).write_bytes(b"no picture")
    assert len(build_groups(benchmark_of(rows), images, workers=1, keep_going=True).hashed.failures) == 2
    (images / "b.png").unlink()
    with pytest.raises(BadDataset) as caught:
        build_groups(benchmark_of(rows), images, workers=1, keep_going=True)
    problems = {problem.code: problem for problem in caught.value.problems}
    assert {code: problem.count for code, problem in problems.items()} == {
        "mostly-unreadable": 3,
        "not-an-image": 2,
        "missing-file": 1,
    }
    assert "at most half" in problems["mostly-unreadable"].remedy
    assert "--keep-going" not in problems["not-an-image"].remedy


def test_keep_going_leaves_unreadable_images_alone_in_their_groups(images: Path) -> None:
    (images / "a.png").write_bytes(b"no picture")
    (images / "c.png").write_bytes(b"no picture")
    report = build_groups(benchmark(), images, workers=1, keep_going=True)
    assert report.group.tolist() == [0, 1, 2, 1, 4]
    assert [failure.image for failure in report.hashed.failures] == ["a.png", "c.png"]
    assert not report.degenerate.any()


def test_what_cannot_work_is_refused_before_hashing(tmp_path: Path) -> None:
    nowhere = tmp_path / "nowhere"
    with pytest.raises(BadUsage, match="from 0 to 12 bits"):
        build_groups(benchmark(Grouping(threshold=13)), nowhere)
    with pytest.raises(BadUsage, match="one of phash, ahash, dhash, whash"):
        build_groups(benchmark(Grouping(hash="pdq")), nowhere)
    with pytest.raises(BadUsage, match="no image has a source"):
        build_groups(replace(benchmark(), source=None), nowhere, within_source=True)
    with pytest.raises(BadUsage, match="no query or gallery image"):
        build_groups(benchmark_of([Row("t.png", "train")]), nowhere)


@pytest.mark.parametrize("within", [False, True])
def test_csv_and_parquet_hold_the_same(images: Path, tmp_path: Path, within: bool) -> None:
    (images / "x.png").write_bytes(b"")
    report = build_groups(benchmark(), images, workers=1, keep_going=True, within_source=within)
    write_groups(tmp_path / "g.csv", report)
    write_groups(tmp_path / "g.parquet", report)
    lines = (tmp_path / "g.csv").read_text(encoding="utf-8").splitlines()
    table = pq.read_table(tmp_path / "g.parquet")
    header = json.loads((tmp_path / "g.csv.json").read_text(encoding="utf-8"))
    assert header == json.loads(table.schema.metadata[METADATA_KEY]) == json.loads(json.dumps(report.groups.parameters))
    rows = list(csv.DictReader(lines))
    assert (
        list(rows[0])
        == table.column_names
        == ["image", "phash", "group", "quality", "bytes_sha256", "source"][: 5 + within]
    )
    stored = table.to_pylist()
    for row, other in zip(rows, stored, strict=True):
        assert row == {name: "" if value is None else str(value) for name, value in other.items()}
    assert rows[4] | {"source": ""} == {
        "image": "x.png",
        "phash": "",
        "group": "4",
        "quality": "",
        "bytes_sha256": "",
        "source": "",
    }
    assert rows[0]["phash"] == f"{hash_by_imagehash(sample_image(1)):016x}"


def test_the_header_says_how_it_was_made(images: Path) -> None:
    parameters = build_groups(benchmark(), images, workers=1).groups.parameters
    assert parameters["images_sha256"] == lines_sha256(["a.png", "b.png", "c.png", "d, e.png", "x.png"])
    expected = {
        "hash": "phash", "definition": "piq-bench/phash/1", "threshold": 6, "mode": "components", "within": None,
        "min_quality": None, "images": 5, "unreadable": 0, "degenerate": 0, "exif": "ignored",
    }  # fmt: skip
    assert {key: parameters[key] for key in expected} == expected
    software = parameters["software"]
    assert isinstance(software, dict)
    assert set(software) == {"piq_bench", "pillow", "libjpeg_turbo", "numpy"}


def test_an_output_that_cannot_be_written_is_refused_and_nothing_is_left(images: Path, tmp_path: Path) -> None:
    report = build_groups(benchmark(), images, workers=1)
    with pytest.raises(BadUsage, match=r"\.csv or \.parquet"):
        write_groups(tmp_path / "groups.txt", report)
    with pytest.raises(BadUsage, match="can be written"):
        write_groups(tmp_path / "none" / "groups.csv", report)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["images"]


def test_too_many_pairs_are_refused_before_they_fill_memory() -> None:
    n = 3000
    same = np.full(n, A, dtype=np.uint64)
    nodes = make_nodes(same, bytes_hash=same, readable=np.ones(n, dtype=np.bool_), quality=np.ones(n))
    assert len(neighbour_pairs(nodes, 6)) == n * (n - 1) // 2
    with pytest.raises(LimitExceeded, match="components"):
        neighbour_pairs(nodes, 6, most_pairs=1000)


def test_hashes_from_elsewhere_are_grouped_too() -> None:
    report = group_hashed(benchmark(), hashed_of([A, A ^ 0b11, 1, 2, 3]))
    assert report.group.tolist() == [0, 0, 2, 3, 4]
