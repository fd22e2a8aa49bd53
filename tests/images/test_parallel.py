"""Functions of images in several processes: values keep their order, and the death of a process is reported."""

from dataclasses import replace
from pathlib import Path

import builders
import numpy as np
import pytest
from image_functions import dying, first_value
from PIL import Image

from piq_bench.errors import EXIT_LIMIT, BadDataset, LimitExceeded
from piq_bench.images import parallel
from piq_bench.records import Benchmark


@pytest.fixture
def benchmark(tmp_path: Path) -> Benchmark:
    """Each image is filled with its number."""
    found = builders.benchmark(np.random.default_rng(0), builders.Size(n_train=60))
    for number, image in enumerate(found.images):
        path = tmp_path / "images" / image
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((3, 2), number, np.uint8)).save(path, format="PNG")
    return replace(found, root=tmp_path)


def test_several_processes_keep_the_order(benchmark: Benchmark, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "CHUNK", 5)
    rows = np.random.default_rng(1).permutation(benchmark.images.size)
    done: list[int] = []
    found = list(parallel.map_images(benchmark, rows, first_value, workers=2, advance=done.append))
    assert found == rows.tolist()
    assert sum(done) == rows.size


def test_a_process_that_dies_is_a_limit(benchmark: Benchmark, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "CHUNK", 5)
    rows = np.arange(20)
    with pytest.raises(LimitExceeded, match="a process that decodes died") as refusal:
        list(parallel.map_images(benchmark, rows, dying, workers=2))
    assert refusal.value.exit_code == EXIT_LIMIT


def test_unreadable_images_are_counted_by_what_is_wrong_with_them(benchmark: Benchmark, tmp_path: Path) -> None:
    for number, image in enumerate(benchmark.images[:3]):
        (tmp_path / "images" / image).write_bytes(b"" if number else b"text")
    with pytest.raises(BadDataset) as refusal:
        list(parallel.map_images(benchmark, np.arange(9), first_value, workers=1))
    found = {problem.code: problem for problem in refusal.value.problems}
    assert set(found) == {"empty-file", "not-an-image"}
    assert found["empty-file"].found.startswith("2 images: ")
    assert found["not-an-image"].found.startswith("1 image: ")
    assert [problem.remedy for problem in found.values()] == ["fix or restore them", "fix or restore it"]
