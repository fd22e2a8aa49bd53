"""A Market-1501 style benchmark of 14 test images with random features, for tests of every source."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from folders import write_market

from piq_bench.convert.submission import convert
from piq_bench.errors import BadInput
from piq_bench.read.dataset import read_benchmark
from piq_bench.records import Benchmark, Float32Array

NAMES = {
    "bounding_box_train": ["0100_c1s1_000001_01.jpg", "0101_c2s1_000002_01.jpg"],
    "query": ["0001_c1s1_000100_00.jpg", "0002_c2s1_000200_00.jpg", "0010_c3s1_000300_00.jpg.jpg"],
    "bounding_box_test": [
        "-1_c1s1_000400_01.jpg",
        "-1_c4s2_000401_01.jpg",
        "0000_c1s1_000500_01.jpg",
        "0001_c2s1_000101_01.jpg",
        "0001_c3s1_000102_02.jpg",
        "0002_c1s1_000201_01.jpg",
        "0002_c5s1_000202_01.jpg",
        "0003_c6s1_000301_01.jpg",
        "0010_c1s1_000303_01.jpg.jpg",
        "0010_c2s1_000304_01.jpg",
        "0010_c6s1_000305_01.jpg",
    ],
}


@dataclass(frozen=True, eq=False)
class Case:
    """A benchmark in `folder`, and one vector for each of its images, training images too, in shuffled order."""

    folder: Path
    benchmark: Benchmark
    images: list[str]
    values: Float32Array

    def vectors(self, images: list[str]) -> Float32Array:
        row_of = {image: row for row, image in enumerate(self.images)}
        return self.values[[row_of[image] for image in images]]

    @property
    def test_images(self) -> list[str]:
        return [str(image) for image in self.benchmark.images[self.benchmark.test_rows]]

    def paths(self) -> list[str]:
        return [f"/data/run_1_c3/market/{image}" for image in self.images]


def make_case(parent: Path) -> Case:
    folder = write_market(parent / "market", NAMES)
    benchmark = read_benchmark(folder)
    rng = np.random.default_rng(0)
    images = [str(image) for image in rng.permutation(benchmark.images.astype(str))]
    return Case(folder, benchmark, images, rng.standard_normal((len(images), 5)).astype(np.float32))


def layumi_content(case: Case) -> dict[str, Any]:
    """What test.py saves: torchvision lists the class folders as text, then the names in each."""
    content: dict[str, Any] = {}
    for part, folder in (("query", "query"), ("gallery", "bounding_box_test")):
        names = [image.rpartition("/")[2] for image in case.test_images if image.startswith(folder)]
        listed = sorted(names, key=lambda name: (name.split("_")[0], name))
        folders = list(dict.fromkeys(name.split("_")[0] for name in listed))
        assert part == "query" or folders[:2] == ["-1", "0000"]
        content[f"{part}_f"] = case.vectors([f"{folder}/{name}" for name in listed])
        content[f"{part}_label"] = [int(name.split("_")[0]) for name in listed]
        content[f"{part}_cam"] = [int(name.split("c")[1][0]) for name in listed]
    return content


def refused(source: Path, case: Case, *, names: Path | None = None) -> str:
    """What is said of features that are refused; nothing is written."""
    with pytest.raises(BadInput) as refusal:
        convert(source, case.benchmark, source.parent / "out.npz", names=names)
    assert not (source.parent / "out.npz").exists()
    return str(refusal.value)
