"""Subsets: their sum is as near to the target as that of any subset, and order is drawn from the seed alone."""

from itertools import product

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from piq_bench.build.split import subset
from piq_bench.build.split.subset import nearest_subset

sizes = st.lists(st.integers(1, 9), max_size=9)


@given(sizes, st.integers(0, 60), st.integers(0, 5))
def test_no_subset_comes_nearer(members: list[int], target: int, seed: int) -> None:
    chosen = nearest_subset(np.array(members, dtype=np.int64), target, np.random.PCG64(seed))
    sums = [
        sum(m for m, c in zip(members, choice, strict=True) if c) for choice in product([0, 1], repeat=len(members))
    ]
    reached = sum(member for member, is_chosen in zip(members, chosen, strict=True) if is_chosen)
    assert abs(reached - target) == min(abs(one - target) for one in sums)


def test_many_large_units_are_divided_in_proportion_and_the_last_ones_exactly() -> None:
    rng = np.random.default_rng(0)
    members = rng.integers(2, 40, 5000)
    target = round(0.6 * int(members.sum()))
    chosen = nearest_subset(members, target, np.random.PCG64(1))
    assert members[chosen].sum() == target
    assert 0.55 < chosen.mean() < 0.65 and subset.MAX_EXACT < 5000


def test_each_unit_is_chosen_about_as_often_as_its_share() -> None:
    members = np.array([1] * 20)
    counts = sum(nearest_subset(members, 12, np.random.PCG64(seed)).astype(int) for seed in range(300))
    assert np.all(np.abs(np.asarray(counts) / 300 - 0.6) < 0.12)
