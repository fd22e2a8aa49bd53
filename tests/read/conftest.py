"""The benchmark for the submissions of tests/submission_builders.py."""

from pathlib import Path

import pytest
from submission_builders import BENCHMARK, N

from piq_bench.read.dataset import read_benchmark
from piq_bench.records import Benchmark


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight test images and two train images, with splits only: `piq check` needs neither labels nor identities."""
    folder = tmp_path_factory.mktemp("tiny")
    (folder / "benchmark.toml").write_text(BENCHMARK, encoding="utf-8")
    lines = ["image,split", "t/0.jpg,train", "t/1.jpg,train"]
    lines += [f"m/{i}.jpg,{'query' if i < 2 else 'gallery'}" for i in range(N)]
    (folder / "annotations.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def benchmark(dataset: Path) -> Benchmark:
    return read_benchmark(dataset, need_labels=False)
