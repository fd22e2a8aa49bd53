"""Chooses, at random, units whose sizes sum as nearly as possible to a target."""

from collections.abc import Sequence

import numpy as np

from piq_bench.records import BoolArray, IntArray

MAX_EXACT = 256  # units of several members whose every sum is considered; memory grows with them


def nearest_subset(sizes: IntArray, target: int, source: np.random.PCG64) -> BoolArray:
    """Shape (n_units,): whether each unit is chosen.

    The sum is as near to the target as any subset comes if at most MAX_EXACT units have several members; where there
    are more, those beyond are divided by their random order, and the last MAX_EXACT make up for what is missing.

    Args:
        sizes: shape (n_units,); members of each unit, at least 1.
        target: number of members to choose.
        source: of the random order.

    >>> bool(nearest_subset(np.array([40, 30, 30]), 60, np.random.PCG64(0))[0])
    False
    """
    # numpy guarantees the bits of PCG64 in all versions, but not the methods of its generators.
    order = np.argsort(np.asarray(source.random_raw(sizes.size)), kind="stable") if sizes.size else sizes
    single, several = order[sizes[order] == 1], order[sizes[order] > 1]
    chosen = np.zeros(sizes.size, dtype=np.bool_)
    early, late = several[: max(0, several.size - MAX_EXACT)], several[max(0, several.size - MAX_EXACT) :]
    sums_early = np.cumsum(sizes[early])
    share = int(sums_early[-1]) * target // int(sizes.sum()) if early.size else 0
    first = int(np.searchsorted(sums_early, share, side="right"))  # as many as fit into their part of the target
    chosen[early[:first]] = True
    taken = int(sums_early[first - 1]) if first else 0
    wanted = target - taken
    members = sizes[late].tolist()
    rest = sum(members) + single.size
    sums = _reachable(members)
    usual = wanted * sum(members) // max(1, rest)  # so that large and small units are divided alike
    best = min(_bits(sums[-1]), key=lambda s: (max(s - wanted, wanted - single.size - s, 0), abs(s - usual), s))
    chosen[single[: max(0, min(wanted - best, single.size))]] = True
    for place in range(len(members) - 1, -1, -1):
        if not sums[place] >> best & 1:
            chosen[late[place]] = True
            best -= members[place]
    return chosen


def _reachable(members: Sequence[int]) -> list[int]:
    """The sums that the first 0, 1, 2, ... units can reach: bit s is set for the sum s."""
    sums = [1]
    for size in members:
        sums.append(sums[-1] | sums[-1] << size)
    return sums


def _bits(number: int) -> list[int]:
    """The places of the bits that are set."""
    return np.flatnonzero(np.array([*bin(number)[:1:-1]]) == "1").tolist()
