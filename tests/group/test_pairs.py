from collections.abc import Callable, Iterator

import numpy as np
import pytest
from group_builders import balanced_hashes
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles_groups import pairs_within

from piq_bench.group import pairs
from piq_bench.group.pairs import Block, Hashes, all_pairs, indexed_pairs, is_crowded, near_pairs

Finder = Callable[[Hashes, int], Iterator[Block]]


def found(finder: Finder, hashes: Hashes, threshold: int) -> list[tuple[int, int, int]]:
    rows = [row for block in finder(hashes, threshold) for row in zip(*(part.tolist() for part in block), strict=True)]
    return sorted((min(first, second), max(first, second), apart) for first, second, apart in rows)


@pytest.mark.parametrize("threshold", range(16))
@pytest.mark.parametrize("finder", [all_pairs, indexed_pairs, near_pairs])
def test_pairs_are_those_of_brute_force_each_once(finder: Finder, threshold: int) -> None:
    hashes = np.unique(balanced_hashes(220, seed=threshold))
    expected = sorted(pairs_within(hashes.tolist(), threshold))
    assert found(finder, hashes, threshold) == expected
    assert threshold < 4 or expected


@settings(max_examples=40)
@given(st.sets(st.integers(0, 2**64 - 1), max_size=30), st.integers(0, 12))
def test_any_hashes_in_any_order_give_their_pairs(values: set[int], threshold: int) -> None:
    near = {value ^ (1 << bit) for value in values for bit in (0, 17, 63)} | values  # some that are close
    hashes = np.array(sorted(near, key=lambda value: value * 0x9E3779B97F4A7C15 % 2**64), dtype=np.uint64)
    assert found(indexed_pairs, hashes, threshold) == sorted(pairs_within(hashes.tolist(), threshold))


@pytest.mark.parametrize("n", [0, 1, 2])
@pytest.mark.parametrize("finder", [all_pairs, indexed_pairs, near_pairs])
def test_up_to_two_hashes_have_at_most_one_pair(finder: Finder, n: int) -> None:
    hashes = np.array([0b11, 0b01], dtype=np.uint64)[:n]
    assert found(finder, hashes, 1) == ([(0, 1, 1)] if n == 2 else [])
    assert found(finder, hashes, 0) == []


@pytest.mark.parametrize("size", [1, 7, 100])
def test_small_blocks_find_the_same(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    hashes = np.unique(balanced_hashes(150, seed=3))
    for name in ("CANDIDATES", "ROWS", "COLUMNS", "FULL_BLOCK"):
        monkeypatch.setattr(pairs, name, size)
    expected = sorted(pairs_within(hashes.tolist(), 8))
    for finder in (indexed_pairs, all_pairs, near_pairs):
        assert found(finder, hashes, 8) == expected


def test_the_index_finds_the_pairs_of_comparing_all() -> None:
    hashes = np.unique(balanced_hashes(6000, seed=4))
    assert len(hashes) > pairs.FEW
    for threshold in (0, 2, 6, 12):
        assert found(near_pairs, hashes, threshold) == found(all_pairs, hashes, threshold)


def test_one_long_shot_is_compared_all_with_all() -> None:
    rng = np.random.Generator(np.random.PCG64(5))
    values = rng.normal(size=64) + rng.normal(size=(6000, 64)) * 0.35
    crowded = np.unique(np.packbits(values > np.median(values, axis=1)[:, None], axis=1).view(">u8").astype(np.uint64))
    assert len(crowded) > pairs.FEW
    assert is_crowded(crowded, 6)
    assert not is_crowded(np.unique(balanced_hashes(3000, seed=6)), 6)


def test_the_worst_case_of_one_shared_word_is_found() -> None:
    hashes = np.arange(3000, dtype=np.uint64) << np.uint64(48)  # three words of every hash are 0
    assert len(found(indexed_pairs, hashes, 2)) == len(found(all_pairs, hashes, 2))
