"""The statistics file: the keys of the specification, exactly, and values at full precision."""

import json
from fractions import Fraction
from pathlib import Path

from folders import write_folder, write_market

from piq_bench.describe.stats import describe
from piq_bench.read.dataset import inspect_dataset, read_benchmark
from piq_bench.report.stats_json import stats_document, stats_json

SPLIT_KEYS = ["images", "identities", "unlabelled", "junk", "distractor", "lts", "gini", "largest", "smallest"]


def test_keys_are_stable_and_in_order(tmp_path: Path) -> None:
    document = json.loads(stats_json(describe(read_benchmark(write_folder(tmp_path)))))
    assert list(document) == ["schema", "benchmark", "splits", "tasks", "groups", "findings"]
    assert document["schema"] == "piq-bench/stats/1"
    assert list(document["benchmark"]) == ["name", "version", "fingerprint"]
    assert list(document["splits"]) == ["train", "query", "gallery"]
    assert all(list(split) == SPLIT_KEYS for split in document["splits"].values())
    assert list(document["tasks"]) == ["gender", "mood"]
    for task in document["tasks"].values():
        assert list(task) == ["train", "query", "gallery"]
        assert all(list(split) == ["labels", "not_annotated", "lts"] for split in task.values())
    assert document["groups"] is None
    assert all(list(finding) == ["code", "severity", "text"] for finding in document["findings"])


def test_every_split_is_there_and_what_is_not_defined_is_null(tmp_path: Path) -> None:
    names = {"bounding_box_train": [], "query": [], "bounding_box_test": ["-1_c1s1_0.jpg", "0000_c1s1_0.jpg"]}
    document = stats_document(describe(inspect_dataset(write_market(tmp_path, names)).benchmark))
    assert document["tasks"] == {}
    assert document["splits"] == {
        name: {
            "images": images,
            "identities": 0,
            "unlabelled": 0,
            "junk": images // 2,
            "distractor": images // 2,
            "lts": {"0.2": None},
            "gini": None,
            "largest": None,
            "smallest": None,
        }
        for name, images in (("train", 0), ("query", 0), ("gallery", 2))
    }


def test_values_are_exact_until_the_end(tmp_path: Path) -> None:
    ks = (Fraction("0.07"), Fraction("0.25"), Fraction(1))
    document = json.loads(stats_json(describe(read_benchmark(write_folder(tmp_path)), ks=ks)))
    # Gallery: p2 and p3 with one image each. One of two people holds 7% and 25%, both hold all: 1 / (0.07 * 2) = 50/7.
    assert document["splits"]["gallery"]["lts"] == {"0.07": 50 / 7, "0.25": 2.0, "1": 1.0}
    # Train: happy twice, sad once, angry never.
    assert document["tasks"]["mood"]["train"] == {
        "labels": {"happy": 2, "sad": 1, "angry": 0},
        "not_annotated": 1,
        "lts": {"0.07": 50 / 7, "0.25": 2.0, "1": 1.0},
    }


def test_groups_are_described(tmp_path: Path) -> None:
    document = json.loads(stats_json(describe(read_benchmark(None))))
    assert list(document["groups"])[:3] == ["hash", "threshold", "mode"]
    assert document["groups"]["groups"] > 0
    assert document["groups"]["grouped_images"] >= 2 * document["groups"]["groups"]


def test_neither_order_nor_format_changes_a_byte(tmp_path: Path) -> None:
    def text(folder: Path) -> str:
        return stats_json(describe(read_benchmark(folder)))

    one = write_folder(tmp_path / "one")
    other = write_folder(tmp_path / "other", suffix=".parquet")
    assert text(one) == text(other)
