"""Grouping on Dask's workers: the pairs, hashes and groups of one machine."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from group_builders import Row, balanced_hashes, benchmark_of, sample_image

from piq_bench.cluster.connect import connected
from piq_bench.errors import BadUsage
from piq_bench.group import build, spread
from piq_bench.group.build import build_groups
from piq_bench.group.hashing import hash_images
from piq_bench.group.pairs import Block, Hashes, near_pairs
from piq_bench.records import Grouping

distributed = pytest.importorskip("distributed")
Client = Any
pytestmark = pytest.mark.filterwarnings("default")


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=False, dashboard_address=None) as found:
        yield found.scheduler_address


@pytest.fixture(scope="module")
def client(address: str) -> Iterator[Client]:
    with connected(address) as found:
        yield found


def listed(blocks: Iterator[Block]) -> list[tuple[int, int, int]]:
    return sorted(row for block in blocks for row in zip(*(part.tolist() for part in block), strict=True))


def all_by_definition(hashes: Hashes, threshold: int) -> list[tuple[int, int, int]]:
    values = hashes.tolist()
    found = [(i, j, (one ^ values[j]).bit_count()) for j in range(len(values)) for i, one in enumerate(values[:j])]
    return sorted(pair for pair in found if pair[2] <= threshold)


@pytest.mark.parametrize(("n", "comparisons"), [(300, 1000), (300, 1 << 27)])
def test_pairs_are_those_of_the_definition(client: Client, n: int, comparisons: int) -> None:
    hashes = np.unique(balanced_hashes(n, 3))
    blocks = spread.near_pairs_on(client, hashes, 6, worth=0, comparisons=comparisons)
    assert listed(blocks) == all_by_definition(hashes, 6)


@pytest.mark.parametrize("threshold", [2, 6, 11])
def test_pairs_of_the_index_are_those_of_one_machine(client: Client, threshold: int) -> None:
    rng = np.random.default_rng(4)
    hashes = rng.integers(0, 2**63, 4000, dtype=np.uint64)
    hashes = np.unique(np.concatenate([hashes, hashes ^ (np.uint64(5) << rng.integers(0, 60, 4000, dtype=np.uint64))]))
    parts = list(spread.pair_parts(hashes, threshold, 1 << 16))
    assert len(parts) > 2
    assert all(part.number is not None for part in parts)
    expected = listed(near_pairs(hashes, threshold))
    assert len(expected) > 3000
    assert listed(spread.near_pairs_on(client, hashes, threshold, worth=0, comparisons=1 << 16)) == expected


def test_few_hashes_are_compared_without_a_worker() -> None:
    hashes = np.array([7, 3, 64], dtype=np.uint64)
    assert listed(spread.near_pairs_on(None, hashes, 2)) == [(0, 1, 1)]


def test_hashes_are_those_of_one_machine_and_failures_are_named(client: Client, tmp_path: Path) -> None:
    for seed in range(3):
        sample_image(seed).save(tmp_path / f"{seed}.png")
    images = ["0.png", "1.png", "2.png", "missing.png"]
    chunks = spread.hashed_chunks(client, images, tmp_path, "phash", 10**6, False)
    found = hash_images(images, tmp_path, spread=lambda *arguments: chunks)
    here = hash_images(images, tmp_path, workers=1)
    assert (found.phash == here.phash).all()
    assert (found.quality[:3] == here.quality[:3]).all()
    assert found.failures == here.failures
    assert [failure.image for failure in found.failures] == ["missing.png"]


def test_a_folder_that_no_worker_sees_is_refused(client: Client, tmp_path: Path) -> None:
    with pytest.raises(BadUsage, match="2 workers do not see this path"):
        list(spread.hashed_chunks(client, ["a.png"], tmp_path / "nowhere", "phash", 10**6, False))


@pytest.mark.parametrize("mode", ["components", "neighbours"])
def test_groups_are_those_of_one_machine(
    address: str, monkeypatch: pytest.MonkeyPatch, mode: Literal["components", "neighbours"], tmp_path: Path
) -> None:
    rows = [Row(f"{n}.png", "query" if n < 3 else "gallery", "pq"[n % 2], "fg"[n % 2]) for n in range(9)]
    for n, row in enumerate(rows):
        sample_image(n % 4).save(tmp_path / row.image)
    benchmark = benchmark_of(rows, grouping=Grouping(mode=mode))
    here = build_groups(benchmark, tmp_path, workers=1)
    monkeypatch.setattr(build, "near_pairs_on", partial(spread.near_pairs_on, worth=0, comparisons=3))
    steps: list[int] = []
    found = build_groups(benchmark, tmp_path, scheduler=address, advance=steps.append)
    assert found.group.tolist() == here.group.tolist() == [0, 1, 2, 3, 0, 1, 2, 3, 0]
    assert found.sweep == here.sweep
    assert found.groups.parameters == here.groups.parameters
    assert (found.groups.pairs is None) == (mode == "components")
    if here.groups.pairs is not None and found.groups.pairs is not None:
        assert np.array_equal(here.groups.pairs, found.groups.pairs)
    assert sum(steps) == 9
